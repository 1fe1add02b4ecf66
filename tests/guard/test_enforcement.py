"""The seven steps: in their order, deny by default, and nothing in them that fails becomes a yes."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from agentid import requires
from agentid.config import Config
from agentid.errors import (
    AccessDeniedError,
    ApprovalRefusedError,
    AuditUnavailableError,
    ConfigurationError,
    Error,
    NoActingAgentError,
)
from agentid.guard import Guard, ObserveOnlyGuard
from agentid.guard.session import acting
from agentid.policy import Policy
from agentid.testing import MemoryAudit


def tool_of(ran):
    @requires("read:crm/customers/{x}")
    def tool(x):
        ran.append(x)
        return x

    return tool


# --- the order -------------------------------------------------------------------------------------------------------


class Events(SpanProcessor):
    """Notes, in order, what happens to a call."""

    def __init__(self, world):
        self.seen = []
        world.captured.provider.add_span_processor(self)
        self.guard = world.make_guard(audit=self, observers=[lambda record: self.seen.append("observer")])

    def on_start(self, span, parent_context=None):
        self.seen.append("span starts")

    def on_end(self, span):
        self.seen.append("span ends")

    def write(self, phase, record):
        self.seen.append(f"audit {phase} {record.effect} {record.status}")


def test_the_decision_is_written_before_the_body_runs_and_the_outcome_after(world):
    """The span begins first, because the written decision names it; the body runs inside of both."""
    events = Events(world)

    @requires("read:crm/customers/{x}")
    def tool(x):
        events.seen.append("body")

    with events.guard.acting_as(world.agent):
        tool("c-1")

    assert [
        "span starts",
        "audit decision allow pending",
        "body",
        "span ends",
        "audit outcome allow success",
        "observer",
    ] == events.seen


def test_a_refusal_is_recorded_everywhere_before_it_is_raised(world):
    events = Events(world)

    @requires("delete:crm/customers/{x}")
    def tool(x):
        events.seen.append("body")

    with events.guard.acting_as(world.agent):
        try:
            tool("c-1")
        except AccessDeniedError:
            events.seen.append("raised")

    assert ["span starts", "audit decision deny denied", "span ends", "observer", "raised"] == events.seen


def test_the_decision_that_is_written_says_who_what_and_why(world):
    with world.guard.acting_as(world.agent, task="Answer Ada") as session:
        tool_of([])("c-1")

    (_, decision), (_, outcome) = world.audit.lines
    assert (session.id, str(world.agent.id), "bot", "team:test", "tool", "Answer Ada") == (
        decision.session,
        decision.agent_id,
        decision.agent_name,
        decision.owner,
        decision.tool,
        decision.task,
    )
    assert ("allow", "granted", "read:crm/customers/*", "enforced", "pending", None) == (
        decision.effect,
        decision.reason,
        decision.permission,
        decision.enforcement,
        decision.status,
        decision.duration_ns,
    )
    assert ["read:crm/customers/c-1"] == [str(access) for access in decision.accesses]
    assert int(world.clock.now * 1e9) == decision.time_ns
    assert session.agent.token_id == decision.credential_id
    assert (decision.id, "success") == (outcome.id, outcome.status)
    assert outcome.duration_ns > 0


# --- may it ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "ask", "policy", "expected"),
    [
        ([], [], {}, ("deny", "scope_missing")),
        (["read:crm/customers/c-2"], [], {}, ("deny", "scope_missing")),
        (["write:crm/customers/*", "edit:crm/**", "execute:crm/**"], [], {}, ("deny", "scope_missing")),
        (["read:crm/customers/*"], [], {}, ("allow", "granted")),
        (["read:crm/customers/*"], [], {"forbid": ["read:crm/**"]}, ("deny", "policy_forbid")),
        (["read:crm/customers/c-1"], [], {"forbid": ["read:crm/customers/c-1"]}, ("deny", "policy_forbid")),
        ([], ["read:crm/customers/*"], {"forbid": ["read:crm/customers/*"]}, ("deny", "policy_forbid")),
        ([], ["read:crm/customers/*"], {}, ("deny", "approval_missing")),
        (["read:crm/customers/*"], ["read:crm/customers/c-1"], {}, ("deny", "approval_missing")),
        (["read:crm/customers/c-1"], ["read:crm/**"], {}, ("deny", "approval_missing")),
        (["read:crm/customers/*"], [], {"ask": ["read:crm/**"]}, ("deny", "approval_missing")),
        ([], [], {"ask": ["read:crm/**"]}, ("deny", "scope_missing")),
    ],
)
def test_deny_is_the_default_forbid_overrides_and_ask_beats_allow(allow, ask, policy, expected, each_world):
    """Without an approver, what must be asked is refused."""
    ran = []
    guard = each_world.make_guard(policy=Policy(**policy))
    agent = each_world.issue("agent", allow=allow, ask=ask)
    effect, reason = expected
    with guard.acting_as(agent):
        for _ in range(2):
            if effect == "allow":
                tool_of(ran)("c-1")
            else:
                with pytest.raises(AccessDeniedError) as refused:
                    tool_of(ran)("c-1")
                assert reason == refused.value.decision.reason
                assert isinstance(refused.value, ApprovalRefusedError) is (reason == "approval_missing")

    assert (["c-1", "c-1"] if effect == "allow" else []) == ran


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(
    ("allow", "ask", "expected"),
    [
        (["read:crm/a", "read:crm/b"], [], "granted"),
        (["read:crm/a"], [], "scope_missing"),
        (["read:crm/b"], [], "scope_missing"),
        (["read:crm/a"], ["read:crm/b"], "approval_missing"),
        ([], ["read:crm/a", "read:crm/b"], "approval_missing"),
        ([], ["read:crm/a"], "scope_missing"),
    ],
)
def test_of_several_accesses_the_strictest_answer_counts(order, allow, ask, expected, each_world):
    ran = []

    @requires("read:crm/{ids}")
    def tool(ids):
        ran.append(ids)

    with each_world.guard.acting_as(each_world.issue("agent", allow=allow, ask=ask)):
        if expected == "granted":
            tool(order)
        else:
            with pytest.raises(AccessDeniedError) as refused:
                tool(order)
            assert expected == refused.value.decision.reason

    assert ([order] if expected == "granted" else []) == ran


def test_a_person_is_asked_once_about_all_accesses_together(world):
    asked = []
    guard = world.make_guard(approver=lambda request: asked.append(request) or True)

    @requires("read:crm/{ids}")
    def tool(ids):
        """Read both."""

    with guard.acting_as(world.issue("agent", ask=["read:crm/*"])):
        tool(["a", "b"])

    assert [["read:crm/a", "read:crm/b"]] == [[str(access) for access in request.accesses] for request in asked]


def test_two_guards_with_two_policies_decide_each_for_themselves(each_world):
    """The same agent, tool and arguments: what one guard allows is not remembered for the other."""
    ran = []
    tool = tool_of(ran)
    strict = each_world.make_guard(policy=Policy(forbid=["read:crm/**"]))
    for guard, allowed in ((each_world.guard, True), (strict, False), (each_world.guard, True)):
        with guard.acting_as(each_world.agent):
            if allowed:
                tool("c-1")
            else:
                with pytest.raises(AccessDeniedError):
                    tool("c-1")

    assert ["c-1", "c-1"] == ran


def test_two_agents_are_decided_each_by_its_own_grant(each_world):
    """Also where they have the same name."""
    ran = []
    tool = tool_of(ran)
    twin = each_world.issue("bot", allow=["read:crm/customers/c-2"])
    for agent, allowed in ((each_world.agent, "c-1"), (twin, "c-2"), (each_world.agent, "c-1")):
        with each_world.guard.acting_as(agent):
            tool(allowed)
            if agent is twin:
                with pytest.raises(AccessDeniedError):
                    tool("c-1")

    assert ["c-1", "c-2", "c-1"] == ran


def test_labels_come_from_the_configuration_and_stand_in_the_record(world, tmp_path):
    path = tmp_path / "agentid.toml"
    path.write_text(
        'trust_domain = "acme.example"\n'
        '[[data]]\nresource = "crm/customers/**"\nlabels = ["pii", "customer"]\n'
        '[[data]]\nresource = "crm/customers/c-1"\nlabels = ["vip"]\n'
    )
    guard = world.make_guard(policy=Policy.of(Config.load(path)))
    with guard.acting_as(world.agent):
        tool_of([])("c-1")

    assert ("customer", "pii", "vip") == world.records[0].labels
    assert ("customer", "pii", "vip") == world.spans[0].attributes["agentid.data.labels"]


# --- the audit log ---------------------------------------------------------------------------------------------------


def test_a_decision_that_cannot_be_written_is_not_acted_on(world):
    ran = []
    world.audit.broken = OSError("no space left, secret")
    with world.guard.acting_as(world.agent) as session:
        with pytest.raises(AuditUnavailableError) as refused:
            tool_of(ran)("c-1")
        assert acting.get() is session

    assert [] == ran
    assert [("deny", "audit_unavailable", "denied")] == world.outcomes()
    assert world.audit.broken is refused.value.__cause__
    assert "secret" not in str(refused.value)
    span = world.spans[0]
    assert ("deny", "audit_unavailable", "agentid.permission_denied") == (
        span.attributes["agentid.authorization.decision"],
        span.attributes["agentid.authorization.reason"],
        span.attributes["error.type"],
    )


class FailsOnce(MemoryAudit):
    """Cannot write one phase."""

    def __init__(self, phase):
        super().__init__()
        self._phase = phase

    def write(self, phase, record):
        if phase == self._phase:
            self._phase = None
            raise OSError
        super().write(phase, record)


def test_a_refusal_for_want_of_writing_is_written_when_that_works_again(world):
    audit = FailsOnce("decision")
    with world.make_guard(audit=audit).acting_as(world.agent), pytest.raises(AuditUnavailableError):
        tool_of([])("c-1")

    assert [("decision", "deny", "audit_unavailable")] == [(p, r.effect, r.reason) for p, r in audit.lines]


def test_an_outcome_that_cannot_be_written_is_an_error_that_says_that_it_was_done(world):
    ran = []
    audit = FailsOnce("outcome")
    with world.make_guard(audit=audit).acting_as(world.agent) as session:
        with pytest.raises(AuditUnavailableError, match="although it was made"):
            tool_of(ran)("c-1")
        assert acting.get() is session

    assert ["c-1"] == ran
    assert [("allow", "granted", "success")] == world.outcomes()
    assert 1 == len(world.spans)


def test_an_outcome_that_cannot_be_written_does_not_hide_what_the_body_raised(world, caplog):
    @requires("read:crm/customers/{x}")
    def tool(x):
        raise KeyError("secret")

    audit = FailsOnce("outcome")
    with world.make_guard(audit=audit).acting_as(world.agent), pytest.raises(KeyError):
        tool("c-1")

    assert ["outcome of tool could not be recorded: OSError"] == caplog.messages
    assert [("allow", "granted", "failure")] == world.outcomes()


def test_an_outcome_of_a_stream_that_cannot_be_written_is_an_error_at_its_end(world):
    @requires("read:crm/customers/{x}")
    def stream(x):
        yield x

    audit = FailsOnce("outcome")
    with world.make_guard(audit=audit).acting_as(world.agent):
        items = stream("c-1")
        assert "c-1" == next(items)
        with pytest.raises(AuditUnavailableError):
            next(items)

    audit = FailsOnce("outcome")
    with world.make_guard(audit=audit).acting_as(world.agent):
        items = stream("c-1")
        next(items)
        with pytest.raises(AuditUnavailableError):
            items.close()


def test_a_refusal_that_cannot_be_written_is_still_a_refusal(world, caplog):
    world.audit.broken = OSError()
    with world.guard.acting_as(world.issue("nobody")), pytest.raises(AccessDeniedError):
        tool_of([])("c-1")

    assert ["decision about tool could not be recorded: OSError"] == caplog.messages
    assert [("deny", "scope_missing", "denied")] == world.outcomes()


# --- observers -------------------------------------------------------------------------------------------------------


def test_an_observer_that_raises_changes_nothing_and_the_others_still_see_the_record(world, caplog):
    def broken(record):
        raise RuntimeError("secret")

    ran = []
    guard = world.make_guard(observers=[broken, world.records.append])
    with caplog.at_level(logging.WARNING, "agentid"), guard.acting_as(world.agent):
        assert "c-1" == tool_of(ran)("c-1")
        with pytest.raises(AccessDeniedError):
            tool_of(ran)("a/b")

    assert ["c-1"] == ran
    assert [("allow", "granted", "success"), ("deny", "resource_invalid", "denied")] == world.outcomes()
    assert ["observer failed on tool: RuntimeError"] * 2 == caplog.messages


def test_while_the_guard_works_nobody_is_acting(world):
    """What its approver, audit log and observers do, wrapped libraries do not take for the agent's doing."""
    seen = {}

    class Log:
        def write(self, phase, record):
            seen[phase] = acting.get()

    def approve(request):
        seen["approver"] = acting.get()
        return True

    guard = world.make_guard(
        observers=[lambda record: seen.update(observer=acting.get())], audit=Log(), approver=approve
    )
    other = world.issue("other", ask=["read:crm/customers/*"])

    @requires("read:crm/customers/{x}")
    def tool(x):
        seen["body"] = acting.get()

    with guard.acting_as(other) as session:
        tool("c-1")
        assert session is acting.get()

    assert {"decision": None, "approver": None, "body": session, "outcome": None, "observer": None} == seen


