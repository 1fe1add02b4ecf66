"""
What arguments hold, to be compared later: did they change since?

Whoever calls keeps what it passed, and may change it: while a person is asked, the call would become another
one. `repr` alone would not show it: most objects print no more than their address.

Two snapshots of a value are equal if its type, its printed form, its elements, its attributes and its bytes
are the same. What shows nothing of itself, such as an open connection, is the same as long as it is the same
object. Taking a snapshot costs as much as printing the arguments; it is taken only where a person is asked.
A value nested too deeply for that raises `RecursionError`, and the call is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, cast

__all__ = ["snapshot"]

_SCALARS: Final = (str, bytes, int, float, complex, bool, type(None))
_COLLECTIONS: Final = (list, tuple, set, frozenset, dict)
_CODE: Final = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType)


def snapshot(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """
    What *arguments* hold now; equal to an earlier one if nothing changed.

    The receiver of a method, `self` or `cls`, is whose tool it is and not what it is asked to do: of that only
    what is printed counts, so that an object may go on with its work meanwhile.
    """
    first = next(iter(arguments), "")
    return {
        name: (id(value), repr(value)) if name == first and name in {"self", "cls"} else _of(value, {})
        for name, value in arguments.items()
    }


def _of(value: object, seen: dict[int, int]) -> tuple[Any, ...]:
    kind: type[object] = type(value)
    if kind in _SCALARS:
        return (repr(value),)  # `1` equals `True`, and NaN not itself
    if id(value) in seen or issubclass(kind, _CODE):
        return kind, seen.get(id(value), id(value))
    seen[id(value)] = len(seen)
    parts = [_of(part, seen) for part in _parts(value)]
    if kind in _COLLECTIONS:
        return kind, parts
    return kind, id(value), repr(value), _content(value), parts


def _parts(value: object) -> Iterator[object]:
    """What *value* is made of: elements and attributes, each attribute after its name."""
    kind: type[object] = type(value)
    if issubclass(kind, dict):
        yield from chain.from_iterable(cast("dict[Any, Any]", value).items())
    elif issubclass(kind, _COLLECTIONS):
        yield from cast("tuple[Any, ...]", value)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        yield from chain.from_iterable(cast("dict[str, Any]", attributes).items())
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else cast("tuple[str, ...]", tuple(names)):
            if name not in {"__dict__", "__weakref__"}:
                yield name
                yield getattr(value, _mangled(name, base), None)


def _mangled(name: str, owner: type) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.__name__.lstrip('_')}{name}" if private else name


def _content(value: object) -> bytes:
    """The bytes of what has them: an array prints only some of its elements."""
    try:
        return memoryview(cast("bytes", value)).tobytes()
    except (TypeError, ValueError, BufferError):
        return b""
