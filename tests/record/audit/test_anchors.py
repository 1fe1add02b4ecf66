"""Checkpoints go elsewhere in the background; what fails is counted, and no call waits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agentid.errors import ConfigurationError
from agentid.record.audit import FileAnchor, LogEventAnchor, WebhookAnchor, verify_audit_log
from agentid.record.audit.anchor_sender import MAX_WAITING, AnchorSender
from agentid.record.audit.chain_files import ChainFiles
from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.merkle import EMPTY_ROOT, CompactRange, leaf_hash
from agentid.record.audit.notes_file import read_notes
from agentid.record.audit.record_line import FIRST_PREV, encode_record, join_line


def test_every_checkpoint_reaches_every_anchor(open_log, write, trust, tmp_path):
    seen = []
    log = open_log(anchors=[seen.append, FileAnchor(tmp_path / "anchors.txt")], checkpoint_records=4)
    write(log, 9)
    log.close()

    assert ["0", "4", "8", "9"] == [note.split("\n")[1] for note in seen]
    assert "".join(f"{note}\n" for note in seen) == (tmp_path / "anchors.txt").read_text(encoding="utf-8")
    assert 0 == log.anchor_failures
    report = verify_audit_log(tmp_path / "audit", trust, anchors=[tmp_path / "anchors.txt", *seen])
    assert (True, 4) == (report.ok, report.anchored)


def test_several_logs_may_share_a_file_of_anchors(open_log, write, trust, tmp_path):
    for _ in range(3):
        log = open_log(anchors=[FileAnchor(tmp_path / "anchors.txt")])
        write(log, 2)
        log.close()

    report = verify_audit_log(tmp_path / "audit", trust, anchors=[tmp_path / "anchors.txt"])
    assert (True, 6) == (report.ok, report.anchored)


_APPEND = """
import sys
from agentid.record.audit import FileAnchor
anchor, note = FileAnchor(sys.argv[1]), sys.stdin.read()
for _ in range(40):
    anchor(note)
