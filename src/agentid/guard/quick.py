"""
Functions and coroutines on the hot path: a plan is asked first, and the seven steps where it has no answer.

The wrappers in here decide nothing. They look whether the agent may still act, ask the `Plan` of its session, and
run the body inside a span, if somebody records; everything else goes through the wrapper of `calls`.

A wrapper is written out with the parameters of the function that it guards, as `dataclasses` writes `__init__`: so
Python itself binds the arguments, defaults included, which costs half of what `*args, **kwargs` would.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.guard.call import GuardedCall
from agentid.guard.lazy import FOLLOW, only_once
from agentid.guard.plan import named_values, plan_for
from agentid.guard.session import acting
from agentid.guard.telemetry import error_type
from agentid.record import enter, fail, leave

if TYPE_CHECKING:
    from agentid.guard.plan import Answer
    from agentid.guard.session import Session
    from agentid.guard.tool import Tool
    from agentid.record import Span

__all__ = ["quickened"]

log = logging.getLogger("agentid")

_OWN: Final = "_agentid_"

# The questions about the session are those of `Session.check`; whoever may not act any more learns from there why.
# A session that is closed, and one whose calls need more than a span, has a lease that equals no generation.
_WRAPPER: Final = """\
{define} _agentid_call({parameters}):
    _agentid_session = _agentid_who()
    try:
        _agentid_may_act = (
            _agentid_session is not None
            and _agentid_session.trust.generation == _agentid_session.lease
            and _agentid_session.clock() < _agentid_session.due
        )
    except _agentid_Exception:
        _agentid_may_act = False
    if _agentid_may_act:
        try:
            _agentid_plan = _agentid_session.plans[_agentid_tool]
        except _agentid_KeyError:
            _agentid_plan = _agentid_plan_for(_agentid_session, _agentid_tool)
        {look_up}
        if _agentid_answer.plain or (_agentid_answer.quiet and _agentid_answer.check(({values}))):
            try:
                _agentid_result = {wait}_agentid_function({passed})
            finally:
                if _agentid_who() is not _agentid_session:
                    _agentid_restore(_agentid_session)
            if _agentid_type(_agentid_result) in _agentid_lazy:
                return _agentid_follow(_agentid_session, _agentid_result, _agentid_answer, ({values}))
            return _agentid_result
        if _agentid_answer.refused is not None:
            raise _agentid_refuse(_agentid_answer)
        if _agentid_answer.known:
            return {wait}_agentid_special(
                _agentid_session, _agentid_answer, ({values}), lambda: _agentid_function({passed}),
                lambda: _agentid_slow({passed}),
            )
    return {wait}_agentid_slow({passed})
