"""Each append is in the file as a whole or not at all, whatever the disk does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from systems import needs_posix

from agentid.record.audit.append_file import AppendFile, LostFileError, is_held

_LIMITED = """
import os, resource, sys
from pathlib import Path
from agentid.record.audit.append_file import AppendFile

path, limit = Path(sys.argv[1]), int(sys.argv[2])
file = AppendFile(path, durable=False)
file.append(b"a" * 60 + b"\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    file.append(b"b" * 60 + b"\\n")
    print("written")
except OSError as error:
    print(type(error).__name__, path.stat().st_size, file.size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.append(b"c" * 60 + b"\\n")
print(path.read_bytes().decode().split())
"""


@pytest.fixture
def file(tmp_path):
    file = AppendFile(tmp_path / "file", durable=False)
    yield file
    file.close()


@needs_posix
@pytest.mark.parametrize("limit", [61, 62, 100, 121])
def test_an_append_that_a_full_disk_takes_in_part_is_cut_off_and_the_next_one_works(tmp_path, limit):
    """Neither no byte, some bytes nor all but one are left of it."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, tmp_path / "file", str(limit)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    refused, found = done.stdout.splitlines()

    assert "OSError 61 61" == refused
    assert f"{['a' * 60, 'c' * 60]}" == found


def test_an_append_that_takes_several_writes_is_finished(tmp_path, monkeypatch):
    path = tmp_path / "slow"
    file = AppendFile(path, durable=False)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    file.append(b"a whole line\n")
    monkeypatch.undo()
    file.close()

    assert b"a whole line\n" == path.read_bytes()


def test_what_cannot_be_cut_off_at_once_is_cut_off_before_the_next_append(file, monkeypatch):
    """Until then it is a torn line, which verifying knows."""
    file.append(b"first\n")
    real = os.write
    answers = iter([3, 0])
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: next(answers)]))
    monkeypatch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError("not now")))
    with pytest.raises(OSError, match="part only"):
        file.append(b"second\n")
    assert b"first\nsec" == file.path.read_bytes()

    with pytest.raises(LostFileError):
        file.append(b"third\n")
    monkeypatch.undo()
    file.append(b"fourth\n")

    assert b"first\nfourth\n" == file.path.read_bytes()


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"forged\n"),
        lambda path: (path.rename(f"{path}.old"), path.write_bytes(b"first\n"), path.with_name("file.old").unlink()),
    ],
    ids=["removed", "emptied", "appended to", "replaced"],
)  # fmt: skip
@needs_posix
def test_a_file_that_somebody_removed_or_changed_takes_nothing_more(file, harm):
    file.append(b"first\n")
    harm(file.path)

    with pytest.raises(LostFileError):
        file.append(b"second\n")
    with pytest.raises(LostFileError):
        file.append(b"third\n")


@needs_posix
def test_a_descriptor_that_somebody_closed_or_reused_is_not_written_to(file, tmp_path):
    """A program that closes all descriptors to become a daemon must not get records into its other files."""
    file.append(b"first\n")
    os.close(file._fd)
    with pytest.raises(LostFileError):
        file.append(b"second\n")
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.write(other, b"first\n")
    if other != file._fd:
        os.dup2(other, file._fd)
        os.close(other)

    with pytest.raises(LostFileError):
        file.append(b"third\n")
    assert b"first\n" == (tmp_path / "other").read_bytes()


def test_nothing_is_opened_that_is_there_already(tmp_path):
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        AppendFile(tmp_path / "file", durable=False)

    assert b"precious" == (tmp_path / "file").read_bytes()


@needs_posix
def test_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        AppendFile(tmp_path / "file", durable=False)

    assert not (tmp_path / "elsewhere").exists()


def test_a_closed_file_is_synced_only_if_it_was_before(tmp_path):
    """Whoever waits for the disk while a file is closed must not be told that all is safe when it is not."""
    safe, unsafe = AppendFile(tmp_path / "safe", durable=True), AppendFile(tmp_path / "unsafe", durable=True)
    for file in (safe, unsafe):
        file.append(b"line\n")
    safe.sync()
    safe.close()
    unsafe.close()
    safe.sync()

    with pytest.raises(OSError, match="closed before"):
        unsafe.sync()


@needs_posix
def test_others_see_whether_a_file_is_still_written(file):
    assert not is_held(file.path)
    file.hold()
    assert is_held(file.path)
    file.close()

    assert not is_held(file.path)
    assert is_held(file.path.with_name("not there"))


@needs_posix
def test_only_its_owner_reads_a_file(file):
    assert 0o600 == file.path.stat().st_mode & 0o777


def test_an_interrupted_append_is_kept_if_it_is_whole_and_cut_off_if_not(tmp_path, monkeypatch):
    """Ctrl-C may come between writing and noting that it was written."""

    class Interrupt(BaseException):
        pass

    real = os.write
    for length, expected in ((None, b"first\nsecond\nthird\n"), (3, b"first\nthird\n")):
        file = AppendFile(tmp_path / f"file-{length}", durable=False)
        file.append(b"first\n")

        def interrupted(descriptor, data, length=length):
            real(descriptor, data[:length])
            raise Interrupt

        monkeypatch.setattr(os, "write", interrupted)
        with pytest.raises(Interrupt):
            file.append(b"second\n")
        monkeypatch.undo()
        file.append(b"third\n")
        file.close()

        assert expected == file.path.read_bytes()
