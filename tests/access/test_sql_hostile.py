"""
No text, however odd, makes the reader fail, hang, or see less than is there.

What is there is found by other means: sqlglot as it comes, without any of the reader's care, and the names of every
function and keyword of every dialect.
"""

from __future__ import annotations

import logging
import re
from random import Random

import generated
import pytest
import sqlglot
from access.sql_corpus import DATABASES, DIALECTS, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from agentid.access.sql.functions import FUNCTIONS, SPECIAL_FORMS, TABLE_FUNCTIONS
from agentid.access.sql.reading import SqlReader, SqlReading

PIECES = re.compile(r"\w+|'[^']*'|\s+|[^\w\s]")
HOSTILE = [
    *(
        "--",
        "-- \n",
        "#",
        "/*",
        "*/",
        "/*!",
        "/*+",
        "'",
        '"',
        "`",
        "[",
        "]",
        "\\",
        "\\'",
        "\r",
        "\n",
        "\0",
        ";",
        "$$",
        "$a$",
    ),
    *(
        "$a(",
        "(",
        ")",
        "((",
        "{",
        "}",
        "::",
        ":a",
        "?",
        "%s",
        "%(a)s",
        "@",
        "@@",
        ":=",
        "=>",
        "->",
        "x'00'",
        "e'",
        "u&'",
    ),
    *(" in secret ", " from secret ", " union table secret ", " with secret as (select 1) ", " as secret "),
    *(
        " into secret ",
        "secret.",
        ".secret",
        '"secret"',
        "n'",
        "1e",
        "0x",
        "lateral ",
        "only ",
        "cascade",
        "returning *",
    ),
    *("\u00a0", "\u200b", "\u202e", "\u017f", "\u212a", "\u0130", "\u00df", "\ud800", "\U0001f600"),
    *("pg_read_file('x')", "my_function(1)", "for update", "explain ", "copy "),
]


def spliced(random, corpus):
    """Pieces of two texts with something hostile between them; at times only hostile pieces."""
    if random.random() < 0.1:
        return "".join(random.choice(HOSTILE) for _ in range(random.randrange(12)))
    one, other = (PIECES.findall(random.choice(corpus)) for _ in range(2))
    if random.random() < 0.6:
        pieces = one
        pieces[random.randrange(len(pieces) + 1) : 0] = [random.choice(other or [""])]
    else:
        pieces = one[: random.randrange(len(one) + 1)] + other[random.randrange(len(other) + 1) :]
    for _ in range(random.randrange(3)):
        pieces.insert(random.randrange(len(pieces) + 1), random.choice(HOSTILE))
    return "".join(pieces)


def tables_by_force(sql, dialect):
    """The names of all tables in a text as sqlglot reads it, apart from those that a `WITH` anywhere defines."""
    try:
        trees = sqlglot.parse(sql, read=dialect)
    except Exception:
        return set()
    found, defined = set(), set()
    for tree in trees:
        if tree is None:
            continue
        defined |= {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            # `for update of t` and an index are no tables of their own.
            if table.find_ancestor(exp.Lock) is None and table.arg_key != "indexed":
                found.add(table.name.lower())
    return found - defined - {"", "dual"}


def aliases_by_force(sql, dialect):
    """Names that stand for other tables, and may be used for them: MySQL deletes by them."""
    names = {a.name.lower() for tree in sqlglot.parse(sql, read=dialect) if tree for a in tree.find_all(exp.TableAlias)}
    return names if dialect == "mysql" else set()


def check(reader, sql, dialect):
    """Whether a text is understood; whatever it is, its reading must be a sound one."""
    reading = reader.read(sql, DATABASES[dialect])
    assert isinstance(reading, SqlReading)
    assert reading.understood is (reading.reason == "")
    if not reading.understood:
        assert () == reading.statements
        return False
    assert reading.statements
    told = {part.lower() for access in reading.accesses for part in access.table.parts}
    told |= {"sqlite_schema"} if "sqlite_master" in told else set()
    lacking = tables_by_force(sql, dialect) - told
    assert not lacking or not lacking - aliases_by_force(sql, dialect), (sql, lacking)
    return True


@pytest.fixture(autouse=True)
def _quiet_oracle():
    """Sqlglot as it comes logs what it falls back from."""
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_vector_has_fewer_tables_than_brute_force_finds(dialect):
    reader = SqlReader()

    assert sum(check(reader, sql, dialect) for sql in texts(dialect)) > 50


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=25, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 2**32))
def test_no_mutilated_text_fails_or_has_fewer_tables_than_brute_force_finds(dialect, seed):
    random, reader, corpus = Random(seed), SqlReader(remembered=1), texts(dialect)
    for _ in range(60):
        check(reader, spliced(random, corpus), dialect)


@settings(max_examples=generated.examples(300), derandomize=True, deadline=None, database=None)
@given(text=st.text(), dialect=st.sampled_from(DIALECTS))
def test_any_text_at_all_has_a_reading(text, dialect):
    check(SqlReader(remembered=1), text, dialect)
    check(SqlReader(remembered=1), f"select {text} from t", dialect)


