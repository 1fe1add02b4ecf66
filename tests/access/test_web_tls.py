"""A name for TLS that is said apart from the address: behind one host it may lead to another place."""

from __future__ import annotations

import asyncio
import importlib
import ssl

import pytest

from agentid.errors import AccessDeniedError


@pytest.fixture
def context(certificate):
    found = ssl.create_default_context(cafile=str(certificate))
    found.check_hostname = False
    return found


def by_httpx(module):
    def ask(url, name, context):
        with importlib.import_module(module).Client(verify=context) as client:
            return client.get(url, extensions={} if name is None else {"sni_hostname": name}).content

    return ask


def by_httpx_async(module):
    def ask(url, name, context):
        async def work():
            async with importlib.import_module(module).AsyncClient(verify=context) as client:
                return (await client.get(url, extensions={} if name is None else {"sni_hostname": name})).content

        return asyncio.run(work())

    return ask


def by_httpcore(module):
    def ask(url, name, context):
        with importlib.import_module(module).ConnectionPool(ssl_context=context) as pool:
            return pool.request("GET", url, extensions={} if name is None else {"sni_hostname": name}).content

    return ask


def by_aiohttp(_module):
    def ask(url, name, context):
        import aiohttp

        async def work():
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, ssl=context, server_hostname=name) as response,
            ):
                return await response.read()

        return asyncio.run(work())

    return ask


def by_urllib3(_module):
    def ask(url, name, context):
        import urllib3

        with urllib3.PoolManager(ssl_context=context, server_hostname=name, assert_hostname=False) as pool:
            return pool.request("GET", url, retries=False).data

    return ask


@pytest.fixture(
    params=[
        ("httpx", by_httpx),
        ("httpx", by_httpx_async),
        ("httpx2", by_httpx),
        ("httpx2", by_httpx_async),
        ("httpcore", by_httpcore),
        ("httpcore2", by_httpcore),
        ("aiohttp", by_aiohttp),
        ("urllib3", by_urllib3),
    ],
    ids=lambda each: f"{each[0]}{' async' if each[1] is by_httpx_async else ''}",
)
def ask(request, context):
    module, make = request.param
    pytest.importorskip(module, reason=f"{module} is not installed")
    return lambda url, name: make(module)(url, name, context)


def test_another_name_for_tls_is_another_place(world, tls, ask):
    behind = f"https://other.example:{tls.port}"
    with world.acting(f"read:{tls.url}/a"), pytest.raises(AccessDeniedError):
        ask(f"{tls.url}/a", "other.example")
    assert [] == tls.requests
    assert f"read:{behind}" in world.touched[0]

    with world.acting(f"read:{tls.url}/a", f"read:{behind}"):
        assert b"hello from /a" == ask(f"{tls.url}/a", "other.example")
    assert 1 == len(tls.requests)


@pytest.mark.parametrize("name", [None, "127.0.0.1"])
def test_the_same_name_for_tls_changes_nothing(world, tls, ask, name):
    with world.acting(f"read:{tls.url}/a"):
        assert b"hello from /a" == ask(f"{tls.url}/a", name)

    assert [(f"read:{tls.url}/a", "success")] == world.touched
