"""
Each part of the reader by itself, where another part would refuse the same text anyway.

Two refusals are better than one only as long as both are there: so each is looked at alone.
"""

from __future__ import annotations

import pytest
import sqlglot
from access.sql_corpus import DIALECTS
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokens import Token

from agentid.access.sql import opening, walk
from agentid.access.sql import text as sql_text
from agentid.access.sql.opening import prepared, without_tables
from agentid.access.sql.rules import statement_kind
from agentid.access.sql.text import Statement, Unreadable, statements_in
from agentid.access.sql.tokens import Tokens


def refusal(do, *arguments):
    with pytest.raises(Unreadable) as caught:
        do(*arguments)
    return caught.value.reason


# --- the text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select'a'", sql_text.QUOTATION),
        ("select _utf8'a'", sql_text.QUOTATION),
        ('select a"b"', sql_text.QUOTATION),
        ("select (1", sql_text.BRACKETS),
        ("select case when 1", sql_text.BRACKETS),
        ("select (1; select 2)", sql_text.BRACKETS),
        ("", sql_text.EMPTY),
        (" ; -- nothing\n ; /* at all */ ", sql_text.EMPTY),
    ],
)
def test_the_text_is_refused_before_anybody_parses_it(text, reason):
    assert reason == refusal(statements_in, text, "postgres")


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        ("postgres", "select 1 -- a;b\n; select ';' /* ; */;", ["select 1  \n", " select ';'  "]),
        ("mysql", 'select 1 # a;b\n; select ";"', ["select 1  \n", ' select ";"']),
        ("sqlite", "select [;], `;`; select 2", ["select [;], `;`", " select 2"]),
        ("duckdb", "select $$;$$; from t", ["select $$;$$", " from t"]),
    ],
)
def test_a_text_is_cut_at_semicolons_outside_of_quotations_and_comments(dialect, text, expected):
    assert [" ".join(part.split()) for part in expected] == [
        " ".join(statement.text.split()) for statement in statements_in(text, dialect)
    ]


def test_each_quotation_is_found_with_its_prefix():
    (statement,) = statements_in("select e'a', \"b\", $x$c$x$ /* 'd' */, 'e''f'", "postgres")

    assert ["e'a'", '"b"', "$x$c$x$", "'e''f'"] == [statement.text[a:b] for a, b in sorted(statement.quotations)]


# --- the beginning ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["vacuum t", "1 + 1", "", "(t)", "explain vacuum", "set a = 1", "copy t to 'x'"])
def test_a_first_word_that_is_not_on_the_list_is_refused(text):
    assert opening.KIND == refusal(prepared, Statement(text), "sqlite")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    [
        "begin",
        "COMMIT",
        "  rollback  work ",
        "savepoint a",
        "release savepoint a",
        "start\ttransaction",
        "ROLLBACK TO a",
    ],
)
def test_transactions_touch_no_table(dialect, text):
    assert "transaction" == without_tables(text, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    [
        "begin select 1",
        "begin; x",
        "savepoint a b",
        "commit prepared 'x'",
        "rollback prepared 'x'",
        "set transaction snapshot 'x'",
        "set a = 1",
        "show all",
        "show a.b",
        "show tables from t",
        "release",
        "savepoint 'x'",
    ],
)
def test_what_only_begins_like_one_of_them_may(dialect, text):
    assert "" == without_tables(text, dialect)


# --- tokens ----------------------------------------------------------------------------------------


def tokens_of(text, dialect="postgres"):
    found = Dialect.get_or_raise(dialect)
    return Tokens(dialect, found.parser_class, Token), found.tokenize(text)


@pytest.mark.parametrize(
    ("text", "quotations"),
    [
        ("select 'a' from t", set()),
        ("select 'a' from t", {(7, 9)}),
        ("select 'a' from t", {(7, 10), (11, 14)}),
        ('select "a" from t', {(6, 10)}),
        ("select 1 -- a", set()),
        ("select 1 /* a */ from t", set()),
        ("select $x$a$x$ from t", set()),
    ],
)
def test_tokens_that_are_not_those_of_the_text_are_refused(text, quotations):
    """Whoever is wrong about where a string or a comment ends, the statement is not understood."""
    tokens, found = tokens_of(text)

    assert sql_text.QUOTATION == refusal(tokens.checked, found, Statement(text, quotations))


def test_tokens_that_are_those_of_the_text_are_kept():
    text = "select e'a', \"b\" from t where c like 'd%'"
    (statement,) = statements_in(text, "postgres")
    tokens, found = tokens_of(text)

    assert [token.text for token in found] == [token.text for token in tokens.checked(found, statement)]


@pytest.mark.parametrize("call", ["lower", "pow", "regexp_like", "json_extract", "if", "my_function", "struct"])
def test_a_call_stays_a_call_under_the_name_that_was_written(call):
    text = f"select {call}(a, b) from t"
    tokens, found = tokens_of(text)
    tree = Dialect.get_or_raise("postgres").parser().parse(tokens.checked(found, Statement(text)), text)[0]
    names = [node.this.lstrip("\x01") for node in tree.find_all(sqlglot.exp.Anonymous)]

    assert [call] == names


def test_a_word_that_is_missing_in_the_tree_is_missed():
    tokens, found = tokens_of("select a from t, secret")

    assert walk.PART == refusal(tokens.check_words, found, sqlglot.parse_one("select a from t"))


# --- the tree --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1 + 1", "a", "f(1)", "(a)", "pragma x", "use x", "describe t", "((1))"])
def test_a_tree_that_is_no_statement_on_the_list_has_no_kind(text):
    assert opening.KIND == refusal(statement_kind, sqlglot.parse_one(text, read="duckdb"))