def test_what_nobody_does_is_nobodys_again_after_an_error(world):
    class Log:
        def write(self, phase, record):
            raise OSError("full")

    guard = world.make_guard(audit=Log())

    @requires("read:crm/customers/{x}")
    def tool(x):
        raise AssertionError("ran")

    with guard.acting_as(world.agent) as session:
        with pytest.raises(AuditUnavailableError):
            tool("c-1")
        assert session is acting.get()


# --- how a guard is made ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"policy": {"forbid": []}},
        {"policy": "agentid.toml"},
        {"approver": "ask"},
        {"approver": 7},
        {"audit": "audit"},
        {"audit": []},
        {"observers": ["print"]},
        {"observers": print},
        {"observers": 7},
        {"limits": {}},
        {"limits": 0},
        {"tracer_provider": "console"},
    ],
    ids=str,
)
def test_a_guard_that_is_wired_wrongly_says_so_at_once(options, world):
    with pytest.raises(ConfigurationError):
        Guard(world.authority.trust, **options)


@pytest.mark.parametrize("trust", [None, "acme.example", 7, object()])
def test_a_guard_needs_a_trust_anchor(trust):
    with pytest.raises(ConfigurationError, match="no trust anchor"):
        Guard(trust)


@pytest.mark.parametrize("agent", [None, "bot", 7, object()])
def test_only_an_agent_can_act(agent, world):
    with pytest.raises(ConfigurationError, match="no agent"):
        world.guard.acting_as(agent)


