"""The log: when `write` returns it is written, by any number of threads and processes."""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from systems import needs_posix

from agentid.errors import AccessDeniedError, AuditUnavailableError, ConfigurationError
from agentid.guard import Guard, requires
from agentid.record.audit import AuditLog, verify_audit_log
from agentid.record.audit.checkpoint import Checkpoint
from agentid.signing import ED25519, PrivateKey

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # on purpose, and with threads


def values(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def sizes(folder):
    return [int(note.split("\n")[1]) for note in path_notes(folder)]


def path_notes(folder):
    (path,) = folder.glob("*.checkpoint")
    text = path.read_text(encoding="utf-8").split("\n")
    return ["\n".join(text[i : i + 6]) for i in range(0, len(text) - 1, 6)]


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_record_is_in_the_file_when_write_returns(open_log, make_record, tmp_path):
    log = open_log()
    log.write("decision", make_record(1))
    assert ["decision"] == [value["data"]["phase"] for value in values(tmp_path / "audit")]

    log.write("outcome", make_record(1, status="success"))
    assert ["decision", "outcome"] == [value["data"]["phase"] for value in values(tmp_path / "audit")]


def test_each_record_names_its_number_and_the_hash_of_the_one_before(open_log, write, tmp_path):
    from hashlib import sha256

    write(open_log(), 3)
    lines = next((tmp_path / "audit").glob("*.jsonl")).read_bytes().splitlines()
    links = [json.loads(line)["data"]["chain"] for line in lines]

    assert [0, 1, 2] == [link["seq"] for link in links]
    hashes = ["sha256:" + sha256(b"\0" + line).hexdigest() for line in lines]
    assert [f"sha256:{sha256().hexdigest()}", *hashes[:2]] == [link["prev"] for link in links]


def test_nothing_is_made_but_the_folder_until_something_is_written(open_log, tmp_path):
    log = open_log(tmp_path / "a" / "b")

    assert [] == list((tmp_path / "a" / "b").iterdir())
    assert "" == log.latest_checkpoint == log.checkpoint()


@needs_posix
def test_only_the_owner_reads_the_files(open_log, write, tmp_path):
    write(open_log(), 1)

    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "audit").iterdir()}


def test_a_guard_writes_decision_and_outcome_and_refusals(authority, tmp_path):
    """The whole way: decorated tools, a real agent, a real log."""
    ran = []

    @requires("read:crm/customers/{customer}")
    def look(customer):
        ran.append(customer)

    agent = authority.issue("support-bot", allow=["read:crm/customers/c-1"], owner="team:support")
    with (
        AuditLog(tmp_path, signer=authority.audit_signer()) as log,
        Guard(authority.trust, audit=log).acting_as(agent, task="a secret of Ada's"),
    ):
        look("c-1")
        with pytest.raises(AccessDeniedError):
            look("c-2")

    found = [
        (v["data"]["phase"], v["data"]["decision"]["effect"], v["data"]["outcome"]["status"]) for v in values(tmp_path)
    ]
    assert [("decision", "allow", "pending"), ("outcome", "allow", "success"), ("decision", "deny", "denied")] == found
    assert "Ada" not in next(tmp_path.glob("*.jsonl")).read_text(encoding="utf-8")
    assert ["c-1"] == ran
    report = verify_audit_log(tmp_path, authority.trust)
    assert (True, 3) == (report.ok, report.records)


def test_a_call_that_cannot_be_recorded_is_not_made(authority, tmp_path):
    ran = []

    @requires("read:crm/customers/{customer}")
    def look(customer):
        ran.append(customer)

    agent = authority.issue("support-bot", allow=["read:crm/customers/*"])
    log = AuditLog(tmp_path, signer=authority.audit_signer())
    log.close()
    with Guard(authority.trust, audit=log).acting_as(agent), pytest.raises(AuditUnavailableError):
        look("c-1")

    assert [] == ran


def test_a_record_that_is_none_is_refused_and_spoils_nothing(open_log, make_record, trust, tmp_path):
    log = open_log()
    with pytest.raises(AuditUnavailableError, match="TypeError"):
        log.write("decision", make_record(1, tool=b"no text"))
    log.write("decision", make_record(2))
    log.close()

    assert (True, 1) == ((report := verify_audit_log(tmp_path / "audit", trust)).ok, report.records)


