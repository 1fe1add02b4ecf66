"""urllib3: each request of a pool, each hop, and what goes around a pool."""

from __future__ import annotations

import pytest

from agentid.errors import AccessDeniedError, CredentialRevokedError

urllib3 = pytest.importorskip("urllib3", reason="urllib3 is not installed")


@pytest.fixture
def pool(web):
    with urllib3.HTTPConnectionPool("127.0.0.1", web.port, retries=False) as pool:
        yield pool


@pytest.fixture
def manager():
    with urllib3.PoolManager() as manager:
        yield manager


def test_a_pool_alone_is_guarded(world, web, pool):
    with world.acting(f"read:{web.url}/a"):
        assert b"hello from /a" == pool.urlopen("GET", "/a").data
        with pytest.raises(AccessDeniedError):
            pool.urlopen("GET", "/b")

    assert [("GET", "/a", b"")] == web.requests
    assert [(f"read:{web.url}/a", "success"), (f"read:{web.url}/b", "denied")] == world.touched


def test_a_pool_and_connections_from_before_the_session_are_guarded(world, web, pool):
    pool.urlopen("GET", "/a")

    with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
        pool.urlopen("GET", "/a")


def test_a_connection_without_a_pool_is_guarded(world, web):
    connection = urllib3.connection.HTTPConnection("127.0.0.1", web.port)
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        connection.request("GET", "/b")
    connection.close()

    assert [] == web.requests
    assert connection.sock is None


def test_a_redirect_that_a_pool_follows_is_decided(world, web, pool):
    with world.acting(f"read:{web.url}/to"), pytest.raises(AccessDeniedError):
        pool.urlopen("GET", "/to?/elsewhere", retries=3)

    assert ["/to?/elsewhere"] == [path for _, path, _ in web.requests]
    assert [(f"read:{web.url}/elsewhere", "denied"), (f"read:{web.url}/to", "failure")] == world.touched


def test_a_redirect_that_keeps_the_method_is_decided_by_it(world, web, manager):
    with world.acting(f"write:{web.url}/again", f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
        manager.request("POST", f"{web.url}/again?/b", body=b"x")

    assert (f"write:{web.url}/b", "denied") == world.touched[-1]


def test_a_retry_of_a_request_is_the_same_access(world, web, manager):
    with world.acting(f"read:{web.url}/busy"):
        answer = manager.request("GET", f"{web.url}/busy", retries=urllib3.Retry(2, status_forcelist=[503]))

    assert 200 == answer.status
    assert 2 == len(web.requests)
    assert [(f"read:{web.url}/busy", "success")] == world.touched


def test_another_host_than_that_of_the_pool_is_a_proxy(world, web, other, pool):
    """The bytes go to the host of the pool, whatever the address says."""
    url = f"{other.url}/a"
    with world.acting(f"read:{other.url}/**"), pytest.raises(AccessDeniedError):
        pool.urlopen("GET", url, assert_same_host=False)

    assert ([], []) == (web.requests, other.requests)
    assert (f"execute:{web.url}", "denied") == world.touched[0]


def test_a_proxy_that_the_agent_names_is_a_place_of_its_own(world, web, other):
    with urllib3.ProxyManager(other.url, retries=False) as manager:
        with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
            manager.request("GET", f"{web.url}/a")
        assert [] == other.requests

        with world.acting(f"read:{web.url}/a", f"execute:{other.url}"):
            manager.request("GET", f"{web.url}/a")
    assert [("GET", f"{web.url}/a", b"")] == other.requests


@pytest.mark.parametrize("named_by", ["agent", "environment"])
def test_a_tunnel_is_a_part_of_the_request_that_needs_it(world, tls, other, certificate, named_by, name_proxy):
    places = [f"read:{tls.url}/a"]
    if named_by == "environment":
        name_proxy("https_proxy", other.url)
    else:
        places.append(f"execute:{other.url}")
    with urllib3.ProxyManager(other.url, ca_certs=str(certificate), retries=False) as manager:
        with world.acting(f"execute:{other.url}"), pytest.raises(AccessDeniedError):
            manager.request("GET", f"{tls.url}/a")
        assert [] == other.requests
        with world.acting(*places):
            assert b"hello from /a" == manager.request("GET", f"{tls.url}/a").data

    assert [("CONNECT", tls.host, b"")] == other.requests
    assert set(places) == {access for access, *_ in world.touched[1:]}


def test_headers_that_change_after_the_decision_change_nothing(world, web):
    headers = {"X-Key": "a"}

    def approver(_request):
        headers["X-HTTP-Method-Override"] = "DELETE"
        return True

    guard = world.make_guard(approver=approver)
    agent = world.authority.issue("bot", ask=[f"write:{web.url}/a"])
    with guard.acting_as(agent), urllib3.PoolManager() as manager:
        manager.connection_from_url(web.url).urlopen("POST", "/a", b"x", headers)

    assert [(f"write:{web.url}/a", "success")] == world.touched


@pytest.mark.parametrize("by_position", [True, False])
def test_headers_are_seen_however_they_are_passed(world, web, pool, by_position):
    headers = {"X-HTTP-Method-Override": "DELETE"}
    args, kwargs = ((b"x", headers), {}) if by_position else ((), {"body": b"x", "headers": headers})
    with world.acting(f"write:{web.url}/a"), pytest.raises(AccessDeniedError):
        pool.urlopen("POST", "/a", *args, **kwargs)

    assert [] == web.requests


def test_headers_of_the_pool_are_seen(world, web, pool):
    pool.headers = {"X-HTTP-Method-Override": "DELETE"}
    with world.acting(f"write:{web.url}/a"), pytest.raises(AccessDeniedError):
        pool.urlopen("POST", "/a", body=b"x")


def test_a_header_that_is_left_out_is_fine(world, web, pool):
    with world.acting(f"read:{web.url}/a"):
        pool.urlopen("GET", "/a", headers={"User-Agent": urllib3.util.SKIP_HEADER, "Host": urllib3.util.SKIP_HEADER})

    assert 1 == len(world.records)


@pytest.mark.parametrize("path", ["/big", "/chunked"])
@pytest.mark.parametrize("way", ["read", "stream"])
def test_an_agent_that_is_taken_back_is_stopped_in_the_middle_of_a_body(world, web, pool, path, way):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])
    with world.guard.acting_as(agent):
        answer = pool.urlopen("GET", path, preload_content=False)
        parts = answer.stream(2) if way == "stream" else iter(lambda: answer.read(2), b"")
        assert 2 == len(next(parts))
        world.authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            list(parts)

    assert ["stopped"] == [record.status for record in world.records]


def test_a_body_that_is_read_later_is_counted(world, web, pool):
    with world.acting(f"read:{web.url}/big"):
        answer = pool.urlopen("GET", "/big", preload_content=False)
        assert not world.records
        assert 1 << 20 == len(b"".join(answer.stream(1000)))

    assert [("success", 1 << 20)] == [(record.status, record.size) for record in world.records]
