"""`urllib.request`: decided before a byte leaves, hop by hop."""

from __future__ import annotations

import http.client
import urllib.request
from urllib.error import HTTPError

import pytest

from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard


def test_a_request_that_is_allowed_is_made_and_recorded(world, http):
    with world.acting(f"read:{http.url}/a/*"), urllib.request.urlopen(f"{http.url}/a/b?secret=1") as response:
        assert b"hello from /a/b?secret=1" == response.read()

    assert [(f"read:{http.url}/a/b", "success")] == world.touched
    (span,) = world.spans
    assert f"GET {http.host}" == span.name
    assert "CLIENT" == span.kind.name
    attributes = dict(span.attributes)
    assert ("GET", 200, "127.0.0.1") == tuple(
        attributes[name] for name in ("http.request.method", "http.response.status_code", "server.address")
    )
    assert 24 == attributes["agentid.data.size"] == world.records[0].size
    assert "secret" not in repr([span.to_json(), world.records, world.audit.lines])


@pytest.mark.parametrize(
    ("method", "action"),
    [("GET", "read"), ("POST", "write"), ("PUT", "edit"), ("PATCH", "edit"), ("DELETE", "delete"), ("ODD", "execute")],
)
def test_a_request_that_is_not_allowed_never_leaves(world, http, method, action):
    others = {"read", "write", "edit", "delete", "execute"} - {action}
    request = urllib.request.Request(f"{http.url}/a", data=b"x", method=method)

    with world.acting(*(f"{other}:{http.url}/**" for other in others)), pytest.raises(AccessDeniedError):
        urllib.request.urlopen(request)

    assert [] == http.requests
    assert [(f"{action}:{http.url}/a", "denied")] == world.touched


def test_each_hop_of_a_redirect_is_decided(world, http):
    with world.acting(f"read:{http.url}/redirect/**"), pytest.raises(AccessDeniedError):
        urllib.request.urlopen(f"{http.url}/redirect/elsewhere")

    assert [("GET", "/redirect/elsewhere", b"")] == http.requests
    refused, begun = f"read:{http.url}/elsewhere", f"read:{http.url}/redirect/elsewhere"
    assert [(refused, "denied"), (begun, "failure")] == world.touched


def test_an_opener_made_before_is_guarded_too(world, http):
    opener = urllib.request.build_opener()

    with world.acting("read:crm/**"), pytest.raises(AccessDeniedError):
        opener.open(f"{http.url}/a")

    assert [] == http.requests


def test_a_file_is_a_file_by_any_scheme(world, tmp_path):
    (tmp_path / "a.txt").write_text("data")

    with world.acting(f"read:file://{tmp_path}/a.txt"), urllib.request.urlopen(f"file://{tmp_path}/a.txt") as response:
        assert b"data" == response.read()
    with world.acting(f"read:file://{tmp_path}/b.txt"), pytest.raises(AccessDeniedError):
        urllib.request.urlopen(f"file://{tmp_path}/a.txt")


