"""
A reading, held against SQLite itself: its authoriser is told of each table, column and function of a statement.

Whatever SQLite can prepare and the reader understands must be told in full: no access may be seen here that the
reading lacks. That holds for the vectors and for many thousand statements put together at random.
"""

from __future__ import annotations

import re
import sqlite3
from random import Random

import pytest
from access.sql_corpus import DATABASES, FILES, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from agentid.access.sql.functions import FUNCTIONS
from agentid.access.sql.reading import SqlReader

SCHEMA = """
create table customers (id, name, city, tags);
create table orders (id integer primary key, customer, total, city);
create table items (id, order_id, price);
create table archive (id integer primary key, total, price);
create table banned (id);
create index orders_total on orders (total);
create temp table scratch (id);
"""
TABLES = {"customers", "orders", "items", "archive", "banned", "scratch"}
CATALOGUE = {"sqlite_master", "sqlite_temp_master", "sqlite_sequence"}
DEFINITIONS = {"create", "drop", "alter"}
# What the authoriser calls an action, and which of its arguments is the table.
ACTIONS = {
    sqlite3.SQLITE_READ: ("read", 0),
    sqlite3.SQLITE_INSERT: ("write", 0),
    sqlite3.SQLITE_UPDATE: ("edit", 0),
    sqlite3.SQLITE_DELETE: ("delete", 0),
    sqlite3.SQLITE_CREATE_TABLE: ("write", 0),
    sqlite3.SQLITE_CREATE_TEMP_TABLE: ("write", 0),
    sqlite3.SQLITE_CREATE_VIEW: ("write", 0),
    sqlite3.SQLITE_CREATE_TEMP_VIEW: ("write", 0),
    sqlite3.SQLITE_CREATE_INDEX: ("edit", 1),
    sqlite3.SQLITE_DROP_TABLE: ("delete", 0),
    sqlite3.SQLITE_DROP_TEMP_TABLE: ("delete", 0),
    sqlite3.SQLITE_DROP_VIEW: ("delete", 0),
    sqlite3.SQLITE_ALTER_TABLE: ("edit", 1),
}
ROW_ID = {"id", "rowid", "_rowid_", "oid"}  # where `id` is the integer key
HARMLESS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_TRANSACTION, 32, 33}  # the last are SAVEPOINT and RECURSIVE
INTERNAL = {sqlite3.SQLITE_REINDEX}  # an index is filled when it is made


