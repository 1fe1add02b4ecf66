"""`http.client`: what is decided is what the bytes say, whoever sends them and however."""

from __future__ import annotations

import gc
import http.client
import io
import socket
import ssl
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection

import pytest

from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard


@pytest.fixture
def connection(web):
    connection = HTTPConnection("127.0.0.1", web.port)
    yield connection
    connection.close()


def get(connection, target="/a", **headers):
    connection.request("GET", target, headers=headers)
    return connection.getresponse()


# --- ways around -----------------------------------------------------------------------------------------------------


def test_bytes_that_are_sent_without_putrequest_are_decided(world, web, connection):
    with world.acting(f"read:{web.url}/a"):
        connection.connect()
        with pytest.raises(AccessDeniedError):
            connection.send(b"DELETE /secret HTTP/1.1\r\nHost: " + web.host.encode() + b"\r\n\r\n")

    assert [(f"delete:{web.url}/secret", "denied")] == world.touched
    assert [] == web.requests


def test_a_request_that_is_refused_does_not_even_connect(world, web, connection):
    with world.acting(), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")

    assert connection.sock is None


def test_a_connection_that_was_opened_before_the_session_is_guarded(world, web, connection):
    get(connection).read()
    with world.acting(f"read:{web.url}/b"):
        assert b"hello from /b" == get(connection, "/b").read()
        with pytest.raises(AccessDeniedError):
            connection.request("GET", "/a")

    assert ["/a", "/b"] == [path for _, path, _ in web.requests]


def test_a_connection_of_another_agent_is_guarded(world, web, connection):
    with world.acting(f"read:{web.url}/a"):
        get(connection).read()
    with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")

    assert 1 == len(web.requests)


def test_the_answer_to_a_request_from_outside_of_the_session_is_not_read(world, web, connection):
    connection.request("GET", "/a")
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        connection.getresponse()


def test_the_answer_to_a_request_of_another_agent_is_not_read(world, web, connection):
    with world.acting(f"read:{web.url}/a"):
        connection.request("GET", "/a")
    with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
        connection.getresponse()


def test_a_connection_whose_host_was_exchanged_leads_where_it_led_before(world, web, other):
    connection = HTTPConnection("127.0.0.1", other.port)
    connection.connect()
    connection.port = web.port

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")
    connection.close()

    assert [] == other.requests
    assert [(f"read:{web.url}/a", f"execute:{other.url}", "denied")] == world.touched


def test_a_connection_that_connects_in_a_way_of_its_own_leads_where_that_leads(world, web, other):
    connection = HTTPConnection("127.0.0.1", web.port)
    connection._create_connection = lambda *_: socket.create_connection(("127.0.0.1", other.port))

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")
    connection.close()

    assert [] == other.requests
    assert (f"execute:{other.url}", "denied") in world.touched


def test_two_requests_in_the_same_bytes_are_refused(world, web, connection):
    one = b"GET /a HTTP/1.1\r\nHost: " + web.host.encode() + b"\r\n\r\n"
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        connection.send(one + one)

    assert [] == web.requests


def test_a_second_request_behind_a_body_is_refused(world, web, connection):
    """Pipelining: each is decided by itself, and this one is no part of the first."""
    with world.acting(f"write:{web.url}/a"):
        connection.putrequest("POST", "/a")
        connection.putheader("Content-Length", "4")
        connection.endheaders(b"data")
        with pytest.raises(AccessDeniedError):
            connection.send(b"GET /secret HTTP/1.1\r\n\r\n")
        connection.getresponse().read()

    assert [(f"read:{web.url}/secret", "denied"), (f"write:{web.url}/a", "success")] == world.touched
    assert [("POST", "/a", b"data")] == web.requests


def test_a_request_that_begins_inside_of_the_body_of_another_is_refused(world, web, connection):
    with world.acting(f"write:{web.url}/empty", f"read:{web.url}/b"):
        connection.putrequest("POST", "/a")
        with pytest.raises(AccessDeniedError):
            connection.endheaders()
        connection.close()
        connection.putrequest("POST", "/empty")
        connection.putheader("Expect", "nothing")
        connection.endheaders()
        connection.getresponse().read()
        connection.putrequest("GET", "/b")
        connection.endheaders()
        assert b"hello from /b" == connection.getresponse().read()


