"""Records are read oldest first over all chains, filtered, and followed."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from agentid.record.audit.reader import AuditReader, Filter
from agentid.resource import ResourcePattern


@pytest.fixture
def folder(tmp_path, open_log, make_record, clock):
    """Three chains that were written at the same time, ten seconds between records."""
    logs = [open_log(tmp_path / "audit", segment_bytes=3_000) for _ in range(3)]
    for number in range(12):
        logs[number % 3].write(
            "decision",
            make_record(
                number,
                agent_name=f"bot-{number % 2}",
                agent_id=f"spiffe://acme.example/agent/bot-{number % 2}",
                effect="deny" if number % 4 == 0 else "allow",
                resources=(f"crm/customers/{number}", "mail/inbox"),
            ),
        )
        clock.step(10)
    for log in logs:
        log.close()
    return tmp_path / "audit"


def numbers(records):
    return [int(record["data"]["call"]["id"], 16) for record in records]


def test_records_of_all_chains_are_given_oldest_first(folder):
    assert list(range(12)) == numbers(AuditReader(folder).read())


def test_a_chain_is_opened_only_once_its_time_has_come(tmp_path, open_log, write, clock):
    """A folder may hold the chains of years."""
    for number in range(30):
        log = open_log(tmp_path / "audit")
        write(log, 2, start=2 * number)
        log.close()
        clock.step(60)
    reader = AuditReader(tmp_path / "audit")
    records = reader.read()
    first = [next(records) for _ in range(3)]

    assert [0, 1, 2] == numbers(first)
    assert len(reader._read) <= 3
    assert list(range(3, 60)) == numbers(records)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"agent": "bot-1"}, [1, 3, 5, 7, 9, 11]),
        ({"agent": "spiffe://acme.example/agent/bot-0"}, [0, 2, 4, 6, 8, 10]),
        ({"agent": "bot"}, []),
        ({"effect": "deny"}, [0, 4, 8]),
        ({"effect": "deny", "agent": "bot-1"}, []),
        ({"resource": ResourcePattern.parse("crm/customers/7")}, [7]),
        ({"resource": ResourcePattern.parse("crm/customers/1*")}, [1, 10, 11]),
        ({"resource": ResourcePattern.parse("mail/**")}, list(range(12))),
        ({"resource": ResourcePattern.parse("files/**")}, []),
        ({"since": datetime.fromtimestamp(1_800_000_095, timezone.utc)}, [10, 11]),
        ({"until": datetime.fromtimestamp(1_800_000_010, timezone.utc)}, [0]),
        ({"since": datetime.fromtimestamp(1_800_000_010, timezone.utc), "effect": "deny"}, [4, 8]),
    ],
)
def test_records_are_filtered(folder, wanted, expected):
    assert expected == numbers(AuditReader(folder, Filter(**wanted)).read())


def test_what_is_added_is_given_once(folder, open_log, write, make_record):
    reader = AuditReader(folder, Filter(agent="support-bot"))
    assert [] == list(reader.read())
    log = open_log(folder, segment_bytes=2_500)
    write(log, 4, start=100)
    assert [100, 101, 102, 103] == numbers(reader.read_new())
    write(log, 3, start=104)
    log.write("decision", make_record(107, agent_name="other"))

    assert [104, 105, 106] == numbers(reader.read_new())
    assert [] == reader.read_new()


def test_a_line_that_is_not_finished_yet_is_given_when_it_is(tmp_path, open_log, write, segments):
    write(open_log(tmp_path), 2)
    (path,) = segments(tmp_path)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:100])
    reader = AuditReader(tmp_path)
    assert [0] == numbers(reader.read())
    assert [] == reader.read_new()
    path.write_bytes(first + second)

    assert [1] == numbers(reader.read_new())
    assert 0 == reader.odd


@pytest.mark.parametrize(
    "line",
    [
        b"garbage", b"{}", b"[]", b"null", b"\xff", b'{"data":{}}', b'{"data":[]}', b"[" * 100_000,
        b'{"data":{"accesses":[{"action":"read","resource":7}],"agent":{"id":"","name":""},"decision":{"effect":""}},"time":"2026-11-25T10:00:00.000Z"}',
        b'{"data":{"accesses":[],"agent":{"id":"","name":""},"decision":{"effect":""}},"time":"later"}',
    ],
)  # fmt: skip
def test_a_line_that_is_no_record_is_counted_and_passed_over(tmp_path, open_log, write, segments, line):
    write(open_log(tmp_path), 2)
    (path,) = segments(tmp_path)
    path.write_bytes(line + b"\n" + path.read_bytes())
    reader = AuditReader(tmp_path, Filter(agent="support-bot", resource=ResourcePattern.parse("crm/**")))

    assert [0, 1] == numbers(reader.read())
    assert 1 == reader.odd


def test_a_resource_that_was_cut_matches_no_pattern(tmp_path, open_log, make_record, segments):
    log = open_log(tmp_path)
    log.write("decision", make_record(1))
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"crm/customers/c-42", b"crm//customers"))

    assert [] == list(AuditReader(tmp_path, Filter(resource=ResourcePattern.parse("crm/**"))).read())
    assert [1] == numbers(AuditReader(tmp_path).read())
