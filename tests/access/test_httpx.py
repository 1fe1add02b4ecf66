"""`httpx` and `httpx2`, sync and async: each request of a client, whatever transports and hooks it has."""

from __future__ import annotations

import asyncio
import inspect
import ssl

import pytest

from agentid.errors import AccessDeniedError, CredentialRevokedError


class Flavour:
    """One of the two libraries, in one of the two colours; everything is called as if it were sync."""

    def __init__(self, module, *, is_async):
        self.module = pytest.importorskip(module, reason=f"{module} is not installed")
        self.is_async = is_async

    def client(self, **kwargs):
        return (self.module.AsyncClient if self.is_async else self.module.Client)(**kwargs)

    @property
    def base_transport(self):
        return self.module.AsyncBaseTransport if self.is_async else self.module.BaseTransport

    @property
    def http_transport(self):
        return self.module.AsyncHTTPTransport if self.is_async else self.module.HTTPTransport

    def method(self, function):
        """A method or hook of this colour that does what *function* does."""

        async def other(*args, **kwargs):
            found = function(*args, **kwargs)
            return await found if inspect.isawaitable(found) else found

        return other if self.is_async else function

    def transport(self, handle, base=None):
        """A transport of somebody's own."""
        name = "handle_async_request" if self.is_async else "handle_request"
        return type("Own", (base or self.base_transport,), {name: self.method(handle)})()

    def passed_on(self, transport, request):
        base = self.http_transport
        return (base.handle_async_request if self.is_async else base.handle_request)(transport, request)

    def run(self, work):
        """Run `work`, a function that takes nothing and may give something to wait for."""
        found = work()
        if not inspect.isawaitable(found):
            return found

        async def wait():
            return await found

        return asyncio.run(wait())

    def send(self, client, request, **kwargs):
        """Send a request, and close the client."""
        if not self.is_async:
            with client:
                return client.send(request, **kwargs)

        async def ask():
            async with client:
                return await client.send(request, **kwargs)

        return asyncio.run(ask())

    def get(self, url, *, follow_redirects=False, headers=None, extensions=None, auth=None, **kwargs):
        request = self.module.Request("GET", url, headers=headers, extensions=extensions)
        if auth is not None:
            kwargs["auth"] = auth
        return self.send(self.client(**kwargs), request, follow_redirects=follow_redirects)


@pytest.fixture(
    params=[("httpx", False), ("httpx", True), ("httpx2", False), ("httpx2", True)],
    ids=["httpx", "httpx async", "httpx2", "httpx2 async"],
)
def httpx(request):
    module, is_async = request.param
    return Flavour(module, is_async=is_async)


# --- ways around -----------------------------------------------------------------------------------------------------


def test_a_client_made_before_installing_is_guarded(world, web, httpx, installed):
    installed.remove()
    client = httpx.client()
    installed.turn_on()

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        httpx.send(client, httpx.module.Request("GET", f"{web.url}/b"))

    assert [] == web.requests


def test_a_transport_that_somebody_gave_is_guarded(world, httpx):
    sent = []

    def handle(_transport, request):
        sent.append(str(request.url))
        return httpx.module.Response(200, content=b"canned")

    with world.acting("read:http://a.example/a"):
        assert b"canned" == httpx.get("http://a.example/a", transport=httpx.transport(handle)).content
        with pytest.raises(AccessDeniedError):
            httpx.get("http://a.example/b", transport=httpx.transport(handle))

    assert ["http://a.example/a"] == sent
    assert [("read:http://a.example/a", "success"), ("read:http://a.example/b", "denied")] == world.touched
    assert 6 == world.records[0].size


def test_a_transport_that_is_mounted_is_guarded(world, httpx):
    mock = httpx.module.MockTransport(lambda _: httpx.module.Response(200))
    with world.acting("read:http://a.example/a"), pytest.raises(AccessDeniedError):
        httpx.get("http://a.example/b", mounts={"http://a.example": mock})


