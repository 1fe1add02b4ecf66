"""What an SQL text does to which tables, held against statements whose meaning was written down by hand."""

from __future__ import annotations

import logging
import sys
import threading

import pytest
from access.sql_corpus import DATABASES, DIALECTS, FILES, older_than, texts, vectors

from agentid.access.sql import opening, parsing, rules, statements, walk
from agentid.access.sql import text as sql_text
from agentid.access.sql.reading import SqlDatabase, SqlReader, SqlTable, TableAccess
from agentid.errors import ConfigurationError, MissingExtraError

SHOP = DATABASES["postgres"]


@pytest.fixture(scope="module")
def reader():
    return SqlReader()


def named(dialect, vector):
    return pytest.param(dialect, vector, id=f"{dialect}-{vector['comment']}")


def accesses_of(reading):
    return {(access.action, access.table.parts, access.columns) for access in reading.accesses}


def lacking(expected, found):
    """What is expected, and not found with at least the same columns."""
    told = {access[:2]: access[2] for access in found}
    nothing = frozenset()
    return [
        (*what, columns)
        for *what, columns in expected
        if tuple(what) not in told
        or (told[tuple(what)] is not None and (columns is None or columns - (told[tuple(what)] or nothing)))
    ]


def tables(reading):
    return {(access.action, ".".join(access.table.parts)) for access in reading.accesses}


@pytest.mark.parametrize(("dialect", "vector"), [named(*pair) for pair in vectors("understood")])
def test_what_is_understood_is_told_in_full(reader, dialect, vector):
    reading = reader.read(vector["sql"], DATABASES[dialect])
    expected = {
        (access["action"], tuple(access["table"]), None if access["columns"] is None else frozenset(access["columns"]))
        for access in vector["accesses"]
    }

    if older_than(vector.get("since")):
        assert not reading.understood or not lacking(expected, accesses_of(reading))
        return
    assert (True, "") == (reading.understood, reading.reason)
    assert vector["kinds"] == [statement.kind for statement in reading.statements]
    assert expected == accesses_of(reading)


@pytest.mark.parametrize(("dialect", "vector"), [named(*pair) for pair in vectors("not_understood")])
def test_what_is_not_understood_says_so_and_nothing_else(reader, dialect, vector):
    reading = reader.read(vector["sql"], DATABASES[dialect])

    assert not reading.understood
    assert () == reading.statements
    assert () == reading.accesses


def test_there_are_many_vectors_and_each_is_there_once():
    for dialect in DIALECTS:
        assert len(texts(dialect)) == len(set(texts(dialect)))
        comments = [v["comment"] for group in ("understood", "not_understood") for v in FILES[dialect][group]]
        assert len(comments) == len(set(comments))

    assert sum(len(texts(dialect)) for dialect in DIALECTS) >= 600


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reason_is_one_of_a_few_phrases_and_holds_nothing_of_the_text(reader, dialect):
    """A reason is logged, and the text may hold what nobody should read there."""
    modules = (opening, parsing, rules, sql_text, walk)
    phrases = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    phrases.add("a name stands for no certain table")
    seen = {reader.read(text, DATABASES[dialect]).reason for text in texts(dialect)}

    assert seen - {""} <= phrases
    assert len(seen) > 6


