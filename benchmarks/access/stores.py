"""Stores of objects: Redis, and S3."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from typing import Any

from benchmarks.access.clients import opens, opens_async
from benchmarks.access.servers import redis, web
from benchmarks.access.wrapper import Wrapper

__all__ = ["WRAPPERS"]

_KEYS = [str(number) for number in range(10)]


def _in_redis(server: Any) -> tuple[str, ...]:
    return (f"read:{server.url}/**",)


def _client(stack: ExitStack, server: Any) -> Any:
    import redis

    return stack.enter_context(redis.Redis(host="127.0.0.1", port=server.port))


def _get(stack: ExitStack, server: Any) -> Any:
    client = _client(stack, server)
    return lambda: client.get("7")


def _pipeline(stack: ExitStack, server: Any) -> Any:
    client = _client(stack, server)

    def call() -> None:
        pipeline = client.pipeline(transaction=False)
        for key in _KEYS:
            pipeline.get(key)
        pipeline.execute()

    return call


async def _client_async(stack: AsyncExitStack, server: Any) -> Any:
    import redis.asyncio

    return await stack.enter_async_context(redis.asyncio.Redis(host="127.0.0.1", port=server.port))


async def _get_async(stack: AsyncExitStack, server: Any) -> Any:
    client = await _client_async(stack, server)
    return lambda: client.get("7")


async def _pipeline_async(stack: AsyncExitStack, server: Any) -> Any:
    client = await _client_async(stack, server)

    async def call() -> None:
        pipeline = client.pipeline(transaction=False)
        for key in _KEYS:
            pipeline.get(key)
        await pipeline.execute()

    return call


def _get_object(stack: ExitStack, url: str) -> Any:
    import boto3

    # Of S3 it needs no more for this than any server of HTTP can do, and the time of the server is not measured.
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106 -- nobody looks at it
    )
    stack.callback(client.close)

    def call() -> None:
        client.get_object(Bucket="data", Key="one")["Body"].read()

    return call


def _redis(what: str, client: Any) -> Wrapper:
    return Wrapper("redis", what, ("redis.client",), redis, _in_redis, client, ("redis",))


WRAPPERS = (
    _redis("GET", opens(_get)),
    _redis("pipeline of 10 GET", opens(_pipeline)),
    _redis("GET, async", opens_async(_get_async)),
    _redis("pipeline of 10 GET, async", opens_async(_pipeline_async)),
    Wrapper(
        "boto3", "get_object of 1 KiB", ("s3.client",), web,
        lambda url: ("read:s3://data/*", f"read:{url}"), opens(_get_object), ("boto3",),
    ),
)  # fmt: skip
