"""`Permission`, sentence by sentence; the vectors are in `conformance/permissions.json`."""

from __future__ import annotations

import copy
import enum
import json
import pickle
import time
from typing import get_args

import pytest

from agentid.constraint import all_of, at_least, at_most, between, contains, exactly, none_of, one_of, starts_with
from agentid.errors import ConfigurationError
from agentid.permission import ACTIONS, Action, Permission, parse_action, permissions
from agentid.resource import Resource, ResourcePattern

TRANSFER = Permission.parse("write:bank/transfers/*")
PAYMENT = Resource.parse("bank/transfers/t-1")
SMALL = TRANSFER.where(amount=at_most(100), currency=one_of("EUR"))


def test_there_are_exactly_six_actions():
    assert ("read", "write", "edit", "delete", "share", "execute") == ACTIONS == get_args(Action)
    assert list(ACTIONS) == [parse_action(action) for action in ACTIONS]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("other", ACTIONS)
def test_no_action_implies_another(action, other):
    held, wanted = Permission.parse(f"{action}:crm/**"), Permission.parse(f"{other}:crm/x")

    assert (action == other) == held.covers(wanted)
    assert (action == other) == held.allows(other, Resource.parse("crm/x"), {})


@pytest.mark.parametrize(
    "word",
    [
        "update",
        "READ",
        "Read",
        "rea",
        "read ",
        " read",
        "read\n",
        "",
        "*",
        "read,write",
        "re\u0430d",
        None,
        5,
        True,
        b"read",
        ["read"],
    ],
)
def test_anything_else_is_an_error_never_silently_false(word):
    """Wherever an action is read: as text, as a part, and when asked about."""
    for read in (
        lambda: parse_action(word),
        lambda: Permission.parse(f"{word}:crm/x"),
        lambda: Permission.build(word, "crm/x"),
        lambda: Permission(word, ResourcePattern.parse("crm/x")),
        lambda: TRANSFER.allows(word, PAYMENT, {}),
    ):
        with pytest.raises(ConfigurationError, match="action"):
            read()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("raed", "Did you mean `read`?"),
        ("READ", "Did you mean `read`?"),
        ("wirte", "Did you mean `write`?"),
        ("exec", "Did you mean `execute`?"),
        ("delet", "Did you mean `delete`?"),
        ("purge", "Use one of `delete`, `edit`, `execute`, `read`, `share`, `write`."),
    ],
)
def test_a_wrong_action_is_answered_with_the_nearest_right_one(word, hint):
    with pytest.raises(ConfigurationError) as raised:
        Permission.parse(f"{word}:crm/x")

    assert f"[configuration.invalid] unknown action `{word}`. {hint}" == str(raised.value)


def test_an_action_that_claims_to_equal_everything_is_none():
    class Any:
        def __eq__(self, other):
            return True

        def __hash__(self):
            return hash("read")

    class Word(str):
        __slots__ = ()

        def __eq__(self, other):
            return True

        def __hash__(self):
            return hash("read")

    for claim in (Any(), Word("purge")):
        with pytest.raises(ConfigurationError):
            parse_action(claim)


def test_an_enum_of_text_counts_as_its_value():
    class Verb(str, enum.Enum):
        READ = "read"

    assert str is type(parse_action(Verb.READ))
    assert "read:crm/x" == str(Permission(Verb.READ, ResourcePattern.parse("crm/x")))


def test_a_permission_is_an_action_and_a_pattern():
    permission = Permission.parse("read:crm/customers/*")

    assert ("read", ResourcePattern.parse("crm/customers/*"), {}) == (
        permission.action,
        permission.resource,
        dict(permission.constraints),
    )
    assert "read:crm/customers/*" == str(permission)
    assert "Permission('read:crm/customers/*')" == repr(permission)
    assert permission == Permission.build("read", "crm/customers/*") == Permission("read", permission.resource)


