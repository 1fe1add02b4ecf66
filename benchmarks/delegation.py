"""Verifying what was handed on. The yardstick is the raw check of as many ES256 signatures."""

from __future__ import annotations

from itertools import cycle

from agentid import Authority
from agentid.identity import Agent, TrustAnchor
from benchmarks.harness import Batch, Case, Suite
from benchmarks.tokens import raw_check

__all__ = ["suites"]

_LINKS = 5
_KEPT = 4096  # so many chains a trust anchor remembers; more than that are never all known


def _chain(links: int) -> tuple[Authority, Agent]:
    authority = Authority.create("bench.example")
    agent = authority.issue("bench-bot", allow=["read:crm/**"], ask=["write:mail/*"], max_depth=8, owner="team:bench")
    for number in range(1, links):
        agent = agent.delegate(f"n{number}", allow=["read:crm/customers/*"], ask=["write:mail/*"])
    return authority, agent


def _five(raw: Batch) -> Batch:
    def batch(count: int) -> None:
        raw(count * _LINKS)

    return batch


def suites() -> list[Suite]:
    """The suites of this subject."""
    authority, last = _chain(_LINKS)
    anchor = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="bench.example")
    chain = last.grant_chain

    def cold(count: int) -> None:
        for _ in range(count):
            anchor.forget()
            anchor.verify_grant(chain)

    warm_anchor = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="bench.example")

    def warm(count: int) -> None:
        for _ in range(count):
            warm_anchor.verify_grant(chain)

    parent_authority, parent = _chain(_LINKS - 1)
    grown = TrustAnchor.from_jwks(parent_authority.trust.to_jwks(), trust_domain="bench.example")
    leaves = [parent.delegate("leaf", allow=["read:crm/customers/c-1"]).grant_chain for _ in range(_KEPT + 100)]
    upcoming = cycle(leaves)

    def one_more(count: int) -> None:
        for _ in range(count):
            grown.verify_grant(next(upcoming))

    raw = raw_check(chain[-1])
    return [
        Suite(
            "delegation",
            [
                Case("five raw signature checks", _five(raw)),
                Case("five links, cold", cold, "five raw signature checks", 1.7, gate=2.6),
                Case("one link more on four that are known", one_more, "five raw signature checks", 0.35, gate=0.6),
            ],
            rounds=31,
            per_batch_ns=4_000_000,
        ),
        Suite(
            "delegation, known",
            [
                Case("one raw signature check", raw),
                Case("five links, known", warm, "one raw signature check", 0.02),
            ],
        ),
    ]
