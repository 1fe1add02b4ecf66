"""Verifying who an agent is. The yardstick is the raw check of one ES256 signature."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import islice

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from agentid import Authority
from agentid.identity import TrustAnchor
from benchmarks.harness import Case, Suite

__all__ = ["raw_check", "suites"]

# Each is verified once before any is forgotten, so that no cold check finds what another one left.
_AGENTS = 512


def raw_check(token: str) -> Callable[[int], None]:
    """Check a signature of the same length over the same bytes, with a key that is ready."""
    signed, _, tail = token.rpartition(".")
    raw = base64.urlsafe_b64decode(tail + "=" * (-len(tail) % 4))
    key = ec.generate_private_key(ec.SECP256R1())
    data = signed.encode("ascii")
    signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
    public = key.public_key()
    algorithm = ec.ECDSA(hashes.SHA256())
    # A JOSE signature must be brought into DER before it can be checked; both do that.
    left, right = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")

    def batch(count: int) -> None:
        for _ in range(count):
            encode_dss_signature(left, right)
            public.verify(signature, data, algorithm)

    return batch


def _cold(anchor: TrustAnchor, tokens: list[str]) -> Callable[[int], None]:
    """Verify credentials of different agents with different keys; *anchor* remembers none of them when it is asked."""
    unseen = iter(tokens)

    def batch(count: int) -> None:
        nonlocal unseen
        while count:
            for token in islice(unseen, count):
                anchor.verify_credential(token)
                count -= 1
            if count:
                anchor.forget()
                unseen = iter(tokens)

    return batch


def suites() -> list[Suite]:
    """The suites of this subject."""
    authority = Authority.create("bench.example")
    agents = [
        authority.issue(f"bench-bot-{number}", allow=["read:crm/customers/*"], owner="team:bench")
        for number in range(_AGENTS)
    ]
    tokens = [agent.credential_token for agent in agents]
    token, chain = tokens[0], agents[0].grant_chain
    warm = authority.trust
    anchor = TrustAnchor.from_jwks(warm.to_jwks(), trust_domain="bench.example")

    def warm_credential(count: int) -> None:
        for _ in range(count):
            warm.verify_credential(token)

    def warm_grant(count: int) -> None:
        for _ in range(count):
            warm.verify_grant(chain)

    return [
        Suite(
            "verification",
            [
                Case("raw signature check", raw_check(token)),
                Case("credential, cold", _cold(anchor, tokens), "raw signature check", 1.65, gate=2.3),
                Case("credential, warm", warm_credential, "raw signature check", 0.02),
                Case("grant, warm", warm_grant, "raw signature check", 0.02),
            ],
            rounds=31,
            per_batch_ns=2_000_000,
        )
    ]