# --- each reason, by itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "text", "reason"),
    [
        ("postgres", "select 1 from t where a = '" + "x" * 70_000 + "'", sql_text.TOO_LONG),
        ("postgres", "select " + "1, " * 9_000 + "1", sql_text.TOO_LONG),
        ("postgres", "select 1;" * 80, sql_text.TOO_LONG),
        ("postgres", "select " + "(" * 30 + "1" + ")" * 30, sql_text.TOO_DEEP),
        ("postgres", "select " + "not " * 40 + "true", sql_text.TOO_DEEP),
        ("postgres", "select " + "- " * 40 + "1", sql_text.TOO_DEEP),
        ("postgres", "select " + "case when " * 30 + "1" + " then 1 end" * 30, sql_text.TOO_DEEP),
        ("postgres", "select " + "array[" * 8 + "1" + "]" * 8, sql_text.TOO_DEEP),
        ("postgres", "select 1 from a" + " join a" * 9, sql_text.TOO_DEEP),
        ("mysql", "select 1 from a" + " straight_join a" * 9, sql_text.TOO_DEEP),
        ("duckdb", "(from " * 9 + "a" + ")" * 9, sql_text.TOO_DEEP),
        ("postgres", "select a" + "[1]" * 300 + " from t", sql_text.TOO_DEEP),
        ("postgres", "select " + "decimal(" * 8 + "a" + ")" * 8 + " from t", sql_text.TOO_DEEP),
        ("duckdb", "select a::" + "struct<" * 8 + "int" + ">" * 8 + " from t", sql_text.TOO_DEEP),
        ("postgres", "select 1 /* a /* b */ c */", sql_text.COMMENT),
        ("postgres", "select 1 /* a", sql_text.COMMENT),
        ("mysql", "select 1 /*! from t */", sql_text.COMMENT),
        ("mysql", "select /*+ set_var(a=1) */ 1", sql_text.COMMENT),
        ("mysql", "select 1--1", sql_text.COMMENT),
        ("sqlite", "select 1 -- \r from t", sql_text.COMMENT),
        ("postgres", "select 'a\\' from t", sql_text.QUOTATION),
        ("mysql", "select 'a\\' from t'", sql_text.QUOTATION),
        ("duckdb", "select e'a\\' from t'", sql_text.QUOTATION),
        ("postgres", "select 'a", sql_text.QUOTATION),
        ("postgres", 'select U&"a"', sql_text.QUOTATION),
        ("postgres", "select'a'", sql_text.QUOTATION),
        ("postgres", "select '\ud800'", sql_text.QUOTATION),
        ("postgres", "select 'a\0'", sql_text.QUOTATION),
        ("mysql", "select @'a'", sql_text.QUOTATION),
        ("postgres", "select\x0b1", sql_text.CHARACTER),
        ("postgres", "select\u20031", sql_text.CHARACTER),
        ("postgres", "\u017felect 1", sql_text.CHARACTER),
        ("postgres", "select 1a", sql_text.CHARACTER),
        ("mysql", "select a.1e5", sql_text.CHARACTER),
        ("mysql", "select `a`.1e5", sql_text.CHARACTER),
        ("sqlite", "select $a(x)", sql_text.CHARACTER),
        ("sqlite", "select :a::b", sql_text.CHARACTER),
        ("sqlite", "select 1 # 2", sql_text.CHARACTER),
        ("postgres", "select (1]", sql_text.BRACKETS),
        ("postgres", "select (1; select 2)", sql_text.BRACKETS),
        ("postgres", "-- nothing", sql_text.EMPTY),
        ("postgres", "vacuum t", opening.KIND),
        ("postgres", "(t)", opening.KIND),
        ("postgres", "create schema evil", opening.KIND),
        ("postgres", "copy t from '/etc/passwd'", opening.KIND),
        ("postgres", "copy (select 1) from stdin", rules.NO_TABLE),
        ("postgres", "drop schema s", opening.KIND),
        ("postgres", "grant usage on schema s to bob", opening.KIND),
        ("mysql", "create table t (a int) engine=federated", opening.KIND),
        ("postgres", "select * from", parsing.NO_SQL),
        ("postgres", "select f(1)", walk.FUNCTION),
        ("postgres", "select * from f(1)", walk.FUNCTION),
        ("postgres", "select evil.lower('a')", walk.FUNCTION),
        ("postgres", 'select "lower"(a)', walk.FUNCTION),
        ("postgres", 'select "pow"(a, b)', walk.FUNCTION),
        ("postgres", 'select "cast"(a)', walk.FUNCTION),
        ("postgres", "select if a then b end", walk.PART),
        ("postgres", 'select 1 from "\x01t"', sql_text.QUOTATION),
        ("postgres", "select regexp(a)", walk.FUNCTION),
        ("sqlite", "select a regexp 'x' from t", walk.FUNCTION),
        ("postgres", "select 1 operator(evil.+) 1", walk.PART),
        ("mysql", "select @a := 1", walk.PART),
        ("duckdb", "select * from t at (version => 1)", walk.PART),
        ("mysql", "select a into @b from t", walk.PART),
        ("postgres", "truncate t cascade", walk.PART),
        ("postgres", "drop table t cascade", walk.PART),
        ("mysql", "alter table t drop index i", walk.PART),
        ("sqlite", "insert into t", walk.PART),
        ("postgres", "insert overwrite table t select 1", walk.PART),
        ("postgres", "with recursive x as (select 1) search depth first by a set y select 1", walk.PART),
        ("postgres", "select overlay(a placing json_extract(b, 'x') from 1) from t", walk.FUNCTION),
        ("sqlite", "select 1 where 1 in t(1)", walk.PART),
        ("postgres", "select 1 from " + "t" * 64, "a name stands for no certain table"),
        ("mysql", "select 1 from a.b.c", "a name stands for no certain table"),
        ("duckdb", "from 'x.csv'", "a name stands for no certain table"),
        ("sqlite", "select * from pragma_table_list", "a name stands for no certain table"),
        ("postgres", 'select 1 from "a\nb"', "a name stands for no certain table"),
        ("mysql", "update (select 1 as a) x set a = 1", rules.NO_TABLE),
    ],
)
def test_each_refusal_has_its_reason(reader, dialect, text, reason):
    reading = reader.read(text, DATABASES[dialect])

    assert (False, reason) == (reading.understood, reading.reason)


