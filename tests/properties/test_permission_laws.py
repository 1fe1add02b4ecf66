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
from collections import Counter
from functools import cache

import generated
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

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

seeds = st.randoms(use_true_random=True)


def cases(count):
    """Derandomised: the same cases each time, so that a failure is somebody's change and not somebody's luck."""
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )


def tried(count, law):
    """Run *law* with *count* random sources and a counter, which says how often it was about what."""
    counted = Counter()

    @cases(count)
    @given(seeds)
    def check(rng):
        law(rng, counted)

    check()
    return counted


def enough(counted, **least):
    """The cases that came up less often than wanted."""
    return {case: counted[case] for case, wanted in least.items() if counted[case] < wanted}


# --- resources and patterns -----------------------------------------------------------------------


@cases(2000)
@given(seeds)
def test_a_resource_reads_back(rng):
    resource = generated.resource(rng)
    note(repr(resource))

    assert resource == Resource.parse(str(resource))
    assert str(resource) == str(Resource.parse(str(resource)))


def test_spellings_of_one_resource_are_equal():
    def law(rng, counted):
        resource = generated.resource(rng)
        text = generated.spelled(rng, resource)
        counted["otherwise"] += text != str(resource)
        note(f"{resource!r} as {text!r}")

        assert resource == Resource.parse(text)
        assert hash(resource) == hash(Resource.parse(text))
        assert ResourcePattern.exactly(resource) == ResourcePattern.parse(text)

    assert {} == enough(tried(2000, law), otherwise=1500)


@cases(2000)
@given(seeds)
def test_a_pattern_reads_back(rng):
    pattern = generated.pattern(rng)
    note(repr(pattern))

    assert pattern == ResourcePattern.parse(str(pattern))
    assert str(pattern) == str(ResourcePattern.parse(str(pattern)))


def test_a_covered_pattern_matches_nothing_that_its_coverer_does_not():
    def law(rng, counted):
        one = generated.pattern(rng)
        other = generated.inside_pattern(rng, one) if rng.random() < 0.8 else generated.pattern(rng)
        resource = generated.inside(rng, other)
        counted["covered" if one.covers(other) else "not"] += 1
        counted["different"] += one.covers(other) and one != other
        note(f"{one!r} {other!r} {resource!r}")

        assert one.covers(one)
        assert other.matches(resource)
        assert one.matches(resource) == one.covers(ResourcePattern.exactly(resource))
        assert one.matches(resource) or not one.covers(other)

    assert {} == enough(tried(2000, law), covered=700, different=400, **{"not": 300})


def test_covering_of_patterns_is_transitive():
    def law(rng, counted):
        one = generated.pattern(rng)
        two = generated.inside_pattern(rng, one)
        three = generated.inside_pattern(rng, two)
        note(f"{one!r} {two!r} {three!r}")
        if one.covers(two) and two.covers(three):
            counted["chain"] += len({one, two, three}) == 3

            assert one.covers(three)

    assert {} == enough(tried(2000, law), chain=500)


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
        note(f"{one} {other}")

        assert covered == (not matched(other) & ~matched(one))

    assert {} == enough(tried(1000, law), covered=150, **{"not": 150})


def test_matching_is_that_of_a_regular_expression():
    for text in ("a", "*", "a*", "*/a", "a*b/*", "**", "a/**", "*/b*/**"):
        pattern = ResourcePattern.parse(text)

        assert [bool(matched(text) >> number & 1) for number in range(len(TEXTS))] == [
            pattern.matches(Resource.parse(candidate)) for candidate in TEXTS
        ]


# --- constraints ----------------------------------------------------------------------------------


@cases(2000)
@given(seeds)
def test_a_constraint_reads_back(rng):
    constraint = generated.constraint(rng)
    note(repr(constraint))

    assert constraint == from_data(constraint.to_data())
    assert constraint == from_data(json.loads(json.dumps(constraint.to_data())))
    assert hash(constraint) == hash(from_data(constraint.to_data()))
    assert constraint.covers(constraint)


def test_a_covered_constraint_allows_nothing_that_its_coverer_does_not():
    def law(rng, counted):
        one = generated.constraint(rng)
        other = generated.inside_constraint(rng, one)
        covered = one.covers(other)
        counted["covered" if covered else "not"] += 1
        note(f"{one!r} {other!r}")
        event(f"{one.kind} covers {other.kind}: {covered}")
        if covered:
            allowed = [value for value in generated.near(one, other) if other.allows(value)]
            counted[one.kind] += bool(allowed) and one != other

            assert [] == [value for value in allowed if not one.allows(value)]

    counted = tried(4000, law)

    assert {} == enough(counted, covered=1500, **{"not": 300}, **dict.fromkeys(generated.KINDS, 60))


def test_covering_of_constraints_is_transitive():
    def law(rng, counted):
        one = generated.constraint(rng)
        two = generated.inside_constraint(rng, one)
        three = generated.inside_constraint(rng, two)
        note(f"{one!r} {two!r} {three!r}")
        if one.covers(two) and two.covers(three):
            counted["chain"] += len({one, two, three}) == 3
            counted["nested"] += min(one.depth, two.depth, three.depth) > 0

            assert one.covers(three)

    assert {} == enough(tried(4000, law), chain=1500, nested=200)


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


@cases(1500)
@given(seeds)
def test_a_permission_reads_back(rng):
    permission = generated.permission(rng)
    note(repr(permission))

    assert permission == Permission.parse(str(permission))
    assert hash(permission) == hash(Permission.parse(str(permission)))
    assert permission == Permission.build(permission.action, str(permission.resource), permission.constraints_data())
    assert permission.covers(permission)
    assert str(permission).isprintable()


def test_a_covered_permission_allows_nothing_that_its_coverer_does_not():
    def law(rng, counted):
        one = generated.permission(rng)
        other = generated.inside_permission(rng, one)
        resource, arguments = generated.inside(rng, other.resource), generated.arguments(rng, one, other)
        counted["covered" if one.covers(other) else "not"] += 1
        note(f"{one!r} {other!r} {resource!r} {arguments!r}")
        if one.covers(other) and other.allows(other.action, resource, arguments):
            counted["allowed"] += one != other

            assert one.allows(other.action, resource, arguments)

    assert {} == enough(tried(3000, law), covered=1000, allowed=500, **{"not": 300})


def test_covering_of_permissions_is_transitive():
    def law(rng, counted):
        one = generated.permission(rng)
        two = generated.inside_permission(rng, one)
        three = generated.inside_permission(rng, two)
        note(f"{one!r} {two!r} {three!r}")
        if one.covers(two) and two.covers(three):
            counted["chain"] += len({one, two, three}) == 3

            assert one.covers(three)

    assert {} == enough(tried(2500, law), chain=500)


def test_where_only_narrows():
    def law(rng, counted):
        one = generated.permission(rng)
        wanted = {name: generated.constraint(rng) for name in rng.sample(generated.PARAMETERS, rng.randint(0, 2))}
        other = one.where(**wanted)
        arguments = generated.arguments(rng, one, other)
        counted["satisfied" if other.satisfied_by(arguments) else "not"] += 1
        counted["twice"] += bool(set(wanted) & set(one.constraints))
        note(f"{one!r} {wanted!r} {arguments!r}")

        assert one.covers(other)
        if other.satisfied_by(arguments):
            assert one.satisfied_by(arguments)
            assert all(name in arguments and c.allows(arguments[name]) for name, c in wanted.items())

    assert {} == enough(tried(2000, law), satisfied=500, twice=300, **{"not": 300})
