"""Files: each way of Python to open, list, move and remove them is decided about the place that it leads to."""

from __future__ import annotations

import _io
import _pyio
import builtins
import bz2
import codecs
import contextlib
import gzip
import io
import linecache
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
import tokenize
import traceback

import pytest

from agentid.errors import AccessDeniedError
from agentid.guard import ObserveOnlyGuard
from agentid.guard.session import NobodyActing
from tests.systems import needs_posix

pytestmark = needs_posix

posix = sys.modules.get("posix", os)


@pytest.fixture
def folder(tmp_path):
    """A folder by its real path, with a file that nobody may touch unless it is said."""
    place = pathlib.Path(os.path.realpath(tmp_path))
    (place / "secret").write_text("secret")
    (place / "sub").mkdir()
    return place


def _read(descriptor):
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def _read_from(file):
    with file:
        return file.read()


READS = {
    "open": lambda path: _read_from(open(path)),
    "open by keyword": lambda path: _read_from(open(file=path, mode="rb")),
    "open with an opener of None": lambda path: _read_from(open(path, "r", -1, None, None, None, True, None)),
    "open of a path object": lambda path: _read_from(open(pathlib.Path(path))),
    "open of bytes": lambda path: _read_from(open(os.fsencode(path))),
    "builtins.open": lambda path: _read_from(builtins.open(path)),
    "io.open": lambda path: _read_from(io.open(path)),
    "_io.open": lambda path: _read_from(_io.open(path)),
    "_pyio.open": lambda path: _read_from(_pyio.open(path)),
    "io.FileIO": lambda path: _read_from(io.FileIO(path)),
    "_io.FileIO": lambda path: _read_from(_io.FileIO(path, "r")),
    "io.open_code": lambda path: _read_from(io.open_code(path)),
    "opener that asks nobody": lambda path: _read_from(open("x", opener=lambda _, flags: os.open(path, flags))),
    "os.open": lambda path: _read(os.open(path, os.O_RDONLY)),
    "posix.open": lambda path: _read(posix.open(path, os.O_RDONLY)),
    "codecs.open": lambda path: _read_from(codecs.open(path, encoding="utf-8")),
    "pathlib": lambda path: pathlib.Path(path).read_text(),
    "shutil.copyfile": lambda path: shutil.copyfile(path, os.devnull),
    "tokenize": lambda path: _read_from(tokenize.open(path)),
    "bz2": lambda path: bz2.BZ2File(path).close(),
    "gzip": lambda path: gzip.open(path).close(),
    "tarfile": lambda path: _tar(path),
    "relative to an opened folder": lambda path: _in_opened_folder(path),
}


def _tar(path):
    with pytest.raises(tarfile.ReadError):
        tarfile.TarFile(path, "r")


