"""Databases: a hundred rows of a table, read again and again over one connection."""

from __future__ import annotations

import sqlite3
import time
from contextlib import AsyncExitStack, ExitStack, closing
from typing import Any

from benchmarks.access.clients import opens, opens_async
from benchmarks.access.servers import postgres, sqlite
from benchmarks.access.wrapper import Wrapper

__all__ = ["WRAPPERS"]

_QUERY = "SELECT id, name FROM customers"
_ROWS = "100 rows"


def _in_sqlite(path: str) -> tuple[str, ...]:
    return (f"read:sqlite://{path}/**",)


def _in_postgres(server: Any) -> tuple[str, ...]:
    return (f"read:postgres://{server.host}/postgres/**",)


def _by_sqlite(stack: ExitStack, path: str) -> Any:
    connection = stack.enter_context(closing(sqlite3.connect(path)))
    return lambda: connection.execute(_QUERY).fetchall()


def _one_row(stack: ExitStack, path: str) -> Any:
    connection = stack.enter_context(closing(sqlite3.connect(path)))
    return lambda: connection.execute(f"{_QUERY} WHERE id = ?", (7,)).fetchall()


async def _by_aiosqlite(stack: AsyncExitStack, path: str) -> Any:
    import aiosqlite

    connection = await stack.enter_async_context(aiosqlite.connect(path))
    return lambda: connection.execute_fetchall(_QUERY)


def _by_psycopg(stack: ExitStack, server: Any) -> Any:
    import psycopg

    connection = stack.enter_context(psycopg.connect(server.dsn, autocommit=True))
    return lambda: connection.execute(_QUERY).fetchall()


async def _by_psycopg_async(stack: AsyncExitStack, server: Any) -> Any:
    import psycopg

    connection = await psycopg.AsyncConnection.connect(server.dsn, autocommit=True)
    await stack.enter_async_context(connection)

    async def call() -> None:
        cursor = await connection.execute(_QUERY)
        await cursor.fetchall()

    return call


def _by_sqlalchemy(stack: ExitStack, path: str) -> Any:
    import sqlalchemy

    engine, query = sqlalchemy.create_engine(f"sqlite:///{path}"), sqlalchemy.text(_QUERY)
    stack.callback(engine.dispose)
    connection = stack.enter_context(engine.connect())
    return lambda: connection.execute(query).all()


async def _by_sqlalchemy_async(stack: AsyncExitStack, path: str) -> Any:
    import sqlalchemy
    from sqlalchemy.ext.asyncio import create_async_engine

    engine, query = create_async_engine(f"sqlite+aiosqlite:///{path}"), sqlalchemy.text(_QUERY)
    stack.push_async_callback(engine.dispose)
    connection = await stack.enter_async_context(engine.connect())

    async def call() -> None:
        (await connection.execute(query)).all()

    return call


_SQLITE, _PSYCOPG, _ALCHEMY = ("databases.sqlite",), ("databases.psycopg",), ("databases.sqlalchemy",)

WRAPPERS = (
    Wrapper("sqlite3", _ROWS, _SQLITE, sqlite, _in_sqlite, opens(_by_sqlite)),
    Wrapper("sqlite3", "one row", _SQLITE, sqlite, _in_sqlite, opens(_one_row)),
    Wrapper(
        "aiosqlite", _ROWS, ("databases.aiosqlite",), sqlite, _in_sqlite, opens_async(_by_aiosqlite), ("aiosqlite",),
        clock=time.process_time_ns,
    ),
    Wrapper("psycopg", _ROWS, _PSYCOPG, postgres, _in_postgres, opens(_by_psycopg), ("psycopg",)),
    Wrapper("psycopg async", _ROWS, _PSYCOPG, postgres, _in_postgres, opens_async(_by_psycopg_async), ("psycopg",)),
    Wrapper("SQLAlchemy", f"{_ROWS}, sqlite3", _ALCHEMY, sqlite, _in_sqlite, opens(_by_sqlalchemy), ("sqlalchemy",)),
    Wrapper(
        "SQLAlchemy async", f"{_ROWS}, aiosqlite", _ALCHEMY, sqlite, _in_sqlite, opens_async(_by_sqlalchemy_async),
        ("sqlalchemy", "greenlet", "aiosqlite"), clock=time.process_time_ns,
    ),
)  # fmt: skip
