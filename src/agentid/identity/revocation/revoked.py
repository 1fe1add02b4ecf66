"""
What was taken back, as a trust anchor knows it.

- What is taken back is an id, of a token or of one issue of an agent, or a name: every agent of that name and
  what is below it, whenever it was issued, until the name is lifted.
- A trust anchor knows what it was told itself, and what its source says. The source is asked again when it is
  time, by whoever verifies something then: there is no thread.
- INVARIANT: where it cannot be known what was taken back, nothing is accepted. A source that fails, or whose
  answer is too old, refuses everything until it answers again.

Where revocations are kept is not known here: `revocation_store` and `status_source` are the two sources.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

from agentid.errors import ConfigurationError, CredentialError, CredentialRevokedError, quote
from agentid.identity.agent_id import AgentId
from agentid.identity.moment import seconds
from agentid.identity.process_lock import ProcessLock

if TYPE_CHECKING:
    from agentid.identity.claims import StatusClaim
    from agentid.identity.revocation.status_list import StatusList
    from agentid.identity.token import TokenKind
    from agentid.signing import KeySet

__all__ = [
    "NOTHING",
    "POLL",
    "Reading",
    "RevocationSource",
    "Revocations",
    "Revoked",
    "StatusReference",
    "link_ids",
    "loose_id",
    "name_of",
]

POLL: Final = 0.5
"""Seconds after which a source on this machine is asked again, so that a revocation counts within a second."""

_AGENT: Final = "agent"


@dataclass(frozen=True, slots=True)
class StatusReference:
    """
    Where the status of a token is published.

    Attributes:
        idx: Its place in the list.
        uri: Which list.
    """

    idx: int
    uri: str

    @classmethod
    def of(cls, claim: StatusClaim | None) -> StatusReference | None:
        """Read the claim `status` of such a token."""
        return None if claim is None else cls(claim["status_list"]["idx"], claim["status_list"]["uri"])

    def to_claim(self) -> dict[str, Any]:
        """Give the claim `status` of such a token."""
        return {"status_list": {"idx": self.idx, "uri": self.uri}}


@dataclass(frozen=True, slots=True)
class Revoked:
    """
    What a source says was taken back; never changed.

    Attributes:
        ids: Of tokens, and of issues of agents.
        names: Of agents, as their path: `support-bot`, or `support-bot/summariser` for a sub-agent.
        statuses: The published list of statuses, where the source is one.
    """

    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    statuses: StatusList | None = None


NOTHING: Final = Revoked()
"""What a source says that knows of nothing: the same object each time, as nothing has changed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """
    An answer of a source.

    Attributes:
        revoked: The same object as before, when nothing has changed.
        ask_again: Unix seconds; until then the answer is good, and then the source is asked again.
    """

    revoked: Revoked
    ask_again: float


class RevocationSource(Protocol):
    """Knows what was taken back, in this process or another."""

    def read(self, now: float, keys: KeySet) -> Reading:
        """
        Say what was taken back, as known at *now*.

        Raises:
            CredentialError: It cannot be known.
        """
        ...


@dataclass(frozen=True, slots=True)
class _State:
    """What is known, until when the source need not be asked, and why nothing is known, if so."""

    revoked: Revoked
    ask_again: float
    why: str = ""
    fix: str = ""


_NEVER_ASKED: Final = _State(NOTHING, -math.inf, "nobody was asked yet")


