"""
The store of an authority: what it took back, kept in a file beside its keys.

- A file of SQLite, readable by its owner alone, made when something is taken back for the first time. Several
  processes may read and write it; what was written is on the disk before it counts as done.
- The id of a token is kept until the token is over, and for a day more. Then it is forgotten, once two writers a day
  or more apart agree on that, and nobody between them knew of an earlier time. So a clock that is ahead, by however
  much, has to run on for a day before it is believed, and no token lives longer. A name is kept until it is lifted.
- Each change makes its version grow, so that who has read it once sees cheaply that nothing has changed.
- A file that vanished, was exchanged, went back to an older state, or that others can get at, is no answer: then
  nothing is known.
- It also gives out the places in a published list of statuses: any that is free, at random, so that a place says
  nothing about when or after whom an agent was issued.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.private_file import check_private, write_private
from agentid.identity.revocation.connection import begin_to_read, begin_to_write, opened
from agentid.identity.revocation.revoked import NOTHING, POLL, Reading, Revoked

if TYPE_CHECKING:
    import sqlite3

    from agentid.signing import KeySet

__all__ = ["Listed", "RevocationStore"]

FIRST_SIZE: Final = 1 << 20
"""Places of a new list: 128 KiB that compress to nothing, and room for a quarter of a million agents at a time."""

LAST_SIZE: Final = 1 << 26

_WHAT: Final = "store of revocations"
_GRACE: Final = 24 * 3600
_LATEST: Final = 2**53
_FORMAT: Final = 1
# A reader stands in the way of somebody's call, and has the next time; a revocation must not get lost.
_READ_TIMEOUT: Final = 0.25
_WRITE_TIMEOUT: Final = 10
_TRIES: Final = 16
_SCHEMA: Final = (
    "CREATE TABLE state (format INTEGER, id TEXT, version INTEGER, stamp TEXT, size INTEGER)",
    "CREATE TABLE ids (token_id TEXT PRIMARY KEY, keep_until INTEGER) WITHOUT ROWID",
    "CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE places (idx INTEGER PRIMARY KEY, token_id TEXT UNIQUE, name TEXT, keep_until INTEGER)",
    "CREATE INDEX ids_by_age ON ids (keep_until)",
    "CREATE INDEX places_by_age ON places (keep_until)",
    "CREATE INDEX places_by_name ON places (name)",
)


@dataclass(frozen=True, slots=True)
class Listed:
    """
    What goes into a published list.

    Attributes:
        version: Grows with each change of what was taken back.
        size: How many places the list has.
        places: Those that are taken back.
        ids: Taken back.
        names: Taken back.
    """

    version: int
    size: int
    places: tuple[int, ...]
    ids: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The state of the file when it was read last."""

    id: str
    version: int
    stamp: str
    revoked: Revoked