# --- what it is opened with -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"signer": PrivateKey.generate()},
        {"signer": None},
        {"durability": "none"},
        {"checkpoint_records": 0},
        {"checkpoint_records": 5000},
        {"checkpoint_seconds": 0},
        {"segment_bytes": 0},
        {"segment_age": timedelta(0)},
        {"retention": timedelta(days=30)},
    ],
    ids=" ".join,
)
def test_a_log_that_is_wired_wrongly_is_refused(open_log, tmp_path, options):
    with pytest.raises(ConfigurationError):
        open_log(tmp_path / "wrong", **options)

    assert not (tmp_path / "wrong").exists()


def test_a_folder_that_cannot_be_made_is_an_error_of_the_log(open_log, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(AuditUnavailableError):
        open_log(tmp_path / "file" / "audit")
    with pytest.raises(AuditUnavailableError):
        open_log(tmp_path / "file")


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_checkpoints_come_after_so_many_records_and_at_the_end(open_log, write, tmp_path):
    log = open_log(checkpoint_records=4)
    write(log, 9)
    assert [0, 4, 8] == sizes(tmp_path / "audit")

    log.close()
    assert [0, 4, 8, 9] == sizes(tmp_path / "audit")


def test_a_checkpoint_comes_with_the_first_record_after_some_time(open_log, write, clock, tmp_path):
    log = open_log(checkpoint_seconds=10)
    write(log, 3)
    clock.step(9.9)
    write(log, 1)
    assert [0] == sizes(tmp_path / "audit")

    clock.step(0.2)
    write(log, 1)
    write(log, 1)
    assert [0, 5] == sizes(tmp_path / "audit")


def test_a_clock_that_is_set_back_does_not_stop_checkpoints(open_log, write, clock, tmp_path):
    log = open_log(checkpoint_seconds=10)
    write(log, 1)
    clock.step(timedelta(days=-400))
    write(log, 1)

    assert [0, 2] == sizes(tmp_path / "audit")


def test_a_log_that_is_closed_twice_or_with_nothing_new_signs_nothing_twice(open_log, write, tmp_path):
    log = open_log(checkpoint_records=4)
    write(log, 4)
    log.close()
    log.close()

    assert [0, 4] == sizes(tmp_path / "audit")


def test_a_checkpoint_that_a_slow_thread_still_had_in_hand_is_dropped_for_a_later_one(open_log, write, trust, tmp_path):
    """Checkpoints stand in order, and the later one says all that the earlier one would have."""
    log = open_log()
    write(log, 4)
    chain = log._writing.chain
    size, root = chain._tree.end, chain._tree.root()
    write(log, 4)
    log.checkpoint()
    chain._write_checkpoint(size, root)
    log.close()

    assert [0, 8] == sizes(tmp_path / "audit")
    assert verify_audit_log(tmp_path / "audit", trust).ok


def test_a_checkpoint_can_be_asked_for_and_stays_known_after_closing(open_log, write, trust, tmp_path):
    from agentid.record.audit.trusted_keys import audit_keys

    log = open_log()
    write(log, 3)
    note = log.checkpoint()
    assert 3 == Checkpoint.open(note, audit_keys(trust)).size
    assert note == log.latest_checkpoint == log.checkpoint()

    write(log, 1)
    log.close()
    assert 4 == Checkpoint.open(log.latest_checkpoint, audit_keys(trust)).size


def test_nothing_is_written_after_closing(open_log, make_record, tmp_path):
    log = open_log()
    log.write("decision", make_record(1))
    log.close()
    with pytest.raises(AuditUnavailableError, match="closed"):
        log.write("decision", make_record(2))

    assert 1 == len(values(tmp_path / "audit"))


class Moody:
    """A signer that may fail."""

    def __init__(self):
        self._key = PrivateKey.generate(ED25519)
        self.alg, self.kid, self.public_jwk = self._key.alg, self._key.kid, self._key.public_jwk
        self.works = True

    def sign(self, data):
        if not self.works:
            raise RuntimeError("the key service is down")
        return self._key.sign(data)

    @property
    def trust(self):
        return [self._key.public_key()]


def test_a_signer_that_fails_does_not_stop_records_and_the_next_checkpoint_covers_them(
    open_log, write, tmp_path, caplog
):
    signer = Moody()
    log = open_log(signer=signer, checkpoint_records=4)
    write(log, 3)
    signer.works = False
    write(log, 6)
    assert "could not be written (OSError)" in caplog.text
    signer.works = True
    write(log, 3)
    log.close()

    assert [0, 12] == sizes(tmp_path / "audit")
    assert verify_audit_log(tmp_path / "audit", signer.trust).ok


def test_no_more_is_written_than_may_be_left_unsigned(open_log, write, tmp_path):
    """Otherwise whoever takes checkpoints away could say that they never were."""
    signer = Moody()
    log = open_log(signer=signer)
    write(log, 1)
    signer.works = False
    with pytest.raises(AuditUnavailableError, match="could not be signed"):
        write(log, 3000)
    written = len(values(tmp_path / "audit"))
    assert 2048 == written

    signer.works = True
    write(log, 1)
    log.close()
    assert verify_audit_log(tmp_path / "audit", signer.trust).ok


def test_without_a_signature_nothing_is_begun(open_log, make_record, tmp_path):
    signer = Moody()
    signer.works = False
    log = open_log(signer=signer)
    for _ in range(3):
        with pytest.raises(AuditUnavailableError, match="signed"):
            log.write("decision", make_record(1))

    assert [] == list((tmp_path / "audit").iterdir())


def test_a_last_checkpoint_that_cannot_be_signed_is_an_error_of_closing_and_the_records_stay(open_log, write, tmp_path):
    signer = Moody()
    log = open_log(signer=signer)
    write(log, 3)
    signer.works = False
    with pytest.raises(AuditUnavailableError):
        log.close()

    report = verify_audit_log(tmp_path / "audit", signer.trust)
    assert (True, 3, 3) == (report.ok, report.records, report.unsigned)


# --- rotation ---------------------------------------------------------------------------------------------------------


def test_a_new_file_is_begun_before_one_grows_too_large_and_the_chain_goes_on(
    open_log, write, segments, trust, tmp_path
):
    log = open_log(segment_bytes=4000, checkpoint_records=3)
    write(log, 20)
    log.close()
    files = segments(tmp_path / "audit")

    assert len(files) > 3
    assert max(path.stat().st_size for path in files) <= 4000
    assert list(range(20)) == [value["data"]["chain"]["seq"] for value in values(tmp_path / "audit")]
    assert [f".{number:06d}.jsonl" for number in range(1, len(files) + 1)] == [path.name[-13:] for path in files]
    assert (True, 20, 1) == ((r := verify_audit_log(tmp_path / "audit", trust)).ok, r.records, r.chains)


def test_a_record_larger_than_a_file_may_be_gets_a_file_of_its_own(open_log, write, segments, trust, tmp_path):
    log = open_log(segment_bytes=10)
    write(log, 3)
    log.close()

    assert 3 == len(segments(tmp_path / "audit"))
    assert verify_audit_log(tmp_path / "audit", trust).ok


def test_a_new_file_is_begun_once_one_is_old(open_log, write, segments, clock, trust, tmp_path):
    log = open_log(segment_age=timedelta(hours=1))
    write(log, 2)
    clock.step(timedelta(minutes=59))
    write(log, 1)
    assert 1 == len(segments(tmp_path / "audit"))

    clock.step(timedelta(minutes=2))
    write(log, 2)
    log.close()
    assert [3, 2] == [len(path.read_bytes().splitlines()) for path in segments(tmp_path / "audit")]
    assert verify_audit_log(tmp_path / "audit", trust).ok


def test_a_file_that_cannot_be_begun_refuses_the_record_and_the_chain_goes_on_later(
    open_log, write, make_record, monkeypatch, trust, tmp_path
):
    log = open_log(segment_bytes=2000)
    write(log, 1)
    real = os.open

    def full(path, *rest):
        if str(path).endswith("2.jsonl"):
            raise OSError(28, "No space left on device")
        return real(path, *rest)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(AuditUnavailableError, match="No space left"):
        write(log, 5)
    monkeypatch.undo()
    log.write("decision", make_record(9))
    log.close()

    assert (True, 1) == ((report := verify_audit_log(tmp_path / "audit", trust)).ok, report.chains)


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_many_threads_write_one_chain(open_log, make_record, trust, tmp_path, durability):
    log = open_log(durability=durability, checkpoint_records=16, segment_bytes=20_000)
    count = 400 if durability == "process" else 100
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log.write("decision", make_record(number)), range(count)))
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)

    assert (True, count, 1, 0) == (report.ok, report.records, report.chains, report.unsigned)
    assert {f"{number:032x}:decision" for number in range(count)} == {
        value["id"] for value in values(tmp_path / "audit")
    }