@pytest.mark.parametrize("task", [None, 7, b"task", ["task"]])
def test_a_task_is_text(task, world):
    with pytest.raises(ConfigurationError, match="must be text"):
        world.guard.acting_as(world.agent, task=task)


def test_a_guard_from_a_file_issues_the_agents_of_the_file(tmp_path, monkeypatch):
    ran = []
    (tmp_path / "agentid.toml").write_text(
        'trust_domain = "acme.example"\nforbid = ["read:crm/customers/c-3"]\n'
        '[agents.support-bot]\nowner = "team:support"\nallow = ["read:crm/customers/*"]\n'
    )
    monkeypatch.chdir(tmp_path)
    for guard in (Guard.from_config(tmp_path / "agentid.toml"), Guard.from_config()):
        with guard.acting_as(guard.agent("support-bot")):
            tool_of(ran)("c-1")
            with pytest.raises(AccessDeniedError):
                tool_of(ran)("c-3")
        with pytest.raises(ConfigurationError, match="Did you mean `support-bot`"):
            guard.agent("suport-bot")

    assert ["c-1", "c-1"] == ran


def test_a_guard_without_a_file_has_no_configured_agents(world):
    with pytest.raises(ConfigurationError, match="without a configuration file"):
        world.guard.agent("support-bot")