def test_a_request_after_one_that_did_not_end_is_refused(world, web, connection):
    """Its server may take it for the rest of the body of the first one."""
    with world.acting(f"write:{web.url}/**", f"read:{web.url}/**"):
        connection.putrequest("POST", "/early")
        connection.putheader("Content-Length", "400")
        connection.endheaders(b"some")
        assert b"before the body" == connection.getresponse().read()
        with pytest.raises(AccessDeniedError):
            connection.send(b"GET /a HTTP/1.1\r\n\r\n")


def test_a_subclass_that_has_its_own_way_to_ask_is_guarded(world, web):
    class Own(HTTPConnection):
        def request(self, method, url, *_, **__):
            self.send(f"{method} {url} HTTP/1.0\r\n\r\n".encode())

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        Own("127.0.0.1", web.port).request("GET", "/b")

    assert [] == web.requests


def test_a_connection_made_before_installing_is_guarded(world, web, installed):
    installed.remove()
    connection = HTTPConnection("127.0.0.1", web.port)
    type(installed).turn_on(installed)

    with world.acting(), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")


@pytest.mark.parametrize("target", [".evil.example/x", "@evil.example/x", "*", "evil.example:80", "?a", "//evil/x"])
def test_a_target_that_is_no_path_is_refused(world, web, connection, target):
    with world.acting("read:http://*/**", f"execute:{web.url}/**", f"read:{web.url}"), pytest.raises(AccessDeniedError):
        connection.request("GET", target)

    assert [] == web.requests