def test_the_first_colon_ends_the_action():
    assert (
        ResourcePattern.parse("https://acme.example:8443/x")
        == Permission.parse("read:https://acme.example:8443/x").resource
    )
    assert ("", "", "", "crm", "write:x") == Permission.parse("read:crm/write:x").resource.parts


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("read", "the action is missing"),
        ("", "the action is missing"),
        ("read:", "it is empty"),
        ("read:crm/**/x", "only at the end"),
        ("read:crm/x where {", "not JSON"),
        ('read:crm/x where {"a": 1} or 2', "not JSON"),
        ("read:crm/x where " + "{" * 10_000, "not JSON"),
        ("read:crm/x where {}", "nothing is constrained"),
        ('read:crm/x where {"a": 1}', "a table with one entry"),
        ('read:crm/x where {"a": {"at_mst": 1}}', "Did you mean `at_most`"),
        ('read:crm/x where {"a b": {"at_most": 1}}', "not an argument name: `a b`"),
        ('read:crm/x where {"a": {"at_most": 1}, "a": {"at_most": 9}}', "stands twice"),
        ('read:crm/x where {"a": {"at_most": 1, "at_most": 9}}', "stands twice"),
        ('read:crm/x where {"a": {"at_most": NaN}}', "63 bits"),
        ('read:crm/x where {"a": {"exactly": Infinity}}', "63 bits"),
        ('read:crm/x where {"a": {"exactly": ' + "9" * 5000 + "}}", "not JSON"),
        ('read:crm/x where {"a": {"exactly": "\\ud800"}}', "half a character"),
        ("read:crm/x where {" + " " * 100_000 + "}", "longer than 65536 characters"),
        (5, "it must be text"),
        (None, "it must be text"),
        (b"read:crm/x", "it must be text"),
    ],
)
def test_a_permission_that_is_refused_says_why(text, why):
    with pytest.raises(ConfigurationError, match=why):
        Permission.parse(text)


@pytest.mark.parametrize(
    ("action", "resource", "constraints", "why"),
    [
        ("raed", "crm/x", None, "Did you mean `read`"),
        ("read", "crm//x", None, "a segment is empty"),
        ("read", 5, None, "it must be text"),
        ("read", "crm/x", {"a": {"at_mst": 1}}, "Did you mean `at_most`"),
        ("read", "crm/x", {"a": 5}, "a table with one entry"),
        ("read", "crm/x", {"a b": {"at_most": 1}}, "not an argument name"),
        ("read", "crm/x", {5: {"at_most": 1}}, "not an argument name"),
        ("read", "crm/x", [("a", {"at_most": 1})], "by argument name"),
        ("read", "crm/x", "amount", "by argument name"),
        ("read", "crm/x", {f"a{i}": {"at_most": 1} for i in range(33)}, "at most 32"),
        (
            "read",
            "crm/x",
            {f"a{i}": {"one_of": list(range(300))} for i in range(4)},
            "together they are larger than 1024",
        ),
        ("read", "crm/x", {"a" * 70_000: {"at_most": 1}}, "is too long"),
        ("read", "crm/x", {"a": {"one_of": ["\x01" * 4000, "\x02" * 4000, "\x03" * 4000]}}, "is too long"),
    ],
)
def test_parts_that_make_no_permission_are_refused(action, resource, constraints, why):
    with pytest.raises(ConfigurationError, match=why):
        Permission.build(action, resource, constraints)


def test_a_permission_is_made_of_a_pattern_not_of_text():
    with pytest.raises(ConfigurationError, match=r"not a ResourcePattern: `str`. Make one with ResourcePattern.parse"):
        Permission("read", "crm/x")


def test_a_permission_has_up_to_32_constraints_of_1024_in_all_and_65536_characters():
    """Each limit is the last that is allowed."""
    many = Permission.build("read", "crm/x", {f"a{i}": {"exactly": 1} for i in range(32)})
    large = Permission.build("read", "crm/x", {"a": {"one_of": [*range(400)]}, "b": {"one_of": [*range(592)]}})
    long = len("read:x where {'': {'exactly': 1}}")
    longest = Permission.build("read", "x", {"a" * (65536 - long): {"exactly": 1}})

    assert 1024 == sum(constraint.size for constraint in large.constraints.values())
    assert 65536 == len(str(longest))
    for permission in (many, large, longest):
        assert permission == Permission.parse(str(permission))
    with pytest.raises(ConfigurationError, match="too long"):
        Permission.build("read", "x", {"a" * (65537 - long): {"exactly": 1}})
    with pytest.raises(ConfigurationError, match="larger than 1024"):
        large.where(c=exactly(1))


def test_the_largest_permission_reads_back():
    """Whatever can be made can be written and read again."""
    large = Permission.build(
        "read", "crm/" + "x" * 4000, {"a": {"one_of": ["\u00e9" * 4000 + str(i) for i in range(9)]}}
    )

    assert large == Permission.parse(str(large))


# --- constraints ----------------------------------------------------------------------------------


def test_where_narrows_by_argument():
    assert {"amount": at_most(100), "currency": one_of("EUR")} == dict(SMALL.constraints)
    assert TRANSFER.covers(SMALL)
    assert not SMALL.covers(TRANSFER)


def test_an_argument_that_was_constrained_must_satisfy_the_old_constraint_too():
    narrower = SMALL.where(amount=at_most(500))

    assert {"amount": all_of(at_most(100), at_most(500)), "currency": one_of("EUR")} == dict(narrower.constraints)
    assert SMALL.covers(narrower)
    assert not narrower.satisfied_by({"amount": 200, "currency": "EUR"})


