"""The span of a call: exactly which attributes it has, and nothing more."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from agentid import Guard, ObserveOnlyGuard, Policy, requires
from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard.session import acting
from agentid.record import attributes as names
from agentid.testing import acting_as, capture_spans

ANY = object()


@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id: str) -> dict[str, str]:
    """
    Look up one customer.

    Longer text is not part of the description.
    """
    return {"id": customer_id}


@requires("write:mail/outbox/{to}", "share:mail/outbox/{to}")
def send(to, body):
    raise KeyError(body)


def described(span):
    """All attributes of a span, those that differ each time as ANY."""
    shown = dict(span.attributes)
    for changing in ("agentid.credential.id", "agentid.delegation.id", "agentid.agent.instance_id"):
        assert shown[changing]
        shown[changing] = ANY
    shown.pop("agentid.audit.record_id", None)  # only where records are kept
    return shown


WHO = {
    "agentid.agent.id": "spiffe://test.example/agent/bot",
    "agentid.agent.instance_id": ANY,
    "agentid.agent.owner": "team:test",
    "agentid.credential.id": ANY,
    "agentid.credential.type": "wit",
    "agentid.delegation.id": ANY,
    "agentid.delegation.depth": 0,
    "agentid.principal.type": "agent",
    "gen_ai.agent.id": "spiffe://test.example/agent/bot",
    "gen_ai.agent.name": "bot",
}
READ = {
    **WHO,
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "get_customer",
    "gen_ai.tool.type": "function",
    "gen_ai.tool.description": "Look up one customer.",
    "code.function.name": f"{__name__}.get_customer",
    "agentid.tool.id": f"urn:x-agentid:tool:{__name__}.get_customer",
    "agentid.tool.effect": "read",
    "agentid.authorization.decision": "allow",
    "agentid.authorization.enforcement": "enforced",
    "agentid.authorization.engine": "builtin",
    "agentid.authorization.permission": "read:crm/customers/c-42",
    "agentid.data.operation": "read",
    "agentid.data.dataset": "crm/customers/c-42",
    "agentid.data.classification": "unknown",
}


@pytest.fixture(params=[True, False], ids=["recorded", "short"])
def bot(request):
    """An agent at work; on both paths of a guard."""
    with acting_as("bot", allow=["read:crm/customers/*", "write:mail/**", "share:mail/**"]) as world:
        if request.param:
            yield world
        else:
            guard = Guard(world.authority.trust, tracer_provider=world.captured.provider)
            with guard.acting_as(world.agent):
                yield world


def test_the_span_of_an_allowed_call_has_exactly_these_attributes(bot):
    get_customer("c-42")

    (span,) = bot.spans
    assert READ == described(span)
    assert ("execute_tool get_customer", SpanKind.INTERNAL, StatusCode.UNSET) == (
        span.name,
        span.kind,
        span.status.status_code,
    )
    assert ((), ()) == (span.events, span.links)
    scope = span.instrumentation_scope
    assert ("agentid", "https://opentelemetry.io/schemas/1.44.0") == (scope.name, scope.schema_url)
    assert scope.version


def test_the_span_of_a_denied_call_is_an_error_without_text_or_stack_trace(bot):
    @requires("delete:crm/customers/{customer_id}")
    def drop(customer_id):
        """Never runs."""

    with pytest.raises(AccessDeniedError):
        drop("c-42")

    (span,) = bot.spans
    assert {
        "agentid.authorization.decision": "deny",
        "agentid.authorization.reason": "scope_missing",
        "agentid.authorization.permission": "delete:crm/customers/c-42",
        "agentid.data.operation": "delete",
        "agentid.tool.effect": "destructive",
        "error.type": "agentid.permission_denied",
    }.items() <= described(span).items()
    assert (StatusCode.ERROR, None) == (span.status.status_code, span.status.description)
    assert ((), ()) == (span.events, span.links)


def test_the_span_of_a_failed_call_has_the_type_of_the_error_and_nothing_of_its_text(bot):
    with pytest.raises(KeyError):
        send("ada", "secret")

    (span,) = bot.spans
    assert {
        "agentid.authorization.decision": "allow",
        "agentid.authorization.permission": "write:mail/outbox/ada, share:mail/outbox/ada",
        "agentid.tool.effect": "external",
        "error.type": "KeyError",
    }.items() <= described(span).items()
    assert "agentid.authorization.reason" not in span.attributes
    assert (StatusCode.ERROR, None, ()) == (span.status.status_code, span.status.description, span.events)
    assert "secret" not in span.to_json()


def test_a_call_without_a_resource_says_nothing_of_data(bot):
    with pytest.raises(AccessDeniedError):
        get_customer(None)

    (span,) = bot.spans
    assert [] == [name for name in span.attributes if name.startswith("agentid.data.")]
    assert "resource_invalid" == span.attributes["agentid.authorization.reason"]


def test_a_recorded_span_names_its_record():
    with acting_as("bot", allow=["read:crm/customers/*"]) as world:
        get_customer("c-42")

    assert world.records[0].id == world.spans[0].attributes["agentid.audit.record_id"]


def test_many_resources_are_shown_shortened():
    @requires("read:crm/{ids}")
    def tool(ids):
        """Read many."""

    with acting_as(allow=["read:crm/*"]) as world:
        tool([f"c-{n}" for n in range(100)])

    assert world.spans[0].attributes["agentid.authorization.permission"].endswith("read:crm/c-19 and 80 more")


def test_a_block_has_who_and_what_and_no_tool():
    with acting_as("bot", allow=["read:crm/**"]) as world, world.guard.access("read", "crm/customers/c-42"):
        pass

    own = {name: value for name, value in READ.items() if name.startswith("agentid.") and "tool" not in name}
    assert {**WHO, **own} == described(world.spans[0])


# --- names -----------------------------------------------------------------------------------------------------------


def constants():
    return {
        name: value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and "." in value and "/" not in value
    }


def test_names_are_those_of_the_conventions_wherever_they_have_one():
    """Compared with the package of OpenTelemetry, which is not needed at run time."""
    from opentelemetry.semconv._incubating.attributes import (
        aws_attributes,
        db_attributes,
        file_attributes,
        gen_ai_attributes,
        process_attributes,
    )
    from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes

    conventions = {
        value
        for module in (
            *(aws_attributes, db_attributes, file_attributes, gen_ai_attributes, process_attributes),
            *(error_attributes, http_attributes, server_attributes),
        )
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    ours = {value for value in constants().values() if not value.startswith(("agentid.", "code."))}
    known_later = {
        "gen_ai.execute_tool.duration",
        *("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
    }

    if "gen_ai.tool.name" not in conventions:
        # The oldest version that we work with has no names for tools and agents yet.
        known_later |= {name for name in ours if name.startswith(("gen_ai.tool.", "gen_ai.agent."))}
        conventions |= {"gen_ai.tool.name"}
    if "db.system.name" not in conventions:
        known_later |= {name for name in ours if name.startswith("db.")}

    assert set() == ours - conventions - known_later
    assert "gen_ai.tool.name" in ours & conventions
    try:
        from opentelemetry.semconv.attributes import code_attributes
    except ImportError:  # of the oldest version that we work with
        return
    assert code_attributes.CODE_FUNCTION_NAME == names.CODE_FUNCTION


FOREIGN = ("gen_ai.", "error.", "code.", "http.", "server.", "db.", "file.", "process.", "aws.")


def test_own_names_stay_in_their_own_namespace():
    for value in constants().values():
        assert value.startswith(("agentid.", *FOREIGN)), value


def test_no_attribute_name_stands_anywhere_else_than_in_the_one_file():
    from pathlib import Path

    folder = Path(names.__file__).parents[1]
    own = Path(names.__file__)
    found = [
        f"{path.relative_to(folder)}: {value}"
        for path in folder.rglob("*.py")
        if path != own and path.parts[-2] in {"guard", "record"}
        for value in constants().values()
        if f'"{value}"' in path.read_text(encoding="utf-8")
    ]

    assert [] == found


# --- content, by opt-in ----------------------------------------------------------------------------------------------

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@pytest.mark.parametrize("value", ["", "false", "0", "no", "maybe"])
def test_arguments_and_results_are_not_recorded_without_opting_in(value, monkeypatch):
    monkeypatch.setenv(CAPTURE, value)
    with acting_as(allow=["read:crm/customers/*"]) as world:
        get_customer("c-42")

    assert [] == [name for name in world.spans[0].attributes if name.startswith("gen_ai.tool.call")]


@pytest.mark.parametrize("value", ["true", "TRUE", "1", "span_only", "SPAN_AND_EVENT"])
def test_arguments_and_results_are_recorded_by_opting_in(value, monkeypatch):
    monkeypatch.setenv(CAPTURE, value)
    with acting_as(allow=["read:crm/customers/*"]) as world:
        get_customer("c-42")

    attributes = world.spans[0].attributes
    assert {"customer_id": "c-42"} == json.loads(attributes[names.TOOL_ARGUMENTS])
    assert {"id": "c-42"} == json.loads(attributes[names.TOOL_RESULT])


def test_results_of_each_kind_are_recorded_where_there_is_one(monkeypatch):
    import asyncio

    @requires("read:crm/customers/{x}")
    async def coroutine(x):
        return ["r", x]

    @requires("read:crm/customers/{x}")
    def stream(x):
        yield "not a result"

    @requires("read:crm/customers/{x}")
    def nothing(x):
        """Return None."""

    monkeypatch.setenv(CAPTURE, "true")
    with acting_as(allow=["read:crm/customers/*"]) as world:
        asyncio.run(coroutine("c-1"))
        list(stream("c-1"))
        nothing("c-1")

    assert ['["r", "c-1"]', None, None] == [span.attributes.get(names.TOOL_RESULT) for span in world.spans]
    assert ['{"x": "c-1"}'] * 3 == [span.attributes.get(names.TOOL_ARGUMENTS) for span in world.spans]


def test_of_a_denied_call_and_of_a_failed_one_no_result_is_recorded(monkeypatch):
    monkeypatch.setenv(CAPTURE, "true")
    with acting_as(allow=["write:mail/outbox/ada", "share:mail/outbox/ada"]) as world:
        with pytest.raises(AccessDeniedError):
            get_customer("c-42")
        with pytest.raises(KeyError):
            send("ada", "hello")

    denied, failed = (span.attributes for span in world.spans)
    assert names.TOOL_ARGUMENTS not in denied
    assert '{"to": "ada", "body": "hello"}' == failed[names.TOOL_ARGUMENTS]
    assert names.TOOL_RESULT not in failed


class Liar(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError


def test_content_that_is_no_json_is_recorded_by_its_type_and_never_fails_a_call(monkeypatch):
    circle = []
    circle.append(circle)
    deep = []
    for _ in range(100_000):
        deep = [deep]

    @requires("read:crm/customers/c-1")
    def tool(content):
        return content

    monkeypatch.setenv(CAPTURE, "true")
    with acting_as(allow=["read:crm/customers/*"]) as world:
        for odd in (circle, {("a", 1): 2}, object(), deep, b"x", float("nan"), "\ud800", {1, 2}, Liar("x")):
            assert tool(odd) is odd
        tool("x" * 100_000)

    assert len(world.spans[-1].attributes[names.TOOL_ARGUMENTS]) < 9000
    shown = [span.attributes[names.TOOL_RESULT] for span in world.spans]
    assert ["<list>", "<dict>", '"<object>"', "<list>", '"<bytes>"', "NaN"] == shown[:6]
    while deep:
        deep = deep.pop()  # not by recursion, which would be too deep


# --- providers -------------------------------------------------------------------------------------------------------


def run(code):
    """Run code in a Python of its own, where no provider was ever set."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, env=None
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.split()


