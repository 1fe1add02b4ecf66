"""Constraints, sentence by sentence; the vectors are in `conformance/constraints.json`."""

from __future__ import annotations

import copy
import enum
import json
import pickle
import sys
import time
from decimal import Decimal

import pytest

from agentid.constraint import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_SIZE,
    Constraint,
    all_of,
    any_of,
    at_least,
    at_most,
    between,
    contains,
    ends_with,
    exactly,
    from_data,
    matches_resource,
    none_of,
    one_of,
    starts_with,
    subset_of,
)
from agentid.errors import ConfigurationError
from agentid.resource import ResourcePattern

EACH = [
    exactly("EUR"),
    one_of("EUR", 1, 1.5, True, None),
    none_of("EUR", 1),
    at_most(100),
    at_least(0.5),
    between(-1, 5),
    starts_with("EU"),
    ends_with("R"),
    matches_resource("https://*.acme.example/**"),
    subset_of("a", "b"),
    contains("a", 2),
    all_of(at_least(1), at_most(5)),
    any_of(exactly("all"), at_most(5), all_of(starts_with("a"), ends_with("b"))),
]
ODD = [
    None,
    True,
    1,
    1.5,
    "EUR",
    "",
    b"EUR",
    [],
    ["a"],
    ("a", 2),
    {"a"},
    {"a": 1},
    object(),
    Decimal(1),
    float("nan"),
    10**30,
]

each = pytest.mark.parametrize("constraint", EACH, ids=[constraint.kind for constraint in EACH])


SOON = 0.1 if sys.gettrace() is None else 1.0  # seconds; under coverage everything takes several times as long


def took(call):
    """The best of three, in seconds: the machine may be busy with something else."""
    times = []
    for _ in range(3):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def nested(depth):
    data = {"at_most": 1}
    for _ in range(depth):
        data = {"all_of": [data]}
    return data


def test_there_are_thirteen_kinds():
    assert 13 == len({constraint.kind for constraint in EACH})


@each
def test_a_constraint_reads_back_from_json(constraint):
    assert constraint == from_data(constraint.to_data())
    assert constraint == from_data(json.loads(json.dumps(constraint.to_data())))
    assert [constraint.kind] == list(constraint.to_data())


@each
def test_a_constraint_is_written_as_it_was_made(constraint):
    made = {name: value for name, value in globals().items() if name in {c.kind for c in EACH}}

    assert constraint == eval(repr(constraint), {**made, "ResourcePattern": ResourcePattern.parse})


@each
def test_a_constraint_covers_itself(constraint):
    assert constraint.covers(constraint)
    assert constraint.covers(from_data(constraint.to_data()))


@each
def test_a_constraint_can_be_copied_and_sent_to_another_process(constraint):
    for other in (copy.copy(constraint), copy.deepcopy(constraint), pickle.loads(pickle.dumps(constraint))):
        assert constraint == other
        assert hash(constraint) == hash(other)


@each
def test_a_constraint_does_not_change(constraint):
    for name in ("kind", "operands", "members", "other"):
        with pytest.raises(AttributeError):
            setattr(constraint, name, ())
    with pytest.raises(AttributeError):
        del constraint.operands


@each
@pytest.mark.parametrize("value", ODD, ids=[str(number) for number in range(len(ODD))])
def test_judging_a_value_never_raises(constraint, value):
    assert constraint.allows(value) in {True, False}


@each
def test_a_value_of_no_known_type_satisfies_nothing(constraint):
    """An object may lie about what it is, so it is neither compared nor asked."""

    class Liar(str):
        __slots__ = ()

        def __eq__(self, other):
            return True

        def __hash__(self):
            return hash("EUR")

        def startswith(self, *args):
            return True

        endswith = startswith

    class Number(int):
        def __le__(self, other):
            return True

        __ge__ = __le__

    class Things(list):
        def __iter__(self):
            return iter(["a", 2])

    class Currency(str, enum.Enum):
        EUR = "EUR"

    for value in (Liar("EUR"), Number(1), Things(["x"]), Currency.EUR, object(), b"EUR", {"EUR": 1}, [Liar("a")]):
        assert not constraint.allows(value)