def test_an_application_in_this_process_is_guarded(world, httpx):
    called = []

    async def asgi(scope, _receive, send):
        called.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    def wsgi(environ, start):
        called.append(environ["PATH_INFO"])
        start("200 OK", [])
        return [b"here"]

    def transport():
        return httpx.module.ASGITransport(asgi) if httpx.is_async else httpx.module.WSGITransport(wsgi)

    with world.acting("read:http://a.example/a"):
        assert b"here" == httpx.get("http://a.example/a", transport=transport()).content
        with pytest.raises(AccessDeniedError):
            httpx.get("http://a.example/b", transport=transport())

    assert ["/a"] == called
    assert [("success", 4), ("denied", None)] == [(record.status, record.size) for record in world.records]


def test_a_transport_that_is_used_directly_is_guarded(world, web, httpx):
    transport = httpx.http_transport()
    transport._pool = None  # which is not even looked at
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        httpx.run(lambda: httpx.passed_on(transport, httpx.module.Request("GET", f"{web.url}/b")))

    assert [] == web.requests


def test_a_pool_of_the_layer_below_is_guarded(world, web, httpx):
    core = pytest.importorskip("httpcore2" if httpx.module.__name__ == "httpx2" else "httpcore", reason="not installed")

    def ask(path):
        if not httpx.is_async:
            with core.ConnectionPool() as pool:
                return pool.request("GET", f"{web.url}{path}").content

        async def work():
            async with core.AsyncConnectionPool() as pool:
                return (await pool.request("GET", f"{web.url}{path}")).content

        return asyncio.run(work())

    with world.acting(f"read:{web.url}/a"):
        assert b"hello from /a" == ask("/a")
        with pytest.raises(AccessDeniedError):
            ask("/b")

    assert [("GET", "/a", b"")] == web.requests
    assert [("success", 13), ("denied", None)] == [(record.status, record.size) for record in world.records]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", ["httpcore", "httpcore2"])
def test_a_network_backend_that_leads_elsewhere_is_a_way_to_that_place(world, web, other, name, is_async):
    core = pytest.importorskip(name, reason=f"{name} is not installed")

    class Backend(core.SyncBackend):
        def connect_tcp(self, host, port, **kwargs):
            return super().connect_tcp("127.0.0.1", other.port, **kwargs)

    class AsyncBackend(core.AnyIOBackend):
        async def connect_tcp(self, host, port, **kwargs):
            return await super().connect_tcp("127.0.0.1", other.port, **kwargs)

    def ask(url):
        if not is_async:
            with core.ConnectionPool(network_backend=Backend()) as pool:
                return pool.request("GET", url).content

        async def work():
            async with core.AsyncConnectionPool(network_backend=AsyncBackend()) as pool:
                return (await pool.request("GET", url)).content

        return asyncio.run(work())

    for place in (f"{web.url}/a", f"http://a.example:{web.port}/a"):
        with world.acting(f"read:{place}"), pytest.raises(AccessDeniedError):
            ask(place)
        assert (f"execute:{other.url}", "denied") in world.touched
        assert [] == other.requests
        with world.acting(f"read:{place}", f"execute:{other.url}"):
            assert b"hello from /a" == ask(place)
        assert [("GET", "/a", b"")] == other.requests
        other.requests.clear()


@pytest.mark.parametrize("name", ["httpcore", "httpcore2"])
def test_a_target_of_the_layer_below_is_what_is_decided(world, web, name):
    core = pytest.importorskip(name, reason=f"{name} is not installed")
    with core.ConnectionPool() as pool, world.acting(f"read:{web.url}/a"):
        for target in (b"/b", b"http://a.example/a"):
            with pytest.raises(AccessDeniedError):
                pool.request("GET", f"{web.url}/a", extensions={"target": target})
    with (
        core.ConnectionPool() as pool,
        world.acting("read:http://a.example.evil.example/b"),
        pytest.raises(AccessDeniedError),
    ):
        pool.request(
            "GET",
            "http://a.example/a",
            headers={"Host": "a.example.evil.example"},
            extensions={"target": b".evil.example/b"},
        )

    assert [] == web.requests
    assert ("denied",) == world.touched[-1]


