"""
Reads the records of an audit folder, oldest first over all its chains, and follows what is added.

It does not verify: that is `verify_audit_log`. A line that is no record is counted and passed over.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from agentid.errors import Error
from agentid.record.audit.chain_files import ChainFiles, list_chains, open_file
from agentid.record.audit.record_line import parse_timestamp
from agentid.resource import Resource, ResourcePattern

__all__ = ["AuditReader", "Filter", "Record", "read_lines"]

Record = dict[str, Any]
"""One record as it stands in its line."""


@dataclass(frozen=True)
class Filter:
    """
    Which records to show: those for which all that is given is true.

    Attributes:
        agent: Name or id of the agent.
        resource: A pattern that one of its resources matches.
        effect: What was decided.
        since: Written then or later.
        until: Written before.
    """

    agent: str = ""
    resource: ResourcePattern | None = None
    effect: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, record: Record) -> bool:
        """Whether to show a record."""
        data = record["data"]
        if self.agent and self.agent not in {data["agent"]["name"], data["agent"]["id"]}:
            return False
        if self.effect and self.effect != data["decision"]["effect"]:
            return False
        if self.resource is not None and not any(
            _resource_matches(self.resource, access["resource"]) for access in data["accesses"]
        ):
            return False
        if self.since is None and self.until is None:
            return True
        written = parse_timestamp(record["time"])
        return not (self.since and written < self.since) and not (self.until and written >= self.until)


class AuditReader:
    """
    The records of a folder.

    Args:
        folder: The audit folder.
        wanted: Which to give.

    Attributes:
        odd: How many lines were no records.
    """

    def __init__(self, folder: Path, wanted: Filter | None = None) -> None:
        self.odd = 0
        self._folder = folder
        self._wanted = wanted or Filter()
        self._read: dict[Path, int] = {}

    def read(self) -> Iterator[Record]:
        """
        Give what is there, oldest first. As few chains are open at a time as were written at the same time.

        Raises:
            OSError: A file cannot be read.
        """
        waiting = list_chains(self._folder)[0][::-1]
        open_chains: list[tuple[str, int, Record, Iterator[Record]]] = []
        number = 0
        while waiting or open_chains:
            while waiting and (not open_chains or _start(waiting[-1]) <= open_chains[0][0][:19]):
                records = self._records(waiting.pop())
                first = next(records, None)
                if first is not None:
                    number += 1
                    heapq.heappush(open_chains, (first["time"], number, first, records))
            if open_chains:
                _, order, record, records = heapq.heappop(open_chains)
                if self._wanted.matches(record):
                    yield record
                following = next(records, None)
                if following is not None:
                    heapq.heappush(open_chains, (following["time"], order, following, records))

    def read_new(self) -> list[Record]:
        """
        Give what was added since the last call of this or since `read` ended, chain by chain.

        Raises:
            OSError: A file cannot be read.
        """
        return [
            record
            for files in list_chains(self._folder)[0]
            for record in self._records(files)
            if self._wanted.matches(record)
        ]

    def _records(self, files: ChainFiles) -> Iterator[Record]:
        for number in files.segments:
            path = files.segment(number)
            with open_file(path) as file:
                file.seek(self._read.get(path, 0))
                while (line := file.readline()).endswith(b"\n"):
                    self._read[path] = file.tell()
                    record = _record(line)
                    if record is None:
                        self.odd += 1
                    else:
                        yield record


def read_lines(path: Path) -> Iterator[Record]:
    """
    Give the records of one file of lines, whoever wrote it; a line that is no record is passed over.

    Raises:
        OSError: It cannot be read.
    """
    with open_file(path) as file:
        yield from filter(None, map(_record, file))


def _record(line: bytes) -> Record | None:
    try:
        value: object = json.loads(line)
        record = cast("Record", value)
        data = record["data"]
        # What is looked at later must be there, whoever wrote the line.
        texts = [data["agent"]["name"], data["agent"]["id"], data["decision"]["effect"]]
        texts += [access[part] for access in data["accesses"] for part in ("action", "resource")]
        parse_timestamp(record["time"])
        if all(isinstance(text, str) for text in texts):
            return record
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _resource_matches(pattern: ResourcePattern, text: str) -> bool:
    try:
        return pattern.matches(Resource.parse(text))
    except Error:  # one that was too long for its line, and cut
        return False


def _start(files: ChainFiles) -> str:
    """When a chain began, as the beginning of a timestamp."""
    name = files.chain
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}"
