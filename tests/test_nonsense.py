"""Public functions refuse nonsense with an error of ours, whatever it is."""

from __future__ import annotations

import pytest

from agentid import Agent, AuditLog, Authority, Guard, Permission, TrustAnchor, requires
from agentid.errors import AuditUnavailableError, ConfigurationError, Error


def tool(to):
    """Do nothing."""


NONSENSE = [
    lambda _: Authority.create("acme.example", clock="noon"),
    lambda _: requires("write:mail/{to}", sinks=5)(tool),
    lambda _: requires("write:mail/{to}", sinks={5})(tool),
    lambda _: requires("write:mail/{to}", sinks=iter(["to"]))(tool),
    lambda a: TrustAnchor("acme.example", 5, clock=a.trust.clock),
    lambda a: TrustAnchor("acme.example", ["key"], clock=a.trust.clock),
    lambda a: TrustAnchor("acme.example", a.trust.keys, clock=None),
    lambda a: a.trust.replace_keys([None]),
    lambda a: a.trust.replace_keys(5),
    lambda a: AuditLog("\0", signer=a.audit_signer()),
    *(lambda a, it=it: AuditLog(it, signer=a.audit_signer()) for it in (None, 1, b"x", [], {})),
    *(
        lambda a, option=option, it=it: AuditLog(".", signer=a.audit_signer(), **{option: it})
        for option in (
            *("durability", "clock", "anchors", "checkpoint_records", "checkpoint_seconds"),
            *("segment_bytes", "segment_age", "retention"),
        )
        for it in ([], "x", True, float("nan"), object())
        if (option, it) != ("anchors", [])
    ),
    lambda _: Authority.open("a/" * 500_000, trust_domain="acme.example"),
    lambda _: Agent.load("a/" * 500_000),
    lambda a: a.issue("bot").save("a/" * 500_000),
    lambda a: Guard(a.trust).acting_as(a.issue("bot"), task="\ud800"),
    lambda a: Guard(a.trust).acting_as(a.issue("bot"), task="a\0b"),
    lambda a: Guard(a.trust).acting_as(a.issue("bot"), task="x" * 100_000),
    lambda a: Guard(a.trust, observers=[5]),
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_refused(nonsense, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigurationError, AuditUnavailableError)) as refused:
        nonsense(Authority.create("acme.example"))

    assert isinstance(refused.value, Error)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("nothing", [[], {}, None, 5, object(), b"id"])
def test_what_is_no_id_is_not_revoked(nothing):
    assert not Authority.create("acme.example").trust.is_revoked(nothing)


@pytest.mark.parametrize("nothing", [5, None, "amount", object()])
def test_what_is_no_table_of_arguments_satisfies_no_constraint(nothing):
    from agentid import at_most

    assert not Permission.parse("read:x").where(amount=at_most(1)).satisfied_by(nothing)
    assert Permission.parse("read:x").satisfied_by(nothing)
