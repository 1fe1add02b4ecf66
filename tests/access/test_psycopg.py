"""`psycopg`: each text decided before it is sent, by cursors, on the connection of libpq, sync and async."""

from __future__ import annotations

import asyncio

import pytest

from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")


@pytest.fixture
def connection(postgres):
    """Made before the session, as most are."""
    with psycopg.connect(postgres.dsn, autocommit=True) as found:
        yield found


@pytest.fixture
def db(postgres):
    return f"postgres://{postgres.host}/postgres"


@pytest.fixture
def in_database(postgres):
    """What is in a table, as another connection sees it outside of sessions."""

    def look(table):
        with psycopg.connect(postgres.dsn) as other:
            return other.execute(f"select count(*) from {table}").fetchone()[0]

    return look


def test_a_query_that_is_allowed_is_sent_and_recorded(world, connection, postgres, db):
    with world.acting(f"read:{db}/public/orders"):
        rows = connection.execute("select id from orders where customer <> %s", ("secret",)).fetchall()

    assert [(1,), (2,)] == rows
    assert [(f"read:{db}/public/orders", "success")] == world.touched
    (span,) = world.spans
    assert ("SELECT public.orders", "CLIENT") == (span.name, span.kind.name)
    attributes = dict(span.attributes)
    assert ("postgresql", "postgres", "public.orders", "SELECT", 2) == tuple(
        attributes[f"db.{name}"]
        for name in ("system.name", "namespace", "collection.name", "operation.name", "response.returned_rows")
    )
    assert ("127.0.0.1", postgres.port) == (attributes["server.address"], attributes["server.port"])
    assert 2 == world.records[0].rows
    assert "secret" not in repr([span.to_json(), world.records, world.audit.lines])


def read_by_server_cursor(connection, query):
    with connection.transaction(), connection.cursor("named") as cursor:
        return cursor.execute(query).fetchall()


def copy_out(connection, query):
    with connection.cursor().copy(query) as copy:
        return list(copy.rows())


def in_pipeline(connection, query):
    with connection.pipeline():
        return connection.execute(query)


def drain(connection):
    while connection.pgconn.get_result() is not None:
        pass


SENT_BY = {
    "connection": lambda connection, query: connection.execute(query),
    "bytes": lambda connection, query: connection.execute(query.encode()),
    "composed": lambda connection, query: connection.execute(psycopg.sql.SQL(query) + psycopg.sql.SQL("")),
    "keyword": lambda connection, query: connection.execute(query=query),
    "prepared": lambda connection, query: connection.execute(query, prepare=True),
    "binary": lambda connection, query: connection.execute(query, binary=True),
    "client cursor": lambda connection, query: psycopg.ClientCursor(connection).execute(query),
    "raw cursor": lambda connection, query: psycopg.RawCursor(connection).execute(query),
    "executemany": lambda connection, query: connection.cursor().executemany(query, [(), ()]),
    "stream": lambda connection, query: list(connection.cursor().stream(query)),
    "copy": lambda connection, query: copy_out(connection, f"copy ({query}) to stdout"),
    "server cursor": read_by_server_cursor,
    "pipeline": in_pipeline,
    "pgconn exec": lambda connection, query: connection.pgconn.exec_(query.encode()),
    "pgconn exec_params": lambda connection, query: connection.pgconn.exec_params(query.encode(), None),
    "pgconn prepare": lambda connection, query: connection.pgconn.prepare(b"p", query.encode()),
    "pgconn send": lambda connection, query: connection.pgconn.send_query(query.encode()),
    "pgconn send_query_params": lambda connection, query: connection.pgconn.send_query_params(query.encode(), None),
    "pgconn send_prepare": lambda connection, query: connection.pgconn.send_prepare(b"p", query.encode()),
    "private": lambda connection, query: connection.wait(connection._exec_command(query)),
}


