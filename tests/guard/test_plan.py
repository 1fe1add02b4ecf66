"""The hot path answers as the seven steps do, whatever the tool, the grant, the policy and the call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import generated
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentid import Authority, Guard, Policy, at_most, one_of, requires
from agentid.errors import AccessDeniedError, CredentialExpiredError, CredentialRevokedError, Error, NoActingAgentError
from agentid.guard import Session
from agentid.guard.session import acting
from agentid.permission import Permission
from agentid.testing import SteppingClock, capture_spans

ran: list[Any] = []


def body(a: Any = "x", b: Any = 1, *, c: Any = "y") -> str:
    ran.append((a, b, c))
    return "done"


TEMPLATES = ["read:p/{a}", "read:p/q", "write:p/{a}/{c}", "edit:p/{a}-{c}", "delete:p/x", "read:{c}/{a}"]
PERMISSIONS = [
    Permission.parse(text)
    for text in ("read:p/*", "read:p/x", "read:**", "write:p/*/y", "write:p/x/**", "edit:p/*", "read:y/*", "delete:p/*")
]
PERMISSIONS += [p.where(b=at_most(5)) for p in PERMISSIONS] + [p.where(c=one_of("y", "é")) for p in PERMISSIONS]
PERMISSIONS += [Permission.parse("read:p/*").where(nobody=at_most(1))]
some = st.lists(st.sampled_from(PERMISSIONS), max_size=4)
plain = st.lists(st.sampled_from([p for p in PERMISSIONS if not p.constraints]), max_size=2)
value = st.sampled_from(
    ["x", "y", "q", "é", "e\u0301", "../x", "a/b", "*", "", "x\n", 1, 1.0, True, 5, 6, None, ["x", "y"], b"x"]
)
call = st.one_of(
    st.tuples(st.lists(value, max_size=2), st.dictionaries(st.sampled_from(["c"]), value)),
    st.tuples(st.just([]), st.dictionaries(st.sampled_from(["a", "b", "c"]), value)),
    st.tuples(st.lists(value, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "nobody"]), value)),
)


def outcome(function: Any, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    ran.clear()
    try:
        result = function(*args, **kwargs)
    except Error as error:
        return type(error), str(error), error.for_model, list(ran)
    except TypeError:
        return TypeError, list(ran)
    return result, list(ran)


def compare(templates, allow, ask, forbid, asked, calls, recorded):
    """Both run or both refuse, with the same result, error and text; and each body runs as often."""
    authority = Authority.create("test.example")
    agent = authority.issue("bot", allow=allow, ask=ask)
    policy = Policy(forbid=forbid, ask=asked)
    tool = requires(*templates)(body)
    with capture_spans() as captured:
        guard = Guard(authority.trust, policy=policy, tracer_provider=captured.provider if recorded else None)
        for args, kwargs in calls:
            with guard.acting_as(agent) as quick:
                quick_answers = [outcome(tool, args, kwargs) for _ in range(2)]
            with guard.acting_as(agent) as slow:
                slow.lease = -1
                wanted = outcome(tool, args, kwargs)
            assert [wanted, wanted] == quick_answers
            assert quick.plans or TypeError is wanted[0]  # the hot path was taken at all
        spans = [(s.name, s.status.status_code, dict(s.attributes or {})) for s in captured.spans]
    # Three spans for each call, alike but for what differs from record to record.
    for number in range(0, len(spans), 3):
        alike = [
            (n, code, {k: v for k, v in a.items() if k != "agentid.audit.record_id"})
            for n, code, a in spans[number : number + 3]
        ]
        assert alike[0] == alike[1] == alike[2]


any_case = given(
    st.lists(st.sampled_from(TEMPLATES), min_size=1, max_size=2),
    some,
    some,
    plain,
    plain,
    st.lists(call, min_size=1, max_size=3),
    st.booleans(),
)
calmly = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@settings(calmly, max_examples=generated.examples(150))
@any_case
@example(["read:p/{a}"], [PERMISSIONS[0]], [], [], [], [(["x"], {}), ([True], {}), ([1], {})], False)
def test_a_remembered_answer_is_the_answer_of_the_seven_steps(templates, allow, ask, forbid, asked, calls, recorded):
    """Both run or both refuse, with the same result, error and text; and each body runs as often."""
    compare(templates, allow, ask, forbid, asked, calls, recorded)


@pytest.mark.slow
@settings(calmly, max_examples=generated.examples(3000))
@any_case
def test_it_is_in_thousands_of_cases(templates, allow, ask, forbid, asked, calls, recorded):
    """The same, for longer."""
    compare(templates, allow, ask, forbid, asked, calls, recorded)


@pytest.fixture
def world():
    clock = SteppingClock()
    authority = Authority.create("test.example", clock=clock)
    agent = authority.issue("bot", allow=["read:p/*"], ttl=timedelta(minutes=1))
    guard = Guard(authority.trust)
    return clock, authority, agent, guard


tool = requires("read:p/{a}")(body)
fixed = requires("read:p/x")(body)


@pytest.mark.parametrize("function", [tool, fixed], ids=["value", "fixed"])
def test_a_remembered_yes_ends_with_the_credential(world, function):
    """The clock is looked at for each call, whatever is remembered."""
    clock, _, agent, guard = world
    with guard.acting_as(agent):
        function("x")
        clock.step(timedelta(minutes=1))
        ran.clear()
        with pytest.raises(CredentialExpiredError):
            function("x")
    assert [] == ran


@pytest.mark.parametrize("function", [tool, fixed], ids=["value", "fixed"])
def test_a_remembered_yes_ends_with_the_session(world, function):
    """Whoever still holds the session, as a task does, is refused."""
    _, _, agent, guard = world
    with guard.acting_as(agent) as session:
        function("x")
        session.close()
        ran.clear()
        with pytest.raises(NoActingAgentError):
            function("x")
    assert [] == ran


@pytest.mark.parametrize("function", [tool, fixed], ids=["value", "fixed"])
def test_a_remembered_yes_ends_when_the_agent_is_revoked(world, function):
    """And goes on when it was another agent that was revoked."""
    _, authority, agent, guard = world
    with guard.acting_as(agent) as session:
        function("x")
        authority.revoke(authority.issue("other"))
        assert "done" == function("x") == function("x")
        assert session.lease == session.generation == authority.trust.generation
        authority.revoke(agent)
        ran.clear()
        with pytest.raises(CredentialRevokedError):
            function("x")
    assert [] == ran


def test_a_session_whose_calls_are_written_somewhere_has_no_hot_path(world):
    """Observers, an audit log and a guard that only observes need the seven steps."""
    _, authority, agent, _ = world
    records: list[Any] = []
    guard = Guard(authority.trust, observers=[records.append])
    with guard.acting_as(agent) as session:
        tool("x")
        tool("x")
    assert -1 == session.lease
    assert 2 == len(records)


def test_what_is_remembered_is_bounded(world):
    """A caller who makes up names cannot make the process grow."""
    _, _, agent, guard = world
    with guard.acting_as(agent) as session:
        for number in range(10_000):
            tool(f"n-{number}")
        tool("x" * 3000)
        (plan,) = session.plans.values()
    assert len(plan.answers) <= 4096
    assert all(len(key) <= 256 for key in plan.answers)


def test_a_body_that_leaves_a_session_open_leaves_nobody_elses_identity_behind(world):
    """After the call, the caller is who it was."""
    _, authority, agent, guard = world
    other = authority.issue("other")
    left: list[Session] = []

    @requires("read:p/x")
    def leaves() -> None:
        left.append(guard.acting_as(other).__enter__())

    with guard.acting_as(agent) as session:
        for _ in range(2):
            leaves()
            assert acting.get() is session


def test_a_tool_with_every_kind_of_parameter_keeps_its_defaults_and_binding(world):
    """The wrapper is written out with the parameters of the tool, and Python binds them."""
    _, _, agent, guard = world

    @requires("read:p/{a}")
    def every(a: str, b: int = 2, /, c: int = 3, *rest: int, d: int, e: int = 5, **more: int) -> Any:
        return a, b, c, rest, d, e, more

    with guard.acting_as(agent):
        for _ in range(2):
            assert ("x", 2, 3, (), 4, 5, {}) == every("x", d=4)
            assert ("x", 1, 2, (3, 4), 5, 6, {"f": 7}) == every("x", 1, 2, 3, 4, d=5, e=6, f=7)
            with pytest.raises(TypeError):
                every("x")
            with pytest.raises(AccessDeniedError):
                every("x/y", d=4)
