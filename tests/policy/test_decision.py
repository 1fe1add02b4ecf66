from __future__ import annotations

from typing import get_args

import pytest

from agentid.permission import Permission
from agentid.policy import REASONS, Decision, Effect, Reason


@pytest.mark.parametrize(("effect", "true"), [("allow", True), ("ask", False), ("deny", False)])
def test_a_decision_is_true_only_if_it_allows(effect, true):
    assert true is bool(Decision(effect, "granted"))


def test_an_unknown_effect_is_not_true():
    assert not Decision("allowed", "granted")
    assert not Decision(True, "granted")


def test_effects_and_reasons_are_closed_lists():
    """Dashboards and enforcement points enumerate them: whoever adds one changes this list, knowingly."""
    assert get_args(Effect) == ("allow", "ask", "deny")
    assert get_args(Reason) == REASONS
    assert set(REASONS) == {
        "granted", "approved", "approval_required", "approval_missing", "scope_missing", "constraint_violation",
        "policy_forbid", "resource_invalid", "no_identity", "session_ended", "expired", "revoked", "audit_unavailable",
        "error", "second_door",
    }  # fmt: skip


def test_a_decision_does_not_change():
    decision = Decision("deny", "scope_missing")

    with pytest.raises(AttributeError):
        decision.effect = "allow"


def test_a_decision_names_the_permission_that_decided():
    permission = Permission.parse("read:crm/**")

    assert permission is Decision("allow", "granted", permission).permission
    assert Decision("deny", "scope_missing").permission is None
    assert Decision("deny", "scope_missing").obligations == ()
