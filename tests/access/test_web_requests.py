"""One table for every HTTP library: what is decided, refused and recorded is the same, whichever makes the request."""

from __future__ import annotations

from contextlib import suppress

import pytest
from access.web_callers import CALLERS

from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard

by_address = pytest.mark.parametrize(
    "caller", [each for each in CALLERS if each.takes_addresses], indirect=True, ids=lambda each: each.name
)


def test_a_request_that_is_allowed_is_one_record_and_one_span(world, web, caller):
    with world.acting(f"read:{web.url}/a/*"):
        assert (200, b"hello from /a/b?secret=1") == caller("GET", f"{web.url}/a/b?secret=1", {"X-Key": "secret"})

    assert [(f"read:{web.url}/a/b", "success")] == world.touched
    (span,) = world.spans
    assert (f"GET {web.host}", "CLIENT") == (span.name, span.kind.name)
    attributes = dict(span.attributes)
    assert ("GET", 200, "127.0.0.1", web.port) == tuple(
        attributes[name]
        for name in ("http.request.method", "http.response.status_code", "server.address", "server.port")
    )
    assert 24 == attributes["agentid.data.size"] == world.records[0].size
    assert "secret" not in repr([span.to_json(), world.records, world.audit.lines])


@pytest.mark.parametrize(
    ("method", "action"),
    [
        *(("GET", "read"), ("HEAD", "read"), ("OPTIONS", "read"), ("POST", "write"), ("PUT", "edit")),
        *(("PATCH", "edit"), ("DELETE", "delete"), ("ODD", "execute")),
    ],
)
def test_a_request_that_is_not_allowed_never_leaves(world, web, caller, method, action):
    others = {"read", "write", "edit", "delete", "execute"} - {action}
    body = b"x" if method in {"POST", "PUT", "PATCH"} else None

    with world.acting(*(f"{one}:{web.url}/**" for one in others)), pytest.raises(AccessDeniedError):
        caller(method, f"{web.url}/a", body=body)

    assert [] == web.requests
    assert [(f"{action}:{web.url}/a", "denied")] == world.touched


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "ODD"])
def test_a_method_that_is_allowed_arrives_with_its_body(world, web, caller, method):
    action = {"POST": "write", "PUT": "edit", "DELETE": "delete", "ODD": "execute"}[method]

    with world.acting(f"{action}:{web.url}/a"):
        assert 200 == caller(method, f"{web.url}/a", body=b"data")[0]

    assert [(method, "/a", b"data")] == web.requests
    assert (method if method != "ODD" else "_OTHER") == world.spans[0].attributes["http.request.method"]
    assert [(f"{action}:{web.url}/a", "success")] == world.touched


@by_address
def test_each_hop_of_a_redirect_is_decided(world, web, other, caller):
    url = f"{web.url}/to?{other.url}/elsewhere"

    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        caller.get(url)

    assert ([("GET", f"/to?{other.url}/elsewhere", b"")], []) == (web.requests, other.requests)
    assert (f"read:{other.url}/elsewhere", "denied") in world.touched
    assert 2 == len(world.touched)


@by_address
@pytest.mark.parametrize(
    "to",
    [
        "//{other}/x",
        "HTTP://{other}/x",
        "http://{web}@{other}/x",
        "http:///{other}/x",
        "\\\\{other}/x",
        "http:\\\\{other}\\x",
        "http://{other}/x%20HTTP/1.1",
        "ftp://{other}/x",
        "gopher://{other}/x",
        "file://{folder}/secret",
        "data:,secret",
        "/../secret",
        "/%2e%2e/secret",
        "//{web}/secret",
    ],
)
def test_no_redirect_of_any_kind_is_a_way_around(world, web, other, caller, tmp_path, to):
    (tmp_path / "secret").write_text("secret")
    url = to.format(web=web.host, other=other.host, folder=tmp_path)

    # Some libraries do not know where that is, and say so or give the redirect itself.
    answer = None
    with world.acting(f"read:{web.url}/to"), suppress(Exception):
        answer = caller.get(f"{web.url}/to?{url}")

    assert [] == other.requests
    assert ["/to"] == [path.partition("?")[0] for _, path, _ in web.requests]
    assert answer in {None, (302, b"")}
    assert f"read:{web.url}/to" in [access for access, *_ in world.touched]


