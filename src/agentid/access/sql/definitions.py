"""
What statements do that make, change and remove tables, copy them and hand out rights to them.

`CASCADE` is refused everywhere: it reaches tables that the text does not name.
"""

from __future__ import annotations

from agentid.access.sql.names import SqlTable, fold, made, temporary
from agentid.access.sql.nodes import PROPERTIES
from agentid.access.sql.opening import KIND
from agentid.access.sql.rules import NO_TABLE, columns_of, only, statement_kind, target_of
from agentid.access.sql.sight import Sight, Source
from agentid.access.sql.text import Unreadable
from agentid.access.sql.tree import Node, kind_of, nodes_in, parts_in, word_in
from agentid.access.sql.walk import PART, Walk

__all__ = ["alter", "copy", "create", "drop", "into", "share", "truncate"]


def into(walk: Walk, node: Node, sight: Sight) -> None:  # noqa: ARG001 -- the form of every rule
    """`SELECT … INTO`: makes a table."""
    # Elsewhere it fills variables and writes files.
    if walk.database.dialect != "postgres" or kind_of(node.this) != "Table":
        raise Unreadable(PART)
    only(node, "temporary", "this", "unlogged")
    walk.check_table(node.this)
    place = temporary if node.args.get("temporary") else made
    walk.found.add("write", place(node.this, walk.database), None)


def create(walk: Walk, node: Node, sight: Sight) -> None:
    """`CREATE`: makes a table or a view, or changes a table by an index."""
    kind = word_in(node.args.get("kind"))
    only(node, "exists", "expression", "kind", "properties", "replace", "this", "unique", "concurrently")
    properties = getattr(node.args.get("properties"), "expressions", ())
    named = {kind_of(item) for item in properties if not _is_like_or_plain_engine(walk, item, sight)}
    if kind not in ("TABLE", "VIEW", "INDEX") or named - PROPERTIES:
        raise Unreadable(KIND)
    if kind == "INDEX":
        _index(walk, node, sight)
        return
    table, schema = node.this, node.this
    if kind_of(schema) == "Schema":
        table = schema.this
        for part in nodes_in(schema.expressions):
            walk.later(part.this if kind_of(part) == "LikeProperty" else part, sight)
    if kind_of(table) != "Table":
        raise Unreadable(NO_TABLE)
    walk.check_table(table)
    target = (temporary if "TemporaryProperty" in named else made)(table, walk.database)
    walk.found.add("write", target, None)
    if node.args.get("replace"):
        walk.found.add("delete", target, None)
    for query in nodes_in(node.args.get("expression")):
        statement_kind(query)
        walk.later(query, sight)


def _is_like_or_plain_engine(walk: Walk, item: Node, sight: Sight) -> bool:
    if kind_of(item) == "LikeProperty":
        walk.later(item.this, sight)
        return True
    # Other engines read from files and from other servers.
    return kind_of(item) == "EngineProperty" and item.this.name.lower() in ("innodb", "memory", "myisam")


def _index(walk: Walk, node: Node, sight: Sight) -> None:
    index = node.this
    if kind_of(index) != "Index" or node.args.get("expression") is not None:
        raise Unreadable(KIND)
    table = index.args.get("table")
    target = target_of(walk, table)
    walk.found.add("edit", target, None)
    # It is made of what the columns hold, and a unique one tells whether two are alike.
    walk.below(index, sight.inside({"": target}), without=("this", "table"))


def drop(walk: Walk, node: Node, sight: Sight) -> None:  # noqa: ARG001 -- the form of every rule
    """`DROP`: removes tables and views."""
    # CASCADE reaches tables that the text does not name.
    only(node, "exists", "expressions", "kind", "materialized", "restrict", "tables", "temporary", "this")
    if word_in(node.args.get("kind")) not in ("TABLE", "VIEW"):
        raise Unreadable(KIND)
    dropped = [*nodes_in(node.args.get("this")), *parts_in(node.args.get("tables"))]
    if not dropped or node.args.get("expressions"):
        raise Unreadable(NO_TABLE)
    for table in dropped:
        walk.found.add("delete", target_of(walk, table), None)


