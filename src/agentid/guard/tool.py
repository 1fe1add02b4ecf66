"""A tool as the guard knows it: its name, its signature, and what each call of it requires."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final, cast

from agentid.errors import ConfigurationError, quote
from agentid.guard.binding import MAX_RESOURCES, Computed, Requirement, Template, Unbindable, check_names
from agentid.guard.calls import name_of, unwrap_partial
from agentid.guard.signature import GENERIC, is_exact, is_taken_from_inside, signature_of, takes_no_names
from agentid.record import Access
from agentid.record import attributes as names

__all__ = ["Tool"]

_EITHER: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Tool:
    """
    What a decorated function declares, read once.

    Args:
        function: What is guarded.
        requirements: Templates, or functions that compute what no template can say.
        sinks: Parameters that decide where or what an effect hits.

    Raises:
        ConfigurationError: A requirement or sink does not fit the function's parameters.
    """

    __slots__ = (
        "_partials",
        "attributes",
        "collected",
        "is_believed",
        "is_client",
        "is_exact",
        "is_tool",
        "name",
        "requirements",
        "signature",
        "sinks",
        "span_name",
        "variadic",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        requirements: Iterable[str | Callable[..., Any]],
        sinks: Collection[str] = (),
    ) -> None:
        self.name = name_of(function)
        # What a partial holds already is an argument like any other.
        self._partials: list[partial[Any]] = []
        inner = function
        while isinstance(inner, partial):
            self._partials.append(cast("partial[Any]", inner))
            inner = self._partials[-1].func
        self.signature = signature_of(inner)
        # Whether it only says which parameters it has: it takes anything, and hands that on.
        self.is_believed = inner is function and is_taken_from_inside(inner, self.signature)
        if self.is_believed and takes_no_names(inner) and len(self.signature.parameters) > 1:
            raise ConfigurationError(
                f"tool {quote(self.name)} cannot be guarded",
                why="a decorator around it takes its arguments by position alone, and could shift them",
                fix="Guard the function itself: put this decorator below that one, or let that one take names, too",
            )
        self.is_exact = inner is function and is_exact(inner, self.signature)
        parameters = self.signature.parameters
        keyword = [p.name for p in parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
        self.variadic: str | None = keyword[0] if keyword else None
        self.collected = frozenset(p.name for p in parameters.values() if p.kind in GENERIC)
        self.requirements: tuple[Requirement, ...] = tuple(self._requirement(item) for item in requirements)
        if not self.requirements:
            raise ConfigurationError(
                f"tool {quote(self.name)} requires nothing",
                why="a guarded tool names what it touches",
                fix='Write @requires("read:…"), or leave the decorator away',
            )
        if isinstance(sinks, str):
            raise ConfigurationError(
                f"`sinks` of tool {quote(self.name)} is text", fix='Write it as a set, such as sinks={"to", "amount"}'
            )
        if not isinstance(sinks, Collection) or not all(isinstance(sink, str) for sink in sinks):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"`sinks` of tool {quote(self.name)} is no set of names", fix='Write sinks={"to", "amount"}'
            )
        check_names(sinks, parameters, what="sink", tool=self.name)
        self.sinks = frozenset(sinks)
        self.is_client, self.is_tool = False, True
        self.span_name = f"{names.EXECUTE_TOOL} {self.name}"
        self.attributes = self._describe(function)

    def _requirement(self, item: str | Callable[..., Any]) -> Requirement:
        parameters = self.signature.parameters
        if isinstance(item, str):
            template = Template(item)
            # With `**kwargs` the tool may take any name; one that a call lacks is refused at the call.
            if self.variadic is None:
                check_names(template.names, parameters, what="placeholder", tool=self.name)
            return template
        if not callable(item):
            raise ConfigurationError(
                f"not a requirement: {quote(type(item).__name__)}", why="it must be text or a function"
            )
        if inspect.iscoroutinefunction(item):
            raise ConfigurationError(
                f"the requirement computed for tool {quote(self.name)} is async", fix="Let a plain function compute it"
            )
        wanted = signature_of(item).parameters
        if any(p.kind in GENERIC or p.kind is inspect.Parameter.POSITIONAL_ONLY for p in wanted.values()):
            raise ConfigurationError(
                f"the requirement computed for tool {quote(self.name)} takes arguments without names",
                fix="Let it take the tool's parameters by name",
            )
        needed = tuple(name for name, p in wanted.items() if p.default is inspect.Parameter.empty)
        check_names(needed, parameters, what="parameter", tool=self.name)
        return Computed(item, tuple(name for name in wanted if name in parameters))

    def _describe(self, function: Callable[..., Any]) -> dict[str, str]:
        """The attributes that are the same for each call."""
        described = {
            names.OPERATION_NAME: names.EXECUTE_TOOL,
            names.TOOL_NAME: self.name,
            names.TOOL_TYPE: "function",
        }
        inner = unwrap_partial(function)
        qualified = getattr(inner, "__qualname__", type(inner).__qualname__)
        module = getattr(inner, "__module__", "")
        described[names.CODE_FUNCTION] = f"{module}.{qualified}" if module else qualified
        description = (inspect.getdoc(inner) or "").partition("\n")[0]
        if description:
            described[names.TOOL_DESCRIPTION] = description
        described[names.TOOL_ID] = f"urn:x-agentid:tool:{described[names.CODE_FUNCTION]}"
        actions = {item.action for item in self.requirements if isinstance(item, Template)}
        if actions:
            effects = {names.EFFECT_OF[action] for action in actions}
            described[names.TOOL_EFFECT] = max(effects, key=names.EFFECTS_BY_REACH.index)
        return described

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """
        The call's arguments by parameter name, defaults included; those of `**kwargs` by their own name.

        Raises:
            TypeError: The call does not fit the signature, as Python itself would say.
        """
        for held in self._partials:  # as they are now: their keywords may change
            args, kwargs = (*held.args, *args), {**held.keywords, **kwargs}
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = bound.arguments
        if self.variadic is not None:
            # A parameter of the tool wins over a stray keyword of the same name.
            arguments = {**arguments[self.variadic], **arguments}
        return arguments

    def by_name(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """
        A version of *function*, a wrapper that takes anything, that is called with names as far as that is possible.

        What was decided about a parameter arrives at that parameter, also behind a wrapper that puts arguments of
        its own in front: there Python refuses the call. The first one goes by position, because many wrappers look at
        it; the second goes by name, so that nothing can be put in front of the first.
        """
        parameters = list(self.signature.parameters.values())
        kinds = {parameter.kind for parameter in parameters}
        leads = bool(parameters) and inspect.Parameter.VAR_POSITIONAL not in kinds
        leads = leads and parameters[0].kind is _EITHER and parameters[0].default is inspect.Parameter.empty
        first = parameters[0].name if leads else None
        second = parameters[1] if leads and len(parameters) > 1 else None

        def call(*args: Any, **kwargs: Any) -> Any:
            bound = self.signature.bind(*args, **kwargs)
            positional: list[Any] = []
            named: dict[str, Any] = {}
            if second is not None and second.kind is _EITHER and second.name not in bound.arguments:
                named[second.name] = second.default
            # With `*args` in use, everything before has to stand before it.
            in_order = self.collected & bound.arguments.keys() - {self.variadic}
            for name, value in bound.arguments.items():
                kind = self.signature.parameters[name].kind
                if kind is inspect.Parameter.VAR_POSITIONAL:
                    positional.extend(value)
                elif kind is inspect.Parameter.VAR_KEYWORD:
                    named.update(value)
                elif kind is inspect.Parameter.POSITIONAL_ONLY or name == first or (in_order and kind is _EITHER):
                    positional.append(value)
                else:
                    named[name] = value
            return function(*positional, **named)

        return call

    def accesses(self, arguments: Mapping[str, Any]) -> tuple[Access, ...]:
        """
        What this call does to which resources, without repetition, in the order declared.

        Raises:
            Unbindable: The arguments name no resource, or an odd one.
        """
        found: dict[Access, None] = {}
        for requirement in self.requirements:
            found.update(dict.fromkeys(requirement.bind(arguments)))
            if len(found) > MAX_RESOURCES:
                raise Unbindable(f"it names more than {MAX_RESOURCES} resources")
        if not found:
            raise Unbindable("the call names no resource at all")
        return tuple(found)
