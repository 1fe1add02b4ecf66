"""Metrics: how many decisions, how long they took, how long tools ran; with names that do not grow with the data."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agentid import requires
from agentid.errors import AccessDeniedError, AuditUnavailableError
from agentid.record import Metrics
from agentid.testing import MemoryAudit, acting_as


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def measured(reader, monkeypatch):
    """Sessions that open from now on are measured, as if a global provider had been set."""
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    yield reader
    provider.shutdown()


def points(reader):
    """Each data point as (instrument, attributes, value or count)."""
    data = reader.get_metrics_data()
    return [
        (metric.name, dict(point.attributes), getattr(point, "value", None) or point.count)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


@requires("read:crm/customers/{x}")
def tool(x):
    if x == "bad":
        raise KeyError("secret")
    return x


@requires("read:crm/customers/{x}")
async def coroutine(x):
    return x


@requires("read:crm/customers/{x}")
def stream(x):
    yield x


def test_decisions_and_durations_are_counted_by_agent_tool_and_reason(measured):
    with acting_as("bot", allow=["read:crm/customers/*"]):
        tool("c-1")
        tool("c-2")
        asyncio.run(coroutine("c-1"))
        with pytest.raises(KeyError):
            tool("bad")
        with pytest.raises(AccessDeniedError):
            tool("a/b")

    who = {"gen_ai.agent.name": "bot", "gen_ai.tool.name": "tool"}
    other = {"gen_ai.agent.name": "bot", "gen_ai.tool.name": "coroutine"}
    allowed = {"agentid.authorization.decision": "allow", "agentid.authorization.reason": "granted"}
    denied = {"agentid.authorization.decision": "deny", "agentid.authorization.reason": "resource_invalid"}
    found = points(measured)
    for expected in [
        ("agentid.authorization.decisions", {**who, **allowed}, 3),
        ("agentid.authorization.decisions", {**other, **allowed}, 1),
        ("agentid.authorization.decisions", {**who, **denied}, 1),
        ("agentid.authorization.duration", {"agentid.authorization.decision": "allow"}, 4),
        ("agentid.authorization.duration", {"agentid.authorization.decision": "deny"}, 1),
        ("gen_ai.execute_tool.duration", who, 2),
        ("gen_ai.execute_tool.duration", {**who, "error.type": "KeyError"}, 1),
        ("gen_ai.execute_tool.duration", other, 1),
    ]:
        assert expected in found
        found.remove(expected)
    assert [] == found


def test_a_decision_that_could_not_be_written_is_counted_as_the_refusal_that_it_was(measured):
    audit = MemoryAudit()
    audit.broken = OSError()
    with acting_as("bot", allow=["read:crm/customers/*"], audit=audit), pytest.raises(AuditUnavailableError):
        tool("c-1")

    assert [("deny", "audit_unavailable", 1)] == [
        (attributes["agentid.authorization.decision"], attributes["agentid.authorization.reason"], value)
        for name, attributes, value in points(measured)
        if name == "agentid.authorization.decisions"
    ]


def test_a_stream_is_measured_when_it_ends(measured):
    with acting_as(allow=["read:crm/customers/*"]):
        items = stream("c-1")
        next(items)
        assert "gen_ai.execute_tool.duration" not in [name for name, _, _ in points(measured)]
        list(items)

    assert "gen_ai.execute_tool.duration" in [name for name, _, _ in points(measured)]


def test_the_time_to_decide_is_not_time_that_the_tool_ran(measured):
    """Waiting for a person is part of the decision."""
    now = [0]

    def approver(request):
        now[0] += 300 * 10**9
        return True

    @requires("read:crm/customers/{x}")
    def slow(x):
        now[0] += 2 * 10**9

    with acting_as(ask=["read:crm/customers/*"], approver=approver) as world:
        vars(world.guard)["monotonic_ns"] = lambda: now[0]
        slow("c-1")

    sums = {
        metric.name: metric.data.data_points[0].sum
        for resource in measured.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if hasattr(metric.data.data_points[0], "sum")
    }
    assert {"agentid.authorization.duration": 300, "gen_ai.execute_tool.duration": 2} == sums
    assert 302 * 10**9 == world.records[0].duration_ns


def test_instruments_have_units_and_descriptions(measured):
    with acting_as(allow=["read:crm/customers/*"]):
        tool("c-1")

    found = {
        metric.name: (metric.unit, bool(metric.description), scope.scope.name)
        for resource in measured.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {
        "agentid.authorization.decisions": ("{decision}", True, "agentid"),
        "agentid.authorization.duration": ("s", True, "agentid"),
        "gen_ai.execute_tool.duration": ("s", True, "agentid"),
    } == found


def test_durations_of_decisions_fall_into_buckets_that_tell_them_apart(measured):
    """A decision takes microseconds: the buckets that are there by default would hold all of them in the first."""
    import inspect

    if "explicit_bucket_boundaries_advisory" not in inspect.signature(metrics.Meter.create_histogram).parameters:
        pytest.skip("this OpenTelemetry takes no advice about buckets")
    with acting_as(allow=["read:crm/customers/*"]):
        tool("c-1")

    bounds = {
        metric.name: metric.data.data_points[0].explicit_bounds
        for resource in measured.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if hasattr(metric.data.data_points[0], "explicit_bounds")
    }
    assert (0.00005, 1.0) == (
        bounds["agentid.authorization.duration"][0],
        bounds["agentid.authorization.duration"][-1],
    )
    assert (0.01, 81.92) == (bounds["gen_ai.execute_tool.duration"][0], bounds["gen_ai.execute_tool.duration"][-1])


def test_no_resource_and_no_id_is_ever_an_attribute_of_a_metric(measured):
    """A time series for each customer would cost more than it tells."""
    with acting_as("bot", allow=["read:crm/customers/*"]) as world:
        for n in range(50):
            tool(f"customer-{n}")

    text = str(points(measured))
    assert "customer-" not in text
    assert world.session.id not in text
    assert world.session.agent.token_id not in text


def test_without_a_provider_there_are_no_instruments():
    assert Metrics.current() is None
    with acting_as(allow=["read:crm/customers/*"]) as world:
        assert world.session.metrics is None
        tool("c-1")
