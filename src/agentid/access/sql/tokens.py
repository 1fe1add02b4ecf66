"""
The tokens that sqlglot makes of a statement: checked against the text, and calls put into one form.

sqlglot knows some two thousand functions, by their names in every dialect, and gives a call of each a kind of its own:
in this dialect, most of those names may be anybody's. So a word that is called is marked before it is parsed, and stays
a call of an unknown function, under the name that was written. Only the special forms of the dialect, whose
arguments have a grammar, are left to sqlglot.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

from agentid.access.sql.functions import FUNCTIONS, SPECIAL_FORMS
from agentid.access.sql.text import QUOTATION, TOO_DEEP, Statement, Unreadable
from agentid.access.sql.tree import CALLED, Node, children, parts_in
from agentid.access.sql.walk import FUNCTION, PART

__all__ = ["Tokens"]

# Words of grammar that the tree does not keep, and that sqlglot does not count among its keywords.
_FILLER_WORDS = """
add after against always at breadth by cast check conflict concurrently data default depth duplicate engine exclude
first generated group identity if include indexed key lambda last locked matched materialized mode name no nowait nulls
of option placing repeatable restrict sample share skip source symmetric target ties to unlogged within zone
"""
_FILLERS: Final = frozenset(_FILLER_WORDS.split())
_WORDS: Final = {
    "postgres": frozenset({"ANY", "CASE"}),
    "sqlite": frozenset({"CASE"}),
    "mysql": frozenset({"ANY", "CASE"}),
    "duckdb": frozenset({"ANY", "CASE", "MAP"}),
}
# Words that sqlglot takes for grammar in every dialect, and that a function may be called in this one.
_CALLABLE: Final = {
    "postgres": frozenset({"qualify", "regexp", "rlike"}),
    "sqlite": frozenset({"fetch", "interval", "lateral", "qualify", "rlike"}),
    "mysql": frozenset({"qualify"}),
    "duckdb": frozenset({"regexp", "rlike"}),
}
# A bracket after these is grammar in all of them, though sqlglot has functions of the name.
_GRAMMAR: Final = frozenset({"all", "and", "any", "exists", "filter", "in", "not", "or", "some", "values"})
# After these, a word before a bracket is a name, a type or grammar.
_NAMES: Final = frozenset({"ALIAS", "DCOLON", "IDENTIFIER", "INTO", "NUMBER", "R_BRACKET", "R_PAREN", "STRING", "VAR"})
_MAX_TYPES: Final = 5
_QUOTED: Final = re.compile(r"['\"`]|\$\w*\$")


class Tokens:
    """What is to be known about the tokens of one dialect."""

    def __init__(self, dialect: str, parser: Any, token: Any) -> None:
        self._token = token
        self._var: Any = token.var("").token_type
        self._types: frozenset[Any] = frozenset(parser.TYPE_TOKENS)
        self._callable = _CALLABLE[dialect]
        forms = SPECIAL_FORMS[dialect]
        self._fillers = _FILLERS.union(form.lower() for form in forms)
        # `IF` and others are words of some dialects only, and elsewhere names that a function may have.
        self._bare = frozenset(name.lower() for name in set(parser.NO_PAREN_FUNCTION_PARSERS) - _WORDS[dialect])
        known = {*parser.FUNCTIONS, *parser.FUNCTION_PARSERS, *parser.NO_PAREN_FUNCTION_PARSERS}
        self._quoted = frozenset(name.lower() for name in known)
        self._known: frozenset[str] = frozenset(name.lower() for name in known - forms - _WORDS[dialect]) - _GRAMMAR
        self._allowed = FUNCTIONS[dialect]

    def checked(self, tokens: list[Any], statement: Statement) -> list[Any]:
        """
        The tokens, each called word marked.

        Raises:
            Unreadable: They are not those of the text, or a call is taken for something else.
        """
        _check_text(tokens, statement)
        marked = [self._marked(tokens, at) for at in range(len(tokens))]
        self._check_types(marked)
        return marked

    def _marked(self, tokens: list[Any], at: int) -> Any:
        token = tokens[at]
        word, kind = token.text.lower(), token.token_type
        if CALLED in word:
            raise Unreadable(QUOTATION)
        if at + 1 == len(tokens) or tokens[at + 1].text != "(":
            if word in self._bare and not _if_exists(tokens, at):
                raise Unreadable(PART)
            return token
        if kind.name == "IDENTIFIER":
            # A quoted name is compared letter by letter, and is not that function.
            return self._copy(token, kind) if word in self._quoted else token
        before = tokens[at - 1] if at else None
        star = at > 1 and tokens[at - 1].text == "*" and not self._ends_operand(tokens[at - 2])
        if word in self._callable or kind.name == "INTRODUCER":
            raise Unreadable(FUNCTION)
        if word not in self._known or (star and word == "replace"):
            return token
        if word == "insert" and before is not None and before.text.lower() == "then":
            return token
        if before is not None and self._ends_operand(before):
            # INVARIANT: a call that is not marked is one of a function on the list, or none.
            if word not in self._allowed and kind not in self._types:
                raise Unreadable(FUNCTION)
            return token
        return self._copy(token, self._var)

    def _copy(self, token: Any, kind: Any) -> Any:
        return self._token(kind, CALLED + token.text, token.line, token.col, token.start, token.end)

    def _ends_operand(self, token: Any) -> bool:
        return token.token_type.name in _NAMES or token.token_type in self._types

    def _check_types(self, tokens: list[Any]) -> None:
        """Refuse types within types: sqlglot reads each as a type and again as a call, twice as long for each level."""
        opened: list[tuple[str, bool]] = []
        for token, after in pairwise(tokens):
            mark, is_type = after.text, token.token_type in self._types
            if mark in ("(", "[") or (mark == "<" and is_type):
                opened.append((mark, is_type))
                if sum(nested for _, nested in opened) > _MAX_TYPES:
                    raise Unreadable(TOO_DEEP)
            elif mark == ">" and opened and opened[-1][0] == "<":
                opened.pop()
            elif mark in (")", "]"):
                while opened and opened.pop()[0] == "<":
                    pass  # it was a comparison

    def check_words(self, tokens: list[Any], tree: Node) -> None:
        """
        Look for each word that is no keyword in the tree.

        Raises:
            Unreadable: One was dropped.
        """
        kept: set[str] = set()
        todo = [tree]
        while todo:
            node = todo.pop()
            for value in node.args.values():
                for item in parts_in(value):
                    if isinstance(item, str):
                        kept.update(item.casefold().split())
                        kept.add(item.casefold())
            todo += children(node)
        for token in tokens:
            kind, word = token.token_type.name, token.text.casefold()
            if kind in ("VAR", "IDENTIFIER") and word not in kept and (kind != "VAR" or word not in self._fillers):
                raise Unreadable(PART)


def _if_exists(tokens: list[Any], at: int) -> bool:
    """Whether `IF` is the one of `IF EXISTS` or `IF NOT EXISTS`."""
    after = [token.text.lower() for token in tokens[at : at + 3]]
    return after[:2] == ["if", "exists"] or after == ["if", "not", "exists"]


def _check_text(tokens: list[Any], statement: Statement) -> None:
    """Refuse a statement in which sqlglot saw other quotations, a comment, or less than the whole text."""
    text, quotations, before, seen = statement.text, statement.quotations, 0, 0
    for token in tokens:
        start, end = token.start, token.end + 1
        # INVARIANT: what lies between two tokens is empty, so nothing was taken for a comment.
        if text[before:start].strip() or start < before:
            raise Unreadable(QUOTATION)
        if (start, end) in quotations:
            seen += 1
        elif _QUOTED.search(text, start, end):
            raise Unreadable(QUOTATION)
        before = end
    if text[before:].strip() or seen != len(quotations):
        raise Unreadable(QUOTATION)