@pytest.mark.parametrize("text", [None, 7, b"select 1", ["select 1"], object()])
def test_what_is_no_text_is_not_understood(reader, text):
    assert not reader.read(text, SHOP).understood


# --- names -----------------------------------------------------------------------------------------


def test_the_parts_of_a_table_are_those_that_its_database_has():
    assert ("shop", "public", "t") == SqlTable("shop", "public", "t").parts
    assert ("main", "t") == SqlTable("", "main", "t").parts


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        (SqlDatabase("postgres"), {"public.t"}),
        (SqlDatabase("postgres", "shop"), {"shop.public.t"}),
        (SqlDatabase("postgres", "shop", "sales"), {"shop.sales.t"}),
        (SqlDatabase("sqlite"), {"main.t"}),
        (SqlDatabase("duckdb", "memory"), {"memory.main.t"}),
        (SqlDatabase("mysql", schema="shop"), {"shop.T", "shop.t"}),
        (SqlDatabase("mysql", schema="shop", folds_case=True), {"shop.t"}),
        (SqlDatabase("mysql", schema="shop", folds_case=False), {"shop.T"}),
    ],
)
def test_a_bare_name_is_completed_as_its_database_does(reader, database, expected):
    assert {("read", name) for name in expected} == tables(reader.read("select a from T", database))


def test_mysql_without_a_current_database_needs_names_with_one(reader):
    nowhere = SqlDatabase("mysql")

    assert not reader.read("select a from t", nowhere).understood
    assert {("read", "shop.t")} == tables(reader.read("select a from shop.t", nowhere))


def test_an_unknown_dialect_is_a_mistake_that_names_the_nearest():
    with pytest.raises(ConfigurationError, match="postgres"):
        SqlDatabase("postgresql")


# --- the reader ------------------------------------------------------------------------------------


def test_a_text_is_read_once(reader):
    first = reader.read("select a from remembered", SHOP)

    assert first is reader.read("select a from remembered", SHOP)
    assert first is not reader.read("select a from remembered", SqlDatabase("postgres", "other"))


def test_the_reading_that_was_not_used_for_longest_is_forgotten():
    small = SqlReader(remembered=2)
    one, two = (small.read(f"select {n}", SHOP) for n in (1, 2))
    assert one is small.read("select 1", SHOP)
    small.read("select 3", SHOP)

    assert one is small.read("select 1", SHOP)
    assert two is not small.read("select 2", SHOP)