class Revocations:
    """
    What one trust anchor knows to be taken back. Safe in several threads, of which one at a time may `poll`.

    Args:
        source: Asked from time to time; without one, only what is told here counts.

    Attributes:
        is_quiet: Whether nothing at all is taken back, and that is known: then there is nothing to `check`.
    """

    __slots__ = ("_asked_at", "_ids", "_keys", "_lock", "_names", "_source", "_state", "is_quiet")

    def __init__(self, source: RevocationSource | None) -> None:
        self._source = source
        self._lock = ProcessLock()
        self._ids: set[str] = set()
        self._names: set[str] = set()
        self._asked_at = math.inf
        self._keys: KeySet | None = None
        self._state = _State(NOTHING, math.inf) if source is None else _NEVER_ASKED
        self.is_quiet = source is None

    def poll(self, now: float, keys: KeySet, *, clock: Callable[[], float]) -> bool:
        """Ask the source, if it is time; say whether what is known has changed. The clock says when it has failed."""
        source, before = self._source, self._state
        # Written so that a clock that answers NaN, or was set back, asks.
        if source is None or (self._keys is keys and self._asked_at <= now < before.ask_again):
            return False
        try:
            reading = source.read(now, keys)
        except CredentialError as error:
            why = f"{error.what[:1].lower()}{error.what[1:]}"
            found = _State(NOTHING, _later(now, clock), f"{why}: {error.why}" if error.why else why, error.fix)
        except Exception as error:  # noqa: BLE001 -- whatever went wrong, nothing is known
            found = _State(NOTHING, _later(now, clock), f"its source failed with {quote(type(error).__name__)}")
        else:
            found = _State(reading.revoked, reading.ask_again)
        with self._lock:
            self._state, self._asked_at, self._keys = found, now, keys
            # What the source knows, it keeps for as long as it matters; here it would stay for ever.
            self._ids -= found.revoked.ids
            self._settle()
        # Before it was asked for the first time nothing was accepted, so nobody remembers anything.
        return before.revoked is not found.revoked or (before is not _NEVER_ASKED and before.why != found.why)

    @property
    def ask_again(self) -> float:
        """Unix seconds; until then nobody needs to call `poll`."""
        return self._state.ask_again

    def expire(self) -> None:
        """Ask the source again at the next `poll`, as it may know more."""
        self._asked_at = math.inf

    def add(self, ids: tuple[str, ...], names: tuple[str, ...]) -> None:
        """Take these back, whatever the source says."""
        with self._lock:
            self._ids.update(ids)
            self._names.update(names)
            self._settle()

    def lift(self, name: str) -> None:
        """Forget that a name was taken back here; what the source says counts still."""
        with self._lock:
            self._names.discard(name)
            self._settle()

    def has(self, token_id: str) -> bool:
        """Say whether an id is known to be taken back."""
        return token_id in self._ids or token_id in self._state.revoked.ids

    def has_name(self, name: str) -> bool:
        """Say whether a name is known to be taken back."""
        return name in self._names or name in self._state.revoked.names

    def _settle(self) -> None:
        state = self._state
        self.is_quiet = not (self._ids or self._names or state.why or state.revoked != NOTHING)

    def check(self, kind: TokenKind, token_ids: tuple[str, ...], status: StatusReference | None) -> None:
        """
        Refuse a token that was taken back.

        Args:
            kind: What it is.
            token_ids: The ids of which any one, revoked, takes it back.
            status: Where its status is published, where that is said.

        Raises:
            CredentialRevokedError: It was taken back.
            CredentialError: It cannot be known whether it was.
        """
        # Looked at first: an id leaves here only once it is in the state that is read next.
        taken_back = bool(self._ids) and not self._ids.isdisjoint(token_ids)
        state = self._state
        revoked = state.revoked
        if state.why and not taken_back:
            raise CredentialError(
                f"The {kind.name} was refused", why=f"what was revoked cannot be known: {state.why}", fix=state.fix
            )
        if not taken_back and revoked.ids:
            taken_back = not revoked.ids.isdisjoint(token_ids)
        if not taken_back and revoked.statuses is not None and status is not None:
            taken_back = revoked.statuses.value(status, kind) != 0
        if taken_back:
            raise CredentialRevokedError(
                f"The {kind.name} was revoked", fix="Issue the agent again, if it may act again"
            )

    def check_name(self, agent: AgentId) -> None:
        """
        Refuse an agent whose name, or that of one above it, was taken back.

        Raises:
            CredentialRevokedError: It was.
        """
        revoked = self._state.revoked.names
        if not (revoked or self._names):
            return
        for name in _names(agent):
            if name in revoked or name in self._names:
                raise CredentialRevokedError(
                    f"The agent {quote(agent)} was revoked",
                    why=f"all that is called {quote(name)} was",
                    fix="Lift that with `Authority.reinstate`, on the command line `agentid identity revoke --lift`",
                )


def _later(now: float, clock: Callable[[], float]) -> float:
    """When to ask again a source that failed: some time after that, also where failing took a while."""
    try:
        return max(now, seconds(clock())) + POLL
    except Exception:  # noqa: BLE001 -- a clock that fails is the next one's to see
        return now + POLL


def link_ids(chain_ids: Sequence[str]) -> tuple[str, ...]:
    """
    Give the ids by which the links of a chain are revoked, the whole chain's last.

    Whoever hands on a part chooses the id of its link, so a link is known by those of all links above it, too: the id
    of another token cannot be chosen. Whoever saw that one id alone, as records have it, revokes `loose_id` of it.
    """
    if len(chain_ids) == 1:
        return (chain_ids[0],)
    return (
        *[loose_id(own) for own in chain_ids[1:]],
        *accumulate(chain_ids, lambda above, own: f"{above}/{own}"),
    )


def loose_id(own: str) -> str:
    """Give the id by which every link is revoked that calls itself *own*, wherever it hangs."""
    return f"*/{own}"


def name_of(target: str, trust_domain: str) -> str:
    """
    Give the path by which an agent is revoked, of its name, its path or its SPIFFE ID.

    Raises:
        ConfigurationError: It is no name of an agent of *trust_domain*.
    """
    try:
        agent = AgentId.parse(target) if "://" in target else AgentId.make(trust_domain, *target.split("/"))
    except CredentialError as error:
        raise ConfigurationError(error.what, why=error.why, fix=error.fix) from None
    *_, name = ("", *_names(agent))
    if not name or agent.trust_domain != trust_domain:
        raise ConfigurationError(
            f"Nothing is called {quote(target)} here",
            why=f"it is not an agent of {quote(trust_domain)}"
            if agent.trust_domain != trust_domain
            else "only what is below `/agent/` is revoked by its name",
            fix="Use the name of an agent, such as `support-bot`",
        )
    return name


def _names(agent: AgentId) -> Iterator[str]:
    """Give the name of an agent and of those above it, outermost first, as they are taken back."""
    root, *rest = agent.segments or ("",)
    if root == _AGENT:
        for length in range(1, len(rest) + 1):
            yield "/".join(rest[:length])
