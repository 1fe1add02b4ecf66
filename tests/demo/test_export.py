"""The demo's spans on their way to a collector: all of them, or a clear word and no waiting."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from command_line import agentid
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agentid.cli import main
from agentid.record.pipeline import Pipeline, otlp_endpoint


@contextlib.contextmanager
def collector(status=200):
    """A collector of OTLP over HTTP: its address, and the requests that it got."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            requests.append((self.path, dict(self.headers), body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def listening(backlog=8):
    """An address where connections are taken, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def value_of(attribute):
    kind = attribute.value.WhichOneof("value")
    value = getattr(attribute.value, kind)
    return [item.string_value for item in value.values] if kind == "array_value" else value


def spans_in(requests):
    """The spans of all requests by their id, with their attributes and the name of their service."""
    found = {}
    for _, _, body in requests:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {a.key: value_of(a) for a in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                assert "agentid" == scope.scope.name
                for span in scope.spans:
                    found[span.span_id.hex()] = (service, span, {a.key: value_of(a) for a in span.attributes})
    return found


def test_a_collector_gets_every_span_of_the_trace(notes, tmp_path):
    with collector() as (endpoint, requests):
        ran = agentid("demo", str(notes), "--json", folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    *records, outcome = map(json.loads, ran.out.splitlines())
    spans = spans_in(requests)

    assert (0, "") == (ran.code, ran.err)
    assert {"/v1/traces"} == {path for path, _, _ in requests}
    assert {"made": len(records), "endpoint": endpoint, "sent": len(records)} == outcome["spans"]
    assert {record["span_id"] for record in records} == spans.keys()
    for record in records:
        service, span, attributes = spans[record["span_id"]]
        assert "agentid-demo" == service
        assert record["trace_id"] == span.trace_id.hex()
        assert record["effect"] == attributes["agentid.authorization.decision"]
        assert record["accesses"] == [attributes["agentid.authorization.permission"]]
        assert (record["effect"] == "deny") == (span.status.code == span.status.STATUS_CODE_ERROR)
        assert "" == span.status.message
        assert [] == list(span.events)


def test_no_document_no_row_and_no_mail_is_sent_to_the_collector(notes, tmp_path):
    (notes / "plan.md").write_text("the word is plugh", encoding="utf-8")
    with collector() as (endpoint, requests):
        agentid("demo", str(notes), folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    bodies = b"".join(body for _, _, body in requests)

    assert b"order items" in bodies
    for secret in (b"plugh", b"lamp", b"has been delivered", b"PRIVATE KEY", b"eyJ"):
        assert secret not in bodies


def test_the_person_reads_how_many_spans_arrived(tmp_path):
    with collector() as (endpoint, _):
        ran = agentid("demo", folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)

    assert f"\nspans: 17 of 17 reached {endpoint}\n" in ran.out


def test_names_and_headers_come_from_the_environment(tmp_path):
    with collector() as (endpoint, requests):
        agentid(
            "demo",
            folder=tmp_path,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{endpoint}/elsewhere",
            OTEL_EXPORTER_OTLP_HEADERS="x-key=s3cret",
            OTEL_SERVICE_NAME="my-demo",
            OTEL_TRACES_SAMPLER="always_off",
        )

    assert {("/elsewhere", "s3cret")} == {(path, headers["x-key"]) for path, headers, _ in requests}
    assert {"my-demo"} == {service for service, _, _ in spans_in(requests).values()}
    assert 17 == len(spans_in(requests))


@pytest.mark.parametrize("what", ["refuses", "never answers", "is no address", "is missing", "is broken"])
def test_a_collector_that_cannot_be_reached_breaks_nothing_and_holds_nobody_up(tmp_path, what):
    """Left to itself, OpenTelemetry waits for half a minute, and the exporter for as long as it is allowed to."""
    with contextlib.ExitStack() as stack:
        if what == "refuses":
            endpoint, _ = stack.enter_context(collector(status=503))
        elif what == "never answers":
            endpoint = stack.enter_context(listening())
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                free = server.getsockname()[1]
            endpoint = {
                "is missing": f"http://127.0.0.1:{free}",
                "is no address": "somewhere",
                "is broken": "http://[::1",
            }[what]
        ran = agentid(
            "demo",
            folder=tmp_path,
            timeout=25,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_EXPORTER_OTLP_TIMEOUT="600",
        )

    assert (0, "") == (ran.code, ran.err)
    assert f"\nspans: 0 of 17 reached {endpoint}\n" in ran.out
    assert "\nThe attack was refused.\n" in ran.out


def test_a_login_in_the_address_is_used_and_not_shown(tmp_path):
    with collector() as (endpoint, _):
        address = endpoint.replace("//", "//ada:s3cret@") + "/?token=s3cret"
        ran = agentid("demo", folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=address)

    assert "s3cret" not in ran.out + ran.err
    assert f"reached {endpoint}/" in ran.out


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://a.example:4318", "http://a.example:4318"),
        ("http://u:p@a.example/x?y=z", "http://a.example/x"),
        ("http://u:p@q@a.example", "http://a.example"),
        ("u:p@a.example:4318", "a.example:4318"),
        ("http://u@", "http://"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(monkeypatch, address, shown):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)

    assert shown == otlp_endpoint()


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_missing_exporter_is_one_line_that_says_what_to_install(monkeypatch, capsys, form):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ada:s3cret@127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    code = main(["demo", *form])
    printed = capsys.readouterr()

    assert (2, "") == (code, printed.out)
    assert (
        "agentid: [extra.missing] spans cannot be sent to `http://127.0.0.1:9`: the OTLP exporter is not installed. "
        "In the checkout, run: pip install '.[otlp]'\n"
    ) == printed.err


def test_opentelemetry_switched_off_is_one_line_because_there_would_be_no_trace(monkeypatch, capsys):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    assert 2 == main(["demo"])
    assert "OTEL_SDK_DISABLED is true. Unset OTEL_SDK_DISABLED\n" in capsys.readouterr().err


def test_a_setting_that_opentelemetry_cannot_read_is_one_line_that_does_not_repeat_it(tmp_path):
    ran = agentid(
        "demo",
        folder=tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=s3cret",
        OTEL_BSP_MAX_QUEUE_SIZE="-1",
    )

    assert (2, "") == (ran.code, ran.out)
    assert "OpenTelemetry refuses its settings" in ran.err
    assert "s3cret" not in ran.err


def test_a_pipeline_hands_on_trees_also_below_a_span_of_somebody_else():
    from opentelemetry import trace

    trees = []
    outer, inner = Pipeline("outer"), Pipeline("inner", trees.append)
    with outer.provider.get_tracer("x").start_as_current_span("not ours"):
        tracer = inner.provider.get_tracer("x")
        with tracer.start_as_current_span("root"), tracer.start_as_current_span("first"):
            with tracer.start_as_current_span("deep"):
                pass
            trace.get_current_span().set_attribute("a", 1)
        with tracer.start_as_current_span("other root"):
            pass
    outer.close()
    inner.close()

    def shape(tree):
        return {tree.name: [shape(child) for child in tree.children]}

    assert [{"root": [{"first": [{"deep": []}]}]}, {"other root": []}] == [shape(tree) for tree in trees]
    assert {"a": 1} == trees[0].children[0].attributes


def test_no_global_provider_is_set():
    from opentelemetry import trace

    before = trace.get_tracer_provider()
    assert 0 == main(["demo", "--json"])
    assert before is trace.get_tracer_provider()
