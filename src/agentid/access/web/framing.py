"""
Where one HTTP/1 request begins and ends in the bytes that are sent: its head, and how much may follow it.

Text in a head or a body may be somebody else's, and bytes after the end of a request are another one to its server. So
nothing is sent here that two readers could cut in different places:

- a head comes in one piece, with names that are words, and each line ends with CR LF;
- it names at most one length, and exactly that much follows: neither chunk extensions nor trailers;
- once the server agreed to change the protocol, anything may follow, which is why asking for that is `execute`.

This module does no I/O and decides nothing.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agentid.errors import ConfigurationError

__all__ = ["Framing", "Head", "read_head"]

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,15}")
_END_OF_LINE: Final = b"\r\n"


class Head(NamedTuple):
    """
    The head of a request.

    Attributes:
        method: As it is sent.
        target: As it is sent: a path, or an address for a proxy.
        headers: Names and values, in their order.
        is_old: Whether it is HTTP/1.0.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    is_old: bool


def read_head(data: bytes) -> tuple[Head, bytes]:
    """
    Cut the head off what is sent first, and give what follows it.

    Raises:
        ConfigurationError: It is no head, or one that could be read in two ways.
    """
    text, end, rest = data.partition(b"\r\n\r\n")
    first, *lines = text.split(_END_OF_LINE)
    found = _LINE.fullmatch(first)
    if not end or not found:
        raise _odd("what is sent does not begin with the whole head of a request")
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"} and fields and b"\r" not in line and b"\n" not in line:
            # A value that goes on. Some servers read it so, others do not, and the names that matter are few.
            name, value = fields.pop()
            fields.append((name, f"{value} {line.strip().decode('latin-1')}"))
            continue
        field = _FIELD.fullmatch(line)
        if not field:
            raise _odd("a line of its head is no header")
        fields.append((field[1].decode("latin-1"), field[2].rstrip().decode("latin-1")))
    method, target = found[1].decode("latin-1"), found[2].decode("latin-1")
    return Head(method, target, tuple(fields), first.endswith(b"0")), rest


class Framing:
    """
    The bytes that follow a head.

    Args:
        head: Says how many there are.

    Attributes:
        is_anything: Whether they may be anything: the server changed the protocol.

    Raises:
        ConfigurationError: It says so in a way that could be read in two ways.
    """

    __slots__ = ("_chunked", "_left", "_line", "_state", "is_anything")

    def __init__(self, head: Head) -> None:
        named = {name.lower(): value for name, value in head.headers}
        length, coding = named.get("content-length"), named.get("transfer-encoding")
        self.is_anything = False
        self._chunked = coding is not None
        self._left, self._line, self._state = 0, b"", "size"
        if coding is not None and (coding.lower() != "chunked" or head.is_old):
            raise _odd("its body is coded in an unknown way")
        if length is not None:
            if not (length.isascii() and length.isdigit() and len(length) < 19):
                raise _odd("the length of its body is no number")
            self._left = int(length)

    @property
    def is_over(self) -> bool:
        """Whether the next byte belongs to another request."""
        if self.is_anything:
            return False
        return self._state == "over" if self._chunked else not self._left

    def take(self, data: bytes) -> None:
        """
        Follow what is about to be sent.

        Raises:
            ConfigurationError: It goes beyond the end of the request, or is no chunk.
        """
        if self.is_anything:
            return
        if self._chunked:
            while data:
                data = self._take_chunk(data)
            return
        if len(data) > self._left:
            raise _odd("more follows its head than the head says")
        self._left -= len(data)

    def _take_chunk(self, data: bytes) -> bytes:
        if self._state == "over":
            raise _odd("more follows its last chunk")
        if self._state == "data":
            taken = min(self._left, len(data))
            self._left -= taken
            self._state = "data" if self._left else "end of data"
            return data[taken:]
        # Everything else is a line: the size of a chunk, the empty one after it, and the empty one at the end.
        wanted = data.find(b"\n") + 1 or len(data)
        self._line += data[:wanted]
        if not self._line.endswith(b"\n"):
            if len(self._line) > 32:
                raise _odd("a chunk of its body has no size")
            return b""
        line, self._line = self._line, b""
        self._end_line(line)
        return data[wanted:]

    def _end_line(self, line: bytes) -> None:
        if self._state != "size":
            if line != _END_OF_LINE:
                raise _odd("a chunk of its body is not as long as it says, or has trailers")
            self._state = "size" if self._state == "end of data" else "over"
            return
        if not line.endswith(_END_OF_LINE) or not _CHUNK.fullmatch(line[:-2]):
            raise _odd("a chunk of its body has no plain size")
        self._left = int(line[:-2], 16)
        self._state = "data" if self._left else "last"


def _odd(why: str) -> ConfigurationError:
    return ConfigurationError("a request cannot be understood", why=why)