"""


def test_several_processes_may_share_a_file_of_anchors(tmp_path):
    notes = [f"urn:{number}\n{number}\n{'x' * 9000}\n\n\u2014 urn:{number} AAAA\n" for number in range(3)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _APPEND, tmp_path / "anchors"], stdin=subprocess.PIPE, env=environment, text=True,
            encoding="utf-8",
        )
        for _ in notes
    ]  # fmt: skip
    for process, note in zip(started, notes, strict=True):
        process.stdin.write(note)
        process.stdin.close()
    assert [0, 0, 0] == [process.wait(60) for process in started]
    found = list(read_notes(tmp_path / "anchors"))

    assert [40, 40, 40] == [found.count(note) for note in notes]
    assert 120 == len(found)


def test_half_a_note_that_a_full_disk_took_is_taken_back(open_log, write, trust, tmp_path, monkeypatch):
    """Else the notes that others append would follow it on the same line."""
    path = tmp_path / "anchors"
    log = open_log(anchors=[FileAnchor(path)], checkpoint_records=2)
    write(log, 2)
    log._writing.sender.flush(20)
    whole, real = path.read_bytes(), os.write
    monkeypatch.setattr("agentid.record.audit.anchors.os.write", lambda file, data: real(file, data[: len(data) // 2]))
    with pytest.raises(OSError, match="in part only"):
        FileAnchor(path)("a note\n")

    assert whole == path.read_bytes()


# --- what anchors are for ---------------------------------------------------------------------------------------------


def cut_off(folder, *_):
    for path in folder.iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:12] if path.suffix == ".checkpoint" else lines[:4]))


def take_away(folder, *_):
    for path in folder.iterdir():
        path.unlink()


def rewrite(folder, signer, make_record):
    """With the right key and the right name: the same chain, one record another."""
    [path] = folder.glob("*.checkpoint")
    chain = path.stem
    shutil.rmtree(folder)
    files = ChainFiles(folder, chain)
    folder.mkdir()
    tree, prev, lines = CompactRange(), FIRST_PREV, []
    notes = [Checkpoint(files.origin, 0, EMPTY_ROOT).sign(signer)]
    for number in range(9):
        [half] = encode_record(
            files.origin, "decision", make_record(number, tool="other" if number == 3 else "t"), 1.8e9
        )
        lines.append(join_line(half, prev, number))
        tree.push(leaf_hash(lines[-1]))
        prev = leaf_hash(lines[-1]).hex()
        notes.append(Checkpoint(files.origin, number + 1, tree.root()).sign(signer))
    files.segment(1).write_bytes(b"".join(line + b"\n" for line in lines))
    files.checkpoints.write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")


@pytest.fixture
def sent(server, otlp, tmp_path):
    """An anchor, and the checkpoints that arrived where it sends them."""
    file = tmp_path / "anchors.txt"
    return {
        "file": (FileAnchor(file), lambda: [file]),
        "webhook": (WebhookAnchor(f"{server.url}/204"), lambda: [received[1] for received in server.received]),
        "log event": (LogEventAnchor(otlp[0]), otlp[1]),
    }


@pytest.mark.parametrize("how", ["file", "webhook", "log event"])
@pytest.mark.parametrize(
    ("harm", "kind"), [(cut_off, "truncated"), (take_away, "missing"), (rewrite, "rewritten")], ids=lambda x: str(x)[:9]
)
def test_what_the_log_itself_cannot_show_shows_against_what_arrived_elsewhere(
    sent, how, harm, kind, open_log, write, make_record, signer, trust, tmp_path
):
    anchor, arrived = sent[how]
    folder = tmp_path / "audit"
    log = open_log(folder, anchors=[anchor], checkpoint_records=4)
    write(log, 9)
    log.close()
    assert verify_audit_log(folder, trust, anchors=arrived()).ok
    harm(folder, signer, make_record)

    assert verify_audit_log(folder, trust).ok
    assert kind in {problem.kind for problem in verify_audit_log(folder, trust, anchors=arrived()).problems}


def test_an_anchor_that_fails_stops_neither_the_log_nor_other_anchors(open_log, write, tmp_path, caplog):
    seen = []

    def broken(note):
        raise RuntimeError("unreachable, with a secret in the text")

    log = open_log(anchors=[broken, seen.append])
    write(log, 3)
    log.close()

    assert (2, 2) == (len(seen), log.anchor_failures)
    assert "could not be anchored (RuntimeError)" in caplog.text
    assert "secret" not in caplog.text


def test_no_call_waits_for_an_anchor_and_newer_checkpoints_win(caplog):
    gate, entered, seen = threading.Event(), threading.Event(), []

    def slow(note):
        entered.set()
        assert gate.wait(20)
        seen.append(note)

    sender = AnchorSender([slow])
    sender.send("first")
    assert entered.wait(20)
    for number in range(MAX_WAITING + 10):
        sender.send(str(number))
    assert not sender.flush(0)
    gate.set()
    assert sender.flush(20)

    assert ["first", *map(str, range(10, MAX_WAITING + 10))] == seen
    assert 10 == sender.failures
    assert "too slow" in caplog.text


def test_there_is_a_thread_only_while_there_is_something_to_send(open_log, write):
    log = open_log(anchors=[lambda _: None])
    write(log, 3)
    assert log._writing.sender.flush(20)
    for thread in threading.enumerate():
        if thread.name == "agentid-audit-anchor":
            thread.join(20)

    assert [] == [thread for thread in threading.enumerate() if thread.name == "agentid-audit-anchor"]


def test_when_no_thread_can_be_started_any_more_the_anchor_is_called_here(monkeypatch):
    """As at the end of a program."""

    def refuse(self):
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seen = []
    AnchorSender([seen.append]).send("note")

    assert ["note"] == seen


def test_without_anchors_nothing_is_started():
    sender = AnchorSender([])
    sender.send("note")

    assert sender.flush(0)


# --- webhook ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    """A server that keeps what is posted to it, and answers what the path says."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, body, self.headers["Content-Type"], self.headers["Authorization"]))
            code = int(self.path.strip("/"))
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "/200")
            self.end_headers()

        def log_message(self, *_):
            pass

    received = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        http.received = received
        http.url = f"http://127.0.0.1:{http.server_address[1]}"
        yield http
        http.shutdown()
        thread.join()


