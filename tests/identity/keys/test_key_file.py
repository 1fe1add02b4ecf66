"""The key file: made once, whole, for its owner alone, and read strictly."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest
from systems import needs_posix

from agentid.errors import ConfigurationError
from agentid.identity import Authority, private_file
from agentid.identity.keys.key_file import load_or_create_keys
from agentid.signing import PrivateKey

USES = ["wit-svid", "jwt-svid", "agentid-grant", "agentid-status", "agentid-audit"]


@pytest.fixture
def path(tmp_path):
    """A key file that was made."""
    path = tmp_path / "authority.pem"
    load_or_create_keys(path, trust_domain="acme.example")
    return path


def ids(path):
    """The ids of the keys in the file, by use."""
    return {use: key.kid for use, key in load_or_create_keys(path, trust_domain="acme.example").signers.items()}


def refusal(path):
    """Why the file is refused, in one line."""
    with pytest.raises(ConfigurationError) as caught:
        load_or_create_keys(path, trust_domain="acme.example")
    assert str(caught.value).isprintable()
    return str(caught.value)


# --- making it --------------------------------------------------------------------------------------


def test_a_missing_file_is_made_and_read_again(tmp_path):
    """The same keys each time, one for each use."""
    path = tmp_path / "authority.pem"

    assert USES == list(ids(path))
    assert ids(path) == ids(path)
    assert ["ES256", "ES256", "ES256", "ES256", "Ed25519"] == [
        key.alg for key in load_or_create_keys(path, trust_domain="acme.example").signers.values()
    ]


@needs_posix
def test_the_file_and_its_folders_are_for_the_owner_only(tmp_path):
    """Whatever the umask says; folders that were there are left as they are."""
    tmp_path.chmod(0o755)
    before = os.umask(0)
    try:
        load_or_create_keys(tmp_path / "a" / "b" / "authority.pem", trust_domain="acme.example")
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in [tmp_path, *tmp_path.rglob("*")]}

    assert {tmp_path.name: 0o755, "a": 0o700, "b": 0o700, "authority.pem": 0o600} == modes


@needs_posix
def test_the_file_is_never_readable_for_others_while_it_is_written(tmp_path, monkeypatch):
    """It has its mode from its first byte, and its name when its last is on disk."""
    seen = []
    real_write, real_sync, real_link = os.fdopen, os.fsync, os.link

    def opened(descriptor, *args, **kwargs):
        seen.append(("write", stat.S_IMODE(os.fstat(descriptor).st_mode), os.fstat(descriptor).st_size))
        return real_write(descriptor, *args, **kwargs)

    def sync(descriptor):
        seen.append(("sync", stat.S_IMODE(os.fstat(descriptor).st_mode), os.fstat(descriptor).st_size > 0))
        return real_sync(descriptor)

    def link(source, target, **kwargs):
        seen.append(("link", Path(target).exists()))
        return real_link(source, target, **kwargs)

    monkeypatch.setattr(private_file.os, "fdopen", opened)
    monkeypatch.setattr(private_file.os, "fsync", sync)
    monkeypatch.setattr(private_file.os, "link", link)
    before = os.umask(0)
    try:
        load_or_create_keys(tmp_path / "authority.pem", trust_domain="acme.example")
    finally:
        os.umask(before)

    assert [("write", 0o600, 0), ("sync", 0o600, True), ("link", False)] == seen[:3]


def test_a_crash_while_writing_leaves_no_file(tmp_path, monkeypatch):
    """Half a key file would be taken for a whole one."""

    def crash(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_file.os, "fsync", crash)

    assert "no space left" in refusal(tmp_path / "authority.pem")
    assert [] == list(tmp_path.iterdir())


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    """Whoever was first has made the keys."""
    path, other = tmp_path / "authority.pem", tmp_path / "other.pem"
    first = ids(other)
    real = private_file._write_draft

    def slow(draft, data):
        real(draft, data)
        if not path.exists():
            os.link(other, path)

    monkeypatch.setattr(private_file, "_write_draft", slow)

    assert first == ids(path)
    assert {path, other} == set(tmp_path.iterdir())


def _open(path, start, results):
    start.wait()
    results.put(ids(path))


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_make_the_file_at_once_end_with_the_same_keys(tmp_path, attempt):
    """However many there are."""
    context = multiprocessing.get_context("spawn" if attempt == 0 else "forkserver" if os.name == "posix" else "spawn")
    start, results = context.Event(), context.Queue()
    path = tmp_path / "keys" / "authority.pem"
    processes = [context.Process(target=_open, args=(path, start, results)) for _ in range(4)]
    for process in processes:
        process.start()
    start.set()
    found = [results.get(timeout=50) for _ in processes]
    for process in processes:
        process.join()

    assert [found[0]] * 4 == found
    assert ids(path) == found[0]
    assert [path] == list(path.parent.iterdir())


def test_threads_that_make_the_file_at_once_end_with_the_same_keys(tmp_path):
    """Many times over."""
    for attempt in range(20):
        path, found = tmp_path / str(attempt) / "authority.pem", []
        barrier = threading.Barrier(8)
        threads = [
            threading.Thread(target=lambda p=path, f=found, b=barrier: (b.wait(), f.append(ids(p)))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [ids(path)] * 8 == found


# --- who can get at it ------------------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
def test_a_file_that_others_can_get_at_is_refused(path, mode):
    """The error names the command, and that the keys may be known already."""
    path.chmod(mode)

    assert f"`chmod 600 {path}`" in refusal(path)


@needs_posix
def test_a_path_cannot_forge_a_line_in_an_error(tmp_path):
    """Neither in what, nor in the command."""
    path = tmp_path / "a\n[ok] all is well"
    load_or_create_keys(path, trust_domain="acme.example")
    path.chmod(0o644)

    assert "\\n[ok]" in refusal(path)


@needs_posix
def test_a_link_of_our_own_is_followed(path, tmp_path):
    """As secrets are mounted."""
    link = tmp_path / "link.pem"
    link.symlink_to(path)

    assert ids(path) == ids(link)


@needs_posix
def test_a_link_to_a_file_that_others_can_get_at_is_refused(path, tmp_path):
    """The file counts, not the link."""
    link = tmp_path / "link.pem"
    link.symlink_to(path)
    path.chmod(0o644)

    assert "chmod 600" in refusal(link)


@needs_posix
@pytest.mark.skipif(
    os.name == "posix" and os.geteuid() != 0, reason="only root can give files away; the next test does without"
)
@pytest.mark.parametrize("owned", ["link", "file"])
def test_a_link_or_a_file_of_another_user_is_refused(path, tmp_path, owned):
    """Who put it there could put another there tomorrow."""
    link = tmp_path / "link.pem"
    link.symlink_to(path)
    os.chown(link if owned == "link" else path, 12345, 12345, follow_symlinks=False)

    assert {"link": "a link made by another user", "file": "belongs to another user"}[owned] in refusal(link)


@needs_posix
def test_the_owner_is_checked_without_root_too(path, monkeypatch):
    """By pretending to be somebody else."""
    monkeypatch.setattr(private_file.os, "geteuid", lambda: 12345)
    real = os.fstat

    class Foreign:
        def __init__(self, found):
            self.st_mode, self.st_size, self.st_uid = found.st_mode, found.st_size, 54321

    monkeypatch.setattr(private_file.os, "fstat", lambda descriptor: Foreign(real(descriptor)))

    assert "belongs to another user" in refusal(path)


@needs_posix
def test_a_dangling_link_is_not_filled(tmp_path):
    """Whoever made it says where the keys would go."""
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "elsewhere.pem")

    assert "could not be read" in refusal(link)
    assert not (tmp_path / "elsewhere.pem").exists()


@needs_posix
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    """Nobody would ever write to it."""
    os.mkfifo(tmp_path / "pipe.pem", 0o600)

    assert "not an ordinary file" in refusal(tmp_path / "pipe.pem")


def test_a_folder_is_refused(tmp_path):
    """It is no file."""
    assert "key file" in refusal(tmp_path)


@needs_posix
def test_files_are_closed_whatever_they_hold(path, tmp_path):
    """Also when they are refused."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("no list of open files")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        refusal(tmp_path)
        ids(path)

    assert before == len(list(descriptors.iterdir()))


