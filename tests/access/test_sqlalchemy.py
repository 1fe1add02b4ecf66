"""SQLAlchemy: decided by the driver where that is wrapped, and before the driver hears of it elsewhere."""

from __future__ import annotations

import types

import pytest

from agentid.errors import AccessDeniedError
from agentid.guard import ObserveOnlyGuard

sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
sqlalchemy_orm = pytest.importorskip("sqlalchemy.orm", reason="SQLAlchemy is not installed")


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "app.db"
    engine = sa.create_engine(f"sqlite:///{found}")
    with engine.begin() as connection:
        connection.execute(sa.text("create table orders(id integer primary key, customer text)"))
        connection.execute(sa.text("create table log(what text)"))
        connection.execute(sa.text("insert into orders values (1, 'ada'), (2, 'bob')"))
    engine.dispose()
    return found


@pytest.fixture
def engine(path):
    found = sa.create_engine(f"sqlite:///{path}")
    yield found
    found.dispose()


# --- a driver that is wrapped ----------------------------------------------------------------------------------------


def test_a_wrapped_driver_decides_and_nothing_is_recorded_twice(world, engine, path):
    with world.acting(f"read:sqlite://{path}/main/orders"), engine.connect() as connection:
        assert [(1,), (2,)] == connection.execute(sa.text("select id from orders")).fetchall()
        with pytest.raises(AccessDeniedError):
            connection.execute(sa.text("delete from orders"))

    orders = f"sqlite://{path}/main/orders"
    assert [(f"read:{orders}", "success"), (f"delete:{orders}", "denied")] == world.touched
    assert ["SELECT orders", "DELETE orders"] == [span.name for span in world.spans]


def test_a_raw_cursor_of_a_wrapped_driver_is_decided_too(world, engine, path):
    with world.acting(f"read:sqlite://{path}/main/orders"):
        raw = engine.raw_connection()
        with pytest.raises(AccessDeniedError):
            raw.cursor().execute("delete from orders")
        with pytest.raises(AccessDeniedError):
            raw.driver_connection.execute("delete from orders")
        raw.close()


def test_objects_are_read_and_written_as_their_tables(world, engine, path):
    class Order:
        def __init__(self, number, customer):
            self.id, self.customer = number, customer

    columns = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("customer", sa.String)]
    registry = sqlalchemy_orm.registry()
    registry.map_imperatively(Order, sa.Table("orders", registry.metadata, *columns))
    with world.acting(f"read:sqlite://{path}/main/orders"), sqlalchemy_orm.Session(engine) as session:
        assert "ada" == session.get(Order, 1).customer
        session.add(Order(3, "eve"))
        with pytest.raises(AccessDeniedError):
            session.flush()
        session.rollback()


def test_postgresql_by_psycopg_is_decided_by_psycopg(world, postgres):
    db = f"postgres://{postgres.host}/postgres"
    engine = sa.create_engine(f"postgresql+psycopg://agent@{postgres.host}/postgres")
    # On its first connection, SQLAlchemy looks up a type.
    with world.acting(f"read:{db}/public/orders", f"read:{db}/pg_catalog/pg_type"), engine.connect() as connection:
        query = sa.text("select id from orders where id = :id")
        assert [(1,)] == connection.execute(query, {"id": 1}).fetchall()
        with pytest.raises(AccessDeniedError):
            connection.execute(sa.text("delete from orders"))
        with pytest.raises(AccessDeniedError):
            connection.connection.cursor().execute("delete from orders")
    engine.dispose()

    denied = (f"delete:{db}/public/orders", "denied")
    assert [(f"read:{db}/pg_catalog/pg_type", "success"), (f"read:{db}/public/orders", "success")] == world.touched[:2]
    assert [denied, denied] == [touch for touch in world.touched if touch[-1] == "denied"]


