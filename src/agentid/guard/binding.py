"""
WHAT: from the arguments of a call to the actions and resources it is about.

A tool declares templates, `read:crm/customers/{customer_id}`, read once when it is decorated. At a call
each placeholder is filled with the argument of that name, however it was passed.

Rules:

- A value becomes exactly one segment, literally, or the call is refused. It is never escaped into more.
- `{name:path}` takes several segments, normalised first and checked then. It never climbs out: `..` beyond
  the start, and an absolute path where a relative one is wanted, are refused.
- A list, tuple or set binds one resource for each element; None or empty binds none.
- Text, whole numbers, UUIDs, enumerations, dates and paths convert; anything else is refused, because
  nobody can say which resource a float or an object names.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, time
from enum import Enum
from itertools import product
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

from agentid.errors import ConfigurationError, nearest, quote
from agentid.permission import Action, parse_action
from agentid.record import Access
from agentid.resource import MAX_LENGTH, Resource, literal_segment, names_scheme

__all__ = ["Computed", "Requirement", "Template", "Unbindable"]

MAX_RESOURCES: Final = 10_000
"""The most resources that one call may name."""

_MAX_TEXT: Final = 256 * 1024
"""The most characters that they may have together, so that no call keeps its guard busy."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FIELD = re.compile(r"([^\W\d]\w*)((?:\.[^\W\d_]\w*)*)(:path)?")
_COLLECTIONS: Final = (list, tuple, set, frozenset)
_DRIVE = re.compile("[A-Za-z]:")  # `C:` begins again at a root, wherever it stands on Windows
_MAX_INT: Final = 10**40


class Unbindable(Exception):  # noqa: N818 -- never leaves the guard: it becomes a refusal
    """The arguments name no resource; the text says why, without any argument's value."""


class _Field:
    """One placeholder: a parameter, perhaps an attribute of it."""

    __slots__ = ("attributes", "name", "path", "text")

    def __init__(self, text: str, template: str) -> None:
        found = _FIELD.fullmatch(text)
        if found is None:
            raise ConfigurationError(
                f"bad placeholder {quote('{' + text + '}')} in {quote(template)}",
                why="it names a parameter, perhaps with attributes, perhaps as a path",
                fix="Write `{name}`, `{name.attribute}` or `{name:path}`; a function can compute what these cannot",
            )
        self.text = text
        self.name = found[1]
        self.attributes = tuple(found[2].split("."))[1:]
        self.path = found[3] is not None

    def value(self, arguments: Mapping[str, Any]) -> Any:
        if self.name not in arguments:
            raise Unbindable(f"the call has no argument `{self.name}`")
        value = arguments[self.name]
        for attribute in self.attributes:
            value = getattr(value, attribute)
        return value

    def texts(self, arguments: Mapping[str, Any]) -> list[str]:
        """The texts of the value: one, or one for each element, or none."""
        value = self.value(arguments)
        if value is None:
            return []
        # Exactly these: a subclass may show other elements here than to the tool.
        if type(value) in _COLLECTIONS:
            elements = cast("Collection[Any]", value)
            if len(elements) > MAX_RESOURCES:
                raise Unbindable(f"`{self.text}` holds more than {MAX_RESOURCES} elements")
            return [_text(element, self.text) for element in elements]
        return [_text(value, self.text)]


Pieces = tuple[str | _Field, ...]


