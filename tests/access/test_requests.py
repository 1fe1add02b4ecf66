"""`requests`: each request of a session, whatever adapters, hooks and authentications it has."""

from __future__ import annotations

import http.client
import io

import pytest

from agentid.errors import AccessDeniedError, CredentialRevokedError

requests = pytest.importorskip("requests", reason="requests is not installed")


@pytest.fixture
def session():
    with requests.Session() as session:
        yield session


def prepared(method, url, **kwargs):
    return requests.Request(method, url, **kwargs).prepare()


# --- ways around -----------------------------------------------------------------------------------------------------


def test_a_session_and_connections_from_before_are_guarded(world, web, session):
    session.get(f"{web.url}/a")

    with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
        session.get(f"{web.url}/a")


def test_an_adapter_that_is_called_directly_is_guarded(world, web):
    adapter = requests.adapters.HTTPAdapter()
    with world.acting(f"read:{web.url}/a"):
        assert 200 == adapter.send(prepared("GET", f"{web.url}/a")).status_code
        with pytest.raises(AccessDeniedError):
            adapter.send(prepared("GET", f"{web.url}/b"))
    adapter.close()

    assert ["/a"] == [path for _, path, _ in web.requests]


def test_an_adapter_that_is_called_directly_is_refused_before_it_looks_for_a_connection(world, web):
    looked = []

    class Looking(requests.adapters.HTTPAdapter):
        def get_connection_with_tls_context(self, *args, **kwargs):
            looked.append(True)
            return super().get_connection_with_tls_context(*args, **kwargs)

    with world.acting(), pytest.raises(AccessDeniedError):
        Looking().send(prepared("GET", f"{web.url}/b"))

    assert [] == looked


class Canned(requests.adapters.BaseAdapter):
    """An adapter of somebody's own, which needs nothing of this library."""

    def __init__(self, meanwhile=None):
        super().__init__()
        self.meanwhile = meanwhile
        self.sent = []

    def send(self, request, **_):
        self.sent.append(request.url)
        if self.meanwhile is not None:
            self.meanwhile()
        answer = requests.Response()
        answer.status_code, answer.raw, answer.url = 200, io.BytesIO(b"canned"), request.url
        return answer

    def close(self):
        pass


def test_an_adapter_that_somebody_mounted_is_guarded(world, session):
    adapter = Canned()
    session.mount("http://", adapter)
    with world.acting("read:http://a.example/a"):
        assert b"canned" == session.get("http://a.example/a").content
        with pytest.raises(AccessDeniedError):
            session.get("http://a.example/b")

    assert ["http://a.example/a"] == adapter.sent
    assert [("read:http://a.example/a", "success"), ("read:http://a.example/b", "denied")] == world.touched


def test_what_an_adapter_asks_for_meanwhile_is_decided(world, web, session):
    def by_hand():
        connection = http.client.HTTPConnection("127.0.0.1", web.port)
        connection.request("GET", "/b")

    session.mount("http://", Canned(by_hand))
    with world.acting("read:http://a.example/a"), pytest.raises(AccessDeniedError):
        session.get("http://a.example/a")

    assert [] == web.requests
    assert [(f"read:{web.url}/b", "denied"), ("read:http://a.example/a", "failure")] == world.touched


def test_an_adapter_that_sends_something_else_is_decided(world, web, session):
    class Elsewhere(requests.adapters.HTTPAdapter):
        def send(self, request, **kwargs):
            return super().send(prepared("DELETE", f"{web.url}/b"), **kwargs)

    session.mount("http://", Elsewhere())
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        session.get(f"{web.url}/a")

    assert [] == web.requests
    assert (f"delete:{web.url}/b", "denied") == world.touched[0]


def test_an_adapter_that_passes_a_request_on_is_one_record(world, web, session):
    class Patient(requests.adapters.HTTPAdapter):
        def send(self, request, **kwargs):
            return super().send(request, **{**kwargs, "timeout": 5})

    session.mount("http://", Patient())
    with world.acting(f"read:{web.url}/a"):
        session.get(f"{web.url}/a")

    assert [(f"read:{web.url}/a", "success")] == world.touched
    assert 1 == len(world.spans)


def test_an_authentication_that_changes_the_address_is_decided_by_it(world, web, session):
    class Elsewhere(requests.auth.AuthBase):
        def __call__(self, request):
            request.url = f"{web.url}/b"
            return request

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        session.get(f"{web.url}/a", auth=Elsewhere())

    assert [(f"read:{web.url}/b", "denied")] == world.touched


def test_a_hook_that_asks_for_something_else_is_decided(world, web, session):
    def hook(answer, **_):
        answer.close()
        requests.post(f"{web.url}/b")

    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        session.get(f"{web.url}/a", hooks={"response": hook})

    assert ["/a"] == [path for _, path, _ in web.requests]