@by_address
def test_each_hop_of_a_redirect_that_is_allowed_is_one_record(world, web, other, caller):
    with world.acting(f"read:{web.url}/to", f"read:{other.url}/there"):
        assert (200, b"hello from /there") == caller.get(f"{web.url}/to?{other.url}/there")

    assert {(f"read:{web.url}/to", "success"), (f"read:{other.url}/there", "success")} == set(world.touched)
    assert 2 == len(world.touched) == len(world.spans)
    sizes = {str(record.accesses[0]): record.size or 0 for record in world.records}
    assert {f"read:{web.url}/to": 0, f"read:{other.url}/there": 17} == sizes
    status = {
        span.attributes["agentid.data.dataset"]: span.attributes.get("http.response.status_code")
        for span in world.spans
    }
    # `urllib` answers with the last answer only.
    assert {f"{web.url}/to": None if caller.name == "urllib" else 302, f"{other.url}/there": 200} == status


@pytest.mark.parametrize("path", ["/a//b", "/%00", "/a%2fb", "/a/%2e%2e%2fb"])
def test_an_address_that_could_be_another_one_is_refused(world, web, caller, path):
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        caller.get(f"{web.url}{path}")

    assert [] == web.requests
    assert [("denied",)] == world.touched


@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e/b"])
def test_what_a_library_makes_of_a_path_is_what_is_decided(world, web, caller, path):
    """Some take the dots away, others send them."""
    with world.acting(f"read:{web.url}/a/**"), pytest.raises(AccessDeniedError):
        caller.get(f"{web.url}{path}")
    with world.acting(f"read:{web.url}/a/b"), pytest.raises(AccessDeniedError):
        caller.get(f"{web.url}/a/../b")

    assert [] == web.requests


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1:1", "127.0.0.1", "me@127.0.0.1", "a.example/b", ""])
def test_a_header_that_names_another_host_is_refused(world, web, caller, host):
    with world.acting(f"read:{web.url}/**", "read:http://other.example/**"), pytest.raises(AccessDeniedError):
        caller.get(f"{web.url}/a", Host=host)

    assert [] == web.requests


def test_a_header_that_names_the_same_host_is_fine(world, web, caller):
    with world.acting(f"read:{web.url}/a"):
        assert 200 == caller.get(f"{web.url}/a", Host=web.host)[0]

    assert [(f"read:{web.url}/a", "success")] == world.touched


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_Method_Override"]
)
def test_a_header_that_names_another_method_may_do_anything(world, web, caller, name):
    with world.acting(f"write:{web.url}/**"), pytest.raises(AccessDeniedError):
        caller("POST", f"{web.url}/a", {name: "DELETE"}, b"x")

    assert [] == web.requests
    assert [(f"execute:{web.url}/a", "denied")] == world.touched


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Rewrite-URL"])
def test_a_header_that_names_another_path_is_refused(world, web, caller, name):
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        caller("GET", f"{web.url}/a", {name: "/admin"})

    assert [] == web.requests


def test_another_protocol_may_do_anything(world, web, caller):
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        caller("GET", f"{web.url}/a", {"Upgrade": "h2c", "Connection": "Upgrade"})

    assert [] == web.requests
    assert [(f"execute:{web.url}/a", "denied")] == world.touched


def test_two_lengths_of_a_body_are_refused(world, web, caller):
    headers = {"Content-Length": "1", "Transfer-Encoding": "chunked"}

    with world.acting(f"write:{web.url}/**"):
        try:
            caller("POST", f"{web.url}/a", headers, b"0\r\n\r\nGET /secret HTTP/1.1\r\n\r\n")
        except AccessDeniedError:
            pass
        except ValueError:
            assert "aiohttp" == caller.name  # refuses by itself

    assert [] == web.requests


def test_a_body_that_goes_on_after_its_length_carries_no_other_request(world, web, caller):
    """Pipelining by a body: what follows would be a request to the server."""
    body = b"x=1GET /secret HTTP/1.1\r\nHost: h\r\n\r\n"

    # Those of `httpx` and aiohttp refuse it by themselves.
    own = caller.name.startswith(("httpx", "aiohttp"))
    refused = Exception if own or caller.name == "requests" else AccessDeniedError
    with world.acting(f"write:{web.url}/a"), suppress(refused):
        caller("POST", f"{web.url}/a", {"Content-Length": "3"}, body)

    assert "/secret" not in [path for _, path, _ in web.requests]


