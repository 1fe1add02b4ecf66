"""The same request by every library, so that one table of tests holds for all of them."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest


def by_http_client(method, url, headers, body):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def by_urllib(method, url, headers, body):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def by_urllib3(method, url, headers, body):
    import urllib3

    with urllib3.PoolManager() as pool:
        response = pool.request(method, url, headers=headers, body=body, retries=urllib3.Retry(3, connect=0, read=0))
        return response.status, response.data


def by_requests(method, url, headers, body):
    import requests

    with requests.Session() as session:
        response = session.request(method, url, headers=headers, data=body)
        return response.status_code, response.content


def by_httpx(method, url, headers, body, module="httpx"):
    with importlib.import_module(module).Client() as client:
        response = client.request(method, url, headers=headers, content=body, follow_redirects=True)
        return response.status_code, response.content


def by_httpx2(method, url, headers, body):
    return by_httpx(method, url, headers, body, "httpx2")


def by_httpx_async(method, url, headers, body, module="httpx"):
    async def ask():
        async with importlib.import_module(module).AsyncClient() as client:
            response = await client.request(method, url, headers=headers, content=body, follow_redirects=True)
            return response.status_code, response.content

    return asyncio.run(ask())


def by_httpx2_async(method, url, headers, body):
    return by_httpx_async(method, url, headers, body, "httpx2")


def by_aiohttp(method, url, headers, body):
    import aiohttp

    async def ask():
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, data=body) as response,
        ):
            return response.status, await response.read()

    return asyncio.run(ask())


@dataclass(frozen=True)
class Caller:
    """How one library makes a request: `ask(method, url, headers, body)` gives status and body."""

    name: str
    module: str
    ask: Any
    contrib: str = ""
    takes_addresses: bool = True  # and follows redirects

    def get(self, url, **headers):
        return self.ask("GET", url, {name.replace("_", "-"): value for name, value in headers.items()}, None)

    def __call__(self, method, url, headers=None, body=None):
        return self.ask(method, url, headers or {}, body)


CALLERS = (
    Caller("http.client", "http.client", by_http_client, takes_addresses=False),
    Caller("urllib", "urllib.request", by_urllib, "urllib:URLLibInstrumentor"),
    Caller("urllib3", "urllib3", by_urllib3, "urllib3:URLLib3Instrumentor"),
    Caller("requests", "requests", by_requests, "requests:RequestsInstrumentor"),
    Caller("httpx", "httpx", by_httpx, "httpx:HTTPXClientInstrumentor"),
    Caller("httpx async", "httpx", by_httpx_async, "httpx:HTTPXClientInstrumentor"),
    Caller("httpx2", "httpx2", by_httpx2, "httpx:HTTPX2ClientInstrumentor"),
    Caller("httpx2 async", "httpx2", by_httpx2_async, "httpx:HTTPX2ClientInstrumentor"),
    Caller("aiohttp", "aiohttp", by_aiohttp, "aiohttp_client:AioHttpClientInstrumentor"),
)


@pytest.fixture(params=CALLERS, ids=lambda caller: caller.name)
def caller(request):
    pytest.importorskip(request.param.module, reason=f"{request.param.module} is not installed")
    return request.param
