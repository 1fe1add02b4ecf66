"""A record is one line of canonical JSON with everything in it but arguments, results and the task."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentid.record import Access, AccessRecord, Holder
from agentid.record.audit.canonical import canonical
from agentid.record.audit.chain_files import origin_of
from agentid.record.audit.chunk_check import link_of
from agentid.record.audit.record_line import FIRST_PREV, MAX_LINE, encode_record, join_line, parse_timestamp, timestamp
from agentid.resource import Resource

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ORIGIN = origin_of("20261125T094812Z-4711-9f86d081884c7d65")
NOW = 1_800_000_001.5
PREV = "0f" * 32

ODD = st.text(max_size=30) | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp"]), max_size=10)
RECORDS = st.builds(
    AccessRecord,
    id=ODD, session=ODD, time_ns=st.integers(0, 2**62), agent_id=ODD, agent_name=ODD, tool=ODD, owner=ODD,
    credential_id=ODD, delegation=st.lists(st.builds(Holder, ODD, ODD, ODD), max_size=2).map(tuple),
    accesses=st.sampled_from([(), (Access("read", Resource.parse("a/ö%20b/\U0001f600")),)]),
    reason=ODD, permission=ODD, approval=ODD, error_type=ODD, duration_ns=st.none() | st.integers(-5, 2**70),
    trace_id=ODD, span_id=ODD, labels=st.lists(ODD, max_size=3).map(tuple), task=ODD,
)  # fmt: skip


def lines(record, phase="outcome"):
    return [
        join_line(half, PREV if seq else FIRST_PREV, seq)
        for seq, half in enumerate(encode_record(ORIGIN, phase, record, NOW))
    ]


@relaxed
@given(RECORDS)
def test_a_line_is_canonical_whatever_the_record_holds(record):
    """Control characters, lone surrogates, numbers too large: a record of a denial is written all the same."""
    (line,) = lines(record)

    assert line == canonical(json.loads(line))
    assert (0, FIRST_PREV) == link_of(line)
    assert b"\n" not in line


@relaxed
@given(RECORDS)
def test_a_line_is_what_another_implementation_of_the_standard_writes(record):
    rfc8785 = pytest.importorskip("rfc8785")
    (line,) = lines(record)

    assert line == rfc8785.dumps(json.loads(line))


def test_a_record_stands_in_its_line(make_record):
    record = make_record(7, approval="a-1", status="failure", error_type="KeyError", duration_ns=1_250_000)
    (line,) = lines(record)

    assert {
        "id": f"{7:032x}:outcome",
        "source": ORIGIN,
        "specversion": "1.0",
        "time": "2027-01-15T08:00:01.500Z",
        "type": "urn:x-agentid:audit:access:v1",
        "data": {
            "accesses": [{"action": "read", "resource": "crm/customers/c-42"}],
            "agent": {
                "credential": "019aaf10-7c04-7b01-a9d1-0050569c2e4f",
                "id": "spiffe://acme.example/agent/support-bot",
                "name": "support-bot",
                "owner": "team:support",
            },
            "call": {
                "began": "2027-01-15T08:00:00.123Z",
                "id": f"{7:032x}",
                "session": "5" * 32,
                "tool": "get_customer",
            },
            "chain": {"prev": f"sha256:{FIRST_PREV}", "seq": 0},
            "decision": {
                "approval": "a-1",
                "effect": "allow",
                "enforcement": "enforced",
                "permission": "read:crm/customers/*",
                "reason": "granted",
            },
            "labels": ["customer", "pii"],
            "outcome": {"duration_ns": 1_250_000, "error_type": "KeyError", "status": "failure"},
            "phase": "outcome",
            "trace": {"id": "a" * 32, "span": "b" * 16},
        },
    } == json.loads(line)


def test_every_part_of_a_record_is_in_its_line_but_for_the_task(make_record):
    """The task is a person's words. A part that is added to records has to be written, or named here."""
    texts = {f.name: f"<{f.name}>" for f in fields(AccessRecord) if f.type in {"str", "Status", "Phase"}}
    holders = (Holder("<root>", "<grant>", "<key>"), Holder("<sub-agent>", "<link>", "<its key>"))
    record = replace(
        make_record(), **texts, labels=("<label>",), duration_ns=424_242, delegation=holders, rows=515_151, size=636_363
    )
    (line,) = lines(record)

    assert {"task"} == {name for name, text in texts.items() if text not in line.decode()}
    assert "<label>" in line.decode()
    assert all(number in line.decode() for number in ("424242", '"rows":515151', '"size":636363'))
    assert all(text in line.decode() for holder in holders for text in holder)
    assert line == canonical(json.loads(line))
    known = {
        *texts,
        "time_ns",
        "accesses",
        "delegation",
        "effect",
        "enforcement",
        "duration_ns",
        "labels",
        "rows",
        "size",
    }
    assert known == {f.name for f in fields(AccessRecord)}


