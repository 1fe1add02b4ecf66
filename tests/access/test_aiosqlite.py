"""`aiosqlite`: decided by `sqlite3` in the thread of the connection, as the agent who waits for it."""

from __future__ import annotations

import sqlite3

import pytest

from agentid.errors import AccessDeniedError

aiosqlite = pytest.importorskip("aiosqlite", reason="aiosqlite is not installed")

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "app.db"
    connection = sqlite3.connect(found)
    connection.executescript("create table orders(id); insert into orders values (1), (2); create table log(a)")
    connection.close()
    return found


async def test_a_statement_is_decided_once_and_below_its_task(world, path):
    async with aiosqlite.connect(path) as connection:
        async with world.acting(f"read:sqlite://{path}/main/orders"):
            async with connection.execute("select * from orders") as cursor:
                assert [(1,), (2,)] == list(await cursor.fetchall())
            with pytest.raises(AccessDeniedError):
                await connection.execute("delete from orders")
            with pytest.raises(AccessDeniedError):
                await connection.executescript("select 1; delete from orders")
            with pytest.raises(AccessDeniedError):
                await connection.execute_fetchall("select * from log")
        await connection.execute("select * from log")

    assert [2, None, None, None] == [record.rows for record in world.records]
    assert ["success", "denied", "denied", "denied"] == [record.status for record in world.records]


async def test_making_a_database_is_decided_too(world, tmp_path):
    connection = aiosqlite.connect(tmp_path / "new.db")
    async with world.acting(f"read:sqlite://{tmp_path}/**"):
        with pytest.raises(AccessDeniedError):
            await connection
    getattr(connection, "_thread", connection).join()  # it tells the event loop, which must be there still

    assert not (tmp_path / "new.db").exists()
