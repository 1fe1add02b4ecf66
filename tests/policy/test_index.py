"""The index answers what a loop over `Permission.allows` answers, without looping."""

from __future__ import annotations

import time
from itertools import product

import generated
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentid.constraint import at_least, at_most
from agentid.permission import Permission
from agentid.policy import PermissionIndex
from agentid.resource import Resource

# Few names, so that most of what is generated meets.
NAMES = ["a", "b", "ab", "aab", "ba"]
GLOBS = ["*", "a*", "*b", "a*b", "aa*", "*ba"]
HEADS = ["", "https://x.example/", "https://x.example:8443/", "https://y.x.example/", "file:///", "s3://b/"]
HEAD_GLOBS = ["https://*.example/", "https://*/", "s3://*/", "s3://b*/"]


@st.composite
def permission(draw):
    head = draw(st.sampled_from(HEADS + HEAD_GLOBS))
    parts = draw(st.lists(st.sampled_from(NAMES + GLOBS), max_size=3))
    parts += draw(st.sampled_from([[], ["**"]])) if parts or head not in {"", "file:///"} else ["**"]
    made = Permission.parse(f"{draw(st.sampled_from(['read', 'write']))}:{head}{'/'.join(parts)}".rstrip("/"))
    limit = draw(st.sampled_from([None, None, at_most(1), at_least(1), at_most(0)]))
    return made if limit is None else made.where(n=limit)


@st.composite
def resource(draw):
    head = draw(st.sampled_from(HEADS))
    parts = draw(st.lists(st.sampled_from(NAMES), min_size=0 if head else 1, max_size=4))
    text = f"{head}{'/'.join(parts)}"
    return Resource.parse("s3://b" if text == "file:///" else text.rstrip("/"))


def paths(*texts):
    return [Permission.parse(text) for text in texts]


A, B = paths("read:a/*", "read:*/b")


@settings(max_examples=generated.examples(500), deadline=None)
@given(
    st.lists(permission(), max_size=12),
    st.sampled_from(["read", "write", "edit"]),
    resource(),
    st.sampled_from([{}, {"n": 0}, {"n": 1}, {"n": 2}, {"n": "1"}]),
)
@example(paths("read:**"), "read", Resource.parse("a"), {})
@example(paths("read:https://x.example/**"), "read", Resource.parse("https://x.example"), {})
@example(paths("read:file://*/a"), "read", Resource.parse("file:///a"), {})
@example(paths("read:file:///a"), "read", Resource.parse("file:///a"), {})
@example([A.where(n=at_most(0)), B.where(n=at_least(1))], "read", Resource.parse("a/b"), {"n": 0})
@example([A.where(n=at_most(0)), B.where(n=at_least(1))], "read", Resource.parse("a/b"), {"n": 1})
@example(paths("read:a/aa*ab"), "read", Resource.parse("a/aab"), {})
@example(paths("read:a*/b/a", "read:a/*/b", "read:*/b/b"), "read", Resource.parse("ab/b/b"), {})
def test_the_index_agrees_with_trying_each_permission(permissions, action, touched, arguments):
    index = PermissionIndex(permissions)
    fits = [p for p in permissions if p.action == action and p.resource.matches(touched)]
    applies = [p for p in permissions if p.allows(action, touched, arguments)]

    found = index.first(action, touched.key, arguments)
    near = index.near(action, touched.key)

    assert (found in applies) if applies else found is None
    if any(not p.constraints for p in applies):
        assert found is not None
        assert not found.constraints
    if not applies:
        assert (near in fits) if fits else near is None
    assert len(permissions) == len(index)


def test_of_two_equal_permissions_the_first_is_reported():
    one, two = paths("read:a/*", "read:a/*")

    found = PermissionIndex([one, two]).first("read", Resource.parse("a/b").key, {})

    assert one is found


def test_an_index_of_nothing_finds_nothing():
    index = PermissionIndex([])

    assert index.first("read", Resource.parse("a/b").key, {}) is None
    assert index.near("read", Resource.parse("a/b").key) is None
    assert repr(index) == "PermissionIndex(0 permissions)"


def test_an_index_takes_any_iterable_once():
    assert len(PermissionIndex(p for p in paths("read:a", "read:b"))) == 2


# --- cost, counted rather than timed ------------------------------------------------------------------------------


class Counting(dict):
    """The names after a node, or its globs of the same lengths; each visit asks for the names once."""

    steps = 0

    def get(self, key, default=None):
        Counting.steps += 1
        return super().get(key, default)


