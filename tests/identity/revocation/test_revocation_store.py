"""The store of what was revoked: private, safe across processes, and no answer at all where it cannot be trusted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from systems import needs_fork, needs_posix

from agentid.errors import ConfigurationError, CredentialError, CredentialRevokedError
from agentid.identity import Authority
from agentid.identity.revocation import store as module
from agentid.identity.revocation.revoked import POLL
from agentid.identity.revocation.store import RevocationStore

NOW = 1_795_392_000
NOBODY = 65_534
KEYS = None  # a store has no use for them


@pytest.fixture
def path(tmp_path):
    return tmp_path / "authority.pem.revoked"


@pytest.fixture
def store(path):
    store = RevocationStore(path)
    store.revoke(ids=["a"], names=["bot"], expires_at=NOW + 60, now=NOW)
    return store


def refusal(store):
    with pytest.raises(CredentialError) as caught:
        store.read(NOW, KEYS)
    assert str(caught.value).isprintable()
    return str(caught.value)


def known(path):
    revoked = RevocationStore(path).read(NOW, KEYS).revoked
    return set(revoked.ids), set(revoked.names)


# --- making it ------------------------------------------------------------------------------------------


def test_opening_an_authority_and_issuing_makes_no_store(tmp_path, clock):
    """It is made when something is revoked for the first time."""
    authority = Authority.open(tmp_path / "authority.pem", trust_domain="acme.example", clock=clock)
    authority.trust.verify_agent(authority.issue("bot"))
    assert {"authority.pem"} == {path.name for path in tmp_path.iterdir()}

    authority.revoke("bot")
    assert {"authority.pem", "authority.pem.revoked"} == {path.name for path in tmp_path.iterdir()}


def test_no_store_says_that_nothing_was_revoked(path):
    assert (set(), set()) == known(path)
    assert not path.exists()


@needs_posix
def test_a_store_is_private_whatever_the_umask(path):
    before = os.umask(0)
    try:
        RevocationStore(path).revoke(names=["bot"], now=NOW)
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    finally:
        os.umask(before)


def test_a_store_in_memory_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = RevocationStore(None)
    assert frozenset() == store.read(NOW, KEYS).revoked.ids
    store.revoke(ids=["a"], expires_at=NOW + 60, now=NOW)

    assert {"a"} == store.read(NOW, KEYS).revoked.ids
    assert [] == list(tmp_path.iterdir())


def test_a_program_that_changes_its_folder_finds_its_store(path, tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    relative = RevocationStore(Path(path.name))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert {"a"} == relative.read(NOW, KEYS).revoked.ids


@pytest.mark.parametrize("name", ["a b", "a?mode=memory", "a#b", "a%20b", "ä", "a'b"])
def test_a_path_may_have_any_name(tmp_path, name):
    """It is part of a URI, in which some characters mean something."""
    path = tmp_path / name
    RevocationStore(path).revoke(names=["bot"], now=NOW)

    assert [path] == list(tmp_path.iterdir())
    assert (set(), {"bot"}) == known(path)


# --- what it keeps --------------------------------------------------------------------------------------


def test_an_unchanged_store_gives_the_very_same_answer(store):
    """By its version, which is all that is read."""
    assert store.read(NOW, KEYS).revoked is store.read(NOW + 1, KEYS).revoked


def test_what_is_revoked_again_is_kept_for_the_longer_time(store, path):
    store.revoke(ids=["a"], expires_at=NOW + 1000, now=NOW)
    store.revoke(ids=["a"], expires_at=NOW, now=NOW)
    store.revoke(names=["x"], now=NOW + 1000 + 86_400)
    store.revoke(names=["x"], now=NOW + 1000 + 2 * 86_400)
    assert "a" in known(path)[0]
    store.revoke(names=["x"], now=NOW + 1001 + 3 * 86_400)

    assert (set(), {"bot", "x"}) == known(path)


def test_a_name_is_kept_until_it_is_lifted(store, path):
    for moment in (NOW + 10**9, NOW + 2 * 10**9):
        store.revoke(names=["other"], now=moment)
    assert (set(), {"bot", "other"}) == known(path)
    assert store.lift("bot", now=NOW)
    assert not store.lift("bot", now=NOW)

    assert {"other"} == known(path)[1]


def test_lifting_from_a_store_that_is_not_there_makes_none(path):
    assert not RevocationStore(path).lift("bot", now=NOW)
    assert not path.exists()


# --- no answer ------------------------------------------------------------------------------------------


def test_a_store_that_vanished_is_no_answer(store, path):
    """It is not the same as a store that never was; and nothing is revoked into a new one."""
    data = path.read_bytes()
    path.unlink()
    assert "is gone" in refusal(store)
    with pytest.raises(ConfigurationError, match="is gone"):
        store.revoke(names=["other"], now=NOW)
    assert not path.exists()

    path.write_bytes(data)
    path.chmod(0o600)
    assert {"a"} == store.read(NOW, KEYS).revoked.ids


def test_a_store_that_was_read_once_and_vanished_is_no_answer(store, path):
    reader = RevocationStore(path)
    reader.read(NOW, KEYS)
    path.unlink()

    assert "is gone" in refusal(reader)


def test_a_store_that_was_put_back_to_an_older_state_is_no_answer(store, path):
    old = path.read_bytes()
    store.revoke(ids=["b"], expires_at=NOW + 60, now=NOW)
    store.read(NOW, KEYS)
    path.write_bytes(old)

    assert "an older state" in refusal(store)


def test_another_store_in_its_place_is_no_answer(store, path, tmp_path):
    store.read(NOW, KEYS)
    other = RevocationStore(tmp_path / "other")
    for number in range(5):
        other.revoke(names=[f"n{number}"], now=NOW)
    (tmp_path / "other").replace(path)

    assert "another one" in refusal(store)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"x" * 10_000,
        lambda data: data[:100],
        lambda data: data[:4096],
        lambda data: data[:100] + b"\xff" * (len(data) - 100),
    ],
    ids=["empty", "junk", "torn head", "torn", "overwritten"],
)
def test_a_damaged_store_is_no_answer(store, path, damage):
    """Whether or not it was read before; and nothing is written into it."""
    data = path.read_bytes()
    path.write_bytes(damage(data))

    for each in (store, RevocationStore(path)):
        assert "could not be used" in refusal(each)
        with pytest.raises(ConfigurationError):
            each.revoke(names=["other"], now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE state SET format = 2",
        "UPDATE state SET version = NULL",
        "UPDATE state SET version = 'many'",
        "DELETE FROM state",
        "INSERT INTO state SELECT * FROM state",
        "DROP TABLE ids",
        "DROP TABLE names",
    ],
)
def test_a_store_of_another_form_is_no_answer(store, path, change):
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()

    refusal(RevocationStore(path))
    before = path.read_bytes()
    with pytest.raises(ConfigurationError):
        RevocationStore(path).revoke(ids=["b"], names=["other"], expires_at=NOW + 60, now=NOW)
    assert before == path.read_bytes()


@needs_posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_store_that_others_can_get_at_is_no_answer(store, path, mode):
    """They may have taken a revocation out of it."""
    path.chmod(mode)
    assert "chmod 600" in refusal(store)
    with pytest.raises(ConfigurationError):
        store.revoke(names=["other"], now=NOW)


@pytest.fixture
def somebody():
    """Be somebody for whom file modes hold, in a folder of their own: root may read everything."""
    with TemporaryDirectory() as folder:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            if is_root:
                os.seteuid(0)


@needs_posix
def test_a_store_that_cannot_be_read_is_no_answer(somebody):
    path = somebody / "authority.pem.revoked"
    store = RevocationStore(path)
    store.revoke(ids=["a"], names=["bot"], expires_at=NOW + 60, now=NOW)
    path.chmod(0)

    refusal(store)
    refusal(RevocationStore(path))


@needs_posix
def test_a_folder_a_pipe_or_a_link_that_leads_nowhere_is_no_answer(path):
    path.mkdir()
    assert "not an ordinary file" in refusal(RevocationStore(path))
    path.rmdir()
    os.mkfifo(path)
    assert "not an ordinary file" in refusal(RevocationStore(path))
    path.unlink()
    path.symlink_to("nowhere")
    assert "could not be read" in refusal(RevocationStore(path))
    path.unlink()
    (path.parent / "file").touch()
    assert "could not be read" in refusal(RevocationStore(path.parent / "file" / "store"))


def test_a_store_that_is_locked_for_long_is_no_answer(store, path, monkeypatch):
    monkeypatch.setattr(module, "_READ_TIMEOUT", 0.01)
    monkeypatch.setattr(module, "_WRITE_TIMEOUT", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "locked" in refusal(store)
    with pytest.raises(ConfigurationError, match="locked"):
        store.revoke(names=["other"], now=NOW)
    other.execute("ROLLBACK")
    other.close()

    assert {"a"} == store.read(NOW, KEYS).revoked.ids


def test_a_store_that_is_free_for_a_moment_is_read(store, path, monkeypatch):
    """Where others write one after the other, it is never free for long."""
    other, pauses = sqlite3.connect(path, isolation_level=None), []
    other.execute("BEGIN EXCLUSIVE")

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 20:
            other.execute("ROLLBACK")

    monkeypatch.setattr(time, "sleep", pause)
    assert {"a"} == store.read(NOW, KEYS).revoked.ids
    other.close()
    assert 0.005 > max(pauses)


def test_an_authority_refuses_everything_without_its_store_and_recovers(tmp_path, clock):
    path = tmp_path / "authority.pem"
    authority = Authority.open(path, trust_domain="acme.example", clock=clock)
    bot = authority.issue("bot")
    authority.revoke("other")
    store = Path(f"{path}.revoked")
    moved = store.rename(tmp_path / "moved")
    clock.forward(POLL)
    with pytest.raises(CredentialError, match=r"cannot be known: .*is gone.*Restore it"):
        authority.trust.verify_agent(bot)

    moved.rename(store)
    clock.forward(POLL)
    assert authority.trust.verify_agent(bot)


@pytest.mark.parametrize("target", ["agent", "name"])
def test_what_cannot_be_written_down_is_revoked_here_and_raises(tmp_path, clock, target, monkeypatch):
    """Whoever asked for it has to know that it counts nowhere else."""
    authority = Authority.open(tmp_path / "authority.pem", trust_domain="acme.example", clock=clock)
    bot = authority.issue("bot")

    def full(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.tempfile, "TemporaryDirectory", full)
    with pytest.raises(ConfigurationError, match=r"counts in this process alone: no space left"):
        authority.revoke(bot if target == "agent" else "bot")
    clock.forward(POLL)

    with pytest.raises(CredentialRevokedError):
        authority.trust.verify_agent(bot)
    if target == "name":
        authority.reinstate("bot")
        assert authority.trust.verify_agent(bot)


# --- several processes ----------------------------------------------------------------------------------


def _revoke_many(path, number, start):
    start.wait()
    store = RevocationStore(Path(path))
    for each in range(10):
        store.revoke(ids=[f"{number}-{each}"], names=[f"n{number}-{each}"], expires_at=NOW + 60, now=NOW)


def test_of_what_several_processes_revoke_at_once_nothing_is_lost(path):
    """Also where all of them make the store."""
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    processes = [context.Process(target=_revoke_many, args=(str(path), number, start)) for number in range(4)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()

    expected = [f"{number}-{each}" for number in range(4) for each in range(10)]
    assert (set(expected), {f"n{each}" for each in expected}) == known(path)
    assert [path] == list(path.parent.iterdir())


def test_of_what_several_threads_revoke_at_once_nothing_is_lost(path):
    store = RevocationStore(path)
    threads = [
        threading.Thread(target=lambda n=n: store.revoke(ids=[str(n)], expires_at=NOW + 60, now=NOW)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {str(n) for n in range(8)} == known(path)[0]


CRASH = """
import os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from agentid.identity.revocation.store import RevocationStore
store = RevocationStore(Path(sys.argv[1]))
with store._writing(0) as connection:
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("DELETE FROM names")
    connection.executemany("INSERT INTO ids VALUES (?, ?)", [(str(n) * 50, n) for n in range(20000)])
    os._exit(9)
