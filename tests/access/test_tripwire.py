"""The tripwire: what happens in a session although no wrapped library accounts for it."""

from __future__ import annotations

import _io
import contextvars
import ctypes
import importlib
import importlib.machinery
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

import agentid.access
from agentid.errors import AccessDeniedError, AuditUnavailableError, CredentialRevokedError, NoActingAgentError
from agentid.guard import ObserveOnlyGuard
from agentid.guard.session import NobodyActing
from agentid.record import Access


@pytest.fixture
def installed(monkeypatch):
    """One library is wrapped, and what others would account for is a door."""
    monkeypatch.setattr("agentid.access.installation.LIBRARIES", ("web.urllib_request",))
    installation = agentid.access.install()
    yield installation
    installation.remove()


@pytest.fixture
def strict(installed):
    """What goes around the wrapped libraries is refused."""
    return agentid.access.install(strict=True)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def seen(world):
    """Kind, what was done, and what came of it, of each second door."""
    doors = [record for record in world.records if record.reason == "second_door"]
    return [(record.tool.removeprefix("second door: "), *map(str, record.accesses), record.status) for record in doors]


def open_raw(path, flags=os.O_RDONLY):
    os.close(os.open(path, flags))


def read_raw(path):
    with _io.FileIO(path) as file:
        return file.read()


def test_a_file_that_is_read_around_all_wrappers_is_an_event_of_the_span_and_a_record(world, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a secret")
    tracer = world.captured.provider.get_tracer("test")

    with tracer.start_as_current_span("outer"), world.acting("read:crm/**"):
        assert b"a secret" == read_raw(str(path))

    (span,) = world.spans
    (event,) = span.events
    attributes = {"agentid.second_door.kind": "file", "agentid.data.dataset": f"file://{path}"}
    assert ("agentid.second_door", attributes) == (event.name, dict(event.attributes))
    (record,) = world.records
    assert ("allow", "second_door", "success", "") == (record.effect, record.reason, record.status, record.permission)
    assert (Access("read", record.accesses[0].resource),) == record.accesses
    assert format(span.context.span_id, "016x") == record.span_id
    assert ["decision", "outcome"] == [phase for phase, _ in world.audit.lines]
    assert "a secret" not in repr([span.to_json(), world.records, world.audit.lines])


def test_where_there_is_no_span_there_is_still_a_record(world, tmp_path):
    with world.acting("read:crm/**"):
        list(tmp_path.iterdir())

    assert [("file", f"read:file://{tmp_path}", "success")] == seen(world)
    assert () == world.spans
    assert "" == world.records[0].span_id


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda p: open_raw(p / "a"), ["read:@/a"]),
        (lambda p: open_raw(p / "a", os.O_WRONLY), ["write:@/a"]),
        (lambda p: open_raw(p / "a", os.O_RDWR), ["read:@/a", "write:@/a"]),
        (lambda p: open_raw(p / "b", os.O_CREAT), ["read:@/b", "write:@/b"]),
        (lambda p: (p / "a").unlink(), ["delete:@/a"]),
        (lambda p: (p / "a").rename(p / "b"), ["read:@/a", "delete:@/a", "write:@/b"]),
        (lambda p: (p / "b").mkdir(), ["write:@/b"]),
        (lambda p: (p / "d").rmdir(), ["delete:@/d"]),
        (lambda p: list(os.scandir(p / "d")), ["read:@/d"]),
        (lambda p: (p / "a").chmod(0o600), ["edit:@/a"]),
        (lambda p: os.utime(p / "a"), ["edit:@/a"]),
        (lambda p: os.truncate(p / "a", 0), ["edit:@/a"]),
        (lambda p: (p / "b").symlink_to(p / "a"), []),
    ],
)
def test_what_is_done_to_a_file_is_named(world, tmp_path, work, expected):
    (tmp_path / "a").touch()
    (tmp_path / "d").mkdir()

    with world.acting("read:crm/**"):
        work(tmp_path)

    assert [("file", *(line.replace("@", f"file://{tmp_path}") for line in expected), "success")] == seen(world)


def test_a_path_is_named_as_it_is_opened(world, tmp_path):
    (tmp_path / "a").touch()

    with world.acting("read:crm/**"):
        read_raw(Lying(tmp_path / "a"))

    assert [("file", f"read:file://{tmp_path}/a", "success")] == seen(world)


def test_a_file_that_is_open_already_is_no_door(world, tmp_path):
    (tmp_path / "a").touch()

    with world.acting("read:crm/**"):
        os.fdopen(os.open(tmp_path / "a", os.O_RDONLY)).close()
        sys.audit("open", 0, "r", 0)

    assert [("file", f"read:file://{tmp_path}/a", "success")] == seen(world)


def test_a_file_that_is_found_from_another_folder_has_no_name(world, tmp_path):
    (tmp_path / "a").touch()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with world.acting("read:crm/**"):
            os.close(os.open("a", os.O_RDONLY, dir_fd=folder))
            os.remove("a", dir_fd=folder)
    finally:
        os.close(folder)

    assert [("file", "success")] * 2 == seen(world)


