"""`agentid.access.install`: once, from anywhere, and gone without a trace."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import urllib.request

import pytest
import wrapt

import agentid.access
from agentid.errors import AccessDeniedError


def test_installing_again_wraps_nothing_twice(installed):
    wrapped = urllib.request.OpenerDirector.__dict__["open"]

    assert installed is agentid.access.install()
    assert wrapped is urllib.request.OpenerDirector.__dict__["open"]
    assert not isinstance(wrapped.__wrapped__, wrapt.FunctionWrapper)


def test_installing_from_many_threads_wraps_once():
    barrier, found = threading.Barrier(8), []

    def install():
        barrier.wait()
        found.append(agentid.access.install())

    threads = [threading.Thread(target=install) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert 1 == len(set(map(id, found)))
        assert not isinstance(urllib.request.OpenerDirector.__dict__["open"].__wrapped__, wrapt.FunctionWrapper)
    finally:
        found[0].remove()


def test_removing_puts_back_what_was_there():
    before = urllib.request.OpenerDirector.__dict__["open"]
    agentid.access.install().remove()

    assert before is urllib.request.OpenerDirector.__dict__["open"]


def test_whoever_wrapped_after_us_keeps_working_when_we_are_removed(http):
    before = urllib.request.OpenerDirector.open
    installation, calls = agentid.access.install(), []
    ours = urllib.request.OpenerDirector.open

    def theirs(self, *args, **kwargs):
        calls.append(args)
        return ours(self, *args, **kwargs)

    urllib.request.OpenerDirector.open = theirs
    try:
        installation.remove()
        urllib.request.urlopen(f"{http.url}/a").close()

        assert theirs is urllib.request.OpenerDirector.open
        assert 1 == len(calls)
    finally:
        urllib.request.OpenerDirector.open = before


def test_it_can_be_installed_again_after_it_was_removed(world, installed, http):
    installed.remove()
    agentid.access.install()

    with world.acting("read:crm/**"), pytest.raises(AccessDeniedError):
        urllib.request.urlopen(f"{http.url}/a")


def test_a_library_that_is_imported_later_is_wrapped_then():
    program = """
import sys, wrapt, agentid.access
agentid.access.install()
assert "urllib.request" not in sys.modules
import urllib.request
print(isinstance(vars(urllib.request.OpenerDirector)["open"], wrapt.FunctionWrapper))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "True\n" == done.stdout


def test_a_library_that_cannot_be_wrapped_leaves_nothing_half_installed(monkeypatch):
    before = urllib.request.OpenerDirector.__dict__["open"]
    monkeypatch.delattr(urllib.request.OpenerDirector, "open")
    for _ in range(2):
        with pytest.raises(KeyError):
            agentid.access.install()
    monkeypatch.undo()
    installation = agentid.access.install()
    try:
        assert before is urllib.request.OpenerDirector.__dict__["open"].__wrapped__
    finally:
        installation.remove()


def test_a_wrapped_function_is_pickled_and_copied_by_its_name(installed):
    """As the function itself is: whatever hands `os.remove` to another process keeps working."""
    assert os.remove is pickle.loads(pickle.dumps(os.remove))
    assert open is pickle.loads(pickle.dumps(open))
    assert os.remove is copy.deepcopy(os.remove)


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("sqlite3", "sqlite3.Cursor"),
        ("aiosqlite", "aiosqlite.Connection"),
        ("psycopg", "psycopg.pq.PGconn"),
        ("sqlalchemy", "sqlalchemy.engine.Connection"),
    ],
)
def test_each_library_is_wrapped_also_when_it_comes_later(module, place):
    pytest.importorskip(module, reason=f"{module} is not installed")
    program = f"""
import sys, agentid.access
agentid.access.install()
assert {module!r} not in sys.modules
import {module}
print("Layer" in {{type(value).__name__ for value in vars({place}).values()}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "True\n" == done.stdout
