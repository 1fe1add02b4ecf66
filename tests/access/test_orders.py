"""Libraries that are wrapped, unwrapped and wrapped again, by us and by others, in one order or another."""

from __future__ import annotations

import importlib

import pytest
from access.redis_server import client, redis_server, server  # noqa: F401

import agentid.access


@pytest.fixture
def wrapped_between(installed, monkeypatch):
    """Somebody puts a layer of his own around a function that is wrapped, and ours are taken away and put back."""

    def wrap(owner, name):
        ours = getattr(owner, name)

        def theirs(self, *args, **kwargs):
            return ours(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, theirs)
        installed.remove()
        agentid.access.install()

    return wrap


@pytest.fixture
def acting_on_s3(world, s3):
    actions = ("read", "write", "edit", "delete", "share", "execute")
    return world.acting("read:s3://data/a/*", *(f"{action}:{s3.url}" for action in actions))


def get_from_s3(s3):
    return s3.client().get_object(Bucket="data", Key="a/one")["Body"].read()


def test_boto3_that_somebody_wrapped_in_between_is_decided_once(world, s3, acting_on_s3, wrapped_between):
    wrapped_between(importlib.import_module("botocore.client").BaseClient, "_make_api_call")

    with acting_on_s3:
        assert b"hello from a/one" == get_from_s3(s3)

    assert [("read:s3://data/a/one", f"read:{s3.url}", "success")] == world.touched


def test_boto3_that_is_reloaded_is_decided_once(world, s3, acting_on_s3, monkeypatch):
    module = importlib.import_module("botocore.client")
    for name, value in vars(module).items():  # as they were, for whoever comes next
        monkeypatch.setitem(vars(module), name, value)
    importlib.reload(module)

    with acting_on_s3:
        assert b"hello from a/one" == get_from_s3(s3)

    assert [("read:s3://data/a/one", f"read:{s3.url}", "success")] == world.touched


def test_redis_that_somebody_wrapped_in_between_is_decided_once(world, server, client, wrapped_between):  # noqa: F811
    wrapped_between(importlib.import_module("redis.client").Redis, "execute_command")

    with world.acting(f"read:{server.url}/0/k"):
        client.get("k")

    assert [(f"read:{server.url}/0/k", "success")] == world.touched


def test_psycopg_that_somebody_wrapped_in_between_is_decided_once(world, postgres, wrapped_between):
    psycopg = importlib.import_module("psycopg")
    wrapped_between(psycopg.Cursor, "execute")

    connection = psycopg.connect(postgres.dsn, autocommit=True)
    with connection, world.acting(f"read:postgres://{postgres.host}/postgres/public/orders"):
        connection.execute("select id from orders").fetchall()

    assert [(f"read:postgres://{postgres.host}/postgres/public/orders", "success")] == world.touched
