"""Libraries that are wrapped, unwrapped and wrapped again, by us and by others, in one order or another."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from contextlib import nullcontext
from random import Random

import pytest
from access.contrib_instrumentors import instrumentors  # noqa: F401
from access.redis_server import client, redis_server, server  # noqa: F401

import agentid.access
from agentid.errors import AccessDeniedError


@pytest.fixture
def wrapped_between(installed, monkeypatch):
    """Somebody puts a layer of his own around a function that is wrapped, and ours are taken away and put back."""

    def wrap(owner, name):
        ours = getattr(owner, name)

        def theirs(self, *args, **kwargs):
            return ours(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, theirs)
        installed.remove()
        agentid.access.install()

    return wrap


@pytest.fixture
def acting_on_s3(world, s3):
    actions = ("read", "write", "edit", "delete", "share", "execute")
    return world.acting("read:s3://data/a/*", *(f"{action}:{s3.url}" for action in actions))


def get_from_s3(s3):
    return s3.client().get_object(Bucket="data", Key="a/one")["Body"].read()


def test_boto3_that_somebody_wrapped_in_between_is_decided_once(world, s3, acting_on_s3, wrapped_between):
    wrapped_between(importlib.import_module("botocore.client").BaseClient, "_make_api_call")

    with acting_on_s3:
        assert b"hello from a/one" == get_from_s3(s3)

    assert [("read:s3://data/a/one", f"read:{s3.url}", "success")] == world.touched


def test_boto3_that_is_reloaded_is_decided_once(world, s3, acting_on_s3, monkeypatch):
    module = importlib.import_module("botocore.client")
    for name, value in vars(module).items():  # as they were, for whoever comes next
        monkeypatch.setitem(vars(module), name, value)
    importlib.reload(module)

    with acting_on_s3:
        assert b"hello from a/one" == get_from_s3(s3)

    assert [("read:s3://data/a/one", f"read:{s3.url}", "success")] == world.touched


def test_redis_that_somebody_wrapped_in_between_is_decided_once(world, server, client, wrapped_between):  # noqa: F811
    wrapped_between(importlib.import_module("redis.client").Redis, "execute_command")

    with world.acting(f"read:{server.url}/0/k"):
        client.get("k")

    assert [(f"read:{server.url}/0/k", "success")] == world.touched


def test_psycopg_that_somebody_wrapped_in_between_is_decided_once(world, postgres, wrapped_between):
    psycopg = importlib.import_module("psycopg")
    wrapped_between(psycopg.Cursor, "execute")

    connection = psycopg.connect(postgres.dsn, autocommit=True)
    with connection, world.acting(f"read:postgres://{postgres.host}/postgres/public/orders"):
        connection.execute("select id from orders").fetchall()

    assert [(f"read:postgres://{postgres.host}/postgres/public/orders", "success")] == world.touched


def python(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


IMPORTS = """
import sys, threading, importlib.abc, importlib.machinery
class Slow(importlib.abc.MetaPathFinder):
    '''Finds a module whose code runs as another thread is at a certain place.'''
    def __init__(self, name, before):
        self.name, self.before = name, before
    def find_spec(self, name, path, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec is not None:
            run = spec.loader.exec_module
            def exec_module(module):
                self.before(); run(module)
            spec.loader.exec_module = exec_module
        return spec
"""


def test_two_threads_that_import_libraries_never_wait_for_each_other():
    """One wraps boto3, for which it imports what another one is importing and about to wrap."""
    pytest.importorskip("s3transfer", reason="boto3 is not installed")
    program = f"""{IMPORTS}
wrapping, importing = threading.Event(), threading.Event()
sys.meta_path.insert(0, Slow("s3transfer", lambda: (wrapping.set(), importing.wait(20))))
sys.meta_path.insert(0, Slow("concurrent.futures.thread", lambda: (importing.set(), wrapping.wait(20))))
import agentid.access
from agentid.access.threads import THREADS
agentid.access.install().wrap(*THREADS)
assert not {{"concurrent.futures.thread", "s3transfer"}} & set(sys.modules)
names = ["botocore.client", "concurrent.futures.thread"]
threads = [threading.Thread(target=__import__, args=(name,), daemon=True) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join(20)
print([thread.is_alive() for thread in threads])
import concurrent.futures.thread
print(type(vars(concurrent.futures.thread._WorkItem)["run"]).__name__)
print(type(vars(sys.modules["botocore.client"].BaseClient)["_make_api_call"]).__name__)
"""
    assert "[False, False]\nLayer\nLayer\n" == python(program)


def test_a_library_that_another_thread_begins_to_import_while_it_is_installed_is_waited_for():
    program = f"""{IMPORTS}
began, go_on = threading.Event(), threading.Event()
sys.meta_path.insert(0, Slow("urllib.request", lambda: (began.set(), go_on.wait(20))))
import agentid.access, agentid.access.installation as installation
thread = threading.Thread(target=__import__, args=("urllib.request",), daemon=True)
wait = installation.importlib.import_module
class Import:
    def import_module(self, name):
        if name == "urllib.request": go_on.set()
        return wait(name)
installation.importlib = Import()
import http.client
from agentid.access.web import http_client
find = http_client.LIBRARY.patches
def patches(module, access):
    if not began.is_set():
        thread.start(); began.wait(20)
    return find(module, access)
object.__setattr__(http_client.LIBRARY, "patches", patches)
agentid.access.install(); thread.join()
import urllib.request
print(type(vars(urllib.request.OpenerDirector)["open"]).__name__)
"""
    assert "Layer\n" == python(program)


def test_a_library_that_may_not_be_imported_is_left_alone():
    program = """
import sys
sys.modules["urllib.request"] = None
import agentid.access
agentid.access.install()
print(sys.modules["urllib.request"])
del sys.modules["urllib.request"]
import urllib.request
print(type(vars(urllib.request.OpenerDirector)["open"]).__name__)
"""
    assert "None\nLayer\n" == python(program)


def test_a_function_that_somebody_took_away_keeps_nothing_else_from_being_unwrapped(installed, monkeypatch):
    request = importlib.import_module("urllib.request")
    before = os.system.__wrapped__
    monkeypatch.delattr(request.OpenerDirector, "open")

    installed.remove()

    assert before is os.system
    assert not installed.is_on
    with pytest.raises(KeyError):  # what cannot be wrapped is told
        agentid.access.install()


def test_a_function_that_an_instrumentation_takes_away_keeps_no_other_one_below(installed):
    opener = importlib.import_module("urllib.request").OpenerDirector
    ours = vars(opener)["open"]

    try:
        with installed.lowered(is_being_unwrapped=False):
            del opener.open
        assert all(place._lowered is None for place in installed._places)
    finally:
        opener.open = ours


# --- in any order -----------------------------------------------------------------------------------------------------


class Turns:
    """Ours and those of OpenTelemetry, turned on and off, and modules executed again."""

    def __init__(self, world, instrumentors, installed):  # noqa: F811
        self.contribs = []
        for contrib in ("urllib:URLLibInstrumentor", "requests:RequestsInstrumentor", "sqlite3:SQLite3Instrumentor"):
            found = instrumentors.on(contrib, world)
            found.uninstrument()
            self.contribs.append(found)
        self.provider = world.captured.provider
        self.installed = installed

    def turn(self, random):
        kind = random.choice(["install", "remove", "contrib", "contrib", "reload"])
        if kind == "install":
            agentid.access.install()
        elif kind == "remove":
            self.installed.remove()
        elif kind == "reload":
            name = random.choice(["urllib.request", "requests.sessions", "sqlite3.dbapi2"])
            importlib.reload(importlib.import_module(name))
        else:
            contrib = random.choice(self.contribs)
            if contrib.is_instrumented_by_opentelemetry:
                contrib.uninstrument()
            else:
                contrib.instrument(tracer_provider=self.provider, skip_dep_check=True)


@pytest.fixture
def turns(world, instrumentors, installed):  # noqa: F811
    return Turns(world, instrumentors, installed)


@pytest.fixture
def as_they_were():
    """What is executed again is put back, for whoever comes next."""
    for name in ("urllib", "requests", "sqlite3"):
        pytest.importorskip(f"opentelemetry.instrumentation.{name}", reason="OpenTelemetry's own are not installed")
    modules = [importlib.import_module(name) for name in ("urllib.request", "requests.sessions", "sqlite3.dbapi2")]
    kept = [dict(vars(module)) for module in modules]
    yield
    for module, names in zip(modules, kept, strict=True):
        vars(module).update(names)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_turned_on_and_off_each_access_is_decided_once(as_they_were, world, turns, http, tmp_path, seed):
    requests, sqlite3 = pytest.importorskip("requests"), importlib.import_module("sqlite3")
    database, file = str(tmp_path / "a.db"), tmp_path / "a.txt"
    file.write_text("data")
    with sqlite3.connect(database) as connection:
        connection.execute("create table t(a)")
    connection.close()

    def query():
        found = sqlite3.connect(database)
        try:
            found.execute("select a from t").fetchall()
        finally:
            found.close()

    works = {
        f"read:{http.url}/a": lambda: importlib.import_module("urllib.request").urlopen(f"{http.url}/a").read(),
        f"read:{http.url}/b": lambda: requests.sessions.Session().get(f"{http.url}/b").content,
        f"read:sqlite://{database}/main/t": query,
        f"read:file://{file}": file.read_text,
    }
    random = Random(seed)
    for _ in range(12):
        turns.turn(random)
        for permission, work in works.items():
            for allowed, status in ((permission, "success"), ("read:crm/**", "denied")):
                world.records.clear()
                refused = (
                    pytest.raises(AccessDeniedError) if turns.installed.is_on and status == "denied" else nullcontext()
                )
                with world.acting(allowed), refused:
                    work()
                assert ([(permission, status)] if turns.installed.is_on else []) == world.touched
            world.records.clear()
            work()
            assert [] == world.records


def test_a_function_that_somebody_wrapped_before_us_is_decided(world, installed, tmp_path, monkeypatch):
    installed.remove()
    before, file = os.chmod, tmp_path / "a.txt"
    file.write_text("data")

    def theirs(path, mode):
        before(path, mode)

    monkeypatch.setattr(os, "chmod", theirs)
    agentid.access.install()

    with world.acting("read:crm/**"), pytest.raises(AccessDeniedError):
        os.chmod(file, 0o600)  # noqa: PTH101 -- that one
    with world.acting(f"edit:file://{file}"):
        os.chmod(file, 0o600)  # noqa: PTH101

    assert [(f"edit:file://{file}", "denied"), (f"edit:file://{file}", "success")] == world.touched
    installed.remove()