@pytest.mark.asyncio
@pytest.mark.parametrize("driver", ["aiosqlite", "psycopg"])
async def test_async_engines_are_decided_by_their_drivers(world, path, request, driver):
    pytest.importorskip("greenlet", reason="greenlet is not installed, which async SQLAlchemy needs")
    pytest.importorskip(driver, reason=f"{driver} is not installed")
    from sqlalchemy.ext.asyncio import create_async_engine

    if driver == "aiosqlite":
        db, url = f"sqlite://{path}/main", f"sqlite+aiosqlite:///{path}"
    else:
        host = request.getfixturevalue("postgres").host
        db, url = f"postgres://{host}/postgres/public", f"postgresql+psycopg://agent@{host}/postgres"
    engine = create_async_engine(url)
    async with engine.connect() as connection:  # the first one, in which SQLAlchemy looks around
        await connection.execute(sa.text("select 1"))
    async with world.acting(f"read:{db}/orders"), engine.connect() as connection:
        assert 2 == len((await connection.execute(sa.text("select id from orders"))).fetchall())
        with pytest.raises(AccessDeniedError):
            await connection.execute(sa.text("delete from orders"))
    await engine.dispose()

    assert [(f"read:{db}/orders", "success"), (f"delete:{db}/orders", "denied")] == world.touched


# --- a driver that is not --------------------------------------------------------------------------------------------


class Driver:
    """A driver of a server that answers each text with nothing, and remembers it."""

    paramstyle = "format"
    Error = type("Error", (Exception,), {})

    def __init__(self):
        self.sent = []

    def connect(self, *_args, **_options):
        return types.SimpleNamespace(
            cursor=lambda: Cursor(self.sent), commit=lambda: None, rollback=lambda: None, close=lambda: None
        )


class Cursor:
    description = None
    rowcount = 3

    def __init__(self, sent):
        self.sent = sent

    def execute(self, text, parameters=None):
        self.sent.append(text)

    executemany = execute

    def close(self):
        """Nothing."""


@pytest.fixture
def driver():
    return Driver()


@pytest.fixture
def shop(driver, monkeypatch):
    """An engine of a MySQL server, by a driver that nobody knows."""
    from sqlalchemy.dialects import registry
    from sqlalchemy.engine.default import DefaultDialect

    class Dialect(DefaultDialect):
        name = "mysql"
        supports_statement_cache = True
        default_paramstyle = "format"

        def initialize(self, connection):
            """Ask nothing."""

    monkeypatch.setitem(registry.impls, "mysql.unknown", lambda: Dialect)
    engine = sa.create_engine("mysql+unknown://db.acme.example/shop", module=driver)
    yield engine
    engine.dispose()


def test_what_an_unknown_driver_sends_is_decided_and_recorded(world, shop, driver):
    with world.acting("edit:mysql://db.acme.example:3306/shop/orders"), shop.connect() as connection:
        connection.execute(sa.text("update orders set customer = 'secret'"))

    assert ["update orders set customer = 'secret'"] == driver.sent
    assert [("edit:mysql://db.acme.example:3306/shop/orders", "success")] == world.touched
    (span,) = world.spans
    assert ("UPDATE shop.orders", "CLIENT") == (span.name, span.kind.name)
    attributes = dict(span.attributes)
    assert ("mysql", "shop", "db.acme.example", 3306) == tuple(
        attributes[name] for name in ("db.system.name", "db.namespace", "server.address", "server.port")
    )
    assert 3 == world.records[0].rows
    assert "secret" not in repr([span.to_json(), world.records, world.audit.lines])


ORDERS = sa.table("orders", sa.column("id"), sa.column("customer"))


@pytest.mark.parametrize(
    "send",
    [
        lambda connection: connection.execute(sa.text("delete from orders")),
        lambda connection: connection.exec_driver_sql("delete from orders"),
        lambda connection: connection.execution_options(no_parameters=True).exec_driver_sql("delete from orders"),
        lambda connection: connection.execute(sa.delete(ORDERS)),
        lambda connection: connection.execute(sa.insert(ORDERS), [{"id": 1}, {"id": 2}]),
        lambda connection: connection.exec_driver_sql("insert into orders values (%s)", [(1,), (2,)]),
        lambda connection: connection._cursor_execute(connection.connection.cursor(), "delete from orders", ()),
        lambda connection: connection.scalar(sa.text("select 1; delete from orders")),
    ],
    ids=["text", "driver_sql", "no parameters", "core", "many", "driver_sql many", "private", "second statement"],
)
def test_what_is_not_allowed_does_not_reach_the_driver(world, shop, driver, send):
    acting = world.acting("read:mysql://db.acme.example:3306/shop/*")
    with acting, shop.connect() as connection, pytest.raises(AccessDeniedError):
        send(connection)

    assert [] == driver.sent
    assert ["denied"] == [record.status for record in world.records]