def test_a_webhook_gets_the_checkpoint_as_text(server, open_log, write):
    log = open_log(anchors=[WebhookAnchor(f"{server.url}/204", headers={"Authorization": "Bearer x"})])
    write(log, 2)
    log.close()

    assert [("/204", "text/plain; charset=utf-8", "Bearer x")] * 2 == [(r[0], r[2], r[3]) for r in server.received]
    assert log.latest_checkpoint == server.received[-1][1]
    assert 0 == log.anchor_failures


@pytest.mark.parametrize("code", [302, 404, 500])
def test_any_answer_but_a_yes_is_a_failure_and_a_redirect_is_not_followed(server, open_log, write, code):
    log = open_log(anchors=[WebhookAnchor(f"{server.url}/{code}")])
    write(log, 2)
    log.close()

    assert 2 == log.anchor_failures
    assert {f"/{code}"} == {path for path, *_ in server.received}


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://a.example/x", "https:///x", "a.example"])
def test_a_webhook_is_of_the_web(url):
    with pytest.raises(ConfigurationError, match="https"):
        WebhookAnchor(url)


def test_a_webhook_shows_no_secret():
    assert "<WebhookAnchor a.example>" == repr(WebhookAnchor("https://a.example/token", headers={"X": "secret"}))


# --- OpenTelemetry ----------------------------------------------------------------------------------------------------


@pytest.fixture
def events():
    from opentelemetry.sdk import _logs as sdk
    from opentelemetry.sdk._logs import export

    exporter = getattr(export, "InMemoryLogRecordExporter", None) or export.InMemoryLogExporter
    memory = exporter()
    provider = sdk.LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(export.SimpleLogRecordProcessor(memory))
    yield provider, memory
    provider.shutdown()


@pytest.fixture
def otlp():
    """A logger provider that sends by OTLP, and the bodies of the log events that arrive."""
    exporters = pytest.importorskip("opentelemetry.exporter.otlp.proto.http._log_exporter")
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.sdk import _logs as sdk
    from opentelemetry.sdk._logs import export

    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(ExportLogsServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    def bodies():
        provider.force_flush()
        scopes = [scope for request in received for resource in request.resource_logs for scope in resource.scope_logs]
        return [record.body.string_value for scope in scopes for record in scope.log_records]

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        provider = sdk.LoggerProvider(shutdown_on_exit=False)
        exporter = exporters.OTLPLogExporter(endpoint=f"http://127.0.0.1:{http.server_address[1]}/v1/logs")
        provider.add_log_record_processor(export.SimpleLogRecordProcessor(exporter))
        yield provider, bodies
        provider.shutdown()
        http.shutdown()
        thread.join()


def test_a_checkpoint_becomes_a_log_event(events, open_log, write):
    provider, memory = events
    log = open_log(anchors=[LogEventAnchor(provider)])
    write(log, 2)
    log.close()
    records = [data.log_record for data in memory.get_finished_logs()]
    last = records[-1]

    assert 0 == log.anchor_failures
    assert ["0", "2"] == [record.body.split("\n")[1] for record in records]
    assert "agentid.audit.checkpoint" == (getattr(last, "event_name", None) or last.attributes["event.name"])
    assert 2 == last.attributes["agentid.audit.size"]
    assert last.attributes["agentid.audit.chain"] == last.body.split("\n")[0]
    assert 9 == last.severity_number.value


def test_while_nobody_takes_log_events_nothing_happens(open_log, write):
    log = open_log(anchors=[LogEventAnchor()])
    write(log, 2)
    log.close()

    assert 0 == log.anchor_failures