def test_a_folder_that_cannot_be_made_is_refused(path):
    """Below a file there is none."""
    assert "could not be" in refusal(path / "x" / "authority.pem")


@pytest.mark.parametrize("name", ["\x00", "a\x00b", "x" * 300, "/".join("d" * 3 for _ in range(3000))])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    """With our error, not the system's."""
    assert "could not be" in refusal(str(tmp_path) + "/" + name)


@pytest.mark.parametrize("junk", [None, 1, True, b"authority.pem", object(), ["x"]])
def test_a_path_is_text_or_a_path(junk):
    """A number would be a file descriptor."""
    with pytest.raises(ConfigurationError, match="path of the key file"):
        Authority.open(junk, trust_domain="acme.example")


# --- what is in it ----------------------------------------------------------------------------------


def test_the_file_is_labelled_pem(path):
    """For people and for other tools."""
    lines = path.read_text().splitlines()

    assert [f"agentid-use: {use}" for use in USES] == [line for line in lines if line.startswith("agentid-use")]
    assert 5 == lines.count("-----BEGIN PRIVATE KEY-----")


def test_line_ends_comments_and_empty_lines_do_not_matter(path):
    """Editors add them."""
    before = ids(path)
    text = path.read_text()
    path.write_bytes(("# kept by ops\n\n" + text + "\n\n").replace("\n", "\r\n").encode())

    assert before == ids(path)