def test_narrowing_again_and_again_does_not_nest():
    permission = TRANSFER
    for limit in range(50, 30, -1):
        permission = permission.where(amount=at_most(limit))

    assert 1 == permission.constraints["amount"].depth
    assert permission.satisfied_by({"amount": 31})
    assert not permission.satisfied_by({"amount": 32})


def test_narrowing_to_the_same_changes_nothing():
    assert SMALL == SMALL.where() == SMALL.where(amount=at_most(100)) == SMALL.where(amount=at_most(100.0))
    twice = SMALL.where(amount=at_least(1))
    assert twice == twice.where(amount=at_least(1))


def test_where_takes_constraints_and_nothing_else():
    for wrong in (100, "100", None, at_most, {"at_mst": 100}):
        with pytest.raises(ConfigurationError):
            TRANSFER.where(amount=wrong)
    with pytest.raises(ConfigurationError, match="not an argument name"):
        TRANSFER.where(**{"a b": at_most(1)})


def test_each_constrained_argument_must_be_there_and_allowed():
    cases = {
        True: [{"amount": 100, "currency": "EUR"}, {"amount": 1.5, "currency": "EUR", "other": object()}],
        False: [
            {},
            {"amount": 100},
            {"currency": "EUR"},
            {"amount": 101, "currency": "EUR"},
            {"amount": 100, "currency": "USD"},
            {"amount": None, "currency": "EUR"},
            {"amount": True, "currency": "EUR"},
            {"amount": "100", "currency": "EUR"},
        ],
    }

    for expected, calls in cases.items():
        for arguments in calls:
            assert expected is SMALL.satisfied_by(arguments)
            assert expected is SMALL.allows("write", PAYMENT, arguments)


def test_a_permission_allows_its_action_on_its_resources_only():
    arguments = {"amount": 5, "currency": "EUR"}

    assert SMALL.allows("write", PAYMENT, arguments)
    assert not SMALL.allows("read", PAYMENT, arguments)
    assert not SMALL.allows("write", Resource.parse("bank/accounts/t-1"), arguments)


def test_mere_text_is_no_resource_and_no_permission():
    with pytest.raises(ConfigurationError, match=r"not a Resource: `str`. Make one with Resource.parse"):
        TRANSFER.allows("write", "bank/transfers/t-1", {})
    with pytest.raises(ConfigurationError, match=r"not a Permission: `str`. Make one with Permission.parse"):
        TRANSFER.covers("write:bank/transfers/t-1")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (TRANSFER, TRANSFER, True),
        (SMALL, SMALL, True),
        (TRANSFER, SMALL, True),
        (SMALL, TRANSFER, False),
        (SMALL, SMALL.where(amount=at_most(50)), True),
        (SMALL, SMALL.where(reference=starts_with("x")), True),
        (SMALL, TRANSFER.where(amount=at_most(100)), False),
        (SMALL, TRANSFER.where(amount=at_most(500), currency=one_of("EUR")), False),
        (SMALL, TRANSFER.where(amount=between(1, 50), currency=exactly("EUR")), True),
        (SMALL, TRANSFER.where(amount=at_most(50), currency=none_of("USD")), False),
        (SMALL, TRANSFER.where(amount=contains(5), currency=one_of("EUR")), False),
        (SMALL, Permission.parse("write:bank/transfers/t-1").where(amount=at_most(1), currency=one_of("EUR")), True),
        (SMALL, Permission.parse("write:bank/**").where(amount=at_most(1), currency=one_of("EUR")), False),
    ],
)
def test_covering_includes_the_constraints(one, other, expected):
    assert expected is one.covers(other)


def test_a_permission_with_constraints_reads_back():
    text = 'write:bank/transfers/* where {"amount": {"at_most": 100}, "currency": {"one_of": ["EUR"]}}'

    assert text == str(SMALL)
    assert SMALL == Permission.parse(text)
    assert SMALL == Permission.build("write", "bank/transfers/*", SMALL.constraints_data())
    assert SMALL == Permission.build("write", "bank/transfers/*", json.loads(json.dumps(SMALL.constraints_data())))


def test_the_order_of_constraints_does_not_matter():
    other = TRANSFER.where(currency=one_of("EUR")).where(amount=at_most(100.0))

    assert SMALL == other
    assert hash(SMALL) == hash(other)
    assert str(SMALL) == str(other)


@pytest.mark.parametrize("value", ["a\nb", "a\u202eb", "a\u2028b", "a\u200bb", "\x7f"])
def test_a_permission_is_written_on_one_line_where_nothing_hides(value):
    permission = TRANSFER.where(reference=exactly(value))

    assert str(permission).replace("\x7f", "").isprintable()
    assert permission == Permission.parse(str(permission))


