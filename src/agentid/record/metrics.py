"""Metrics of decisions and durations, with attributes of low cardinality, and nothing when nobody measures."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram

from agentid._version import __version__
from agentid.record import attributes as names
from agentid.record.access_record import AccessRecord

__all__ = ["Metrics"]


class Metrics:
    """The instruments of one meter provider."""

    __slots__ = ("_decided", "_decisions", "_tools")

    def __init__(self, provider: metrics.MeterProvider) -> None:
        meter = provider.get_meter(names.SCOPE, __version__, names.SCHEMA_URL)
        self._decisions: Counter = meter.create_counter(
            names.DECISIONS, unit="{decision}", description="Decisions about accesses of agents."
        )
        self._decided = _seconds(
            meter,
            names.DECISION_DURATION,
            "Time from a call to its decision, waiting for a person included.",
            names.DECISION_BUCKETS,
        )
        self._tools = _seconds(meter, names.TOOL_DURATION, "Time that a tool ran.", names.TOOL_BUCKETS)

    @classmethod
    def current(cls) -> Metrics | None:
        """The instruments of the global meter provider, or None while none is set."""
        provider = metrics.get_meter_provider()
        # A proxy stands in until somebody sets a provider; its instruments would measure for nobody.
        if type(provider).__module__.startswith("opentelemetry.metrics"):
            return None
        return cls(provider)

    def decided(self, record: AccessRecord, seconds: float) -> None:
        """Count a decision."""
        decision = "allow" if record.effect == "allow" else "deny"
        self._decisions.add(
            1,
            {
                names.AGENT_NAME: record.agent_name,
                names.TOOL_NAME: record.tool,
                names.DECISION: decision,
                names.REASON: record.reason,
            },
        )
        self._decided.record(seconds, {names.DECISION: decision})

    def ran(self, record: AccessRecord, seconds: float) -> None:
        """Measure a tool that ran."""
        attributes = {names.AGENT_NAME: record.agent_name, names.TOOL_NAME: record.tool}
        if record.error_type:
            attributes[names.ERROR_TYPE] = record.error_type
        self._tools.record(seconds, attributes)


def _seconds(meter: metrics.Meter, name: str, description: str, buckets: Sequence[float]) -> Histogram:
    try:
        return meter.create_histogram(
            name, unit="s", description=description, explicit_bucket_boundaries_advisory=buckets
        )
    except TypeError:  # OpenTelemetry before 1.30 takes no advice
        return meter.create_histogram(name, unit="s", description=description)
