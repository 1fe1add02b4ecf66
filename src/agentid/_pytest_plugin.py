"""Fixtures for pytest. This file is imported by every test run on the machine, so it imports nothing itself."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agentid.guard import Guard
    from agentid.identity import Authority
    from agentid.record import AccessRecord
    from agentid.testing import CapturedSpans


@pytest.fixture
def agentid_authority() -> Authority:
    """A real authority in memory, of the trust domain `test.example`."""
    from agentid.identity import Authority

    return Authority.create("test.example")


@pytest.fixture
def agentid_spans() -> Generator[CapturedSpans, None, None]:
    """Spans captured in memory, without touching the global provider."""
    from agentid.testing import capture_spans

    with capture_spans() as captured:
        yield captured


@pytest.fixture
def agentid_records() -> list[AccessRecord]:
    """The records of `agentid_guard`, one for each finished call."""
    return []


@pytest.fixture
def agentid_guard(
    agentid_authority: Authority, agentid_spans: CapturedSpans, agentid_records: list[AccessRecord]
) -> Guard:
    """A guard that enforces, whose records and spans are captured."""
    from agentid.guard import Guard

    return Guard(agentid_authority.trust, observers=[agentid_records.append], tracer_provider=agentid_spans.provider)