def test_closing_while_threads_write_loses_nothing_that_was_acknowledged(open_log, make_record, trust, tmp_path):
    log = open_log(durability="disk")
    acknowledged = []
    started = threading.Barrier(5)

    def writer(base):
        started.wait(20)
        for number in range(base, base + 1000):
            try:
                log.write("decision", make_record(number))
            except AuditUnavailableError:
                return
            acknowledged.append(f"{number:032x}:decision")

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(writer, base * 1000) for base in range(4)]
        started.wait(20)
        while len(acknowledged) < 20:
            threading.Event().wait(0.001)
        log.close()
        for future in futures:
            future.result(20)

    assert set(acknowledged) <= {value["id"] for value in values(tmp_path / "audit")}
    assert verify_audit_log(tmp_path / "audit", trust).ok


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="raises in another thread by a function of CPython that others lack"
)
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_an_interrupt_at_any_moment_leaves_a_log_that_verifies(
    open_log, make_record, trust, tmp_path, caplog, durability
):
    """Ctrl-C, or a timeout that raises, may come between writing a record and noting that it was written."""
    caplog.set_level(logging.CRITICAL)
    log = open_log(checkpoint_records=5, durability=durability)
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    acknowledged = []

    class Interrupt(BaseException):
        pass

    def writer():
        number = 0
        while number < 20_000 and len(interrupted) < 100:
            number += 1
            try:
                log.write("decision", make_record(number))
            except Interrupt:
                interrupted.append(number)
            except AuditUnavailableError:
                continue
            else:
                acknowledged.append(f"{number:032x}:decision")

    interrupted = []

    def guarded_writer():
        while True:
            try:
                writer()
            except Interrupt:
                interrupted.append(0)
                continue
            return

    thread = threading.Thread(target=guarded_writer)
    # What is raised while somebody's callback of a collection runs is reported there, and is nobody's to handle.
    gc.disable()
    try:
        thread.start()
        while thread.is_alive() and len(interrupted) < 100:
            raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupt))
            threading.Event().wait(0.0005)
        thread.join(30)
    finally:
        gc.enable()
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)

    assert () == report.problems
    assert set(acknowledged) <= {value["id"] for value in values(tmp_path / "audit")}
    assert len(interrupted) >= 50


