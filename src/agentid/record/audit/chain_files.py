"""
The files of an audit folder, by name.

```text
20261125T094812Z-4711-9f86d081884c7d65.000001.jsonl      records, one a line; .000002.jsonl and on go on
20261125T094812Z-4711-9f86d081884c7d65.checkpoint        its checkpoints, oldest first
20261125T094812Z-4711-9f86d081884c7d65.removed           what retention took away, signed
```

A chain is what one process wrote from one start on: the time of its start, the id of the process and random
digits, never the name of a host. A folder holds any number of chains.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from agentid import names

__all__ = [
    "ACCESS_TYPE",
    "REMOVAL_TYPE",
    "ChainFiles",
    "chain_of",
    "chain_of_file",
    "list_chains",
    "new_chain_id",
    "open_file",
    "origin_of",
]

AUDIT_URN: Final = f"{names.URN}:audit"
ACCESS_TYPE: Final = f"{AUDIT_URN}:access:v1"
"""The CloudEvents `type` of a record."""

REMOVAL_TYPE: Final = f"{AUDIT_URN}:removal:v1"
"""The first line of a statement about records that retention removed."""

_ORIGIN: Final = f"{AUDIT_URN}:chain:"
_CHAIN: Final = r"[0-9]{8}T[0-9]{6}Z-[0-9]{1,10}-[0-9a-f]{16}"
_NAME: Final = re.compile(rf"({_CHAIN})\.(?:([0-9]{{6}}|[1-9][0-9]{{6,8}})\.jsonl|(checkpoint)|(removed))")
_ORIGIN_OF_CHAIN: Final = re.compile(rf"{re.escape(_ORIGIN)}({_CHAIN})")


@dataclass
class ChainFiles:
    """
    Where one chain is.

    Attributes:
        folder: The audit folder.
        chain: Its id.
        segments: The numbers of its files of records that are there, in order.
        has_checkpoints: Whether its file of checkpoints is there.
        has_removals: Whether something was removed by retention.
    """

    folder: Path
    chain: str
    segments: list[int] = field(default_factory=list[int])
    has_checkpoints: bool = False
    has_removals: bool = False

    @property
    def origin(self) -> str:
        """The origin of its checkpoints, and the source of its records."""
        return origin_of(self.chain)

    def segment(self, number: int) -> Path:
        """A file of records."""
        return self.folder / f"{self.chain}.{number:06d}.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The file of checkpoints."""
        return self.folder / f"{self.chain}.checkpoint"

    @property
    def removals(self) -> Path:
        """The file of statements about what retention removed."""
        return self.folder / f"{self.chain}.removed"


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """
    Open a file for reading. Not a pipe, which would keep its reader waiting, and no device, which may never end.

    Raises:
        OSError: It cannot be read, or is something else.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 -- the caller closes it
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "it is no file of bytes")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def new_chain_id(now: float, process: int) -> str:
    """An id for a chain that begins now; not even a restored snapshot of this process would give it again."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{process}-{secrets.token_hex(8)}"


def origin_of(chain: str) -> str:
    """The name of a chain in checkpoints and records."""
    return _ORIGIN + chain


def chain_of(origin: str) -> str | None:
    """The id of the chain that *origin* names, or None if it names none."""
    found = _ORIGIN_OF_CHAIN.fullmatch(origin)
    return found[1] if found else None


def chain_of_file(name: str) -> str | None:
    """The id of the chain whose records the file *name* holds, or None if it holds none."""
    found = _NAME.fullmatch(name)
    return found[1] if found and found[2] else None


def list_chains(folder: Path) -> tuple[list[ChainFiles], list[str]]:
    """
    Find the chains of a folder, oldest first, and the names of files of records that belong to none.

    Raises:
        OSError: The folder cannot be read.
    """
    chains: dict[str, ChainFiles] = {}
    strangers: list[str] = []
    for path in folder.iterdir():
        found = _NAME.fullmatch(path.name)
        if found is None:
            if path.suffix in {".jsonl", ".checkpoint", ".removed"}:
                strangers.append(path.name)
            continue
        files = chains.setdefault(found[1], ChainFiles(folder, found[1]))
        if found[2]:
            files.segments.append(int(found[2]))
        files.has_checkpoints |= bool(found[3])
        files.has_removals |= bool(found[4])
    for files in chains.values():
        files.segments.sort()
    return [chains[chain] for chain in sorted(chains)], sorted(strangers)
