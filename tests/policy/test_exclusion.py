"""What cannot be judged is asked about, and a permission that asks is never slipped past by another type."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentid.constraint import (
    Constraint,
    all_of,
    any_of,
    at_least,
    at_most,
    contains,
    exactly,
    none_of,
    one_of,
    starts_with,
    subset_of,
)
from agentid.permission import Permission
from agentid.policy import Policy, Rules
from agentid.policy.exclusion import may_concern
from agentid.resource import Resource

PAY = Permission.parse("write:bank/transfers/*")
KEY = Resource.parse("bank/transfers/t-1").key


@pytest.mark.parametrize(
    ("constraint", "outside", "unjudged"),
    [
        (at_least(100), [5, 99.9, Decimal(1)], ["5000", "5", True, None, float("nan"), [5], b"5"]),
        (at_most(100), [101], ["5"]),
        (one_of("USD"), ["EUR"], [["USD"], None, 5]),
        (exactly(5), [6, 6.5], ["5", True]),
        (none_of("EUR"), ["EUR"], [5, ["EUR"]]),
        (starts_with("a"), ["b"], [["a"], 5]),
        (subset_of("a", "b"), [["c"], ("a", "c")], ["a", [1], [["a"]]]),
        (contains("a"), [["b"], []], ["a", None]),
        (all_of(at_least(0), at_most(9)), [10], ["5"]),
        (any_of(at_most(0), at_least(9)), [5], ["5"]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_value_lies_outside_only_if_it_was_judged(constraint: Constraint, outside, unjudged):
    """Another type than the constraint speaks of tells nothing, and so does an argument that is missing."""
    permission = PAY.where(amount=constraint)

    assert [] == [value for value in outside if may_concern(permission, {"amount": value})]
    assert [] == [value for value in unjudged if not may_concern(permission, {"amount": value})]
    assert may_concern(permission, {})


@pytest.mark.parametrize(
    ("amount", "effect"),
    [(50, "allow"), (100, "ask"), (5000, "ask"), ("5000", "ask"), ("50", "ask"), (True, "ask"), (None, "ask")],
)
def test_asking_from_a_hundred_upwards_is_not_slipped_past_by_another_type(amount, effect):
    """A wide permission beside a constrained one that asks lets through only what provably need not be asked."""
    rules = Rules([PAY], [PAY.where(amount=at_least(100))], Policy())

    assert effect == rules.decide("write", KEY, {"amount": amount}).effect


def test_an_argument_that_is_missing_is_asked_about():
    """A call that does not say how much may be about any amount."""
    rules = Rules([PAY], [PAY.where(amount=at_least(100))], Policy())

    assert "ask" == rules.decide("write", KEY, {}).effect


def test_asking_never_widens_what_is_granted():
    """What no permission covers is refused, however doubtful it is: a person is not asked to widen a grant."""
    rules = Rules([], [PAY.where(amount=at_most(500))], Policy())

    assert "ask" == rules.decide("write", KEY, {"amount": 400}).effect
    for amount in (501, "400", None):
        assert "deny" == rules.decide("write", KEY, {"amount": amount}).effect