@pytest.mark.parametrize(
    "lines",
    [
        b"Host : other.example",
        b"Host: {host}\r\nHost: other.example",
        b"Host: {host}\r\n\tother.example",
        b"X: a\nHost: other.example",
        b"X: a\rHost: other.example",
        b" X: a",
        b"no header",
        b"Content-Length: 1, 2",
        b"Content-Length: +4",
        b"Content-Length: 4\r\nContent-Length: 4",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(world, web, connection, lines):
    lines = lines.replace(b"{host}", web.host.encode())
    with world.acting(f"read:{web.url}/**", "read:http://other.example/**"), pytest.raises(AccessDeniedError):
        connection.send(b"GET /a HTTP/1.1\r\n" + lines + b"\r\n\r\n")

    assert [] == web.requests
    assert [("denied",)] == world.touched


def test_a_head_in_pieces_is_refused(world, web, connection):
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        connection.send(b"GET /a HTTP/1.1\r\n")

    assert [] == web.requests


def test_what_is_sent_is_what_was_decided_although_it_changes_meanwhile(world, web, connection):
    """A `bytearray` that somebody changes while a person is asked."""
    head = bytearray(b"GET /a HTTP/1.1\r\nHost: " + web.host.encode() + b"\r\n\r\n")

    def approver(_request):
        head[5:6] = b"b"
        return True

    guard = world.make_guard(approver=approver)
    with guard.acting_as(world.authority.issue("bot", ask=[f"read:{web.url}/a"])):
        connection.send(head)
        connection.getresponse = None

    connection.sock.recv(1)
    assert ["/a"] == [path for _, path, _ in web.requests]


def test_after_a_change_of_protocol_anything_is_sent_and_without_one_nothing_is(world, web):
    """Asking for it is `execute`; but a server may not want to."""
    asking = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "a"}
    connection, refused = (HTTPConnection("127.0.0.1", web.port) for _ in range(2))
    with world.acting(f"execute:{web.url}/a"):
        assert 101 == get(connection, **asking).status
        connection.send(b"whatever")
        assert b"hello from /a" == get(refused, **{**asking, "Upgrade": "h2c"}).read()
        with pytest.raises(AccessDeniedError):
            refused.request("DELETE", "/b")
    connection.close()
    refused.close()

    assert ["/a", "/a"] == [path for _, path, _ in web.requests]


@pytest.mark.parametrize("host", ["ada@127.0.0.1", "127.0.0.1/x", "127.0.0.1?x", "127.0.0.1#x", "[127.0.0.1"])
def test_a_host_that_would_end_or_begin_an_address_is_refused(world, web, host):
    connection = HTTPConnection(host, web.port)
    with world.acting(f"read:{web.url}/**", "read:http://127.0.0.1/**"):
        connection.putrequest("GET", "/a", skip_host=True)
        with pytest.raises(AccessDeniedError):
            connection.endheaders()

    assert [("denied",)] == world.touched


# --- proxies, tunnels and sockets ------------------------------------------------------------------------------------


def test_an_address_as_target_touches_the_proxy_too(world, web, other, name_proxy):
    name_proxy("http_proxy", "http://proxy.example:3128")  # another one
    name_proxy("all_proxy", "socks5://[odd")
    connection = HTTPConnection("127.0.0.1", other.port)
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        connection.request("GET", f"{web.url}/a")
    assert [] == other.requests
    connection.close()

    with world.acting(f"read:{web.url}/a", f"execute:{other.url}"):
        get(connection, f"{web.url}/a").read()
    assert [(f"read:{web.url}/a", f"execute:{other.url}", "success")] == world.touched[1:]
    connection.close()


def test_an_address_of_the_connected_host_is_no_proxy(world, web, connection):
    with world.acting(f"read:{web.url}/a"):
        get(connection, f"{web.url}/a").read()

    assert [(f"read:{web.url}/a", "success")] == world.touched


def test_a_proxy_of_the_environment_is_no_place_of_its_own(world, web, other, name_proxy):
    name_proxy("http_proxy", other.url)
    connection = HTTPConnection("127.0.0.1", other.port)
    with world.acting(f"read:{web.url}/a"):
        get(connection, f"{web.url}/a").read()

    assert [(f"read:{web.url}/a", "success")] == world.touched
    connection.close()


def test_a_socks_proxy_of_urllib3_is_a_place_of_its_own(world, web, connection):
    """As its connections have it; the library that speaks SOCKS is not needed for being refused."""
    connection._socks_options = {"proxy_host": "proxy.example", "proxy_port": "1080"}
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")

    assert [(f"read:{web.url}/a", "execute:http://proxy.example:1080", "denied")] == world.touched


def test_a_request_through_a_tunnel_is_one_to_its_end(world, tls, other, certificate):
    context = ssl.create_default_context(cafile=str(certificate))
    connection = HTTPSConnection("127.0.0.1", other.port, context=context)
    connection.set_tunnel("127.0.0.1", tls.port)
    with world.acting(f"execute:{other.url}", f"read:{other.url}/**"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")
    assert [] == other.requests
    connection.close()

    with world.acting(f"read:{tls.url}/a", f"execute:{other.url}"):
        assert b"hello from /a" == get(connection).read()
    assert [(f"read:{tls.url}/a", f"execute:{other.url}", "success")] == world.touched[1:]
    assert [("CONNECT", tls.host, b"")] == other.requests
    connection.close()


def test_a_tunnel_alone_may_carry_anything(world, tls, other, certificate):
    context = ssl.create_default_context(cafile=str(certificate))
    connection = HTTPSConnection("127.0.0.1", other.port, context=context)
    connection.set_tunnel("127.0.0.1", tls.port)
    with world.acting(f"read:{tls.url}/**", f"execute:{other.url}"), pytest.raises(AccessDeniedError):
        connection.connect()
    assert [] == other.requests
    connection.close()

    with world.acting(f"execute:{tls.url}", f"execute:{other.url}", f"read:{tls.url}/a"):
        connection.connect()
        get(connection).read()
    assert [
        (f"execute:{tls.url}", f"execute:{other.url}", "success"),
        (f"read:{tls.url}/a", f"execute:{other.url}", "success"),
    ] == world.touched[1:]
    connection.close()


def test_a_tunnel_by_hand_is_refused(world, web, other):
    connection = HTTPConnection("127.0.0.1", other.port)
    with (
        world.acting(f"execute:{other.url}/**", f"execute:{other.url}", f"execute:{web.url}"),
        pytest.raises(AccessDeniedError),
    ):
        connection.request("CONNECT", web.host)

    assert [] == other.requests


@pytest.mark.parametrize("head", [b"CONNECT other.example:1 HTTP/1.1\r\n\r\n", b"CONNECT {} HTTP/1.1\r\n\r\nGET /a"])
def test_a_tunnel_by_hand_is_no_way_to_another_place_than_the_one_that_was_set(world, web, other, head):
    connection = HTTPConnection("127.0.0.1", other.port)
    connection.set_tunnel("127.0.0.1", web.port)
    with (
        world.acting(f"execute:https://{web.host}", f"execute:{other.url}", "execute:https://other.example:1"),
        pytest.raises(AccessDeniedError),
    ):
        connection.send(head.replace(b"{}", web.host.encode()))

    assert [] == other.requests


def test_https_is_another_place_than_http(world, tls, certificate):
    context = ssl.create_default_context(cafile=str(certificate))
    connection = HTTPSConnection("127.0.0.1", tls.port, context=context)
    with world.acting(f"read:http://{tls.host}/**"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")
    connection.close()
    with world.acting(f"read:https://{tls.host}/**"):
        assert b"hello from /a" == get(connection).read()
    connection.close()


class UnixConnection(HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def test_a_unix_socket_is_a_program_and_not_the_host_that_is_named(world, unix):
    connection = UnixConnection(unix.path)
    with world.acting("read:http://localhost/**"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")
    assert [] == unix.requests
    connection.close()

    with world.acting("read:http://localhost/**", f"execute:file://{unix.path}"):
        get(connection).read()
        get(connection).read()
        connection.close()
    program = f"execute:file://{unix.path}"
    # It is known of the first request only once it is connected.
    assert [
        (program, "success"),
        ("read:http://localhost/a", "success"),
        ("read:http://localhost/a", program, "success"),
    ] == world.touched[2:]
    assert 2 == len(unix.requests)


def test_a_unix_socket_that_is_open_already_is_a_program_too(world, unix):
    connection = UnixConnection(unix.path)
    get(connection).read()
    with world.acting("read:http://localhost/**"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/a")
    connection.close()

    assert 1 == len(unix.requests)


# --- what works as before --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"data", {}),
        ("data", {}),
        (bytearray(b"data"), {}),
        (memoryview(b"data"), {}),
        (io.BytesIO(b"data"), {"Content-Length": "4"}),
        (io.StringIO("data"), {"Content-Length": "4"}),
        ([b"da", b"", b"ta"], {"Content-Length": "4"}),
        (iter([b"da", b"ta"]), {"Content-Length": "4"}),
    ],
    ids=["bytes", "str", "bytearray", "memoryview", "file", "text file", "list", "iterator"],
)
def test_a_body_of_any_kind_arrives(world, web, connection, body, headers):
    with world.acting(f"write:{web.url}/a"):
        connection.request("POST", "/a", body, headers)
        assert b"hello from /a" == connection.getresponse().read()

    assert [("POST", "/a", b"data")] == web.requests
    assert 1 == len(world.spans)


@pytest.mark.parametrize("data", [io.BytesIO(b"data"), io.StringIO("data"), [b"da", b"ta"], b"data"])
def test_a_body_may_be_sent_piece_by_piece(world, web, connection, data):
    with world.acting(f"write:{web.url}/a"):
        connection.putrequest("POST", "/a")
        connection.putheader("Content-Length", "4")
        connection.endheaders()
        connection.send(data)
        assert b"hello from /a" == connection.getresponse().read()

    assert [("POST", "/a", b"data")] == web.requests
    assert [(f"write:{web.url}/a", "success")] == world.touched


def test_a_body_in_chunks_arrives_and_is_followed_by_another_request(world, web, connection):
    with world.acting(f"write:{web.url}/a", f"read:{web.url}/b"):
        connection.request("POST", "/a", iter([b"data" * 5000, b"more"]), encode_chunked=True)
        connection.getresponse().read()
        get(connection, "/b").read()

    assert [("POST", "/a", b"data" * 5000 + b"more"), ("GET", "/b", b"")] == web.requests
    assert [(f"write:{web.url}/a", "success"), (f"read:{web.url}/b", "success")] == world.touched


@pytest.mark.parametrize("data", ["text", 7, None])
def test_what_cannot_be_sent_is_the_error_of_the_library(world, web, connection, data):
    with world.acting(f"read:{web.url}/**"), pytest.raises(TypeError):
        connection.send(data)

    assert connection.sock is None


def test_a_connection_that_does_not_open_by_itself_says_so(world, web, connection):
    connection.auto_open = 0
    with world.acting(f"read:{web.url}/**"), pytest.raises(http.client.NotConnected):
        connection.request("GET", "/a")

    assert [(f"read:{web.url}/a", "failure")] == world.touched


def test_an_answer_that_nobody_asked_for_is_the_error_of_the_library(world, web, connection):
    with world.acting(), pytest.raises(http.client.ResponseNotReady):
        connection.getresponse()


def test_a_guard_that_only_observes_sees_what_follows_an_odd_request(world, web, connection):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        connection.send(b"GET /a HTTP/1.1\r\nHost:x\r\nno header\r\n\r\n")
        connection.send(b"GET /b HTTP/1.1\r\nHost: " + web.host.encode() + b"\r\n\r\n")
        connection.close()
        get(connection).read()

    assert [(), f"read:{web.url}/b", f"read:{web.url}/a"] == [
        str(record.accesses[0]) if record.accesses else () for record in world.records
    ]


def test_a_guard_that_only_observes_lets_odd_requests_through(world, web, connection):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        connection.putrequest("GET", "/a", skip_host=True)
        connection.putheader("Host", "other.example")
        connection.endheaders()
        assert b"hello from /a" == connection.getresponse().read()

    assert [("would_deny", "success")] == [(record.effect, record.status) for record in world.records]


# --- the body of an answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        HTTPResponse.read,
        lambda response: b"".join(iter(lambda: response.read(5), b"")),
        lambda response: b"".join(iter(lambda: response.read1(5), b"")),
        b"".join,
        lambda response: b"".join(response.readlines()),
        lambda response: response.peek(3)[:0] + response.read(),
        lambda response: bytes(buffer[: response.readinto(buffer)]) if (buffer := bytearray(99)) else b"",
        lambda response: io.TextIOWrapper(response).read().encode(),
    ],
    ids=["read", "read part", "read1", "lines", "readlines", "peek", "readinto", "text"],
)
def test_a_body_is_counted_however_it_is_read(world, web, connection, read):
    with world.acting(f"read:{web.url}/a"):
        assert b"hello from /a" == read(get(connection))

    connection.close()
    gc.collect()
    assert [13] == [record.size for record in world.records]


def test_an_agent_that_is_taken_back_is_stopped_in_the_middle_of_a_body(world, web, connection):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])
    with world.guard.acting_as(agent):
        response = get(connection, "/big")
        assert 10 == len(response.read(10))
        world.authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            response.read(10)

    assert [("stopped", 10)] == [(record.status, record.size) for record in world.records]


