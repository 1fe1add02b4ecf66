"""Cuts the files of a chain into chunks that begin and end at lines, reading only a little at each cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from agentid.record.audit.chain_files import open_file
from agentid.record.audit.chunk_check import link_of
from agentid.record.audit.merkle import leaf_hash
from agentid.record.audit.record_line import MAX_LINE

__all__ = ["CHUNK_BYTES", "Cut", "cut_file"]

CHUNK_BYTES: Final = 4 * 2**20


class Cut(NamedTuple):
    """
    A chunk of one file.

    Attributes:
        begin: In bytes.
        end: In bytes.
        first: Number and named hash of its first record, or None if that is no record.
        last: Number and leaf hash of its last record, or None if that is no record.
        ends_file: Whether nothing follows it.
    """

    begin: int
    end: int
    first: tuple[int, str] | None
    last: tuple[int, str] | None
    ends_file: bool


def cut_file(path: Path, size: int, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Cut]:
    """
    Cut a file.

    Args:
        path: The file.
        size: How much of it there is to read; it may grow meanwhile.
        chunk_bytes: How large a chunk is at least, but for the last.

    Raises:
        OSError: It cannot be read.
    """
    with open_file(path) as file:
        begin = 0
        while begin < size:
            end = min(begin + chunk_bytes, size)
            if end < size:
                file.seek(end)
                file.readline(MAX_LINE + 1)
                end = min(file.tell(), size)
            file.seek(begin)
            first = link_of(file.readline(MAX_LINE + 1))
            yield Cut(begin, end, first, _last(file, begin, end), end == size)
            begin = end


def _last(file: BinaryIO, begin: int, end: int) -> tuple[int, str] | None:
    start = max(begin, end - 2 * (MAX_LINE + 1))
    file.seek(start)
    *lines, _ = file.read(end - start).split(b"\n")
    if not lines:
        return None
    link = link_of(lines[-1])
    return (link[0], leaf_hash(lines[-1]).hex()) if link else None
