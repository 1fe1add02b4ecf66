"""
sqlglot, asked for the tree of one statement, and checked.

Rules:

- It is imported when the first text is parsed, not before: it costs as much as the rest of this library.
- It parses statements without comments, from tokens that `sql.tokens` has looked at.
- It logs nothing, since a log line would hold the text.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from agentid.access.sql.text import Statement, Unreadable
from agentid.access.sql.tokens import Tokens
from agentid.access.sql.tree import Node
from agentid.errors import MissingExtraError

__all__ = ["STACK", "Parser"]

NO_SQL: Final = "the text is no SQL that can be read"
STACK: Final = "there is too little stack left to read the text"


class Parser:
    """The parser of one dialect. Not for two threads at once."""

    def __init__(self, dialect: str) -> None:
        """
        Load sqlglot.

        Raises:
            MissingExtraError: It is not installed.
        """
        try:
            import_module("sqlglot")
            dialects: Any = import_module("sqlglot.dialects.dialect")
            errors: Any = import_module("sqlglot.errors")
            tokens: Any = import_module("sqlglot.tokens")
        except ImportError as error:
            raise MissingExtraError(
                "SQL cannot be read",
                why="sqlglot is not installed",
                fix="In the checkout of agentid, run: pip install '.[sql]'",
            ) from error
        self._dialect = dialects.Dialect.get_or_raise(dialect)
        parser: Any = self._dialect.parser_class
        self._tokens = Tokens(dialect, parser, tokens.Token)
        self._parser: Any = parser(dialect=self._dialect, error_level=errors.ErrorLevel.RAISE)

    def tree(self, statement: Statement) -> Node:
        """
        The tree of one statement.

        Raises:
            Unreadable: It is no SQL, or was not read as `sql.text` read it.
        """
        tokens = self._tokens.checked(self._guarded(self._dialect.tokenize, statement.text), statement)
        trees: list[Any] = self._guarded(self._parser.parse, tokens, statement.text)
        if len(trees) != 1 or not hasattr(trees[0], "args"):
            raise Unreadable(NO_SQL)
        self._tokens.check_words(tokens, trees[0])
        return trees[0]

    def _guarded(self, do: Any, *arguments: Any) -> Any:
        try:
            with _quietly():
                return do(*arguments)
        except RecursionError:
            raise Unreadable(STACK) from None
        except Exception:  # noqa: BLE001 -- whatever a parser stumbles over is no SQL that can be read
            raise Unreadable(NO_SQL) from None


@contextmanager
def _quietly() -> Generator[None, None, None]:
    """Drop what sqlglot logs in this thread, and leave its logger as it was."""
    logger, thread = logging.getLogger("sqlglot"), threading.get_ident()

    def others(_: logging.LogRecord) -> bool:
        return threading.get_ident() != thread

    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)
