"""
Several trust domains side by side, never merged.

Each keeps its own keys, its own revocations and its own generation. What is verified goes to the anchor of the trust
domain that it says it is of, and to no other: an anchor refuses what another domain's key signed, whatever that says
of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.agent import Agent
from agentid.identity.moment import Now
from agentid.identity.trust import TrustAnchor

if TYPE_CHECKING:
    from agentid.identity.trust import VerifiedAgent

__all__ = ["TrustAnchors"]


class TrustAnchors:
    """
    One trust anchor for each trust domain; a guard takes it in place of one anchor.

    ```python
    from agentid import Authority, Guard, TrustAnchors

    ours, theirs = Authority.create("acme.example"), Authority.create("partner.example")
    guard = Guard(TrustAnchors([ours.trust, theirs.trust]))
    ```

    Args:
        anchors: Of different trust domains. The clock of the first is the clock of the guard.

    Raises:
        ConfigurationError: There is none, something is no trust anchor, or two are of one trust domain.
    """

    __slots__ = ("_by_domain",)

    def __init__(self, anchors: Iterable[TrustAnchor]) -> None:
        by_domain: dict[str, TrustAnchor] = {}
        for anchor in _listed(anchors):
            if anchor.trust_domain in by_domain:
                raise ConfigurationError(
                    f"The trust anchors were refused: two are of {quote(anchor.trust_domain)}",
                    why="the keys of one trust domain stand in one anchor, or nobody knows which of them count",
                    fix="Leave one of them away; an anchor takes newer keys by `TrustAnchor.refresh`",
                )
            by_domain[anchor.trust_domain] = anchor
        if not by_domain:
            raise ConfigurationError(
                "The trust anchors were refused", why="there is none, so they could verify nothing"
            )
        self._by_domain = MappingProxyType(by_domain)

    @property
    def trust_domain(self) -> str:
        """The trust domains, for people to read."""
        return ", ".join(self._by_domain)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of the first anchor."""
        return next(iter(self)).clock

    def of(self, trust_domain: str) -> TrustAnchor:
        """
        Give the anchor of a trust domain.

        Raises:
            CredentialError: There is none.
        """
        found = self._by_domain.get(trust_domain)
        if found is None:
            raise CredentialError(
                "The agent was refused",
                why=f"nobody is trusted for its trust domain {quote(trust_domain)}",
                fix="Add a trust anchor of that trust domain, if its agents may act here",
            )
        return found

    def verify_agent(self, agent: Agent, *, now: Now = None) -> VerifiedAgent:
        """
        Verify an agent by the anchor of its own trust domain, as `TrustAnchor.verify_agent` does.

        Raises:
            CredentialError: It cannot prove who it is, or nobody is trusted for its trust domain.
        """
        if not isinstance(agent, Agent):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CredentialError("The agent was refused", why="it is not an `Agent`")
        # What it says chooses who verifies; that it is true is then verified.
        return self.of(agent.id.trust_domain).verify_agent(agent, now=now)

    def __iter__(self) -> Iterator[TrustAnchor]:
        return iter(self._by_domain.values())

    def __len__(self) -> int:
        return len(self._by_domain)

    def __repr__(self) -> str:
        return f"<TrustAnchors {self.trust_domain}>"


def _listed(anchors: object) -> list[TrustAnchor]:
    listed = list(cast("Iterable[object]", anchors)) if isinstance(anchors, Iterable) else [anchors]
    for anchor in listed:
        if not isinstance(anchor, TrustAnchor):
            raise ConfigurationError(
                f"The trust anchors were refused: {quote(type(anchor).__name__)} is none",
                fix="Pass a list of anchors, such as `authority.trust`",
            )
    return cast("list[TrustAnchor]", listed)
