"""
A real authority with keys that the tests know, so that they can forge tokens by hand.

`forge` signs with the authority's own keys. A token that it forges is wrong in the one way that a test
asked for and good in every other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agentid.errors import CredentialError
from agentid.identity import Agent, Authority, TrustAnchor
from agentid.identity.keys.key_ring import KeyRing
from agentid.signing import PrivateKey

NOW = 1_795_392_000
TRUST_DOMAIN = "acme.example"
AUDIENCE = "spiffe://acme.example/agent/mailer"
USES = {"credential": "wit-svid", "jwt-svid": "jwt-svid", "grant": "agentid-grant"}
TYPS = {"credential": "wit+jwt", "jwt-svid": "JWT", "grant": "agentid-del+jwt"}


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def segment(content: Any) -> str:
    """Encode bytes, text or JSON as one segment of a token."""
    if not isinstance(content, bytes | str):
        content = json.dumps(content, separators=(",", ":"))
    data = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Forge:
    """Forges tokens of one kind, signed with the authority's real key for that kind unless told otherwise."""

    kind: str
    keys: Mapping[str, PrivateKey]
    holder: PrivateKey
    trust: TrustAnchor
    now: int = NOW

    @property
    def key(self) -> PrivateKey:
        """The key that signs this kind."""
        return self.keys[USES[self.kind]]

    def header(self, **changes: Any) -> dict[str, Any]:
        """The right header, with *changes*; `None` takes a member out."""
        return _changed({"alg": "ES256", "kid": self.key.kid, "typ": TYPS[self.kind]}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The right claims, with *changes*; `None` takes a member out, and `agent__x` means `x` of the agent claim."""
        claims: dict[str, Any] = {"jti": "token-1", "iat": self.now, "exp": self.now + 240}
        if self.kind == "grant":
            claims |= {
                "iss": f"urn:x-agentid:authority:{TRUST_DOMAIN}",
                "cnf": {"jwk": self.holder.public_jwk},
                "del_depth": 0,
                "del_max_depth": 2,
                "authorization_details": [
                    {
                        "type": "agentid_access",
                        "actions": ["read"],
                        "locations": ["crm/customers/*"],
                        "effect": "allow",
                    }
                ],
            }
            return _changed(claims, changes)
        claims |= {
            "iss": f"spiffe://{TRUST_DOMAIN}",
            "sub": f"spiffe://{TRUST_DOMAIN}/agent/support-bot",
            "cnf": {"jwk": self.holder.public_jwk},
            "urn:x-agentid:agent": {"ver": 1, "name": "support-bot", "instance": "instance-1"},
        }
        if self.kind == "jwt-svid":
            claims |= {"aud": AUDIENCE, "cnf": {"jkt": self.holder.kid}}
        agent = {name.removeprefix("agent__"): changes.pop(name) for name in [*changes] if name.startswith("agent__")}
        claims["urn:x-agentid:agent"] = _changed(claims["urn:x-agentid:agent"], agent)
        return _changed(claims, changes)

    def token(self, header: Any = None, payload: Any = None, *, key: PrivateKey | None = None) -> str:
        """A signed token of this header and payload: a dict, JSON text or bytes; the right ones when left out."""
        head = segment(self.header() if header is None else header)
        body = segment(self.claims() if payload is None else payload)
        signature = (key or self.key).sign(f"{head}.{body}".encode())
        return f"{head}.{body}.{segment(signature)}"

    def verify(self, token: Any, now: Any = None) -> Any:
        """Verify as this kind."""
        if self.kind == "grant":
            return self.trust.verify_grant(token, now=now)
        if self.kind == "jwt-svid":
            return self.trust.verify_jwt_svid(token, audience=AUDIENCE, now=now)
        return self.trust.verify_credential(token, now=now)

    def refusal(self, token: Any, now: Any = None) -> str:
        """Why verifying is refused; the test fails when it is not, or when anything but our error comes out."""
        with pytest.raises(CredentialError) as caught:
            self.verify(token, now)
        return f"{type(caught.value).__name__}: {caught.value.why}"


def _changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not None}


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture(scope="session")
def keys() -> Mapping[str, PrivateKey]:
    """The authority's private keys by use."""
    return KeyRing.generate().signers


@pytest.fixture(scope="session")
def holder() -> PrivateKey:
    """An agent's key."""
    return PrivateKey.generate()


@pytest.fixture
def authority(keys: Mapping[str, PrivateKey], clock: Clock) -> Authority:
    """An authority for acme.example with those keys and that clock."""
    return Authority(TRUST_DOMAIN, keys, clock=clock)


@pytest.fixture
def trust(authority: Authority) -> TrustAnchor:
    """Its live trust anchor."""
    return authority.trust


@pytest.fixture
def bot(authority: Authority) -> Agent:
    """An agent with something to allow and something to ask."""
    return authority.issue(
        "support-bot", allow=["read:crm/customers/*"], ask=["write:mail/outbox/*"], owner="team:support"
    )


@pytest.fixture
def make_forge(keys: Mapping[str, PrivateKey], holder: PrivateKey, trust: TrustAnchor) -> Callable[[str], Forge]:
    """Make a forge for a kind of token."""
    return lambda kind: Forge(kind, keys, holder, trust)


@pytest.fixture(params=["credential", "jwt-svid", "grant"])
def forge(request: pytest.FixtureRequest, make_forge: Callable[[str], Forge]) -> Forge:
    """A forge for each kind of token: what holds for tokens holds for every kind."""
    return make_forge(request.param)
