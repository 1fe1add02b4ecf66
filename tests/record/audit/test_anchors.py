"""Checkpoints go elsewhere in the background; what fails is counted, and no call waits."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agentid.errors import ConfigurationError
from agentid.record.audit import FileAnchor, LogEventAnchor, WebhookAnchor, verify_audit_log
from agentid.record.audit.anchor_sender import MAX_WAITING, AnchorSender


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


def test_several_processes_may_share_a_file_of_anchors(open_log, write, trust, tmp_path):
    for _ in range(3):
        log = open_log(anchors=[FileAnchor(tmp_path / "anchors.txt")])
        write(log, 2)
        log.close()

    report = verify_audit_log(tmp_path / "audit", trust, anchors=[tmp_path / "anchors.txt"])
    assert (True, 6) == (report.ok, report.anchored)


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