def test_a_second_try_with_a_password_is_the_same_access(world, web, session):
    with world.acting(f"read:{web.url}/login"):
        answer = session.get(f"{web.url}/login", auth=requests.auth.HTTPDigestAuth("ada", "secret"))

    assert 200 == answer.status_code
    assert 2 == len(web.requests)
    assert [(f"read:{web.url}/login", "success")] == world.touched


def test_a_request_that_changes_while_a_person_is_asked_is_decided_again(world, web, session):
    request = prepared("GET", f"{web.url}/a")

    def approver(_request):
        request.url = f"{web.url}/b"
        return True

    guard = world.make_guard(approver=approver)
    agent = world.authority.issue("bot", allow=[], ask=[f"read:{web.url}/a"])
    with guard.acting_as(agent), pytest.raises(AccessDeniedError):
        session.send(request)

    assert [] == web.requests


def test_a_redirect_that_is_followed_step_by_step_is_decided(world, web, session):
    with world.acting(f"read:{web.url}/to"):
        answer = session.get(f"{web.url}/to?/b", allow_redirects=False)
        with pytest.raises(AccessDeniedError):
            session.send(answer.next)

    assert [(f"read:{web.url}/to", "success"), (f"read:{web.url}/b", "denied")] == world.touched


def test_a_proxy_that_the_agent_names_is_a_place_of_its_own(world, web, other, session):
    proxies = {"http": other.url}
    with world.acting(f"read:{web.url}/a"), pytest.raises(AccessDeniedError):
        session.get(f"{web.url}/a", proxies=proxies)
    assert [] == other.requests

    with world.acting(f"read:{web.url}/a", f"execute:{other.url}"):
        session.get(f"{web.url}/a", proxies=proxies)
    assert [("GET", f"{web.url}/a", b"")] == other.requests


def test_a_proxy_of_the_environment_changes_nothing(world, tls, other, certificate, session, name_proxy):
    name_proxy("https_proxy", other.url)
    with world.acting(f"read:{tls.url}/a"):
        assert 200 == session.get(f"{tls.url}/a", verify=str(certificate)).status_code

    assert [(f"read:{tls.url}/a", "success")] == world.touched
    assert [("CONNECT", tls.host, b"")] == other.requests


def test_another_length_than_that_of_the_body_carries_no_other_request(world, web, session):
    request = prepared("POST", f"{web.url}/a", data=io.BytesIO(b"x=1GET /secret HTTP/1.1\r\n\r\n"))
    request.headers["Content-Length"] = "3"
    with world.acting(f"write:{web.url}/a"), pytest.raises(AccessDeniedError):
        session.send(request)

    assert "/secret" not in [path for _, path, _ in web.requests]


# --- what works as before --------------------------------------------------------------------------------------------


def test_what_is_no_request_is_the_error_of_the_library(world, session):
    with world.acting(), pytest.raises(ValueError):
        session.send(requests.Request("GET", "http://a.example/"))

    assert [] == world.touched


@pytest.mark.parametrize(
    "data", [b"data", {"a": "b"}, io.BytesIO(b"data"), iter([b"da", b"ta"])], ids=["bytes", "form", "file", "iterator"]
)
def test_a_body_of_any_kind_is_one_record(world, web, session, data):
    with world.acting(f"write:{web.url}/empty"):
        assert 204 == session.post(f"{web.url}/empty", data=data).status_code

    assert web.requests[0][2] in {b"data", b"a=b"}
    assert [(f"write:{web.url}/empty", "success")] == world.touched
    assert 1 == len(world.spans)


def test_an_agent_that_is_taken_back_is_stopped_in_the_middle_of_a_body(world, web, session):
    agent = world.authority.issue("bot", allow=[f"read:{web.url}/**"])
    with world.guard.acting_as(agent):
        parts = session.get(f"{web.url}/big", stream=True).iter_content(10)
        assert 10 == len(next(parts))
        world.authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            next(parts)

    assert [("stopped", 10)] == [(record.status, record.size) for record in world.records]


def test_a_body_that_is_read_later_is_counted(world, web, session):
    with world.acting(f"read:{web.url}/**"):
        answer = session.get(f"{web.url}/to?/big", stream=True)
        assert [f"read:{web.url}/to"] == [access for access, *_ in world.touched]
        assert 1 << 20 == len(answer.content)

    assert [None, 1 << 20] == [record.size or None for record in world.records]


def test_a_body_that_is_not_wanted_is_said_to_be(world, web, session):
    with world.acting(f"read:{web.url}/**"), session.get(f"{web.url}/big", stream=True):
        pass

    assert ["closed"] == [record.status for record in world.records]