"""


def test_a_process_that_dies_in_the_middle_changes_nothing(store, path):
    """What it had written already is taken back by whoever reads next, from the journal that it left."""
    assert 9 == subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False).returncode
    assert path.with_name(f"{path.name}-journal").exists()

    assert {"a"} == store.read(NOW, KEYS).revoked.ids
    assert ({"a"}, {"bot"}) == known(path)
    store.revoke(names=["other"], now=NOW)
    assert ({"a"}, {"bot", "other"}) == known(path)


@needs_posix
def test_the_journal_is_private_too(store, path):
    subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False)

    assert 0o600 == stat.S_IMODE(path.with_name(f"{path.name}-journal").stat().st_mode)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_looks_and_revokes_by_itself(tmp_path):
    """Though it was forked while another thread was looking, and has no such thread."""
    authority = Authority.open(tmp_path / "authority.pem", trust_domain="acme.example", clock=time.time)
    bot = authority.issue("bot")
    authority.revoke("other")
    looking, done = threading.Event(), threading.Event()

    def slow(now):
        looking.set()
        done.wait(20)
        return now

    authority.trust.watch(slow)
    thread = threading.Thread(target=authority.trust.look)
    thread.start()
    looking.wait(20)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            done.set()
            authority.trust.verify_agent(bot)
            authority.revoke(bot)
            try:
                authority.trust.verify_agent(bot)
            except CredentialRevokedError:
                code = 0
        finally:
            os._exit(code)
    done.set()
    thread.join()
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
        time.sleep(0.01)

    assert (child, 0) == ended
    time.sleep(0)
    assert {bot.own_ids[0]} <= known(Path(f"{tmp_path / 'authority.pem'}.revoked"))[0]


# --- places in a list -----------------------------------------------------------------------------------


def test_each_token_has_a_place_of_its_own(path):
    store, other = RevocationStore(path), RevocationStore(path)
    places = [
        place
        for number in range(20)
        for who, each in (("a", store), ("b", other))
        for place in each.give_places([f"{who}{number}x", f"{who}{number}y"], name="bot", expires_at=NOW, now=NOW)
    ]

    assert 80 == len(set(places))
    assert places != sorted(places)  # at random
    assert all(0 <= place < module.FIRST_SIZE for place in places)


def test_a_list_in_which_most_places_are_taken_grows(path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_SIZE", 8)
    store = RevocationStore(path)
    places = [store.give_places([str(n)], name="bot", expires_at=NOW, now=NOW)[0] for n in range(100)]

    assert 100 == len(set(places))
    assert max(places) < store.listed(now=NOW).size
    assert 128 <= store.listed(now=NOW).size <= 1024


def test_a_list_does_not_grow_for_ever(path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_SIZE", 8)
    monkeypatch.setattr(module, "LAST_SIZE", 8)
    store = RevocationStore(path)
    names = [str(number) for number in range(9)]

    with pytest.raises(ConfigurationError, match="most are taken"):
        store.give_places(names, name="bot", expires_at=NOW, now=NOW)


def test_a_place_is_given_again_two_days_after_its_token_has_ended(path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_SIZE", 1)
    monkeypatch.setattr(module, "LAST_SIZE", 1)
    store = RevocationStore(path)
    assert [0] == store.give_places(["a"], name="bot", expires_at=NOW, now=NOW)
    for days in (1, 1.5):
        store.listed(now=NOW + 1 + days * 86_400)
        with pytest.raises(ConfigurationError):
            store.give_places(["b"], name="bot", expires_at=NOW, now=NOW + 1 + days * 86_400)

    assert [0] == store.give_places(["b"], name="bot", expires_at=NOW, now=NOW + 1 + 2 * 86_400)


def test_a_list_has_the_places_of_tokens_and_all_ids(path):
    """What hangs on a token has no place, and knows it by its id."""
    store = RevocationStore(path)
    [a, b] = store.give_places(["a", "b"], name="bot", expires_at=NOW + 60, now=NOW)
    [c] = store.give_places(["c"], name="other", expires_at=NOW + 60, now=NOW)
    store.revoke(ids=["a", "link"], names=["x/y"], expires_at=NOW + 60, now=NOW)
    listed = store.listed(now=NOW)
    assert ((a,), ("a", "link"), ("x/y",)) == (listed.places, listed.ids, listed.names)

    store.revoke(names=["bot"], now=NOW)
    assert sorted([a, b]) == sorted(store.listed(now=NOW).places)
    assert c not in store.listed(now=NOW).places
    assert listed.version + 1 == store.listed(now=NOW).version


def test_a_backup_that_was_changed_again_is_not_taken_for_the_state_that_was_read(store, path):
    """Its number is the same again, and what was revoked is not."""
    backup = path.read_bytes()
    store.revoke(ids=["b"], expires_at=NOW + 60, now=NOW)
    assert {"a", "b"} == store.read(NOW, KEYS).revoked.ids
    path.write_bytes(backup)
    RevocationStore(path).revoke(ids=["c"], expires_at=NOW + 60, now=NOW)

    assert "it was put back to an older state" in refusal(store)
    assert {"a", "c"} == known(path)[0]


# --- clocks that are wrong ----------------------------------------------------------------------------------

DAY = 86_400


def kept(path, *times):
    """What is known of an id that was revoked at `NOW` for a minute, after somebody wrote at each of these times."""
    store = RevocationStore(path)
    store.revoke(ids=["a"], expires_at=NOW + 60, now=NOW)
    for number, moment in enumerate(times):
        RevocationStore(path).revoke(ids=[f"b{number}"], expires_at=NOW + 90 * DAY, now=moment)
    return "a" in known(path)[0]


@pytest.mark.parametrize("ahead", [2 * DAY, 30 * DAY, 10**9, 2**60, float("inf"), float("nan")])
def test_one_clock_that_is_ahead_forgets_nothing(path, ahead):
    """Its machine may be the only one that writes: once, or all through an hour."""
    assert kept(path, NOW + 1, NOW + ahead, NOW + ahead + 1, NOW + ahead + 3600, NOW + 2, NOW + 3)


def test_clocks_that_disagree_forget_nothing(path):
    """Each time that one says less, the other is not believed."""
    assert kept(
        path, *(moment for hour in range(0, 24, 4) for moment in (NOW + hour * 3600, NOW + (hour + 240) * 3600))
    )


def test_a_clock_that_is_behind_forgets_nothing_that_is_needed(path):
    """What it says of its own time is nothing by which the right one forgets."""
    assert kept(path, NOW + 1, NOW - 30 * DAY, NOW + 2, NOW + DAY)


def test_what_two_days_confirm_to_be_over_is_forgotten(path):
    assert kept(path, NOW + DAY + 61, NOW + 2 * DAY)
    assert not kept(path, NOW + DAY + 61, NOW + 2 * DAY + 61)


def test_a_store_from_before_times_were_noted_is_read_and_goes_on(store, path):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE times")
    assert {"a"} == known(path)[0]

    assert kept(path, NOW + 10 * DAY)
    assert not kept(path, NOW + 20 * DAY, NOW + 21 * DAY, NOW + 22 * DAY)


@pytest.mark.parametrize("rows", ["", "(1, 2), (3, 4)", "('x', NULL)", "(NULL, 5)", "(1.5, 2)"])
def test_times_that_are_damaged_keep_nobody_from_revoking(store, path, rows):
    """And nothing is forgotten by them."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM times")
        if rows:
            connection.execute(f"INSERT INTO times VALUES {rows}")
    store.revoke(ids=["b"], expires_at=NOW + 9 * DAY, now=NOW + 5 * DAY)

    assert {"a", "b"} == known(path)[0]
    assert not kept(path, NOW + 6 * DAY, NOW + 8 * DAY, NOW + 9 * DAY)