def test_an_agent_that_is_taken_back_is_stopped_before_an_answer_and_within_a_body_it_sends(world, web):
    agent = world.authority.issue("bot", allow=[f"write:{web.url}/**"])
    with world.guard.acting_as(agent):
        one, two = (HTTPConnection("127.0.0.1", web.port) for _ in range(2))
        one.request("POST", "/a", b"x")
        two.putrequest("POST", "/a")
        two.putheader("Content-Length", "4")
        two.endheaders()
        world.authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            one.getresponse()
        with pytest.raises(CredentialRevokedError):
            two.send(b"data")
    one.close()
    two.close()

    assert ["stopped", "stopped"] == [record.status for record in world.records]


def test_a_record_does_not_change_any_more_after_a_body_failed(world, web, connection):
    with world.acting(f"read:{web.url}/cut"):
        response = get(connection, "/cut")
        response.read(2)
        with pytest.raises(http.client.IncompleteRead):
            response.read()
        assert [("failure", 2)] == [(record.status, record.size) for record in world.records]
        response.read(1)

    assert [("failure", 2)] == [(record.status, record.size) for record in world.records]


def test_a_body_that_is_closed_early_is_said_to_be(world, web, connection):
    with world.acting(f"read:{web.url}/big"):
        get(connection, "/big").close()

    assert ["closed"] == [record.status for record in world.records]


def test_an_answer_without_a_body_is_over_before_it_is_read(world, web, connection):
    with world.acting(f"read:{web.url}/empty"):
        response = get(connection, "/empty")
        assert [(f"read:{web.url}/empty", "success")] == world.touched
        response.close()


def test_nothing_is_sent_of_nothing(world, web, connection):
    with world.acting(f"read:{web.url}/a"):
        connection.putrequest("GET", "/a")
        connection.endheaders()
        connection.send(b"")
        connection.getresponse().read()

    assert [(f"read:{web.url}/a", "success")] == world.touched


def test_an_answer_that_is_not_wanted_is_said_to_be(world, web, connection):
    with world.acting(f"read:{web.url}/a"):
        connection.request("GET", "/a")
        connection.close()
        get(connection).read()

    assert ["closed", "success"] == [record.status for record in world.records]
