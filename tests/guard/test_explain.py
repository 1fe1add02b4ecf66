"""What a refusal says: what, why and how to fix it, on one line; and one sentence that a model may see."""

from __future__ import annotations

import pytest

from agentid import Permission, at_most, requires
from agentid.errors import Error
from agentid.policy import Policy


@pytest.fixture
def refusal(each_world):
    """The text and the sentence for a model of a refused call; the same on both paths."""

    def refused(*, allow=(), ask=(), policy=None, call="c-1", requirement="read:crm/customers/{x}"):
        @requires(requirement)
        def get(x, amount=7):
            raise AssertionError("a denied tool ran")

        guard = each_world.make_guard(policy=policy)
        with guard.acting_as(each_world.issue("bot", allow=allow, ask=ask)), pytest.raises(Error) as error:
            get(call)
        return str(error.value), error.value.for_model

    return refused


def test_nothing_granted(refusal):
    text, model = refusal()

    assert (
        "[access.denied] bot may not `read:crm/customers/c-1` in tool `get`: its grant allows nothing. "
        'To allow it, issue the agent with allow=["read:crm/customers/c-1"], '
        'or ask=["read:crm/customers/c-1"] to let a person decide'
    ) == text
    assert "not permitted: read crm/customers/c-1" == model


def test_something_else_granted_shows_what_is_nearest_first(refusal):
    text, _ = refusal(allow=["write:a", "read:b", "write:c", "write:d", "write:e"], ask=["read:f", "delete:g"])

    assert "its grant allows `read:b`, `read:f`, `write:a`, `write:c`, `write:d` and 2 more. " in text


def test_a_rule_of_the_policy(refusal):
    text, model = refusal(allow=["read:crm/**"], policy=Policy(forbid=["read:crm/**"]))

    assert (
        "[access.denied] bot may not `read:crm/customers/c-1` in tool `get`: the policy forbids `read:crm/**`. "
        "Take that out of `forbid`"
    ) == text
    assert "not permitted: read crm/customers/c-1" == model


def test_a_constraint(refusal):
    text, _ = refusal(allow=[Permission.parse("read:crm/**").where(amount=at_most(5))])

    assert (
        "[access.denied] bot may not `read:crm/customers/c-1` in tool `get`: its grant allows only "
        '`read:crm/** where {"amount": {"at_most": 5}}`. '
        "Call it within these constraints, or issue the agent with wider ones"
    ) == text


def test_a_question_that_nobody_answers(refusal):
    text, model = refusal(ask=["read:crm/**"])

    assert (
        "[approval.refused] bot may not `read:crm/customers/c-1` in tool `get`: a person must approve, and "
        "no approver is set. Pass approver= to `Guard`, such as `TerminalApprover()`"
    ) == text
    assert "not permitted: read crm/customers/c-1: a person did not approve" == model


def test_an_argument_that_names_nothing(refusal):
    text, model = refusal(allow=["read:crm/**"], call="../secret")

    assert (
        "[access.denied] bot may not call tool `get`: `x` cannot be a name: a value names exactly one segment, so `/`, "
        "`\\` and `*` are not allowed in it. Use plain names: in a tool, for each placeholder of its requirement"
    ) == text
    assert "not permitted: the arguments name no resource" == model


def test_an_error_while_deciding(refusal):
    def broken(x):
        raise ZeroDivisionError

    text, model = refusal(requirement=broken)

    assert (
        "[access.denied] bot may not call tool `get`: deciding failed with ZeroDivisionError. "
        "Look at the chained exception, and at the requirement of the tool"
    ) == text
    assert "not permitted: it could not be decided" == model


def test_long_names_are_shortened_and_stay_on_one_line(refusal):
    text, model = refusal(call="x" * 3000)

    assert text.isprintable()
    assert model.isprintable()
    assert len(text) < 1000
    assert len(model) < 300


def test_what_was_refused_first_stays_so_however_often_it_is_read(each_world):
    """The text is put together when it is read, from what was decided then."""

    @requires("read:crm/customers/{x}")
    def get(x):
        raise AssertionError("a denied tool ran")

    with each_world.guard.acting_as(each_world.issue("one")), pytest.raises(Error) as first:
        get("c-1")
    with each_world.guard.acting_as(each_world.issue("two")), pytest.raises(Error) as second:
        get("c-2")

    assert "one may not `read:crm/customers/c-1`" in str(first.value)
    assert "two may not `read:crm/customers/c-2`" in str(second.value)
    assert str(first.value) == str(first.value)
    assert first.value is not second.value