@pytest.mark.parametrize("send", SENT_BY.values(), ids=SENT_BY)
def test_a_text_that_is_not_allowed_is_not_sent_by_any_way(world, connection, db, in_database, send):
    query = "insert into log values ('x') returning what"
    with world.acting(f"read:{db}/**"), pytest.raises(AccessDeniedError):
        send(connection, query)

    assert 0 == in_database("log")
    # A copy of a query that changes something is not understood.
    wanted = {f"write:{db}/public/log", f"read:{db}/public/log", f"execute:{db}"}
    assert ["denied"] == [record.status for record in world.records]
    assert {str(access) for access in world.records[0].accesses} < wanted


@pytest.mark.parametrize("send", SENT_BY.values(), ids=SENT_BY)
def test_a_text_that_is_allowed_is_sent_and_recorded_once_by_any_way(world, connection, db, send):
    with world.acting(f"read:{db}/public/orders"):
        send(connection, "select id from orders")
    drain(connection)

    assert [(f"read:{db}/public/orders", "success")] == world.touched


@pytest.mark.parametrize(
    "query",
    [
        "set search_path = secret",
        "set role other",
        "set session authorization other",
        "select set_config('search_path', 'secret', false)",
        "listen channel",
        "notify channel, 'payload'",
        "do $$ begin delete from orders; end $$",
        "call something()",
        "select pg_read_file('x')",
        "copy orders to program 'cat'",
        "prepare p as delete from orders",
        "execute p",
        "fetch all from c",
        "lock table orders",
        "vacuum orders",
        "select $%s$ from orders; delete from orders; select $1$",
    ],
)
def test_what_may_do_anything_needs_execute_on_the_database(world, connection, db, query):
    allow = [f"{action}:{db}/**" for action in ("read", "write", "edit", "delete", "execute")]
    with world.acting(*allow), pytest.raises(AccessDeniedError):
        connection.execute(query)

    assert [(f"execute:{db}", "denied")] == world.touched


def test_transactions_and_values_need_no_permission(world, postgres):
    with psycopg.connect(postgres.dsn) as connection, world.acting("read:crm/**"):
        assert (1,) == connection.execute("select 1").fetchone()
        with connection.transaction(), connection.transaction():
            connection.execute("select 2")
        with connection.pipeline(), connection.transaction():
            connection.execute("select 3")
        read_by_server_cursor(connection, "select 4")
        connection.rollback()

    assert [] == world.touched


def test_percent_signs_are_read_as_they_are_sent(world, connection, db):
    with world.acting(f"read:{db}/public/orders"):
        query = "select id from orders where id %% 2 = %(rest)s and customer like 'a%%'"
        assert [(1,)] == connection.execute(query, {"rest": 1}).fetchall()
        assert [(1,)] == connection.execute("select id from orders where id % 2 = 1").fetchall()


@pytest.mark.parametrize("options", ["-c search_path=secret,public", "-c search_path=secret"])
def test_a_table_is_the_one_that_the_search_path_finds(world, postgres, db, options):
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("create schema secret; create table secret.orders(id int); create table secret.log(id int)")
    with psycopg.connect(postgres.dsn, options=options) as connection:
        with world.acting(f"read:{db}/public/*"), pytest.raises(AccessDeniedError, match="secret/orders"):
            connection.execute("select * from orders")
        with world.acting(f"read:{db}/public/*", f"read:{db}/secret/*"):
            assert [] == connection.execute("select * from orders").fetchall()


@pytest.mark.parametrize(
    "options", ["-c standard_conforming_strings=off", "-c search_path=public,pg_catalog", "-c search_path="]
)
def test_where_a_text_may_mean_something_else_it_needs_execute(world, postgres, db, options):
    connection = psycopg.connect(postgres.dsn, options=options)
    with connection, world.acting(f"read:{db}/**"), pytest.raises(AccessDeniedError):
        connection.execute("select * from orders")

    assert [(f"execute:{db}", "denied")] == world.touched


def test_after_a_search_path_was_changed_each_table_is_looked_for_anew(world, postgres, db):
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("create schema secret; create table secret.orders(id int)")
    with psycopg.connect(postgres.dsn) as connection:
        with world.acting(f"read:{db}/public/*", f"execute:{db}"):
            connection.execute("select * from orders")
            connection.execute("set search_path = secret")
            with pytest.raises(AccessDeniedError, match="secret/orders"):
                connection.execute("select * from orders")
            connection.rollback()
            assert 2 == len(connection.execute("select * from orders").fetchall())
        connection.execute("set search_path = secret")
        with world.acting(f"read:{db}/public/*"), pytest.raises(AccessDeniedError, match="secret/orders"):
            connection.execute("select * from orders")


