"""`sqlite3`: each statement decided by what SQLite says that it touches, and every way around statements."""

from __future__ import annotations

import gc
import sqlite3
import threading
from contextlib import closing

import pytest

from agentid.access.databases.sqlite_events import Places
from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard, propagate
from tests.systems import needs_blobs, needs_serialize

SCHEMA = """
create table orders(id integer primary key, customer text, amount int);
create table customers(id integer primary key, name text);
create table log(what text);
create view big as select * from orders where amount > 10;
create trigger noted after insert on orders begin insert into log values('new'); end;
insert into orders values (1, 'ada', 5), (2, 'bob', 50);
insert into customers values (1, 'Ada');
delete from log;
"""


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "app.db"
    with sqlite3.connect(found) as connection:
        connection.executescript(SCHEMA)
    connection.close()
    return found


@pytest.fixture
def connection(path):
    """Made before the session, as most are."""
    found = sqlite3.connect(path)
    yield found
    found.close()


@pytest.fixture
def db(path):
    return f"sqlite://{path}"


def rows_in(path, table="orders"):
    other = sqlite3.connect(path)
    try:
        return other.execute(f"select count(*) from {table}").fetchone()[0]
    finally:
        other.close()


# --- what a statement touches ----------------------------------------------------------------------------------------


def test_a_query_that_is_allowed_runs_and_is_recorded_with_its_rows(world, connection, db):
    with world.acting(f"read:{db}/main/orders"):
        assert [(1,), (2,)] == connection.execute("select id from orders where customer <> 'secret'").fetchall()

    assert [(f"read:{db}/main/orders", "success")] == world.touched
    (span,) = world.spans
    assert ("SELECT orders", "INTERNAL") == (span.name, span.kind.name)
    attributes = dict(span.attributes)
    assert ("sqlite", db[9:], "orders", "SELECT", 2) == tuple(
        attributes[f"db.{name}"]
        for name in ("system.name", "namespace", "collection.name", "operation.name", "response.returned_rows")
    )
    assert 2 == world.records[0].rows
    assert "secret" not in repr([span.to_json(), world.records, world.audit.lines])


@pytest.mark.parametrize(
    ("statement", "accesses"),
    [
        ("select count(*) from orders", ["read:orders"]),
        ("select count(*) from ORDERS", ["read:orders"]),
        ("select 1 from main.Orders", ["read:orders"]),
        ("select exists(select 1 from orders)", ["read:orders"]),
        ("select name from customers join orders using (id)", ["read:customers", "read:orders"]),
        ("with o as (select * from orders) select count(*) from o", ["read:orders"]),
        ("with o as (select 1) select count(*) from o", []),
        ("select 1", []),
        ("values (1)", []),
        ("select id from big", ["read:orders", "read:big"]),
        ("select count(*) from big", ["read:orders"]),
        ("insert into customers values (2, 'Bob')", ["write:customers"]),
        ("insert into customers values (2, 'Bob') returning name", ["write:customers", "read:customers"]),
        ("insert into orders values (3, 'x', 1)", ["write:orders", "write:log"]),
        ("insert into log select customer from orders", ["write:log", "read:orders"]),
        ("insert or replace into customers values (1, 'Bob')", ["write:customers", "delete:customers"]),
        ("replace/* */into customers values (1, 'Bob')", ["write:customers", "delete:customers"]),
        ("update/**/or/**/replace customers set id = 1", ["edit:customers", "delete:customers"]),
        ("insert into customers values (2, 'please replace')", ["write:customers"]),
        ("insert into customers values (2, replace('a', 'b', 'c'))", ["write:customers"]),
        (
            "insert into customers values (1, 'B') on conflict(id) do update set name = 'B'",
            ["write:customers", "read:customers", "edit:customers"],
        ),
        ("update customers set name = 'B'", ["edit:customers"]),
        ("update customers set name = 'B' where id = 1", ["edit:customers", "read:customers"]),
        ("delete from customers", ["delete:customers"]),
        ("create table New(a primary key)", ["edit:new"]),
        ("create table if not exists log(a)", ["edit:log"]),
        ("create table copied as select name from sqlite_master", ["edit:copied", "read:sqlite_master"]),
        ("create index fast on orders(amount)", ["edit:orders"]),
        ("create view v as select * from customers", ["edit:v"]),
        ("create trigger t after delete on customers begin delete from orders; end", ["edit:customers"]),
        ("alter table customers add column mail", ["edit:customers"]),
        ("drop table customers", ["delete:customers"]),
        ("drop view big", ["delete:big"]),
        ("drop trigger noted", ["edit:orders"]),
        ("select sql from sqlite_schema", ["read:sqlite_master"]),
        ("select count(*) from sqlite_master", ["read:sqlite_master"]),
        ("pragma table_info(customers)", ["read:customers"]),
        ("pragma foreign_keys = on", []),
        ("explain delete from customers", ["delete:customers"]),
        ("begin", []),
        ("-- nothing", []),
        ("select value from json_each('[1]')", ["read:json_each"]),
        ("insert into log select value from json_each('[1]')", ["write:log", "read:json_each"]),
    ],
)
def test_what_a_statement_touches_is_what_is_decided(world, connection, db, statement, accesses):
    guard = world.make_guard(ObserveOnlyGuard)
    expected = {f"{action}:{db}/main/{table}" for action, table in (access.split(":") for access in accesses)}

    with world.acting(guard=guard):
        connection.execute(statement)
        connection.rollback()

    assert expected == {str(access) for record in world.records for access in record.accesses}
    assert len(accesses) > 0 or [] == world.records


