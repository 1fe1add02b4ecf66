"""
What statements do that change rows: `INSERT`, `UPDATE`, `DELETE`, `MERGE`.

The table that is changed is never a `WITH` query, whatever its name. It is read too where the statement looks at its
columns: in a condition, on the right of `=`, in `RETURNING`.
"""

from __future__ import annotations

from agentid.access.sql.names import fold
from agentid.access.sql.rules import assign, columns_of, only, target_of
from agentid.access.sql.sight import Columns, Sight, Source
from agentid.access.sql.sources import merged, named_source
from agentid.access.sql.text import Unreadable
from agentid.access.sql.tree import Node, kind_of, nodes_in, parts_in, word_in
from agentid.access.sql.walk import PART, Walk

__all__ = ["delete", "insert", "merge", "update"]


def insert(walk: Walk, node: Node, sight: Sight) -> None:
    """`INSERT`: writes; a conflict may edit, or remove what is in the way."""
    only(node, "alias", "alternative", "by_name", "conflict", "default", "expression", "ignore", "returning", "this")
    schema = node.this
    listed: list[Node] = []
    if kind_of(schema) == "Schema":
        schema, listed = schema.this, schema.expressions
    target = target_of(walk, schema)
    walk.found.add("write", target, columns_of(walk, listed))
    alternative = word_in(node.args.get("alternative")).lower()
    if alternative == "replace":
        walk.found.add("delete", target, None)
    elif alternative not in ("", "abort", "fail", "ignore", "rollback"):
        raise Unreadable(PART)
    rows = nodes_in(node.args.get("expression"))
    if not rows and not node.args.get("default"):
        raise Unreadable(PART)
    for query in rows:
        walk.later(query, sight)
    sources = named_source(schema, target, walk.database)
    for alias in nodes_in(node.args.get("alias")):
        sources[fold(alias.this, walk.database)] = target
    inner = sight.inside({**sources, **_new_row(walk, node)})
    for conflict in nodes_in(node.args.get("conflict")):
        _conflict(walk, conflict, inner, target)
    for returning in nodes_in(node.args.get("returning")):
        walk.later(returning, sight.inside(sources))


def _new_row(walk: Walk, node: Node) -> dict[str, Source]:
    """The names that mean the row which could not be inserted: it is no row of the table."""
    if walk.database.dialect != "mysql":
        return {"excluded": ()}
    aliases = [
        alias for values in nodes_in(node.args.get("expression")) for alias in nodes_in(values.args.get("alias"))
    ]
    return {fold(alias.this, walk.database): () for alias in aliases if kind_of(alias) == "TableAlias"}


def _conflict(walk: Walk, node: Node, sight: Sight, target: Source) -> None:
    if kind_of(node) != "OnConflict":
        raise Unreadable(PART)
    action = word_in(node.args.get("action"))
    assignments = node.expressions
    if assignments or action in ("DO UPDATE", "UPDATE"):
        assign(walk, assignments, sight, lambda _, columns: walk.found.add("edit", target, columns))
        if not assignments:
            walk.found.add("edit", target, None)
    elif action not in ("DO NOTHING", "NOTHING", ""):
        raise Unreadable(PART)
    # Which rows are in the way is found by looking: whether a value exists can be seen from outside.
    if node.args.get("constraint"):
        walk.found.add("read", target, None)
    for name in ("conflict_keys", "where", "index_where"):
        for part in nodes_in(node.args.get(name)):
            if kind_of(part) == "Identifier":
                walk.found.add("read", target, columns_of(walk, [part]))
            walk.later(part, sight)