def _blocks(path):
    return dict(zip(USES, path.read_text().split("agentid-use: ")[1:], strict=True))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "", "no key for `wit-svid`"),
        (lambda text: "junk", "neither a label nor a key"),
        (lambda text: text + "junk", "neither a label nor a key"),
        (lambda text: text + "\x00", "neither a label nor a key"),
        (lambda text: text + "é", "not text"),
        (lambda text: text.replace("agentid-use: wit-svid\n", ""), "neither a label nor a key"),
        (lambda text: text.replace("jwt-svid", "wit-svid"), "two keys for `wit-svid`"),
        (lambda text: text.replace("jwt-svid", "x509-svid"), "`x509-svid`, which is not a use"),
        (lambda text: text.replace("agentid-use: jwt-svid", "agentid-use:"), "which is not a use"),
        (lambda text: text.partition("agentid-use: agentid-audit")[0], "no key for `agentid-audit`"),
        (lambda text: text + "agentid-use: wit-svid\n", "has no key"),
        (lambda text: text[: len(text) - 40], "of its key for `agentid-audit`"),
        (lambda text: text.replace("PRIVATE KEY", "EC PRIVATE KEY"), "neither a label nor a key"),
        (lambda text: text.replace("MIGH", "AAAA"), "of its key for `wit-svid`"),
        (
            lambda text: text.replace("agentid-audit", "x").replace("wit-svid", "agentid-audit", 1),
            "is not for `Ed25519`",
        ),
        (lambda text: "agentid-use: wit-svid\n" + text, "neither a label nor a key"),
    ],
    ids=range(16),
)
def test_a_file_that_is_not_a_whole_key_file_is_refused(path, change, why):
    """By what is wrong, and how to mend it; never with a piece of a key."""
    text = path.read_text()
    path.write_text(change(text), encoding="utf-8")
    refused = refusal(path)

    assert why in refused
    assert "backup" in refused
    secret = "".join(line for line in text.splitlines() if len(line) > 40 and line.isalnum())
    assert not any(secret[i : i + 12] in refused for i in range(len(secret) - 12))


def test_one_key_for_two_uses_is_refused(path):
    """A token of one kind could pass for another."""
    blocks = _blocks(path)
    pem = blocks["wit-svid"].partition("\n")[2]
    path.write_text(
        "".join(
            f"agentid-use: {use}\n{pem if use != 'agentid-audit' else blocks[use].partition(chr(10))[2]}"
            for use in USES
        )
    )

    assert "one key for two uses" in refusal(path)


def test_a_key_of_another_algorithm_is_refused(path):
    """The audit key is Ed25519, and the others are not."""
    blocks = _blocks(path)
    pem = {use: block.partition("\n")[2] for use, block in blocks.items()}
    pem["wit-svid"] = PrivateKey.generate("Ed25519").to_pem().decode()
    path.write_text("".join(f"agentid-use: {use}\n{pem[use]}" for use in USES))

    assert "its key for `wit-svid` is not for `ES256`" in refusal(path)


def test_a_file_that_is_too_large_is_refused(path):
    """It is no key file, and reading it would take memory."""
    path.write_text(path.read_text() + "#" * 64 * 1024)

    assert "larger than 65536 bytes" in refusal(path)


@needs_posix
def test_a_file_that_says_it_is_small_is_read_no_further(path, monkeypatch):
    """Some files do not know their size."""
    path.write_text(path.read_text() + "#" * 64 * 1024)
    real = os.fstat

    class Small:
        def __init__(self, found):
            self.st_mode, self.st_size, self.st_uid = found.st_mode, 0, found.st_uid

    monkeypatch.setattr(private_file.os, "fstat", lambda descriptor: Small(real(descriptor)))

    assert "larger than" in refusal(path)