def _in_opened_folder(path):
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        return _read(os.open(os.path.basename(path), os.O_RDONLY, dir_fd=descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # codecs.open, in newer Python
@pytest.mark.parametrize("way", READS)
def test_a_file_that_may_not_be_read_is_never_opened(world, folder, way):
    with world.acting(f"read:file://{folder}"), pytest.raises(AccessDeniedError):
        READS[way](str(folder / "secret"))

    assert (f"read:file://{folder}/secret", "denied") == world.touched[-1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("way", READS)
def test_a_file_that_may_be_read_is_read_and_recorded_once(world, folder, way):
    with world.acting(f"read:file://{folder}", f"read:file://{folder}/secret"):
        READS[way](str(folder / "secret"))

    recorded = [(f"read:file://{folder}/secret", "success")]
    assert recorded == [touched for touched in world.touched if touched[0].endswith("/secret")]
    assert str(folder / "secret") == world.spans[-1].attributes["file.path"]
    assert "read file" == world.spans[-1].name


@pytest.mark.parametrize(
    ("mode", "actions"),
    [
        ("r", {"read"}),
        ("w", {"write"}),
        ("x", {"write"}),
        ("a", {"write"}),
        ("r+", {"read", "edit"}),
        ("w+", {"read", "write"}),
        ("x+", {"read", "write"}),
        ("a+", {"read", "write"}),
    ],
)
@pytest.mark.parametrize("kind", ["open", "FileIO"])
def test_the_mode_says_what_is_done(world, folder, mode, actions, kind):
    path = folder / "sub" / "new"
    if "x" not in mode:
        path.write_text("old")
    place = f"file://{path}"
    kind = getattr(io, kind)

    for missing in actions:
        some = {"read", "write", "edit", "delete", "execute"} - {missing}
        with world.acting(*(f"{action}:{place}" for action in some)), pytest.raises(AccessDeniedError):
            kind(str(path), mode)
        assert ("x" in mode) != path.exists()
        assert "x" in mode or "old" == path.read_text()
    with world.acting(*(f"{action}:{place}" for action in actions)):
        kind(str(path), mode).close()

    assert {f"{action}:{place}" for action in actions} == set(world.touched[-1][:-1])
    assert ("w" in mode or "x" in mode) == (path.read_text() == "")


@pytest.mark.parametrize(
    ("flags", "actions"),
    [
        (os.O_WRONLY, {"edit"}),
        (os.O_WRONLY | os.O_TRUNC, {"edit"}),
        (os.O_WRONLY | os.O_APPEND, {"write"}),
        (os.O_WRONLY | os.O_CREAT, {"write", "edit"}),
        (os.O_RDWR | os.O_CREAT, {"read", "write", "edit"}),
        (os.O_RDONLY | os.O_CREAT, {"read", "write"}),
        (os.O_RDONLY | os.O_TRUNC, {"read", "edit"}),
    ],
)
def test_the_flags_say_what_is_done(world, folder, flags, actions):
    with world.acting(), pytest.raises(AccessDeniedError):
        os.open(folder / "secret", flags)

    with world.acting(*(f"{action}:file://{folder}/secret" for action in actions)):
        os.close(os.open(folder / "secret", flags))
    assert {f"{action}:file://{folder}/secret" for action in actions} == set(world.touched[-1][:-1])


# name: what is done, and which accesses that needs, of {f} the folder
CHANGES = {
    "os.remove": (lambda f: os.remove(f / "secret"), ["delete:{f}/secret"]),
    "os.unlink": (lambda f: os.unlink(str(f / "secret")), ["delete:{f}/secret"]),
    "posix.unlink": (lambda f: posix.unlink(f / "secret"), ["delete:{f}/secret"]),
    "os.unlink by keyword": (lambda f: os.unlink(path=f / "secret"), ["delete:{f}/secret"]),
    "Path.unlink": (lambda f: (f / "secret").unlink(), ["delete:{f}/secret"]),
    "os.rmdir": (lambda f: os.rmdir(f / "sub"), ["delete:{f}/sub"]),
    "os.removedirs": (lambda f: os.removedirs(f / "sub"), ["delete:{f}/sub", "delete:{f}"]),
    "os.mkdir": (lambda f: os.mkdir(f / "new"), ["write:{f}/new"]),
    "os.makedirs": (lambda f: os.makedirs(f / "new" / "er"), ["write:{f}/new", "write:{f}/new/er"]),
    "Path.mkdir": (lambda f: (f / "new").mkdir(), ["write:{f}/new"]),
    "os.mkfifo": (lambda f: os.mkfifo(f / "new"), ["write:{f}/new"]),
    "os.mknod": (lambda f: os.mknod(f / "new"), ["write:{f}/new"]),
    "os.truncate": (lambda f: os.truncate(f / "secret", 1), ["edit:{f}/secret"]),
    "os.chmod": (lambda f: os.chmod(f / "secret", 0o600), ["edit:{f}/secret"]),
    "Path.chmod": (lambda f: (f / "secret").chmod(0o600), ["edit:{f}/secret"]),
    "os.utime": (lambda f: os.utime(f / "secret", (1, 1)), ["edit:{f}/secret"]),
    "os.chown": (lambda f: os.chown(f / "secret", -1, -1), ["edit:{f}/secret"]),
    "os.rename": (
        lambda f: os.rename(f / "secret", f / "new"),
        ["delete:{f}/secret", "read:{f}/secret", "write:{f}/new"],
    ),
    "os.replace by keyword": (
        lambda f: os.replace(src=f / "secret", dst=f / "new"),
        ["delete:{f}/secret", "read:{f}/secret", "write:{f}/new"],
    ),
    "shutil.move": (
        lambda f: shutil.move(f / "secret", f / "new"),
        ["delete:{f}/secret", "read:{f}/secret", "write:{f}/new"],
    ),
    "os.link": (
        lambda f: os.link(f / "secret", f / "new"),
        ["write:{f}/new", "read:{f}/secret", "edit:{f}/secret"],
    ),
    "os.symlink": (lambda f: os.symlink(f / "secret", f / "new"), ["write:{f}/new", "read:{f}/secret"]),
    "a relative symlink": (lambda f: os.symlink("secret", f / "new"), ["write:{f}/new", "read:{f}/secret"]),
    "shutil.rmtree": (lambda f: shutil.rmtree(f / "sub"), ["read:{f}/sub", "delete:{f}/sub"]),
    "os.listdir": (lambda f: os.listdir(f), ["read:{f}"]),
    "os.scandir": (lambda f: os.scandir(f).close(), ["read:{f}"]),
    "posix.scandir": (lambda f: posix.scandir(str(f)).close(), ["read:{f}"]),
    "os.walk": (lambda f: list(os.walk(f)), ["read:{f}", "read:{f}/sub"]),
    "Path.iterdir": (lambda f: list(f.iterdir()), ["read:{f}"]),
    "Path.glob": (lambda f: list(f.glob("*")), ["read:{f}"]),
    "shutil.copy": (
        lambda f: shutil.copy(f / "secret", f / "new"),
        ["read:{f}/secret", "write:{f}/new", "edit:{f}/new"],
    ),
    "mkdtemp": (lambda f: tempfile.mkdtemp(prefix="t", dir=f / "sub"), ["write:{f}/sub/*"]),
    "TemporaryFile": (
        lambda f: tempfile.TemporaryFile(dir=f / "sub").close(),
        ["read:{f}/sub", "write:{f}/sub", "read:{f}/sub/*", "write:{f}/sub/*", "delete:{f}/sub/*"],
    ),
}


@pytest.mark.parametrize("way", CHANGES)
def test_what_is_changed_needs_each_of_its_permissions(world, folder, way):
    does, needed = CHANGES[way]
    allowed = [text.format(f=f"file://{folder}") for text in needed]
    before = sorted(folder.rglob("*"))

    with world.acting(*allowed[1:]), pytest.raises(AccessDeniedError):
        does(folder)
    assert before == sorted(folder.rglob("*"))
    assert "secret" == (folder / "secret").read_text()
    world.records.clear()
    with world.acting(*allowed), contextlib.suppress(OSError):  # a folder that is not empty
        does(folder)
    assert [] == [touched for touched in world.touched if touched[-1] == "denied"]


@pytest.mark.parametrize("way", ["os.rename", "os.replace by keyword", "os.link", "os.symlink", "a relative symlink"])
def test_what_concerns_two_places_needs_all_of_its_permissions_before_it_is_done(world, folder, way):
    does, needed = CHANGES[way]
    allowed = [text.format(f=f"file://{folder}") for text in needed]
    before = sorted(folder.rglob("*"))

    for missing in allowed:
        with world.acting(*(text for text in allowed if text != missing)), pytest.raises(AccessDeniedError):
            does(folder)

    assert before == sorted(folder.rglob("*"))


@pytest.mark.parametrize("name", ["getxattr", "listxattr", "setxattr", "removexattr"])
@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="only Linux has extended attributes here")
def test_extended_attributes_are_part_of_a_file(world, folder, name):
    rest = {"getxattr": ("user.x",), "listxattr": (), "setxattr": ("user.x", b"1"), "removexattr": ("user.x",)}[name]

    with world.acting(), pytest.raises(AccessDeniedError):
        getattr(os, name)(folder / "secret", *rest)


def test_a_folder_moves_with_everything_in_it(world, folder):
    (folder / "sub" / "inner").write_text("inner")
    own = [f"{action}:file://{folder}/{name}" for action in ("read", "delete") for name in ("sub", "new")]

    with world.acting(*own, f"write:file://{folder}/**"), pytest.raises(AccessDeniedError):
        os.rename(folder / "sub", folder / "new")

    assert (folder / "sub" / "inner").exists()


# --- links -----------------------------------------------------------------------------------------------------------


def test_a_link_is_what_it_leads_to(world, folder):
    (folder / "innocent").symlink_to("secret")
    (folder / "up").symlink_to(".")

    for path in (folder / "innocent", folder / "up" / "innocent", folder / "sub" / ".." / "innocent"):
        with world.acting(f"read:file://{folder}/innocent"), pytest.raises(AccessDeniedError):
            open(path)

    assert {(f"read:file://{folder}/secret", "denied")} == set(world.touched)


def test_removing_a_link_is_not_removing_what_it_leads_to(world, folder):
    (folder / "link").symlink_to("secret")

    with world.acting(f"delete:file://{folder}/link"):
        os.unlink(folder / "link")

    assert (folder / "secret").exists()


class Swaps:
    """A path that has a link put in its way between the decision and the opening."""

    def __init__(self, monkeypatch, swap):
        real, once = os.path.realpath, [swap]

        def realpath(path, **options):
            found = real(path, **options)
            if once and str(path).endswith("given"):
                with NobodyActing():  # as another process does
                    once.pop()()
            return found

        monkeypatch.setattr(os.path, "realpath", realpath)


@pytest.mark.parametrize("mode", ["r", "w", "r+"])
def test_a_link_that_is_put_in_the_way_meanwhile_is_not_followed(world, folder, monkeypatch, mode):
    given = folder / "given"
    given.write_text("given")

    def swap():
        given.unlink()
        given.symlink_to("secret")

    Swaps(monkeypatch, swap)
    may = [f"{action}:file://{given}" for action in ("read", "write", "edit")]
    with world.acting(*may), pytest.raises((AccessDeniedError, OSError)):
        open(given, mode)

    assert "secret" == (folder / "secret").read_text()


@pytest.mark.parametrize("mode", ["r", "w", "r+"])
def test_a_folder_that_is_swapped_for_a_link_meanwhile_is_noticed(world, folder, monkeypatch, mode):
    (folder / "sub" / "given").write_text("given")
    (folder / "other").mkdir()
    (folder / "other" / "given").write_text("secret")

    def swap():
        (folder / "sub").rename(folder / "moved")
        (folder / "sub").symlink_to("other")

    Swaps(monkeypatch, swap)
    may = [f"{action}:file://{folder}/sub/given" for action in ("read", "write", "edit")]
    with world.acting(*may), pytest.raises(AccessDeniedError, match="put in its way"):
        open(folder / "sub" / "given", mode)

    assert "secret" == (folder / "other" / "given").read_text()


def test_no_file_is_made_behind_a_link_that_is_put_in_the_way_meanwhile(world, folder, monkeypatch):
    Swaps(monkeypatch, lambda: (folder / "given").symlink_to("new"))

    with world.acting(f"write:file://{folder}/given"), pytest.raises(OSError, match="given"):
        open(folder / "given", "w")

    assert not (folder / "new").exists()


def test_a_new_file_is_not_made_behind_a_link(world, folder):
    (folder / "link").symlink_to("new")

    with world.acting(f"write:file://{folder}/**"), pytest.raises(FileExistsError):
        open(folder / "link", "x")

    assert not (folder / "new").exists()


def test_a_path_that_says_something_else_the_second_time_is_asked_once(world, folder):
    (folder / "sub" / "open").write_text("open")
    answers = [str(folder / "sub" / "open"), str(folder / "secret"), str(folder / "secret")]

    class Changing(os.PathLike):
        def __fspath__(self):
            return answers.pop(0)

    for call in (open, lambda path: os.fdopen(os.open(path, 0))):
        answers[:] = [str(folder / "sub" / "open"), str(folder / "secret"), str(folder / "secret")]
        with world.acting(f"read:file://{folder}/sub/*"), call(Changing()) as file:
            assert "open" == file.read()
    # This one asks for itself first; what is opened is what is decided about.
    answers[:] = [str(folder / "sub" / "open"), str(folder / "secret"), str(folder / "sub" / "open")]
    with world.acting(f"read:file://{folder}/sub/*"), pytest.raises(AccessDeniedError):
        io.FileIO(Changing())


class Lying(str):
    """Text that has other characters than it shows."""

    __slots__ = ("shown",)

    def __getitem__(self, key):
        return self.shown[key]

    def split(self, *args):
        return self.shown.split(*args)

    def rstrip(self, *args):
        return self.shown.rstrip(*args)

    def partition(self, *args):
        return self.shown.partition(*args)


def test_a_text_that_lies_about_itself_is_taken_at_its_characters(world, folder):
    lying = Lying(folder)
    lying.shown = str(folder / "sub")

    with world.acting(f"read:file://{folder}/sub"):
        for call in (os.scandir, os.listdir, lambda path: os.open(path, os.O_RDONLY)):
            with pytest.raises(AccessDeniedError):
                call(lying)

    assert {(f"read:file://{folder}", "denied")} == set(world.touched)


def test_a_link_with_a_slash_after_it_is_refused_where_links_are_not_followed(world, folder):
    """Some systems then remove the folder, and some refuse."""
    (folder / "link").symlink_to("sub")

    with world.acting(f"delete:file://{folder}/**"), pytest.raises(AccessDeniedError):
        os.rmdir(f"{folder}/link/")
    with world.acting(f"delete:file://{folder}/**"):
        os.rmdir(f"{folder}/sub/")

    assert (folder / "link").is_symlink()


# --- Python's own work -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["missing", "there"])
def test_importing_a_module_needs_no_permission_and_writes_no_bytecode(world, folder, monkeypatch, cache):
    if cache == "there":
        (folder / "__pycache__").mkdir()
    (folder / "a_module_of_mine.py").write_text("value = 1")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    with world.acting():
        import wave

        import a_module_of_mine

    del sys.modules["a_module_of_mine"]
    assert 1 == a_module_of_mine.value
    assert [] == list(folder.glob("__pycache__/*"))
    assert ("there" == cache) == (folder / "__pycache__").exists()
    assert [] == world.touched


def test_a_traceback_is_written_whatever_an_agent_may_read(world, folder):
    code = compile("1 / 0", str(folder / "secret"), "exec")

    with world.acting():
        linecache.clearcache()
        try:
            exec(code)
        except ZeroDivisionError:
            text = traceback.format_exc()

    assert "in test_a_traceback_is_written" in text
    assert "exec(code)" in text
    assert [(f"read:file://{folder}/secret", "denied")] == world.touched


def test_linecache_reads_no_file_for_an_agent(world, folder):
    with world.acting():
        assert [] == linecache.getlines(str(folder / "secret"))


def test_the_loader_of_modules_reads_no_data_and_no_code_for_an_agent(world, folder):
    from importlib.machinery import SourceFileLoader

    (folder / "code.py").write_text("password = 1")
    for name in ("secret", "code.py"):
        with world.acting(), pytest.raises(AccessDeniedError):
            SourceFileLoader("x", str(folder / name)).get_data(str(folder / name))


def test_the_loader_of_modules_writes_nothing_for_an_agent(world, folder):
    from importlib.machinery import SourceFileLoader

    with world.acting():
        SourceFileLoader("x", "x").set_data(str(folder / "new" / "x.pyc"), b"x")

    assert not (folder / "new").exists()


def test_code_and_metadata_below_the_import_folders_are_no_data(world):
    import importlib.metadata

    certifi = pytest.importorskip("certifi", reason="certifi, which has data beside its code, is not installed")

    with world.acting():
        assert _read_from(open(os.__file__))
        assert importlib.metadata.version("wrapt")
        with pytest.raises(AccessDeniedError):
            open(os.__file__, "r+")
        with pytest.raises(AccessDeniedError):
            open(os.path.join(os.path.dirname(certifi.__file__), "cacert.pem"))


def test_what_is_not_there_is_said_to_be_missing_without_asking(world, tmp_path):
    """Many programs look for settings that nobody made."""
    with world.acting():
        for look in (open, os.listdir, os.scandir):
            with pytest.raises(FileNotFoundError):
                look(tmp_path / "missing")
        with pytest.raises(AccessDeniedError):
            open(tmp_path / "missing", "w")

    assert [(f"write:file://{tmp_path}/missing", "denied")] == world.touched
    assert not (tmp_path / "missing").exists()


def test_what_is_installed_is_looked_for_in_any_folder(world, tmp_path, monkeypatch):
    """And nothing else of it is told."""
    import importlib.metadata

    (tmp_path / "thing-1.0.dist-info").mkdir()
    (tmp_path / "thing-1.0.dist-info" / "METADATA").write_text("Name: thing")
    monkeypatch.syspath_prepend(tmp_path)

    with world.acting():
        assert importlib.metadata.version("wrapt")
        with pytest.raises(AccessDeniedError):
            os.listdir(tmp_path)

    assert f"read:file://{tmp_path}" == world.touched[-1][0]


def test_the_root_folder_is_a_resource_of_its_own_that_no_other_permission_reaches(world, folder):
    with world.acting("read:file:///**", "read:file://localhost/**"):
        for look in (os.listdir, os.scandir, lambda path: os.close(os.open(path, os.O_RDONLY))):
            with pytest.raises(AccessDeniedError, match="read:file://localhost`"):
                look("/")
    with world.acting("read:file://localhost"):
        assert "etc" in os.listdir("/")
        assert "etc" in os.listdir("/../")
        with pytest.raises(AccessDeniedError):
            os.listdir(folder)

    assert ("read:file://localhost", "success") in world.touched


def test_devices_that_hold_nothing_are_no_data(world):
    with world.acting():
        open(os.devnull, "w").close()
        open(os.devnull).close()
        with open("/dev/urandom", "rb") as file:
            assert file.read(1)

    assert [] == world.touched


def test_what_is_opened_already_is_not_asked_about_again(world, folder):
    descriptor = os.open(folder / "secret", os.O_RDONLY)
    reading, writing = os.pipe()

    with world.acting():
        with open(descriptor) as file:
            assert "secret" == file.read()
        os.close(os.open(f"/dev/fd/{reading}", os.O_RDONLY | os.O_NONBLOCK))

    os.close(reading)
    os.close(writing)
    assert [] == world.touched


def test_what_was_opened_for_reading_is_not_opened_again_for_writing(world, folder):
    descriptor = os.open(folder / "secret", os.O_RDONLY)
    try:
        with world.acting(f"read:file://{folder}/secret"):
            for call in (
                lambda: open(f"/dev/fd/{descriptor}", "w"),
                lambda: os.chmod(descriptor, 0o777),
                lambda: os.fchmod(descriptor, 0o777),
                lambda: os.utime(descriptor),
            ):
                with pytest.raises(AccessDeniedError):
                    call()
    finally:
        os.close(descriptor)

    assert "secret" == (folder / "secret").read_text()


# --- and otherwise as it was --------------------------------------------------------------------------------


def test_errors_and_results_are_those_of_the_plain_functions(world, folder, monkeypatch):
    monkeypatch.chdir(folder)
    calls = [
        lambda: open("missing"),
        lambda: open(""),
        lambda: open("secret/"),
        lambda: open("sub", "w"),
        lambda: open("secret", "x"),
        lambda: open("a\0b"),
        lambda: open(None),
        lambda: open("secret", "rz"),
        lambda: open("secret", encoding="no-such-encoding"),
        lambda: os.remove("missing"),
        lambda: os.remove(),
        lambda: os.remove(1.5),
        lambda: os.rename("missing", "sub/x"),
        lambda: os.listdir("missing"),
        lambda: os.listdir(b"."),
        lambda: os.listdir(),
        lambda: paths(os.scandir("sub/..")),
        lambda: paths(os.scandir()),
        lambda: os.mkdir("sub"),
        lambda: os.mkdir("sub/"),
        lambda: closed(open("secret")).name,
        lambda: closed(io.FileIO(pathlib.Path("secret"))).name,
        lambda: os.open("missing", 0),
        lambda: os.open("secret", "0"),
        lambda: os.link("missing", "x"),
        lambda: os.chmod("missing", 0),
        lambda: os.readlink("missing"),
    ]
    everything = [f"{a}:file://{folder}/**" for a in ("read", "write", "edit", "delete")]
    everything += [f"read:file://{folder}", f"edit:file://{folder}"]

    def outcomes():
        return [outcome(call) for call in calls]

    plain = outcomes()
    with world.acting(*everything):
        assert plain == outcomes()
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        assert plain == outcomes()


def paths(entries):
    with entries:
        return [entry.path for entry in entries]


def test_what_asks_about_the_functions_finds_them_as_they_were(installed):
    """`shutil` removes folders safely only where these can be asked for what lies in an opened one."""
    assert {os.open, os.unlink, os.rmdir} <= os.supports_dir_fd
    assert os.scandir in os.supports_fd

    class Mine(io.FileIO):
        pass

    assert issubclass(Mine, io.FileIO)
    with open(os.devnull, "rb", 0) as file:
        assert isinstance(file, io.FileIO)


def closed(file):
    file.close()
    return file


def outcome(call):
    try:
        return call()
    except (OSError, TypeError, ValueError, LookupError) as error:
        names = (getattr(error, "filename", None), getattr(error, "filename2", None))
        return type(error), getattr(error, "errno", None), names


def test_a_new_file_has_the_mode_that_it_had(world, folder):
    before = os.umask(0o022)
    try:
        with world.acting(f"write:file://{folder}/**", f"edit:file://{folder}/**"):
            open(folder / "new", "w").close()
            os.close(os.open(folder / "newer", os.O_WRONLY | os.O_CREAT))
            os.close(os.open(folder / "newest", os.O_WRONLY | os.O_CREAT, 0o600))
    finally:
        os.umask(before)

    modes = [(folder / name).stat().st_mode & 0o777 for name in ("new", "newer", "newest")]
    assert [0o644, 0o755, 0o600] == modes


@pytest.mark.parametrize("name", ["a*b", "a\\b", "a\nb", " a", "%2e%2e%2fsecret"])
def test_a_name_that_no_resource_can_have_is_refused(world, folder, name):
    (folder / name).write_text("x")

    with world.acting(f"read:file://{folder}/**"), pytest.raises(AccessDeniedError):
        open(folder / name)

    assert [("denied",)] == world.touched


def test_a_folder_lists_as_many_rows_as_it_has_names(world, folder):
    with world.acting(f"read:file://{folder}"):
        os.listdir(folder)

    assert 2 == world.records[0].rows


def test_outside_of_a_session_nothing_is_decided(world, folder):
    assert "secret" == (folder / "secret").read_text()
    os.remove(folder / "secret")

    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, folder):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        assert "secret" == _read_from(open(folder / "secret"))
        os.remove(folder / "secret")

    assert ["would_deny", "would_deny"] == [record.effect for record in world.records]


def test_the_codec_of_an_agent_runs_as_the_agent(world, folder):
    """A file is opened while nothing of the agent's own code is accounted for."""
    denied = []

    def search(name):
        if name != "agents_codec":
            return None
        try:
            os.remove(folder / "secret")
        except AccessDeniedError as error:
            denied.append(error)
        return codecs.lookup("utf-8")

    codecs.register(search)
    try:
        with world.acting(f"read:file://{folder}/secret"):
            open(folder / "secret", encoding="agents_codec").close()
    finally:
        codecs.unregister(search)

    assert denied


def _asks_nobody():
    """`os.open`, as whoever took it before it was wrapped has it."""
    plain = os.open
    while hasattr(plain, "__wrapped__"):
        plain = plain.__wrapped__
    return plain


def _by_opener(path, work):
    open("x", opener=lambda _path, _flags: work()).close()


def _by_a_path(path, work):
    class Path:
        def __fspath__(self):
            os.close(work())
            return os.devnull

    open(Path()).close()


def _by_a_path_of_a_folder(path, work):
    class Path:
        def __fspath__(self):
            os.close(work())
            return path

    os.listdir(Path())


def _by_flags(path, work):
    class Flags:
        def __index__(self):
            os.close(work())
            return os.O_RDONLY

    os.close(os.open(os.devnull, Flags()))


def _by_codec(path, work):
    def search(name):
        if name != "agents_codec_that_opens":
            return None
        os.close(work())
        return codecs.lookup("utf-8")

    codecs.register(search)
    try:
        open(os.devnull, encoding="agents_codec_that_opens").close()
    finally:
        codecs.unregister(search)


@pytest.mark.parametrize("way", [_by_opener, _by_a_path, _by_a_path_of_a_folder, _by_flags, _by_codec])
def test_what_goes_around_the_wrappers_while_one_of_them_runs_is_a_second_door(world, folder, way):
    """A wrapped function stands for what it announces itself, and not for what the agent's code does meanwhile."""
    plain, secret = _asks_nobody(), str(folder / "secret")

    with world.acting(f"read:file://{folder}"):
        way(str(folder), lambda: plain(secret, os.O_RDONLY))

    doors = [[*map(str, record.accesses)] for record in world.records if record.reason == "second_door"]
    assert [f"read:file://{secret}"] in doors


def test_an_opener_of_c_is_a_second_door_too(world, folder):
    plain, secret = _asks_nobody(), str(folder / "secret")

    with world.acting("read:crm/**"):
        open(secret, opener=plain).close()

    assert ["second_door"] == [record.reason for record in world.records]
