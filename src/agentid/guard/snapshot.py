"""
What arguments hold, to be compared later: did they change since?

Whoever calls keeps what it passed, and may change it: while a person is asked, the call would become another
one. `repr` alone would not show it: most objects print no more than their address.

Two snapshots of a value are equal if its type, its printed form, its elements, its attributes, its bytes and
what it would be copied as are the same. What shows nothing of itself, such as an open connection, is the same
as long as it is the same object. Taking a snapshot costs more than printing the arguments; it is taken only
where a person is asked. A value nested too deeply for that raises `RecursionError`, and the call is refused.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import chain
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final, cast

__all__ = ["snapshot"]

_SCALARS: Final = (str, bytes, int, float, complex, bool, type(None))
_COLLECTIONS: Final = (list, tuple, set, frozenset, dict)
_VIEWS: Final = (KeysView, ValuesView, ItemsView)
_CODE: Final = (type, ModuleType, CodeType, BuiltinFunctionType)


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


def _of(value: object, seen: dict[int, tuple[int, object]], *, is_copy: bool = False) -> tuple[Any, ...]:
    """
    What one value holds.

    Args:
        value: Anything.
        seen: What was looked at before, by id: the order, and the value itself, so that no id comes again.
        is_copy: Whether it may have been made for this look, so that it is another object each time.
    """
    kind: type[object] = type(value)
    if kind in _SCALARS:
        return (repr(value),)  # `1` equals `True`, and NaN not itself
    if issubclass(kind, PurePath):
        return kind, str(value)  # it never changes, and keeps more and more of what was asked of it
    if issubclass(kind, _CODE):
        return kind, id(value)
    if id(value) in seen:
        return kind, seen[id(value)][0]
    seen[id(value)] = len(seen), value
    shown = "" if kind in _COLLECTIONS else repr(value)  # first: some objects remember what they printed
    parts = [_of(part, seen, is_copy=is_copy) for part in _parts(value)]
    if kind in _COLLECTIONS:
        return kind, parts
    # After the attributes: some objects get a `__dict__` only when somebody looks at it, and copy that, too.
    copied = [_of(part, seen, is_copy=True) for part in _reduced(value)]
    if is_copy:
        shown = "" if cast("Any", kind).__repr__ is object.__repr__ else shown
        return kind, shown, _content(value), parts, copied
    return kind, id(value), shown, _content(value), parts, copied


def _parts(value: object) -> Iterator[object]:
    """What *value* is made of: what it would be copied or pickled as, its elements and its attributes."""
    kind: type[object] = type(value)
    if issubclass(kind, _VIEWS):
        yield from cast("Iterable[object]", value)
    if issubclass(kind, Mapping):
        yield from chain.from_iterable(cast("Mapping[Any, Any]", value).items())
    elif issubclass(kind, _COLLECTIONS):
        yield from cast("Iterable[object]", value)
    elif issubclass(kind, FunctionType):
        function = cast("FunctionType", value)
        yield from (function.__defaults__, function.__kwdefaults__)
        yield from map(_cell, function.__closure__ or ())
    elif issubclass(kind, MethodType):
        yield from (cast("MethodType", value).__self__, cast("MethodType", value).__func__)
    if kind in _COLLECTIONS:
        return
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        yield from chain.from_iterable(cast("dict[str, Any]", attributes).items())
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else cast("tuple[str, ...]", tuple(names)):
            if name not in {"__dict__", "__weakref__"}:
                yield name
                yield getattr(value, _mangled(name, base), None)


def _reduced(value: object) -> Iterator[object]:
    """What *value* would be copied as, if it can be: this shows what is written in C, too, such as a buffer."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 -- it cannot be copied, as an open connection cannot
        return
    if isinstance(reduced, tuple):
        _make, *parts = reduced
        for part in parts:
            # Elements come as iterators of their own.
            yield list(cast("Iterable[object]", part)) if isinstance(part, Iterator) else part


def _cell(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _mangled(name: str, owner: type) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.__name__.lstrip('_')}{name}" if private else name


def _content(value: object) -> bytes:
    """The bytes of what has them: an array prints only some of its elements."""
    try:
        return memoryview(cast("bytes", value)).tobytes()
    except (TypeError, ValueError, BufferError):
        return b""
