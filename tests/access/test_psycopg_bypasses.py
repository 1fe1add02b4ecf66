"""`psycopg`: what was tried to get around its wrappers, each by a test of its own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

from agentid.errors import AccessDeniedError
from agentid.guard.session import NobodyActing

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

refused = pytest.raises(AccessDeniedError)


@pytest.fixture
def connection(postgres):
    """Made before the session, as most are."""
    with psycopg.connect(postgres.dsn, autocommit=True) as found:
        yield found


@pytest.fixture
def db(postgres):
    return f"postgres://{postgres.host}/postgres"


@pytest.fixture
def logged(postgres):
    """How many rows `log` has, as another connection sees it outside of sessions."""

    def look():
        with NobodyActing(), psycopg.connect(postgres.dsn) as other:
            return other.execute("select count(*) from log").fetchone()[0]

    return look


# --- two agents ------------------------------------------------------------------------------------------------------


def by_server_cursor(connection):
    with connection.transaction(), connection.cursor("named") as cursor:
        cursor.execute("select id from orders")
        yield from iter(cursor.fetchone, None)


def by_copy(connection):
    with connection.cursor().copy("copy (select id from orders) to stdout") as copy:
        yield from copy.rows()


@pytest.mark.parametrize(
    "rows_of",
    [by_server_cursor, by_copy, lambda connection: connection.cursor().stream("select id from orders")],
    ids=["server cursor", "copy", "stream"],
)
def test_rows_that_another_agent_hands_over_are_read_only_by_who_may(world, connection, db, rows_of):
    orders = f"read:{db}/public/orders"
    with world.acting(orders):
        rows = rows_of(connection)
        next(rows)
        with world.acting(orders):
            next(rows)
        with world.acting("read:crm/x"), refused:
            next(rows)
        rows.close()

    assert [orders] * 3 == [touched[0] for touched in world.touched]
    assert 1 == [record.status for record in world.records].count("denied")


# --- what is put into a text, or into a queue ------------------------------------------------------------------------


def adapted(connection, *, kind=None, quoted):
    """A value that a client-side cursor merges into a text as *quoted*; of *kind*, which then is written like that."""

    class Evil:
        pass

    class Dumper(psycopg.adapt.Dumper):
        def dump(self, value):
            return b"1"

        def quote(self, value):
            return quoted() if callable(quoted) else quoted

    connection.adapters.register_dumper(kind or Evil, Dumper)
    return Evil()


@pytest.mark.parametrize(
    "quoted",
    [b"1 union select id from customers", b"1; insert into log values ('x')", b"(select max(id) from customers)"],
)
def test_a_value_that_is_merged_into_a_text_of_a_pipeline_touches_nothing_else(world, connection, db, logged, quoted):
    value = adapted(connection, quoted=quoted)
    with world.acting(f"read:{db}/public/orders"), connection.pipeline():
        first = connection.execute("select id from orders")
        with refused:
            psycopg.ClientCursor(connection).execute("select id from orders where id = %s", (value,))
        second = connection.execute("select count(*) from orders")
        assert ([(1,), (2,)], [(2,)]) == (first.fetchall(), second.fetchall())

    assert 0 == logged()
    assert "denied" in [record.status for record in world.records]


def test_a_command_that_is_put_into_the_queue_of_a_pipeline_is_decided_when_it_leaves_it(world, connection, db, logged):
    send = functools.partial(connection.pgconn.send_query_params, b"insert into log values ('x')", None)
    with world.acting(f"read:{db}/public/orders"), connection.pipeline() as pipeline:
        pipeline.command_queue.append(send)
        pipeline.result_queue.append(None)
        with refused:
            pipeline.sync()
        assert [(2,)] == connection.execute("select count(*) from orders").fetchall()

    assert 0 == logged()
    assert (f"write:{db}/public/log", "denied") in world.touched


def test_a_transaction_in_a_pipeline_needs_no_permission_of_its_own(world, connection, db, logged):
    with world.acting(f"write:{db}/public/log"), connection.pipeline(), connection.transaction():
        connection.cursor().executemany("insert into log values (%s)", [("x",), ("y",)])
        with connection.transaction():
            connection.execute("insert into log values ('z')")

    assert 3 == logged()


def test_a_value_cannot_run_what_somebody_else_has_prepared(world, connection, db, logged):
    connection.pgconn.prepare(b"theirs", b"insert into log values ('x')")
    connection.pgconn.prepare(b"theirs", b"select id from orders")  # fails: there is one of that name
    value = adapted(connection, quoted=lambda: bytes(connection.pgconn.exec_prepared(b"theirs", None).status))
    with world.acting(f"read:{db}/public/orders"), refused:
        psycopg.ClientCursor(connection).execute("select id from orders where id = %s", (value,))

    assert 0 == logged()


@pytest.mark.parametrize("way", ["fetchone", "scroll"])
def test_a_number_of_rows_cannot_become_another_statement(world, connection, db, logged, way):
    with world.acting(f"read:{db}/public/orders"), connection.transaction(), connection.cursor("named") as cursor:
        cursor.execute("select id from orders")
        adapted(connection, kind=int, quoted=b"1 FROM \"named\"; insert into log values ('x'); FETCH FORWARD 1")
        with refused:
            getattr(cursor, way)(*([1] if way == "scroll" else []))

    assert 0 == logged()


def test_a_cursor_that_takes_the_name_of_another_one_is_not_read(world, connection, db):
    with connection.transaction():
        connection.execute('declare "theirs" cursor for select name from customers')
        with world.acting(f"read:{db}/public/orders"), connection.cursor("mine") as cursor:
            cursor.execute("select id from orders")
            cursor._name = "theirs"
            with refused:
                cursor.fetchone()


def test_a_cursor_of_the_server_is_moved_and_read_and_closed_under_one_access(world, connection, db):
    with world.acting(f"read:{db}/public/orders"), connection.transaction():
        with connection.cursor('a "name"', scrollable=True) as cursor:
            cursor.execute("select id from orders")
            cursor.scroll(1)
            assert [(2,)] == cursor.fetchmany(5)
            cursor.scroll(-1)
            cursor.scroll(0, mode="absolute")
            assert [(1,), (2,)] == cursor.fetchall()
        connection.cursor("never 'opened'").close()

    assert [(f"read:{db}/public/orders", "success")] == world.touched
    assert 3 == world.records[0].rows


# --- which server ----------------------------------------------------------------------------------------------------

NAMED = "postgres://db.acme.example"


@pytest.fixture
def elsewhere(postgres):
    """How to connect to what has the name of a host, and would be somewhere else by its address."""
    return f"host=db.acme.example port={postgres.port} user=agent dbname=postgres"


def test_an_address_from_the_environment_does_not_replace_the_host(world, elsewhere, monkeypatch):
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    with world.acting(f"read:{NAMED}:5432/**"), refused:
        psycopg.connect(elsewhere)

    assert [("denied",)] == world.touched


@pytest.mark.asyncio
async def test_an_address_from_the_environment_does_not_replace_the_host_of_async(world, elsewhere, monkeypatch):
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    with world.acting(f"read:{NAMED}:5432/**"), refused:
        await psycopg.AsyncConnection.connect(elsewhere)


@pytest.fixture
def service(elsewhere, tmp_path, monkeypatch):
    file = tmp_path / "services"
    file.write_text("[shop]\nhostaddr=127.0.0.1\n" + elsewhere.replace(" ", "\n") + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    return "shop"


def test_a_service_of_the_environment_has_one_host(world, service, monkeypatch):
    monkeypatch.setenv("PGSERVICE", service)
    with world.acting(f"read:{NAMED}:5432/**"), refused:
        psycopg.connect("")


def test_a_service_is_named_by_the_address_that_is_called(world, service, postgres, db):
    with world.acting(f"read:{NAMED}:{postgres.port}/**"), psycopg.connect(f"service={service}") as connection, refused:
        connection.execute("select id from orders")

    assert [(f"read:{db}/public/orders", "denied")] == world.touched


@pytest.mark.parametrize("method", ["connect", "connect_start"])
def test_a_raw_connection_has_one_host(world, elsewhere, method):
    with world.acting(f"read:{NAMED}:5432/**"), refused:
        getattr(psycopg.pq.PGconn, method)(f"{elsewhere} hostaddr=127.0.0.1".encode())


def test_connections_to_a_name_are_made_as_before(world, postgres):
    dsn = postgres.dsn.replace("127.0.0.1", "localhost")
    with world.acting(f"read:postgres://localhost:{postgres.port}/**"):
        with psycopg.connect(dsn) as connection:
            assert [(2,)] == connection.execute("select count(*) from orders").fetchall()
        raw = psycopg.pq.PGconn.connect(dsn.encode())
        assert b"2" == raw.exec_(b"select count(*) from orders").get_value(0, 0)


# --- temporary tables ------------------------------------------------------------------------------------------------


def test_a_temporary_table_that_hides_another_one_is_read_and_written_by_its_own_name(world, connection, db):
    temporary, orders = f"{db}/pg_temp/orders", f"{db}/public/orders"
    with world.acting(f"read:{db}/public/customers", f"write:{temporary}"):
        connection.execute("create temp table orders as select id, name as customer from customers")
        with refused:
            connection.execute("select * from orders")
    with world.acting(f"read:{orders}", f"write:{orders}"):
        for query in ("select * from orders", "insert into orders values (3, 'eve')", "table orders"):
            with refused:
                connection.execute(query)
        assert [(1,), (2,)] == connection.execute("select id from public.orders").fetchall()
    with world.acting(f"read:{temporary}"):
        assert [("Ada",)] == connection.execute("select customer from orders").fetchall()


def test_a_temporary_view_gives_nothing_to_who_may_read_what_it_hides(world, connection, db):
    connection.execute("create temp view orders as select id, name as customer from customers")
    with world.acting(f"read:{db}/public/orders"), refused:
        connection.execute("select * from orders")


def test_what_is_made_beside_a_temporary_table_is_named_by_its_schema(world, connection, db):
    connection.execute("create temp table fresh(id int)")
    with world.acting(f"write:{db}/pg_temp/fresh"), refused:
        connection.execute("create table fresh(id int)")
    with world.acting(f"write:{db}/pg_temp/fresh", f"read:{db}/public/orders"), refused:
        connection.execute("select * into fresh from orders")
    with world.acting(f"write:{db}/public/fresh"):
        connection.execute("create table fresh(id int)")


@pytest.mark.parametrize("path", ["public, pg_temp", "pg_temp, public"])
def test_where_the_path_says_when_temporary_tables_are_looked_for_both_may_be_meant(world, connection, db, path):
    connection.execute("create temp table orders(id int)")
    connection.execute(f"set search_path = {path}")
    for allowed in (f"read:{db}/public/orders", f"read:{db}/pg_temp/orders"):
        with world.acting(allowed), refused:
            connection.execute("select id from orders")
    with world.acting(f"read:{db}/public/orders", f"read:{db}/pg_temp/orders"):
        connection.execute("select id from orders")


def test_after_a_temporary_table_is_gone_its_name_means_another_one(world, connection, db):
    with world.acting(f"write:{db}/pg_temp/orders", f"delete:{db}/pg_temp/orders", f"read:{db}/public/orders"):
        connection.execute("create temp table orders(id int)")
        connection.execute("drop table orders")
        assert [(1,), (2,)] == connection.execute("select id from orders").fetchall()


# --- other classes and other implementations -------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["ServerCursor", "RawServerCursor", "ClientCursor", "RawCursor", "Cursor"])
def test_a_cursor_of_a_class_of_ones_own_is_decided(world, connection, db, base):
    if not hasattr(psycopg, base):
        pytest.skip("this psycopg has no such cursor")
    own = type("Own", (getattr(psycopg, base),), {})
    connection.cursor_factory = connection.server_cursor_factory = own
    arguments = ["named"] if "Server" in base else []
    acting = world.acting(f"read:{db}/public/orders")
    with acting, connection.transaction(), connection.cursor(*arguments) as cursor:
        with refused:
            cursor.execute("select name from customers")
        assert [(1,), (2,)] == cursor.execute("select id from orders").fetchall()


IN_PYTHON = """
import sys
import psycopg
import agentid.access
from agentid import Authority, Guard

