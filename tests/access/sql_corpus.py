"""The vectors of `tests/conformance/sql_*.json`, and the databases that they are about."""

from __future__ import annotations

import json
from pathlib import Path

import sqlglot

from agentid.access.sql.reading import SqlDatabase

FOLDER = Path(__file__).parents[1] / "conformance"
DIALECTS = ("postgres", "sqlite", "mysql", "duckdb")
FILES = {name: json.loads((FOLDER / f"sql_{name}.json").read_text(encoding="utf-8")) for name in DIALECTS}
DATABASES = {name: SqlDatabase(name, file["catalog"], file["schema"]) for name, file in FILES.items()}


def older_than(version):
    """Whether the sqlglot that is installed is older than one that can read a vector; then it may refuse."""
    numbers = [tuple(int(number) for number in text.split(".")[:2]) for text in (sqlglot.__version__, version or "0.0")]
    return numbers[0] < numbers[1]


def vectors(group):
    """Each vector of a group, as `(dialect, vector)`."""
    return [(dialect, vector) for dialect, file in FILES.items() for vector in file[group]]


def texts(dialect):
    """Every SQL text of a dialect, understood or not."""
    return [vector["sql"] for group in ("understood", "not_understood") for vector in FILES[dialect][group]]