def test_a_raw_socket_is_seen_when_it_connects_and_when_it_sends(world, listener):
    host, port = listener.getsockname()

    with world.acting("read:crm/**"), socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.connect((host, port))
        tcp.sendall(b"x")
        tcp.sendmsg([b"x"])
        udp.sendto(b"x", (host, port))
        udp.sendmsg([b"x"], [], 0, (host, port))
        socket.getaddrinfo("localhost", 1)

    wanted = [f"execute:tcp://{host}:{port}", *[f"execute:udp://{host}:{port}"] * 2, "execute:dns://localhost"]
    assert [("socket", line, "success") for line in wanted] == seen(world)


def test_a_process_is_seen_with_its_program(world):
    with world.acting("read:crm/**"):
        subprocess.run([sys.executable, "-c", ""], check=True)
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        os.system("true")

    kinds = [kind for kind, *_ in seen(world)]
    # From Python 3.13 on `subprocess` starts by `os.posix_spawn`, which announces it once more.
    assert ["process"] * (4 if sys.version_info >= (3, 13) else 3) == kinds
    assert f"execute:file://{os.path.realpath(sys.executable)}" == seen(world)[0][1]
    assert ("process", "success") == seen(world)[-1]


def test_ctypes_is_seen(world):
    with world.acting("read:crm/**"):
        library = ctypes.CDLL(None)
        assert library.getpid()

    assert [("ctypes", "success")] * 2 == seen(world)[:2]


def test_a_native_module_is_seen_unless_it_is_a_part_of_python(world, tmp_path):
    file = importlib.machinery.PathFinder.find_spec("_lsprof").origin
    copy = tmp_path / Path(file).name
    copy.write_bytes(_read(file))
    loader = importlib.machinery.ExtensionFileLoader("_lsprof", str(copy))

    with world.acting("read:crm/**"):
        loader.create_module(importlib.machinery.ModuleSpec("_lsprof", loader, origin=str(copy)))

    assert ("native", f"execute:file://{copy}", "success") in seen(world)


def _read(file):
    with NobodyActing():
        return Path(file).read_bytes()


