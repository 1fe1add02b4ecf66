"""Runs as an audit log holds them: records that were encoded as it does, and read as a command does."""

from __future__ import annotations

import json

from agentid.permission import Permission
from agentid.record import Access, AccessRecord
from agentid.record.access_record import Holder
from agentid.record.audit.record_line import FIRST_PREV, encode_record, join_line
from agentid.resource import Resource

NOW = 1_795_600_000.0
ORIGIN = "urn:x-agentid:audit:chain:"


def access(text):
    """What `read:crm/customers/42` does."""
    permission = Permission.parse(text)
    return Access(permission.action, Resource(permission.resource.parts))


class Recorder:
    """
    Writes the records of runs.

    Attributes:
        records: What was written, oldest first.
    """

    def __init__(self):
        self.records = []
        self.run = "run-1"
        self._calls = 0

    def call(
        self,
        *accesses,
        agent="bot",
        effect="would_deny",
        reason="scope_missing",
        permission="",
        phases=("decision", "outcome"),
        below=(),
        domain="acme.example",
    ):
        """One call with its two records: text, or accesses, of what it touches; *below* names a chain of sub-agents."""
        self._calls += 1
        ids = [f"spiffe://{domain}/agent/{'/'.join((agent, *below[:depth]))}" for depth in range(len(below) + 1)]
        record = AccessRecord(
            id=f"{self._calls:032x}",
            session="5" * 32,
            time_ns=int(NOW * 1e9),
            agent_id=ids[-1],
            agent_name=below[-1] if below else agent,
            owner="team:support",
            tool="tool",
            delegation=tuple(Holder(one, "grant", "key") for one in ids) if below else (),
            accesses=tuple(one if isinstance(one, Access) else access(one) for one in accesses),
            effect=effect,
            reason=reason,
            permission=permission,
        )
        for phase in ("decision",) if effect == "deny" else phases:
            for half in encode_record(ORIGIN + self.run, phase, record, NOW + self._calls):
                self.records.append(json.loads(join_line(half, FIRST_PREV, 0)))
        return self

    def calls(self, *texts, **facts):
        """Several calls that touch one resource each."""
        for text in texts:
            self.call(text, **facts)
        return self
