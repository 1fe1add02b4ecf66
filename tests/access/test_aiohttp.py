"""aiohttp: each request of a session and each hop, whatever middlewares and connectors it has."""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request

import pytest

from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")


def run(work, **kwargs):
    """Run `work` with a session that is closed afterwards."""

    async def whole():
        connector = kwargs.pop("connector", None)
        async with aiohttp.ClientSession(connector=connector() if connector else None, **kwargs) as session:
            return await work(session)

    return asyncio.run(whole())


async def get(session, url, **kwargs):
    async with session.get(url, **kwargs) as answer:
        return await answer.read()


# --- ways around ---------------------------------------------------------------------------------------------------


def test_a_session_and_connections_from_before_are_guarded(world, web):
    async def work(session):
        await get(session, f"{web.url}/a")
        with world.acting(f"read:{web.url}/b"):
            assert b"hello from /b" == await get(session, f"{web.url}/b")
            with pytest.raises(AccessDeniedError):
                await get(session, f"{web.url}/a")

    run(work)

    assert ["/a", "/b"] == [path for _, path, _ in web.requests]


def test_a_middleware_that_changes_a_request_is_decided_by_it(world, web):
    async def middleware(request, handler):
        request.url = request.url.with_path("/b")
        return await handler(request)

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, f"{web.url}/a"), middlewares=(middleware,))

    assert [] == web.requests
    assert [(f"read:{web.url}/b", "denied"), (f"read:{web.url}/a", "failure")] == world.touched


def test_a_middleware_that_asks_for_something_else_is_decided(world, web):
    def meanwhile():
        urllib.request.urlopen(f"{web.url}/b")

    async def middleware(request, handler):
        meanwhile()
        return await handler(request)

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, f"{web.url}/a"), middlewares=(middleware,))

    assert [] == web.requests


def test_a_hop_is_refused_before_its_connection_is_made(world, web, other):
    connected = []
    trace = aiohttp.TraceConfig()

    async def on_connection(*_):
        connected.append(True)

    trace.on_connection_create_start.append(on_connection)
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, f"{web.url}/to?{other.url}/b"), trace_configs=[trace])

    assert 1 == len(connected)


def test_a_hop_has_its_own_status_and_size(world, web, other):
    with world.acting(f"read:{web.url}/to", f"read:{other.url}/missing"):
        run(lambda session: get(session, f"{web.url}/to?{other.url}/missing"))

    found = {span.attributes["agentid.data.dataset"]: dict(span.attributes) for span in world.spans}
    hop = found[f"{other.url}/missing"]
    assert (404, 19) == (hop["http.response.status_code"], hop["agentid.data.size"])
    assert 302 == found[f"{web.url}/to"]["http.response.status_code"]


class Blind(aiohttp.TCPConnector):
    """A connector of somebody's own, which makes connections by itself."""

    async def connect(self, req, traces, timeout):
        return await aiohttp.BaseConnector.connect.__wrapped__(self, req, traces, timeout)


def test_a_hop_by_a_connector_of_somebody_s_own_is_decided(world, web, other):
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, f"{web.url}/to?{other.url}/b"), connector=Blind)
    assert [] == other.requests

    with world.acting(f"read:{web.url}/**", f"read:{other.url}/b"):
        assert b"hello from /b" == run(lambda session: get(session, f"{web.url}/to?{other.url}/b"), connector=Blind)
    assert 4 == len(world.touched)


class Changing(aiohttp.TCPConnector):
    """A connector that changes a request after its connection was allowed."""

    async def connect(self, req, traces, timeout):
        connection = await super().connect(req, traces, timeout)
        if req.url.path == "/b":
            req.url = req.url.with_path("/secret")
        return connection


def test_a_hop_that_changes_after_it_was_connected_is_decided_again(world, web, other):
    with world.acting(f"read:{web.url}/**", f"read:{other.url}/b"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, f"{web.url}/to?{other.url}/b"), connector=Changing)

    assert [] == other.requests
    assert (f"read:{other.url}/secret", "denied") in world.touched
    assert (f"read:{other.url}/b", "success") in world.touched  # it was connected to


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_websocket_may_carry_anything(world, web, scheme):
    url = f"{scheme}://{web.host}/socket"

    async def work(session):
        async with session.ws_connect(url) as socket:
            return await socket.receive_str()

    with world.acting(f"read:{scheme}://{web.host}/**"), pytest.raises(AccessDeniedError):
        run(work)
    assert [] == web.requests

    with world.acting(f"execute:{scheme}://{web.host}/socket"):
        assert "hi" == run(work)
    assert [(f"execute:{url}", "denied"), (f"execute:{url}", "success")] == world.touched
    assert 101 == world.spans[1].attributes["http.response.status_code"]


