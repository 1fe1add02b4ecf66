"""
What SQLite says about a statement while it prepares it, in the words of permissions.

SQLite calls an *authorizer* for each thing that a statement will do: an *event* of an operation, two details, the
schema, and the view or trigger that it happens in. Whatever a view or trigger does is done by the statement.

| statement | access |
|---|---|
| a query, `count(*)`, `WHERE`, `RETURNING`, `PRAGMA table_info` | `read` of the table |
| `INSERT` | `write`; with `OR REPLACE` also `delete`, of which SQLite says nothing |
| `INSERT` of a command into a table for full text | `write`, `edit` and `delete` |
| `UPDATE`, `CREATE`, `ALTER`, an index or trigger of a table | `edit` |
| `DELETE`, `DROP` | `delete` |
| `ATTACH` | `read` of that database, or `write` if it makes a new file |
| settings of the connection, transactions, a setting that is only asked for | none |
| `user_version` and other settings of a file, `integrity_check` | `read` of the database; to set one, `edit` |
| anything else, a table that is renamed | `execute` of the database |
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from agentid.errors import ConfigurationError
from agentid.permission import Action
from agentid.record import Access
from agentid.resource import Resource

__all__ = [
    "ASIDE",
    "Event",
    "Places",
    "accesses_of",
    "creates_file",
    "database_at",
    "is_noise",
    "operation_of",
    "sets",
]

Event = tuple[int, "str | None", "str | None", "str | None", "str | None"]

# The numbers of sqlite3.h; Python names only some of them.
_INDEXES: Final = frozenset({1, 3, 10, 12})
_TRIGGERS: Final = frozenset({5, 7, 14, 16})
_MADE: Final = frozenset({2, 4, 6, 8})
_DROPPED: Final = frozenset({11, 13, 15, 17, 30})
_CREATES: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 29})
_ALTER, _NEW_VIRTUAL, _ATTACH, _FUNCTION, _INSERT, _PRAGMA, _READ, _SELECT = 26, 29, 24, 31, 18, 19, 20, 21
_TEMP_TRIGGERS, _REINDEX = (5, 14), 27
_DEFINES: Final = _CREATES | _DROPPED | _INDEXES | _TRIGGERS | {_ALTER}
_TABLE: Final[dict[int, Action]] = {9: "delete", 18: "write", _READ: "read", 23: "edit"}
_NOTHING: Final = frozenset({_SELECT, 22, 25, 32, 33})  # SELECT, transactions, DETACH, savepoints, recursion
_VERBS: Final = {9: "DELETE", 18: "INSERT", 19: "PRAGMA", 20: "SELECT", 21: "SELECT", 23: "UPDATE", 24: "ATTACH"}

_EFFECTS: Final = frozenset(
    {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "eval", "sqlar_extract"}
)
_OWN_MODULES: Final = frozenset({"fts3", "fts4", "fts5", "fts5vocab", "rtree", "rtree_i32", "geopoly"})
_OF_TABLE = "table_info table_xinfo index_list index_info index_xinfo foreign_key_list"
_OF_CONNECTION = """
automatic_index busy_timeout cache_size cache_spill case_sensitive_like cell_size_check collation_list compile_options
data_version database_list defer_foreign_keys empty_result_callbacks encoding foreign_keys full_column_names
function_list module_list pragma_list query_only read_uncommitted recursive_triggers reverse_unordered_selects
short_column_names temp_store threads
"""
_OF_PROCESS = """
analysis_limit checkpoint_fullfsync fullfsync hard_heap_limit ignore_check_constraints legacy_alter_table mmap_size
soft_heap_limit trusted_schema writable_schema
"""
_OF_FILE = """
application_id auto_vacuum freelist_count journal_mode journal_size_limit locking_mode max_page_count page_count
page_size schema_version secure_delete synchronous user_version wal_autocheckpoint
"""
_TABLE_PRAGMAS: Final = frozenset(_OF_TABLE.split())
_CONNECTION_PRAGMAS: Final = frozenset(_OF_CONNECTION.split())
_READABLE_PRAGMAS: Final = frozenset(_OF_PROCESS.split())
_FILE_PRAGMAS: Final = frozenset(_OF_FILE.split())
_CHECKS: Final = frozenset({"foreign_key_check", "integrity_check", "quick_check"})

_LETTER: Final = r"[\w$\x80-\U0010ffff]"
_FOLDED: Final = str.maketrans({chr(c): chr(c + 32) for c in range(ord("A"), ord("Z") + 1)})
_UNQUOTED: Final = {**_FOLDED, **dict.fromkeys(map(ord, "\"'`[]"))}
ASIDE: Final = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]"
    # A parameter may have anything in brackets behind its name, and what looks like a quotation there is none.
    rf"|(?:[@:#]|(?<!{_LETTER})\$)(?:{_LETTER}|::)+\([^ \t\n\v\f\r)]*\)",
    re.DOTALL,
)
_REPLACES: Final = re.compile(r"\breplace\b(?!\s*\()", re.IGNORECASE)


class Places:
    """
    Which file each schema of a connection is in, and where its tables are.

    Args:
        files: The path of each schema; empty for one in memory or a temporary one.
        find: The schemas that have a table of that name, with its name as it was created.
        is_virtual: Whether that table of that schema is a virtual one.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        find: Callable[[str], Iterable[tuple[str, str]]],
        is_virtual: Callable[[str, str], bool] = lambda _schema, _name: False,
    ) -> None:
        self._roots = {schema.translate(_FOLDED): _root(path) for schema, path in files.items()}
        self.find = find
        self.is_virtual = is_virtual

    @property
    def namespace(self) -> str:
        """Where the main schema is: a path, or `memory`."""
        authority, segments = self._root_of("main")
        return authority or "/" + "/".join(segments)

    def database(self, schema: str = "main") -> Resource:
        """The whole database of a schema."""
        authority, segments = self._root_of(schema)
        return Resource.of("sqlite", authority, *segments)

    def databases(self, schema: str | None) -> list[Resource]:
        """The whole database of a schema, or of all."""
        return [self.database(each) for each in (self._roots if schema is None else [schema])]

    def is_database(self, resource: Resource) -> bool:
        """Whether that is a whole database, or none of these."""
        return len(resource.segments) < 2 or not any(
            (resource.authority, resource.segments[:-2]) == root for root in (*self._roots.values(), ("memory", ()))
        )

    def tables(self, schema: str | None, name: str) -> Iterable[Resource]:
        """The tables that a name may mean: without a schema, all of that name."""
        if schema is None:
            return [table for found, real in self.find(name) for table in self.tables(found, real)]
        authority, segments = self._root_of(schema)
        return [Resource.of("sqlite", authority, *segments, schema.translate(_FOLDED), name.translate(_FOLDED))]

    def blindly(self) -> Places:
        """The same for when nothing can be asked: a name without a schema may be in each of them."""
        found = Places({}, lambda name: [(schema, name) for schema in self._roots])
        found._roots = self._roots
        return found

    def _root_of(self, schema: str) -> tuple[str, tuple[str, ...]]:
        schema = schema.translate(_FOLDED)
        root = self._roots.get(schema, ("memory", ()) if schema == "temp" else None)
        if root is None:
            raise ConfigurationError("a schema of SQLite is unknown", why="it names a schema that is unknown")
        return root


