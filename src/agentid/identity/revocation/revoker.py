"""
The part of an authority that takes things back, and says to others what was taken back.

INVARIANT: what was taken back is written down before it counts as done. Where it cannot be written it counts in this
process all the same, and whoever asked for it is told that it counts nowhere else.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.agent import Agent
from agentid.identity.credential import Credential
from agentid.identity.grant import Grant
from agentid.identity.inputs import times
from agentid.identity.moment import seconds
from agentid.identity.revocation.issued import Issued
from agentid.identity.revocation.revoked import StatusReference, loose_id, name_of
from agentid.identity.token import MAX_TIME, TOKEN_ID

if TYPE_CHECKING:
    from agentid.identity.agent_id import AgentId
    from agentid.identity.revocation.store import RevocationStore
    from agentid.identity.trust import TrustAnchor
    from agentid.signing import Signer

__all__ = ["Revoker", "is_token_id"]

MAX_STATUS_TTL: Final = timedelta(hours=1)

_LONGEST: Final = 24 * 3600
"""Seconds that a token lives at most, from now on."""

_TOKEN_ID: Final = re.compile(TOKEN_ID, re.IGNORECASE)  # people write it otherwise, too
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Revoker:
    """
    Takes back what an authority issued. Safe in several threads.

    Args:
        trust: The authority's anchor.
        store: Where it is written down; without one, it is known to the anchor alone.
        status_uri: Where the list of statuses will be published.
        clock: Gives Unix seconds.
    """

    __slots__ = ("_clock", "_status_uri", "_store", "_trust")

    def __init__(
        self,
        trust: TrustAnchor,
        store: RevocationStore | None,
        status_uri: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._trust = trust
        self._store = store
        self._status_uri = status_uri
        self._clock = clock

    def revoke(self, target: Agent | Issued | Credential | Grant | str | os.PathLike[str]) -> None:
        """See `Authority.revoke`."""
        ids: tuple[str, ...] = ()
        names: tuple[str, ...] = ()
        expires_at = 0
        if isinstance(target, str):
            _check_spelling(target)
            names = self._paths(target)
            if is_token_id(target):
                # As the audit log shows it, where it may be that of a link, too. An agent may be called so as well, and
                # then it is that one that was meant.
                token_id = target.lower()
                ids, expires_at = (token_id, loose_id(token_id)), self._last_end()
        else:
            ids, expires_at = self._ids(target)
        written = False
        try:
            if self._store is not None:
                self._store.revoke(ids=ids, names=names, expires_at=expires_at, now=self._clock())
                written = self._store.is_shared
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{error.what}, so what was revoked counts in this process alone", why=error.why, fix=error.fix
            ) from None
        finally:
            # A name that is written down is read back and not kept here, so that whoever lifts it lifts it everywhere.
            self._trust.revoke(*ids, names=() if written else names)
        if names and written:
            # It is done. Where the keys cannot be read nothing is accepted, and whoever looks next looks again.
            with contextlib.suppress(CredentialError):
                self._trust.ask_again()

    def reinstate(self, name: str) -> None:
        """See `Authority.reinstate`."""
        paths = self._paths(name)
        known = [self._trust.is_name_revoked(path) for path in paths]
        if self._store is not None:
            known += [self._store.lift(path, now=self._clock()) for path in paths]
        if not any(known):
            raise ConfigurationError(
                f"Nothing was reinstated: {quote(name)} is not revoked",
                why="only what was revoked by its name is; an agent that was revoked by itself is issued again",
            )
        with contextlib.suppress(CredentialError):
            for path in paths:
                self._trust.reinstate(path)

    def references(self, *token_ids: str, name: str, expires_at: int) -> list[StatusReference | None]:
        """
        Give each new token of an agent its place in the list of statuses; `None`, where none is published.

        Raises:
            ConfigurationError: This could not be written down.
        """
        if self._status_uri is None or self._store is None:
            return [None for _ in token_ids]
        places = self._store.give_places(token_ids, name=name, expires_at=expires_at, now=self._clock())
        return [StatusReference(place, self._status_uri) for place in places]

    def status_list(self, signer: Signer | None, ttl: timedelta) -> str:
        """See `Authority.status_list`."""
        from agentid.identity.revocation.status_list import write_status_list  # few programs publish one

        if self._status_uri is None or self._store is None:
            raise ConfigurationError(
                "There is no list of statuses",
                why="the authority does not know where it would be published",
                fix="Open it with status_uri=, on the command line pass `--uri`",
            )
        if signer is None:
            raise ConfigurationError(
                "There is no list of statuses",
                why="the authority has no key for it, and nobody made one",
                fix="Open it by `Authority.open`, with status_uri=",
            )
        now, ends = times(self._clock(), ttl, MAX_STATUS_TTL)
        return write_status_list(
            self._store.listed(now=now),
            signer,
            uri=self._status_uri,
            trust_domain=self._trust.trust_domain,
            now=now,
            ttl=ends - now,
        )

    def _ids(self, target: object) -> tuple[tuple[str, ...], int]:
        """The ids that take a target back, and when nothing of it can be alive any more."""
        if isinstance(target, Agent):
            # Not what the agent says of itself: it may have been loaded from a file that somebody changed.
            target = Issued.of(target.credential_token, target.grant_chain, self._trust)
        elif isinstance(target, os.PathLike):
            target = Issued.read(cast("os.PathLike[str]", target), self._trust)
        if isinstance(target, Issued):
            return target.ids, target.expires_at
        if isinstance(target, Credential):
            self._check_ours(target.id.trust_domain)
            if not target.own_ids:
                raise _no_id(target.id)
            return target.own_ids, target.expires_at
        if isinstance(target, Grant):
            self._check_ours(target.trust_domain)
            return (target.token_ids[-1],), target.expires_at
        raise ConfigurationError(
            "Nothing was revoked",
            why="it is no agent, credential or grant, no path of an agent file, and no name of an agent",
        )

    def _last_end(self) -> int:
        """When no token of now can be alive any more; where the clock says nothing, what is taken back stays so."""
        try:
            return min(max(math.ceil(seconds(self._clock())), 0) + _LONGEST, MAX_TIME)
        except CredentialError:
            return MAX_TIME

    def _paths(self, name: str) -> tuple[str, ...]:
        """The paths that a name stands for: two, where it is that of a SPIFFE ID, or below an agent called `agent`."""
        spelled = dict.fromkeys((name, name.removeprefix("agent/")))
        return tuple([name_of(text, self._trust.trust_domain) for text in spelled])

    def _check_ours(self, trust_domain: str) -> None:
        ours = self._trust.trust_domain
        if trust_domain != ours:
            raise ConfigurationError(
                "Nothing was revoked",
                why=f"this is the authority of {quote(ours)}, and it was issued by that of {quote(trust_domain)}",
                fix="Revoke it there, or take that trust domain from the trust anchors",
            )


def is_token_id(text: str) -> bool:
    """Say whether *text* looks like the id of a token, and not only like a name."""
    return _TOKEN_ID.fullmatch(text) is not None


def _no_id(agent: AgentId) -> ConfigurationError:
    """What others issued may have no id."""
    has_name = agent.segments[:1] == ("agent",)
    return ConfigurationError(
        "Nothing was revoked",
        why=f"whoever issued it to {quote(agent)} gave it no id",
        fix="Revoke the name instead: all that is called so"
        if has_name
        else "Revoke it where it was issued: it has no name either that could be revoked",
    )


def _check_spelling(name: str) -> None:
    """Refuse a name that looks like something else, which would take nothing back."""
    if name.endswith(".json") and "://" not in name:
        raise ConfigurationError(
            "Nothing was revoked",
            why=f"{quote(name)} looks like the file of an agent, and text is a name",
            fix="Pass a path object for a file, or name an agent that is called so by its SPIFFE ID",
        )
    if _KEY_ID.fullmatch(name.removeprefix("agent/")) is not None:
        raise ConfigurationError(
            "Nothing was revoked",
            why=f"{quote(name)} looks like the thumbprint of a key, and keys are not revoked",
            fix="Name the agent, or the id of its credential or grant; an agent that is called so, by its SPIFFE ID",
        )
