"""`urllib.request`: decided before a byte leaves, hop by hop."""

from __future__ import annotations

import urllib.request
from urllib.error import HTTPError

import pytest

from agentid.errors import AccessDeniedError
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
