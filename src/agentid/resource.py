"""
What is touched: `Resource`, and sets of them: `ResourcePattern`.

A resource is a short path (`crm/customers/42`) or a URI (`postgres://db.acme:5432/crm/public/orders`).
Both are parsed once into a *key*, the tuple `(scheme, host, port, segment, …)`, and only keys are
compared, element by element. Nothing here compares prefixes of text, so `/data` never means
`/database`, and no encoding of a character means another place.

Rules:

- Scheme and host are lower-cased; the schemes of the web lose their default port; an IP address has one spelling.
- Segments follow the rules of `segment`: decoded once, in NFC, and nothing in them that could be another path.
- Refused, not repaired: empty segments, user info, queries, fragments, and hosts in an odd spelling.
- In a pattern `*` is one whole segment, one `*` inside a segment matches within it, and a final `**` is
  any remainder of one or more segments. A resource never holds a wildcard.
- The host of a pattern may hold one `*`, its port none. In the host of a web address it stands for all, or
  left of a dot (`*.acme.example`): elsewhere it would match domains that anybody can register.

This module does no I/O and knows nothing of actions; those are in `permission`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentid.errors import ConfigurationError, quote
from agentid.segment import MAX_LENGTH, Part, Wild, encode, literal_segment, plain_text, read_literal, read_part

__all__ = ["MAX_LENGTH", "Frozen", "Key", "Part", "Resource", "ResourcePattern", "Wild", "literal_segment", "text_of"]

_MAX_TEXT: Final = 3 * MAX_LENGTH  # each character takes at most three to write: `%25`

_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}")
_AUTHORITY = re.compile(r"([a-z0-9_*.-]*|\[[0-9a-f:]{2,39}\])(?::([1-9][0-9]{0,4}))?")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_DEFAULT_PORT: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}

Key = tuple[str, ...]
"""`(scheme, host, port, segment, …)`; the first three are empty for a short path."""


class Frozen:
    """Base of values that do not change."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} does not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} does not change")