def counted(permissions):
    """An index of *permissions* whose steps are counted, as a question: how many steps, and what is found?"""
    index = PermissionIndex(permissions)
    nodes = [*index._short.values(), *index._uris.values()]
    while nodes:
        node = nodes.pop()
        globs = [glob for same_lengths in (node.globs or {}).values() for glob in same_lengths.values()]
        nodes += [*node.names.values(), *globs, *([node.star] if node.star else [])]
        node.names = Counting(node.names)
        node.globs = node.globs and {lengths: Counting(same) for lengths, same in node.globs.items()}

    def look_up(action, text, arguments=None):
        Counting.steps = 0
        found = index.first(action, Resource.parse(text).key, arguments or {})
        return Counting.steps, found

    return look_up


@pytest.mark.parametrize("size", [10, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_look_up_visits_as_many_nodes_among_many_permissions_as_among_few(size):
    permissions = paths(*(f"read:crm/customers/c-{n}" for n in range(size)))
    look_up = counted(permissions)

    assert look_up("read", "crm/customers/c-5") == (3, permissions[5])
    assert look_up("read", "crm/customers/none") == (3, None)
    assert look_up("read", "crm/orders/o-1") == (2, None)
    assert look_up("write", "crm/customers/c-5") == (0, None)


@pytest.mark.slow
def test_a_thousand_matching_permissions_among_a_hundred_thousand_cost_a_bounded_number_of_visits():
    """A thousand patterns match, ten for each of three segments; the first that ends answers."""
    segment = "abcdefghij"
    globs = [f"{segment[:n]}*" for n in range(10)]
    matching = [f"read:crm/{'/'.join(parts)}" for parts in product(globs, repeat=3)]
    others = [f"read:crm/x{n % 300}/y{n}/z" for n in range(99_000)]
    touched = f"crm/{segment}/{segment}/{segment}"
    permissions = paths(*others, *matching)

    count, found = counted(permissions)("read", touched)

    assert len(permissions) == 100_000
    assert found is not None
    assert found.resource.matches(Resource.parse(touched))
    assert count <= 7
    # Even when none is enough by itself, only what matches is visited: 1 + 1 + 10 + 100 nodes before the last,
    # each but the first with its names and its nine lengths of globs.
    limited = [p.where(n=at_most(1)) for p in paths(*matching)]
    assert counted([*paths(*others[:1000]), *limited])("read", touched, {"n": 2}) == (1 + 111 * 10, None)


def test_a_thousand_constrained_permissions_on_one_pattern_are_one_node():
    permissions = [Permission.parse("read:crm/*").where(n=at_most(n)) for n in range(1000)]

    assert counted(permissions)("read", "crm/a", {"n": 999}) == (2, permissions[999])


def test_globs_are_looked_up_by_their_lengths_not_one_by_one():
    permissions = paths(*(f"read:logs/{n:05}-*" for n in range(20_000)))
    index = PermissionIndex(permissions)
    node = index._short["read"].names["logs"]

    assert [20_000] == [len(same_lengths) for same_lengths in node.globs.values()]
    assert counted(permissions)("read", "logs/00007-x") == (3, permissions[7])


def test_of_a_thousand_globs_that_fit_one_segment_the_first_answers():
    segment = "abcdefghij" * 5
    lengths = [(n, m) for n in range(1, 46) for m in range(1, 50 - n)]
    permissions = paths(*(f"read:logs/{segment[:n]}*{segment[-m:]}" for n, m in lengths))

    assert len(permissions) > 1000
    assert counted(permissions)("read", f"logs/{segment}") == (3, permissions[0])


@pytest.mark.slow
def test_a_wide_or_deep_index_is_built_in_sane_time():
    """Seconds of CPU time, where a step for each pair of permissions would take many minutes."""
    deep = "/".join("a" * 1000)
    wide = [f"read:crm/{'a' * (n % 1000)}*{n}" for n in range(50_000)]
    permissions = paths(*wide, f"read:{deep}", f"read:{deep}/**")

    start = time.thread_time()
    PermissionIndex(permissions)

    assert time.thread_time() - start < 30


def test_a_deep_resource_needs_no_recursion():
    parts = ["a"] * 2000
    index = PermissionIndex(paths(f"read:{'/'.join(parts)}", "read:*/**"))

    assert index.first("read", Resource.parse("/".join(parts)).key, {}) is not None
    assert index.first("read", Resource.parse("/".join(parts[1:])).key, {}) is not None
