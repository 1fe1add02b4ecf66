"""`Rules.decide`, as tables: what is granted, what the guard's policy says, what is asked for, and the answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentid.constraint import at_least, at_most
from agentid.permission import ACTIONS, Permission, permissions
from agentid.policy import REASONS, Decision, Policy, Rules
from agentid.resource import Resource

PAY = Permission.parse("write:bank/transfers/*")
SMALL = PAY.where(amount=at_most(100))
LARGE = PAY.where(amount=at_least(101))
KEY = Resource.parse("bank/transfers/t-1").key


def decide(action, resource, arguments=None, *, allow=(), ask=(), policy=None):
    rules = Rules(permissions(allow, where="allow"), permissions(ask, where="ask"), policy or Policy())
    return rules.decide(action, Resource.parse(resource).key, arguments or {})


READ = "read:crm/customers/*"


@pytest.mark.parametrize(
    ("allow", "ask", "forbid", "policy_ask", "expected"),
    [
        # granted, or not
        ([], [], [], [], ("deny", "scope_missing")),
        ([READ], [], [], [], ("allow", "granted")),
        ([], [READ], [], [], ("ask", "approval_required")),
        (["read:crm/orders/*"], [], [], [], ("deny", "scope_missing")),
        (["write:crm/customers/*"], [], [], [], ("deny", "scope_missing")),
        # ask beats allow, wherever it comes from
        ([READ], [READ], [], [], ("ask", "approval_required")),
        ([READ], ["read:crm/**"], [], [], ("ask", "approval_required")),
        (["read:crm/**"], ["read:crm/customers/c-1"], [], [], ("ask", "approval_required")),
        (["read:crm/**"], ["read:crm/customers/c-2"], [], [], ("allow", "granted")),
        ([READ], [], [], ["read:crm/**"], ("ask", "approval_required")),
        ([READ], [], [], ["read:hr/**"], ("allow", "granted")),
        # the policy asks only about what is granted: it never grants
        ([], [], [], [READ], ("deny", "scope_missing")),
        (["read:crm/orders/*"], [], [], [READ], ("deny", "scope_missing")),
        # forbid beats everything
        ([READ], [], [READ], [], ("deny", "policy_forbid")),
        ([], [READ], [READ], [], ("deny", "policy_forbid")),
        ([READ], [READ], ["read:**"], [READ], ("deny", "policy_forbid")),
        (["read:crm/customers/c-1"], [], ["read:crm/*/c-1"], [], ("deny", "policy_forbid")),
        ([], [], [READ], [], ("deny", "policy_forbid")),
        ([READ], [], ["delete:crm/**"], [], ("allow", "granted")),
    ],
)
def test_forbid_then_grant_then_ask(allow, ask, forbid, policy_ask, expected):
    policy = Policy(forbid=forbid, ask=policy_ask)

    decision = decide("read", "crm/customers/c-1", allow=allow, ask=ask, policy=policy)

    assert expected == (decision.effect, decision.reason)


@pytest.mark.parametrize(
    ("allow", "ask", "arguments", "expected"),
    [
        ([SMALL], [], {"amount": 100}, ("allow", "granted")),
        ([SMALL], [], {"amount": 101}, ("deny", "constraint_violation")),
        ([SMALL], [], {}, ("deny", "constraint_violation")),
        ([SMALL], [], {"amount": "100"}, ("deny", "constraint_violation")),
        ([SMALL], [], {"amount": True}, ("deny", "constraint_violation")),
        ([], [SMALL], {"amount": 101}, ("deny", "constraint_violation")),
        # an ask that does not apply does not ask
        ([PAY], [LARGE], {"amount": 50}, ("allow", "granted")),
        ([PAY], [LARGE], {"amount": 500}, ("ask", "approval_required")),
        # small ones go, large ones are asked about, and what is neither is refused
        ([SMALL], [LARGE], {"amount": 50}, ("allow", "granted")),
        ([SMALL], [LARGE], {"amount": 500}, ("ask", "approval_required")),
        ([SMALL], [LARGE], {"amount": 100.5}, ("deny", "constraint_violation")),
        ([SMALL], [LARGE], {"amount": "500"}, ("deny", "constraint_violation")),
        # a constrained allow does not take away an ask for the rest
        ([SMALL], [PAY], {"amount": 50}, ("ask", "approval_required")),
        # one of several is enough
        ([SMALL, LARGE], [], {"amount": 500}, ("allow", "granted")),
        ([SMALL, PAY], [], {"amount": 500}, ("allow", "granted")),
        ([SMALL, "write:bank/**"], [], {"amount": 500}, ("allow", "granted")),
    ],
)
def test_constraints_choose_among_permissions(allow, ask, arguments, expected):
    decision = decide("write", "bank/transfers/t-1", arguments, allow=allow, ask=ask)

    assert expected == (decision.effect, decision.reason)


@pytest.mark.parametrize("where", ["allow", "ask"])
def test_a_violated_constraint_is_told_apart_from_a_missing_permission(where):
    """Somebody who reads the denial wants to know which permission nearly fitted."""
    violated = decide("write", "bank/transfers/t-1", {"amount": 101}, **{where: [SMALL]})
    missing = decide("write", "bank/accounts/a-1", {"amount": 101}, **{where: [SMALL]})
    other_action = decide("edit", "bank/transfers/t-1", {"amount": 101}, **{where: [SMALL]})

    assert SMALL == violated.permission
    assert missing.reason == other_action.reason == "scope_missing"
    assert missing.permission is other_action.permission is None


def test_the_decision_names_the_permission_that_decided():
    allow, ask = ["read:a/*", "read:b/*"], ["read:b/1"]
    policy = Policy(forbid=["read:c/**"], ask=["read:a/2"])

    def decided(resource):
        return str(decide("read", resource, allow=allow, ask=ask, policy=policy).permission)

    assert [decided(r) for r in ("a/1", "a/2", "b/1", "b/2", "c/1")] == [
        "read:a/*", "read:a/2", "read:b/1", "read:b/*", "read:c/**",
    ]  # fmt: skip


def test_no_action_implies_another():
    for granted in ACTIONS:
        for action in ACTIONS:
            decision = decide(action, "a/b", allow=[f"{granted}:a/b"])

            assert (granted == action) is bool(decision)


@pytest.mark.parametrize("action", ["", "READ", "read ", "admin", "*"])
def test_an_unknown_action_is_denied(action):
    assert decide(action, "a/b", allow=["read:a/b", "write:**"]).reason == "scope_missing"


@pytest.mark.parametrize(
    ("allow", "ask", "forbid", "policy_ask", "expected"),
    [
        ([PAY], [], [], [], ("allow", "granted")),
        ([PAY, SMALL], [], [], [], ("allow", "granted")),
        ([], [], [], [], ("deny", "scope_missing")),
        ([PAY], [], ["write:bank/**"], [], ("deny", "policy_forbid")),
        ([SMALL], [SMALL], ["write:bank/**"], [], ("deny", "policy_forbid")),
        ([SMALL, LARGE], [], [], [], (SMALL, LARGE)),
        ([PAY], [LARGE], [], [], None),
        ([PAY], [PAY], [], [], None),
        ([PAY], [], [], ["write:bank/**"], None),
        ([PAY], ["write:mail/**"], ["write:mail/**"], ["write:mail/**"], ("allow", "granted")),
    ],
)
def test_the_outline_is_what_does_not_depend_on_arguments(allow, ask, forbid, policy_ask, expected):
    policy = Policy(forbid=forbid, ask=policy_ask)
    rules = Rules(permissions(allow, where="allow"), permissions(ask, where="ask"), policy)

    outline = rules.outline("write", KEY)

    assert expected == (tuple(outline[:2]) if isinstance(outline, Decision) else outline)


grants = st.lists(st.sampled_from([PAY, SMALL, LARGE, Permission.parse("write:bank/**")]), max_size=3)
policies = st.lists(st.sampled_from(["write:bank/**", "write:bank/transfers/t-1", "write:bank/accounts/*"]), max_size=2)
anything = st.sampled_from(
    [None, True, 0, 1, 100, 101, 2**70, 100.5, float("nan"), float("inf"), "", "100", [1], {"at_most": 1}]
)


@settings(deadline=None)
@given(grants, grants, policies, policies, st.dictionaries(st.sampled_from(["amount", "to"]), anything))
def test_a_policy_only_narrows_and_deciding_never_raises(allow, ask, forbid, policy_ask, arguments):
    order = {"deny": 0, "ask": 1, "allow": 2}

    free = Rules(allow, ask, Policy()).decide("write", KEY, arguments)
    ruled = Rules(allow, ask, Policy(forbid=forbid, ask=policy_ask)).decide("write", KEY, arguments)
    granted = [p for p in (*allow, *ask) if p.satisfied_by(arguments)]

    assert {free.reason, ruled.reason} <= set(REASONS)
    assert order[ruled.effect] <= order[free.effect]
    assert bool(granted) is (free.effect != "deny")
    if any(p.satisfied_by(arguments) for p in ask):
        assert free.effect == "ask"


@settings(deadline=None)
@given(grants, grants, policies, policies, st.dictionaries(st.sampled_from(["amount", "to"]), anything))
def test_the_outline_says_nothing_that_the_decision_does_not_say(allow, ask, forbid, policy_ask, arguments):
    rules = Rules(allow, ask, Policy(forbid=forbid, ask=policy_ask))

    outline, decision = rules.outline("write", KEY), rules.decide("write", KEY, arguments)

    if isinstance(outline, Decision):
        assert outline == decision
    elif outline is not None:
        satisfied = any(p.satisfied_by(arguments) for p in outline)
        assert decision[:2] == (("allow", "granted") if satisfied else ("deny", "constraint_violation"))