# --- processes --------------------------------------------------------------------------------------------------------


@needs_posix
def test_a_forked_child_begins_a_chain_of_its_own_and_the_parent_goes_on(open_log, write, trust, tmp_path):
    log = open_log()
    write(log, 2)
    child = os.fork()
    if child == 0:
        try:
            write(log, 3, start=10)
            log.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert (child, 0) == os.waitpid(child, 0)
    write(log, 1, start=2)
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)
    chains = {}
    for value in values(tmp_path / "audit"):
        chains.setdefault(value["source"], []).append(int(value["data"]["call"]["id"], 16))

    assert (True, 2, 6) == (report.ok, report.chains, report.records)
    assert [[0, 1, 2], [10, 11, 12]] == sorted(chains.values())


def end_of(child):
    """The status with which a child ended; it is not left behind if it is stuck."""
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child is stuck")
        threading.Event().wait(0.002)
    return ended[1]


@needs_posix
def test_a_child_that_is_forked_while_a_chain_is_begun_is_not_stuck(open_log, make_record, trust, tmp_path):
    log = open_log()
    with log._writing._lock:
        child = os.fork()
        if child == 0:
            try:
                log.write("decision", make_record(1))
                os._exit(0)
            finally:
                os._exit(1)
    assert 0 == end_of(child)
    log.write("decision", make_record(2))
    log.close()

    assert (True, 2) == ((report := verify_audit_log(tmp_path / "audit", trust)).ok, report.chains)


