"""What verifying an audit log found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentid.errors import AuditTamperedError, quote

__all__ = ["AuditProblem", "AuditReport", "Kind", "Torn"]

Kind = Literal[
    "changed", "removed", "inserted", "swapped", "duplicated", "truncated", "rewritten", "missing", "checkpoint",
    "unsigned", "removal", "stranger", "unreadable",
]  # fmt: skip
"""
What is wrong, in one word. `rewritten`: the records fit each other, and not what was signed. `missing`: a file is gone.
`checkpoint`: one is malformed, out of order, or not signed by a trusted key. `unsigned`: more records follow the last
checkpoint than an honest process leaves. `removal`: a statement about removed records is wrong. `stranger`: a file
that belongs to no chain.
"""


@dataclass(frozen=True)
class AuditProblem:
    """
    Something that must not be, and the first of its kind in its file.

    Attributes:
        file: Its name in the folder, or the place of an anchor.
        record: The number of the first bad record in its chain, counted from 0 as `seq` in the record; None if the
            problem is not one of a record.
        line: Where that is in the file, counted from 1; None if it is not there.
        kind: What is wrong, in one word.
        what: What is wrong, as a sentence.
    """

    file: str
    record: int | None
    line: int | None
    kind: Kind
    what: str

    def __str__(self) -> str:
        place = f", line {self.line}" if self.line is not None else ""
        number = f" (record {self.record})" if self.record is not None else ""
        return f"{self.file}{place}{number}: {self.what}"


@dataclass(frozen=True)
class Torn:
    """
    The end of a file that a process was writing when it was killed. Nothing that it had acknowledged is lost.

    Attributes:
        file: Its name in the folder.
        size: How many bytes of the unfinished line or checkpoint are there.
    """

    file: str
    size: int

    def __str__(self) -> str:
        return f"{self.file}: an unfinished end of {self.size} bytes, left by a process that was killed or still writes"


@dataclass(frozen=True)
class AuditReport:
    """
    What verifying a folder found.

    Attributes:
        records: Whole lines, good or bad.
        problems: The first problem of each file; empty if all is well.
        recovered: Torn ends, which are no problem.
        chains: How many chains there are.
        checkpoints: How many checkpoints are signed by a trusted key.
        unsigned: Records behind the last checkpoint of their chain: linked to each other, and signed by nobody yet.
        anchored: How many anchored checkpoints were compared.
        removed: Records that retention removed, as signed statements say.
    """

    records: int = 0
    problems: tuple[AuditProblem, ...] = ()
    recovered: tuple[Torn, ...] = ()
    chains: int = 0
    checkpoints: int = 0
    unsigned: int = 0
    anchored: int = 0
    removed: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def raise_if_tampered(self) -> None:
        """
        Do nothing if all is well.

        Raises:
            AuditTamperedError: It is not; the message names the first bad record.
        """
        if self.problems:
            first = self.problems[0]
            raise AuditTamperedError(
                f"the audit log does not verify: {quote(str(first), limit=300)}",
                why=f"{len(self.problems)} files have a problem" if len(self.problems) > 1 else "",
            )


@dataclass
class Findings:
    """A report that is still being put together; one problem for each file."""

    records: int = 0
    chains: int = 0
    checkpoints: int = 0
    unsigned: int = 0
    anchored: int = 0
    removed: int = 0
    recovered: list[Torn] = field(default_factory=list["Torn"])
    by_file: dict[str, AuditProblem] = field(default_factory=dict[str, AuditProblem])

    def add(self, file: str, kind: Kind, what: str, *, record: int | None = None, line: int | None = None) -> None:
        """Note a problem, unless its file has one already."""
        self.by_file.setdefault(file, AuditProblem(file, record, line, kind, what))

    def report(self) -> AuditReport:
        """Give the report, problems in the order of their files."""
        return AuditReport(
            records=self.records,
            problems=tuple(self.by_file[file] for file in sorted(self.by_file)),
            recovered=tuple(self.recovered),
            chains=self.chains,
            checkpoints=self.checkpoints,
            unsigned=self.unsigned,
            anchored=self.anchored,
            removed=self.removed,
        )
