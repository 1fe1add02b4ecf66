"""`agentid.access.install`: once, from anywhere, and gone without a trace."""

from __future__ import annotations

import colorsys
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
from agentid.access.library import Library, Patch
from agentid.errors import AccessDeniedError
from tests.systems import needs_posix


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


@needs_posix
def test_what_somebody_put_around_ours_is_asked_about_once_when_it_is_installed_again(world, installed, monkeypatch):
    ours, shell, calls = os.system, os.path.realpath("/bin/sh"), []

    def theirs(command):
        calls.append(command)
        return ours(command)

    monkeypatch.setattr(os, "system", theirs)
    installed.remove()
    agentid.access.install()

    with world.acting(f"execute:file://{shell}"):
        os.system("true")

    assert ["true"] == calls
    assert [(f"execute:file://{shell}", "success")] == world.touched


def test_what_somebody_put_back_is_wrapped_again(world, installed, http):
    installed.remove()
    before = vars(urllib.request.OpenerDirector)["open"]
    agentid.access.install()
    urllib.request.OpenerDirector.open = lambda *args, **kwargs: None
    installed.remove()
    urllib.request.OpenerDirector.open = before
    agentid.access.install()

    with world.acting("read:crm/**"), pytest.raises(AccessDeniedError):
        urllib.request.urlopen(f"{http.url}/a")


def test_two_libraries_of_ours_may_wrap_one_function(installed):
    """As the start of a child, which needs a permission, and is left an identity."""
    called = []

    def library(name):
        def calls(wrapped, _, args, kwargs):
            called.append(name)
            return wrapped(*args, **kwargs)

        return Library(name, "colorsys", name, lambda module, _: [Patch(module, "rgb_to_hls", calls)])

    plain = colorsys.rgb_to_hls
    installed.wrap(library("inner"), library("outer"))
    colorsys.rgb_to_hls(0, 0, 0)
    installed.remove()

    assert ["outer", "inner"] == called
    assert plain is colorsys.rgb_to_hls


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


def python(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_a_library_that_cannot_be_wrapped_when_it_comes_later_is_never_imported_unwrapped():
    """At no try: the first failure is no way to get at it."""
    program = """
import sys, agentid.access
agentid.access.install()
from agentid.access.web.urllib_request import LIBRARY
def cannot(*_):
    raise KeyError("open")
object.__setattr__(LIBRARY, "patches", cannot)
for _ in range(3):
    try:
        import urllib.request
    except KeyError:
        print("urllib.request" in sys.modules)
"""
    assert "False\n" * 3 == python(program)


@pytest.mark.parametrize(
    "again",
    [
        "del sys.modules['urllib.request']; import urllib.request",
        "importlib.reload(urllib.request)",
    ],
)
def test_a_library_that_is_imported_anew_is_wrapped_anew(again):
    program = f"""
import sys, importlib, urllib.request, wrapt, agentid.access
agentid.access.install()
{again}
{again}
function = vars(urllib.request.OpenerDirector)["open"]
print(isinstance(function, wrapt.FunctionWrapper), isinstance(function.__wrapped__, wrapt.FunctionWrapper))
"""
    assert "True False\n" == python(program)


def test_functions_of_a_module_that_is_reloaded_are_wrapped_once():
    program = """
import importlib, os, wrapt, agentid.access
agentid.access.install()
importlib.reload(os)
for name in ("open", "system", "_execvpe", "_spawnvef", "remove"):
    function = vars(os)[name]
    print(isinstance(function, wrapt.FunctionWrapper), isinstance(function.__wrapped__, wrapt.FunctionWrapper))
"""
    assert "True False\n" * 5 == python(program)


def test_a_module_that_is_waited_for_has_its_own_loader():
    program = """
import sys, importlib.machinery, importlib.util, agentid.access
agentid.access.install()
print(isinstance(importlib.util.find_spec("urllib.request").loader, importlib.machinery.SourceFileLoader))
import urllib.request
print(type(urllib.request.__loader__) is type(urllib.request.__spec__.loader) is importlib.machinery.SourceFileLoader)
print(isinstance(importlib.util.find_spec("httpx").loader, importlib.machinery.SourceFileLoader))
"""
    assert "True\nTrue\nTrue\n" == python(program)


def test_a_library_of_c_that_is_imported_by_an_agent_is_no_second_door():
    """Wrapping it is our doing."""
    program = """
import sys, agentid.access
from agentid.guard import Guard
from agentid.identity import Authority
from agentid.testing import MemoryAudit
agentid.access.install(strict=True)
authority, records = Authority.create("acme.example"), []
guard = Guard(authority.trust, audit=MemoryAudit(), observers=[records.append])
assert "sqlite3" not in sys.modules
with guard.acting_as(authority.issue("bot", allow=["read:crm/**"])):
    import sqlite3
print(type(vars(sqlite3.Cursor)["execute"]).__name__, records)
"""
    assert "Layer []\n" == python(program)


def test_removing_leaves_imports_alone():
    before = list(sys.meta_path)
    agentid.access.install().remove()

    assert before == sys.meta_path


def test_a_library_that_another_thread_is_importing_is_waited_for():
    program = """
import sys, threading, types, importlib.abc, importlib.machinery
began, install_began = threading.Event(), threading.Event()
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "urllib.request":
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            run = spec.loader.exec_module
            def exec_module(module):
                began.set(); install_began.wait(20); run(module)
            spec.loader.exec_module = exec_module
            return spec
import agentid.access, agentid.access.installation as installation
wait = installation.importlib.import_module
class Import:
    def import_module(self, name):
        if name == "urllib.request": install_began.set()
        return wait(name)
sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=lambda: __import__("urllib.request"))
thread.start(); began.wait(20)
installation.importlib = Import()
agentid.access.install(); thread.join()
import urllib.request
print(type(vars(urllib.request.OpenerDirector)["open"]).__name__)
"""
    assert "Layer\n" == python(program)


def test_a_wrapped_function_is_pickled_and_copied_by_its_name(installed):
    """As the function itself is: whatever hands `os.remove` to another process keeps working."""
    assert os.remove is pickle.loads(pickle.dumps(os.remove))
    assert open is pickle.loads(pickle.dumps(open))
    assert os.remove is copy.deepcopy(os.remove)
    # Read also where this library is not.
    assert b"agentid" not in pickle.dumps(os.remove)


class Holder:
    """Has a method of a library as an attribute, as a program may."""

    def __init__(self):
        self.opener = urllib.request.OpenerDirector()
        self.open = self.opener.open


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copied", "pickled"]
)
def test_a_wrapped_method_is_pickled_and_copied_with_its_object(installed, copied):
    found, kind = copied(Holder()), urllib.request.OpenerDirector

    assert found.open.__self__ is found.opener
    assert kind.open == copied(kind.open) == copied(vars(kind)["open"].__get__(None, kind))


def test_a_wrapped_method_is_copied_as_it_is(installed):
    held = Holder()

    assert held.open == copy.copy(held.open)
    assert held.open == copy.copy(held).open


def test_a_wrapped_method_of_a_class_is_pickled_with_the_class_that_it_is_of(installed):
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

    assert psycopg.Connection is pickle.loads(pickle.dumps(psycopg.Connection.connect)).__self__


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