class RevocationStore:
    """
    What an authority took back. Safe in several threads and processes.

    Args:
        path: The file; `None` keeps everything in memory, for this process alone.
    """

    __slots__ = ("_exists", "_lock", "_memory", "_path", "_seen")

    def __init__(self, path: Path | None) -> None:
        # Absolute, so that a program that changes its folder does not find nothing, and take it for an answer.
        self._path = path.absolute() if path is not None else None
        self._lock = Lock()
        self._memory: sqlite3.Connection | None = None
        self._seen: _Seen | None = None
        self._exists = False

    def __del__(self) -> None:
        if self._memory is not None:
            self._memory.close()

    @property
    def is_shared(self) -> bool:
        """Whether other processes see what is written here."""
        return self._path is not None

    def read(self, now: float, keys: KeySet) -> Reading:  # noqa: ARG002 -- a source may hang on keys, this one does not
        """
        Say what was taken back.

        Raises:
            CredentialError: The file cannot be read, is not what it was, or others can get at it.
        """
        seen = self._seen
        try:
            if not self._found():
                return Reading(NOTHING, now + POLL)
            with self._transaction(begin_to_read, _READ_TIMEOUT) as connection:
                latest = _read(connection, seen, str(self._path))
        except ConfigurationError as error:
            raise CredentialError(error.what, why=error.why, fix=error.fix) from None
        self._seen, self._exists = latest, True
        return Reading(latest.revoked, now + POLL)

    def revoke(self, *, ids: Iterable[str] = (), names: Iterable[str] = (), expires_at: int = 0, now: float) -> None:
        """
        Take these back, for every process that reads this store.

        Args:
            ids: Of tokens that are over at *expires_at*.
            names: Of agents.
            expires_at: Unix seconds.
            now: Unix seconds; what no token can need any more is dropped, once that is sure.

        Raises:
            ConfigurationError: It could not be written.
        """
        with self._writing(now) as connection:
            _count(connection)
            connection.executemany(
                "INSERT INTO ids VALUES (?, ?) ON CONFLICT (token_id)"
                " DO UPDATE SET keep_until = max(keep_until, excluded.keep_until)",
                [(token_id, expires_at + _GRACE) for token_id in ids],
            )
            connection.executemany("INSERT OR IGNORE INTO names VALUES (?)", [(name,) for name in names])

    def lift(self, name: str, *, now: float) -> bool:
        """
        Take a name from the list; say whether it was there.

        Raises:
            ConfigurationError: It could not be written.
        """
        if self._path is not None and not self._found():
            return False
        with self._writing(now) as connection:
            lifted = connection.execute("DELETE FROM names WHERE name = ?", (name,)).rowcount > 0
            if lifted:
                _count(connection)
            return lifted

    def give_places(self, token_ids: Sequence[str], *, name: str, expires_at: int, now: float) -> list[int]:
        """
        Give each of these tokens a place of its own in the list.

        Args:
            token_ids: New tokens of one agent.
            name: What it is called.
            expires_at: Unix seconds; two days later the places may be given to others.
            now: Unix seconds.

        Raises:
            ConfigurationError: It could not be written, or there are too many agents for one list.
        """
        with self._writing(now) as connection:
            return [_place(connection, (token_id, name, expires_at + _GRACE)) for token_id in token_ids]

    def listed(self, *, now: float) -> Listed:
        """
        Give what goes into a published list.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        with self._writing(now) as connection:
            version, size = connection.execute("SELECT version, size FROM state").fetchone()
            places = connection.execute(
                "SELECT idx FROM places WHERE token_id IN (SELECT token_id FROM ids)"
                " UNION SELECT idx FROM places WHERE name IN (SELECT name FROM names)"
            ).fetchall()
            # Also those that have a place: what was handed on, and JWT-SVIDs, name no place, and the ids of what they
            # hang on.
            ids = connection.execute("SELECT token_id FROM ids ORDER BY token_id").fetchall()
            names = connection.execute("SELECT name FROM names ORDER BY name").fetchall()
        return Listed(version, size, _column(places), _column(ids), _column(names))

    def _found(self) -> bool:
        """Whether there is a file; one that was there once has to be there."""
        if self._path is None:
            return self._memory is not None
        if check_private(self._path, what=_WHAT):
            return True
        if self._exists:
            raise ConfigurationError(
                f"The {_WHAT} {quote(self._path)} could not be read",
                why="it was there, and is gone",
                fix="Restore it from a backup; without one, start the programs again and revoke again what was revoked",
            )
        return False

    @contextlib.contextmanager
    def _writing(self, now: float) -> Generator[sqlite3.Connection]:
        if self._path is not None and not self._found():
            self._create(self._path)
        with self._transaction(begin_to_write, _WRITE_TIMEOUT) as connection:
            _check_format(connection, str(self._path))
            over = _confirmed(connection, now)
            for table in ("ids", "places"):
                connection.execute(f"DELETE FROM {table} WHERE keep_until < ?", (over,))  # noqa: S608 -- ours
            yield connection
        self._exists = True

    def _create(self, path: Path) -> None:
        # Made elsewhere and put in place whole: SQLite takes an empty file for a store, and it is never one of ours.
        try:
            with tempfile.TemporaryDirectory() as folder:
                draft = Path(folder) / "store"
                with opened(draft, _WRITE_TIMEOUT, mode="rwc") as connection:
                    _fill(connection)
                data = draft.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"The {_WHAT} {quote(path)} could not be made", why=(error.strerror or "the system refused").lower()
            ) from None
        write_private(path, data, what=_WHAT)

    @contextlib.contextmanager
    def _transaction(
        self, begin: Callable[[sqlite3.Connection, float], object], timeout: float
    ) -> Generator[sqlite3.Connection]:
        import sqlite3

        try:
            with self._connection(timeout) as connection:
                try:
                    begin(connection, timeout)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    # A COMMIT that failed may have ended the transaction already.
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from None

    @contextlib.contextmanager
    def _connection(self, timeout: float) -> Generator[sqlite3.Connection]:
        if self._path is not None:
            with opened(self._path, timeout) as connection:
                yield connection
            return
        import sqlite3

        with self._lock:
            if self._memory is None:
                self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                _fill(self._memory)
            yield self._memory


def _fill(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    for statement in _SCHEMA:
        connection.execute(statement)
    values = (_FORMAT, secrets.token_hex(16), secrets.token_hex(16), FIRST_SIZE)
    connection.execute("INSERT INTO state VALUES (?, ?, 1, ?, ?)", values)
    connection.execute("COMMIT")


def _count(connection: sqlite3.Connection) -> None:
    # A number alone would come again in a file that was put back to an older state and then changed.
    connection.execute("UPDATE state SET version = version + 1, stamp = ?", (secrets.token_hex(16),))


def _read(connection: sqlite3.Connection, seen: _Seen | None, path: str) -> _Seen:
    store, version, stamp = _check_format(connection, path)
    if seen is not None and seen.id != store:
        raise _changed(path, "another one was put in its place")
    if seen is not None and (version < seen.version or (version == seen.version and stamp != seen.stamp)):
        raise _changed(path, "it was put back to an older state")
    if seen is not None and version == seen.version:
        return seen
    ids = frozenset(_column(connection.execute("SELECT token_id FROM ids").fetchall()))
    names = frozenset(_column(connection.execute("SELECT name FROM names").fetchall()))
    return _Seen(store, version, stamp, Revoked(ids, names))


def _check_format(connection: sqlite3.Connection, path: str) -> tuple[str, int, str]:
    rows = connection.execute("SELECT format, id, version, stamp FROM state").fetchall()
    if len(rows) != 1 or rows[0][0] != _FORMAT or type(rows[0][2]) is not int:
        raise _changed(path, "this version cannot read it")
    _, store, version, stamp = rows[0]
    return store, version, stamp


def _confirmed(connection: sqlite3.Connection, now: float) -> int:
    """Note what time it is, and give the time that is surely over."""
    # A file from before this was noted has no such table.
    connection.execute("CREATE TABLE IF NOT EXISTS times (confirmed INTEGER, latest INTEGER)")
    rows = connection.execute("SELECT confirmed, latest FROM times").fetchall()
    if [tuple(map(type, row)) for row in rows] != [(int, int)]:
        # New, or damaged: then nothing is sure to be over.
        rows = [(0, 0)]
        connection.execute("DELETE FROM times")
        connection.execute("INSERT INTO times VALUES (0, 0)")
    [(confirmed, latest)] = rows
    if not 0 <= now < _LATEST:
        return confirmed  # a clock that says nothing
    moment = int(now)
    if moment < latest:
        # Set back; or the one before was ahead, and what it said is confirmed by nobody.
        confirmed, latest = min(confirmed, moment), moment
    elif moment >= latest + _GRACE:
        confirmed, latest = latest, moment
    if rows != [(confirmed, latest)]:
        connection.execute("UPDATE times SET confirmed = ?, latest = ?", (confirmed, latest))
    return confirmed


def _place(connection: sqlite3.Connection, entry: tuple[str, str, int]) -> int:
    [[size]] = connection.execute("SELECT size FROM state").fetchall()
    while True:
        for _ in range(_TRIES):
            idx = secrets.randbelow(size)
            if connection.execute("INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?)", (idx, *entry)).rowcount:
                return idx
        # So many in a row are taken only where most are.
        size *= 2
        if size > LAST_SIZE:
            raise ConfigurationError(
                "The agent was not issued",
                why=f"its list of statuses has {LAST_SIZE} places, and most are taken",
                fix="Issue agents for a shorter time",
            )
        connection.execute("UPDATE state SET size = ?", (size,))


def _column(rows: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(row[0] for row in rows)


def _changed(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The {_WHAT} {quote(path)} was refused",
        why=why,
        fix="Put the right one in its place, or start the program again if it is the right one",
    )


def _unusable(path: Path | None, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"The {_WHAT} {quote(os.fspath(path or 'in memory'))} could not be used",
        why=f"SQLite says: {quote(error)}",
        fix="Restore it from a backup if it is damaged; check the disk and who may write there if it is not",
    )