def test_comparison_is_by_type_and_value():
    """`True` is not `1`, and `1` is not `1.0`."""
    values = [1, True, 1.0, "1", 0, False, None, ""]

    assert [[a is b for b in values] for a in values] == [[exactly(a).allows(b) for b in values] for a in values]
    assert [[a is b for b in values] for a in values] == [[one_of(a).allows(b) for b in values] for a in values]
    assert [[a is not b for b in values] for a in values] == [[none_of(a).allows(b) for b in values] for a in values]
    assert [[a is b for b in values] for a in values] == [[subset_of(a).allows([b]) for b in values] for a in values]
    assert [[a is b for b in values] for a in values] == [[contains(a).allows([b]) for b in values] for a in values]
    assert [[a is b for b in values] for a in values] == [[exactly(a) == exactly(b) for b in values] for a in values]
    assert [[a is b for b in values] for a in values] == [
        [exactly(a).covers(exactly(b)) for b in values] for a in values
    ]


@pytest.mark.parametrize("limit", [100, 100.0])
def test_ranges_take_all_numbers_and_nothing_else(limit):
    allowed = [100, 99.5, Decimal("99.99"), -(10**30), float("-inf")]
    refused = [
        101,
        100.5,
        Decimal("100.01"),
        10**30,
        float("inf"),
        float("nan"),
        Decimal("NaN"),
        Decimal("sNaN"),
        True,
        False,
        "5",
        None,
        [5],
        5j,
    ]

    assert [True] * len(allowed) == [at_most(limit).allows(value) for value in allowed]
    assert [False] * len(refused) == [at_most(limit).allows(value) for value in refused]
    assert [False] * 5 == [at_least(-limit).allows(value) for value in (float("nan"), True, "5", None, -100.5)]
    assert [True, True, False, False] == [between(-limit, limit).allows(value) for value in (-100, 100.0, 100.5, True)]


def test_the_ends_of_a_range_are_exact():
    """Neither rounded nor cut."""
    steps = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]

    assert [1.5 >= step for step in steps] == [at_most(1.5).allows(step) for step in steps]
    assert [step >= 0.5 for step in steps] == [at_least(0.5).allows(step) for step in steps]
    assert [1.5 >= step >= 0.5 for step in steps] == [between(0.5, 1.5).allows(step) for step in steps]
    assert {"between": [0.5, 1.5]} == between(0.5, 1.5).to_data()


def test_ranges_that_say_the_same_are_equal_and_look_alike():
    for one, other in (
        (at_most(100), at_most(100.0)),
        (at_least(0), at_least(-0.0)),
        (between(1, 5), between(1.0, 5.0)),
        (exactly(0.0), exactly(-0.0)),
    ):
        assert one == other
        assert hash(one) == hash(other)
        assert repr(one) == repr(other)
        assert one.covers(other)
        assert other.covers(one)


@pytest.mark.parametrize(
    "value", [2**63, -(2**63), 10**5000, 1e19, float("inf"), float("-inf"), float("nan")], ids=list("abcdefg")
)
def test_numbers_that_json_may_lose_are_refused(value):
    for make in (exactly, one_of, none_of, at_most, at_least, subset_of, contains, lambda v: between(0, v)):
        with pytest.raises(ConfigurationError, match="63 bits"):
            make(value)


