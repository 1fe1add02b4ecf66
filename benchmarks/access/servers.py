"""
What is called: a folder, a database, and servers of this machine.

PostgreSQL and Redis are started as they are for the tests.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

from benchmarks.harness import NotMeasuredError

__all__ = ["KILOBYTE", "folder", "forks", "nowhere", "postgres", "redis", "sqlite", "web"]

KILOBYTE = b"x" * 1024
_TESTS = str(Path(__file__).resolve().parents[2] / "tests")


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one piece: the second one would wait for the first to be acknowledged

    def do_GET(self) -> None:
        """Answer a kilobyte."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(KILOBYTE)))
        self.end_headers()
        self.wfile.write(KILOBYTE)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as in the base class
        """Say nothing."""


@contextmanager
def web() -> Generator[str]:
    """A server of HTTP that answers a kilobyte: its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@contextmanager
def nowhere() -> Generator[str]:
    """Nothing is needed."""
    yield ""


@contextmanager
def forks() -> Generator[str]:
    """The server of `multiprocessing` that forks off processes, which goes on to the end of this one."""
    ensure_running()
    yield ""


@contextmanager
def folder() -> Generator[str]:
    """A folder with a file `data` of a kilobyte."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made).resolve()
        (path / "data").write_bytes(KILOBYTE)
        yield str(path)


@contextmanager
def sqlite() -> Generator[str]:
    """A database with a hundred customers: its file."""
    with folder() as made:
        path = f"{made}/app.db"
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE customers (id INTEGER, name TEXT)")
        database.executemany("INSERT INTO customers VALUES (?, ?)", [(number, "Ada") for number in range(100)])
        database.commit()
        database.close()
        yield path


@contextmanager
def postgres() -> Generator[Any]:
    """A server of PostgreSQL with a hundred customers: its `host` and `dsn`."""
    _find_helpers()
    from access.postgres_server import PostgresServer, programs

    if programs() is None:
        raise NotMeasuredError("PostgreSQL's initdb and pg_ctl are not installed")
    import psycopg

    with PostgresServer() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create table customers(id int, name text)")
            connection.execute("insert into customers select number, 'Ada' from generate_series(1, 100) number")
        yield server


@contextmanager
def redis() -> Generator[Any]:
    """A server of Redis with ten keys of a kilobyte, `0` to `9`: its `port` and `url`."""
    _find_helpers()
    from access.redis_server import RedisServer

    if shutil.which("redis-server") is None:
        raise NotMeasuredError("the program redis-server is not installed")
    with RedisServer() as server:
        server.client.mset({str(number): KILOBYTE for number in range(10)})
        yield server


def _find_helpers() -> None:
    if _TESTS not in sys.path:
        sys.path.append(_TESTS)