@by_address
def test_user_and_password_in_an_address_are_never_recorded(world, web, caller):
    url = f"http://ada:secret@{web.host}/a"

    with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
        caller.get(url)
    with world.acting(f"read:{web.url}/a"):
        try:
            caller.get(url)
        except AccessDeniedError:
            assert "urllib" == caller.name  # it takes them for a part of the host

    assert "secret" not in repr([[span.to_json() for span in world.spans], world.records, world.audit.lines])
    assert (f"read:{web.url}/a", "denied") == world.touched[0]


def test_the_address_may_be_of_ipv6(world, web6, caller):
    with world.acting(f"read:{web6.url}/a"):
        assert 200 == caller.get(f"{web6.url}/a")[0]
    with world.acting(f"read:{web6.url}/a"), pytest.raises(AccessDeniedError):
        caller.get(f"{web6.url}/b")

    assert 1 == len(web6.requests)
    assert "::1" == world.spans[0].attributes["server.address"]


@by_address
def test_a_host_in_another_script_is_named_as_it_is_looked_up(world, caller):
    with world.acting(), pytest.raises(AccessDeniedError):
        caller.get("http://b\u00fccher.example/a")

    assert [("read:http://xn--bcher-kva.example/a", "denied")] == world.touched


@by_address
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_that_the_agent_puts_into_the_environment_is_a_place_of_its_own(
    world, web, other, caller, monkeypatch, name
):
    with world.acting(f"read:{web.url}/a"):
        monkeypatch.setenv(name, other.url)
        with suppress(AccessDeniedError):
            caller.get(f"{web.url}/a")

    assert [] == other.requests


def test_what_the_server_refuses_is_what_the_library_says(world, web, caller):
    with world.acting(f"read:{web.url}/**"):
        assert (404, b"hello from /missing") == caller.get(f"{web.url}/missing")

    ((_, status),) = world.touched
    assert status == ("failure" if caller.name == "urllib" else "success")


def test_an_error_of_the_library_passes_unchanged(world, caller, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}/a"
    with pytest.raises(Exception) as bare:
        caller.get(url)
    with world.acting(f"read:http://127.0.0.1:{unused_tcp_port}/a"), pytest.raises(Exception) as guarded:
        caller.get(url)

    assert type(bare.value) is type(guarded.value)
    assert [(f"read:{url.rpartition('/')[0]}/a", "failure")] == world.touched


def test_outside_of_a_session_nothing_is_decided_and_nothing_recorded(world, web, caller):
    assert (200, b"hello from /a") == caller("POST", f"{web.url}/a", {"Host": "else.example"}, b"x")

    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, web, caller):
    guard = world.make_guard(ObserveOnlyGuard)

    with world.acting(guard=guard):
        assert 200 == caller.get(f"{web.url}/a", Host="else.example")[0]
        assert 200 == caller.get(f"{web.url}/a")[0]

    assert {"would_deny"} == {record.effect for record in world.records}
    assert f"read:{web.url}/a" in [access for access, *_ in world.touched]


def test_an_agent_that_was_taken_back_reaches_nothing(world, web, caller):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])
    with world.guard.acting_as(agent):
        world.authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            caller.get(f"{web.url}/a")

    assert [] == web.requests


def test_a_body_in_chunks_is_counted(world, web, caller):
    with world.acting(f"read:{web.url}/chunked"):
        assert (200, b"helloagent") == caller.get(f"{web.url}/chunked")

    assert [("success", 10)] == [(record.status, record.size) for record in world.records]


def test_an_answer_that_ends_too_early_is_a_failure(world, web, caller):
    with pytest.raises(Exception) as bare:
        caller.get(f"{web.url}/cut")
    with world.acting(f"read:{web.url}/cut"), pytest.raises(Exception) as guarded:
        caller.get(f"{web.url}/cut")

    assert type(bare.value) is type(guarded.value)
    assert [(f"read:{web.url}/cut", "failure")] == world.touched


def test_an_answer_without_a_body_is_over_at_once(world, web, caller):
    with world.acting(f"read:{web.url}/empty", f"read:{web.url}/a"):
        assert (204, b"") == caller.get(f"{web.url}/empty")
        assert (200, b"") == caller("HEAD", f"{web.url}/a")

    assert ["success", "success"] == [record.status for record in world.records]