def test_a_file_that_a_handler_names_instead_is_what_is_decided(world, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("data")

    class Another(urllib.request.BaseHandler):
        def file_request(self, request):
            request.selector = f"{tmp_path}/b.txt"
            return request

    with world.acting(f"read:file://{tmp_path}/a.txt"), pytest.raises(AccessDeniedError):
        urllib.request.build_opener(Another).open(f"file://{tmp_path}/a.txt")

    assert [(f"read:file://{tmp_path}/b.txt", "denied")] == world.touched


def test_a_handler_of_files_opens_nothing_else_meanwhile(world, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("data")

    class Curious(urllib.request.FileHandler):
        def file_open(self, request):
            (tmp_path / "b.txt").read_text()
            return super().file_open(request)

    with world.acting(f"read:file://{tmp_path}/a.txt"), pytest.raises(AccessDeniedError):
        urllib.request.build_opener(Curious).open(f"file://{tmp_path}/a.txt")

    assert [(f"read:file://{tmp_path}/b.txt", "denied")] == world.touched


@pytest.mark.parametrize("path", ["/a//b", "/a/%2e%2e/b", "/a/../b", "/%00", "/a%2fb"])
def test_an_address_that_could_be_another_one_is_refused(world, http, path):
    with world.acting(f"read:{http.url}/**"), pytest.raises(AccessDeniedError):
        urllib.request.urlopen(f"{http.url}{path}")

    assert [] == http.requests
    assert [("denied",)] == world.touched


def test_what_the_server_refuses_is_a_failure(world, http):
    with world.acting(f"read:{http.url}/**"), pytest.raises(HTTPError):
        urllib.request.urlopen(f"{http.url}/missing")

    assert [(f"read:{http.url}/missing", "failure")] == world.touched


def test_outside_of_a_session_nothing_is_decided_and_nothing_recorded(world, http):
    with urllib.request.urlopen(f"{http.url}/a") as response:
        assert 200 == response.status

    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, http):
    guard = world.make_guard(ObserveOnlyGuard)

    with world.acting(guard=guard), urllib.request.urlopen(f"{http.url}/a") as response:
        assert 200 == response.status

    assert ["would_deny"] == [record.effect for record in world.records]


# --- ways around ---------------------------------------------------------------------------------------------------


class Elsewhere(urllib.request.BaseHandler):
    """Changes where a request goes, after it was allowed."""

    handler_order = 100

    def __init__(self, change):
        self.change = change

    def http_request(self, request):
        self.change(request)
        return request


def test_a_request_that_a_handler_changes_is_decided_again(world, web, other):
    def change(request):
        request.full_url = f"{other.url}/b"

    opener = urllib.request.build_opener(Elsewhere(change))
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        opener.open(f"{web.url}/a")

    assert ([], []) == (web.requests, other.requests)
    assert [(f"read:{other.url}/b", "denied"), (f"read:{web.url}/a", "failure")] == world.touched


def test_what_a_handler_asks_for_meanwhile_is_decided(world, web):
    def change(_request):
        urllib.request.urlopen(f"{web.url}/b")

    opener = urllib.request.build_opener(Elsewhere(change))
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        opener.open(f"{web.url}/a")

    assert [] == web.requests


def test_a_second_try_with_a_password_is_the_same_access(world, web):
    handler = urllib.request.HTTPDigestAuthHandler()
    handler.add_password("r", web.url, "ada", "secret")
    with world.acting(f"read:{web.url}/login"), urllib.request.build_opener(handler).open(f"{web.url}/login") as answer:
        assert b"hello from /login" == answer.read()

    assert 2 == len(web.requests)
    assert [(f"read:{web.url}/login", "success")] == world.touched


def test_the_layer_below_is_not_a_way_around(world, web):
    """A handler of its own may use `http.client` for anything."""

    class Own(urllib.request.HTTPHandler):
        def http_open(self, request):
            connection = http.client.HTTPConnection("127.0.0.1", web.port)
            connection.request("DELETE", "/a")

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        urllib.request.build_opener(Own).open(f"{web.url}/a")

    assert [] == web.requests


def test_a_proxy_that_the_agent_names_is_a_place_of_its_own(world, web, other):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": other.url}))
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        opener.open(f"{web.url}/a")
    assert [] == other.requests

    with world.acting(f"read:{web.url}/a", f"execute:{other.url}"), opener.open(f"{web.url}/a") as response:
        response.read()
    assert [("GET", f"{web.url}/a", b"")] == other.requests


def test_a_proxy_of_the_environment_changes_nothing(world, web, other, monkeypatch, name_proxy):
    name_proxy("http_proxy", other.url)
    monkeypatch.setattr(urllib.request, "_opener", None)
    with world.acting(f"read:{web.url}/a"), urllib.request.urlopen(f"{web.url}/a") as response:
        response.read()
    monkeypatch.setattr(urllib.request, "_opener", None)

    assert [(f"read:{web.url}/a", "success")] == world.touched
    assert [("GET", f"{web.url}/a", b"")] == other.requests


def test_data_in_an_address_touches_nothing(world):
    with world.acting(), urllib.request.urlopen("data:,hello") as response:
        assert b"hello" == response.read()

    assert [] == world.touched


def test_other_schemes_are_decided_too(world):
    with world.acting("read:http://files.example/**"), pytest.raises(AccessDeniedError):
        urllib.request.urlopen("ftp://files.example/a")

    assert [("read:ftp://files.example/a", "denied")] == world.touched


def test_an_agent_that_is_taken_back_is_stopped_in_the_middle_of_a_body(world, web):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])
    with world.guard.acting_as(agent), urllib.request.urlopen(f"{web.url}/big") as response:
        assert 10 == len(response.read(10))
        world.authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            response.read(10)

    assert [("stopped", 10)] == [(record.status, record.size) for record in world.records]
