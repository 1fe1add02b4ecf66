"""`sqlite3`: what was tried to get around its wrappers, each by a test of its own."""

from __future__ import annotations

import sqlite3

import pytest

from agentid.errors import AccessDeniedError, NoActingAgentError
from tests.systems import needs_blobs

refused = pytest.raises(AccessDeniedError)


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "app.db"
    with sqlite3.connect(found) as connection:
        connection.execute("create table orders(id integer primary key, customer text)")
        connection.execute("create table customers(id integer primary key, name text)")
        connection.execute("insert into orders values (1, 'ada'), (2, 'bob'), (3, 'eve')")
        connection.execute("insert into customers values (1, 'Ada'), (2, 'Bob')")
    connection.close()
    return found


@pytest.fixture
def connection(path):
    found = sqlite3.connect(path)
    yield found
    found.close()


@pytest.fixture
def db(path):
    return f"sqlite://{path}"


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("writable_schema", "on"),
        ("ignore_check_constraints", "on"),
        ("trusted_schema", "off"),
        ("WRITABLE_schema", "1"),
        ("synchronous", "off"),
        ("secure_delete", "fast"),
        ("locking_mode", "exclusive"),
    ],
)
@pytest.mark.parametrize("form", ["pragma {}={}", "pragma main.{}({})", "explain pragma {}={}"])
def test_a_setting_that_is_refused_was_not_made_while_it_was_looked_at(world, connection, db, setting, value, form):
    before = connection.execute(f"pragma {setting}").fetchall()
    with world.acting(f"read:{db}/**"), refused:
        connection.execute(form.format(setting, value))

    assert before == connection.execute(f"pragma {setting}").fetchall()


def test_a_setting_that_is_allowed_is_made(world, connection, db):
    with world.acting(f"execute:{db}", f"edit:{db}"):
        connection.execute("pragma writable_schema=on")
        connection.execute("pragma user_version = 7")
        with pytest.raises(sqlite3.OperationalError, match="unknown database"):
            connection.execute("pragma nowhere.user_version = 7")

    assert [(1,)] == connection.execute("pragma writable_schema").fetchall()
    assert [(7,)] == connection.execute("pragma user_version").fetchall()
    assert [(f"execute:{db}", "success"), (f"edit:{db}", "success")] == world.touched


@pytest.mark.parametrize(
    "pragma", ["foreign_keys", "writable_schema", "trusted_schema", "mmap_size", "busy_timeout", "main.foreign_keys"]
)
def test_a_setting_of_the_connection_may_be_looked_at_by_everybody(world, connection, pragma):
    with world.acting("read:crm/x"):
        assert 1 == len(connection.execute(f"pragma {pragma}").fetchall())

    assert [] == world.records


@pytest.mark.parametrize(
    "pragma", ["user_version", "journal_mode", "integrity_check", "quick_check", "foreign_key_check"]
)
def test_to_look_at_a_setting_of_a_file_or_to_check_it_is_a_read_of_it(world, connection, db, pragma):
    with world.acting("read:crm/x"), refused:
        connection.execute(f"pragma {pragma}")
    with world.acting(f"read:{db}"):
        connection.execute(f"pragma {pragma}").fetchall()

    assert [(f"read:{db}", "denied"), (f"read:{db}", "success")] == world.touched


def test_a_check_of_everything_is_a_read_of_each_attached_database(world, connection, db, tmp_path):
    connection.execute("attach ? as other", (str(tmp_path / "other.db"),))
    with world.acting(f"read:{db}"):
        with refused:
            connection.execute("pragma integrity_check")
        connection.execute("pragma main.integrity_check").fetchall()


# --- what SQLite does not tell ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["$", "@", ":"])
def test_a_parameter_with_a_quotation_in_its_name_hides_no_replace(world, connection, db, mark):
    text = f"with x as (select {mark}a(')) insert or replace into customers select 1, 'Eve'"
    with world.acting(f"write:{db}/main/customers"), refused:
        connection.execute(text, {"a(')": 1})

    assert [("Ada",), ("Bob",)] == connection.execute("select name from customers").fetchall()
    assert {f"write:{db}/main/customers", f"delete:{db}/main/customers"} == set(map(str, world.records[0].accesses))


def test_a_name_with_a_dollar_in_it_is_no_parameter(world, connection, db):
    connection.create_function("f$x", 2, lambda *_: 1)
    with world.acting(f"write:{db}/main/customers"), refused:
        connection.execute("with x as (select f$x(')','b')) insert or replace into customers select 1, 'Eve'")


# --- two agents ------------------------------------------------------------------------------------------------------


def test_a_cursor_that_another_agent_hands_over_is_read_only_by_who_may(world, connection, db):
    orders = f"read:{db}/main/orders"
    with world.acting(orders):
        cursor = connection.execute("select id from orders")
        assert (1,) == cursor.fetchone()
        with world.acting("read:crm/x"), refused:
            cursor.fetchone()
        with world.acting(orders):
            assert (2,) == next(cursor)
            assert [(3,)] == cursor.fetchall()

    assert [(orders, "denied"), (orders, "success"), (orders, "success")] == world.touched
    assert [None, 1, 2] == [record.rows for record in world.records]


# --- what a refusal says ---------------------------------------------------------------------------------------------


