"""The tree of errors: what each is, what it says, and what a model may see of it."""

from __future__ import annotations

import copy
import pickle

import pytest

from agentid import errors
from agentid.errors import (
    AccessDeniedError,
    ApprovalRefusedError,
    AuditTamperedError,
    AuditUnavailableError,
    ConfigurationError,
    CredentialError,
    CredentialExpiredError,
    CredentialRevokedError,
    DelegationError,
    Error,
    FlowForbiddenError,
    LimitExceededError,
    MissingExtraError,
    NoActingAgentError,
    nearest,
    quote,
)
from agentid.permission import Permission
from agentid.policy import Decision

TREE = {
    ConfigurationError: (Error, "configuration.invalid"),
    MissingExtraError: (Error, "extra.missing"),
    NoActingAgentError: (Error, "agent.none"),
    CredentialError: (Error, "credential.invalid"),
    CredentialExpiredError: (CredentialError, "credential.expired"),
    CredentialRevokedError: (CredentialError, "credential.revoked"),
    DelegationError: (CredentialError, "delegation.refused"),
    AccessDeniedError: (Error, "access.denied"),
    ApprovalRefusedError: (AccessDeniedError, "approval.refused"),
    FlowForbiddenError: (AccessDeniedError, "flow.forbidden"),
    LimitExceededError: (AccessDeniedError, "limit.exceeded"),
    AuditUnavailableError: (Error, "audit.unavailable"),
    AuditTamperedError: (Error, "audit.tampered"),
}

each = pytest.mark.parametrize("kind", TREE)


def test_there_are_exactly_these_errors():
    found = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}

    assert {Error, *TREE} == found
    assert sorted(kind.__name__ for kind in found) == sorted(errors.__all__)


def test_the_tree_is_drawn_at_the_top():
    drawn = [line.split("──")[1].split()[0] for line in errors.__doc__.splitlines() if "──" in line]

    assert [kind.__name__ for kind in TREE] == drawn


@each
def test_each_error_has_its_place_and_its_code(kind):
    parent, code = TREE[kind]

    assert parent is kind.__base__
    assert code == kind.code == kind("x").code
    assert 1 == [other.code for other in TREE].count(kind.code)


@each
def test_a_denial_is_not_swallowed_by_tools_that_catch_their_own_errors(kind):
    """Tools catch `OSError` and `ValueError`."""
    assert not issubclass(kind, OSError | ValueError | TypeError | LookupError | RuntimeError | AssertionError)


@each
def test_an_error_says_what_why_and_how_to_fix_it_on_one_line(kind):
    error = kind("not a resource: `x`", why="it is empty", fix="Name one")

    assert f"[{kind.code}] not a resource: `x`: it is empty. Name one" == str(error)
    assert f"{kind.__name__}({str(error)!r})" == repr(error)
    assert f"[{kind.code}] x" == str(kind("x"))
    assert f"[{kind.code}] x: y" == str(kind("x", why="y"))
    assert f"[{kind.code}] x. z" == str(kind("x", fix="z"))
    assert ("x", "y", "z") == (kind("x", why="y", fix="z").what, kind("x", why="y").why, kind("x", fix="z").fix)


@each
def test_a_model_sees_a_short_sentence_and_no_reasons(kind):
    """Reasons help whoever steers the model."""
    error = kind("the secret table", why="a secret reason", fix="a secret way")

    assert "secret" not in error.for_model
    assert 0 < len(error.for_model) < 100
    assert "not permitted: that table" == kind("x", for_model="not permitted: that table").for_model


@each
def test_an_error_can_be_copied_and_sent_to_another_process(kind):
    error = kind("x", why="y", fix="z", for_model="w")

    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert kind is type(other)
        assert str(error) == str(other)
        assert error.for_model == other.for_model


@pytest.mark.parametrize("kind", [AccessDeniedError, ApprovalRefusedError, FlowForbiddenError, LimitExceededError])
def test_a_denial_explains_itself_only_when_somebody_reads_it(kind):
    """Many denials are caught and counted, and none should pay for prose."""
    asked = []

    def explain():
        asked.append(1)
        return "bot may not `read:crm/x`", "it has no permission", "Issue it with one", "not permitted: read crm/x"

    error = kind.explained("deny", "bot", explain)

    assert [] == asked
    assert ("deny", "bot") == (error.decision, error.agent)
    assert f"[{kind.code}] bot may not `read:crm/x`: it has no permission. Issue it with one" == str(error)
    assert "not permitted: read crm/x" == error.for_model
    assert [1] == asked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("crm/x", "`crm/x`"),
        ("", "``"),
        ("a\nb", r"`a\nb`"),
        ("a\x1b[2Jb", r"`a\x1b[2Jb`"),
        ("a\u202eb", r"`a\u202eb`"),
        ("a\u200bb", r"`a\u200bb`"),
        ("\ud800", r"`\ud800`"),
        ("Zoë", "`Zoë`"),
        ("x" * 80, "`" + "x" * 80 + "`"),
        ("x" * 81, "`" + "x" * 80 + "…`"),
        ("x" * 1_000_000, "`" + "x" * 80 + "…`"),
        (5, "`5`"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_text_from_outside_is_quoted_on_one_line(text, expected):
    """It can forge no second line in a log, and cannot move the cursor of a terminal."""
    assert expected == quote(text)
    assert quote(text).isprintable()


class Unprintable:
    def __str__(self):
        raise RuntimeError("secret")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10**5000, "`<int>`"),  # Python writes no more than 4,300 digits
        (Unprintable(), "`<Unprintable>`"),
        ("a` may do all. `b", r"`a\x60 may do all. \x60b`"),
        ("`\n", r"`\x60\n`"),
    ],
    ids=["number", "unprintable", "backticks", "line"],
)
def test_whatever_is_quoted_is_quoted(value, expected):
    assert expected == quote(value)


def test_a_denial_that_travels_keeps_what_was_decided_and_about_whom():
    decision = Decision("deny", "scope_missing", Permission.parse("read:crm/*"))
    for error in (
        AccessDeniedError("it was refused", why="so", decision=decision, agent="bot"),
        ApprovalRefusedError.explained(decision, "bot", lambda: ("it was refused", "so", "", "no")),
    ):
        again = pickle.loads(pickle.dumps(error))

        assert (type(error), str(error), error.for_model) == (type(again), str(again), again.for_model)
        assert (decision, "bot") == (again.decision, again.agent)


def test_quoted_text_is_as_long_as_wanted():
    assert "`abc…`" == quote("abcd", limit=3)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("raed", "Did you mean `read`?"),
        ("purge", "Use one of `read`, `write`."),
        ("", "Use one of `read`, `write`."),
        ("read" * 1_000_000, "Use one of `read`, `write`."),
    ],
    ids=["slip", "other", "empty", "long"],
)
def test_a_wrong_word_is_answered_with_the_nearest_right_one(word, expected):
    assert expected == nearest(word, ["write", "read"])


def test_where_nothing_is_known_nothing_is_proposed():
    assert not nearest("read", [])
