"""
Removes records that are older than they are to be kept, oldest file first, and signs a statement of what went.

- Whole files only, from the beginning of a chain; the last file of a chain only once no process writes it any more.
- The chain is verified before anything is removed: a statement must not make a changed record look right.
- The statement is on the disk before its file is removed.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from agentid.record.audit.append_file import is_held, sync_folder
from agentid.record.audit.chain_check import ChainCheck, size_of
from agentid.record.audit.chain_files import ChainFiles, list_chains, open_file
from agentid.record.audit.merkle import CompactRange, leaf_hash
from agentid.record.audit.record_line import MAX_LINE, parse_timestamp, timestamp
from agentid.record.audit.removal import Removal, read_removals
from agentid.record.audit.report import Findings
from agentid.record.audit.verify import check_chains
from agentid.signing import PublicKey, Signer

__all__ = ["MINIMUM_AGE", "remove_old_records"]

MINIMUM_AGE: Final = timedelta(days=184)
"""Six months, whichever they are."""

log = logging.getLogger("agentid")


def remove_old_records(
    folder: Path, *, signer: Signer, keys: Sequence[PublicKey], before: float, now: float
) -> list[Removal]:
    """
    Remove the files all of whose records were written before a time, and give the statements about them.

    Args:
        folder: The audit folder.
        signer: Signs the statements.
        keys: Whose checkpoints count.
        before: Seconds since 1970.
        now: The time, as it will stand in the statements.

    Raises:
        OSError: A file could not be read, written or removed.
    """
    done: list[Removal] = []
    for files in list_chains(folder)[0]:
        # A look first: most times there is nothing to remove, and verifying a chain takes its time.
        if not _old_segments(files, before):
            continue
        with _only_one(files) as alone:
            if alone:
                done.extend(_remove(_look_again(files), signer, keys, before, now))
    return done


def _remove(
    files: ChainFiles, signer: Signer, keys: Sequence[PublicKey], before: float, now: float
) -> Generator[Removal, None, None]:
    segments = _old_segments(files, before)
    if not segments:
        return
    findings = Findings()
    check = ChainCheck(files, size_of(files.checkpoints), keys, (), findings)
    check_chains([check], keys, 1, workers=1)
    if findings.by_file:
        log.error("old audit records were not removed: %s does not verify", files.chain)
        return
    removals, _ = read_removals(files, keys)
    tree, prev = CompactRange(), ""
    if segments[0] != 1:
        first = _first_record(files.segment(segments[0]))
        blocks = next(removal.blocks for removal in reversed(removals) if removal.end == first)
        tree.extend(blocks)
    for number in segments:
        path = files.segment(number)
        begin = tree.end
        with open_file(path) as file:
            for line in file:
                if line.endswith(b"\n"):
                    leaf = leaf_hash(line[:-1])
                    tree.push(leaf)
                    prev = leaf.hex()
        youngest = _youngest(path)
        removal = Removal(
            files.origin, begin, tree.end, timestamp(now), timestamp(youngest or 0), prev, tuple(tree.blocks)
        )
        _write_statement(files, removal.sign(signer))
        path.unlink()
        sync_folder(files.folder)
        yield removal


def _old_segments(files: ChainFiles, before: float) -> list[int]:
    """The numbers of the files at the beginning of a chain that are all older than wanted."""
    found: list[int] = []
    for number in files.segments:
        if number == files.segments[-1] and is_held(files.checkpoints):
            break
        youngest = _youngest(files.segment(number))
        if youngest is None or youngest >= before:
            break
        found.append(number)
    return found


def _youngest(path: Path) -> float | None:
    """When the last record of a file was written; None if it has none that can be read."""
    size = path.stat().st_size
    with open_file(path) as file:
        file.seek(max(0, size - 2 * (MAX_LINE + 1)))
        *lines, _ = file.read().split(b"\n")
    try:
        value: Any = json.loads(lines[-1])
        return parse_timestamp(value["time"]).timestamp()
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _first_record(path: Path) -> int:
    with open_file(path) as file:
        return int(json.loads(file.readline())["data"]["chain"]["seq"])


def _look_again(files: ChainFiles) -> ChainFiles:
    return next(found for found in list_chains(files.folder)[0] if found.chain == files.chain)


def _write_statement(files: ChainFiles, note: str) -> None:
    with files.removals.open("ab") as file:
        file.write(note.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(files.folder)


@contextmanager
def _only_one(files: ChainFiles) -> Generator[bool, None, None]:
    """Whether nobody else is removing records of this chain; keeps others away meanwhile."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows: `is_held` lets nothing be removed that a process may write
        yield True
        return
    with files.removals.open("ab") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except OSError:
            yield False
            return
        yield True
