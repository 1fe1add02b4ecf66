"""Whatever fails inside of this library while it decides: what it was to decide about does not happen."""

from __future__ import annotations

import inspect
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import agentid
from agentid.guard.session import acting

SOURCE = str(Path(agentid.__file__).parent)


class FaultError(Exception):
    """What nobody expects."""


class Failing:
    """Calls of this library, of which the one with a certain number fails before it does anything."""

    def __init__(self, number):
        self.number = number
        self.count = 0
        self._before = sys.gettrace()

    def __call__(self, frame, event, _argument):
        code = frame.f_code
        # A generator that goes on is none that is called: failing there would leave its block without its end.
        is_ours = code.co_filename.startswith(SOURCE) and not code.co_flags & inspect.CO_GENERATOR
        if event == "call" and is_ours and not _is_in_finalizer(frame):
            self.count += 1
            if self.count == self.number:
                raise FaultError

    def __enter__(self):
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)


def _is_in_finalizer(frame):
    # Which runs at any time, and whose errors nobody gets.
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def query(database):
    connection = sqlite3.connect(database)
    try:
        return connection.execute("select a from t").fetchall()
    finally:
        connection.close()


WORKS = {
    "read": lambda folder, _: (folder / "a.txt").read_text(),
    "write": lambda folder, _: (folder / "a.txt").write_text("changed"),
    "remove": lambda folder, _: (folder / "a.txt").unlink(),
    "rename": lambda folder, _: (folder / "a.txt").rename(folder / "b.txt"),
    "list": lambda folder, _: list(folder.iterdir()),
    "run": lambda folder, _: subprocess.run(
        [sys.executable, "-c", f"open({str(folder / 'b.txt')!r}, 'w')"], check=True
    ),
    "query": lambda folder, _: query(str(folder / "a.db")),
    "request": lambda _, http: urllib.request.urlopen(f"{http.url}/a").read(),
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_a_fault_at_any_call_lets_nothing_through(world, installed, http, tmp_path, work):
    (tmp_path / "a.txt").write_text("data")
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("create table t(a)")
    connection.close()
    number, found = 0, []
    while True:
        number += 1
        with world.acting("read:crm/**"), pytest.raises(BaseException), Failing(number) as failing:  # noqa: B017
            found.append(work(tmp_path, http))
        assert acting.get() is None
        assert not installed._inside.get()
        if failing.count < number:
            break

    assert number > 50
    assert [] == found == http.requests
    assert ["a.db", "a.txt"] == sorted(path.name for path in tmp_path.iterdir())
    assert "data" == (tmp_path / "a.txt").read_text()