@settings(max_examples=generated.examples(200), derandomize=True, deadline=None, database=None)
@given(name=st.text(min_size=1, max_size=12), dialect=st.sampled_from(DIALECTS))
def test_a_quoted_name_is_one_table_or_not_understood(name, dialect):
    """Whatever is inside the quotes: a dot, a quote, a comment, a bracket."""
    quote = "`" if dialect == "mysql" else '"'
    quoted = f"{quote}{name.replace(quote, quote * 2)}{quote}"
    reading = SqlReader(remembered=1).read(f"select 1 from {quoted}", DATABASES[dialect])
    names = {access.table.name.lower() for access in reading.accesses}

    assert names <= {name.lower(), "sqlite_master"}
    assert bool(names) is reading.understood


# --- calls -----------------------------------------------------------------------------------------

# Words after which a bracket is no call, in every dialect here.
GRAMMAR = {"all", "any", "as", "distinct", "exists", "from", "lateral", "not", "select", "some", "values"}
GRAMMAR_OF = {
    "postgres": {"fetch", "interval"},
    "sqlite": set(),
    "mysql": {"binary", "distinctrow", "fetch", "interval", "straight_join"},
    "duckdb": {"fetch", "interval", "map"},
}


def words_of_all_dialects():
    names = {name for known in FUNCTIONS.values() for name in known}
    for dialect in ("", *DIALECTS, "snowflake", "bigquery", "clickhouse", "oracle", "tsql", "spark"):
        found = Dialect.get_or_raise(dialect)
        names |= {name.lower() for name in found.parser_class.FUNCTIONS}
        names |= {name.lower() for name in found.parser_class.FUNCTION_PARSERS}
        names |= {name.lower() for name in found.parser_class.NO_PAREN_FUNCTION_PARSERS}
        names |= {name.lower() for name in found.tokenizer_class.KEYWORDS}
    return sorted(name for name in names if name.isidentifier())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_call_is_understood_but_of_the_functions_on_the_list(dialect):
    """Sqlglot knows some two thousand names, of all dialects; in this one, most may be what somebody made."""
    reader = SqlReader(remembered=1)
    allowed = FUNCTIONS[dialect] | {name.lower() for name in SPECIAL_FORMS[dialect]} | GRAMMAR | GRAMMAR_OF[dialect]
    understood = {
        name
        for name in words_of_all_dialects()
        for form in ("select {}(x) from t", "select {}(1, 'y') from t")
        if reader.read(form.format(name), DATABASES[dialect]).understood
    }

    assert set() == understood - allowed
    assert len(understood) > 60


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_function_is_a_table_but_those_on_the_list(dialect):
    reader = SqlReader(remembered=1)
    understood = {
        name
        for name in words_of_all_dialects()
        if reader.read(f"select * from {name}(1)", DATABASES[dialect]).understood
    }

    assert set() == understood - TABLE_FUNCTIONS[dialect] - GRAMMAR


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_function_on_the_list_can_be_called(dialect):
    """A name that no call reaches would be a slip of the pen."""
    reader = SqlReader(remembered=1)
    refused = {
        name
        for name in FUNCTIONS[dialect]
        if not any(
            reader.read(f"select {form}", DATABASES[dialect]).understood
            for form in (f"{name}(x)", f"{name}()", f"{name}(x, y)", name)
        )
    }

    assert set() == refused


# --- size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    [
        "select " + "array[" * 24 + "1" + "]" * 24,
        "select " + "[" * 24 + "1" + "]" * 24,
        "select a" + "[1]" * 2500 + " from t",
        *(
            "select " + f"{word}(" * 23 + "1" + ")" * 23
            for word in ("date", "decimal", "varchar", "struct", "cast", "lower")
        ),
        *(f"select a::{word}<" * 400 for word in ("struct", "array", "map")),
        "select " + "case when " * 24 + "1" + " then 1 end" * 24,
        "select 1 from a " + "join b " * 900 + "on 1 " * 900,
        "select 1 from " + "a join " * 20 + "1",
        "select 1 from " + "a left join " * 20 + "1",
        "select 1 from a " + "cross join b " * 900,
        "select " + "(from a, " * 20 + "1" + ")" * 20,
        "select a::" + "if<" * 20 + "int" + ">" * 20,
        "select 1 where a" + " or a" * 2900,
        "select 1 " + "union select 1 " * 2000,
        "select " + "x -> " * 2000 + "1",
        "select a" + ".b" * 3000,
        "select a" + "::int" * 3000,
        "insert into t values " + "(1, 'x'), " * 1400 + "(1, 'x')",
        "explain " * 3000 + "select 1",
        "(" * 60_000,
        "'" * 60_001,
        "/*" * 30_000,
        "select '" + "x" * 1_000_000 + "'",
        "\u00e9" * 60_000,
    ],
    ids=lambda text: text[:18],
)
def test_a_large_or_deep_text_ends_soon(dialect, text):
    """Each of these takes a parser minutes, or all of its stack; here a test may take 60 seconds."""
    reading = SqlReader(remembered=1).read(text, DATABASES[dialect])

    assert reading.understood is (reading.reason == "")