def test_large_numbers_keep_each_digit():
    largest = 2**63 - 1

    assert exactly(largest) == from_data(json.loads(json.dumps(exactly(largest).to_data())))
    assert at_most(largest).allows(largest)
    assert not at_most(largest - 1).allows(largest)
    assert not exactly(2**53).allows(2**53 + 1)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: exactly([1]), "is not text, a number"),
        (lambda: exactly(Decimal(1)), "is not text, a number"),
        (lambda: exactly(b"a"), "is not text, a number"),
        (one_of, "at least one value"),
        (none_of, "at least one value"),
        (subset_of, "at least one value"),
        (contains, "at least one value"),
        (lambda: one_of("a", ["b"]), "is not text, a number"),
        (lambda: at_most("5"), "it takes a whole or floating-point number"),
        (lambda: at_most(True), "it takes a whole or floating-point number"),
        (lambda: at_most(None), "it takes a whole or floating-point number"),
        (lambda: at_least("5"), "it takes a whole or floating-point number"),
        (lambda: between(1, "5"), "it takes a whole or floating-point number"),
        (lambda: between(True, 5), "it takes a whole or floating-point number"),
        (lambda: between(5, 1), "the lower bound comes first"),
        (lambda: starts_with(""), "text of 1 to 4096 characters"),
        (lambda: ends_with(""), "text of 1 to 4096 characters"),
        (lambda: starts_with(5), "text of 1 to 4096 characters"),
        (lambda: starts_with("x" * 4097), "text of 1 to 4096 characters"),
        (lambda: exactly("x" * 4097), "text of 1 to 4096 characters"),
        (lambda: exactly("\U0001d160" * 4096), "text of 1 to 4096 characters"),
        (lambda: exactly("\ud800"), "half a character"),
        (lambda: matches_resource("crm//x"), "not a resource pattern"),
        (lambda: matches_resource(5), "not a resource pattern"),
        (all_of, "one or more constraints"),
        (any_of, "one or more constraints"),
        (lambda: all_of(5), "one or more constraints"),
        (lambda: any_of(at_most(1), {"at_most": 1}), "one or more constraints"),
    ],
)
def test_a_constraint_that_makes_no_sense_is_refused_when_made(make, why):
    with pytest.raises(ConfigurationError, match=why):
        make()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"at_mst": 5}, r"unknown constraint `at_mst`. Did you mean `at_most`\?"),
        ({"less_than": 5}, "Use one of `all_of`, `any_of`"),
        ({"at_most": 5, "at_least": 1}, "a table with one entry"),
        ({}, "a table with one entry"),
        (5, "a table with one entry"),
        (pytest.param(10**5000, "a table with one entry", id="huge")),
        ("at_most", "a table with one entry"),
        ([{"at_most": 5}], "a table with one entry"),
        ({5: 5}, "it must be text"),
        ({"one_of": "EUR"}, "it takes a list"),
        ({"one_of": {"EUR": 1}}, "it takes a list"),
        ({"all_of": {"at_most": 1}}, "it takes a list"),
        ({"between": [1]}, "a lower and an upper bound"),
        ({"between": [1, 2, 3]}, "a lower and an upper bound"),
        ({"one_of": [()]}, "is not text, a number"),
        pytest.param({"exactly": 10**5000}, "63 bits", id="huge value"),
        pytest.param({"any_of": [{"between": [0, 10**5000]}]}, "63 bits", id="huge bound"),
        ({"any_of": [5]}, "a table with one entry"),
    ],
)
def test_what_is_unknown_is_an_error_when_loaded(data, why):
    """Nothing is ever ignored, and a wrong word is answered with the nearest right one."""
    with pytest.raises(ConfigurationError, match=why):
        from_data(data)


def test_a_kind_that_is_text_of_another_class_counts_as_the_text_it_holds():
    class Word(str):
        __slots__ = ()

    assert at_most(5) == from_data({Word("at_most"): 5})


def test_constraints_nest_at_most_eight_deep():
    assert MAX_DEPTH == from_data(nested(MAX_DEPTH)).depth
    with pytest.raises(ConfigurationError, match="at most 8 deep"):
        from_data(nested(MAX_DEPTH + 1))
    with pytest.raises(ConfigurationError, match="at most 8 deep"):
        all_of(from_data(nested(MAX_DEPTH)))
    with pytest.raises(ConfigurationError, match="at most 8 deep"):
        from_data(nested(100_000))


@pytest.mark.parametrize(
    "make",
    [
        lambda: one_of(*range(1009)),
        lambda: from_data({"one_of": list(range(1009))}),
        lambda: any_of(*[at_most(1)] * 64),
        lambda: any_of(one_of(*range(500)), one_of(*range(500))),
        lambda: one_of(*["x" * 4000 + str(i) for i in range(11)]),
        lambda: any_of(*[matches_resource("crm/" + "x" * 4000)] * 11),
    ],
    ids=["values", "read", "parts", "nested", "text", "patterns"],
)
def test_a_constraint_is_bounded_in_size(make):
    with pytest.raises(ConfigurationError, match="larger than 1024"):
        make()


def test_text_of_4096_characters_is_the_longest():
    longest = "x" * 4096

    for make in (exactly, one_of, starts_with, ends_with):
        assert make(longest).allows(longest)
        with pytest.raises(ConfigurationError, match="text of 1 to 4096 characters"):
            make(longest + "x")


def test_a_constraint_holds_a_thousand_values_or_fifty_parts():
    thousand, fifty = one_of(*range(1008)), any_of(*(starts_with(f"{i:02d}") for i in range(50)))

    assert MAX_SIZE == thousand.size
    assert thousand == from_data(thousand.to_data())
    assert thousand.allows(999)
    assert fifty.allows("49")
    assert fifty == from_data(fifty.to_data())


@pytest.mark.parametrize(
    "data",
    [
        {"one_of": [1] * 1_000_000},
        {"any_of": [{"exactly": 1}] * 1_000_000},
        {"one_of": ["x" + "\u0327\u0301" * 15 for _ in range(100_000)]},
        {"one_of": [("x" + "\u0327\u0301" * 15) * 130 for _ in range(1000)]},
        {"exactly": "a\u0301" * 500_000},
        {"starts_with": "x" * 1_000_000},
        {"matches_resource": "x/" * 500_000},
        {"x" * 1_000_000: 1},
    ],
    ids=["values", "parts", "accents", "long accents", "long text", "long prefix", "long pattern", "long kind"],
)
def test_no_junk_takes_long_to_refuse(data):
    def refuse():
        with pytest.raises(ConfigurationError):
            from_data(data)

    assert took(refuse) < SOON


