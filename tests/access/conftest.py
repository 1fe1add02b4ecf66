"""A guarded world for wrapped libraries: real servers, a real authority, and everything that is recorded."""

from __future__ import annotations

import pytest
from access.http_server import http
from access.postgres_server import PostgresServer, programs
from access.s3_server import s3, s3_server
from access.web_callers import caller
from access.web_servers import (
    certificate,
    other,
    tls,
    unix,
    web,
    web6,
)

import agentid.access
from agentid.guard import Guard
from agentid.identity import Authority
from agentid.testing import MemoryAudit, capture_spans

# Fixtures, each in the file of what it is about.
__all__ = [
    "caller",
    "certificate",
    "http",
    "other",
    "s3",
    "s3_server",
    "tls",
    "unix",
    "web",
    "web6",
]


class AccessWorld:
    """An authority and a guard, with all that they record; agents are made as they are needed."""

    def __init__(self, captured):
        self.captured = captured
        self.authority = Authority.create("acme.example")
        self.records = []
        self.audit = MemoryAudit()
        self.guard = self.make_guard()

    def make_guard(self, kind=Guard, **options):
        options = {"audit": self.audit, "observers": [self.records.append], **options}
        return kind(self.authority.trust, tracer_provider=self.captured.provider, **options)

    def acting(self, *allow, ask=(), guard=None):
        """A session of a fresh agent that may do this and nothing else."""
        return (guard or self.guard).acting_as(self.authority.issue("bot", allow=allow, ask=ask))

    @property
    def spans(self):
        return self.captured.spans

    @property
    def touched(self):
        """What was done to what, and what came of it, in order; of a refused access, what was wanted."""
        records = [record for record in self.records if record.reason != "second_door"]
        return [(*map(str, record.accesses), record.status) for record in records]


@pytest.fixture
def installed():
    """The libraries are wrapped, and are not any more afterwards."""
    installation = agentid.access.install()
    yield installation
    installation.remove()


@pytest.fixture
def name_proxy(installed, monkeypatch):
    """Let the environment name a proxy from the beginning: `name_proxy("http_proxy", url)`."""

    def name(variable, url):
        installed.remove()
        monkeypatch.setenv(variable, url)
        installed.turn_on()

    return name


@pytest.fixture
def world(installed):
    with capture_spans() as captured:
        yield AccessWorld(captured)


@pytest.fixture(scope="session")
def postgres_server():
    if programs() is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres(postgres_server):
    """A real PostgreSQL server, with `orders`, `customers` and `log` in it, and nothing else."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute("drop schema public cascade; drop schema if exists secret cascade; create schema public")
        connection.execute("create table orders(id int primary key, customer text); create table log(what text)")
        connection.execute("create table customers(id int primary key, name text)")
        connection.execute("insert into orders values (1, 'ada'), (2, 'bob'); insert into customers values (1, 'Ada')")
    return postgres_server
