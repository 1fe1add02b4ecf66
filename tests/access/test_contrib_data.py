"""
OpenTelemetry's own instrumentations of databases and of AWS, for real: ours is above theirs where they wrap functions.

Those of `sqlite3` and `psycopg` make other connections and cursors, around the ones that decide: theirs is above ours.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import pytest
from access.contrib_instrumentors import instrumentors, stable_names  # noqa: F401
from access.redis_server import redis_server, server  # noqa: F401

import agentid.access
from agentid.errors import AccessDeniedError

pytest.importorskip("opentelemetry.instrumentation", reason="OpenTelemetry's instrumentations are not installed")
pytestmark = pytest.mark.usefixtures("stable_names")


@dataclass
class Store:
    """A store with something in it: what may be done, by a client that is made when it is asked for."""

    contrib: str
    allow: tuple[str, ...]
    client: Any
    read: Any
    delete: Any
    count: Any
    is_above: bool = True


def _sqlite(request):
    path = str(request.getfixturevalue("tmp_path") / "a.db")
    with sqlite3.connect(path) as connection:
        connection.execute("create table orders(id int)")
        connection.execute("insert into orders values (1)")
    connection.close()

    def run(sql):
        return lambda client: client.cursor().execute(sql).fetchall()

    def count():
        connection = sqlite3.connect(path)
        found = connection.execute("select count(*) from orders").fetchone()[0]
        connection.close()
        return found

    allow = (
        f"execute:sqlite://{path}",
        f"read:sqlite://{path}/main/orders",
        f"read:file://{path}",
        f"edit:file://{path}",
    )
    read, delete = run("select id from orders"), run("delete from orders")
    return Store(
        "sqlite3:SQLite3Instrumentor", allow, lambda: sqlite3.connect(path), read, delete, count, is_above=False
    )


def _psycopg(request):
    postgres = request.getfixturevalue("postgres")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

    def count():
        with psycopg.connect(postgres.dsn) as connection:
            return connection.execute("select count(*) from orders").fetchone()[0] - 1

    return Store(
        "psycopg:PsycopgInstrumentor",
        (f"read:postgres://{postgres.host}/postgres/public/orders",),
        lambda: psycopg.connect(postgres.dsn, autocommit=True),
        lambda client: client.cursor().execute("select id from orders").fetchall(),
        lambda client: client.cursor().execute("delete from orders"),
        count,
        is_above=False,
    )


def _redis(request):
    server = request.getfixturevalue("server")  # noqa: F811
    redis = pytest.importorskip("redis", reason="redis is not installed")
    server.client.set("k", "v")
    return Store(
        "redis:RedisInstrumentor",
        (f"read:{server.url}/0/k",),
        lambda: redis.Redis(host="127.0.0.1", port=server.port),
        lambda client: client.get("k"),
        lambda client: client.delete("k"),
        lambda: server.client.exists("k"),
    )


def _redis_pipeline(request):
    found = _redis(request)
    found.read, found.delete = (
        lambda client: client.pipeline(transaction=False).get("k").execute(),
        lambda client: client.pipeline(transaction=False).delete("k").execute(),
    )
    return found


def _s3(request):
    s3 = request.getfixturevalue("s3")
    return Store(
        "botocore:BotocoreInstrumentor",
        ("read:s3://data/secret", f"read:{s3.url}", f"delete:{s3.url}"),
        s3.client,
        lambda client: client.get_object(Bucket="data", Key="secret")["Body"].read(),
        lambda client: client.delete_object(Bucket="data", Key="secret"),
        lambda: "secret" in [each["Key"] for each in s3.own_client.list_objects_v2(Bucket="data")["Contents"]],
    )


@pytest.fixture(params=[_sqlite, _psycopg, _redis, _redis_pipeline, _s3], ids=lambda make: make.__name__[1:])
def store(request):
    return request.param(request)


@pytest.fixture(params=["installed first", "instrumented first"])
def instrumentor(request, world, installed, instrumentors, store):  # noqa: F811
    if request.param == "installed first":
        return instrumentors.on(store.contrib, world)
    installed.remove()
    found = instrumentors.on(store.contrib, world)
    assert installed is agentid.access.install()
    return found


@pytest.fixture
def client(instrumentor, store):
    made = store.client()
    yield made
    made.close()


def of(spans, scope):
    return [span for span in spans if span.instrumentation_scope.name.startswith(scope)]


def test_ours_is_above_theirs_and_what_the_conventions_name_stands_on_theirs(world, store, client):
    with world.acting(*store.allow):
        assert store.read(client)

    ours, theirs = of(world.spans, "agentid"), of(world.spans, "opentelemetry.instrumentation")
    assert len(ours) + len(theirs) == len(world.spans)
    assert {"INTERNAL"} == {span.kind.name for span in ours}
    assert not [
        name for span in ours for name in span.attributes if name.startswith(("db.", "aws.", "http.", "server."))
    ]
    reading = [span for span in theirs if span.name != "connect"]
    assert ["CLIENT"] == [span.kind.name for span in reading]
    above, below = (ours, reading) if store.is_above else (reading, ours)
    assert below[-1].parent.span_id in {span.context.span_id for span in above}
    assert {"success"} == {status for *_, status in world.touched}
    assert len(ours) == len(world.records)


def test_a_refusal_sends_nothing_and_no_span_below_says_so(world, store, client):
    with world.acting(*store.allow), pytest.raises(AccessDeniedError):
        store.delete(client)

    theirs = [span for span in of(world.spans, "opentelemetry.instrumentation") if span.name != "connect"]
    assert [] == [span for span in theirs if span.parent is not None]
    if store.is_above:
        assert [] == theirs
    assert 1 == [status for *_, status in world.touched].count("denied")
    assert 1 == store.count()


def test_turned_off_theirs_is_gone_and_ours_is_there(world, store, instrumentor):
    instrumentor.uninstrument()
    client = store.client()

    with world.acting(*store.allow):
        assert store.read(client)
        with pytest.raises(AccessDeniedError):
            store.delete(client)
    client.close()

    assert [] == of(world.spans, "opentelemetry.instrumentation")
    assert 1 == [status for *_, status in world.touched].count("denied")
    assert [span for span in world.spans if any(name.startswith(("db.", "aws.")) for name in span.attributes)]
    assert 1 == store.count()
