"""`psycopg`: what was tried to get around its wrappers, each by a test of its own."""

from __future__ import annotations

import asyncio
import functools

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