def test_ordinary_text_is_written_as_it_is():
    assert 'write:bank/transfers/* where {"reference": {"exactly": "Zoë"}}' == str(
        TRANSFER.where(reference=exactly("Zoë"))
    )


def test_a_permission_does_not_change():
    for name in ("action", "resource", "constraints", "other"):
        with pytest.raises(AttributeError):
            setattr(SMALL, name, None)
    with pytest.raises(AttributeError):
        del SMALL.constraints
    with pytest.raises(TypeError):
        SMALL.constraints["amount"] = at_most(10**6)
    with pytest.raises(TypeError):
        del SMALL.constraints["amount"]
    for change in ("clear", "pop", "update", "setdefault"):
        assert not hasattr(SMALL.constraints, change)


def test_a_permission_does_not_change_with_what_it_was_made_of():
    constraints, data = {"amount": at_most(100)}, {"amount": {"one_of": [1, 2]}}
    made, built = (
        Permission("write", TRANSFER.resource, constraints),
        Permission.build("write", "bank/transfers/*", data),
    )
    constraints["amount"] = at_most(10**6)
    data["amount"]["one_of"].append(10**6)
    built.constraints_data()["amount"]["one_of"].append(10**6)

    assert not made.satisfied_by({"amount": 10**6})
    assert not built.satisfied_by({"amount": 10**6})


@pytest.mark.parametrize("permission", [TRANSFER, SMALL], ids=["plain", "constrained"])
def test_a_permission_can_be_copied_and_sent_to_another_process(permission):
    for other in (copy.copy(permission), copy.deepcopy(permission), pickle.loads(pickle.dumps(permission))):
        assert permission == other
        assert hash(permission) == hash(other)
        assert str(permission) == str(other)


def test_a_permission_equals_nothing_but_permissions():
    assert TRANSFER != "write:bank/transfers/*"
    assert TRANSFER != SMALL
    assert TRANSFER != Permission.parse("read:bank/transfers/*")
    assert TRANSFER != Permission.parse("write:bank/*")


# --- lists of them --------------------------------------------------------------------------------


def test_a_list_holds_permissions_or_their_texts():
    assert (TRANSFER, SMALL) == permissions(["write:bank/transfers/*", SMALL], where="allow")
    assert () == permissions([], where="allow")
    assert (TRANSFER,) == permissions(iter([TRANSFER]), where="allow")


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ("read:crm/x", "`read:crm/x`"),
        (TRANSFER, "`write:bank/transfers/*`"),
        (b"read:crm/x", "`bytes`"),
        ({"read:crm/x": {"amount": {"at_most": 1}}}, "`dict`"),
        (None, "`NoneType`"),
        (pytest.param(10**5000, "`int`", id="huge")),
    ],
)
def test_a_lone_permission_where_a_list_is_wanted_is_refused(wrong, shown):
    """A text is a list of letters to Python, and a table would lose what stands beside its keys."""
    with pytest.raises(ConfigurationError) as raised:
        permissions(wrong, where="allow")

    assert f"[configuration.invalid] `allow` takes a list of permissions: it was given {shown}. Write allow=[…]" == str(
        raised.value
    )


@pytest.mark.parametrize("wrong", [None, 5, b"read:crm/x", ["read:crm/x"], "crm/x"])
def test_a_list_that_holds_something_else_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        permissions(["read:crm/x", wrong], where="allow")


@pytest.mark.parametrize(
    "text",
    [
        "read:" + "x" * 1_000_000,
        "x" * 1_000_000,
        ":" * 1_000_000,
        "read:crm/x where {" + '"a": ' * 10_000,
        'read:crm/x where {"a": ' + '{"all_of": [' * 4000 + "]}" * 4000 + "}",
        'read:crm/x where {"a": {"one_of": [' + "1," * 30_000 + "1]}}",
        'read:crm/x where {"a": {"any_of": [' + '{"exactly": 1},' * 4000 + '{"exactly": 1}]}}',
        "read:crm/x where {" + ",".join(f'"a{i}": {{"at_most": 1}}' for i in range(3000)) + "}",
        "read:" + "a" + "\u0327\u0301" * 30_000,
        "read:%" + "25" * 30_000,
    ],
    ids=["name", "action", "colons", "names", "deep", "values", "parts", "arguments", "accents", "encodings"],
)
def test_no_junk_takes_long_to_refuse(text):
    times = []
    for _ in range(3):
        start = time.process_time()
        with pytest.raises(ConfigurationError):
            Permission.parse(text)
        times.append(time.process_time() - start)

    assert min(times) < 0.1
