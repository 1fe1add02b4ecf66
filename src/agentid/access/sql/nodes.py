"""
The kinds of nodes in sqlglot's tree that may stand in a statement that is understood.

Lists of what is allowed: a kind that is not here makes the whole text one that is not understood, so a
new version of sqlglot, or a new word of a dialect, adds nothing unseen. `sql.walk` and `sql.statements` have a
rule for each kind that touches a table or calls a function; those below only hold others.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HARMLESS", "PROPERTIES", "TABLE_PARTS"]

_OPERATORS = """
Add And Between BitwiseAnd BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor Div Distance DPipe EQ
Escape GT GTE Glob ILike IntDiv Is LT LTE Like Match MatchAgainst Mod Mul NEQ Neg Not NullSafeEQ NullSafeNEQ Or
Overlaps Paren Pow RegexpILike SafeDivide SimilarTo Sub Xor ArrayContainsAll ArrayContainedBy ArrayOverlaps
JSONArrayContains JSONBContains JSONBContainsAllTopKeys JSONBContainsAnyTopKeys JSONBContainsTopKey JSONBDeleteAtPath
JSONBExtract JSONBExtractScalar JSONExtract JSONExtractScalar JSONBPathExists JSONBPathMatch Adjacent ExtendsLeft
ExtendsRight
"""

_VALUES = """
Array Bracket Boolean ByteString BitString HexString Case Cast CastToStrType CharacterSet Collate CurrentDate
CurrentCatalog CurrentDatetime CurrentRole CurrentSchema CurrentTime CurrentTimestamp CurrentUser DataType
DataTypeParam Default Exists Extract GroupConcat HavingMax Heredoc Identifier If IgnoreNulls Interval IntervalSpan
Introducer JSON Kwarg Lambda Literal Localtime Localtimestamp National Null Overlay Parameter Placeholder
PositionalColumn RawString RespectNulls SessionParameter SessionUser Slice StrPosition Struct Substring Trim TryCast
Tuple UtcDate UtcTime UtcTimestamp AtTimeZone Var Any All UnicodeString Concat Comprehension ToMap VarMap Map JSONPath
JSONPathFilter JSONPathKey JSONPathRecursive JSONPathRoot JSONPathScript JSONPathSelector JSONPathSlice
JSONPathSubscript JSONPathUnion JSONPathWildcard JSONPathPart
"""

_PARTS_OF_QUERIES = """
Alias Cube Distinct Fetch Filter From Group GroupingSets Having Limit LimitOptions Named Offset Order Qualify Rollup
TableColumn TableSample Where Window WindowSpec WithinGroup WithFill Values Intersect Except Union  Returning
"""

_PARTS_OF_DEFINITIONS = """
AutoIncrementColumnConstraint CharacterSetColumnConstraint CheckColumnConstraint CollateColumnConstraint
ColumnConstraint ColumnDef ColumnPosition CommentColumnConstraint ComputedColumnConstraint Constraint
DefaultColumnConstraint ForeignKey GeneratedAsIdentityColumnConstraint IndexColumnConstraint IndexParameters
NotNullColumnConstraint OnUpdateColumnConstraint PrimaryKey PrimaryKeyColumnConstraint Reference Schema
UniqueColumnConstraint UniqueKeyProperty AddConstraint AlterColumn RenameColumn
"""

HARMLESS: Final = frozenset(f"{_OPERATORS} {_VALUES} {_PARTS_OF_QUERIES} {_PARTS_OF_DEFINITIONS}".split())
"""Kinds that touch nothing by themselves; what they hold is looked at."""

_TABLE_PARTS = "alias catalog db hints indexed joins laterals only ordinality partition rows_from sample this"
TABLE_PARTS: Final = frozenset(_TABLE_PARTS.split())
"""What a `Table` may have; a version, a pivot or a file format is not among them."""

PROPERTIES: Final = frozenset({"MaterializedProperty", "StrictProperty", "TemporaryProperty", "UnloggedProperty"})
"""What may be said about a table or view that is made. An engine is not: there are some that read from elsewhere."""
