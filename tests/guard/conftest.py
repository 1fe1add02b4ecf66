"""A guarded world in memory: everything in it is real, and its clock stands still."""

from __future__ import annotations

from datetime import timedelta

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode

from agentid.guard import Guard
from agentid.guard.session import acting
from agentid.identity import Authority
from agentid.testing import MemoryAudit, SteppingClock, capture_spans

DOMAIN = "acme.example"


class Started(SpanProcessor):
    """Counts the spans that are started: each must end."""

    def __init__(self):
        self.count = 0

    def on_start(self, span, parent_context=None):
        self.count += 1


class World:
    """
    An authority, a guard and an agent, with all that they record.

    `recorded` has an audit log and an observer. Without them a guard takes a shorter path, which must do the same.
    """

    def __init__(self, captured, *, recorded=True):
        self.captured = captured
        self.recorded = recorded
        self.clock = SteppingClock()
        self.authority = Authority.create(DOMAIN, clock=self.clock)
        self.records = []
        self.audit = MemoryAudit()
        self.agent = self.issue("bot", allow=["read:crm/customers/*"])
        self.guard = self.make_guard()

    def issue(self, name, *, allow=(), ask=(), ttl=timedelta(hours=1)):
        return self.authority.issue(name, allow=allow, ask=ask, ttl=ttl, owner="team:test")

    def make_guard(self, kind=Guard, **options):
        if self.recorded:
            options = {"audit": self.audit, "observers": [self.records.append], **options}
        return kind(self.authority.trust, **{"tracer_provider": self.captured.provider, **options})

    @property
    def spans(self):
        return self.captured.spans

    def outcomes(self):
        """Effect, reason and status of each finished call."""
        return [(record.effect, record.reason, record.status) for record in self.records]

    def assert_one(self, effect, reason, status, error_type=""):
        """Assert that there is one of everything that belongs to one call, and that it all says the same."""
        assert 1 == len(self.spans)
        span = self.spans[0]
        attributes = dict(span.attributes)
        assert effect == attributes["agentid.authorization.decision"]
        assert (reason if effect == "deny" or status == "stopped" else None) == attributes.get(
            "agentid.authorization.reason"
        )
        shown = "agentid.permission_denied" if status == "denied" else error_type
        assert shown == attributes.get("error.type", "")
        assert (StatusCode.ERROR if shown else StatusCode.UNSET) == span.status.status_code
        assert span.status.description is None
        assert () == span.events
        assert span.end_time >= span.start_time
        if not self.recorded:
            return
        assert [(effect, reason, status)] == self.outcomes()
        record = self.records[0]
        assert error_type == record.error_type
        assert (record.trace_id, record.span_id) == (
            format(span.context.trace_id, "032x"),
            format(span.context.span_id, "016x"),
        )
        phases = [phase for phase, line in self.audit.lines if line.id == record.id]
        assert (["decision"] if status == "denied" else ["decision", "outcome"]) == phases


@pytest.fixture
def world():
    """A world whose agent `bot` may read customers."""
    yield from _world(recorded=True)


@pytest.fixture(params=[True, False], ids=["recorded", "short"])
def each_world(request):
    """The same, once with everything recorded, and once on the shorter path."""
    yield from _world(recorded=request.param)


def _world(*, recorded):
    assert acting.get() is None
    with capture_spans() as captured:
        started = Started()
        captured.provider.add_span_processor(started)
        yield World(captured, recorded=recorded)
    assert started.count == len(captured.spans)
    assert acting.get() is None
    assert not trace.get_current_span().get_span_context().is_valid