@needs_posix
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_child_that_is_forked_while_another_thread_writes_is_not_stuck(
    open_log, make_record, trust, tmp_path, durability
):
    """The lock may be held at that moment by a thread that the child does not have."""
    coverage = sys.modules.get("coverage")
    if coverage is not None and coverage.Coverage.current() is not None:
        pytest.skip("coverage has such a lock, too, and does not survive this")
    log = open_log(durability=durability)
    stop = threading.Event()

    def write_on():
        while not stop.is_set():
            log.write("decision", make_record(1))

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        for number in range(20):
            child = os.fork()
            if child == 0:
                try:
                    log.write("decision", make_record(number))
                    os._exit(0)
                finally:
                    os._exit(1)
            assert 0 == end_of(child)
    finally:
        stop.set()
        thread.join()
    log.close()

    assert (True, 21) == ((report := verify_audit_log(tmp_path / "audit", trust)).ok, report.chains)


_WRITE_AND_LEAVE = """
import sys
from agentid.record import AccessRecord
from agentid.record.audit import AuditLog
from agentid.signing import PrivateKey
folder, pem, start = sys.argv[1], sys.stdin.buffer.read(), int(sys.argv[2])
log = AuditLog(folder, signer=PrivateKey.from_pem(pem))
for number in range(start, start + 50):
    log.write("decision", AccessRecord(f"{number:032x}", "", 0, "spiffe://a/agent/b", "b", "t"))
"""


def test_processes_that_know_nothing_of_each_other_write_into_one_folder_and_sign_when_they_end(tmp_path):
    """Nobody calls `close` here: the end of a program is enough."""
    key = PrivateKey.generate(ED25519)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    programs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _WRITE_AND_LEAVE, str(tmp_path), str(start)],
            env=environment, stdin=subprocess.PIPE,
        )
        for start in range(0, 400, 100)
    ]  # fmt: skip
    for program in programs:
        program.communicate(key.to_pem(), timeout=50)
    report = verify_audit_log(tmp_path, [key.public_key()])

    assert [0] * 4 == [program.returncode for program in programs]
    assert (True, 4, 200, 0) == (report.ok, report.chains, report.records, report.unsigned)


@needs_posix
def test_a_worker_of_multiprocessing_signs_when_it_ends(open_log, write, make_record, trust, tmp_path):
    """It leaves without the usual end of a program."""
    log = open_log()
    write(log, 1)
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=write, args=(log, 3))
    worker.start()
    worker.join(30)
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)

    assert 0 == worker.exitcode
    assert (True, 2, 4, 0) == (report.ok, report.chains, report.records, report.unsigned)


def test_a_log_that_nobody_holds_any_more_is_closed(signer, write, trust, tmp_path):
    log = AuditLog(tmp_path, signer=signer)
    write(log, 3)
    del log

    assert (True, 3, 0) == ((r := verify_audit_log(tmp_path, trust)).ok, r.records, r.unsigned)


# --- a folder that goes away ------------------------------------------------------------------------------------------


@needs_posix
def test_a_vanished_folder_refuses_every_record_until_it_is_back(open_log, write, make_record, trust, tmp_path):
    import shutil

    log = open_log()
    write(log, 2)
    shutil.rmtree(tmp_path / "audit")
    for number in range(3):
        with pytest.raises(AuditUnavailableError, match="No such file"):
            log.write("decision", make_record(number))
    assert not (tmp_path / "audit").exists()

    (tmp_path / "audit").mkdir()
    write(log, 2)
    log.close()
    assert (True, 2) == ((report := verify_audit_log(tmp_path / "audit", trust)).ok, report.records)


@needs_posix
def test_a_file_that_somebody_changed_gets_a_last_checkpoint_and_the_log_goes_on_in_another(
    open_log, write, make_record, trust, tmp_path, caplog
):
    """The checkpoint says what the file was when we last wrote to it, so that the change shows."""
    log = open_log()
    write(log, 3)
    (path,) = (tmp_path / "audit").glob("*.jsonl")
    data = path.read_bytes()
    path.write_bytes(data + b"{}\n")
    log.write("decision", make_record(4))
    assert "changed by somebody else" in caplog.text
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)
    assert (2, [path.name], 3) == (report.chains, [p.file for p in report.problems], report.problems[0].record)

    path.write_bytes(data.replace(b"granted", b"chanted", 1))
    assert [path.name] == [problem.file for problem in verify_audit_log(tmp_path / "audit", trust).problems]


def test_a_log_shows_its_folder_and_no_key(open_log, tmp_path):
    assert f"<AuditLog {tmp_path / 'audit'}>" == repr(open_log())
