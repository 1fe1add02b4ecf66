"""
A published list of statuses as a source of revocations: from a file, or from whatever a function fetches.

- A list counts until it ends, and never for longer than a given age, however often it is served.
- A list that is older than one that was seen before, or that knows of less, is refused: neither whoever serves it nor
  a store that was put back takes a revocation back.
- One that is from the future is refused, also where a clock was set back after it was read; then the next one may be
  older than that, and must not know of less.
- A file that is missing, unreadable or not a list is no answer, and nothing is accepted. A function that fails is
  forgiven until the last list is too old, as networks fail.

Nothing is fetched here: a function that is passed in does that, with whatever client and certificates it likes. It
is called by whoever verifies something when the list is due, so it should not take long.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentid import names
from agentid.errors import ConfigurationError, CredentialExpiredError, quote
from agentid.identity.agent_id import parse_trust_domain
from agentid.identity.revocation.revoked import POLL, Reading
from agentid.identity.revocation.status_list import STATUS_LIST, Published, read_status_list
from agentid.identity.token import refused

if TYPE_CHECKING:
    from agentid.signing import KeySet

__all__ = ["StatusListSource"]

_LONGEST_AGE: Final = timedelta(hours=24)
_NON_BLOCKING: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_RETRY: Final = 5
_FIX: Final = "Publish a new list with `Authority.status_list`, on the command line `agentid identity status`"


@dataclass(frozen=True, slots=True)
class _Last:
    """The last list that was good, as text and read, with the keys that it was verified with."""

    token: str
    keys: KeySet
    published: Published


class StatusListSource:
    """
    What a published list says was taken back.

    Args:
        where: A file, or a function that gives the list.
        trust_domain: Whose list it has to be.
        max_age: For how long a list counts, at most.
        leeway: Seconds by which the authority's clock may be ahead.

    Raises:
        ConfigurationError: It is neither, or the age is not more than nothing and at most a day.
        CredentialError: The trust domain is not one.
    """

    __slots__ = ("_last", "_leeway", "_max_age", "_newest", "_trust_domain", "_where")

    def __init__(
        self,
        where: str | os.PathLike[str] | Callable[[], str | bytes],
        *,
        trust_domain: str,
        max_age: timedelta,
        leeway: float,
    ) -> None:
        if not isinstance(max_age, timedelta) or not timedelta(0) < max_age <= _LONGEST_AGE:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                "`max_status_age` was refused",
                why="it must be more than nothing and at most a day",
                fix="Pass max_status_age=timedelta(minutes=5), for example",
            )
        if isinstance(where, str | os.PathLike):
            self._where: Path | Callable[[], str | bytes] = Path(os.fspath(where)).absolute()
        elif callable(where):
            self._where = where
        else:
            raise ConfigurationError("`status` was refused", why="it is neither a path nor a function giving a list")
        self._trust_domain = parse_trust_domain(trust_domain)
        self._max_age = max_age.total_seconds()
        self._leeway = leeway
        self._last: _Last | None = None
        self._newest: tuple[tuple[int, int], frozenset[str]] = ((0, 0), frozenset())

    def read(self, now: float, keys: KeySet) -> Reading:
        """
        Say what was taken back.

        Raises:
            CredentialError: There is no list that counts at *now*.
        """
        last = self._last
        try:
            token = _read_file(self._where) if isinstance(self._where, Path) else _called(self._where)
        except _FailedError as failed:
            if last is None or last.keys is not keys:
                raise refused(STATUS_LIST, f"it could not be fetched: {failed}") from None
            published, due = last.published, now + min(_RETRY, last.published.ttl)
        else:
            if last is not None and last.token == token and last.keys is keys:
                published = last.published
            else:
                published = self._verify(token, keys, now)
                self._check_order(published.order, signers := keys.with_use(names.STATUS_USE).keys(), now)
                self._last, self._newest = _Last(token, keys, published), (published.order, frozenset(signers))
            due = now + (POLL if isinstance(self._where, Path) else min(published.ttl, self._max_age))
        good_until = min(published.expires_at, published.order[0] + self._max_age)
        if not now < good_until:
            raise refused(STATUS_LIST, f"the last one was good until {int(good_until)}", fix=_FIX)
        # Also of one that was read before: by a clock that was set back, it would be good for as much longer.
        if not now + self._leeway >= published.order[0]:
            raise refused(STATUS_LIST, f"the last one is not good before {published.order[0]}", fix="Check the clock")
        return Reading(published.revoked, min(due, good_until))

    def _check_order(self, order: tuple[int, int], signers: Collection[str], now: float) -> None:
        (issued_at, version), before = self._newest
        # One that is from the future by now says that a clock was ahead and was put right. To wait for that time would
        # refuse everything until then. How much was known counts on.
        if order[0] < issued_at <= now + self._leeway:
            raise refused(STATUS_LIST, "it is older than one that was read before", fix=_FIX)
        # Issued later, from a store that was put back, it would take back what was revoked. Where all keys are others,
        # the authority was made anew and counts anew, and none of what was revoked is accepted.
        if order[1] < version and not before.isdisjoint(signers):
            raise refused(
                STATUS_LIST,
                "its authority knew of more when it issued one that was read before",
                fix="Start the program again, if what was revoked was lost or put back on purpose",
            )

    def _verify(self, token: str, keys: KeySet, now: float) -> Published:
        try:
            return read_status_list(
                token,
                keys.with_use(names.STATUS_USE),
                trust_domain=self._trust_domain,
                now=now,
                leeway=self._leeway,
            )
        except CredentialExpiredError as error:
            raise refused(STATUS_LIST, error.why, fix=_FIX) from None


class _FailedError(Exception):
    """A function gave no list. Never leaves this module."""


def _called(fetch: Callable[[], str | bytes]) -> str:
    try:
        found: object = fetch()
    except Exception as error:  # noqa: BLE001 -- whatever its client raises
        raise _FailedError(quote(type(error).__name__)) from None
    return _text(found)


def _read_file(path: Path) -> str:
    try:
        # A named pipe put in its place would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | _NON_BLOCKING)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise refused(STATUS_LIST, f"{quote(path)} is not an ordinary file")
            return _text(file.read(STATUS_LIST.max_size + 2))
    except (OSError, ValueError) as error:
        why = (error.strerror or "").lower() if isinstance(error, OSError) else "its name is not one"
        raise refused(STATUS_LIST, f"{quote(path)} cannot be read: {why}", fix=_FIX) from None


def _text(found: object) -> str:
    if isinstance(found, bytes | bytearray):
        # What is not ASCII is no token, and is refused as such.
        found = found.decode("ascii", "replace")
    if not isinstance(found, str):
        raise refused(STATUS_LIST, "what gives it gave no text")
    return found.strip()