PREPARE = """
from opentelemetry import trace, metrics
from agentid import Authority, Guard, requires
authority = Authority.create("acme.example")
bot = authority.issue("bot", allow=["read:crm/*"])
guard = Guard(authority.trust)
@requires("read:crm/{x}")
def tool(x): return x
def call():
    with guard.acting_as(bot):
        tool("c-1")
        tool("c-2")
"""


def test_no_provider_is_ever_set_and_nothing_is_recorded_without_one():
    out = run(f"""{PREPARE}
call()
with guard.acting_as(bot) as session:
    print(session.spans, session.metrics)
print(type(trace.get_tracer_provider()).__name__, type(metrics.get_meter_provider()).__name__)
print(trace._TRACER_PROVIDER is None)
try: tool("c-3")
except Exception as error: print(type(error).__name__)
""")

    assert ["None", "None", "ProxyTracerProvider", "_ProxyMeterProvider", "True", "NoActingAgentError"] == out


def test_without_a_provider_no_module_of_the_sdk_is_loaded():
    out = run(f"""{PREPARE}
call()
import sys
print(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk")))
""")

    assert ["[]"] == out


def test_a_provider_that_is_set_later_is_used_by_the_next_session():
    out = run(f"""{PREPARE}
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
call()
exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(exporter))
with guard.acting_as(bot):
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    tool("c-1")
print(len(exporter.get_finished_spans()))
call()
print(len(exporter.get_finished_spans()))
try: tool("c-3")
except Exception: pass
nobody = exporter.get_finished_spans()[-1]
print(nobody.attributes["agentid.authorization.reason"], nobody.attributes["error.type"], nobody.name.split()[-1])
data = reader.get_metrics_data()
print(sum(point.value for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics
      if m.name == "agentid.authorization.decisions" for point in m.data.data_points))
""")

    assert ["0", "2", "no_identity", "agentid.permission_denied", "tool", "2"] == out