def _root(path: str) -> tuple[str, tuple[str, ...]]:
    # What was put in by `deserialize` has a name that is no path.
    return ("", PurePath(os.path.realpath(path)).parts[1:]) if PurePath(path).is_absolute() else ("memory", ())


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except ValueError:  # no name of a file
        return False


def database_at(path: str) -> Resource:
    """The database in a file."""
    return Resource.of("sqlite", "", *PurePath(os.path.realpath(path)).parts[1:])


def creates_file(database: object, *, uri: bool) -> str:
    """
    The file that opening *database* makes, because it is not there yet; empty if it makes none.

    Raises:
        ConfigurationError: That cannot be said.
    """
    if not isinstance(database, (str, bytes, os.PathLike)):
        return ""  # sqlite3 refuses it
    path = os.fsdecode(database)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if path[:5].lower() == "file:":
        if not uri:
            # SQLite may be built to take it for a URI all the same.
            raise ConfigurationError("an address of SQLite", why="it may be a file's name or an address")
        parts = urlsplit(path)
        options = parse_qsl(parts.query, keep_blank_values=True)
        modes = [value for key, value in options if key == "mode"]
        if modes in (["ro"], ["rw"], ["memory"]) or ("vfs", "memdb") in options:
            return ""
        path = unquote(parts.path)
    return "" if path in ("", ":memory:") or _exists(path) else path


def sets(event: Event) -> bool:
    """Whether it is a setting that may be made while it is prepared: a pragma that is not known to only look."""
    operation, name, value, _schema, _inside = event
    if operation != _PRAGMA:
        return False
    known = _TABLE_PRAGMAS if value is not None else _CONNECTION_PRAGMAS | _READABLE_PRAGMAS | _FILE_PRAGMAS
    return (name or "").translate(_FOLDED) not in known


def is_noise(events: Iterable[Event]) -> bool:
    """Whether SQLite has told of a table of its own that it set up meanwhile: prepared again, it does not."""
    found = list(events)
    return any(e[0] == 23 and e[1] == "sqlite_master" for e in found) and not any(e[0] in _DEFINES for e in found)


def operation_of(events: Iterable[Event]) -> str:
    """What a statement does, in one word, such as `SELECT`."""
    operations = {event[0] for event in events}
    for found, word in ((_CREATES, "CREATE"), (_DROPPED | _INDEXES | _TRIGGERS, "DROP"), ({_ALTER}, "ALTER")):
        if operations & found:
            return word
    for operation in (18, 23, 9, 24, 19, 20, 21):
        if operation in operations:
            return _VERBS[operation]
    return "EXECUTE"


