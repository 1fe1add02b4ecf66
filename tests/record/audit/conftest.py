"""An authority, records, and logs that are closed when the test ends."""

from __future__ import annotations

import pytest

from agentid.identity import Authority
from agentid.record import Access, AccessRecord
from agentid.record.audit import AuditLog
from agentid.resource import Resource
from agentid.testing import SteppingClock


@pytest.fixture(scope="session")
def authority():
    return Authority.create("acme.example")


@pytest.fixture(scope="session")
def signer(authority):
    return authority.audit_signer()


@pytest.fixture(scope="session")
def trust(authority):
    return authority.trust


@pytest.fixture
def clock():
    return SteppingClock()


@pytest.fixture(scope="session")
def make_record():
    """Make a record; `number` makes it different from others."""

    def make(number=0, *, resources=("crm/customers/c-42",), **changes):
        facts = {
            "id": f"{number:032x}",
            "session": "5" * 32,
            "time_ns": 1_800_000_000_123_456_789,
            "agent_id": "spiffe://acme.example/agent/support-bot",
            "agent_name": "support-bot",
            "owner": "team:support",
            "credential_id": "019aaf10-7c04-7b01-a9d1-0050569c2e4f",
            "tool": "get_customer",
            "accesses": tuple(Access("read", Resource.parse(text)) for text in resources),
            "effect": "allow",
            "reason": "granted",
            "permission": "read:crm/customers/*",
            "labels": ("customer", "pii"),
            "trace_id": "a" * 32,
            "span_id": "b" * 16,
        }
        return AccessRecord(**{**facts, **changes})

    return make


@pytest.fixture
def open_log(tmp_path, signer, clock):
    """Open a log, by default in `tmp_path / "audit"` and with a clock that stands still."""
    opened = []

    def open_log(folder=None, **options):
        log = AuditLog(folder or tmp_path / "audit", **{"signer": signer, "clock": clock, **options})
        opened.append(log)
        return log

    yield open_log
    for log in opened:
        log._end()


@pytest.fixture
def write(make_record):
    """Write so many records, numbered from `start`."""

    def write(log, count, *, start=0, **changes):
        for number in range(start, start + count):
            log.write("decision", make_record(number, **changes))

    return write


@pytest.fixture
def segments():
    """The files of records of a folder, in order."""
    return lambda folder: sorted(folder.glob("*.jsonl"))