def test_a_guard_that_finds_no_file_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigurationError):
        Guard.from_config(tmp_path / "missing.toml")


def test_rules_that_are_not_enforced_yet_are_pointed_out(tmp_path, caplog):
    path = tmp_path / "agentid.toml"
    path.write_text(
        'trust_domain = "acme.example"\n[agents.bot]\nallow = []\n[limits.bot]\nrows_per_hour = 10\n'
        '[[data]]\nresource = "crm/**"\nlabels = ["pii"]\n'
        '[[flow]]\nlabel = "pii"\nto = "third-party"\nthen = "deny"\n'
    )
    Guard.from_config(path)

    assert {"[limits]", "[[flow]]"} <= {message.split(" ")[0] for message in caplog.messages}


def test_errors_are_ours_and_no_builtin_ones(world):
    """A tool that catches `OSError` or `ValueError` must not swallow a refusal of another tool that it calls."""

    @requires("read:crm/customers/{x}")
    def outer(x):
        try:
            return inner(x)
        except (OSError, ValueError, LookupError, TypeError, PermissionError):
            return "swallowed"

    @requires("delete:crm/customers/{x}")
    def inner(x):
        """Never runs."""

    with world.guard.acting_as(world.agent), pytest.raises(Error):
        outer("c-1")
    with pytest.raises(NoActingAgentError):
        outer("c-1")


@pytest.mark.parametrize("name", ["policy", "audit", "observers", "approver", "trust", "clock", "enforcement"])
def test_what_a_guard_is_made_of_can_neither_be_changed_nor_taken_away(world, name):
    with pytest.raises(ConfigurationError, match=f"`{name}` of a guard cannot be changed"):
        setattr(world.guard, name, None)
    if name != "enforcement":
        with pytest.raises(ConfigurationError, match=f"`{name}` of a guard cannot be changed"):
            delattr(world.guard, name)


def test_a_guard_does_not_become_one_that_only_observes(world):
    with pytest.raises(ConfigurationError, match="`__class__` of a guard cannot be changed"):
        world.guard.__class__ = ObserveOnlyGuard


def test_neither_a_guard_nor_a_session_is_copied(world):
    """A copy of a session would not end when the session does."""
    with world.guard.acting_as(world.agent) as session:
        for it in (session, world.guard):
            for copies in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(ConfigurationError, match="copied or pickled"):
                    copies(it)