@pytest.mark.parametrize(
    "statement",
    [
        "vacuum",
        "analyze",
        "reindex",
        "pragma writable_schema = on",
        "pragma optimize",
        "alter table customers rename to mine",
        "select load_extension('x')",
        "attach ? as other",
        "attach 'file:x?mode=ro' as other",
        "create virtual table v using csv(filename='x')",
    ],
)
def test_what_may_do_anything_needs_execute_on_the_database(world, connection, db, statement):
    allow = [f"{action}:{db}/**" for action in ("read", "write", "edit", "delete", "execute")]
    with world.acting(*allow), pytest.raises(AccessDeniedError):
        connection.execute(statement, ("x",) if "?" in statement and "file:" not in statement else ())

    assert "denied" == world.records[0].status
    assert f"execute:{db}" in map(str, world.records[0].accesses)


@pytest.mark.parametrize("cursor", [False, True], ids=["connection", "cursor"])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("execute", ("insert into customers values (2, 'Bob')",)),
        ("executemany", ("insert into customers values (?, ?)", [(2, "Bob"), (3, "Eve")])),
        ("executescript", ("select 1; insert into customers values (2, 'Bob');",)),
    ],
)
def test_a_statement_that_is_not_allowed_does_not_run_by_any_method(
    world, connection, path, db, method, arguments, cursor
):
    target = connection.cursor() if cursor else connection

    with world.acting(f"read:{db}/**"), pytest.raises(AccessDeniedError):
        getattr(target, method)(*arguments)
    connection.commit()

    assert 1 == rows_in(path, "customers")
    assert [(f"write:{db}/main/customers", "denied")] == world.touched


def test_rows_that_were_changed_are_counted(world, connection, db):
    with world.acting(f"write:{db}/main/customers"):
        connection.executemany("insert into customers values (?, ?)", [(2, "Bob"), (3, "Eve")])

    assert [2] == [record.rows for record in world.records]


def test_a_text_that_reads_differently_the_second_time_is_decided_as_it_is_sent(world, connection, path, db):
    class Text(str):
        __slots__ = ()

        def __str__(self):
            return "select 1"

    with world.acting(f"read:{db}/**"), pytest.raises(AccessDeniedError):
        connection.execute(Text("delete from orders"))


def test_an_error_of_sqlite_is_the_same_error_and_comes_after_the_decision(world, connection, db):
    with world.acting(f"read:{db}/main/orders"):
        with pytest.raises(sqlite3.OperationalError, match="no such table: nosuch"):
            connection.execute("select * from nosuch")
        with pytest.raises(sqlite3.OperationalError, match="no such table: nosuch"):
            connection.execute("insert into nosuch values (1)")
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            connection.execute("select id, nosuch from orders")
        with pytest.raises(AccessDeniedError):
            connection.execute("select id, nosuch from customers")
        with pytest.raises((sqlite3.Warning, sqlite3.ProgrammingError)):
            connection.execute("select 1; select 2")
        with pytest.raises(TypeError):
            connection.execute(1)

    assert ["failure", "denied"] == [record.status for record in world.records]


