"""
The keys of an authority: those that sign, and the public halves of those that did.

- There is one private key for each use. Of a key that was replaced, only the public half is kept.
- A replaced key is trusted until its end, and then no more, by the clock and without anybody doing anything.
- The key of the audit log is replaced only where everything is, and its public half is kept for good: a log is
  verified long after it was written.
- Keys are those of one trust domain, and never another's.
- Each state of the keys has a number that only grows, also across restarts, so that nobody takes an old state for
  the present one.

A ring never changes: what replaces keys gives a new one. Where it is kept is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from agentid import names
from agentid.errors import ConfigurationError
from agentid.identity.token import MAX_TIME
from agentid.signing import ED25519, ES256, MAX_KEYS, KeySet, PrivateKey, PublicKey, Signer

__all__ = ["KeyRing", "RetiredKey", "algorithm"]

MAX_OVERLAP: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """
    The public half of a key that signs no more.

    Attributes:
        key: It, with what it was for.
        until: Unix seconds at which it is trusted no more; `None` for a key of the audit log.
    """

    key: PublicKey
    until: int | None = None

    def is_trusted(self, now: float) -> bool:
        """Say whether what it signed still counts."""
        # Written so that a clock that answers NaN refuses.
        return self.until is None or now < self.until


_KEPT: Final = frozenset({names.AUDIT_USE, names.STATUS_USE})
"""
What a routine replacement leaves: these keys sign no tokens of agents.

A list of what was revoked that a new key signed could be read by nobody who has not refreshed the published keys yet:
every agent would be refused there.
"""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """
    The keys of an authority at one time.

    Attributes:
        signers: What signs, by use.
        retired: What signed before, oldest first.
        sequence: The number of this state, when it was made. It grows with each key that ends: see `sequence_at`.
        trust_domain: Whose keys they are; empty where that was never said.

    Raises:
        CredentialError: One key is there twice.
    """

    signers: Mapping[str, Signer] = field(repr=False)
    retired: tuple[RetiredKey, ...] = ()
    sequence: int = 1
    trust_domain: str = ""

    def __post_init__(self) -> None:
        KeySet([*self._current(), *(retired.key for retired in self.retired)])  # one key, one use

    @classmethod
    def generate(cls, trust_domain: str = "") -> KeyRing:
        """Make a new key for each use."""
        keys = {use: PrivateKey.generate(algorithm(use)) for use in names.KEY_USES}
        return cls(MappingProxyType(keys), trust_domain=trust_domain)

    def of(self, trust_domain: str) -> KeyRing:
        """Give the keys as those of *trust_domain*, where nobody said yet whose they are."""
        return self if self.trust_domain else replace(self, trust_domain=trust_domain)

    def completed(self) -> KeyRing:
        """Give a ring with a new key for each use that has none yet."""
        missing = [use for use in names.KEY_USES if use not in self.signers]
        if not missing:
            return self  # another process did it
        keys = {**self.signers, **{use: PrivateKey.generate(algorithm(use)) for use in missing}}
        signers = MappingProxyType({use: keys[use] for use in names.KEY_USES})
        return replace(self, signers=signers, sequence=self._next_sequence)

    def public_keys(self, now: float) -> list[PublicKey]:
        """Give the keys that are trusted *now*: those that sign, then those that did."""
        return [*self._current(), *(retired.key for retired in self.retired if retired.is_trusted(now))]

    def sequence_at(self, now: float) -> int:
        """Give the number of the state *now*, one more for each moment at which keys have ended."""
        # Counted and not written down: every process that has the same ring gives the same number.
        return self.sequence + len({r.until for r in self.retired if not r.is_trusted(now)})

    @property
    def _next_sequence(self) -> int:
        """A number that this state never had, and will not have once all of its ends have come."""
        # Whoever was given the keys while a clock was ahead knows of ends that have not come, and of their numbers.
        return self.sequence_at(math.inf) + 1

    def next_end(self, now: float) -> float:
        """Say when the next key ends, in Unix seconds; infinity where none does."""
        return min((r.until for r in self.retired if r.until is not None and now < r.until), default=math.inf)

    def rotated(self, *, now: float, overlap: timedelta) -> KeyRing:
        """
        Give a ring with new keys, in which no older one is trusted for longer than *overlap*.

        Args:
            now: Unix seconds.
            overlap: For how long what the old keys signed still counts. Nothing is for an emergency: every key is
                replaced, that of the audit log, too.

        Raises:
            ConfigurationError: The overlap is not one, the keys are kept elsewhere, or there would be too many.
        """
        if not isinstance(overlap, timedelta) or not timedelta(0) <= overlap <= MAX_OVERLAP:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _not_rotated(
                f"the overlap must be from nothing to {MAX_OVERLAP.days} days",
                fix="Pass overlap=timedelta(hours=24), for example",
            )
        # Written so that a clock that answers NaN refuses. What cannot be written as a date cannot be read again.
        if not 0 <= now <= MAX_TIME - MAX_OVERLAP.total_seconds():
            raise _not_rotated("the clock does not say what time it is")
        replaced = {use: key for use, key in self.signers.items() if not overlap or use not in _KEPT}
        if not all(isinstance(signer, PrivateKey) for signer in replaced.values()):
            raise _not_rotated("its keys are not kept here", fix="Replace them where they are kept")
        # Rounded up: what the old keys signed counts for at least as long as was said.
        end = math.ceil(now + overlap.total_seconds())
        before = [
            *self.retired,
            *(
                RetiredKey(key, None if key.use == names.AUDIT_USE else end)
                for key in self._current()
                if key.use in replaced
            ),
        ]
        ring = replace(
            self,
            signers=MappingProxyType(
                {
                    use: PrivateKey.generate(algorithm(use)) if use in replaced else key
                    for use, key in self.signers.items()
                }
            ),
            # INVARIANT: no key that was replaced earlier is trusted for longer than one that is replaced now.
            retired=tuple(
                old if old.until is None else RetiredKey(old.key, min(old.until, end))
                for old in before
                if old.until is None or (overlap and old.is_trusted(now))
            ),
            sequence=self._next_sequence,
        )
        if len(ring.signers) + len(ring.retired) > MAX_KEYS:
            raise _not_rotated(
                f"more than {MAX_KEYS} keys would have to be published",
                fix="Rotate less often, or with a shorter overlap",
            )
        return ring

    def _current(self) -> list[PublicKey]:
        return [
            PublicKey.from_jwk({**signer.public_jwk, "kid": signer.kid}, use=use)
            for use, signer in self.signers.items()
        ]


def algorithm(use: str) -> str:
    """Say which algorithm the keys for *use* have."""
    # The audit log signs with an algorithm of its own, so that no audit signature can pass for a token's.
    return ED25519 if use == names.AUDIT_USE else ES256


def _not_rotated(why: str, *, fix: str = "") -> ConfigurationError:
    return ConfigurationError("The keys were not rotated", why=why, fix=fix)