def test_junk_that_repeats_a_part_in_itself_is_refused_at_once():
    """A table in memory may hold one list many times, so that reading it all would never end."""
    data = {"at_most": 1}
    for _ in range(7):
        data = {"any_of": [data] * 1000}

    with pytest.raises(ConfigurationError, match="larger than 1024"):
        from_data(data)


@pytest.mark.parametrize(
    ("constraint", "value"),
    [
        (starts_with("x"), "a\u0301" * 500_000),
        (starts_with("x"), "x" + "\u0327\u0301" * 500_000),
        (none_of("x"), "x" + "\u0327\u0301" * 500_000),
        (matches_resource("crm/**"), "crm/" + "x/" * 500_000),
        (subset_of("x"), ["x"] * 1_000_000),
        (contains("x"), ["x", *["a\u0301" * 2000] * 5000]),
        (any_of(*[matches_resource(f"crm/x{i}/**") for i in range(50)]), "crm/" + "x/" * 2000 + "x"),
    ],
    ids=["long", "accents", "none of accents", "segments", "elements", "long elements", "many patterns"],
)
def test_no_value_takes_long_to_judge(constraint, value):
    assert took(lambda: constraint.allows(value)) < SOON
    assert not constraint.allows(value)


def test_a_list_that_is_too_long_to_look_through_is_not_allowed():
    assert subset_of("a").allows(["a"] * MAX_ELEMENTS)
    assert not subset_of("a").allows(["a"] * (MAX_ELEMENTS + 1))
    assert not contains("a").allows(["a"] * (MAX_ELEMENTS + 1))


def test_long_text_is_judged_when_it_needs_no_normalising():
    assert starts_with("Grüße").allows("Grüße" + "ä" * 1_000_000)
    assert ends_with("x").allows("a" * 1_000_000 + "x")


def test_text_is_compared_in_nfc():
    for constraint in (exactly("caf\u00e9"), one_of("cafe\u0301"), starts_with("caf\u00e9"), ends_with("e\u0301")):
        assert constraint.allows("caf\u00e9")
        assert constraint.allows("cafe\u0301")
    assert not none_of("caf\u00e9").allows("cafe\u0301")
    assert subset_of("caf\u00e9").allows(["cafe\u0301"])
    assert not exactly("caf\u00e9").allows("cafe")


def test_collections_are_lists_tuples_and_sets():
    for values in (["a"], ("a",), {"a"}, frozenset({"a"})):
        assert subset_of("a", "b").allows(values)
        assert contains("a").allows(values)
    for value in ("a", b"a", {"a": 1}, (v for v in "a"), None, 5):
        assert not subset_of("a", "b").allows(value)
        assert not contains("a").allows(value)


def test_none_of_allows_single_values_only():
    """A list of excluded values is not "another value"."""
    for value in ("b", "", 5, 5.5, True, None, Decimal(5)):
        assert none_of("a").allows(value)
    for value in (["a"], ("a",), {"a"}, {"a": 1}, [], b"a", object(), float("nan")):
        assert not none_of("a").allows(value)


def test_a_resource_in_an_argument_is_read_before_it_is_matched():
    inside = matches_resource("https://*.acme.example/v1/**")

    assert inside.allows("https://api.acme.example/v1/charges")
    assert inside.allows("HTTPS://API.ACME.example:443/v1/%63harges")
    for value in (
        "https://api.acme.example/v1/../admin",
        "https://api.acme.example/v1/%2e%2e/admin",
        "https://api.acme.example.evil.example/v1/x",
        "https://api.acme.example@evil.example/v1/x",
        "https://evil.example/v1/x",
        "https://api.acme.example/v1/x\n",
        "https://api.acme.example/v1",
    ):
        assert not inside.allows(value)


def test_an_undecidable_pair_is_not_covered():
    assert not starts_with("crm/").covers(matches_resource("crm/**"))
    assert not matches_resource("crm/**").covers(starts_with("crm/"))
    assert not subset_of("a").covers(contains("a"))
    assert not starts_with("a").covers(ends_with("a"))