def test_a_text_that_changes_between_decision_and_use_is_sent_as_it_was_decided(world, connection, db, in_database):
    class Twice(psycopg.sql.Composable):
        asked = 0

        def as_bytes(self, context=None):
            self.asked += 1
            return b"select id from orders" if self.asked == 1 else b"delete from orders"

    class Text(str):
        __slots__ = ()

        def encode(self, *_):
            return b"delete from orders"

    with world.acting(f"read:{db}/public/orders"):
        connection.execute(Twice("")).fetchall()
        connection.execute(Text("select id from orders")).fetchall()

    assert 2 == in_database("orders")


def test_a_value_that_is_merged_into_the_text_cannot_become_another_statement(world, connection, db, in_database):
    class Evil:
        pass

    class Dumper(psycopg.adapt.Dumper):
        def dump(self, value):
            return b"1"

        def quote(self, value):
            return b"1; delete from orders"

    cursor = psycopg.ClientCursor(connection)
    cursor.adapters.register_dumper(Evil, Dumper)
    with world.acting(f"read:{db}/public/orders"), pytest.raises(AccessDeniedError):
        cursor.execute("select id from orders where id = %s", (Evil(),))

    assert 2 == in_database("orders")


def test_a_prepared_statement_is_decided_again_for_another_agent(world, connection, db):
    with world.acting(f"read:{db}/public/orders"):
        connection.execute("select id from orders", prepare=True)
    with world.acting(f"read:{db}/public/log"):
        with pytest.raises(AccessDeniedError):
            connection.execute("select id from orders")
        with pytest.raises(AccessDeniedError):
            connection.pgconn.exec_prepared(b"_pg3_0", None)
        with pytest.raises(AccessDeniedError):
            connection.pgconn.send_query_prepared(b"_pg3_0", None)


def test_a_cursor_on_the_server_that_another_one_made_is_not_read(world, postgres, db):
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("declare taken cursor for select * from orders")
        with world.acting(f"read:{db}/**"), connection.cursor("taken") as cursor, pytest.raises(AccessDeniedError):
            cursor.fetchone()


def test_a_generator_made_before_the_session_is_decided_when_it_sends(world, connection, db):
    stream = connection.cursor().stream("select id from orders")
    copy = connection.cursor().copy("copy orders to stdout")

    with world.acting(f"read:{db}/public/log"):
        with pytest.raises(AccessDeniedError):
            next(stream)
        with pytest.raises(AccessDeniedError):
            copy.__enter__()


def test_a_refusal_in_a_pipeline_leaves_the_pipeline_whole(world, connection, db):
    with world.acting(f"read:{db}/public/orders"), connection.pipeline():
        first = connection.execute("select id from orders")
        with pytest.raises(AccessDeniedError):
            connection.execute("delete from orders")
        second = connection.execute("select count(*) from orders")
        assert ([(1,), (2,)], [(2,)]) == (first.fetchall(), second.fetchall())

    assert ["success", "denied", "success"] == [record.status for record in world.records]


def test_a_host_with_the_address_of_another_one_is_not_called(world, postgres):
    dsn = postgres.dsn.replace("host=127.0.0.1", "host=db.acme.example hostaddr=127.0.0.1")

    with world.acting("read:crm/**"), pytest.raises(AccessDeniedError):
        psycopg.connect(dsn)
    assert [("denied",)] == world.touched


def test_rows_that_are_copied_in_are_counted(world, connection, db, in_database):
    with world.acting(f"write:{db}/public/log"), connection.cursor().copy("copy log from stdin") as copy:
        copy.write_row(("a",))
        copy.write_row(("b",))

    assert 2 == in_database("log") == world.records[0].rows


def read_stream(cursor, after_one):
    for _ in cursor.stream("select id from orders"):
        after_one()


