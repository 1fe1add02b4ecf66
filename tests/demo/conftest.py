"""The demo in an environment that changes nothing, with a temporary folder of its own."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing

import pytest


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where the demo makes its workspace: empty before, and afterwards nothing but audit logs that it spoke of."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "AGENTID_")) or name in {"NO_COLOR", "FORCE_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    left = [path.name for path in folder.iterdir() if not path.name.startswith("agentid-demo-audit-")]
    assert [] == left, "the demo left something behind"


@pytest.fixture
def notes(tmp_path):
    """A folder that the demo has never seen: letters, a shop's database, and things that are neither."""
    folder = tmp_path / "notes"
    (folder / "letters").mkdir(parents=True)
    (folder / "plan.md").write_text("# Plan\n\nBuy paper.\n", encoding="utf-8")
    (folder / "letters" / "grace.txt").write_text("Dear Grace,\nthank you.\n", encoding="utf-8")
    (folder / "photo.png").write_bytes(bytes(range(256)))
    with closing(sqlite3.connect(folder / "shop.db")) as connection, connection:
        connection.execute('CREATE TABLE "order items; 100%" (number INTEGER, what TEXT, price REAL)')
        connection.executemany('INSERT INTO "order items; 100%" VALUES (?, ?, ?)', [(7, "lamp", 1.5), (8, None, 2.0)])
        connection.execute("CREATE TABLE zebra (id)")
        connection.execute("INSERT INTO zebra VALUES ('z-1')")
        connection.execute('CREATE TABLE "a/b" (id)')
        connection.execute('INSERT INTO "a/b" VALUES (1)')
        connection.execute("CREATE TABLE empty (id)")
    return folder