class Template:
    """
    A requirement written as text with placeholders.

    Args:
        text: `action:resource`, the resource with `{name}`, `{name.attribute}` or `{name:path}` in it.

    Raises:
        ConfigurationError: It is no such text, or holds a wildcard: a call is about one thing.
    """

    __slots__ = ("_fields", "_head", "_segments", "action", "text")

    def __init__(self, text: str) -> None:
        action, colon, resource = text.partition(":")
        if not colon:
            raise ConfigurationError(
                f"not a requirement: {quote(text)}",
                why="the action is missing",
                fix='Write it as "action:resource", such as "read:crm/customers/{customer_id}"',
            )
        self.text = text
        self.action: Action = parse_action(action)
        fields = {name: _Field(name, text) for name in _PLACEHOLDER.findall(resource)}
        # With every placeholder filled in, the rest must be an ordinary resource: this checks all of it.
        sample = Resource.parse(_PLACEHOLDER.sub("x", resource))
        head, tail = _cut(resource)
        if "{" in head:
            raise ConfigurationError(
                f"bad requirement {quote(text)}",
                why="a placeholder stands for a segment, never for a scheme or host",
                fix="Let a function compute the resource: requires(lambda url: …)",
            )
        self._fields = tuple(fields.values())
        self._head = sample.key[:3]
        self._segments: tuple[Pieces, ...] = tuple(_pieces(part, fields, text) for part in tail)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters it names."""
        return tuple(dict.fromkeys(field.name for field in self._fields))

    @property
    def is_plain(self) -> bool:
        """Whether the values of these parameters are all that it depends on."""
        # Where a link leads to may change between two calls with the same value.
        return not any(field.attributes or field.path or self._names_files for field in self._fields)

    def bind(self, arguments: Mapping[str, Any]) -> list[Access]:
        """
        Fill in the arguments.

        Raises:
            Unbindable: A value cannot stand in a resource.
        """
        choices = [field.texts(arguments) for field in self._fields]
        count = 1
        for texts in choices:
            count *= len(texts)
        if count > MAX_RESOURCES:
            raise Unbindable(f"it names more than {MAX_RESOURCES} resources")
        if count > 1 and sum(count // len(texts) * sum(map(len, texts)) for texts in choices) > _MAX_TEXT:
            raise Unbindable(f"the resources that it names have more than {_MAX_TEXT} characters together")
        return [self._fill(texts) for texts in product(*choices)]

    def _fill(self, texts: tuple[str, ...]) -> Access:
        values = {field.text: text for field, text in zip(self._fields, texts, strict=True)}
        segments: list[str] = []
        for pieces in self._segments:
            first = pieces[0]
            if isinstance(first, _Field) and first.path:
                segments.extend(_path(values[first.text], first.text, absolute=self._names_files and not segments))
                continue
            filled = [_segment(values[p.text], p.text) if isinstance(p, _Field) else p for p in pieces]
            segments.append(filled[0] if len(filled) == 1 else _segment("".join(filled), self.text))
        if self._names_files and self._fields:
            segments = self._opened(values)
        if not self._head[0] and names_scheme(segments[0]):
            raise Unbindable("the resource begins like a URI, and a short path is wanted")
        key = (*self._head, *segments)
        if sum(map(len, key)) + len(key) > MAX_LENGTH:
            raise Unbindable(f"the resource would be longer than {MAX_LENGTH} characters")
        return Access(self.action, Resource(key))

    @property
    def _names_files(self) -> bool:
        return self._head == ("file", "", "")

    def _opened(self, values: Mapping[str, str]) -> list[str]:
        """What the operating system would open: behind a link, `..` is somewhere else than the text says."""
        written = ["".join(values[p.text] if isinstance(p, _Field) else p for p in ps) for ps in self._segments]
        # A path that stands alone in its place is one of the current folder, unless it begins at the root.
        path = "/".join(written) if _is_path(self._segments[0][0]) else "/" + "/".join(written)
        path = os.path.realpath(path)
        if os.sep == "\\":
            path = path.replace("\\", "/")
        segments = [_segment(part, self.text) for part in path.split("/") if part]
        if not segments:
            raise Unbindable(f"`{self.text}` names the root of all files")
        return segments


Result = str | Access | tuple[str, str | Resource]


class Computed:
    """
    A requirement that a function computes from the arguments.

    Args:
        function: Takes any of the tool's parameters by name; returns `"action:resource"`, a pair of both, or
            a list of such. The resource is literal: no wildcards, no placeholders.
    """

    __slots__ = ("_function", "names")

    def __init__(self, function: Callable[..., Any], names: tuple[str, ...]) -> None:
        self._function = function
        self.names = names

    @property
    def text(self) -> str:
        """What to show where a template would show its text."""
        return f"computed by {getattr(self._function, '__name__', 'a function')}"

    def bind(self, arguments: Mapping[str, Any]) -> list[Access]:
        """
        Call the function.

        Raises:
            Unbindable: It returned something else than resources.
        """
        result = self._function(**{name: arguments[name] for name in self.names})
        if result is None:
            return []
        single = isinstance(result, str | Access) or (
            isinstance(result, tuple) and len(cast("tuple[Any, ...]", result)) == 2 and result[0] is not None
            and isinstance(result[0], str) and ":" not in result[0]
        )  # fmt: skip
        if single:
            return [_computed(result)]
        if not isinstance(result, list | tuple | set | frozenset):
            raise Unbindable(f"the requirement {self.text} returned neither text nor a list")
        return [_computed(item) for item in cast("Iterable[Any]", result)]


Requirement = Template | Computed


def _computed(item: Any) -> Access:
    try:
        if isinstance(item, str):
            action, _, resource = item.partition(":")
        else:
            action, resource = item
        return Access(parse_action(action), resource if isinstance(resource, Resource) else Resource.parse(resource))
    except (ConfigurationError, TypeError, ValueError):
        raise Unbindable("a computed requirement is not `action:resource`") from None


def check_names(names: Iterable[str], known: Collection[str], *, what: str, tool: str) -> None:
    """
    Check that each of *names* is a parameter.

    Raises:
        ConfigurationError: One is not; the message names the nearest.
    """
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"{what} {quote(name)} of tool {quote(tool)} is not one of its parameters",
                fix=nearest(name, known) or "The tool takes no parameters",
            )


def _cut(resource: str) -> tuple[str, list[str]]:
    """Cut a template into scheme with host, and written segments."""
    head, separator, tail = resource.partition("://")
    if not separator or "/" in head:
        return "", resource.split("/")
    authority, slash, path = tail.partition("/")
    return f"{head}://{authority}", path.split("/") if slash else []


def _pieces(written: str, fields: Mapping[str, _Field], template: str) -> Pieces:
    """Cut one written segment into literal text and placeholders."""
    cut = _PLACEHOLDER.split(written)
    # `split` with one group gives text, field, text, field, …, text.
    pieces: list[str | _Field] = []
    for position, part in enumerate(cut):
        if position % 2:
            pieces.append(fields[part])
        elif part:
            # Alone it may begin or end with a space or be a dot; whole segments were checked by the sample.
            pieces.append(Resource.parse(part).segments[0] if len(cut) == 1 else _inner(part, template))
    if len(pieces) > 1 and any(isinstance(piece, _Field) and piece.path for piece in pieces):
        raise ConfigurationError(
            f"bad requirement {quote(template)}", why="`{…:path}` takes whole segments, so it stands alone in its place"
        )
    return tuple(pieces)


def _inner(part: str, template: str) -> str:
    decoded = Resource.parse(f"x{part}x").segments[0]
    if not decoded:
        raise ConfigurationError(f"bad requirement {quote(template)}")
    return decoded[1:-1]


def _text(value: object, field: str) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        # Not `str(value)`: a subclass may print as something else than it is.
        text = str.__str__(value)
    elif type(value) is int:
        if abs(value) >= _MAX_INT:
            raise Unbindable(f"the number in `{field}` is too long for a name")
        text = str(value)
    elif isinstance(value, date | time):
        text = value.isoformat()
    elif isinstance(value, UUID):
        text = str(value)
    elif isinstance(value, PurePath):
        text = value.as_posix()
    else:
        raise Unbindable(f"`{field}` is a {type(value).__name__}, and no resource can be named by that")
    if len(text) > MAX_LENGTH:
        raise Unbindable(f"`{field}` is longer than {MAX_LENGTH} characters")
    return text


def _is_path(piece: str | _Field) -> bool:
    return isinstance(piece, _Field) and piece.path


def _segment(text: str, field: str) -> str:
    try:
        return literal_segment(text)
    except ConfigurationError as error:
        raise Unbindable(f"`{field}` cannot be a name: {error.why}") from None


def _path(text: str, field: str, *, absolute: bool) -> list[str]:
    if absolute:
        if not text.strip("/"):
            raise Unbindable(f"`{field}` names nothing")
        # Checked as text here; which file that is, is found out for the whole of it.
        return [_segment(part, field) for part in text.split("/") if part not in {"", ".", ".."}]
    if text.startswith("/") or _DRIVE.match(text):
        raise Unbindable(f"`{field}` is an absolute path, and a relative one is wanted")
    segments: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if not segments:
                raise Unbindable(f"`{field}` climbs out with `..`")
            segments.pop()
        elif part not in {"", "."}:
            segments.append(_segment(part, field))
    if not segments:
        raise Unbindable(f"`{field}` names nothing")
    return segments