def test_a_refusal_names_the_statement_and_no_tool(world, connection, db):
    with world.acting("read:crm/x"):
        with pytest.raises(AccessDeniedError) as refusal:
            connection.execute("select id from orders where customer = 'secret'")
        with pytest.raises(AccessDeniedError) as odd:
            sqlite3.connect("file:other.db")

    assert (
        f"[access.denied] bot may not `read:{db}/main/orders` in `SELECT orders`: its grant allows `read:crm/x`. "
        f'To allow it, issue the agent with allow=["read:{db}/main/orders"], '
        f'or ask=["read:{db}/main/orders"] to let a person decide'
    ) == str(refusal.value)
    assert (
        "[access.denied] bot may not do `CREATE database`: it may be a file's name or an address. "
        "Write it so that it says plainly what it touches: that is what is allowed or not"
    ) == str(odd.value)
    assert "not permitted: it does not say plainly what it touches" == odd.value.for_model


def test_a_session_that_ended_names_the_statement_and_no_tool(world, connection, db):
    with world.acting(f"read:{db}/**"):
        cursor = connection.execute("select id from orders")
    with pytest.raises(NoActingAgentError, match=r"the session of `bot` has ended before `SELECT orders`: "):
        cursor.fetchone()


# --- cursors of other classes ----------------------------------------------------------------------------------------


class Own(sqlite3.Cursor):
    """As programs have them: a way of reading that uses another one, and names of its own."""

    def __init__(self, connection):
        super().__init__(connection)
        self.hold, self.run, self.touching, self.rows_read = "theirs", "theirs", "theirs", 7

    def fetchall(self):
        return [{"row": row} for row in iter(self.fetchone, None)]


@pytest.mark.parametrize("factory", [sqlite3.Cursor, Own])
def test_rows_are_counted_and_stopped_whatever_class_a_cursor_has(world, connection, db, factory):
    orders = f"read:{db}/main/orders"
    with world.acting(orders):
        cursor = connection.cursor(factory)
        assert isinstance(cursor, factory)
        assert type(cursor) is type(connection.cursor(factory=factory))
        assert 3 == len(cursor.execute("select id from orders").fetchall())
        cursor.execute("select id from orders")
    with pytest.raises(NoActingAgentError):
        cursor.fetchall()

    assert [(orders, "success"), (orders, "stopped")] == world.touched
    assert 3 == world.records[0].rows


# --- blobs -----------------------------------------------------------------------------------------------------------


@needs_blobs
def test_a_blob_is_read_and_written_only_as_long_as_that_is_allowed(world, connection, db):
    orders = [f"read:{db}/main/orders", f"edit:{db}/main/orders"]
    with world.acting(*orders):
        blob = connection.blobopen("orders", "customer", 2)
        assert isinstance(blob, sqlite3.Blob)
        assert (b"bob", 3) == (blob.read(), len(blob))
        blob[0] = ord("r")
        blob[1:3] = b"ob"
        blob.seek(0)
        blob.write(b"x")
        assert (1, ord("o"), b"ob", [120, 111, 98]) == (blob.tell(), blob[1], blob[1:], list(blob))
        with world.acting("read:crm/x"):
            for work in (blob.read, lambda: blob[0], lambda: blob.write(b"y"), lambda: list(blob)):
                with refused:
                    work()
    for work in (blob.read, lambda: blob[0], lambda: blob.write(b"y")):
        with pytest.raises(NoActingAgentError):
            work()
    blob.close()

    assert ["denied"] * 4 + ["stopped"] == [record.status for record in world.records]
    assert 13 == world.records[-1].size
    assert [("xob",)] == connection.execute("select customer from orders where id = 2").fetchall()


@needs_blobs
def test_a_blob_is_over_when_it_is_closed_or_gone(world, connection, db):
    with world.acting(f"read:{db}/main/orders"):
        with connection.blobopen("orders", "customer", 1, readonly=True) as blob:
            blob.read(2)
        del blob
        connection.blobopen("orders", "customer", 1, readonly=True)
        with pytest.raises(sqlite3.OperationalError):
            connection.blobopen("orders", "customer", 99, readonly=True)

    assert [("success", 2), ("success", None), ("failure", None)] == [(r.status, r.size) for r in world.records]


# --- full text -------------------------------------------------------------------------------------------------------


@pytest.fixture
def documents(connection, db):
    """A table for full text that keeps nothing but its index, and one that is called as its column."""
    try:
        connection.execute("create virtual table docs using fts5(body, content='')")
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no fts5")
    connection.execute("insert into docs(rowid, body) values (1, 'hello')")
    connection.execute("create table tag(tag)")
    connection.commit()
    return f"{db}/main/docs"


@pytest.mark.parametrize("column", ["docs", '"docs"', "[DOCS]", "`docs`", "'docs'", "/**/docs"])
def test_a_command_for_full_text_is_no_mere_insert(world, connection, documents, column):
    text = f"insert into docs({column}) values ('delete-all')"
    with world.acting(f"write:{documents}", f"read:{documents}"), refused:
        connection.execute(text)

    assert [(1,)] == connection.execute("select count(*) from docs where docs match 'hello'").fetchall()
    with world.acting(f"write:{documents}", f"edit:{documents}", f"delete:{documents}"):
        connection.execute(text)


def test_an_insert_is_no_command(world, connection, documents, db):
    with world.acting(f"write:{documents}", f"write:{db}/main/tag"):
        connection.execute("insert into docs(rowid, body) values (?, ?)", (2, "docs"))
        connection.execute("insert into tag(tag) values ('tag')")