connection = psycopg.connect(sys.argv[1], autocommit=True)
authority, records = Authority.create("acme.example"), []
agentid.access.install(strict=True)
agent = authority.issue("bot", allow=[f"read:{sys.argv[2]}/public/orders"])
with Guard(authority.trust, observers=[records.append]).acting_as(agent):
    connection.execute("select id from orders where customer <> %s", ("eve",)).fetchall()
    psycopg.ClientCursor(connection).execute("select id from orders where customer <> %s", ("eve",)).fetchall()
    with connection.cursor().copy("copy orders to stdout") as copy:
        list(copy.rows())
    try:
        connection.execute("select name from customers")
    except agentid.errors.AccessDeniedError:
        pass
print(psycopg.pq.__impl__, *(f"{record.status}:{record.rows}" for record in records))
"""


def test_where_psycopg_is_written_in_python_its_own_memory_is_no_second_door(postgres, db):
    environment = {**os.environ, "PSYCOPG_IMPL": "python"}
    command = [sys.executable, "-c"]
    if subprocess.run([*command, "import psycopg"], env=environment, capture_output=True, check=False).returncode:
        pytest.skip("libpq is not installed")
    found = subprocess.run(
        [*command, IN_PYTHON, postgres.dsn, db], env=environment, capture_output=True, text=True, check=False
    )

    assert ("python success:2 success:2 success:2 denied:None", "") == (found.stdout.strip(), found.stderr)


def test_what_is_no_address_of_a_server_fails_as_before(world):
    with world.acting("read:crm/x"):
        with pytest.raises(psycopg.ProgrammingError):
            psycopg.connect("host")
        assert b"" != psycopg.pq.PGconn.connect(b"host").get_error_message().encode()

    assert [] == world.touched


# --- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "select o.peek from orders o",
        "select (o).peek from orders o",
        "select orders.peek from orders",
        'select public.orders."peek" from orders',
        "select id from orders o where o.peek = 'Ada'",
        "select id from orders o order by o.peek",
        "select (select o.peek) from orders o",
        "select o.any_peek from orders o",
        "select o.any_peek from (select 1) o",
    ],
)
def test_a_function_that_is_written_as_a_column_is_a_function(world, connection, db, query):
    body = "returns text language sql as 'select name from customers limit 1'"
    connection.execute(f"create function peek(orders) {body}")
    connection.execute(f"create function any_peek(anyelement) {body}")
    with world.acting(f"read:{db}/public/orders"):
        with refused:
            connection.execute(query)
        assert [("ada",)] == connection.execute("select o.customer from orders o where (o).id = 1").fetchall()