def read_copy(cursor, after_one):
    with cursor.copy("copy orders to stdout") as copy:
        for _ in copy:
            after_one()


def read_server_cursor(cursor, after_one):
    cursor.execute("select id from orders")
    cursor.fetchone()
    after_one()
    cursor.fetchone()


READ_BY = {"stream": read_stream, "copy": read_copy, "server cursor": read_server_cursor}


@pytest.mark.parametrize("way", READ_BY)
def test_a_reader_whose_agent_was_revoked_gets_no_more_rows(world, postgres, db, way):
    agent = world.authority.issue("bot", allow=[f"read:{db}/public/orders"])
    with psycopg.connect(postgres.dsn) as connection, world.guard.acting_as(agent):
        cursor = connection.cursor("named") if way == "server cursor" else connection.cursor()
        with pytest.raises(CredentialRevokedError):
            READ_BY[way](cursor, lambda: world.authority.revoke(agent))
        cursor.close()
        connection.rollback()

    assert "stopped" == world.records[0].status
    assert "copy" == way or 1 == world.records[0].rows


def test_an_error_of_the_server_is_a_failure(world, connection, db):
    with world.acting(f"read:{db}/public/*"), pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("select * from nosuch")

    assert [(f"read:{db}/public/nosuch", "failure")] == world.touched


def test_outside_of_a_session_nothing_is_decided_and_nothing_recorded(world, connection):
    for name, send in SENT_BY.items():
        send(connection, "select id from orders")
        drain(connection)
        if "prepare" in name:
            connection.execute("deallocate all")

    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, connection, in_database):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        connection.execute("delete from orders")
        connection.execute("notify channel")

    assert 0 == in_database("orders")
    assert ["would_deny", "would_deny"] == [record.effect for record in world.records]


# --- async -----------------------------------------------------------------------------------------------------------


async def fetch_by_server_cursor(connection, query):
    async with connection.cursor("named") as cursor:
        await cursor.execute(query)
        return await cursor.fetchall()


async def stream(connection, query):
    return [row async for row in connection.cursor().stream(query)]


async def copy(connection, query):
    async with connection.cursor().copy(f"copy ({query}) to stdout") as found:
        return [row async for row in found.rows()]


async def pipeline(connection, query):
    async with connection.pipeline():
        await connection.execute(query)


ASYNC = {
    "connection": lambda connection, query: connection.execute(query),
    "executemany": lambda connection, query: connection.cursor().executemany(query, [()]),
    "server cursor": fetch_by_server_cursor,
    "stream": stream,
    "copy": copy,
    "pipeline": pipeline,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("send", ASYNC.values(), ids=ASYNC)
async def test_async_is_decided_alike(world, postgres, db, send):
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        async with world.acting(f"read:{db}/public/orders"):
            await send(connection, "select id from orders")
        async with world.acting(f"read:{db}/public/log"):
            refused = pytest.raises(AccessDeniedError)
            with refused:
                await send(connection, "select id from orders")

    assert [(f"read:{db}/public/orders", "success"), (f"read:{db}/public/orders", "denied")] == world.touched


@pytest.mark.asyncio
async def test_two_agents_on_one_connection_at_once_are_each_decided(world, postgres, db):
    async def act(table, other):
        async with world.acting(f"read:{db}/public/{table}"):
            for _ in range(5):
                await connection.execute(f"select * from {table}")
                refused = pytest.raises(AccessDeniedError)
                with refused:
                    await connection.execute(f"select * from {other}")

    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection:
        await asyncio.gather(act("orders", "log"), act("log", "orders"))

    assert 10 == [record.status for record in world.records].count("denied")
    assert 20 == len(world.records)


@pytest.mark.asyncio
async def test_a_person_is_asked_without_holding_up_others(world, postgres, db):
    asked = asyncio.Event()

    async def approve(_request):
        asked.set()
        return True

    guard = world.make_guard(approver=approve)
    connection = await psycopg.AsyncConnection.connect(postgres.dsn)
    async with connection, world.acting(ask=[f"read:{db}/public/orders"], guard=guard):
        await connection.execute("select id from orders")

    assert asked.is_set()
    assert ["success"] == [record.status for record in world.records]
