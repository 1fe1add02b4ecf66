"""
A planted secret never shows up: in no span, record, log, repr or error text, and in nothing that a model may see.

Secrets are planted wherever one may be: in an argument that names no resource, in a result, in the text of an
exception of a tool, a check, an approver or an observer, and in keys and tokens themselves. The resource is not one:
what was touched is what a record is for.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import traceback

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agentid import Approval, ObserveOnlyGuard, requires
from agentid.errors import Error
from agentid.testing import MemoryAudit, acting_as

SECRET = "hunter2-c0ffee"


class Trove:
    """Everything that came out of some calls, as text."""

    def __init__(self, caplog):
        self._caplog = caplog
        self.errors = []
        self.world = None

    def call(self, work, *args, **kwargs):
        """Call, and keep what is raised."""
        try:
            result = work(*args, **kwargs)
            if inspect.iscoroutine(result):
                asyncio.run(result)
            elif inspect.isgenerator(result):
                list(result)
        except Exception as error:
            self.errors.append(error)

    def ours(self):
        """The refusals among what was raised; what a tool itself raises belongs to the tool."""
        return [error for error in self.errors if isinstance(error, Error)]

    def text(self):
        world = self.world
        parts = [span.to_json() for span in world.spans]
        parts += [repr(record) for record in world.records]
        parts += [repr(record) for _, record in getattr(world.guard.audit, "lines", ())]
        parts += [self._caplog.text]
        parts += [f"{error} {error!r} {error.for_model} {error.args}" for error in self.ours()]
        parts += [repr(getattr(error, "decision", "")) for error in self.ours()]
        for thing in (world, world.agent, world.authority, world.guard, world.session, world.session.agent):
            parts.append(repr(thing))
        parts += [repr(world.authority.trust), repr(world.session.grant), str(world.session.attributes)]
        return "\n".join(parts)


@pytest.fixture
def trove(caplog):
    caplog.set_level(logging.DEBUG)
    return Trove(caplog)


guarded = requires("read:crm/customers/{x}")


@guarded
def returns(x, password=None):
    return {"password": SECRET, "got": password}


@guarded
async def returns_later(x, password=None):
    return SECRET


@guarded
def streams(x, password=None):
    yield SECRET


@guarded
def fails(x, password=None):
    raise RuntimeError(SECRET)


@guarded
async def fails_later(x, password=None):
    raise RuntimeError(SECRET)


@requires("delete:crm/customers/{x}")
def denied(x, password=None):
    """Never runs."""


@requires("write:crm/customers/{x}")
def asked(x, password=None):
    """Runs after a yes."""


def broken_check(x, password):
    raise LookupError(f"{x} {password}")


@requires(broken_check)
def checked(x, password=None):
    """Never runs."""


@requires(lambda x, password: f"nonsense {password}")
def computed(x, password=None):
    """Never runs."""


@requires("read:crm/customers/{password}")
def odd(x, password=None):
    """Never runs with such a value."""


class Holder:
    """A thing whose text is a secret."""

    def __repr__(self):
        return SECRET

    __str__ = __repr__


PLANTED = [SECRET, {"a": [SECRET]}, Holder(), SECRET.encode()]
TOOLS = [returns, returns_later, streams, fails, fails_later, denied, asked, checked, computed]


def everything(trove, world):
    trove.world = world
    for tool in TOOLS:
        for value in PLANTED:
            trove.call(tool, "c-1", value)
    for value in (f"{SECRET}\n", f"a/{SECRET}", [f"{SECRET}/b"], {SECRET: 1}, Holder(), SECRET.encode()):
        trove.call(odd, "c-1", value)


@pytest.mark.parametrize("approver", ["yes", "no", "raises"])
def test_no_secret_of_a_call_comes_out(approver, trove):
    def answer(request):
        if approver == "raises":
            raise RuntimeError(f"{request.arguments}")
        return Approval(approved=approver == "yes", approver=SECRET)

    with acting_as(
        "bot", allow=["read:crm/**"], ask=["write:crm/**"], approver=answer, audit=MemoryAudit(), task=f"Use {SECRET}"
    ) as world:
        everything(trove, world)

    text = trove.text()
    assert len(world.records) > 35
    assert len(trove.errors) > 20
    assert SECRET not in text
    # The text of a chained exception is the tool's own; nothing of ours repeats it.
    for error in trove.ours():
        assert SECRET not in "".join(traceback.format_exception_only(type(error), error))


def test_no_secret_comes_out_where_the_guard_only_observes(trove):
    with acting_as("bot", allow=[]) as world:
        world.guard = ObserveOnlyGuard(
            world.authority.trust, observers=[world.records.append], tracer_provider=world.captured.provider
        )
        with world.guard.acting_as(world.agent) as world.session:
            everything(trove, world)

    assert SECRET not in trove.text()


def test_no_secret_comes_out_on_the_shorter_path(trove):
    from agentid import Guard

    with acting_as("bot", allow=["read:crm/**"]) as world:
        world.guard = Guard(world.authority.trust, tracer_provider=world.captured.provider)
        with world.guard.acting_as(world.agent) as world.session:
            everything(trove, world)

    assert len(world.spans) > 30
    assert SECRET not in trove.text()


def test_no_secret_comes_out_when_everything_that_records_fails(trove):
    def observer(record):
        raise RuntimeError(SECRET)

    audit = MemoryAudit()
    with acting_as("bot", allow=["read:crm/**"], audit=audit) as world:
        audit.broken = RuntimeError(SECRET)
        # Past the guard, which lets nobody exchange them: the helper has no way to pass one that fails.
        object.__setattr__(world.guard, "observers", (observer, world.records.append))
        everything(trove, world)

    assert SECRET not in trove.text()


def test_no_secret_is_measured(trove, monkeypatch):
    from opentelemetry import metrics

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    with acting_as("bot", allow=["read:crm/**"]) as world:
        everything(trove, world)

    assert SECRET not in reader.get_metrics_data().to_json()
    provider.shutdown()


def test_keys_and_tokens_are_never_shown(trove):
    with acting_as("bot", allow=["read:crm/**"], audit=MemoryAudit()) as world:
        trove.world = world
        everything(trove, world)
        agent = world.agent
        secrets = {
            agent.credential_token,
            agent.credential_token.rsplit(".", 1)[1],
            *agent.grant_chain,
            agent.grant_chain[0].rsplit(".", 1)[1],
        }
        text = trove.text() + str(world.records) + str(vars(world))

    assert set() == {secret for secret in secrets if secret in text}
    assert "PRIVATE" not in text


def test_the_task_is_for_people_and_not_for_spans_and_reprs(trove):
    with acting_as("bot", allow=["read:crm/**"], task="Fetch order 17") as world:
        trove.world = world
        returns("c-1")

    assert "Fetch order 17" == world.records[0].task
    assert "order 17" not in trove.text()


def test_errors_survive_pickling_without_what_they_were_made_of():
    """They go to other processes, and to frameworks that keep them."""
    with acting_as("bot"), pytest.raises(Error) as refused:
        denied("c-1", SECRET)

    error, data = refused.value, pickle.dumps(refused.value)
    copied = pickle.loads(data)
    assert (str(error), error.for_model, type(error)) == (str(copied), copied.for_model, type(copied))
    assert SECRET.encode() not in data
