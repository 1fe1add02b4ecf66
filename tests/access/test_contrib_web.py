"""OpenTelemetry's own instrumentations of HTTP clients, for real: ours is above theirs, whichever came first."""

from __future__ import annotations

import pytest
from access.contrib_instrumentors import instrumentors, stable_names  # noqa: F401
from access.web_callers import CALLERS

import agentid.access
from agentid.errors import AccessDeniedError

instrumented = pytest.mark.parametrize(
    "caller", [each for each in CALLERS if each.contrib], indirect=True, ids=lambda each: each.name
)
pytest.importorskip("opentelemetry.instrumentation", reason="OpenTelemetry's instrumentations are not installed")
pytestmark = pytest.mark.usefixtures("stable_names")

# What their instrumentation wraps, and so do we. That of aiohttp adds to each session instead.
PLACES = {
    "urllib": ["urllib.request:OpenerDirector.open"],
    "urllib3": ["urllib3:HTTPConnectionPool.urlopen"],
    "requests": ["requests:Session.send"],
    "httpx": ["httpx:HTTPTransport.handle_request", "httpx:AsyncHTTPTransport.handle_async_request"],
    "httpx2": ["httpx2:HTTPTransport.handle_request", "httpx2:AsyncHTTPTransport.handle_async_request"],
}


@pytest.fixture(params=["installed first", "instrumented first"])
def instrumentor(request, world, installed, instrumentors, caller):  # noqa: F811
    if request.param == "installed first":
        return instrumentors.on(caller.contrib, world)
    installed.remove()
    found = instrumentors.on(caller.contrib, world)
    assert installed is agentid.access.install()
    return found


@instrumented
def test_ours_is_above_theirs_and_what_the_conventions_name_stands_on_theirs(world, web, caller, instrumentor):
    with world.acting(f"read:{web.url}/a"):
        assert (200, b"hello from /a?q=1") == caller.get(f"{web.url}/a?q=1")

    (ours,) = [span for span in world.spans if span.instrumentation_scope.name == "agentid"]
    (theirs,) = [span for span in world.spans if span is not ours]
    assert ours.context.span_id == theirs.parent.span_id
    assert ("INTERNAL", "CLIENT") == (ours.kind.name, theirs.kind.name)
    assert f"read:{web.url}/a" == ours.attributes["agentid.authorization.permission"]
    named = {"http.request.method": "GET", "http.response.status_code": 200}
    assert named.items() <= dict(theirs.attributes).items()
    assert not [name for name in ours.attributes if name.startswith(("http.", "server.", "url."))]
    assert [(f"read:{web.url}/a", "success")] == world.touched
    assert 17 == world.records[0].size


@instrumented
def test_a_refusal_makes_no_span_of_theirs_and_sends_nothing(world, web, caller, instrumentor):
    with world.acting(f"read:{web.url}/b"), pytest.raises(AccessDeniedError):
        caller.get(f"{web.url}/a")

    assert [] == web.requests
    assert ["agentid"] == [span.instrumentation_scope.name for span in world.spans]
    assert [(f"read:{web.url}/a", "denied")] == world.touched


@instrumented
def test_a_hop_that_is_refused_reaches_nobody(world, web, other, caller, instrumentor):
    with world.acting(f"read:{web.url}/**"), pytest.raises(AccessDeniedError):
        caller.get(f"{web.url}/to?{other.url}/elsewhere")

    assert [] == other.requests
    assert [f"read:{other.url}/elsewhere"] == [access for access, status in world.touched if status == "denied"]


@instrumented
def test_each_hop_has_what_the_conventions_name_on_one_span(world, web, other, caller, instrumentor):
    with world.acting(f"read:{web.url}/**", f"read:{other.url}/**"):
        assert (200, b"hello from /there") == caller.get(f"{web.url}/to?{other.url}/there")

    ours = [span for span in world.spans if span.instrumentation_scope.name == "agentid"]
    assert {f"{web.url}/to", f"{other.url}/there"} == {span.attributes["agentid.data.dataset"] for span in ours}
    assert 2 == len(ours) == len(world.touched)
    # aiohttp's counts the whole of it as one, and has no span while it suppresses those of the layers below.
    wanted = 1 if caller.name == "aiohttp" else 2
    assert wanted == len([span for span in world.spans if span.kind.name == "CLIENT"])
    assert wanted == len([span for span in world.spans if "http.request.method" in span.attributes])


@instrumented
def test_turned_off_theirs_is_gone_and_ours_is_there(world, web, caller, instrumentor):
    instrumentor.uninstrument()

    with world.acting(f"read:{web.url}/a"):
        caller.get(f"{web.url}/a")
        with pytest.raises(AccessDeniedError):
            caller.get(f"{web.url}/b")

    assert ["agentid", "agentid"] == [span.instrumentation_scope.name for span in world.spans]
    assert ["CLIENT", "CLIENT"] == [span.kind.name for span in world.spans]
    assert [(f"read:{web.url}/a", "success"), (f"read:{web.url}/b", "denied")] == world.touched
    assert [("GET", "/a", b"")] == web.requests


@instrumented
def test_theirs_can_be_turned_on_and_off_any_number_of_times(world, web, caller, instrumentors, installed):  # noqa: F811
    places = [instrumentors.place(each) for each in PLACES.get(caller.module, PLACES.get(caller.name, []))]
    layers = [vars(owner)[name] for owner, name in places]
    for _ in range(3):
        instrumentor = instrumentors.on(caller.contrib, world)
        assert all(type(vars(owner)[name]).__name__ == "Covering" for owner, name in places)
        instrumentor.uninstrument()
        assert [layer.__wrapped__ for layer in layers] == [vars(owner)[name].__wrapped__ for owner, name in places]

    installed.remove()
    assert [layer.__wrapped__ for layer in layers] == [vars(owner)[name] for owner, name in places]


@instrumented
def test_theirs_works_outside_of_a_session_and_when_ours_is_removed(world, web, caller, installed, instrumentor):
    caller.get(f"{web.url}/a")
    installed.remove()
    caller.get(f"{web.url}/a")
    instrumentor.uninstrument()
    caller.get(f"{web.url}/a")

    assert ["CLIENT", "CLIENT"] == [span.kind.name for span in world.spans]
    assert "agentid" not in {span.instrumentation_scope.name for span in world.spans}
    assert [] == world.touched


@pytest.mark.parametrize("caller", [each for each in CALLERS if each.name == "requests"], indirect=True)
def test_a_session_that_theirs_is_turned_off_for_is_guarded_and_works(world, web, caller, instrumentor):
    import requests

    with requests.Session() as session, world.acting(f"read:{web.url}/a"):
        instrumentor.uninstrument_session(session)
        assert 200 == session.get(f"{web.url}/a").status_code
        with pytest.raises(AccessDeniedError):
            session.get(f"{web.url}/b")

    assert [("GET", "/a", b"")] == web.requests


@pytest.mark.parametrize("caller", [each for each in CALLERS if each.name == "requests"], indirect=True)
def test_the_attributes_are_left_to_an_instrumentation_of_the_layer_below(world, web, caller, instrumentors):  # noqa: F811
    instrumentors.on("urllib3:URLLib3Instrumentor", world)

    with world.acting(f"read:{web.url}/a"):
        caller.get(f"{web.url}/a")

    assert {"agentid": "INTERNAL", "opentelemetry.instrumentation.urllib3": "CLIENT"} == {
        span.instrumentation_scope.name: span.kind.name for span in world.spans
    }