"""
_FIXED: Final = "_agentid_answer = _agentid_plan.fixed"
_LOOK_UP: Final = """\
if {are_text}:
            _agentid_answer = _agentid_plan.answers.get({key}) or _agentid_plan.learn({key})
        else:
            return {wait}_agentid_slow({passed})"""


def quickened(function: Callable[..., Any], tool: Tool, slow: Any) -> Any:
    """
    A version of *slow*, the guarded function, that asks a plan first.

    Args:
        function: The body.
        tool: What it declares.
        slow: The version that always takes the seven steps.
    """
    named = named_values(tool)
    if named is None or not isinstance(function, FunctionType) or not inspect.isfunction(slow):
        return slow
    if any(name.startswith(_OWN) for name in tool.signature.parameters):
        return slow
    waits = inspect.iscoroutinefunction(slow)
    space: dict[str, Any] = {
        # Every name of its own is written so: a parameter may be called `type`, and must not be taken for it.
        "_agentid_type": type,
        "_agentid_str": str,
        "_agentid_KeyError": KeyError,
        "_agentid_Exception": Exception,  # of a clock that fails: the seven steps refuse, and record it
        "_agentid_who": acting.get,
        "_agentid_restore": acting.set,
        "_agentid_tool": tool,
        "_agentid_plan_for": plan_for,
        "_agentid_function": function,
        "_agentid_slow": slow,
        "_agentid_lazy": frozenset(FOLLOW),
        "_agentid_refuse": _refusal,
        "_agentid_special": _special_async(tool) if waits else _special(tool),
        "_agentid_follow": functools.partial(_follow, tool),
    }
    exec(_source(tool, named, waits=waits), space)  # noqa: S102 -- of parameter names, which are identifiers
    wrapper = space["_agentid_call"]
    wrapper.__defaults__, wrapper.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return functools.update_wrapper(wrapper, slow)


def _source(tool: Tool, named: tuple[str, ...], *, waits: bool) -> str:
    parameters, passed = _written(tool.signature)
    wait = "await " if waits else ""
    if named:
        key = named[0] if len(named) == 1 else f"({', '.join(named)})"
        # Exactly text: a subclass may compare equal to what it is not, and `True` equals 1.
        are_text = " and ".join(f"_agentid_type({name}) is _agentid_str" for name in named)
        look_up = _LOOK_UP.format(are_text=are_text, key=key, wait=wait, passed=passed)
    else:
        look_up = _FIXED
    return _WRAPPER.format(
        define="async def" if waits else "def",
        parameters=parameters,
        passed=passed,
        values="".join(f"{name}, " for name in tool.signature.parameters),
        look_up=look_up,
        wait=wait,
    )


def _written(signature: inspect.Signature) -> tuple[str, str]:
    """The parameters as they are declared and as they are passed on. Defaults are not written, but set."""
    declared: list[str] = []
    passed: list[str] = []
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    for number, parameter in enumerate(signature.parameters.values()):
        name, kind = parameter.name, parameter.kind
        # Any value will do in its place: the function's own defaults are put over it.
        default = "" if parameter.default is inspect.Parameter.empty else "=None"
        if kind is inspect.Parameter.VAR_POSITIONAL:
            declared.append(f"*{name}")
            passed.append(f"*{name}")
        elif kind is inspect.Parameter.VAR_KEYWORD:
            declared.append(f"**{name}")
            passed.append(f"**{name}")
        elif kind is inspect.Parameter.KEYWORD_ONLY:
            if "*" not in declared and inspect.Parameter.VAR_POSITIONAL not in kinds:
                declared.append("*")
            declared.append(f"{name}{default}")
            passed.append(f"{name}={name}")
        else:
            declared.append(f"{name}{default}")
            passed.append(name)
            following = kinds[number + 1] if number + 1 < len(kinds) else None
            if kind is inspect.Parameter.POSITIONAL_ONLY and following is not kind:
                declared.append("/")
    return ", ".join(declared), ", ".join(passed)


Run = Callable[[], Any]


def _refusal(answer: Any) -> Exception:
    """The error for an answer that refuses, recorded."""
    if answer.span is not None:
        try:
            fail(answer.span.start())  # its attributes say already that it was refused
        except Exception as failure:  # noqa: BLE001 -- it is refused all the same
            _missing(failure)
    return answer.refused()


def _end(span: Span, error: str = "") -> None:
    """End a span. The body has run: a span that breaks changes nothing about it."""
    try:
        if error:
            fail(span, error)
        else:
            span.end()
    except Exception as failure:  # noqa: BLE001 -- whatever a processor raises
        _missing(failure)


def _missing(failure: Exception) -> None:
    log.warning("a call is missing in telemetry: %s", type(failure).__name__)


def _follow(
    tool: Tool, session: Session, result: Any, answer: Answer, values: tuple[Any, ...], *, span: Span | None = None
) -> Any:
    """A result whose body has not run yet is followed to its end, as any stream is."""
    call = GuardedCall.taken_over(session, tool, span)
    check = answer.check
    if check is not None:
        # The values that the templates name are text; what a constraint looks at may have changed by then.
        call.is_still = lambda _call: check(values)
    return FOLLOW[cast("type[Any]", type(result))](result, call, only_once)


def _started(answer: Answer, values: tuple[Any, ...]) -> Span | None:
    """The span of a call that *answer* allows, begun; None where the seven steps have to be asked."""
    if answer.span is None or (answer.check is not None and not answer.check(values)):
        return None
    try:
        return answer.span.start()
    except Exception:  # noqa: BLE001 -- they will meet it again, and refuse
        return None


def _special(tool: Tool) -> Callable[..., Any]:
    """What is done with an answer that allows and is not plain: look at the arguments, and record."""

    def special(session: Session, answer: Answer, values: tuple[Any, ...], run: Run, slow: Run) -> Any:
        span = _started(answer, values)
        if span is None:
            return slow()
        token = enter(span)
        try:
            result = run()
        except BaseException as error:
            leave(token)
            _end(span, error_type(error))
            raise
        finally:
            if acting.get() is not session:
                acting.set(session)
        leave(token)
        if type(result) in FOLLOW:
            return _follow(tool, session, result, answer, values, span=span)
        _end(span)
        return result

    return special


def _special_async(tool: Tool) -> Callable[..., Any]:
    """The same for coroutines."""

    async def special(
        session: Session, answer: Answer, values: tuple[Any, ...], run: Callable[[], Awaitable[Any]], slow: Run
    ) -> Any:
        span = _started(answer, values)
        if span is None:
            return await slow()
        token = enter(span)
        try:
            result = await run()
        except BaseException as error:
            leave(token)
            _end(span, error_type(error))
            raise
        finally:
            if acting.get() is not session:
                acting.set(session)
        leave(token)
        if type(result) in FOLLOW:
            return _follow(tool, session, result, answer, values, span=span)
        _end(span)
        return result

    return special
