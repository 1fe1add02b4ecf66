"""The hot path with spans: whoever a body left acting does not stay, and metrics keep a session off it."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agentid import requires
from agentid.guard.session import acting


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_a_body_that_leaves_another_agent_acting_leaves_it_to_nobody(is_async, fails, each_world):
    other = each_world.issue("other", allow=["delete:**"])

    def body(x):
        each_world.guard.acting_as(other).__enter__()  # and never left
        if fails:
            raise KeyError(x)

    async def coroutine(x):
        body(x)

    tool = requires("read:crm/customers/{x}")(coroutine if is_async else body)

    async def awaited():
        # Within one task, as the body of a tool is: a task of its own would leave nothing behind anyway.
        try:
            await tool("c-1")
        finally:
            assert acting.get() is session

    with each_world.guard.acting_as(each_world.agent) as session:
        for _ in range(2):
            if fails:
                with pytest.raises(KeyError):
                    asyncio.run(awaited()) if is_async else tool("c-1")
            else:
                _ = asyncio.run(awaited()) if is_async else tool("c-1")
            assert acting.get() is session


def test_metrics_count_each_call_also_where_nothing_else_needs_to_know(monkeypatch):
    """A guard that records nothing else takes the shorter path; a meter keeps it off."""
    from .conftest import _world

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)

    @requires("read:crm/customers/{x}")
    def tool(x):
        return x

    for world in _world(recorded=False):
        with world.guard.acting_as(world.agent) as session:
            assert session.metrics is not None
            for _ in range(3):
                tool("c-1")
    data = reader.get_metrics_data()
    counts = {
        metric.name: sum(getattr(point, "value", getattr(point, "count", 0)) for point in metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert 3 == counts["agentid.authorization.decisions"]
    provider.shutdown()