def test_a_transport_that_changes_a_request_is_decided_again(world, web, httpx):
    def handle(transport, request):
        request.url = request.url.copy_with(path="/b")
        return httpx.passed_on(transport, request)

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        httpx.get(f"{web.url}/a", transport=httpx.transport(handle, httpx.http_transport))

    assert [] == web.requests
    assert [(f"read:{web.url}/b", "denied"), (f"read:{web.url}/a", "failure")] == world.touched


def test_a_transport_that_passes_a_request_on_is_one_record(world, web, httpx):
    def handle(transport, request):
        return httpx.passed_on(transport, request)

    transport = httpx.transport(handle, httpx.http_transport)
    with world.acting(f"read:{web.url}/a"):
        assert b"hello from /a" == httpx.get(f"{web.url}/a", transport=transport).content

    assert [(f"read:{web.url}/a", "success")] == world.touched
    assert (1, 13) == (len(world.spans), world.records[0].size)


def test_a_hook_that_changes_a_request_is_decided_by_it(world, web, httpx):
    def hook(request):
        request.url = request.url.copy_with(path="/b")

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        httpx.get(f"{web.url}/a", event_hooks={"request": [httpx.method(hook)]})

    assert [(f"read:{web.url}/b", "denied")] == world.touched


def test_a_hook_that_asks_for_something_else_is_decided(world, web, httpx):
    import urllib.request

    def hook(_response):
        urllib.request.urlopen(f"{web.url}/b")

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        httpx.get(f"{web.url}/a", event_hooks={"response": [httpx.method(hook)]})

    assert ["/a"] == [path for _, path, _ in web.requests]


def test_each_step_of_an_authentication_is_decided(world, web, httpx):
    class Login(httpx.module.Auth):
        def auth_flow(self, request):
            yield httpx.module.Request("POST", f"{web.url}/token")
            yield request

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        httpx.get(f"{web.url}/a", auth=Login())
    with world.acting(f"read:{web.url}/a", f"write:{web.url}/token"):
        httpx.get(f"{web.url}/a", auth=Login())

    assert ["/token", "/a"] == [path for _, path, _ in web.requests]
    assert [f"write:{web.url}/token", f"write:{web.url}/token", f"read:{web.url}/a"] == [a for a, _ in world.touched]


@pytest.mark.parametrize("target", [b"/b", "/b", b"http://a.example/b", b"*", b"b"])
def test_a_target_besides_the_address_is_what_is_decided(world, web, httpx, target):
    """An extension of httpcore: the request line says something else than the address."""
    with world.acting(f"read:{web.url}/a", "read:http://a.example/b"), pytest.raises(AccessDeniedError):
        httpx.get(f"{web.url}/a", extensions={"target": target})

    assert [] == web.requests
    # A client that is made for the first time looks for what is installed, in the folders of `sys.path`.
    assert ["denied"] == [record.status for record in world.records if not record.resource.startswith("file:")]


def test_a_target_that_would_be_the_end_of_a_host_is_refused(world, httpx):
    with world.acting("read:http://a.example.evil.example/b"), pytest.raises(AccessDeniedError):
        httpx.get(
            "http://a.example/a",
            headers={"Host": "a.example.evil.example"},
            extensions={"target": b".evil.example/b"},
        )

    assert [("denied",)] == world.touched


def test_a_unix_socket_is_a_program_and_not_the_host_that_is_named(world, unix, httpx):
    with world.acting("read:http://localhost/a"), pytest.raises(AccessDeniedError):
        httpx.get("http://localhost/a", transport=httpx.http_transport(uds=unix.path))
    assert [] == unix.requests

    with world.acting("read:http://localhost/a", f"execute:file://{unix.path}"):
        assert 200 == httpx.get("http://localhost/a", transport=httpx.http_transport(uds=unix.path)).status_code
    assert {("read:http://localhost/a", "success"), (f"execute:file://{unix.path}", "success")} <= set(world.touched)


def test_a_proxy_that_the_agent_names_is_a_place_of_its_own(world, web, other, httpx):
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        httpx.get(f"{web.url}/a", proxy=other.url)
    assert [] == other.requests

    with world.acting(f"read:{web.url}/a", f"execute:{other.url}"):
        httpx.get(f"{web.url}/a", proxy=other.url)
    assert [("GET", f"{web.url}/a", b"")] == other.requests