def test_an_interpreter_of_its_own_is_seen_and_where_it_is_strict_never_made(world, installed):
    """No hook of this one hears what is done in there. What Python announces of it differs from version to version."""
    interpreters = importlib.import_module("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    with world.acting("read:crm/**"):
        interpreters.destroy(interpreters.create())

    assert [("interpreter", "success")] == seen(world)

    agentid.access.install(strict=True)
    before = interpreters.list_all()
    with world.acting("read:crm/**"), pytest.raises((AccessDeniedError, RuntimeError)):
        interpreters.create()

    assert before == interpreters.list_all()


def test_imports_of_python_itself_are_no_doors(world, tmp_path, monkeypatch):
    (tmp_path / "module_of_its_own").mkdir()
    (tmp_path / "module_of_its_own" / "__init__.py").write_text("import wave, _lsprof\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("wave", "_lsprof"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    with world.acting("read:crm/**"):
        import module_of_its_own  # noqa: F401

    monkeypatch.delitem(sys.modules, "module_of_its_own")
    assert [] == seen(world)


def _data_by_hand(folder):
    loader = importlib.machinery.SourceFileLoader("secret", str(folder / "secret.py"))
    loader.get_data(str(folder / "secret.txt"))


def _code_by_hand(folder):
    importlib.machinery.SourceFileLoader("secret", str(folder / "secret.txt")).get_code("secret")


def _loader_with_a_method_of_its_own(folder):
    class Elsewhere(importlib.machinery.SourceFileLoader):
        def get_data(self, path):
            return super().get_data(str(folder / "secret.txt"))

    Elsewhere("secret", str(folder / "secret.py")).get_code("secret")


def _finder_that_leads_elsewhere(folder, kind=str):
    class Finder:
        @staticmethod
        def find_spec(name, *_):
            loader = importlib.machinery.SourceFileLoader(name, kind(folder / "secret.txt"))
            return importlib.machinery.ModuleSpec(name, loader, origin="x") if name == "an_odd_one" else None

    sys.meta_path.append(Finder)
    try:
        __import__("an_odd_one")
    finally:
        sys.meta_path.remove(Finder)
        sys.modules.pop("an_odd_one", None)


class Lying(str):
    """Text that says it is other text; the operating system is told what it is."""

    __slots__ = ()

    def endswith(self, *_):
        return True

    def startswith(self, *_):
        return False

    def partition(self, _):
        return "etc", "", ""


def _finder_that_lies(folder):
    _finder_that_leads_elsewhere(folder, Lying)


@pytest.mark.parametrize(
    "work",
    [
        _data_by_hand,
        _code_by_hand,
        _loader_with_a_method_of_its_own,
        _finder_that_leads_elsewhere,
        _finder_that_lies,
    ],
)
def test_the_import_system_is_no_way_to_read_a_file(world, tmp_path, work):
    (tmp_path / "secret.txt").write_text("secret = 1")
    (tmp_path / "secret.py").write_text("secret = 2")

    with world.acting("read:crm/**"):
        work(tmp_path)

    assert ("file", f"read:file://{tmp_path}/secret.txt", "success") in seen(world)


def test_objects_of_the_agent_run_as_the_agent(world, strict, tmp_path):
    """What is asked of an argument to name it may run code: not as somebody who may do anything."""
    (tmp_path / "a").write_text("data")
    found = []

    class Folder:
        def __ne__(self, _):
            found.append(read_raw(str(tmp_path / "a")))

        __hash__ = None

    with world.acting("read:crm/**"), pytest.raises(AccessDeniedError):
        sys.audit("os.remove", "x", Folder())

    assert [] == found


def test_what_a_wrapped_library_accounts_for_is_seen_once(world, http):
    with world.acting(f"read:{http.url}/a"):
        urllib.request.urlopen(f"{http.url}/a").close()

    assert [f"read:{http.url}/a"] == [record.permission for record in world.records]


@pytest.mark.parametrize(
    "work",
    [
        lambda p, _: read_raw(str(p / "a")),
        lambda p, _: (p / "a").unlink(),
        lambda _, address: socket.create_connection(address),
        lambda p, _: subprocess.run(["/bin/rm", str(p / "a")], check=True),
        lambda p, _: os.system(f"rm {p / 'a'}"),
        lambda _p, _: ctypes.CDLL(None),
    ],
    ids=["file", "remove", "socket", "process", "shell", "ctypes"],
)
def test_where_it_is_strict_it_is_refused_before_it_happens(world, strict, tmp_path, listener, work):
    (tmp_path / "a").write_text("data")

    with world.acting("read:**", f"read:file://{tmp_path}/**"), pytest.raises(AccessDeniedError) as refused:
        work(tmp_path, listener.getsockname())

    assert "goes around" in refused.value.for_model
    assert "strict=True" in str(refused.value)
    assert (tmp_path / "a").exists()
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert {"denied"} == {door[-1] for door in seen(world)}


def test_strict_lasts_until_it_is_removed(strict, installed):
    assert strict.is_strict
    assert agentid.access.install().is_strict
    strict.remove()
    assert not agentid.access.install().is_strict


def test_a_guard_that_only_observes_lets_it_through_where_it_is_strict(world, strict, tmp_path):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        list(tmp_path.iterdir())

    assert [("would_deny", "second_door")] == [(record.effect, record.reason) for record in world.records]


def test_an_agent_that_was_revoked_gets_through_no_second_door(world, tmp_path):
    bot = world.authority.issue("bot", allow=["read:crm/**"])

    with world.guard.acting_as(bot):
        world.authority.revoke(bot)
        with pytest.raises(CredentialRevokedError):
            list(tmp_path.iterdir())


def test_what_cannot_be_recorded_does_not_happen(world, tmp_path):
    class Full:
        def write(self, phase, record):
            raise OSError("disk full")

    (tmp_path / "a").touch()
    with world.acting("read:crm/**", guard=world.make_guard(audit=Full())), pytest.raises(AuditUnavailableError):
        (tmp_path / "a").unlink()

    assert (tmp_path / "a").exists()


def test_a_session_that_is_over_gets_through_no_second_door(world, tmp_path):
    with world.acting("read:crm/**"):
        kept = contextvars.copy_context()

    with pytest.raises(NoActingAgentError):
        kept.run(lambda: list(tmp_path.iterdir()))


def test_outside_of_a_session_and_once_removed_nothing_is_seen(world, installed, tmp_path):
    list(tmp_path.iterdir())
    thread = threading.Thread(target=lambda: list(tmp_path.iterdir()))
    with world.acting("read:crm/**"):
        thread.start()
        thread.join()
        installed.remove()
        list(tmp_path.iterdir())

    assert [] == world.records


def test_what_the_guard_itself_does_is_no_door(world, tmp_path):
    class Writing:
        def write(self, phase, record):
            (tmp_path / "log").write_text(phase)

    observed = []

    def observe(record):
        observed.append(record)
        list(tmp_path.iterdir())

    guard = world.make_guard(audit=Writing(), observers=[observe])
    with world.acting("read:crm/**", guard=guard):
        list(tmp_path.iterdir())

    assert ["second_door"] == [record.reason for record in observed]


def test_arguments_that_are_odd_have_no_name(world):
    with world.acting("read:crm/**"):
        for event, arguments in (
            ("open", (object(), "r", 0)),
            ("os.listdir", (object(),)),
            ("socket.connect", (None, ())),
            ("subprocess.Popen", (None, [], None, None)),
            ("os.rename", ()),
            ("open", ("a\0b", "r", 0)),
        ):
            sys.audit(event, *arguments)

    assert ["success"] * 6 == [status for *_, status in seen(world)]


def test_it_is_hung_up_once_whatever_is_installed_and_removed():
    program = """
import sys
armed = []
sys.addaudithook(lambda event, _: armed.append(event) if event == "sys.addaudithook" else None)
import agentid.access
for _ in range(3):
    agentid.access.install().remove()
print(len(armed))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "1\n" == done.stdout