class Resource(Frozen):
    """
    One thing that is touched. Immutable, hashable, equal by meaning rather than by spelling.

    `str(resource)` is its canonical text, and `Resource.parse(str(r)) == r` for each.
    """

    __slots__ = ("key",)

    key: Key

    def __init__(self, key: Key) -> None:
        """Wrap a *key* whose parts were checked already; everybody else calls `parse` or `of`."""
        object.__setattr__(self, "key", key)

    @classmethod
    def parse(cls, text: str) -> Resource:
        """
        Read a resource from text.

        Raises:
            ConfigurationError: The text names no single resource.
        """
        text = plain_text(text, "resource")
        scheme, authority, raw = _split(text, "resource")
        host, port = _host(scheme, authority, text, "resource")
        key = (scheme, host, port, *[read_literal(part, text, "resource") for part in raw])
        _check_key(key, text)
        return cls(key)

    @classmethod
    def of(cls, scheme: str, authority: str, *segments: str) -> Resource:
        """
        Put a resource together from parts that are taken literally, each segment checked.

        Raises:
            ConfigurationError: A part is odd: empty, too long, or with a separator inside.
        """
        scheme, authority = plain_text(scheme, "scheme"), plain_text(authority, "host")
        if scheme and not _SCHEME.fullmatch(scheme):
            raise _refuse("resource", scheme, "the scheme is not a lower-case word")
        if authority and not scheme:
            raise _refuse("resource", authority, "a host needs a scheme")
        if not authority and not segments:
            raise _refuse("resource", scheme, "it has neither a host nor a segment")
        host, port = _host(scheme, authority, authority, "resource")
        key = (scheme, host, port, *[literal_segment(part) for part in segments])
        _check_key(key, "")
        return cls(key)

    @property
    def scheme(self) -> str:
        """The scheme in lower case; empty for a short path."""
        return self.key[0]

    @property
    def authority(self) -> str:
        """Host and port in lower case; empty for a short path."""
        return f"{self.key[1]}:{self.key[2]}" if self.key[2] else self.key[1]

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded segments."""
        return self.key[3:]

    def __str__(self) -> str:
        return text_of(self.key)

    def __repr__(self) -> str:
        return f"Resource({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[type[Resource], tuple[Key]]:
        return Resource, (self.key,)


class ResourcePattern(Frozen):
    """
    A set of resources, written with `*` and a final `**`. Immutable, hashable.

    `covers` is set inclusion, and decides it exactly for every pair of patterns.
    """

    __slots__ = ("parts", "rest")

    parts: tuple[Part, ...]
    rest: bool

    def __init__(self, parts: tuple[Part, ...], *, rest: bool) -> None:
        """Wrap checked *parts* `(scheme, host, port, segment, …)`; everybody else calls `parse`."""
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "rest", rest)

    @classmethod
    def parse(cls, text: str) -> ResourcePattern:
        """
        Read a pattern from text.

        Raises:
            ConfigurationError: The text is no pattern; wildcards other than `*` and a final `**` do not exist.
        """
        noun = "resource pattern"
        text = plain_text(text, noun)
        scheme, authority, raw = _split(text, noun)
        host, port = _host(scheme, authority, text, noun)
        rest = bool(raw) and raw[-1] == "**"
        if rest:
            raw = raw[:-1]
        first = read_part(host, text, noun) if "*" in host else host
        parts = (scheme, first, port, *[read_part(part, text, noun) for part in raw])
        _check_length(parts, text, noun)
        _check_start(scheme, parts[3:], text, noun)
        return cls(parts, rest=rest)

    @classmethod
    def exactly(cls, resource: Resource) -> ResourcePattern:
        """The pattern that matches *resource* and nothing else."""
        return cls(resource.key, rest=False)

    @property
    def is_literal(self) -> bool:
        """Whether it matches exactly one resource."""
        return not self.rest and all(isinstance(part, str) for part in self.parts)

    def matches(self, resource: Resource) -> bool:
        """Whether *resource* is in the set."""
        return self.matches_key(resource.key)

    def matches_key(self, key: Key) -> bool:
        """Whether the resource with this key is in the set."""
        parts = self.parts
        if len(key) <= len(parts) if self.rest else len(key) != len(parts):
            return False
        for part, text in zip(parts, key, strict=False):
            if part != text if isinstance(part, str) else not part.matches(text):
                return False
        return True

    def covers(self, other: ResourcePattern) -> bool:
        """Whether every resource that *other* matches is matched by this one too."""
        mine, theirs = self.parts, other.parts
        if self.rest:
            if len(theirs) < len(mine) + (0 if other.rest else 1):
                return False
        elif other.rest or len(theirs) != len(mine):
            return False
        return all(_part_covers(a, b) for a, b in zip(mine, theirs, strict=False))

    def __str__(self) -> str:
        return text_of(self.parts, rest=self.rest)

    def __repr__(self) -> str:
        return f"ResourcePattern({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourcePattern) and self.parts == other.parts and self.rest == other.rest

    def __hash__(self) -> int:
        return hash((self.parts, self.rest))

    def __reduce__(self) -> tuple[object, ...]:
        return _pattern, (self.parts, self.rest)


def _pattern(parts: tuple[Part, ...], rest: bool) -> ResourcePattern:  # noqa: FBT001 -- positional for pickle
    return ResourcePattern(parts, rest=rest)


def _part_covers(a: Part, b: Part) -> bool:
    if isinstance(a, str):
        return a == b
    if isinstance(b, str):
        return a.matches(b)
    return b.prefix.startswith(a.prefix) and b.suffix.endswith(a.suffix)


def text_of(parts: tuple[Part, ...], *, rest: bool = False) -> str:
    """Write a key, or the parts of a pattern, as text that parses back to the same."""
    scheme, host, port, *segments = parts
    written = [str(part) if isinstance(part, Wild) else encode(part) for part in segments]
    if rest:
        written.append("**")
    path = "/".join(written)
    if not scheme:
        return path
    path = path.replace("?", "%3F").replace("#", "%23")
    authority = f"{host}:{port}" if port else str(host)
    return f"{scheme}://{authority}/{path}" if written else f"{scheme}://{authority}"


# --- reading --------------------------------------------------------------------------------------


_LIKE_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def names_scheme(segment: str) -> bool:
    """
    Whether *segment*, at the start of a short path, would be a scheme to others: `file:/etc/passwd` is a URL.

    Such a path is refused. A permission on short paths must not reach files and hosts by a missing slash.
    """
    return _LIKE_SCHEME.match(segment) is not None


def _check_start(scheme: str, parts: Sequence[Part], whole: str, noun: str) -> None:
    first = "" if scheme or not parts else parts[0]
    if names_scheme(first if isinstance(first, str) else first.prefix):
        raise _refuse(noun, whole, "it begins like a URI: write `://`, or no colon in the first segment")


def _split(text: str, noun: str) -> tuple[str, str, list[str]]:
    """Cut text into scheme, authority and raw segments."""
    if len(text) > _MAX_TEXT:
        raise _refuse(noun, text, f"it is longer than {MAX_LENGTH} characters")
    if not text:
        raise _refuse(noun, text, "it is empty")
    if "{" in text or "}" in text:
        raise _refuse(noun, text, "templates such as `{name}` belong into `requires`")
    head, separator, tail = text.partition("://")
    if not separator or "/" in head:
        return "", "", text.split("/")
    scheme = _lower(head)
    if not _SCHEME.fullmatch(scheme):
        raise _refuse(noun, text, "the scheme is not a word")
    if "?" in tail or "#" in tail:
        raise _refuse(noun, text, "queries and fragments are not part of a resource; write `%3F` or `%23` in a name")
    authority, slash, path = tail.partition("/")
    if "@" in authority:
        raise _refuse(noun, text, "user names and passwords are not part of a resource")
    if not authority and not slash:
        raise _refuse(noun, text, "nothing follows the scheme")
    return scheme, authority, path.split("/") if slash else []


def _lower(text: str) -> str:
    # Not `text.lower()`: that makes an ASCII `k` of the Kelvin sign.
    return text.lower() if text.isascii() else text


def _host(scheme: str, authority: str, whole: str, noun: str) -> tuple[str, str]:
    """Cut an authority into host and port, both in their one spelling."""
    if not authority:
        if scheme in _DEFAULT_PORT:
            raise _refuse(noun, whole, "the host is missing")
        return "", ""
    found = _AUTHORITY.fullmatch(_lower(authority))
    if not found or int(found[2] or 0) > 0xFFFF:
        raise _refuse(noun, whole, "it has no plain host name or address, with a port from 1 to 65535")
    host, port = found[1], found[2] or ""
    if host[:1] == "[":
        host = _ipv6(host, whole, noun)
    else:
        _check_host(scheme, host, whole, noun)
    return host, "" if port == _DEFAULT_PORT.get(scheme) else port


def _check_host(scheme: str, host: str, whole: str, noun: str) -> None:
    # The star of a pattern stands for some part of a name, so the name must be one with a digit in its place.
    name = host.replace("*", "0", 1) if noun == "resource pattern" else host
    if not _NAME.fullmatch(name) or ".." in name:
        raise _refuse(noun, whole, "it has no plain host name or address, with a port from 1 to 65535")
    if scheme not in _DEFAULT_PORT or host == "*":
        return
    # `*acme.example` would match evilacme.example, and `acme.*` whatever anybody registers.
    if name != host and not host.partition("*")[2].startswith("."):
        raise _refuse(noun, whole, "a `*` in a host stands left of a dot, else it would match domains of others")
    if _NUMERIC.fullmatch(name) and not _IPV4.fullmatch(name):
        raise _refuse(noun, whole, "the host is an IPv4 address in an odd spelling")


def _ipv6(host: str, whole: str, noun: str) -> str:
    from ipaddress import IPv6Address

    try:
        address = IPv6Address(host[1:-1])
    except ValueError:
        raise _refuse(noun, whole, "the host is no IPv6 address") from None
    if address.ipv4_mapped:
        raise _refuse(noun, whole, "the host is an IPv4 address in an odd spelling")
    return f"[{address.compressed}]"


def _check_key(key: Key, whole: str) -> None:
    """Check the whole of a resource; without the text that it was read from, as its parts are."""
    # This is done for each table, key and file that is touched, and for nearly all of them there is nothing to say.
    if len("".join(key)) + len(key) > MAX_LENGTH:
        _check_length(key, whole or "/".join(key), "resource")
    if not key[0]:
        _check_start("", key[3:], whole or "/".join(key[3:]), "resource")


def _check_length(parts: Sequence[Part], whole: str, noun: str) -> None:
    length = sum(len(part) if isinstance(part, str) else len(part.prefix) + len(part.suffix) + 1 for part in parts)
    if length + len(parts) > MAX_LENGTH:
        raise _refuse(noun, whole, f"it is longer than {MAX_LENGTH} characters")


def _refuse(noun: str, text: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"not a {noun}: {quote(text)}", why=why)