def test_a_table_is_looked_up_once_however_many_columns_are_read(world, connection, db, monkeypatch):
    """SQLite tells of each column, and a table may have thousands."""
    looked_up, look_up = [], Places.tables
    monkeypatch.setattr(Places, "tables", lambda *args: looked_up.append(args[1:]) or look_up(*args))
    with world.acting(f"read:{db}/main/orders"):
        connection.execute("select id, customer, amount from orders where amount > 1").fetchall()

    assert [("main", "orders")] == looked_up


def test_a_database_in_memory_has_a_name_of_its_own(world):
    with world.acting("edit:sqlite://memory/main/t", "edit:sqlite://memory/temp/u"):
        connection = sqlite3.connect(":memory:")
        connection.execute("create table t(a)")
        connection.execute("create temp table u(a)")
        with pytest.raises(AccessDeniedError):
            connection.execute("select * from t")
    connection.close()


def test_a_database_is_named_by_where_links_lead(world, path, db, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    connection = sqlite3.connect(link)

    with world.acting(f"read:{db}/main/orders"):
        assert [(2,)] == connection.execute("select count(*) from orders").fetchall()
    connection.close()


# --- known ways around -----------------------------------------------------------------------------------------------


def test_a_statement_from_the_cache_is_decided_again_for_another_agent(world, connection, db):
    with world.acting(f"read:{db}/main/orders"):
        connection.execute("select * from orders").fetchall()
    with world.acting(f"read:{db}/main/customers"), pytest.raises(AccessDeniedError):
        connection.execute("select * from orders")

    assert ["success", "denied"] == [record.status for record in world.records]


def test_backup_needs_the_whole_of_both_databases(world, connection, db, tmp_path):
    target = sqlite3.connect(tmp_path / "copy.db")
    with world.acting(f"read:{db}/**", f"edit:sqlite://{tmp_path}/copy.db"), pytest.raises(AccessDeniedError):
        connection.backup(target)
    with world.acting(f"read:{db}"), pytest.raises(AccessDeniedError):
        connection.backup(target)
    assert [] == target.execute("select * from sqlite_master").fetchall()

    with world.acting(f"read:{db}", f"edit:sqlite://{tmp_path}/copy.db"):
        connection.backup(target)
    assert 2 == rows_in(tmp_path / "copy.db")
    target.close()


@needs_serialize
def test_serialize_and_deserialize_need_the_whole_database(world, connection, path, db):
    with world.acting(f"read:{db}/**", f"edit:{db}/**"):
        with pytest.raises(AccessDeniedError):
            connection.serialize()
        with pytest.raises(AccessDeniedError):
            connection.deserialize(b"")
    with world.acting(f"read:{db}", f"edit:{db}"):
        content = connection.serialize()
        connection.deserialize(content)
    assert path.read_bytes() == content
    with world.acting(f"read:{db}/**"), pytest.raises(AccessDeniedError, match="sqlite://memory/main/orders"):
        connection.execute("select * from orders")


def test_a_dump_reads_each_table_that_it_writes_down(world, connection, db):
    # From Python 3.13 on a dump looks first whether keys point nowhere, which is a pragma.
    allowed = (f"read:{db}", f"read:{db}/main/sqlite_master", f"read:{db}/main/customers")
    with world.acting(*allowed), pytest.raises(AccessDeniedError):
        list(connection.iterdump())

    assert (f"read:{db}/main/log", "denied") in world.touched


@needs_blobs
def test_a_blob_is_read_and_edited_only_with_permission(world, connection, db):
    with world.acting(f"read:{db}/main/log"):
        with pytest.raises(AccessDeniedError):
            connection.blobopen("log", "what", 1)
        with pytest.raises(AccessDeniedError):
            connection.blobopen("Orders", "customer", 1, readonly=True)
    with world.acting(f"read:{db}/main/orders"), connection.blobopen("orders", "customer", 1, readonly=True) as blob:
        assert b"ada" == blob.read()


def test_a_script_is_decided_statement_by_statement(world, connection, path, db):
    script = """
    create table made(a); insert into made values ('a;b'); -- a comment; with one
    create trigger t after insert on made begin select 1; end;
    insert into made values (2); select * from customers; insert into made values (3)
    """
    with world.acting(f"edit:{db}/main/made", f"write:{db}/main/made"), pytest.raises(AccessDeniedError):
        connection.executescript(script)

    assert 2 == rows_in(path, "made")
    assert ["success"] * 4 + ["denied"] == [record.status for record in world.records]
    assert "" == connection.isolation_level


def test_a_script_keeps_its_transactions(world, connection, path, db):
    connection.execute("insert into log values ('pending')")
    with world.acting(f"write:{db}/main/log"):
        connection.executescript("begin; insert into log values ('a'); rollback; insert into log values ('b')")

    assert 2 == rows_in(path, "log")
    assert not connection.in_transaction


def test_attaching_needs_the_other_database_and_its_tables(world, connection, db, tmp_path):
    other = sqlite3.connect(tmp_path / "other.db")
    other.executescript("create table secret(a); insert into secret values (1)")
    other.close()
    name = f"sqlite://{tmp_path}/other.db"

    with world.acting(f"read:{db}/**"), pytest.raises(AccessDeniedError):
        connection.execute(f"attach '{tmp_path}/other.db' as other")
    with world.acting(f"read:{db}/**", f"read:{name}"):
        connection.execute(f"attach '{tmp_path}/other.db' as other")
        with pytest.raises(AccessDeniedError):
            connection.execute("select * from secret")
        with pytest.raises(AccessDeniedError):
            connection.execute("select count(*) from secret")
    with world.acting(f"read:{name}/other/secret"):
        assert [(1,)] == connection.execute("select * from secret").fetchall()


def test_attaching_a_file_that_is_not_there_is_a_write(world, connection, db, tmp_path):
    with world.acting(f"read:sqlite://{tmp_path}/**"), pytest.raises(AccessDeniedError):
        connection.execute(f"attach '{tmp_path}/new.db' as other")

    assert not (tmp_path / "new.db").exists()


def test_vacuum_into_another_file_needs_that_file_too(world, connection, db, tmp_path):
    with world.acting(f"execute:{db}"), pytest.raises(AccessDeniedError):
        connection.execute(f"vacuum into '{tmp_path}/stolen.db'")
    with world.acting(f"execute:{db}"):
        connection.execute("vacuum")

    assert not (tmp_path / "stolen.db").exists() or b"" == (tmp_path / "stolen.db").read_bytes()


def test_a_pragma_that_is_read_as_a_table_is_decided_for_each_table(world, connection, db):
    allow = [f"read:{db}/main/{table}" for table in ("pragma_table_info", "sqlite_master", "orders")]
    query = "select p.name from sqlite_master m, pragma_table_info(m.name) p where m.type = 'table'"

    with world.acting(*allow), pytest.raises(AccessDeniedError):
        connection.execute(query).fetchall()
    assert f"read:{db}/main/customers" in {str(access) for record in world.records for access in record.accesses}
    world.records.clear()
    with world.acting(*allow):
        assert 3 == len(connection.execute("select name from pragma_table_info('orders')").fetchall())
        same = "select p.name from sqlite_master m, pragma_table_info('orders') p where m.type = 'table'"
        assert 9 == len(connection.execute(same).fetchall())
    assert 4 == len(world.records)  # each of the two statements, and what it reads besides


def test_rows_of_a_cursor_from_before_the_session_are_decided_where_sqlite_asks(world, connection, db):
    cursor = connection.cursor()
    query = "select p.name from sqlite_master m, pragma_table_info(m.name) p where m.type = 'table'"
    allow = [f"read:{db}/main/{table}" for table in ("pragma_table_info", "sqlite_master", "orders")]

    with world.acting(*allow), pytest.raises(sqlite3.DatabaseError):
        list(cursor.execute(query))

    assert "denied" in [record.status for record in world.records]


def test_an_authorizer_of_the_program_still_decides_and_cannot_replace_ours(world, connection, db):
    asked = []

    def theirs(operation, *details):
        asked.append(operation)
        return sqlite3.SQLITE_DENY if "customers" in details else sqlite3.SQLITE_OK

    connection.set_authorizer(theirs)
    with world.acting(f"read:{db}/main/*"):
        assert 2 == len(connection.execute("select * from orders").fetchall())
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute("select * from customers")
    assert sqlite3.SQLITE_READ in asked
    with world.acting(f"read:{db}/main/customers"):
        connection.set_authorizer(theirs)
        with pytest.raises(AccessDeniedError):
            connection.execute("select * from orders")
        connection.set_authorizer(None)
        with pytest.raises(AccessDeniedError):
            connection.execute("select * from orders")
        assert [(1, "Ada")] == connection.execute("select * from customers").fetchall()


def test_a_schema_that_changes_between_decision_and_use_is_decided_again(world, path, db, request):
    other = sqlite3.connect(path)
    connection = sqlite3.connect(path)
    request.addfinalizer(other.close)
    request.addfinalizer(connection.close)

    def change(_request):
        other.executescript("drop view big; create view big as select id, name, 1 from customers")
        return True

    guard = world.make_guard(approver=change)
    acting = world.acting(f"read:{db}/main/orders", ask=[f"read:{db}/main/big"], guard=guard)
    with acting, pytest.raises(AccessDeniedError):
        connection.execute("select * from big")


class Shop(sqlite3.Connection):
    def execute(self, *args):
        return super().execute(*args)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: sqlite3.connect(path, factory=Shop),
        sqlite3.Connection,
        lambda path: Shop(str(path)),
        lambda path: sqlite3.dbapi2.connect(database=path),
        lambda path: sqlite3.connect(path, cached_statements=0),
        lambda path: sqlite3.connect(f"file:{path}?mode=rw", uri=True),
    ],
    ids=["factory", "type", "subclass", "dbapi2", "no cache", "uri"],
)
def test_a_connection_is_guarded_however_it_was_made(world, path, db, make):
    with world.acting(f"read:{db}/main/customers"):
        connection = make(path)
        for execute in (
            connection.execute,
            connection.cursor().execute,
            lambda sql: sqlite3.Connection.execute(connection, sql),
        ):
            with pytest.raises(AccessDeniedError):
                execute("delete from orders")
    connection.close()

    assert 2 == rows_in(path)


