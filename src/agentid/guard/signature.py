"""Which parameters a function really has: those of its code, or of what it wraps where it takes anything."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Final

from agentid.errors import ConfigurationError, quote
from agentid.guard.calls import name_of

__all__ = ["GENERIC", "is_exact", "is_taken_from_inside", "signature_of", "takes_no_names"]

GENERIC: Final = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
_Cache: Final = type(functools.cache(len))


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """
    The parameters that really receive the arguments: those of the code, whatever `__signature__` says.

    A wrapper that takes `*args, **kwargs` hides them, so what it says to wrap is believed; so it is with a cache of
    `functools`.

    Raises:
        ConfigurationError: There is no signature, as for some built-in functions.
    """
    try:
        own = _own_signature(function)
        if own is None or _takes_anything_by(own):
            return inspect.signature(function)
        if _has_both(own):
            # `def wrapper(self, *args, **kwargs)` takes the first ones by name, and hides the others.
            wrapped = inspect.signature(function)
            named = [name for name, parameter in own.parameters.items() if parameter.kind not in GENERIC]
            if named == list(wrapped.parameters)[: len(named)]:
                return wrapped
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"tool {quote(name_of(function))} cannot be guarded",
            why="Python knows no signature for it, so its arguments have no names",
            fix="Wrap it in a function of your own",
        ) from None
    return own


def _code_signature(function: Any) -> inspect.Signature | None:
    """What the code of a function, a method or a callable object takes; None for what has no code of Python."""
    receiver: Any = None
    if isinstance(function, types.MethodType):
        function, receiver = function.__func__, function.__self__
    elif not (inspect.isroutine(function) or inspect.isclass(function)):
        function, receiver = type(function).__call__, function
    if not isinstance(function, types.FunctionType):
        return None
    bare = types.FunctionType(function.__code__, {}, function.__name__, function.__defaults__, function.__closure__)
    bare.__kwdefaults__ = function.__kwdefaults__
    return inspect.signature(bare if receiver is None else types.MethodType(bare, receiver))


def is_taken_from_inside(function: Callable[..., Any], signature: inspect.Signature) -> bool:
    """Whether *signature*, which `signature_of` gave, is that of what *function* wraps."""
    return _own_signature(function) != signature


def _own_signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """What *function* itself takes; None for a cache of `functools`, which hands on what it gets."""
    if isinstance(function, _Cache):
        return None
    return _code_signature(function) or inspect.signature(function, follow_wrapped=False)


def takes_no_names(function: Callable[..., Any]) -> bool:
    """Whether *function* takes no argument by a name that it does not know."""
    own = _own_signature(function)
    return own is not None and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own.parameters.values())


def _has_both(signature: inspect.Signature) -> bool:
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    return kinds >= GENERIC


def _takes_anything_by(signature: inspect.Signature) -> bool:
    return all(parameter.kind in GENERIC for parameter in signature.parameters.values())


def is_exact(function: object, signature: inspect.Signature) -> bool:
    """
    Whether Python binds the arguments of *function* as *signature* says, before its body runs.

    Not so for a wrapper that takes anything, nor for what says that it has another signature.
    """
    code = getattr(function, "__code__", None) if inspect.isfunction(function) else None
    if code is None or hasattr(function, "__signature__"):
        return False
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return named == tuple(p.name for p in signature.parameters.values() if p.kind not in GENERIC)
