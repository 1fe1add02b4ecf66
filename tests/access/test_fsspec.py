"""`fsspec`: file systems of any kind, by whatever class, made before or after."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import ClassVar

import pytest

from agentid.errors import AccessDeniedError
from agentid.guard import ObserveOnlyGuard

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
asyn = pytest.importorskip("fsspec.asyn", reason="fsspec is not installed")
generic = pytest.importorskip("fsspec.generic", reason="fsspec is not installed")

MEMORY = "memory://"


@pytest.fixture
def memory():
    """A file system in memory with a few files, as nobody else sees them."""
    files = fsspec.filesystem("memory", skip_instance_cache=True, global_store=False)
    files.pipe({"/box/a": b"aa", "/box/b": b"bb", "/secret": b"secret"})
    return files


CALLS = {
    "open": (lambda f: f.open("/secret").read(), ["read:memory:///secret"]),
    "open to write": (lambda f: f.open("/new", "wb").close(), ["write:memory:///new"]),
    "open to append": (lambda f: f.open("/secret", mode="ab").close(), ["write:memory:///secret"]),
    "open to edit": (
        lambda f: f.open("/secret", mode="r+b").close(),
        ["read:memory:///secret", "edit:memory:///secret"],
    ),
    "_open": (lambda f: f._open("/secret").read(), ["read:memory:///secret"]),
    "cat": (lambda f: f.cat("/secret"), ["read:memory:///secret"]),
    "cat_file": (lambda f: f.cat_file("memory://secret"), ["read:memory:///secret"]),
    "cat_file by keyword": (lambda f: f.cat_file(path="/secret"), ["read:memory:///secret"]),
    "cat_ranges": (lambda f: f.cat_ranges(["/secret"], 0, 1, on_error="raise"), ["read:memory:///secret"]),
    "head": (lambda f: f.head("/secret"), ["read:memory:///secret"]),
    "read_text": (lambda f: f.read_text("/secret"), ["read:memory:///secret"]),
    "info": (lambda f: f.info("/secret"), ["read:memory:///secret"]),
    "ls": (lambda f: f.ls("/box"), ["read:memory:///box"]),
    "find": (lambda f: f.find("/box"), ["read:memory:///box"]),
    "pipe": (lambda f: f.pipe({"/new": b"x"}), ["write:memory:///new"]),
    "pipe_file": (lambda f: f.pipe_file("/new", b"x"), ["write:memory:///new"]),
    "mkdir": (lambda f: f.mkdir("/fresh"), ["write:memory:///fresh"]),
    "rm_file": (lambda f: f.rm_file("/secret"), ["delete:memory:///secret"]),
    "rm": (lambda f: f.rm("/secret"), ["delete:memory:///secret"]),
    "cp_file": (lambda f: f.cp_file("/secret", "/new"), ["read:memory:///secret", "write:memory:///new"]),
    "mapper": (lambda f: fsspec.FSMap("/box", f)["a"], ["read:memory:///box/a"]),
}


@pytest.mark.parametrize("way", CALLS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_call_needs_each_of_its_permissions_and_is_recorded_once(world, memory, way):
    does, needed = CALLS[way]
    before = dict(memory.store)

    for missing in needed:
        with world.acting(*(text for text in needed if text != missing)), pytest.raises((AccessDeniedError, KeyError)):
            does(memory)
        assert "denied" == world.touched[-1][-1]
        assert before == memory.store
    world.records.clear()
    with world.acting(*needed):
        does(memory)

    assert [(*needed, "success")] == world.touched


def test_moving_is_reading_writing_and_deleting(world, memory):
    with world.acting("read:memory:///secret", "write:memory:///new"), pytest.raises(AccessDeniedError):
        memory.mv("/secret", "/new")

    assert "/secret" in memory.store


def test_removing_a_folder_is_removing_everything_in_it(world, memory):
    may = ["read:memory:///**", "delete:memory:///box", "delete:memory:///box/a"]
    with world.acting(*may), pytest.raises(AccessDeniedError):
        memory.rm("/box", recursive=True)
    assert {"/box/a", "/box/b"} < set(memory.store)
    with world.acting("read:memory:///box", "delete:memory:///box", "delete:memory:///box/*"):
        memory.rm("/box", recursive=True)

    assert {"/secret"} == set(memory.store)


def test_a_local_file_is_a_file(world, tmp_path):
    place = os.path.realpath(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to("secret")
    files = fsspec.filesystem("file")

    for call in (
        lambda: files.cat_file(f"{place}/link"),
        lambda: fsspec.open(f"file://{place}/link").open(),
        lambda: files.rm(f"{place}/secret"),
        lambda: files.mv(f"{place}/secret", f"{place}/new"),
        lambda: files.ls(place),
    ):
        with world.acting(f"read:file://{place}/link"), pytest.raises(AccessDeniedError):
            call()
    world.records.clear()
    with world.acting(f"read:file://{place}/secret"):
        assert b"secret" == files.cat_file(f"{place}/link")

    assert [(f"read:file://{place}/secret", "success")] == world.touched


def test_what_comes_from_the_web_is_that_address(world, http):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    files = fsspec.filesystem("http", skip_instance_cache=True)

    with world.acting(f"read:{http.url}/b"), pytest.raises(AccessDeniedError):
        files.cat_file(f"{http.url}/a")
    assert [] == http.requests
    with world.acting(f"read:{http.url}/a"):
        assert b"hello from /a?q=1" == files.cat_file(f"{http.url}/a?q=1")

    assert [(f"read:{http.url}/a", "denied"), (f"read:{http.url}/a", "success")] == world.touched


def test_a_download_is_also_a_file(world, memory, tmp_path):
    place = os.path.realpath(tmp_path)

    with world.acting("read:memory:///secret"), pytest.raises(AccessDeniedError):
        memory.get_file("/secret", f"{place}/new")
    (tmp_path / "old").write_text("old")
    with world.acting("write:memory:///new"), pytest.raises(AccessDeniedError):
        memory.put_file(f"{place}/old", "/new")

    assert not (tmp_path / "new").exists()
    assert "/new" not in memory.store


# --- ways around -----------------------------------------------------------------------------------------------------


class Remote(asyn.AsyncFileSystem):
    """An asynchronous file system as somebody else writes them; made before anything is wrapped."""

    protocol = "s3"
    done: ClassVar = []

    async def _cat_file(self, path, start=None, end=None, **kwargs):
        self.done.append(path)
        return b"remote"

    async def open_async(self, path, mode="rb", **kwargs):
        self.done.append(path)

    async def _ls(self, path, detail=True, **kwargs):
        return [{"name": "data/a", "size": 1, "type": "file"}]

    async def _info(self, path, **kwargs):
        return {"name": path, "size": 6, "type": "file"}

    async def _rm_file(self, path, **kwargs):
        self.done.append(path)

    async def _pipe_file(self, path, value, mode="overwrite", **kwargs):
        self.done.append(path)

    def sign(self, path, expiration=100, **kwargs):
        return f"https://signed.example/{path}"


BEFORE = Remote(skip_instance_cache=True)


@pytest.fixture
def remote():
    Remote.done.clear()
    yield BEFORE
    Remote.done.clear()


REMOTE_CALLS = {
    "cat_file": (lambda f: f.cat_file("s3://data/a"), "read"),
    "cat": (lambda f: f.cat("data/a"), "read"),
    "_cat_file": (lambda f: asyncio.run(f._cat_file("data/a")), "read"),
    "open_async": (lambda f: asyncio.run(f.open_async("data/a")), "read"),
    "open_async to write": (lambda f: asyncio.run(f.open_async("data/a", "wb")), "write"),
    "rm_file": (lambda f: f.rm_file("data/a"), "delete"),
    "pipe_file": (lambda f: f.pipe_file("data/a", b""), "write"),
    "_pipe_file": (lambda f: asyncio.run(f._pipe_file("data/a", b"")), "write"),
}


@pytest.mark.parametrize("way", REMOTE_CALLS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_asynchronous_one_is_guarded_whenever_it_was_made(world, remote, way, when):
    does, action = REMOTE_CALLS[way]
    files = BEFORE if when == "before" else Remote(skip_instance_cache=True)

    with world.acting("read:s3://other/**"), pytest.raises(AccessDeniedError):
        does(files)
    assert [] == remote.done
    with world.acting(f"{action}:s3://data/a"):
        does(files)

    assert ["data/a"] == [path.removeprefix("s3://") for path in remote.done]
    assert [(f"{action}:s3://data/a", "denied"), (f"{action}:s3://data/a", "success")] == world.touched


def test_a_signed_address_gives_access_away(world, remote):
    with world.acting("read:s3://data/a"), pytest.raises(AccessDeniedError):
        remote.sign("data/a")
    with world.acting("read:s3://data/a", "share:s3://data/a"):
        assert remote.sign("data/a")


def test_a_class_that_is_made_later_is_guarded_too(world, memory):
    class Later(fsspec.AbstractFileSystem):
        protocol = "later"

        def cat_file(self, path, start=None, end=None, **kwargs):
            return b"later"

    files = Later(skip_instance_cache=True)
    with world.acting("read:later:///b"):
        assert b"later" == files.cat_file("/b")
        with pytest.raises(AccessDeniedError):
            files.cat_file("/a")


def test_a_class_that_calls_itself_something_else_is_what_it_is_derived_from(world, memory):
    kind = type(memory)

    class Innocent(kind):
        protocol = "innocent"
        __module__ = "fsspec.implementations.local"

        @classmethod
        def _strip_protocol(cls, path):
            return "/innocent"

    files = Innocent(skip_instance_cache=True, global_store=False)
    files.store["/secret"] = memory.store["/secret"]
    with world.acting("read:innocent:///**", "read:memory:///innocent"), pytest.raises(AccessDeniedError):
        kind.cat_file(files, "/secret")

    assert [("read:memory:///secret", "denied")] == world.touched


def test_a_strangers_class_runs_as_the_agent(world, memory):
    class Strange(fsspec.AbstractFileSystem):
        protocol = "strange"

        def cat_file(self, path, start=None, end=None, **kwargs):
            return memory.cat_file("/secret")

    with world.acting("read:strange:///**"), pytest.raises(AccessDeniedError):
        Strange(skip_instance_cache=True).cat_file("/a")


def test_what_a_derived_class_overrides_runs_as_the_agent(world, memory):
    class Derived(type(memory)):
        def info(self, path, **kwargs):
            memory.cat_file("/secret")
            return super().info(path, **kwargs)

    files = Derived(skip_instance_cache=True, global_store=False)
    files.store["/a"] = memory.store["/box/a"]
    may = ["read:memory:///a", "delete:memory:///a"]
    with world.acting(*may), contextlib.suppress(AccessDeniedError, FileNotFoundError):
        files.rm("/a")

    assert ("read:memory:///secret", "denied") in world.touched
    assert ("read:memory:///secret", "success") not in world.touched


def test_what_is_cached_is_asked_about_all_the_same(world, memory, tmp_path):
    for protocol in ("filecache", "simplecache"):
        files = fsspec.filesystem(protocol, fs=memory, cache_storage=str(tmp_path / protocol), skip_instance_cache=True)
        with files.open("/secret") as file:
            assert b"secret" == file.read()
        with world.acting("read:memory:///box/*"), pytest.raises(AccessDeniedError):
            files.open("/secret")
        world.records.clear()
        with world.acting("read:memory:///secret"):
            for path in ("/secret", "memory://secret"):
                with files.open(path) as file:
                    assert b"secret" == file.read()

        assert {("read:memory:///secret", "success")} == set(world.touched)


def test_a_folder_of_another_file_system_is_that_folder(world, memory):
    files = fsspec.filesystem("dir", path="/box", fs=memory, skip_instance_cache=True)

    with world.acting("read:memory:///a"), pytest.raises(AccessDeniedError):
        files.cat_file("a")
    world.records.clear()
    with world.acting("read:memory:///box/a"):
        assert b"aa" == files.cat_file("a")

    assert [("read:memory:///box/a", "success")] == world.touched


@pytest.mark.parametrize(
    ("way", "actions"),
    [
        (lambda f: f.cat("memory:///secret"), {"read:memory:///secret"}),
        (lambda f: f.pipe("memory:///secret", b"x"), {"write:memory:///secret"}),
        (lambda f: f.cp_file("memory:///secret", "memory:///new"), {"read:memory:///secret", "write:memory:///new"}),
        (lambda f: f.rm("memory:///secret"), {"delete:memory:///secret"}),
    ],
)
def test_one_that_stands_on_all_of_them_asks_through_them(world, memory, way, actions, monkeypatch):
    monkeypatch.setitem(generic._generic_fs, "memory", memory)
    files, stored = fsspec.filesystem("generic", default_method="generic"), bytes(memory.store["/secret"].getbuffer())

    with world.acting("read:crm/**"), contextlib.suppress(AccessDeniedError):
        way(files)
    assert stored == bytes(memory.store["/secret"].getbuffer())
    assert "/new" not in memory.store
    assert {"denied"} == {record.status for record in world.records}
    world.records.clear()
    with world.acting("read:memory:///**", *actions):
        way(files)

    assert actions <= {access for record in world.records for access in map(str, record.accesses)}


def test_paths_that_change_while_it_is_decided_are_those_that_were_decided(world, memory):
    paths = ["/box/a"]

    def approver(request):
        paths[0] = "/secret"
        return True

    with world.acting(ask=["delete:memory:///box/a"], guard=world.make_guard(approver=approver)):
        memory.rm(paths)

    assert {"/box/b", "/secret"} == set(memory.store)


def test_outside_of_a_session_nothing_is_decided(world, memory, remote):
    assert b"secret" == memory.cat_file("/secret")
    assert b"remote" == remote.cat_file("data/a")

    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, memory):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        assert b"secret" == memory.cat_file("/secret")

    assert ["would_deny"] == [record.effect for record in world.records]


def test_errors_are_passed_on(world, memory):
    with world.acting("read:memory:///missing"), pytest.raises(FileNotFoundError):
        memory.cat_file("/missing")

    assert [("read:memory:///missing", "failure")] == world.touched


def test_removing_the_installation_leaves_the_classes_as_they_were(installed):
    from fsspec.implementations.memory import MemoryFileSystem

    installed.remove()

    assert not hasattr(vars(MemoryFileSystem)["cat_file"], "__wrapped__")