def test_an_address_of_a_websocket_may_carry_anything(world, web):
    with world.acting(f"read:ws://{web.host}/**"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, f"ws://{web.host}/a"))

    assert [(f"execute:ws://{web.host}/a", "denied")] == world.touched


def test_a_unix_socket_is_a_program_and_not_the_host_that_is_named(world, unix):
    def connector():
        return aiohttp.UnixConnector(unix.path)

    with world.acting("read:http://localhost/a"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, "http://localhost/a"), connector=connector)
    assert [] == unix.requests

    with world.acting("read:http://localhost/a", f"execute:file://{unix.path}"):
        run(lambda session: get(session, "http://localhost/a"), connector=connector)
    assert {("read:http://localhost/a", "success"), (f"execute:file://{unix.path}", "success")} <= set(world.touched)


def test_a_resolver_that_leads_elsewhere_is_a_way_to_that_place(world, web, other):
    class Resolver(aiohttp.abc.AbstractResolver):
        async def resolve(self, host, port=0, family=0):
            found = {"hostname": host, "host": "127.0.0.1", "port": other.port, "family": socket.AF_INET}
            return [{**found, "proto": 0, "flags": socket.AI_NUMERICHOST}]

        async def close(self): ...

    async def ask():
        async with (
            aiohttp.TCPConnector(resolver=Resolver()) as connector,
            aiohttp.ClientSession(connector=connector) as session,
        ):
            return await get(session, f"http://a.example:{web.port}/a")

    place = f"http://a.example:{web.port}/a"
    with world.acting(f"read:{place}"), pytest.raises(AccessDeniedError):
        asyncio.run(ask())
    assert [] == other.requests
    assert (f"execute:{other.url}", "denied") in world.touched

    with world.acting(f"read:{place}", f"execute:{other.url}"):
        assert b"hello from /a" == asyncio.run(ask())


def test_a_proxy_that_the_agent_names_is_a_place_of_its_own(world, web, other):
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        run(lambda session: get(session, f"{web.url}/a", proxy=other.url))
    assert [] == other.requests

    with world.acting(f"read:{web.url}/a", f"execute:{other.url}"):
        run(lambda session: get(session, f"{web.url}/a", proxy=other.url))
    assert [("GET", f"{web.url}/a", b"")] == other.requests


def test_a_proxy_of_the_environment_changes_nothing(world, web, other, name_proxy):
    name_proxy("http_proxy", other.url)
    with world.acting(f"read:{web.url}/a"):
        run(lambda session: get(session, f"{web.url}/a"), trust_env=True)

    assert [(f"read:{web.url}/a", "success")] == world.touched
    assert [("GET", f"{web.url}/a", b"")] == other.requests


@pytest.mark.parametrize("named_by", ["agent", "environment"])
def test_a_tunnel_is_a_part_of_the_request_that_needs_it(world, tls, other, certificate, named_by, name_proxy):
    places, proxy = [f"read:{tls.url}/a"], {"trust_env": True}
    if named_by == "environment":
        name_proxy("https_proxy", other.url)
    else:
        places.append(f"execute:{other.url}")
        proxy = {"proxy": other.url}

    def ask():
        context = ssl.create_default_context(cafile=str(certificate))
        return run(lambda session: get(session, f"{tls.url}/a", ssl=context), **proxy)

    with world.acting(f"execute:{other.url}", f"execute:{tls.url}/**"), pytest.raises(AccessDeniedError):
        ask()
    assert [] == other.requests
    with world.acting(*places):
        assert b"hello from /a" == ask()

    assert [("CONNECT", tls.host, b"")] == other.requests
    assert {(place, "success") for place in places} == set(world.touched[1:])


def test_headers_of_the_session_are_seen(world, web):
    with world.acting(f"write:{web.url}/a"), pytest.raises(AccessDeniedError):
        run(lambda session: session.post(f"{web.url}/a"), headers={"X-HTTP-Method-Override": "DELETE"})

    assert [(f"execute:{web.url}/a", "denied")] == world.touched


