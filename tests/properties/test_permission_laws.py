"""
The laws of resources, patterns, constraints and permissions, tried on thousands of generated cases.

- What is written reads back.
- `covers` is reflexive, transitive and sound: whatever a covered one allows, its coverer allows.

Each law counts the cases that it is about, and fails if there were too few: a law about nothing always holds.
"""

from __future__ import annotations

import itertools
import json
import re
from functools import cache

import generated
import pytest
from generated import enough, tried
from hypothesis import event

from agentid.constraint import (
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
from agentid.permission import Permission
from agentid.resource import Resource, ResourcePattern

# --- resources and patterns -----------------------------------------------------------------------


def test_a_resource_reads_back():
    def law(rng, _):
        resource = generated.resource(rng)

        assert resource == Resource.parse(str(resource))
        assert str(resource) == str(Resource.parse(str(resource)))

    tried(3000, law)


def test_spellings_of_one_resource_are_equal():
    def law(rng, counted):
        resource = generated.resource(rng)
        text = generated.spelled(rng, resource)
        counted["otherwise"] += text != str(resource)

        assert resource == Resource.parse(text), f"{resource!r} as {text!r}"
        assert hash(resource) == hash(Resource.parse(text)), f"{resource!r} as {text!r}"
        assert ResourcePattern.exactly(resource) == ResourcePattern.parse(text), f"{resource!r} as {text!r}"

    assert {} == enough(tried(3000, law), otherwise=2000)


def test_a_pattern_reads_back():
    def law(rng, _):
        pattern = generated.pattern(rng)

        assert pattern == ResourcePattern.parse(str(pattern))
        assert str(pattern) == str(ResourcePattern.parse(str(pattern)))

    tried(3000, law)


def test_a_covered_pattern_matches_nothing_that_its_coverer_does_not():
    def law(rng, counted):
        one = generated.pattern(rng)
        other = generated.inside_pattern(rng, one) if rng.random() < 0.8 else generated.pattern(rng)
        resource = generated.inside(rng, other)
        counted["covered" if one.covers(other) else "not"] += 1
        counted["different"] += one.covers(other) and one != other

        assert one.covers(one), f"{one!r} {other!r} {resource!r}"
        assert other.matches(resource), f"{one!r} {other!r} {resource!r}"
        assert one.matches(resource) == one.covers(ResourcePattern.exactly(resource)), f"{one!r} {other!r} {resource!r}"
        assert one.matches(resource) or not one.covers(other), f"{one!r} {other!r} {resource!r}"

    assert {} == enough(tried(4000, law), covered=1500, different=1000, **{"not": 500})


def test_covering_of_patterns_is_transitive():
    def law(rng, counted):
        one = generated.pattern(rng)
        two = generated.inside_pattern(rng, one)
        three = generated.inside_pattern(rng, two)
        if one.covers(two) and two.covers(three):
            counted["chain"] += len({one, two, three}) == 3

            assert one.covers(three), f"{one!r} {two!r} {three!r}"

    assert {} == enough(tried(3000, law), chain=1000)


# An oracle of its own: a regular expression for each pattern, and each text over three letters that can tell two
# patterns apart. `c` stands in no pattern, so it is what a star may be and nothing else is.
WORDS = sorted({p + m + s for p in ("", "a", "b") for m in ("", "c") for s in ("", "a", "b")} - {""})
TEXTS = ["/".join(words) for depth in (1, 2, 3) for words in itertools.product(WORDS, repeat=depth)]
TEXTS += [text + "/c" for text in TEXTS if text.count("/") == 2]
SEGMENTS = ["a", "b", "ab", "*", "a*", "b*", "*a", "*b", "a*a", "a*b", "b*a"]


@cache
def matched(text):
    """The texts that a pattern matches, as the bits of one number."""
    parts = {"*": "[^/]+", "**": "[^/]+(/[^/]+)*"}
    expression = re.compile("/".join(parts.get(part, part.replace("*", "[^/]*")) for part in text.split("/")))
    return sum(1 << number for number, candidate in enumerate(TEXTS) if expression.fullmatch(candidate))


def test_covering_of_patterns_is_inclusion_for_each_pair_of_short_ones():
    """Exactly: covered if and only if nothing that the other matches is left out."""
    few = ["a", "ab", "*", "a*", "*a", "a*b"]
    texts = ["/".join(parts) for depth in (1, 2) for parts in itertools.product(few, repeat=depth)]
    texts += ["**", *(f"{text}/**" for text in texts)]
    read = {text: ResourcePattern.parse(text) for text in texts}
    covered = {(a, b) for a in texts for b in texts if read[a].covers(read[b])}

    assert covered == {(a, b) for a in texts for b in texts if not matched(b) & ~matched(a)}
    assert (7225, 821) == (len(texts) ** 2, len(covered))


def test_covering_of_patterns_is_inclusion_for_longer_ones():
    def law(rng, counted):
        parts = rng.choices(SEGMENTS, k=rng.randint(1, 3))
        one = "/".join([*parts[:2], "**"] if rng.random() < 0.5 else parts)
        filled = [part.replace("*", rng.choice(["*", "a", "c", "*b", "a*"])) for part in parts]
        other = "/".join([*filled[:2], rng.choice(["**", "a", "*/**"])] if rng.random() < 0.5 else filled)
        if other.count("/") > 2 or not set(other.split("/")) <= {*SEGMENTS, "**"}:
            other = "/".join(rng.choices(SEGMENTS, k=rng.randint(1, 3)))
        covered = ResourcePattern.parse(one).covers(ResourcePattern.parse(other))
        counted["covered" if covered else "not"] += 1

        assert covered == (not matched(other) & ~matched(one)), f"{one} {other}"

    assert {} == enough(tried(1000, law), covered=150, **{"not": 150})


def test_matching_is_that_of_a_regular_expression():
    for text in ("a", "*", "a*", "*/a", "a*b/*", "**", "a/**", "*/b*/**"):
        pattern = ResourcePattern.parse(text)

        assert [bool(matched(text) >> number & 1) for number in range(len(TEXTS))] == [
            pattern.matches(Resource.parse(candidate)) for candidate in TEXTS
        ]


# --- constraints ----------------------------------------------------------------------------------


def test_a_constraint_reads_back():
    def law(rng, _):
        constraint = generated.constraint(rng)

        assert constraint == from_data(constraint.to_data())
        assert constraint == from_data(json.loads(json.dumps(constraint.to_data())))
        assert hash(constraint) == hash(from_data(constraint.to_data()))
        assert constraint.covers(constraint)

    tried(3000, law)


def test_a_covered_constraint_allows_nothing_that_its_coverer_does_not():
    def law(rng, counted):
        one = generated.constraint(rng)
        other = generated.inside_constraint(rng, one)
        covered = one.covers(other)
        counted["covered" if covered else "not"] += 1
        event(f"{one.kind} covers {other.kind}: {covered}")
        if covered:
            allowed = [value for value in generated.near(one, other) if other.allows(value)]
            counted[one.kind] += bool(allowed) and one != other

            assert [] == [value for value in allowed if not one.allows(value)], f"{one!r} {other!r}"

    counted = tried(6000, law)

    assert {} == enough(counted, covered=1500, **{"not": 300}, **dict.fromkeys(generated.KINDS, 60))


def test_covering_of_constraints_is_transitive():
    def law(rng, counted):
        one = generated.constraint(rng)
        two = generated.inside_constraint(rng, one)
        three = generated.inside_constraint(rng, two)
        if one.covers(two) and two.covers(three):
            counted["chain"] += len({one, two, three}) == 3
            counted["nested"] += min(one.depth, two.depth, three.depth) > 0

            assert one.covers(three), f"{one!r} {two!r} {three!r}"

    assert {} == enough(tried(6000, law), chain=2500, nested=500)


ATOMS = [
    exactly(1),
    exactly("ab"),
    one_of(1, "ab"),
    one_of(1, 2.0),
    one_of("a", "crm/a"),
    none_of(1),
    none_of("ab", 2),
    at_most(1),
    at_most(2),
    at_least(1),
    between(1, 2),
    starts_with("a"),
    starts_with("crm/"),
    ends_with("b"),
    matches_resource("crm/*"),
    matches_resource("crm/a"),
    subset_of("a", 1),
    subset_of("a"),
    contains("a"),
    contains("a", 1),
]


@pytest.mark.slow
def test_covering_of_constraints_is_sound_and_transitive_on_each_triple_of_small_ones():
    """No luck needed: several hundred constraints, nested up to three deep, each against each against each."""
    pairs = [make(*pair) for make in (all_of, any_of) for pair in itertools.combinations(ATOMS, 2)]
    nested = [make(pairs[i], ATOMS[i % 20]) for make in (all_of, any_of) for i in range(0, len(pairs), 7)]
    nested += [make(pairs[i], pairs[-1 - i]) for make in (all_of, any_of) for i in range(0, len(pairs), 11)]
    everything = [*ATOMS, *pairs, *nested]
    values = generated.near(*ATOMS)
    allowed = [sum(1 << bit for bit, value in enumerate(values) if c.allows(value)) for c in everything]
    covered = [sum(1 << bit for bit, other in enumerate(everything) if one.covers(other)) for one in everything]
    below = [[bit for bit in range(len(everything)) if row >> bit & 1] for row in covered]

    assert len(everything) > 500
    assert sum(map(len, below)) > 20_000
    assert [] == [i for i, row in enumerate(covered) if not row >> i & 1]
    assert [] == [(i, j) for i, row in enumerate(below) for j in row if allowed[j] & ~allowed[i]]
    assert [] == [(i, j) for i, row in enumerate(below) for j in row if covered[j] & ~covered[i]]


# --- permissions ----------------------------------------------------------------------------------


def test_a_permission_reads_back():
    def law(rng, _):
        permission = generated.permission(rng)

        assert permission == Permission.parse(str(permission))
        assert hash(permission) == hash(Permission.parse(str(permission)))
        assert permission == Permission.build(
            permission.action, str(permission.resource), permission.constraints_data()
        )
        assert permission.covers(permission)
        assert str(permission).isprintable()

    tried(3000, law)


def test_a_covered_permission_allows_nothing_that_its_coverer_does_not():
    def law(rng, counted):
        one = generated.permission(rng)
        other = generated.inside_permission(rng, one)
        resource, arguments = generated.inside(rng, other.resource), generated.arguments(rng, one, other)
        counted["covered" if one.covers(other) else "not"] += 1
        if one.covers(other) and other.allows(other.action, resource, arguments):
            counted["allowed"] += one != other

            assert one.allows(other.action, resource, arguments), f"{one!r} {other!r} {resource!r} {arguments!r}"

    assert {} == enough(tried(4000, law), covered=1500, allowed=700, **{"not": 300})


def test_covering_of_permissions_is_transitive():
    def law(rng, counted):
        one = generated.permission(rng)
        two = generated.inside_permission(rng, one)
        three = generated.inside_permission(rng, two)
        if one.covers(two) and two.covers(three):
            counted["chain"] += len({one, two, three}) == 3

            assert one.covers(three), f"{one!r} {two!r} {three!r}"

    assert {} == enough(tried(3000, law), chain=800)


def test_where_only_narrows():
    def law(rng, counted):
        one = generated.permission(rng)
        wanted = {name: generated.constraint(rng) for name in rng.sample(generated.PARAMETERS, rng.randint(0, 2))}
        other = one.where(**wanted)
        arguments = generated.arguments(rng, one, other)
        counted["satisfied" if other.satisfied_by(arguments) else "not"] += 1
        counted["twice"] += bool(set(wanted) & set(one.constraints))

        assert one.covers(other), f"{one!r} {wanted!r} {arguments!r}"
        if other.satisfied_by(arguments):
            assert one.satisfied_by(arguments), f"{one!r} {wanted!r} {arguments!r}"
            assert all(name in arguments and c.allows(arguments[name]) for name, c in wanted.items()), (
                f"{one!r} {wanted!r} {arguments!r}"
            )

    assert {} == enough(tried(3000, law), satisfied=700, twice=500, **{"not": 300})