def update(walk: Walk, node: Node, sight: Sight) -> None:
    """`UPDATE`: edits the table, or in MySQL those of the joined ones whose columns are set."""
    only(node, "alternative", "expressions", "from_", "from", "limit", "order", "returning", "this", "where")
    table = node.this
    target = target_of(walk, table)
    sources = walk.sources_of(node, sight)
    joined = walk.sources_of(table, sight)
    several = bool(table.args.get("joins"))
    inner = sight.inside(merged(sources, joined, walk.changed(table, target)))
    everything = {table for source in (*joined.values(), target) for table in source}

    def edit(prefix: Node | None, columns: Columns) -> None:
        # MySQL updates whichever of the joined tables has the column.
        named = inner.scopes[0].get(fold(prefix, walk.database)) if several and prefix is not None else None
        walk.found.add("edit", named or (tuple(sorted(everything)) if several else target), columns)

    if not node.expressions:
        raise Unreadable(PART)
    if node.args.get("alternative") == "replace":
        walk.found.add("delete", target, None)
    assign(walk, node.expressions, inner, edit)
    walk.around_table(table, inner)
    walk.below(node, inner, without=("this", "expressions", "alternative"))


def delete(walk: Walk, node: Node, sight: Sight) -> None:
    """`DELETE`: removes rows of the table, or in MySQL of those that are named before `FROM` or `USING`."""
    only(node, "limit", "order", "returning", "tables", "this", "using", "where")
    table = node.this
    sources = walk.sources_of(node, sight)
    own: dict[str, Source] = {}
    listed = parts_in(node.args.get("tables"))
    if walk.database.dialect == "mysql" and (listed or sources):
        # Those that lose rows are named by their aliases, and the others are read.
        if listed:
            walk.check_table(table)
            own = merged(walk.changed(table, walk.named(table, sight)), walk.sources_of(table, sight))
            walk.later(table, sight.inside(own))
        sources = merged(sources, own)
        for name in listed or [table]:
            alias = fold(name.this, walk.database).lower() if name.args.get("db") is None else ""
            # Some servers compare aliases letter by letter, and some do not.
            means = {table for key, source in sources.items() if key.lower() == alias for table in source}
            walk.found.add("delete", tuple(sorted(means)) or target_of(walk, name), None)
    else:
        if listed:
            raise Unreadable(PART)
        target = target_of(walk, table)
        sources = merged(sources, walk.changed(table, target))
        walk.found.add("delete", target, None)
        walk.around_table(table, sight.inside(sources))
    walk.below(node, sight.inside(sources), without=("this", "tables"))


def merge(walk: Walk, node: Node, sight: Sight) -> None:
    """`MERGE`: does what its branches say, and reads both tables to find them."""
    only(node, "on", "returning", "this", "using", "using_cond", "whens")
    target = target_of(walk, node.this)
    inner = sight.inside(merged(walk.sources_of(node, sight), walk.changed(node.this, target)))
    whens = node.args.get("whens")
    if kind_of(whens) != "Whens" or not whens.expressions:
        raise Unreadable(PART)
    for when in whens.expressions:
        _when(walk, when, inner, target)
    for name in parts_in(node.args.get("using_cond")):
        column = columns_of(walk, [name])
        if column is None:
            raise Unreadable(PART)
        walk.touch(inner, *column)
    walk.below(node, inner, without=("this", "whens", "using_cond"))


def _when(walk: Walk, when: Node, sight: Sight, target: Source) -> None:
    then, kind = when.args.get("then"), kind_of(when.args.get("then"))
    word = word_in(then) if kind == "Var" else ""
    if kind == "Update":
        if not then.expressions:
            # Each column, by name.
            walk.found.add("edit", target, None)
            walk.all_columns(sight)
        assign(walk, then.expressions, sight, lambda _, columns: walk.found.add("edit", target, columns))
        walk.below(then, sight, without=("expressions",))
    elif kind == "Insert":
        listed = parts_in(then.this.expressions) if kind_of(then.this) == "Tuple" else []
        walk.found.add("write", target, columns_of(walk, listed))
        if not nodes_in(then.args.get("expression")):
            walk.all_columns(sight)
        walk.below(then, sight, without=("this",))
    elif word == "DELETE":
        walk.found.add("delete", target, None)
    elif word != "DO NOTHING":
        raise Unreadable(PART)
    for condition in nodes_in(when.args.get("condition")):
        walk.later(condition, sight)
