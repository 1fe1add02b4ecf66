"""
What wrapped libraries cost, against the same call of the bare library.

Each call is made three times over: bare, with the libraries wrapped but nobody acting, and in a session in which it is
decided and recorded in a span. Nothing that is called leaves this machine.
"""

from __future__ import annotations

import http.client
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

import agentid.access
from agentid import Authority, Guard
from benchmarks.harness import Batch, Case, Suite
from benchmarks.spans import Counting

__all__ = ["suites"]

_KILOBYTE = b"x" * 1024


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one piece: the second one would wait for the first to be acknowledged

    def do_GET(self) -> None:
        """Answer a kilobyte."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(_KILOBYTE)))
        self.end_headers()
        self.wfile.write(_KILOBYTE)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as in the base class
        """Say nothing."""


class _World:
    """A folder, a database and a server, and an agent that may read them."""

    def __init__(self) -> None:
        self._authority = Authority.create("bench.example")
        provider = TracerProvider()
        provider.add_span_processor(Counting())
        self._guard = Guard(self._authority.trust, tracer_provider=provider)
        self._allow = ["read:file:///**", "read:sqlite://memory/**"]
        self.calls: dict[str, Callable[[], object]] = {}

    @contextmanager
    def around(self) -> Generator[None]:
        """Make what is called, and take it away."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        self._allow.append(f"read:http://127.0.0.1:{server.server_port}/**")
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE customers (id INTEGER, name TEXT)")
        database.executemany("INSERT INTO customers VALUES (?, ?)", [(number, "Ada") for number in range(100)])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data"
            path.write_bytes(_KILOBYTE)

            def get() -> bytes:
                connection.request("GET", "/data")
                return connection.getresponse().read()

            self.calls["open and read a file"] = path.read_bytes
            self.calls["query of 100 rows, sqlite3"] = lambda: database.execute("SELECT * FROM customers").fetchall()
            self.calls["request over loopback, http.client"] = get
            try:
                yield
            finally:
                connection.close()
                database.close()
                server.shutdown()
                server.server_close()
                serving.join()

    def bare(self, name: str) -> Batch:
        """Call it with nothing wrapped."""

        def batch(count: int) -> None:
            call = self.calls[name]
            for _ in range(count):
                call()

        return batch

    def wrapped(self, name: str, *, acts: bool) -> Batch:
        """Call it with the libraries wrapped, which is undone at the end: each batch is long enough for that."""

        def batch(count: int) -> None:
            call, agent = self.calls[name], self._authority.issue("bench-bot", allow=self._allow)
            installation = agentid.access.install()
            try:
                if not acts:
                    for _ in range(count):
                        call()
                    return
                with self._guard.acting_as(agent):
                    for _ in range(count):
                        call()
            finally:
                installation.remove()

        return batch


def suites() -> list[Suite]:
    """The suites of this subject."""
    world = _World()
    cases: list[Case] = []
    for name in ("open and read a file", "query of 100 rows, sqlite3", "request over loopback, http.client"):
        cases += [
            Case(name, world.bare(name)),
            Case(f"{name}: wrapped, nobody acts", world.wrapped(name, acts=False), name),
            Case(f"{name}: decided and recorded", world.wrapped(name, acts=True), name),
        ]
    return [Suite("wrapped libraries", cases, rounds=9, per_batch_ns=50_000_000, around=world.around)]
