"""
Where a connection of `psycopg` leads, and what a text does there.

A table without a schema is looked for among the temporary ones, and then along the search path of the connection. The
server is asked for both, once in a session, and for each text after one that may have changed them. If the path has
several schemas, all of them may be meant. It is asked, too, which functions may be written as columns of a row.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from agentid.access.sql.access import SqlDoing, SqlServer
from agentid.access.sql.names import SqlDatabase
from agentid.access.sql.reading import SqlReader
from agentid.errors import ConfigurationError
from agentid.guard.session import current_session
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.library import Library
    from agentid.access.touching import Touching

__all__ = ["Later", "Servers", "Untouched", "encoding_of"]

_IDLE, _IN_TRANSACTION = 0, 2  # of libpq's PGTransactionStatusType
_MAX_SESSIONS: Final = 16  # that take turns on a connection
_ROWS: Final = 2  # and of its ExecStatusType
_MAX_PREPARED: Final = 512  # a connection of `psycopg` keeps a hundred
_DECLARE: Final = re.compile(rb'DECLARE "(?:[^"]|"")*" (?:(?:NO )?SCROLL )?CURSOR (?:WITH HOLD )?FOR (.*)', re.DOTALL)
_LITERAL: Final = r"(?:'(?:[^'\\]|'')*'| ?E'(?:[^'\\]|''|\\\\)*')"
_LOOKS: Final = rf"SELECT 1 FROM pg_catalog\.pg_cursors WHERE name = {_LITERAL}"  # noqa: S608 -- it is read, and not sent
_CLOSES: Final = re.compile(rf'CLOSE "(?:[^"]|"")*"|{_LOOKS}')
_FETCHES: Final = re.compile(r'(?:FETCH FORWARD|MOVE|MOVE ABSOLUTE) (?:ALL| ?-?[0-9]+) FROM "((?:[^"]|"")*)"')
_PATH: Final = b"""
SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(false)), (SELECT pg_catalog.json_agg(relname)
FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()),
(SELECT pg_catalog.json_agg(DISTINCT p.proname::pg_catalog.text) FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) p.proargtypes[0]
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog' AND t.typtype OPERATOR(pg_catalog.<>) 'b')
"""
_TEMPORARY: Final = "pg_temp"


class Untouched:
    """Stands for the block of a text that touches nothing, such as `begin`: nothing is decided, nothing recorded."""

    def __enter__(self) -> Untouched:
        return self

    async def __aenter__(self) -> Untouched:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def __call__(
        self, *, rows: int | None = None, size: int | None = None, attributes: Mapping[str, Any] | None = None
    ) -> None:
        """Nothing."""

    def pause(self) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing."""

    def close(self, error: BaseException | None = None) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Later:
    """
    What `psycopg` sends for a cursor of the server that was decided before: to fetch from it, to move and to close it.

    Args:
        name: Of that cursor; None for one that nobody has decided about, which may only be closed.
    """

    name: str | None = None

    def permits(self, text: str) -> bool:
        """Whether *text* is that, and nothing else."""
        fetches = _FETCHES.fullmatch(text)
        if fetches is None:
            return _CLOSES.fullmatch(text) is not None
        return fetches[1].replace('""', '"') == self.name


class _Path(NamedTuple):
    """Where a table without a schema is looked for, temporary ones by name; and the functions that take a row."""

    schemas: tuple[str, ...] = ()
    temporary: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()


@dataclass
class _Known:
    """What is known of a connection: its server, its search path in each session, and the texts it has prepared."""

    server: SqlServer
    paths: OrderedDict[str, _Path] = field(default_factory=OrderedDict[str, _Path])
    prepared: OrderedDict[bytes, frozenset[bytes]] = field(default_factory=OrderedDict[bytes, "frozenset[bytes]"])
    moves: bool = False


