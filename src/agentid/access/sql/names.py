"""
Names of tables: which table an SQL name means, in one spelling.

Rules:

- A name is folded as its database folds it: two spellings of one table are one `SqlTable`.
- A name without a schema gets the default one; PostgreSQL looks into `pg_catalog` first.
- Where a name may mean two tables, both are given: whoever asks must be allowed both.
- A name that certainly means no table that could be named to a person is refused: a file, a name that the
  database would cut, one with control characters.

This module reads no SQL; `sql.text` and `sql.walk` do.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, replace
from typing import Final, Literal

from agentid.access.sql.text import DIALECTS, Unreadable
from agentid.access.sql.tree import CALLED, Node, kind_of
from agentid.errors import ConfigurationError, nearest, quote

__all__ = ["SqlDatabase", "SqlTable", "fold", "made", "tables_named", "tables_of", "temporary"]

_NAME: Final = "a name stands for no certain table"

_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_DEFAULT_SCHEMA: Final = {"postgres": "public", "sqlite": "main", "duckdb": "main"}
_TEMPORARY: Final = {"postgres": ("", "pg_temp"), "sqlite": ("", "temp"), "duckdb": ("temp", "main")}
# DuckDB reads a file where no table has the name.
_FILE_LIKE: Final = re.compile(r"[^\w $-]")
_FILE_SUFFIXES = """
arrow arrows avro bz2 csv db duckdb feather gz ipc json jsonl ndjson orc parquet pq shp sqlite tsv txt xls xlsx xz zip
zst
"""
_FILE_SUFFIX: Final = frozenset(_FILE_SUFFIXES.split())
# These stand in every catalog of DuckDB, so that what precedes the dot is no catalog.
_OWN_SCHEMAS: Final = frozenset({"information_schema", "main", "pg_catalog"})
_SQLITE_ALIAS: Final = {"sqlite_schema": "sqlite_master", "sqlite_temp_schema": "sqlite_temp_master"}


@dataclass(frozen=True)
class SqlDatabase:
    """
    Where an SQL text is sent, as far as the names in it depend on that.

    Args:
        dialect: One of `postgres`, `sqlite`, `mysql`, `duckdb`.
        catalog: The current database of PostgreSQL, or catalog of DuckDB. MySQL and SQLite have none.
        schema: Where a table without a schema is; for MySQL, the current database. The others have a default.
        folds_case: Whether MySQL takes `Orders` and `orders` for one table (`lower_case_table_names`); unknown if
            left out, and then a table in capitals is given in both spellings. The others have one rule each.
        temporary: The temporary tables of PostgreSQL, each of which hides one of its name that is in a schema.
        row_functions: The functions of PostgreSQL that take a row, and may be written as a column of it: `o.total`.

    Raises:
        ConfigurationError: The dialect is none of these.
    """

    dialect: Literal["postgres", "sqlite", "mysql", "duckdb"]
    catalog: str = ""
    schema: str = ""
    folds_case: bool | None = None
    temporary: frozenset[str] = frozenset()
    row_functions: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise ConfigurationError(
                f"unknown SQL dialect {quote(self.dialect)}", fix=nearest(str(self.dialect), DIALECTS)
            )
        if not self.schema:
            object.__setattr__(self, "schema", _DEFAULT_SCHEMA.get(self.dialect, ""))


@dataclass(frozen=True, order=True)
class SqlTable:
    """A table or view, named in full; `parts` are the segments of its resource below the server."""

    catalog: str
    schema: str
    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """Catalog, schema and name, without those that the database does not have."""
        return tuple(part for part in (self.catalog, self.schema, self.name) if part)


def fold(identifier: Node, database: SqlDatabase) -> str:
    """
    An identifier as the database compares it, apart from the tables of MySQL.

    Raises:
        Unreadable: It is no plain identifier, or one that the database would change.
    """
    if kind_of(identifier) != "Identifier" or not isinstance(identifier.this, str):
        raise Unreadable(_NAME)
    text = identifier.this.removeprefix(CALLED)
    if not text or any(c < " " or c == "\x7f" for c in text):
        raise Unreadable(_NAME)
    if database.dialect == "postgres":
        # Longer names are cut, and would mean another table.
        if len(text.encode("utf-8", "replace")) > 63:
            raise Unreadable(_NAME)
        return text if identifier.args.get("quoted") else text.translate(_ASCII_LOWER)
    # The case of letters beyond ASCII counts in all of them.
    return text if database.dialect == "mysql" else text.translate(_ASCII_LOWER)


def tables_named(table: Node, database: SqlDatabase) -> tuple[SqlTable, ...]:
    """
    The tables that a `Table` node may mean; more than one where the text alone cannot tell.

    Raises:
        Unreadable: The name is none that a table has.
    """
    return tables_of(table.args.get("catalog"), table.args.get("db"), table.this, database=database)


def tables_of(*parts: Node, database: SqlDatabase) -> tuple[SqlTable, ...]:
    """The tables that the parts of a name may mean together; `None` is a part that was not written."""
    *given, name = [fold(part, database) for part in parts if part is not None]
    return _IN[database.dialect](given, name, database)


def made(table: Node, database: SqlDatabase) -> tuple[SqlTable, ...]:
    """The table that a `Table` node means where one is made: a temporary one of its name hides it only later."""
    return tables_named(table, replace(database, temporary=frozenset()))


def temporary(table: Node, database: SqlDatabase) -> tuple[SqlTable, ...]:
    """The table that a `Table` node means where a temporary one is made."""
    if database.dialect not in _TEMPORARY or table.args.get("db") is not None:
        return tables_named(table, database)
    catalog, schema = _TEMPORARY[database.dialect]
    return (SqlTable(catalog or database.catalog, schema, fold(table.this, database)),)


def _in_postgres(given: list[str], name: str, database: SqlDatabase) -> tuple[SqlTable, ...]:
    catalog = given[0] if len(given) == 2 else database.catalog
    if given:
        return (SqlTable(catalog, given[-1], name),)
    if name in database.temporary:
        return (SqlTable(catalog, "pg_temp", name),)
    return (SqlTable(catalog, "pg_catalog" if name.startswith("pg_") else database.schema, name),)


def _in_sqlite(given: list[str], name: str, database: SqlDatabase) -> tuple[SqlTable, ...]:
    # `pragma_…` tables run a pragma each, with or without parentheses.
    if len(given) > 1 or name.startswith("pragma_"):
        raise Unreadable(_NAME)
    name = _SQLITE_ALIAS.get(name, name)
    schema = "temp" if name == "sqlite_temp_master" else database.schema
    return (SqlTable(database.catalog, given[0] if given else schema, name),)


def _in_mysql(given: list[str], name: str, database: SqlDatabase) -> tuple[SqlTable, ...]:
    schema = given[0] if given else database.schema
    if len(given) > 1 or not schema:
        raise Unreadable(_NAME)
    exact, folded = SqlTable("", schema, name), SqlTable("", schema.lower(), name.lower())
    if schema.lower() == "information_schema" or database.folds_case:
        return (folded,)
    return (exact,) if database.folds_case is False else tuple(dict.fromkeys((exact, folded)))


def _in_duckdb(given: list[str], name: str, database: SqlDatabase) -> tuple[SqlTable, ...]:
    if _FILE_LIKE.search(name) or name in _FILE_SUFFIX:
        raise Unreadable(_NAME)
    if len(given) == 2:
        return (SqlTable(given[0], given[1], name),)
    if not given:
        return (SqlTable(database.catalog, database.schema, name),)
    inside = SqlTable(database.catalog, given[0], name)
    attached = SqlTable(given[0], "main", name)
    if given[0] == database.catalog.lower():
        return (attached,)
    return (inside,) if given[0] in _OWN_SCHEMAS else (inside, attached)


_IN: Final = {"postgres": _in_postgres, "sqlite": _in_sqlite, "mysql": _in_mysql, "duckdb": _in_duckdb}