@pytest.mark.parametrize("kind", [Guard, ObserveOnlyGuard])
@pytest.mark.parametrize("captures", ["true", "false"])
def test_whatever_happens_to_a_call_happens_without_spans_too(kind, captures, monkeypatch, caplog):
    """Nobody records, and calls are allowed, denied, fail, are captured and stopped as always."""

    @requires("read:crm/customers/{x}")
    def stream(x):
        yield 1
        yield 2

    monkeypatch.setenv(CAPTURE, captures)
    records = []
    with acting_as(allow=["read:crm/customers/*", "write:mail/**", "share:mail/**"]) as world:
        guard = kind(world.authority.trust, observers=[records.append])
        with guard.acting_as(world.agent):
            assert {"id": "c-42"} == get_customer("c-42")
            with pytest.raises(KeyError):
                send("ada", "hello")
            with contextlib.suppress(AccessDeniedError):
                get_customer("a/b")
            items = stream("c-1")
            next(items)
            world.authority.revoke(world.agent)
            with contextlib.suppress(CredentialRevokedError):
                next(items)
            items.close()

    enforced = kind is Guard
    assert [
        ("allow", "granted", "success"),
        ("allow", "granted", "failure"),
        ("deny", "resource_invalid", "denied") if enforced else ("would_deny", "resource_invalid", "success"),
        ("allow", "revoked", "stopped") if enforced else ("would_deny", "revoked", "closed"),
    ] == [(record.effect, record.reason, record.status) for record in records]
    assert {("", "")} == {(record.trace_id, record.span_id) for record in records}
    assert [] == caplog.messages


