"""
The protocol of Redis (RESP), as far as a client sends it: commands to bytes, and back.

What is decided about is what goes over the wire. An argument that is another one each time it is looked at, or that is
changed meanwhile, is decided about as it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from agentid.errors import ConfigurationError

__all__ = ["command_of", "joined", "packed", "unpacked"]

_END: Final = b"\r\n"
_DIGITS: Final = 10


def command_of(arguments: Sequence[Any], encode: Callable[[Any], Any]) -> tuple[bytes, ...]:
    """Give a command as the library will send it: the words of its name are sent one by one."""
    name = arguments[0]
    words = name.encode().split() if isinstance(name, str) else name.split() if b" " in name else [name]
    return tuple([bytes(part) for part in (*words, *map(encode, arguments[1:]))])


def packed(command: Sequence[bytes]) -> bytes:
    """Give the bytes in which *command* goes over the wire."""
    return b"".join([b"*%d\r\n" % len(command), *[b"$%d\r\n%b\r\n" % (len(part), part) for part in command]])


def joined(command: Any) -> bytes:
    """Give what a connection was asked to send, as bytes that nobody can change any more."""
    if isinstance(command, str):
        return command.encode()
    if isinstance(command, bytes | bytearray):
        return bytes(command)
    chunks: Iterable[Any] = command
    return b"".join([chunk.encode() if isinstance(chunk, str) else bytes(chunk) for chunk in chunks])


def unpacked(data: bytes) -> list[tuple[bytes, ...]]:
    """
    Read back the commands in *data*.

    Raises:
        ConfigurationError: It is anything else than whole commands in the form that clients send.
    """
    found: list[tuple[bytes, ...]] = []
    at = 0
    while at < len(data):
        count, at = _number(data, at, b"*")
        parts: list[bytes] = []
        for _ in range(count):
            size, at = _number(data, at, b"$")
            end = at + size
            if data[end : end + 2] != _END:
                raise _odd()
            parts.append(data[at:end])
            at = end + 2
        found.append(tuple(parts))
    if not found:
        raise _odd()
    return found


def _number(data: bytes, at: int, mark: bytes) -> tuple[int, int]:
    end = data.find(_END, at, at + _DIGITS + 3)
    digits = data[at + 1 : end]
    # A command of nothing is ignored by a server. What it makes of other oddities is not guessed.
    if end < 0 or data[at : at + 1] != mark or not digits.isdigit() or (mark == b"*" and int(digits) < 1):
        raise _odd()
    return int(digits), end + 2


def _odd() -> ConfigurationError:
    return ConfigurationError("not commands of Redis", why="what would be sent is not whole commands of Redis")