def test_a_range_is_what_lies_above_one_end_and_below_the_other():
    assert between(1, 9).covers(all_of(at_least(1), at_most(9)))
    assert all_of(at_least(1), at_most(9)).covers(between(1, 9))
    assert between(0, 10).covers(all_of(between(0, 20), at_most(5)))
    assert at_most(9).covers(between(1, 9))
    assert not between(1, 9).covers(at_most(9))
    assert not between(1, 9).covers(all_of(at_least(0), at_most(9)))


def test_a_list_is_not_covered_by_anything_but_some_values():
    """`none_of` allows no list, so what allows lists is not inside it."""
    assert none_of("a").covers(starts_with("b"))
    assert none_of("a").covers(any_of(exactly("b"), at_most(5)))
    assert none_of("a").covers(all_of(contains("b"), starts_with("b")))
    assert not none_of("a").covers(contains("b"))
    assert not none_of("a").covers(subset_of("b"))
    assert not none_of("a").covers(any_of(exactly("b"), subset_of("b")))


def largest(make, count, *more):
    return any_of(*(make(f"{i:02d}") for i in range(count)), *more)


def ladder(first, second, leaf):
    constraint = leaf(0)
    for level in range(MAX_DEPTH):
        constraint = (first if level % 2 else second)(constraint, *(leaf(5 * level + i) for i in range(1, 5)))
    return constraint


PREFIX = "/".join("abcdefghijklmnopqr")
WORST = {
    "union in union": (largest(starts_with, 56), largest(lambda t: starts_with("x" + t), 56)),
    "intersection in union": (largest(starts_with, 56), all_of(*(starts_with(f"x{i}") for i in range(56)))),
    "ranges": (
        any_of(*(between(i, i + 1) for i in range(50))),
        all_of(*(between(-i, 100) for i in range(50))),
    ),
    "values in union": (largest(starts_with, 55, starts_with("z")), one_of(*(f"z{i}" for i in range(1000)))),
    "resources in union": (
        largest(lambda t: matches_resource(f"{PREFIX}/{t}/**"), 54, matches_resource("**")),
        one_of(*(f"{PREFIX}/{chr(0x4E00 + i)}" for i in range(1000))),
    ),
    "patterns in union": (
        any_of(*(matches_resource("*/" * 950 + f"{i}") for i in range(10))),
        any_of(*(matches_resource("*/" * 950 + f"x{i}") for i in range(10))),
    ),
    "anything but many": (
        any_of(*(none_of(*(f"{i}-{j}" for j in range(14))) for i in range(30))),
        all_of(*(any_of(starts_with(f"{i}"), starts_with(f"{i}-")) for i in range(18))),
    ),
    "values in each level": (
        ladder(all_of, any_of, lambda i: none_of(f"x{i}")),
        all_of(one_of(*(f"z{i}" for i in range(900)), "x7"), starts_with("z")),
    ),
    "ladder": (ladder(any_of, all_of, at_most), ladder(all_of, any_of, lambda i: at_most(100 - i))),
    "ladder, other way": (
        ladder(all_of, any_of, at_most),
        ladder(any_of, all_of, lambda i: at_most(100 - i)),
    ),
    "ladder of values": (
        ladder(any_of, all_of, lambda i: one_of(*range(i, i + 8))),
        ladder(all_of, any_of, lambda i: one_of(*range(40 - i, 48 - i))),
    ),
}


@pytest.mark.parametrize("pair", WORST.values(), ids=WORST.keys())
def test_no_comparison_takes_long(pair):
    """Each answer is remembered, and the size of a constraint is bounded."""
    one, other = pair

    assert took(lambda: one.covers(other)) < SOON
    assert took(lambda: other.covers(one)) < SOON
    assert one.covers(one)
    assert other.covers(other)


def alternating(doubled, first, leaf):
    """Unions and intersections in turn, eight deep, with a part twice at the levels that are bits of *doubled*."""
    data = leaf.to_data()
    for level in range(MAX_DEPTH):
        kind = ("any_of", "all_of")[(level + first) % 2]
        data = {kind: [data, data] if doubled >> level & 1 else [data]}
    return from_data(data)


def test_nesting_does_not_multiply_the_work():
    """Asked about each pair of parts once, this takes a millisecond; asked over and over, a hundred times that."""
    one, other = alternating(0b10101010, 1, at_most(0)), alternating(0b10101000, 0, at_most(2))

    assert not one.covers(other)
    assert took(lambda: one.covers(other)) < SOON / 10


def test_a_constraint_equals_nothing_but_constraints():
    assert at_most(5) != 5
    assert at_most(5) != at_least(5)
    assert at_most(5) != {"at_most": 5}
    assert isinstance(from_data(at_most(5)), Constraint)