def test_a_proxy_of_the_environment_changes_nothing(world, web, other, httpx, name_proxy):
    name_proxy("http_proxy", other.url)
    with world.acting(f"read:{web.url}/a"):
        httpx.get(f"{web.url}/a")

    assert [(f"read:{web.url}/a", "success")] == world.touched
    assert [("GET", f"{web.url}/a", b"")] == other.requests


@pytest.mark.parametrize("named_by", ["agent", "environment"])
def test_a_tunnel_is_a_part_of_the_request_that_needs_it(world, tls, other, certificate, httpx, named_by, name_proxy):
    places, proxy = [f"read:{tls.url}/a"], {}
    if named_by == "environment":
        name_proxy("https_proxy", other.url)
    else:
        places.append(f"execute:{other.url}")
        proxy = {"proxy": other.url}
    with world.acting(*places):
        context = ssl.create_default_context(cafile=str(certificate))
        assert b"hello from /a" == httpx.get(f"{tls.url}/a", verify=context, **proxy).content

    assert [("CONNECT", tls.host, b"")] == other.requests
    assert {(place, "success") for place in places} == set(world.touched)


def test_a_request_that_changes_while_a_person_is_asked_is_decided_again(world, web, httpx):
    request = httpx.module.Request("GET", f"{web.url}/a")

    def approver(_request):
        request.url = request.url.copy_with(path="/b")
        return True

    guard = world.make_guard(approver=approver)
    agent = world.authority.issue("bot", allow=[], ask=[f"read:{web.url}/a"])
    with guard.acting_as(agent), pytest.raises(AccessDeniedError):
        httpx.send(httpx.client(), request)

    assert [] == web.requests


def test_work_that_was_begun_outside_of_the_session_is_decided_where_it_is_done(world, web):
    httpx = Flavour("httpx", is_async=True)

    async def ask():
        async with httpx.client() as client:
            waiting = client.get(f"{web.url}/a")
            with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
                await waiting

    asyncio.run(ask())

    assert [] == web.requests


# --- the body of an answer -------------------------------------------------------------------------------------------


def parts_of(httpx, client, url, meanwhile):
    """Read a body part by part, and do something after the first one; gives how much was read."""
    read = 0
    if not httpx.is_async:
        with client, client.stream("GET", url) as answer:
            for part in answer.iter_raw():
                read += len(part)
                meanwhile()
        return read

    async def ask():
        nonlocal read
        async with client, client.stream("GET", url) as answer:
            async for part in answer.aiter_raw():
                read += len(part)
                meanwhile()
        return read

    return asyncio.run(ask())


def test_an_agent_that_is_taken_back_is_stopped_in_the_middle_of_a_body(world, web, httpx):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])
    with world.guard.acting_as(agent), pytest.raises(CredentialRevokedError):
        parts_of(httpx, httpx.client(), f"{web.url}/big", lambda: world.authority.revoke(agent))

    (record,) = world.records
    assert "stopped" == record.status
    assert 0 < record.size < 1 << 20


def test_a_body_that_is_read_part_by_part_is_counted(world, web, httpx):
    seen = []
    with world.acting(f"read:{web.url}/big"):
        read = parts_of(httpx, httpx.client(), f"{web.url}/big", lambda: seen.append(len(world.records)))

    assert 1 << 20 == read
    assert 0 == seen[0]
    assert [("success", 1 << 20)] == [(record.status, record.size) for record in world.records]


def test_a_body_that_is_not_wanted_is_said_to_be(world, web, httpx):
    def stop():
        raise KeyError

    with world.acting(f"read:{web.url}/big"), pytest.raises(KeyError):
        parts_of(httpx, httpx.client(), f"{web.url}/big", stop)

    assert ["closed"] == [record.status for record in world.records]


def test_the_time_that_a_request_took_is_known_as_before(world, web, httpx):
    with world.acting(f"read:{web.url}/a"):
        assert httpx.get(f"{web.url}/a").elapsed.total_seconds() > 0