def test_a_method_of_the_type_itself_is_guarded(world, connection, db):
    cursor = sqlite3.Cursor(connection)

    with world.acting(f"read:{db}/main/customers"), pytest.raises(AccessDeniedError):
        sqlite3.Cursor.execute(cursor, "select * from orders")


def test_making_a_database_is_a_write_of_it_and_opening_one_is_nothing(world, path, tmp_path):
    new = tmp_path / "new.db"
    with world.acting(f"read:sqlite://{tmp_path}/**"):
        for target, options in ((new, {}), (str(new).encode(), {}), (f"file:{new}", {"uri": True})):
            with pytest.raises(AccessDeniedError):
                sqlite3.connect(target, **options)
        with pytest.raises(AccessDeniedError):
            sqlite3.connect("file::memory:")  # a name or an address: nobody knows
        with pytest.raises(sqlite3.OperationalError):
            sqlite3.connect(f"file:{new}?mode=ro", uri=True)
        sqlite3.connect(path).close()
        sqlite3.connect("file::memory:", uri=True).close()
    assert not new.exists()
    with world.acting(f"write:sqlite://{new}"):
        sqlite3.connect(new).close()
    assert new.exists()


def test_a_function_of_the_program_acts_for_the_agent_and_is_decided_by_itself(world, connection, path, db):
    other = sqlite3.connect(path)
    connection.create_function("steal", 0, lambda: other.execute("select name from customers").fetchone()[0])

    with world.acting(f"read:{db}/main/orders"), pytest.raises(sqlite3.OperationalError):
        connection.execute("select steal() from orders")
    other.close()

    assert (f"read:{db}/main/customers", "denied") in world.touched