def truncate(walk: Walk, node: Node, sight: Sight) -> None:  # noqa: ARG001 -- the form of every rule
    """`TRUNCATE`: removes all rows."""
    if node.args.get("is_database") or word_in(node.args.get("option")) not in ("", "RESTRICT"):
        raise Unreadable(PART)
    only(node, "expressions", "identity", "option")
    if not node.expressions:
        raise Unreadable(NO_TABLE)
    for table in node.expressions:
        walk.found.add("delete", target_of(walk, table), None)


def alter(walk: Walk, node: Node, sight: Sight) -> None:
    """`ALTER TABLE`: changes a table; a new name is a table that is made, a dropped column is data removed."""
    only(node, "actions", "exists", "kind", "only", "this")
    if word_in(node.args.get("kind")) != "TABLE" or not node.args.get("actions"):
        raise Unreadable(KIND)
    target = target_of(walk, node.this)
    walk.found.add("edit", target, None)
    for action in nodes_in(node.args["actions"]):
        kind = kind_of(action)
        if kind == "AlterRename":
            walk.found.add("write", _renamed(walk, action.this, target), None)
        elif kind == "Drop":
            if action.args.get("cascade") or word_in(action.args.get("kind")) not in ("COLUMN", "CONSTRAINT"):
                raise Unreadable(PART)
            walk.found.add("delete", target, None)
        else:
            walk.later(action, sight.inside({"": target} if action.args.get("using") is not None else {}))


def _renamed(walk: Walk, name: Node, target: Source) -> Source:
    """What a table will be called: it stays where it is, unless the new name says where."""
    if kind_of(name) != "Table":
        raise Unreadable(NO_TABLE)
    if name.args.get("db") is not None:
        return target_of(walk, name)
    after = target_of(walk, name)
    return tuple(SqlTable(table.catalog, table.schema, new.name) for table in target for new in after)


# --- copy, grant ----------------------------------------------------------------------------------


def copy(walk: Walk, node: Node, sight: Sight) -> None:
    """`COPY`: writes what the connection sends, or reads and sends it."""
    # Any place but the connection itself is a file of the server, or a program on it.
    files = parts_in(node.args.get("files"))
    plain = [item for item in files if kind_of(item) == "Identifier" and not item.args.get("quoted")]
    names = {fold(item, walk.database) for item in plain}
    reads_in = bool(node.args.get("kind"))
    if walk.database.dialect != "postgres" or len(files) != 1 or names != {"stdin" if reads_in else "stdout"}:
        raise Unreadable(KIND)
    table, listed = node.this, parts_in(None)
    if kind_of(table) == "Schema":
        table, listed = table.this, parts_in(table.expressions)
    if kind_of(table) == "Table":
        walk.found.add("write" if reads_in else "read", target_of(walk, table), columns_of(walk, listed))
    elif reads_in:
        raise Unreadable(NO_TABLE)
    else:
        statement_kind(table)
        walk.later(table, sight)
    only(node, "credentials", "files", "kind", "params", "this")
    for credentials in nodes_in(node.args.get("credentials")):
        only(credentials)
    for parameter in parts_in(node.args.get("params")):
        if kind_of(parameter) != "CopyParameter" or kind_of(parameter.this) != "Var":
            raise Unreadable(PART)
        for value in nodes_in(parameter.args.get("expression")):
            walk.later(value, sight)


def share(walk: Walk, node: Node, sight: Sight) -> None:  # noqa: ARG001 -- the form of every rule
    """`GRANT` and `REVOKE`: decide who else may use a table."""
    if word_in(node.args.get("kind")) not in ("", "TABLE"):
        raise Unreadable(KIND)
    walk.found.add("share", target_of(walk, node.args.get("securable")), None)