def accesses_of(events: Iterable[Event], text: str, places: Places, within: Iterable[Event] = ()) -> tuple[Access, ...]:
    """
    Say what a statement does to which resources, each once; nothing for one that touches nothing.

    Args:
        events: What SQLite told about it.
        text: The statement.
        places: Where the tables are.
        within: What it told before, if *events* are of a statement that runs already.

    Raises:
        ConfigurationError: It touches what no resource can name.
    """
    told = list(events)
    words = ASIDE.sub(" ", text)
    found: dict[Access, None] = {}
    if not told and words.replace(";", "").strip():
        # VACUUM, which may write another file, tells nothing beforehand.
        return (Access("execute", places.database()),)
    operations = {event[0] for event in (*within, *told)}
    reading = _Reading(places, operations, text, replaces=_REPLACES.search(words) is not None)
    for event in told:
        found.update(dict.fromkeys(reading.accesses(event)))
    return tuple(found)


class _Reading:
    """One statement: all operations in it, and whether it may replace rows."""

    def __init__(self, places: Places, operations: set[int], text: str, *, replaces: bool) -> None:
        self._places = places
        self._names = text.translate(_UNQUOTED)
        self._defines = operations & _DEFINES
        self._queries = _SELECT in operations
        self._replaces = replaces
        self._tables: dict[tuple[str | None, str], list[Resource]] = {}

    def accesses(self, event: Event) -> Iterable[Access]:
        operation, first, second, schema, inside = event
        if operation in _NOTHING or (operation == _REINDEX and self._defines):
            return []
        if operation in _TABLE and first is not None:
            found = self._table(operation, first, second, schema)
            if operation == _INSERT and not inside and self._may_command(schema, first):
                return [*found, *self._on(schema, first, "edit", "delete")]
            return found
        if operation in _DEFINES and first is not None and second != "":
            return self._definition(operation, first, second, schema)
        if operation == _PRAGMA and first is not None:
            return self._pragma(first.translate(_FOLDED), second, schema)
        if operation == _ATTACH:
            return self._attach(first)
        if operation == _FUNCTION and second is not None and second.translate(_FOLDED) not in _EFFECTS:
            # A renamed table takes its data to a name that SQLite does not tell.
            return self._anything() if second == "sqlite_rename_table" and _ALTER in self._defines else []
        return self._anything()

    def _anything(self) -> Iterable[Access]:
        return [Access("execute", self._places.database())]

    def _on(self, schema: str | None, name: str, *actions: Action) -> Iterable[Access]:
        # SQLite tells of each column that is read, so the same table comes again and again.
        tables = self._tables.get((schema, name))
        if tables is None:
            tables = self._tables[schema, name] = list(self._places.tables(schema, name))
        return [Access(action, table) for table in tables for action in actions]

    def _table(self, operation: int, name: str, column: str | None, schema: str | None) -> Iterable[Access]:
        if self._defines and operation == _READ and not self._queries:
            return []  # of a table that is made, or that gets an index
        if self._defines and name.startswith("sqlite_"):
            # How SQLite does it. Of these, only the query of `CREATE TABLE … AS` reads for the statement.
            by_itself = operation != _READ or column == "ROWID" or not self._defines & _MADE
            if by_itself:
                return []
        actions: list[Action] = [_TABLE[operation]]
        if self._replaces and operation in (18, 23):
            actions.append("delete")
        return self._on(schema, name, *actions)

    def _may_command(self, schema: str | None, name: str) -> bool:
        # A table for full text takes commands, such as `delete-all`, in a column that is called as the table is.
        said_twice = self._names.count(name.translate(_UNQUOTED)) > 1
        return said_twice and self._places.is_virtual(schema or "main", name)

    def _definition(self, operation: int, first: str, second: str | None, schema: str | None) -> Iterable[Access]:
        if operation == _ALTER:
            return self._on(first, second or "", "edit")
        if operation in _INDEXES | _TRIGGERS:
            # A temporary trigger may be one of a table in another schema.
            return self._on(None if operation in _TEMP_TRIGGERS else schema, second or "", "edit")
        if operation in _DROPPED:
            return self._on(schema, first, "delete")
        if operation == _NEW_VIRTUAL and (second or "").translate(_FOLDED) not in _OWN_MODULES:
            return [*self._on(schema, first, "edit"), *self._anything()]
        return self._on(schema, first, "edit")

    def _pragma(self, name: str, value: str | None, schema: str | None) -> Iterable[Access]:
        if name in _CONNECTION_PRAGMAS or (name in _READABLE_PRAGMAS and value is None):
            return []
        if name in _TABLE_PRAGMAS and value is not None:
            return self._on(schema, value, "read")
        if name == "table_list":
            return self._on(schema or "main", "sqlite_master", "read")
        if name in _FILE_PRAGMAS:
            database = self._places.database(schema or "main")
            return [Access("read" if value is None else "edit", database)]
        if name in _CHECKS:
            # What a check finds wrong, it tells; without a schema it looks into all.
            return [Access("read", each) for each in self._places.databases(schema)]
        return self._anything()

    def _attach(self, path: str | None) -> Iterable[Access]:
        if path in ("", ":memory:"):
            return []
        if path is None or path[:5].lower() == "file:":
            # A parameter or an address: which file it is, is said only when it is too late.
            return self._anything()
        return [Access("read" if _exists(path) else "write", database_at(path))]