def test_full_text_tables_need_permission_for_themselves_and_for_what_they_are_about(world, connection, db):
    try:
        connection.execute("create virtual table docs using fts5(text)")
    except sqlite3.OperationalError:
        pytest.skip("this SQLite is built without FTS5")
    connection.execute("alter table customers rename to sneaky_people")
    connection.execute("create virtual table sneaky using fts5(name, content='sneaky_people', content_rowid='id')")
    connection.commit()
    with world.acting(f"write:{db}/main/docs", f"read:{db}/main/docs", f"read:{db}/main/sneaky"):
        with connection:
            connection.execute("insert into docs values ('hello')")
        assert [("hello",)] == connection.execute("select * from docs where docs match 'hello'").fetchall()
        with pytest.raises(AccessDeniedError):
            connection.execute("select * from sneaky").fetchall()


# --- who acts --------------------------------------------------------------------------------------------------------


def test_two_agents_on_one_connection_in_two_threads_are_each_decided(world, path, db):
    connection = sqlite3.connect(path, check_same_thread=False)
    barrier, found = threading.Barrier(2), []

    def read(table):
        barrier.wait()
        for _ in range(30):
            for each in ("orders", "customers"):
                try:
                    connection.execute(f"select count(*) from {each}").fetchall()
                except AccessDeniedError:
                    found.append((table, each, "denied"))
                else:
                    found.append((table, each, "read"))

    sessions = [world.acting(f"read:{db}/main/{table}") for table in ("orders", "customers")]
    threads = [
        threading.Thread(target=session.bind(read), args=(table,))
        for session, table in zip(sessions, ("orders", "customers"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection.close()

    assert {
        ("orders", "orders", "read"),
        ("orders", "customers", "denied"),
        ("customers", "customers", "read"),
        ("customers", "orders", "denied"),
    } == set(found)


def test_a_thread_that_a_session_is_taken_into_is_decided(world, path, db):
    found = []

    def work():
        connection = sqlite3.connect(path)
        try:
            connection.execute("select * from orders")
        except AccessDeniedError:
            found.append("denied")
        connection.close()

    with world.acting(f"read:{db}/main/customers"):
        thread = threading.Thread(target=propagate(work))
        thread.start()
        thread.join()

    assert ["denied"] == found


@pytest.mark.parametrize(
    "read",
    [next, lambda c: c.fetchone(), lambda c: c.fetchmany(1), lambda c: c.fetchall()],
    ids=["next", "fetchone", "fetchmany", "fetchall"],
)
def test_a_reader_whose_agent_was_revoked_gets_no_more_rows(world, connection, db, read):
    agent = world.authority.issue("bot", allow=[f"read:{db}/main/orders"])
    with world.guard.acting_as(agent):
        cursor = connection.execute("select id from orders")
        assert (1,) == next(cursor)
        world.authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            read(cursor)

    assert ["stopped"] == [record.status for record in world.records]


def test_a_query_is_over_when_its_rows_or_its_cursor_are(world, connection, db):
    with world.acting(f"read:{db}/main/orders"):
        cursor = connection.cursor()
        assert 2 == len(list(cursor.execute("select id from orders")))
        assert [2] == [record.rows for record in world.records]
        cursor.execute("select id from orders").fetchone()
        cursor.execute("select 1")
        assert [2, 1] == [record.rows for record in world.records]
        connection.execute("select id from orders").fetchmany(5)
        connection.execute("select id from orders").close()
        connection.execute("select id from orders").fetchone()
        gc.collect()

    assert [2, 1, 2, 0, 1] == [record.rows for record in world.records]
    assert {"success"} == {record.status for record in world.records}


def test_outside_of_a_session_nothing_is_decided_and_nothing_recorded(world, connection):
    connection.execute("insert into customers values (2, 'Bob')")
    connection.executescript("delete from orders; vacuum")
    with connection:
        connection.executemany("insert into log values (?)", [("a",)])
    assert sqlite3.Cursor is type(connection.execute("select 1"))

    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, connection, path):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        connection.execute("delete from orders")
        connection.commit()

    assert 0 == rows_in(path)
    assert ["would_deny"] == [record.effect for record in world.records]


def test_how_a_connection_makes_rows_and_texts_does_not_matter(world, connection, db):
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda raw: raw.decode().upper()

    with world.acting(f"read:{db}/main/*"):
        (row,) = connection.execute("select name, count(*) from customers").fetchall()
        assert "ADA" == row["name"]
        assert [2] == [row[0] for row in connection.execute("select count(*) from orders")]


def test_removing_leaves_the_types_as_they_were(world, installed, connection):
    assert "Layer" == type(vars(sqlite3.Cursor)["execute"]).__name__
    installed.remove()

    assert "method_descriptor" == type(vars(sqlite3.Cursor)["execute"]).__name__
    assert [(2,)] == connection.execute("select count(*) from orders").fetchall()


def test_a_setting_of_a_database_in_memory_is_one_of_the_database(world):
    """Its resource has a host and no segment."""
    with closing(sqlite3.connect(":memory:")) as connection:
        with world.acting("read:sqlite://memory"):
            assert (0,) == connection.execute("pragma user_version").fetchone()
        with world.acting(), pytest.raises(AccessDeniedError, match="read:sqlite://memory`"):
            connection.execute("pragma user_version")
