"""Who has proven to hold the key of its credential: once for each agent object, by signing what nobody knew before."""

from __future__ import annotations

import secrets
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from agentid import names
from agentid.errors import CredentialError

if TYPE_CHECKING:
    from agentid.identity.agent import Agent
    from agentid.identity.credential import Credential

__all__ = ["Possession"]


class Possession:
    """Remembers which agents have proven their key, for as long as they exist. Safe in several threads."""

    __slots__ = ("_lock", "_proven")

    def __init__(self) -> None:
        self._lock = Lock()
        self._proven: WeakKeyDictionary[Agent, str] = WeakKeyDictionary()

    def forked(self) -> None:
        """Take a new lock, in a child process: the old one may be held by a thread that the child does not have."""
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._proven)

    def check(self, agent: Agent, credential: Credential) -> None:
        """
        Make *agent* prove that it holds the key that *credential* names.

        Raises:
            CredentialError: It does not.
        """
        with self._lock:
            if self._proven.get(agent) == credential.key_id:
                return
        challenge = names.POSSESSION_CONTEXT + secrets.token_bytes(32)
        key = credential.key
        try:
            proven = key is not None and key.verify(challenge, agent.sign(challenge))
        except Exception:  # noqa: BLE001 -- whatever a signer raises, the key was not proven
            proven = False
        if not proven:
            raise CredentialError("The agent was refused", why="it does not hold the key of its credential")
        with self._lock:
            self._proven[agent] = credential.key_id