class Servers:
    """
    The connections that were seen, for as long as they live.

    Args:
        access: The installation.
        library: For whom it decides.
        execute: Sends a text at once, without being decided.

    Attributes:
        decided: What was decided above about a connection, while it is sent there; None where nothing was.
        by_service: The connections whose host a service of libpq says.
    """

    def __init__(self, access: Installation, library: Library, execute: Any) -> None:
        self.decided: ContextVar[tuple[Any, SqlDoing | Later] | None] = ContextVar(
            "agentid_psycopg_decided", default=None
        )
        self.by_service: WeakSet[Any] = WeakSet()
        self._access = access
        self._library = library
        self._execute = execute
        self._reader = SqlReader()
        self._known: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()

    def deciding(self, connection: Any, text: bytes | None) -> tuple[Touching | Untouched, SqlDoing]:
        """Give the block in which a text is sent, None if it is unknown which one, and what it does."""
        server = self._of(connection).server
        odd: ConfigurationError | None = None
        try:
            doing = server.anything() if text is None else self.doing(connection, text)
        except ConfigurationError as error:
            odd, doing = error, SqlDoing((), "EXECUTE", understood=False)
        if odd is None and not doing.accesses:
            return Untouched(), doing

        def accesses() -> Iterable[Access]:
            if odd is not None:
                raise odd
            return doing.accesses

        host, _, port = server.authority.rpartition(":")
        attributes: dict[str, Any] = {
            names.DB_SYSTEM: "postgresql",
            names.DB_NAMESPACE: server.database,
            names.DB_OPERATION: doing.operation,
            names.SERVER_ADDRESS: host.strip("[]"),
            names.SERVER_PORT: int(port) if port.isdecimal() else 0,
        }
        if doing.table:
            attributes[names.DB_COLLECTION] = doing.table
        touching = self._access.touching(self._library, accesses, doing.name, attributes=attributes, is_client=True)
        return touching, doing

    @contextmanager
    def fetching(self, connection: Any, doing: SqlDoing | Later) -> Generator[None]:
        """In the block, `psycopg` sends what belongs to something that was decided before."""
        token = self.decided.set((connection, doing))
        try:
            yield
        finally:
            with suppress(ValueError):  # a generator that is thrown away elsewhere
                self.decided.reset(token)

    @contextmanager
    def sending(self, connection: Any, doing: SqlDoing) -> Generator[None]:
        """In the block, what was decided is sent."""
        try:
            with self.fetching(connection, doing):
                yield
        finally:
            if not doing.understood or any(map(_changes_temporary, doing.accesses)):
                # It may have changed where names lead, and a transaction may change it back.
                self._of(connection).moves = True

    def needs_path(self, connection: Any) -> bool:
        """Whether the search path must be asked for before a text is read."""
        known = self._of(connection)
        return known.moves or _session() not in known.paths

    def ask_path(self, connection: Any) -> None:
        """
        Ask for the search path, if it can be asked for now: nothing else may be sent on the connection meanwhile.

        In a pipeline or a failed transaction it stays unknown.
        """
        known = self._of(connection)
        known.paths.pop(_session(), None)
        if connection.pipeline_status or connection.transaction_status not in (_IDLE, _IN_TRANSACTION):
            return
        result = self._execute(connection, _PATH)
        if result.status == _ROWS:
            schemas, *names = (json.loads(result.get_value(0, column) or b"[]") for column in range(3))
            known.paths[_session()] = _Path(tuple(schemas), *map(frozenset[str], names))
            if len(known.paths) > _MAX_SESSIONS:
                known.paths.popitem(last=False)

    def prepares(self, connection: Any, name: bytes, text: bytes) -> None:
        """Note what a statement says that is prepared; the server may refuse to, so what it said before counts, too."""
        prepared = self._of(connection).prepared
        prepared[name] = prepared.get(name, frozenset()) | {text}
        if len(prepared) > _MAX_PREPARED:
            prepared.popitem(last=False)

    def prepared(self, connection: Any, name: bytes) -> frozenset[bytes]:
        """What a statement may say that was prepared; nothing where that was not seen."""
        return self._of(connection).prepared.get(name, frozenset())

    def was_decided(self, connection: Any, texts: Iterable[bytes] | None) -> bool:
        """Whether all of these texts belong to what was decided above; None stands for something else."""
        above = self.decided.get()
        if above is None or above[0] is not connection:
            if self.needs_path(connection):
                self.ask_path(connection)
            return False
        return texts is not None and all(self._belongs(connection, text, above[1]) for text in texts)

    def _belongs(self, connection: Any, text: bytes, decided: SqlDoing | Later) -> bool:
        try:
            if isinstance(decided, Later):
                return decided.permits(text.decode(encoding_of(connection)))
            declared = _DECLARE.fullmatch(text)
            return not decided.understood or set(
                self.doing(connection, text if declared is None else declared[1]).accesses
            ) <= set(decided.accesses)
        except (ConfigurationError, UnicodeDecodeError, LookupError):
            return False

    def doing(self, connection: Any, text: bytes) -> SqlDoing:
        """
        What a text does, as far as that is known without asking the server.

        Raises:
            ConfigurationError: It touches what no resource can name.
        """
        known = self._of(connection)
        try:
            read = text.decode(encoding_of(connection))
        except (UnicodeDecodeError, LookupError):
            return known.server.anything()
        if "'" not in read and '"' not in read:
            # How `psycopg` itself looks up a type. The name of one tells nothing that its number does not.
            read = read.replace("oid::regtype::text", "oid::text")
        if connection.parameter_status(b"standard_conforming_strings") != b"on":
            return known.server.anything()
        found = known.paths.get(_session())
        if found is None and "." in read:
            return known.server.anything()  # it might name a function there
        path, temporary, functions = found or _Path()
        database = SqlDatabase("postgres", known.server.database, temporary=temporary, row_functions=functions)
        at_once = self._reader.read(read, database)
        if not at_once.understood or not at_once.accesses:
            return known.server.doing(self._reader, read, [database])
        # What stands before the functions and tables of PostgreSQL may be taken for them.
        if "pg_catalog" in path:
            return known.server.anything()
        if any(schema.startswith(f"{_TEMPORARY}_") for schema in path):
            # Where the path says when temporary tables are looked for, others may hide them.
            path = (*(schema for schema in path if not schema.startswith(f"{_TEMPORARY}_")), _TEMPORARY)
            database = replace(database, temporary=frozenset())
        databases = [replace(database, schema=schema) for schema in path]
        return known.server.doing(self._reader, read, databases)

    def _of(self, connection: Any) -> _Known:
        known = self._known.get(connection)
        if known is None:
            host = connection.host.decode("utf-8", "replace")
            if connection in self.by_service:
                # It may say both, and the address is what is called.
                addresses = [option.val for option in connection.info if option.keyword == b"hostaddr"]
                host = (addresses[0] or b"").decode("ascii", "replace") or host
            # A socket of this machine, or the default, which is one.
            host = "localhost" if host[:1] in ("", "/", "@") else host
            port = (connection.port or b"5432").decode("ascii", "replace")
            authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            known = _Known(SqlServer("postgres", authority, database=connection.db.decode("utf-8", "replace")))
            self._known[connection] = known
        return known


def encoding_of(connection: Any) -> str:
    """
    How texts are written for the server, as a name that Python knows.

    Raises:
        LookupError: It has none.
    """
    found: str = getattr(connection, "_encoding", "")  # older ones do not say
    if not found and connection.parameter_status(b"client_encoding") not in (b"UTF8", b"SQL_ASCII"):
        raise LookupError("client_encoding")
    return found or "utf-8"


def _changes_temporary(access: Access) -> bool:
    return access.action != "read" and access.resource.segments[-2:-1] == (_TEMPORARY,)


def _session() -> str:
    session = current_session()
    return "" if session is None else session.id
