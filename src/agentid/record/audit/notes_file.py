"""
A file of signed notes, one after the other, each followed by an empty line.

The last may be torn, when whoever wrote it was killed: then it is the beginning of a note, and nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from agentid.record.audit.chain_files import open_file

__all__ = ["Remainder", "is_torn_checkpoint", "read_notes"]

MAX_NOTE: Final = 64 * 1024

_DASH: Final = "\u2014".encode()
_SIZE: Final = r"[0-9]{1,18}"
_HASH: Final = r"[A-Za-z0-9+/]{43}="
_SIGNATURE: Final = r"[A-Za-z0-9+/]{0,91}=?"


class Remainder(NamedTuple):
    """
    What is left where the next note should be: torn or malformed.

    Attributes:
        data: The bytes, or the first of them.
        is_last: Whether they go on to the end of the file, as those of a torn note do.
    """

    data: bytes
    is_last: bool


def read_notes(path: Path, size: int | None = None, *, may_be_pipe: bool = False) -> Iterator[str | Remainder]:
    """
    Read notes one by one, and whatever is left behind the last whole one.

    Args:
        path: The file.
        size: Look at so many bytes only.
        may_be_pipe: Read it even if it is no file of bytes, and may keep its reader waiting.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") if may_be_pipe else open_file(path) as file:
        left = sys.maxsize if size is None else size
        lines: list[bytes] = []
        length = 0
        blank = signed = False
        while left > 0:
            line = file.readline(min(MAX_NOTE, left))
            if not line:
                left = 0
                break
            left -= len(line)
            length += len(line)
            lines.append(line)
            if line == b"\n" and signed:
                note = _decoded(b"".join(lines[:-1]))
                if note is None:
                    break
                yield note
                lines, length, blank, signed = [], 0, False, False
            elif line == b"\n" and not blank and len(lines) > 1:
                blank = True
            elif blank and line.startswith(_DASH) and line.endswith(b"\n"):
                signed = True
            elif blank or line == b"\n" or length > MAX_NOTE or not line.endswith(b"\n"):
                break
        if not lines:
            return
        rest, is_last = b"".join(lines), left == 0 or (size is None and not file.read(1))
        whole = _decoded(rest) if is_last and signed and rest.endswith(b"\n") and lines[-1] != b"\n" else None
        if whole is not None and len(lines) >= 3:
            # All but the empty line after it: whoever wrote it was stopped one byte early.
            yield whole
            return
        yield Remainder(rest, is_last=is_last)


def is_torn_checkpoint(remainder: Remainder, origin: str) -> bool:
    """Whether *remainder* is how a checkpoint of *origin* begins, and nothing more."""
    if not remainder.is_last:
        return False
    # The dash takes three bytes, and may be torn itself.
    *whole, partial = remainder.data.decode("utf-8", "replace").removesuffix("\ufffd").split("\n")
    signature = f"\u2014 {origin} "
    if len(whole) > 4 or whole != [origin, *whole[1:3], "", ""][: len(whole)]:
        return False
    if not all(re.fullmatch(pattern, line) for pattern, line in zip((_SIZE, _HASH), whole[1:3], strict=False)):
        return False
    if len(whole) == 4:
        begun = partial.startswith(signature) and re.fullmatch(_SIGNATURE, partial[len(signature) :]) is not None
        return begun or signature.startswith(partial)
    return (
        origin.startswith(partial),
        re.fullmatch(_SIZE, partial or "0") is not None,
        re.fullmatch(f"{_HASH}|[A-Za-z0-9+/]{{0,43}}", partial) is not None,
        partial == "",
    )[len(whole)]


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