def test_work_that_was_begun_outside_of_the_session_is_decided_where_it_is_done(world, web):
    async def work(session):
        waiting = session.get(f"{web.url}/a")
        with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
            await waiting

    run(work)

    assert [] == web.requests


# --- what works as before ---------------------------------------------------------------------------------------------


def test_an_address_of_a_base_is_whole(world, web):
    with world.acting(f"read:{web.url}/v1/a"):
        run(lambda session: get(session, "a"), base_url=f"{web.url}/v1/")

    assert [(f"read:{web.url}/v1/a", "success")] == world.touched


@pytest.mark.parametrize("url", ["no address", "http://[::1", "http:///a", "ftp://a.example/b", 7])
def test_what_is_no_address_is_the_error_of_the_library(world, url):
    def error():
        with pytest.raises(Exception) as caught:
            run(lambda session: get(session, url))
        return type(caught.value)

    bare = error()
    with world.acting("read:ftp://a.example/b"):
        assert bare is error()


def test_a_guard_that_only_observes_lets_hops_through(world, web, other):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        assert b"hello from /b" == run(lambda session: get(session, f"{web.url}/to?{other.url}/b"))

    assert ["would_deny", "would_deny"] == [record.effect for record in world.records]
    assert ["success", "success"] == [record.status for record in world.records]


@pytest.mark.parametrize(
    "read",
    [
        lambda content: content.read(10),
        lambda content: content.readany(),
        lambda content: content.readexactly(10),
        lambda content: content.iter_chunked(10).__anext__(),
        lambda content: content.iter_any().__anext__(),
    ],
    ids=["read", "readany", "readexactly", "iter_chunked", "iter_any"],
)
def test_an_agent_that_is_taken_back_is_stopped_in_the_middle_of_a_body(world, web, read):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])

    async def work(session):
        async with session.get(f"{web.url}/big", read_bufsize=1000) as answer:
            await read(answer.content)
            world.authority.revoke(agent)
            with pytest.raises(CredentialRevokedError):
                await read(answer.content)

    with world.guard.acting_as(agent):
        run(work)

    assert ["stopped"] == [record.status for record in world.records]


@pytest.mark.parametrize("signal", ["on_connection_create_end", "on_request_headers_sent"])
def test_an_agent_that_is_taken_back_is_stopped_in_the_middle_of_a_hop(world, web, other, signal):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**", f"read:{other.url}/**"])
    trace, seen = aiohttp.TraceConfig(), []

    async def hook(*_):
        seen.append(True)
        if len(seen) == 2:
            world.authority.revoke(agent)

    getattr(trace, signal).append(hook)
    with world.guard.acting_as(agent), pytest.raises(CredentialRevokedError):
        run(lambda session: get(session, f"{web.url}/to?{other.url}/b"), trace_configs=[trace])

    assert (f"read:{other.url}/b", "stopped") == world.touched[0]
    assert signal == "on_request_headers_sent" or [] == other.requests


def test_an_agent_that_is_taken_back_does_not_wait_for_the_next_line(world, web):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])

    async def work(session):
        async with session.get(f"{web.url}/gated") as answer:
            assert b"first\n" == await answer.content.readline()
            world.authority.revoke(agent)
            with pytest.raises(CredentialRevokedError):
                await answer.content.readline()
            web.gate.set()

    with world.guard.acting_as(agent):
        run(work)


def test_a_body_that_is_read_part_by_part_is_counted(world, web):
    async def work(session):
        async with session.get(f"{web.url}/big") as answer:
            return sum([len(part) async for part in answer.content.iter_chunked(1000)])

    with world.acting(f"read:{web.url}/big"):
        assert 1 << 20 == run(work)

    assert [("success", 1 << 20)] == [(record.status, record.size) for record in world.records]


@pytest.mark.parametrize("way", ["close", "release"])
def test_a_body_that_is_not_wanted_is_said_to_be(world, web, way):
    async def work(session):
        answer = await session.get(f"{web.url}/big", read_bufsize=1000)
        getattr(answer, way)()

    with world.acting(f"read:{web.url}/big"):
        run(work)

    assert ["closed"] == [record.status for record in world.records]
