"""OpenTelemetry's own instrumentations, turned on for one test."""

from __future__ import annotations

import importlib
from functools import reduce

import pytest

__all__ = ["instrumentors", "stable_names"]


class Instrumentors:
    """Turns them on, and off again in the end."""

    def __init__(self):
        self._on = []

    def on(self, contrib, world, **options):
        """Turn on `module:class`, with spans where the test looks for them."""
        name, _, kind = contrib.partition(":")
        name = f"opentelemetry.instrumentation.{name}"
        found = getattr(importlib.import_module(name), kind)()
        # The newest SQLAlchemy is newer than they say they know.
        found.instrument(tracer_provider=world.captured.provider, skip_dep_check=True, **options)
        assert found.is_instrumented_by_opentelemetry
        self._on.append(found)
        return found

    def off(self):
        for instrumentor in self._on:
            if instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.uninstrument()

    @staticmethod
    def place(text):
        """Give class and name of `module:Class.function`."""
        module, _, path = text.partition(":")
        *classes, name = path.split(".")
        return reduce(getattr, classes, importlib.import_module(module)), name


@pytest.fixture
def instrumentors(installed):
    """Gone before what we wrapped is put back."""
    found = Instrumentors()
    yield found
    found.off()


@pytest.fixture
def stable_names(monkeypatch):
    """They name things by the stable conventions only if they are told to, once in a process."""
    semconv = importlib.import_module("opentelemetry.instrumentation._semconv")
    stability = semconv._OpenTelemetrySemanticConventionStability
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    monkeypatch.setattr(stability, "_initialized", False)
    yield
    stability._initialized = False