def truth(sql):
    """What SQLite says that a text does: `(action, database, table, column)`, functions, and odd operations."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    accesses, functions, others = set(), set(), set()

    def authorise(operation, first, second, database, inside):
        if operation in ACTIONS:
            action, which = ACTIONS[operation]
            table, column = (first, second)[which], second if operation in (sqlite3.SQLITE_READ, 23) else None
            place = first if operation == sqlite3.SQLITE_ALTER_TABLE else database
            accesses.add((action, (place or "main").lower(), table.lower(), (column or "").lower()))
        elif operation == sqlite3.SQLITE_FUNCTION:
            functions.add(second.lower())
        elif operation not in HARMLESS:
            others.add(operation)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(authorise)
    complete = True
    try:
        if ";" in sql:
            connection.executescript(sql)
        else:
            connection.execute(sql)
    except sqlite3.ProgrammingError:
        pass  # it was prepared, and then wanted values for its parameters
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError, ValueError) as error:
        # A text that SQLite refuses does nothing; but with several statements, the first ones were run.
        complete = isinstance(error, sqlite3.IntegrityError) or ";" in sql
    finally:
        connection.set_authorizer(None)
        connection.close()
    return (accesses, functions, others) if complete else None


def covered(action, column, columns):
    """Whether columns that were told include one that was seen."""
    if action not in ("read", "edit") or columns is None or not column:
        return True
    return bool((ROW_ID if column in ROW_ID else {column}) & columns)


def missing(sql, reading):
    """What SQLite sees and the reading lacks; None if SQLite cannot prepare the text."""
    found = truth(sql)
    if found is None:
        return None
    accesses, functions, others = found
    told = {}
    for access in reading.accesses:
        told[(access.action, *access.table.parts)] = access.columns
    kinds = {statement.kind for statement in reading.statements}
    lacking = []
    made = (
        {access.table.name for access in reading.accesses if access.action == "write"} if "create" in kinds else set()
    )
    inside = kinds & (DEFINITIONS | {"explain"}) or "json_" in sql
    for action, database, table, column in sorted(accesses, key=str):
        if (inside and table in CATALOGUE) or (action == "read" and table not in TABLES | CATALOGUE) or table in made:
            continue  # what SQLite does for itself: its catalogue, `WITH` queries, the checks of a new table
        if action == "read" and column in ("rowid", "id", "") and ("edit", database, table) in told:
            continue  # by which it finds the rows to change
        # A bare name means the default schema to the reader, and first of all a temporary table to SQLite.
        columns = told.get((action, database, table), told.get((action, "main", table), "no"))
        if columns == "no" or not covered(action, column, columns):
            lacking.append((action, database, table, column))
    if not kinds & {"alter", "explain"}:
        lacking += sorted(functions - FUNCTIONS["sqlite"] - {"->", "->>"})
    return lacking + sorted(others - (INTERNAL if kinds & DEFINITIONS or "explain" in kinds else set()))


@pytest.fixture(scope="module")
def reader():
    return SqlReader(remembered=4)


UNDERSTOOD = [vector["sql"] for vector in FILES["sqlite"]["understood"]]


def test_sqlite_can_run_most_of_the_vectors():
    """Old versions lack some of the syntax; a test that checked nothing would be worth nothing."""
    assert sum(truth(sql) is not None for sql in UNDERSTOOD) > 0.7 * len(UNDERSTOOD)


@pytest.mark.parametrize("sql", UNDERSTOOD)
def test_sqlite_touches_nothing_that_the_reading_of_a_vector_lacks(reader, sql):
    reading = reader.read(sql, DATABASES["sqlite"])

    # That it is understood is tested elsewhere; an old sqlglot refuses one or two.
    assert not reading.understood or not missing(sql, reading)


def test_the_authoriser_would_see_what_a_reading_lacks(reader):
    """The oracle itself: a reading of another statement is found to lack what this one touches."""
    reading = reader.read("select id from items", DATABASES["sqlite"])

    assert ("read", "main", "orders", "id") in missing("select id from orders", reading)
    assert [("read", "main", "items", "price")] == missing("select price from items", reading)
    assert [("delete", "main", "items", "")] == missing("delete from items", reading)
    assert ["load_extension"] == missing("select load_extension('x') where 0", reading)
    assert missing("select a from nowhere", reading) is None


# --- statements put together at random -------------------------------------------------------------

NAMES = ["id", "name", "city", "total", "customer", "price", "order_id", "rowid", "orders", "x.id", "o.total"]
SOURCES = [
    *("orders", "customers c", "items as x", "main.archive", "temp.scratch", '"orders" o', "[items]", "`banned`"),
    *("(select id, total from orders) o", "(orders join items on 1)", "w", "json_each('[1]') x", "(values (1, 2)) x"),
    *("'items'", "sqlite_master", "ORDERS"),
]
CALLS = ["max", "count", "upper", "coalesce", "json_extract", "load_extension", "my_function", "printf"]
JOINS = [", ", " join ", " left join ", " natural join ", " cross join "]


class Making:
    """Statements by chance, most of them valid."""

    def __init__(self, random):
        self.random = random

    def one(self, *choices):
        chosen = self.random.choice(choices)
        return chosen() if callable(chosen) else chosen

    def value(self, depth=0):
        if depth > 2:
            return self.one("1", "'a'", *NAMES)
        deeper = depth + 1
        return self.one(
            *NAMES,
            "1",
            "'from secret'",
            "?",
            lambda: f"{self.value(deeper)} + {self.value(deeper)}",
            lambda: f"{self.one(*CALLS)}({self.value(deeper)})",
            lambda: f"({self.query(deeper)})",
            lambda: f"{self.value(deeper)} in ({self.query(deeper)})",
            lambda: f"{self.value(deeper)} in {self.one('orders', 'w', 'banned', 'main.items', '(1, 2)', '()')}",
            lambda: f"exists ({self.query(deeper)})",
            lambda: f"case when {self.value(deeper)} then {self.value(deeper)} end",
            lambda: f"cast({self.value(deeper)} as text)",
            lambda: f"{self.value(deeper)} -- {self.one(*NAMES)}\n",
            lambda: f"/* {self.one(*NAMES)} */ {self.value(deeper)}",
        )

    def query(self, depth=0):
        columns = self.one(
            "*", "count(*)", "x.*", lambda: self.value(depth + 1), lambda: f"{self.value(depth + 1)}, id"
        )
        source = self.one(*SOURCES)
        for _ in range(self.random.randrange(3)):
            source += self.one(*JOINS) + self.one(*SOURCES)
        text = f"select {columns} from {source}"
        if self.random.random() < 0.5:
            text += f" where {self.value(depth + 1)}"
        if self.random.random() < 0.2:
            text += f" group by {self.one(*NAMES)} having {self.value(depth + 1)}"
        if self.random.random() < 0.2:
            text += f" order by {self.value(depth + 1)}"
        if depth == 0 and self.random.random() < 0.2:
            text += f" {self.one('union', 'union all', 'except')} {self.query(1)}"
        return text

    def statement(self):
        start = self.one(
            "", "", "with w as (select 1 as id) ", lambda: f"with w as ({self.query(1)}), o as (select * from w) "
        )
        table = self.one("orders", "main.items", "banned", '"archive"', "w", "temp.scratch")
        back = self.one("", "", f" returning {self.one('*', *NAMES)}")
        where = self.one("", lambda: f" where {self.value()}")
        return start + self.one(
            self.query,
            self.query,
            lambda: f"insert into {table} (id) values ({self.value()}){back}",
            lambda: f"insert or replace into {table} (id) {self.query()}",
            lambda: f"replace into {table} (id) {self.query()}",
            lambda: f"insert into orders (id) values (1) on conflict (id) do update set total = {self.value()}{where}",
            lambda: f"update {table} set id = {self.value()}{where}{back}",
            lambda: f"update orders set total = {self.value()} from {self.one(*SOURCES)}{where}",
            lambda: f"update or replace {table} set id = 1{where}",
            lambda: f"delete from {table}{where}{back}",
            lambda: f"create table fresh as {self.query()}",
            lambda: f"create view fresh as {self.query()}",
            lambda: f"explain {self.query()}",
        )


def checked(reader, sql):
    """Whether SQLite could prepare a text that was understood; the text itself if something is lacking."""
    reading = reader.read(sql, DATABASES["sqlite"])
    if not reading.understood:
        return False
    lacking = missing(sql, reading)
    assert not lacking, (sql, lacking)
    return lacking is not None


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(st.integers(0, 2**32))
def test_sqlite_touches_nothing_that_the_reading_of_a_made_statement_lacks(seed):
    random, reader = Random(seed), SqlReader(remembered=1)
    done = sum(checked(reader, Making(random).statement()) for _ in range(60))

    assert done > 2


PIECES = re.compile(r"\w+|'[^']*'|\s+|[^\w\s]")
HOSTILE = [
    *(
        "--",
        "-- \n",
        "/*",
        "*/",
        "'",
        '"',
        "`",
        "[",
        "]",
        "\\",
        "\r",
        "\n",
        ";",
        "$a(",
        ")",
        "(",
        "::",
        ":a",
        "?1",
        "x'00'",
    ),
    *("\u00a0", "\u200b", "e'", "u&'", "$$", "#", "/*!", "1e"),
    *(" in orders ", " from orders ", " union select * from customers "),
]


def spliced(random, corpus):
    """Two texts of the corpus, cut and sewn together, with something hostile in the seam."""
    one, other = (PIECES.findall(random.choice(corpus)) for _ in range(2))
    if random.random() < 0.4:
        one[random.randrange(len(one) + 1) : 0] = [random.choice(HOSTILE)]
        pieces = one
        for _ in range(random.randrange(4)):
            pieces.insert(random.randrange(len(pieces) + 1), random.choice([*HOSTILE, *other]))
    else:
        pieces = one[: random.randrange(len(one) + 1)] + other[random.randrange(len(other) + 1) :]
        for _ in range(random.randrange(3)):
            pieces.insert(random.randrange(len(pieces) + 1), random.choice(HOSTILE))
    return "".join(pieces)


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(st.integers(0, 2**32))
def test_sqlite_touches_nothing_that_the_reading_of_a_mutilated_statement_lacks(seed):
    """Here the reader and SQLite most easily disagree on where a comment or a string ends."""
    random, reader, corpus = Random(seed), SqlReader(remembered=1), texts("sqlite")
    for _ in range(150):
        sql = spliced(random, corpus)
        # A pragma or another file would outlive the check.
        if not re.search(r"attach|vacuum|pragma", sql, re.IGNORECASE):
            checked(reader, sql)