def test_a_long_text_is_read_and_not_kept():
    long = "select a from t where b in (" + "'some longer text', " * 900 + "'')"
    some = SqlReader()

    assert some.read(long, SHOP).understood
    assert some.read(long, SHOP) is not some.read(long, SHOP)


@pytest.mark.parametrize("remembered", [0, -1, True, 1.5, None])
def test_a_reader_remembers_a_number_of_readings(remembered):
    with pytest.raises(ConfigurationError):
        SqlReader(remembered=remembered)


def test_a_lack_of_stack_is_not_remembered():
    """The same text may be read where the caller is less deep, so the answer must not stay."""
    some, text = SqlReader(), "select (((((((((((((((a))))))))))))))) from t"
    some.read("select 1", SHOP)

    def deep(left):
        return deep(left - 1) if left else some.read(text, SHOP)

    here = len(__import__("inspect").stack())
    reasons = {deep(sys.getrecursionlimit() - here - spare).reason for spare in range(60, 180, 10)}

    # A compiled parser needs no stack of Python's.
    assert reasons <= {"", parsing.STACK}
    assert some.read(text, SHOP).understood


def test_what_an_understood_text_does_cannot_be_changed(reader):
    reading = reader.read("select a from t", SHOP)
    access = reading.accesses[0]

    assert TableAccess("read", SqlTable("shop", "public", "t"), frozenset({"a"})) == access
    with pytest.raises(AttributeError):
        access.action = "write"
    with pytest.raises(AttributeError):
        reading.understood = False
    with pytest.raises(AttributeError):
        access.table.name = "u"


def test_a_tree_of_a_shape_that_nobody_thought_of_is_not_understood(monkeypatch):
    """Another version of the parser may leave out what is looked for."""
    monkeypatch.setitem(statements.STATEMENTS, "Delete", lambda walk, node, sight: node.nothing.like_this)
    reading = SqlReader().read("delete from t", SHOP)

    assert (False, walk.PART) == (reading.understood, reading.reason)


def test_types_that_stand_side_by_side_are_not_nested(reader):
    text = "select a::date, b::date from t where " + " and ".join(
        ["(date < 1)"] * 9 + ["c::varchar(3) = d::varchar(3)"] * 9
    )

    assert {("read", "shop.public.t")} == tables(reader.read(text, SHOP))


def test_threads_share_a_reader():
    some, wrong = SqlReader(remembered=20), []

    def work(seed):
        for n in range(60):
            name = f"t{(n * seed) % 40}"
            if tables(some.read(f"select a from {name}", SHOP)) != {("read", f"shop.public.{name}")}:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == wrong


@pytest.mark.parametrize(
    "text", ["create policy p on t", "alter table t frobnicate", "select a -> '$[' from t", "vacuum"]
)
def test_nothing_is_logged_and_the_logger_is_left_as_it_was(caplog, text):
    """A log line of the parser would hold the text."""
    logger = logging.getLogger("sqlglot")
    before = (list(logger.filters), list(logger.handlers), logger.level, logger.disabled)
    with caplog.at_level(logging.DEBUG):
        SqlReader().read(text, SHOP)

    assert [] == caplog.records
    assert before == (list(logger.filters), list(logger.handlers), logger.level, logger.disabled)


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with pytest.raises(MissingExtraError) as caught:
        SqlReader().read("select a from t", SHOP)

    assert "pip install '.[sql]'" in caught.value.fix
    assert str(caught.value).isprintable()


def test_what_needs_no_parser_is_read_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlglot", None)

    assert SqlReader().read("begin; commit", SHOP).understood


class Lying(str):
    """Prints as another text than a driver would send."""

    __slots__ = ()

    def __str__(self):
        return "select 1"


def test_the_text_that_is_sent_is_read_and_not_what_it_prints_as(reader):
    reading = reader.read(Lying("delete from orders"), SHOP)

    assert ["delete"] == [access.action for access in reading.accesses]
