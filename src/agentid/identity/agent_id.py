"""
Agent ids: SPIFFE IDs, parsed once and trusted from then on.

- `AgentId.parse` takes any valid SPIFFE ID and nothing else; scheme and trust domain are lower-cased.
- `AgentId.make` makes the ids of our own agents: `spiffe://<trust domain>/agent/<name>[/<sub-agent>…]`.
- Everything is matched whole: `re.match(r"^…$")` would let a trailing newline through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from agentid.errors import CredentialError, quote

__all__ = ["AgentId", "check_name", "parse_trust_domain"]

MAX_ID: Final = 2048
MAX_NAME: Final = 128

_AGENT: Final = "agent"
_SCHEME: Final = "spiffe"
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True)
class AgentId:
    """
    The id of one agent, a SPIFFE ID.

    Attributes:
        trust_domain: Whose agent it is, such as `acme.example`.
        path: The rest, such as `/agent/support-bot`; empty for the trust domain itself.
    """

    trust_domain: str
    path: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.trust_domain, str) or _TRUST_DOMAIN.fullmatch(self.trust_domain) is None:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _bad_trust_domain(self.trust_domain)
        if not isinstance(self.path, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _refused(self.path, "its path is not text")
        if len(self.trust_domain) + len(self.path) > MAX_ID - len("spiffe://"):
            raise _refused(self, f"it is longer than {MAX_ID} bytes")
        if _PATH.fullmatch(self.path) is None:
            raise _refused(self, "a part of its path is empty, `.`, `..`, or has more than letters, digits, `. _ -`")

    @classmethod
    def parse(cls, text: str) -> AgentId:
        """
        Read any valid SPIFFE ID, such as `spiffe://acme.example/agent/support-bot`.

        Raises:
            CredentialError: It is not one.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _refused(type(text).__name__, "it is not text")
        text = str.__str__(text)  # a subclass may do anything
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() != _SCHEME:
            raise _refused(text, "it does not start with `spiffe://`")
        trust_domain, slash, path = rest.partition("/")
        return cls(_lower(trust_domain), slash + path)

    @classmethod
    def make(cls, trust_domain: str, *names: str) -> AgentId:
        """
        Give the id of an agent, or of a sub-agent when there are several names.

        Args:
            trust_domain: Such as `acme.example`.
            names: The agent's name, then its sub-agents', outermost first.

        Raises:
            CredentialError: A name is missing or has a character that no id can carry.
        """
        if not names:
            raise CredentialError("An agent id was refused", why="the agent has no name")
        return cls(parse_trust_domain(trust_domain), f"/{_AGENT}").below(*names)

    def below(self, *names: str) -> AgentId:
        """
        Give the id of a sub-agent of this agent, or of a sub-agent's.

        Args:
            names: Outermost first; without one, the id itself.

        Raises:
            CredentialError: A name has a character that no id can carry, or the id would be too long.
        """
        for name in names:
            check_name(name)
        return AgentId(self.trust_domain, "/".join((self.path, *names)))

    def above(self, count: int) -> list[AgentId]:
        """Give the ids of the *count* agents that this one is below, outermost first."""
        parts = self.path.split("/")
        return [AgentId(self.trust_domain, "/".join(parts[:-steps])) for steps in range(count, 0, -1)]

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path."""
        return tuple(self.path.split("/")[1:])

    @property
    def name(self) -> str:
        """What people call the agent: the last part below `/agent/`, or the path where there is no such part."""
        *above, last = self.path.split("/")
        return last if _AGENT in above else self.path[1:]

    def __str__(self) -> str:
        return f"{_SCHEME}://{self.trust_domain}{self.path}"


def parse_trust_domain(text: object) -> str:
    """
    Read the name of a trust domain, such as `acme.example`, and give it in lower case.

    Raises:
        CredentialError: It is not one.
    """
    if not isinstance(text, str):
        raise _refused(type(text).__name__, "its trust domain is not text")
    text = str.__str__(text)  # a subclass may do anything
    name = _lower(text)
    if _TRUST_DOMAIN.fullmatch(name) is None:
        raise _bad_trust_domain(text)
    return name


def _lower(text: str) -> str:
    # `lower()` turns some other letters, such as the Kelvin sign, into ASCII: they are left as they are, and refused.
    return text.lower() if text.isascii() else text


def _bad_trust_domain(name: object) -> CredentialError:
    return _refused(name, "its trust domain is not 1 to 255 of `a-z 0-9 . _ -`, as in `acme.example`")


def check_name(name: object) -> None:
    """
    Refuse what cannot be the name of an agent, one part of an id.

    Raises:
        CredentialError: It is empty, too long, or has a character that no id can carry.
    """
    if not isinstance(name, str) or _SEGMENT.fullmatch(name) is None or len(name) > MAX_NAME or name in {".", ".."}:
        raise CredentialError(
            f"The agent name {quote(name)} was refused",
            fix=f"Use 1 to {MAX_NAME} letters, digits, `.`, `_` and `-`, such as `support-bot`",
        )


def _refused(text: object, why: str) -> CredentialError:
    return CredentialError(f"The agent id {quote(text)} was refused", why=why)
