"""One statement of `sqlite3`, from a look at what it does to its end."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.databases.sqlite_authorizer import Authorizer, Running, authorizer_of
from agentid.access.databases.sqlite_cursor import Reader
from agentid.access.databases.sqlite_events import ASIDE, Event, Places, accesses_of, is_noise, operation_of, sets
from agentid.errors import ConfigurationError
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.library import Library
    from agentid.access.touching import Touching

__all__ = ["Connections", "unwrapped"]

_CUT: Final = re.compile(rf"{ASIDE.pattern}|;", re.DOTALL)
_SHADOWS: Final = (
    *("_config", "_content", "_data", "_docsize", "_idx"),
    *("_node", "_parent", "_rowid", "_segdir", "_segments", "_stat"),
)
_TRANSACTION: Final = frozenset({22, 25, 32})
_ATTACH: Final = 24
_LEGACY: Final = -1  # `sqlite3.LEGACY_TRANSACTION_CONTROL`, which is how all connections were before Python 3.12


class Connections:
    """
    What is done with the connections of `sqlite3`.

    Args:
        module: `sqlite3`.
        access: The installation.
        library: For whom it decides.
    """

    def __init__(self, module: Any, access: Installation, library: Library) -> None:
        base = cast("dict[str, Any]", vars(module.Connection))
        plain = cast("dict[str, Any]", vars(module.Cursor))
        # As they are in the types: a subclass may have others of that name, which may do anything.
        self._prepare: Any = base["__call__"]
        self._new_cursor: Any = unwrapped(base["cursor"])
        self._set_authorizer: Any = base["set_authorizer"]
        self._commit: Any = unwrapped(base["commit"])
        self._text_factory: Any = base["text_factory"]
        self._execute: Any = unwrapped(plain["execute"])
        self._fetchall: Any = plain["fetchall"]
        self._row_factory: Any = plain["row_factory"]
        self._rowcount: Any = plain["rowcount"]
        self._description: Any = plain["description"]
        self._is_complete: Callable[[str], bool] = module.complete_statement
        self._one_sets = Lock()
        self._access = access
        self._library = library

    # --- statements --------------------------------------------------------------------------------------------------

    def execute(
        self,
        connection: Any,
        cursor: Any,
        run: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        many: bool = False,
    ) -> Any:
        """Decide a statement, and run it."""
        if not args or not isinstance(args[0], str):
            return run(*args, **kwargs)
        # As C reads it: a subclass may print as something else than it is.
        text = str.__str__(args[0])
        run = functools.partial(run, text, *args[1:], **kwargs)
        if isinstance(cursor, Reader):
            cursor.agentid_let_go()
        authorizer = self._authorizer_of(connection)
        told, failure = self._look(connection, authorizer, text)
        places = self._places(connection, authorizer)
        found: tuple[Access, ...] = ()
        odd: ConfigurationError | None = None
        try:
            found = accesses_of(told, text, places)
        except ConfigurationError as error:
            odd = error
        if not found and odd is None:
            if failure is not None:
                raise failure
            running = self._running(told, found, places)
            with authorizer.phase(running):
                return running.run(run)

        def accesses() -> Iterable[Access]:
            if odd is not None:
                raise odd
            return found

        touching = self._touching(places, accesses, operation_of(told), found)
        with _failing(touching):
            if failure is not None:
                raise failure
            running = self._running(told, found, places)
            with authorizer.phase(running):
                result = running.run(run)
        if not many and isinstance(cursor, Reader) and self._description.__get__(cursor) is not None:

            def reads(function: Callable[..., Any], *some: Any) -> Any:
                with authorizer.phase(running):
                    return running.run(function, *some)

            touching.pause()
            cursor.agentid_hold(touching, reads)
            return result
        count: int = self._rowcount.__get__(cursor)
        if count >= 0:
            touching(rows=count)
        touching.__exit__(None, None, None)
        return result

    def script(
        self, connection: Any, cursor: Any, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """
        Run the statements of a script one by one, each decided before it runs.

        As `executescript` does, it ends a transaction first and begins none by itself.
        """
        if len(args) != 1 or kwargs or not isinstance(args[0], str):
            return run(*args, **kwargs)
        if isinstance(cursor, Reader):
            cursor.agentid_let_go()
        isolation: Any = None
        if getattr(connection, "autocommit", _LEGACY) == _LEGACY:
            if connection.in_transaction:
                self._commit(connection)
            isolation = connection.isolation_level
            if isolation is not None:
                connection.isolation_level = None
        try:
            for text in self._statements(str.__str__(args[0])):
                step = self._new_cursor(connection)
                self.execute(connection, step, functools.partial(self._execute, step), (text,), {}, many=True)
                self._fetchall(step)
        finally:
            if isolation is not None:
                connection.isolation_level = isolation
        return cursor

    def _statements(self, script: str) -> Iterator[str]:
        start = 0
        for piece in _CUT.finditer(script):
            # SQLite knows which semicolons are inside of a trigger.
            if piece[0] == ";" and self._is_complete(script[start : piece.end()]):
                yield script[start : piece.end()]
                start = piece.end()
        if ASIDE.sub(lambda piece: "" if piece[0][:1] in "-/" else piece[0], script[start:]).strip():
            yield script[start:]

    def _look(self, connection: Any, authorizer: Authorizer, text: str) -> tuple[list[Event], Exception | None]:
        """What SQLite tells about a statement, and why it cannot be prepared."""
        told: list[Event] = []
        for _ in range(2):
            told.clear()
            try:
                with authorizer.phase(told):
                    self._prepare(connection, text)
            except Exception as failure:
                if not told:
                    raise
                # A setting was not prepared because it would have been made already: what is wrong with it, it says
                # when it runs.
                return told, None if sets(told[-1]) else failure
            if not is_noise(told):
                break
        return told, None

    def _running(self, told: list[Event], decided: tuple[Access, ...], places: Places) -> Running:
        allowed = set(decided)
        anything = Access("execute", places.database()) in allowed
        is_transaction = all(event[0] in _TRANSACTION for event in told) and bool(told)
        tables = {(event[3], f"{event[1]}_") for event in told if event[1] and event[3]}

        def late(event: Event) -> bool:
            if is_transaction or (anything and event[0] != _ATTACH):
                return True
            # Tables in which a virtual table, such as one for full text, keeps what is in it.
            name = event[1] or ""
            if name.endswith(_SHADOWS) and any(event[3] == schema and name.startswith(own) for schema, own in tables):
                return True
            return self._decide_late(places.blindly(), event, told, allowed)

        return Running(told, late)

    def _late(self, authorizer: Authorizer, event: Event) -> bool:
        """Decide what is done without a statement that was looked at."""
        if not self._access.watches(self._library.layer):
            return True
        if authorizer.places is None:
            raise ConfigurationError("a table of SQLite", why="it is unknown where the tables are")
        return self._decide_late(authorizer.places.blindly(), event, [], set())

    def _decide_late(self, places: Places, event: Event, told: list[Event], allowed: set[Access]) -> bool:
        more = [access for access in accesses_of([event], "", places, told) if access not in allowed]
        if more:
            with self._touching(places, lambda: more, operation_of([event]), tuple(more)):
                allowed.update(more)
        return True

    # --- places and accesses -----------------------------------------------------------------------------------------

    def touching(self, connection: Any, accesses: Callable[[], Iterable[Access]], operation: str) -> Touching:
        """Give the block of something that is done to whole tables or databases."""
        places = self.places(connection)
        return self._touching(places, accesses, operation, ())

    def _touching(
        self, places: Places, accesses: Callable[[], Iterable[Access]], operation: str, found: tuple[Access, ...]
    ) -> Touching:
        attributes = {names.DB_SYSTEM: "sqlite", names.DB_NAMESPACE: places.namespace, names.DB_OPERATION: operation}
        tables = {access.resource.segments[-1] for access in found if not places.is_database(access.resource)}
        if len(tables) == 1:
            attributes[names.DB_COLLECTION] = tables.copy().pop()
        name = f"{operation} {' '.join(sorted(tables))}" if 0 < len(tables) < 4 else operation
        return self._access.touching(self._library, accesses, name, attributes=attributes)

    @contextmanager
    def inside(self, connection: Any) -> Generator[None]:
        """What SQLite does in the block by itself was decided, or is no access."""
        with self._authorizer_of(connection).phase(Running([], lambda _event: True)):
            yield

    def _authorizer_of(self, connection: Any) -> Authorizer:
        with self._one_sets:
            return authorizer_of(connection, self._set_authorizer, self._late)

    def places(self, connection: Any) -> Places:
        """Where the tables of a connection are."""
        return self._places(connection, self._authorizer_of(connection))

    def forget(self, connection: Any) -> None:
        """Where they are has changed."""
        self._authorizer_of(connection).places = None

    def _places(self, connection: Any, authorizer: Authorizer) -> Places:
        if authorizer.places is None or authorizer.moves:
            rows = self._ask(connection, authorizer, "PRAGMA database_list")
            files = {_text(schema): _text(path) for _number, schema, path in rows}
            find = functools.partial(self._find, connection, authorizer, list(files))
            authorizer.places = Places(files, find, functools.partial(self._is_virtual, connection, authorizer))
        return authorizer.places

    def _find(
        self, connection: Any, authorizer: Authorizer, schemas: list[str], name: str
    ) -> Iterable[tuple[str, str]]:
        if name.lower().startswith(("sqlite_", "pragma_")):
            return [("main", name)]
        found: list[tuple[str, str]] = []
        for schema in schemas:
            quoted = schema.replace('"', '""')
            query = f'SELECT name FROM "{quoted}".sqlite_master WHERE name = ? COLLATE NOCASE'  # noqa: S608
            found += ((schema, _text(row[0])) for row in self._ask(connection, authorizer, query, (name,)))
        if not found:
            # Either a `WITH` query, which is told of by itself, or a table that is no table.
            modules = {_text(row[0]).lower() for row in self._ask(connection, authorizer, "PRAGMA module_list")}
            return [("main", name)] if name.lower() in modules else []
        return found

    def _is_virtual(self, connection: Any, authorizer: Authorizer, schema: str, name: str) -> bool:
        quoted = schema.replace('"', '""')
        query = f'SELECT type, rootpage FROM "{quoted}".sqlite_master WHERE name = ? COLLATE NOCASE'  # noqa: S608
        return any(_text(row[0]) == "table" and not row[1] for row in self._ask(connection, authorizer, query, (name,)))

    def _ask(self, connection: Any, authorizer: Authorizer, *query: Any) -> list[tuple[Any, ...]]:
        """Ask SQLite something; nobody's code runs, and nobody hears of it."""
        cursor = self._new_cursor(connection)
        self._row_factory.__set__(cursor, None)
        factory = self._text_factory.__get__(connection)
        try:
            if factory not in (str, bytes):
                self._text_factory.__set__(connection, bytes)
            with authorizer.phase(None):
                self._execute(cursor, *query)
                return self._fetchall(cursor)
        finally:
            if factory not in (str, bytes):
                self._text_factory.__set__(connection, factory)


@contextmanager
def _failing(touching: Touching) -> Generator[None]:
    """Begin an access, and end it here only if the block fails."""
    touching.__enter__()
    try:
        yield
    except BaseException as error:
        touching.__exit__(type(error), error, error.__traceback__)
        raise


def unwrapped(function: Any) -> Any:
    """A function as it was before it was wrapped here."""
    return getattr(function, "__wrapped__", function)


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