def test_capturing_spans_leaves_the_global_provider_alone():
    before = trace.get_tracer_provider()
    with capture_spans() as captured:
        assert trace.get_tracer_provider() is before
        assert captured.provider is not before

    assert trace.get_tracer_provider() is before


def test_a_span_that_is_not_sampled_changes_nothing_else():
    with acting_as(allow=["read:crm/customers/*"]) as world:
        off = Guard(world.authority.trust, tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
        records = []
        kept = Guard(
            world.authority.trust,
            observers=[records.append],
            tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False),
        )
        for guard in (off, kept):
            with guard.acting_as(world.agent):
                assert {"id": "c-42"} == get_customer("c-42")
                with pytest.raises(AccessDeniedError):
                    get_customer(None)

    assert ["success", "denied"] == [record.status for record in records]
    assert () == world.spans


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_span_lasts_as_long_as_its_call_by_the_clock_of_the_guard():
    with acting_as(allow=["read:crm/customers/*"]) as world:
        world.clock.step(timedelta(minutes=5))
        get_customer("c-42")

    (span,), (record,) = world.spans, world.records
    assert (int(world.clock.now * 1e9), record.duration_ns) == (span.start_time, span.end_time - span.start_time)
    assert 0 < record.duration_ns < 10**10


def test_by_a_real_clock_a_span_stands_where_it_happened():
    from agentid import Authority

    authority = Authority.create("acme.example")
    records = []
    with capture_spans() as captured:
        guard = Guard(authority.trust, observers=[records.append], tracer_provider=captured.provider)
        before = time.time_ns()
        with guard.acting_as(authority.issue("bot", allow=["read:crm/customers/*"])):
            get_customer("c-42")
        after = time.time_ns()

    (span,) = captured.spans
    assert before - 1000 <= span.start_time <= span.end_time <= after + 10**7


def test_the_body_sees_its_own_span_and_makes_children_of_it(bot):
    tracer = bot.captured.provider.get_tracer("test")

    @requires("read:crm/customers/{x}")
    def outer(x):
        with tracer.start_as_current_span("inner"):
            return get_customer(x)

    outer("c-42")

    innermost, inner, tool = bot.spans
    assert ["execute_tool get_customer", "inner", "execute_tool outer"] == [s.name for s in (innermost, inner, tool)]
    assert (tool.context.span_id, inner.context.span_id) == (inner.parent.span_id, innermost.parent.span_id)
    assert not trace.get_current_span().get_span_context().is_valid
    assert acting.get() is not None


def test_labels_and_approvals_stand_in_the_span(tmp_path):
    from agentid.config import Config

    path = tmp_path / "agentid.toml"
    path.write_text('trust_domain = "test.example"\n[[data]]\nresource = "crm/**"\nlabels = ["pii"]\n')
    policy = Policy(data=Policy.of(Config.load(path)).data)
    with acting_as(ask=["read:crm/customers/*"], policy=policy, approver=lambda request: True) as world:
        get_customer("c-42")

    attributes = world.spans[0].attributes
    assert (("pii",), world.records[0].approval) == (
        attributes["agentid.data.labels"],
        attributes["agentid.approval.id"],
    )