def test_text_in_a_record_cannot_pass_for_the_link_to_the_line_before(make_record):
    forged = f'"chain":{{"prev":"sha256:{"f" * 64}","seq":99}}'
    (line,) = lines(make_record(tool=forged, permission=forged, labels=(forged,)))

    assert (0, FIRST_PREV) == link_of(line)


@pytest.mark.parametrize("odd", ["\ud800", "a\x00b", "a\nb", '"', "\\", "\u2028", "\U0010ffff"])
def test_an_odd_string_stays_within_its_field(make_record, odd):
    (line,) = lines(make_record(tool=odd, effect="deny", reason="scope_missing"))
    value = json.loads(line)

    assert value["data"]["call"]["tool"] == odd.replace("\ud800", "\ufffd")
    assert "deny" == value["data"]["decision"]["effect"]


# --- long records -----------------------------------------------------------------------------------------------------


def test_a_call_that_touches_too_much_for_one_line_is_written_in_parts_and_nothing_is_left_out(make_record):
    wanted = [f"crm/customers/{number}" for number in range(5_000)]
    written = lines(make_record(resources=wanted))
    values = [json.loads(line)["data"] for line in written]

    assert len(written) > 1
    assert max(map(len, written)) <= MAX_LINE
    assert wanted == [access["resource"] for value in values for access in value["accesses"]]
    assert [{"number": n, "of": len(written)} for n in range(1, len(written) + 1)] == [v["part"] for v in values]
    assert written == [canonical(json.loads(line)) for line in written]


@pytest.mark.parametrize("filler", ["x", "\x00", "\U0001f600", "\ud800", '"'])
def test_absurdly_long_text_is_cut_visibly_and_never_stops_a_record(make_record, filler):
    long = filler * 30_000
    record = make_record(
        resources=["a/" + "%25" * 4000] * 40,
        **dict.fromkeys(
            ("id", "session", "agent_id", "agent_name", "tool", "owner", "credential_id", "reason", "permission",
             "approval", "error_type", "trace_id", "span_id"), long),
        labels=(long,) * 60,
    )  # fmt: skip
    written = lines(record)
    value = json.loads(written[0])

    assert max(map(len, written)) <= MAX_LINE
    assert "…[30000 characters, sha256:" in value["data"]["call"]["tool"]
    assert "…and 10 more" == value["data"]["labels"][-1]
    assert 40 == sum(len(json.loads(line)["data"]["accesses"]) for line in written)


# --- time -------------------------------------------------------------------------------------------------------------


@relaxed
@given(st.integers(0, 253_402_300_799_999))
def test_a_time_is_read_back_to_the_millisecond(milliseconds):
    text = timestamp(milliseconds / 1000)

    assert abs(milliseconds / 1000 - parse_timestamp(text).timestamp()) < 0.002
    assert 24 == len(text)


@pytest.mark.parametrize("text", ["", "Z", "2026-11-25T10:00:00.000", "yesterday", 7, None])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        parse_timestamp(text)
