"""A stream that the garbage collector closes ends wherever its thread happens to be, perhaps amid a write."""

from __future__ import annotations

import json

import pytest

from agentid import AuditLog, Authority, Guard, requires, verify_audit_log
from agentid.errors import AuditUnavailableError
from agentid.record import AccessRecord
from agentid.record.audit import audit_log


@requires("read:crm/{name}")
def stream(name):
    yield name


def test_a_stream_that_is_collected_during_a_write_is_recorded_after_it(tmp_path, monkeypatch):
    """Nothing waits for itself, both outcomes are written, and the log verifies."""
    authority = Authority.create("test.example")
    log = AuditLog(tmp_path / "audit", signer=authority.audit_signer())
    guard = Guard(authority.trust, audit=log)
    held = []
    encode = audit_log.encode_record

    def collecting(*args):
        held.clear()  # as the collector may, at any allocation
        return encode(*args)

    with guard.acting_as(authority.issue("bot", allow=["read:crm/*"])):
        dropped = stream("dropped")
        next(dropped)
        held.append(dropped)
        del dropped
        monkeypatch.setattr(audit_log, "encode_record", collecting)
        list(stream("read"))
    log.close()

    lines = [
        json.loads(line) for path in (tmp_path / "audit").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert 4 == len(lines)
    assert verify_audit_log(tmp_path / "audit", authority.trust).ok


def test_a_decision_in_the_middle_of_a_write_is_refused(tmp_path):
    """It must be written before the act, and cannot be."""
    authority = Authority.create("test.example")
    log = AuditLog(tmp_path / "audit", signer=authority.audit_signer())
    record = AccessRecord("0" * 32, "s", 0, "spiffe://test.example/agent/bot", "bot", "tool")
    log._writing.busy.add(__import__("threading").get_ident())

    with pytest.raises(AuditUnavailableError):
        log.write("decision", record)
    log.write("outcome", record)
    log._writing.busy.clear()
    log.write("decision", record)
    log.close()

    assert 2 == verify_audit_log(tmp_path / "audit", authority.trust).records
