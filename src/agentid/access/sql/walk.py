"""
A tree of SQL, walked: which tables it touches, and how.

Rules:

- Each `Table` that is met is a table that is read, unless a statement says otherwise (`sql.statements`) or it is
  certainly a `WITH` query of that name. Names of those are known only where they hold: in
  `with t as (select * from t) …` the inner `t` is the real one.
- Each kind of node is on a list, each function too; what is not ends the reading with `Unreadable`.
- A column belongs to the table that its prefix names; without one, to each that is in sight. So the columns given
  are at least those that are touched, and `None` where it may be all of them.

This module decides nothing about whole statements, and keeps nothing from one reading to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from agentid.access.sql.functions import FUNCTIONS, TABLE_FUNCTIONS
from agentid.access.sql.names import SqlDatabase, SqlTable, fold, tables_named, tables_of
from agentid.access.sql.nodes import HARMLESS, TABLE_PARTS
from agentid.access.sql.sight import NO_COLUMN, Columns, Found, Sight, Source
from agentid.access.sql.sources import in_brackets, named_source, sources_in
from agentid.access.sql.text import Unreadable
from agentid.access.sql.tree import CALLED, Node, children, kind_of, nodes_in, parts_in, with_of, word_in

__all__ = ["FUNCTION", "PART", "Walk"]

PART: Final = "a part of the statement is not on the list"
FUNCTION: Final = "a function is not known to be harmless"


class Walk:
    """One walk through one statement; *database* says what names in it mean."""

    def __init__(self, database: SqlDatabase, statements: Mapping[str, Callable[[Walk, Node, Sight], None]]) -> None:
        self.database = database
        self.found = Found()
        self._statements = statements
        self._rules: dict[str, Callable[[Node, Sight], None]] = {
            "Table": self._table,
            "Column": self._column,
            "Star": self._star,
            "Select": self._select,
            "Anonymous": self._function,
            "Dot": self._dot,
            "Join": self._join,
            "Lock": self._lock,
            "RegexpLike": self._regexp,
            "Unnest": self._unnest,
            "Lateral": self._lateral,
            "PropertyEQ": self._property,
            "Ordered": self._ordered,
            "In": self._in,
            "TableAlias": self._table_alias,
            "Subquery": self._subquery,
        }
        self._todo: list[tuple[Node, Sight]] = []
        self._seen: set[SqlTable] = set()
        self._loose: Columns = NO_COLUMN

    def run(self, node: Node, sight: Sight) -> None:
        """
        Look at *node* and all below it.

        Raises:
            Unreadable: Something in it is not on a list.
        """
        # Not by recursion: a chain of `or` is as deep as it is long.
        self._todo.append((node, sight))
        while self._todo:
            self._look(*self._todo.pop())
        if self._loose != NO_COLUMN and self.database.dialect in ("sqlite", "duckdb"):
            # These put a `WITH` query in the place of its name, where a column may find more sources than it saw.
            self.found.add("read", tuple(sorted(self._seen)), self._loose)

    def later(self, node: Node, sight: Sight) -> None:
        """Look at *node* too, within the `run` that is under way."""
        self._todo.append((node, sight))

    def _look(self, node: Node, sight: Sight) -> None:
        kind = kind_of(node)
        if with_of(node) is not None:
            sight = self.with_queries(node, sight)
        if node.args.get("locks"):
            sight = replace(sight, locked=True)
        statement = self._statements.get(kind)
        rule = self._rules.get(kind)
        if statement is not None:
            statement(self, node, sight)
        elif rule is not None:
            rule(node, sight)
        elif kind in HARMLESS:
            self.below(node, sight)
        else:
            raise Unreadable(PART)

    def below(self, node: Node, sight: Sight, *, without: tuple[str, ...] = ()) -> None:
        """Look at what is below *node*, apart from the named parts and its `WITH` clause."""
        for child in children(node, without=(*without, "with_", "with")):
            self.later(child, sight)

    def with_queries(self, node: Node, sight: Sight) -> Sight:
        """Look at the `WITH` queries of *node*, and say what is in sight for the rest of it."""
        clause = with_of(node)
        if kind_of(clause) != "With":
            raise Unreadable(PART)
        names = [self._name(query) for query in clause.expressions]
        visible = sight.queries
        # SQLite lets every query of the clause see all of them, with and without RECURSIVE.
        everywhere = self.database.dialect == "sqlite"
        for name, query in zip(names, clause.expressions, strict=True):
            own: frozenset[str] = frozenset({name} if clause.args.get("recursive") else ())
            seen = visible.union(names) if everywhere else visible | own
            # INVARIANT: a name counts as a query only where it certainly is one; else the real table is given.
            self.later(query.this, replace(sight, queries=seen, locked=False, in_with=True))
            visible = visible | {name}
        return replace(sight, queries=visible)

    def _name(self, query: Node) -> str:
        alias = query.args.get("alias")
        if kind_of(query) != "CTE" or kind_of(alias) != "TableAlias":
            raise Unreadable(PART)
        return fold(alias.this, self.database)

    # --- tables -----------------------------------------------------------------------------------

    def named(self, table: Node, sight: Sight) -> Source:
        """The tables that a `Table` node means where one is read: none if it is a `WITH` query or a function."""
        if kind_of(table.this) == "Anonymous" or table.args.get("rows_from"):
            return ()
        if table.args.get("db") is None and self._is_dual(table.this):
            return ()
        if table.args.get("db") is None and fold(table.this, self.database) in sight.queries:
            return ()
        return tables_named(table, self.database)

    def _is_dual(self, name: Node) -> bool:
        return self.database.dialect == "mysql" and not name.args.get("quoted") and name.name.lower() == "dual"

    def _table(self, node: Node, sight: Sight) -> None:
        self.check_table(node)
        renamed = kind_of(node.args.get("alias")) == "TableAlias" and node.args["alias"].args.get("columns")
        self.found.add("read", self.named(node, sight), None if renamed else NO_COLUMN)
        if sight.locked:
            # Who may lock rows can keep others from changing them, so databases ask for the right to change.
            self.found.add("edit", self.named(node, sight), None)
        self.around_table(node, sight)
        if kind_of(node.this) == "Anonymous":
            self._table_function(node.this, sight, node.args.get("db"))

    def check_table(self, node: Node) -> None:
        """
        Refuse a `Table` node that says more than a name.

        Raises:
            Unreadable: It has a version, a pivot or anything else that is not on the list.
        """
        if kind_of(node) != "Table" or any(value and name not in TABLE_PARTS for name, value in node.args.items()):
            raise Unreadable(PART)

    def around_table(self, node: Node, sight: Sight) -> None:
        """Look at what stands around the name of a table: joins, functions, a sample."""
        for name in ("alias", "joins", "laterals", "rows_from", "sample"):
            for item in nodes_in(node.args.get(name)):
                self.later(item, sight)

    def _table_function(self, call: Node, sight: Sight, schema: Node | None) -> None:
        if schema is not None and not self._built_in(schema):
            raise Unreadable(FUNCTION)
        if _called(call) not in TABLE_FUNCTIONS[self.database.dialect]:
            raise Unreadable(FUNCTION)
        self.below(call, sight)

    def _lateral(self, node: Node, sight: Sight) -> None:
        if node.args.get("view"):
            raise Unreadable(PART)
        if kind_of(node.this) == "Anonymous":
            self._table_function(node.this, sight, None)
            self.below(node, sight, without=("this",))
        else:
            self.below(node, sight)

    def _unnest(self, node: Node, sight: Sight) -> None:
        if "unnest" not in FUNCTIONS[self.database.dialect]:
            raise Unreadable(FUNCTION)
        self.below(node, sight)

    # --- queries ----------------------------------------------------------------------------------

    def _select(self, node: Node, sight: Sight) -> None:
        if node.args.get("hint") or node.args.get("kind"):
            raise Unreadable(PART)
        inner = sight.inside(self.sources_of(node, sight))
        locked = replace(inner, locked=sight.locked)
        into = node.args.get("into")
        if into is not None:
            self._statements["Into"](self, into, inner)
        tables = ("from_", "from", "joins", "laterals")
        self.below(node, inner, without=(*tables, "into", "order"))
        for name in tables:
            for item in nodes_in(node.args.get(name)):
                self.later(item, locked)
        order = node.args.get("order")
        if order is not None:
            self._order(order, inner, {item.alias for item in node.expressions if kind_of(item) == "Alias"})

    def _subquery(self, node: Node, sight: Sight) -> None:
        if self.database.dialect == "sqlite" and in_brackets(node):
            # Joins in brackets are read like a query of all columns.
            for source in self._sources([node], sight).values():
                self.found.add("read", source, None)
        self.below(node, sight)

    def _order(self, order: Node, sight: Sight, outputs: set[str]) -> None:
        for item in order.expressions:
            name = item.this if kind_of(item) == "Ordered" else item
            # A bare name that the query gives to a result means that result.
            if kind_of(name) == "Column" and not name.args.get("table") and name.name in outputs:
                continue
            self.later(item, sight)

    def _ordered(self, node: Node, sight: Sight) -> None:
        if node.args.get("with_fill"):
            raise Unreadable(PART)
        self.below(node, sight)

    def sources_of(self, node: Node, sight: Sight) -> dict[str, Source]:
        """By name, what the `FROM` of *node*, its joins or its `USING` bring into sight."""
        named = ("from_", "from", "joins", "laterals", "using")
        return self._sources([item for name in named for item in nodes_in(node.args.get(name))], sight)

    def _sources(self, items: list[Node], sight: Sight) -> dict[str, Source]:
        sources = sources_in(items, lambda table: self.named(table, sight), self.database)
        self._seen.update(table for means in sources.values() for table in means)
        return sources

    def changed(self, table: Node, target: Source) -> dict[str, Source]:
        """A table whose rows are changed, as a source: they are gone through too."""
        self._seen.update(target)
        return named_source(table, target, self.database)

    def _table_alias(self, node: Node, sight: Sight) -> None:
        # `from f (1)`, with a keyword of another dialect for `f`: a call, which looks like columns without an alias.
        if node.this is None:
            raise Unreadable(FUNCTION)
        self.below(node, sight, without=("this",))

    def _join(self, node: Node, sight: Sight) -> None:
        if word_in(node.args.get("method")) == "NATURAL":
            self.all_columns(sight)
        for name in parts_in(node.args.get("using")):
            if kind_of(name) == "Identifier":
                self.touch(sight, fold(name, self.database))
            else:
                self.later(name, sight)
        self.below(node, sight, without=("using", "on", "this"))
        self.later(node.this, sight)
        for condition in nodes_in(node.args.get("on")):
            self.later(condition, replace(sight, locked=False))

    def _lock(self, node: Node, sight: Sight) -> None:
        """`FOR UPDATE OF t` names what is in sight already; all of that counts as locked."""

    # --- columns ----------------------------------------------------------------------------------

    def _column(self, node: Node, sight: Sight) -> None:
        parts = [node.args.get(name) for name in ("catalog", "db", "table", "this")]
        names = [part for part in parts if part is not None]
        if kind_of(names[-1]) not in ("Identifier", "Star"):
            self.below(node, sight)
            return
        known = False
        for prefix, column in pairwise(names):
            self._check_field(column)
            source = self._nearest(fold(prefix, self.database), sight)
            if source is not None:
                known = True
                self._add_columns(source, column)
        if len(names) == 1:
            text = fold(names[0], self.database)
            self.touch(sight, text)
            for scope in sight.scopes:
                # PostgreSQL and DuckDB take the name of a table for the whole of its row.
                self.found.add("read", scope.get(text, ()), None)
        elif not known:
            self.all_columns(sight)

    def _check_field(self, field: Node) -> None:
        # `o.f` is `f(o)`, where no column has the name.
        if kind_of(field) == "Identifier" and fold(field, self.database) in self.database.row_functions:
            raise Unreadable(FUNCTION)

    def _nearest(self, name: str, sight: Sight) -> Source | None:
        return next((scope[name] for scope in sight.scopes if name in scope), None)

    def _add_columns(self, source: Source, column: Node) -> None:
        everything = kind_of(column) == "Star"
        self.found.add("read", source, None if everything else frozenset({fold(column, self.database)}))

    def touch(self, sight: Sight, column: str) -> None:
        """Note that a column without a prefix is looked at: any source in sight may have it."""
        if sight.in_with and self._loose is not None:
            self._loose |= {column}
        for scope in sight.scopes:
            for source in scope.values():
                self.found.add("read", source, frozenset({column}))

    def all_columns(self, sight: Sight) -> None:
        """Note that any column of any source in sight may be looked at."""
        if sight.in_with:
            self._loose = None
        for scope in sight.scopes:
            for source in scope.values():
                self.found.add("read", source, None)

    def _star(self, node: Node, sight: Sight) -> None:
        for source in sight.scopes[0].values() if sight.scopes else ():
            self.found.add("read", source, None)
        self.below(node, sight)

    def _in(self, node: Node, sight: Sight) -> None:
        field = node.args.get("field")
        if field is not None and self.database.dialect == "sqlite":
            # `x in t` reads the table t.
            if kind_of(field) != "Column" or len(field.parts) > 2:
                raise Unreadable(PART)
            name, schema = field.args["this"], field.args.get("table")
            if schema is not None or fold(name, self.database) not in sight.queries:
                self.found.add("read", tables_of(schema, name, database=self.database), None)
            self.below(node, sight, without=("field",))
            return
        self.below(node, sight)

    # --- functions --------------------------------------------------------------------------------

    def _function(self, node: Node, sight: Sight) -> None:
        name = _called(node)
        if name not in FUNCTIONS[self.database.dialect]:
            raise Unreadable(FUNCTION)
        counted: list[Any] = node.expressions
        if len(counted) == 1 and kind_of(counted[0]) == "Star" and name == "count":
            return  # counts rows, and looks at no column
        self.below(node, sight)

    def _built_in(self, schema: Node) -> bool:
        return self.database.dialect == "postgres" and fold(schema, self.database) == "pg_catalog"

    def _dot(self, node: Node, sight: Sight) -> None:
        if kind_of(node.expression) in ("Identifier", "Star"):
            self._check_field(node.expression)
            self.later(node.this, sight)
        elif (
            kind_of(node.this) == "Identifier" and kind_of(node.expression) == "Anonymous" and self._built_in(node.this)
        ):
            self.later(node.expression, sight)
        else:
            raise Unreadable(FUNCTION)

    def _regexp(self, node: Node, sight: Sight) -> None:
        # In SQLite the operator calls a function that the application has to bring.
        if self.database.dialect == "sqlite":
            raise Unreadable(FUNCTION)
        self.below(node, sight)

    def _property(self, node: Node, sight: Sight) -> None:
        # `@x := 1` changes the session; in the others it names an argument or a field.
        if self.database.dialect == "mysql":
            raise Unreadable(PART)
        self.below(node, sight)


def _called(call: Node) -> str:
    """The name of the function that is called; empty if it is quoted: that is compared letter by letter."""
    return call.this.removeprefix(CALLED).lower() if isinstance(call.this, str) else ""
