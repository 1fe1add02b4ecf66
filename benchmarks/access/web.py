"""Clients of HTTP: a kilobyte over loopback, over one connection where the library keeps it."""

from __future__ import annotations

import http.client
import urllib.request
from contextlib import AsyncExitStack, ExitStack, closing
from importlib import import_module
from typing import Any

from benchmarks.access.clients import opens, opens_async
from benchmarks.access.servers import web
from benchmarks.access.wrapper import Wrapper

__all__ = ["WRAPPERS"]


def _on(url: str) -> tuple[str, ...]:
    return (f"read:{url}/**",)


def _by_http_client(stack: ExitStack, url: str) -> Any:
    connection = stack.enter_context(closing(http.client.HTTPConnection(url.removeprefix("http://"))))

    def call() -> None:
        connection.request("GET", "/data")
        connection.getresponse().read()

    return call


def _by_urllib(_: ExitStack, url: str) -> Any:
    def call() -> None:
        with urllib.request.urlopen(f"{url}/data") as response:  # noqa: S310 -- of this machine
            response.read()

    return call


def _by_urllib3(stack: ExitStack, url: str) -> Any:
    import urllib3

    pool = stack.enter_context(urllib3.PoolManager())
    return lambda: pool.request("GET", f"{url}/data").data


def _by_requests(stack: ExitStack, url: str) -> Any:
    import requests

    session = stack.enter_context(requests.Session())
    return lambda: session.get(f"{url}/data").content


def _by_httpx(module: str) -> Any:
    def make(stack: ExitStack, url: str) -> Any:
        client = stack.enter_context(import_module(module).Client())
        return lambda: client.get(f"{url}/data").content

    return opens(make)


def _by_httpx_async(module: str) -> Any:
    async def make(stack: AsyncExitStack, url: str) -> Any:
        client = await stack.enter_async_context(import_module(module).AsyncClient())

        async def call() -> None:
            (await client.get(f"{url}/data")).content  # noqa: B018 -- it is a property

        return call

    return opens_async(make)


def _by_httpcore(module: str) -> Any:
    def make(stack: ExitStack, url: str) -> Any:
        pool = stack.enter_context(import_module(module).ConnectionPool())
        return lambda: pool.request("GET", f"{url}/data").content

    return opens(make)


async def _by_aiohttp(stack: AsyncExitStack, url: str) -> Any:
    import aiohttp

    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def call() -> None:
        async with session.get(f"{url}/data") as response:
            await response.read()

    return call


def _web(name: str, file: str, client: Any, *, module: str = "") -> Wrapper:
    return Wrapper(name, "GET of 1 KiB", (f"web.{file}",), web, _on, client, (module,) if module else ())


WRAPPERS = (
    _web("http.client", "http_client", opens(_by_http_client)),
    _web("urllib", "urllib_request", opens(_by_urllib)),
    _web("urllib3", "urllib3_pool", opens(_by_urllib3), module="urllib3"),
    _web("requests", "requests_session", opens(_by_requests), module="requests"),
    _web("httpcore", "httpcore_pool", _by_httpcore("httpcore"), module="httpcore"),
    _web("httpcore2", "httpcore2_pool", _by_httpcore("httpcore2"), module="httpcore2"),
    _web("httpx", "httpx_client", _by_httpx("httpx"), module="httpx"),
    _web("httpx async", "httpx_client", _by_httpx_async("httpx"), module="httpx"),
    _web("httpx2", "httpx2_client", _by_httpx("httpx2"), module="httpx2"),
    _web("httpx2 async", "httpx2_client", _by_httpx_async("httpx2"), module="httpx2"),
    _web("aiohttp", "aiohttp_client", opens_async(_by_aiohttp), module="aiohttp"),
)