def test_what_an_event_makes_of_a_text_is_decided_again(world, shop, driver):
    @sa.event.listens_for(shop, "before_cursor_execute", retval=True)
    def change(_connection, _cursor, statement, parameters, _context, _many):
        return statement.replace("orders", "customers"), parameters

    acting = world.acting("edit:mysql://db.acme.example:3306/shop/orders")
    with acting, shop.connect() as connection, pytest.raises(AccessDeniedError, match="shop/customers"):
        connection.execute(sa.text("update orders set customer = 1"))

    assert [] == driver.sent


def test_an_event_that_adds_a_comment_changes_nothing(world, shop, driver):
    @sa.event.listens_for(shop, "before_cursor_execute", retval=True)
    def comment(_connection, _cursor, statement, parameters, _context, _many):
        return f"{statement} /* from here */", parameters

    with world.acting("edit:mysql://db.acme.example:3306/shop/orders"), shop.connect() as connection:
        connection.execute(sa.text("update orders set customer = 1"))

    assert ["update orders set customer = 1 /* from here */"] == driver.sent
    assert ["success"] == [record.status for record in world.records]


def test_an_event_hears_nothing_of_what_is_refused(world, shop):
    heard = []
    sa.event.listen(shop, "before_cursor_execute", lambda *event: heard.append(event[2]))

    with world.acting("read:crm/**"), shop.connect() as connection, pytest.raises(AccessDeniedError):
        connection.execute(sa.text("delete from orders"))

    assert [] == heard


def test_what_is_not_understood_needs_execute_on_the_database(world, shop, driver):
    with world.acting("execute:mysql://db.acme.example:3306/shop"), shop.connect() as connection:
        connection.execute(sa.text("use other"))
        with pytest.raises(AccessDeniedError):
            connection.execute(sa.text("delete from orders"))

    assert ["use other"] == driver.sent


def test_a_dialect_that_cannot_be_read_needs_execute(world, shop, driver):
    shop.dialect.name = "oracle"

    with world.acting("read:crm/**"), shop.connect() as connection, pytest.raises(AccessDeniedError):
        connection.execute(sa.text("select 1"))

    assert [("execute:oracle://db.acme.example/shop", "denied")] == world.touched


def test_outside_of_a_session_nothing_is_decided_and_nothing_recorded(world, shop, driver):
    with shop.connect() as connection:
        connection.execute(sa.text("delete from orders"))

    assert ["delete from orders"] == driver.sent
    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, shop, driver):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)), shop.connect() as connection:
        connection.execute(sa.text("delete from orders"))

    assert ["delete from orders"] == driver.sent
    assert ["would_deny"] == [record.effect for record in world.records]


def test_it_can_be_installed_again_without_deciding_twice(world, installed, shop, driver):
    installed.remove()
    installed.turn_on()

    with world.acting("edit:mysql://db.acme.example:3306/shop/orders"), shop.connect() as connection:
        connection.execute(sa.text("update orders set customer = 1"))

    assert 1 == len(world.records)


def test_reflection_reads_the_tables_that_it_describes(world, engine, path):
    db = f"sqlite://{path}/main"
    with world.acting(f"read:{db}/orders", f"read:{db}/sqlite_master"):
        inspector = sa.inspect(engine)
        assert ["id", "customer"] == [column["name"] for column in inspector.get_columns("orders")]
        with pytest.raises(AccessDeniedError):
            inspector.get_columns("log")
