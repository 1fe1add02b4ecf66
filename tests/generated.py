"""
Random resources, patterns, constraints and permissions, and others that are mostly inside them.

Plain functions of a `random.Random` whose seed hypothesis draws: far more cases a second than strategies inside
strategies, and the same ones each time.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from agentid.constraint import (
    Constraint,
    all_of,
    any_of,
    at_least,
    at_most,
    between,
    contains,
    ends_with,
    exactly,
    matches_resource,
    none_of,
    one_of,
    starts_with,
    subset_of,
)
from agentid.errors import ConfigurationError
from agentid.permission import ACTIONS, Permission
from agentid.resource import Resource, ResourcePattern, literal_segment, names_scheme

TOGETHER = 10  # cases in one example of hypothesis, which costs as much as ten of them
SHARE = 1 if os.environ.get("SLOW") else 4  # the quick suite tries a fourth of them, `make test SLOW=1` all


def examples(count):
    """How many of *count* examples of hypothesis to try."""
    return count // SHARE


def tried(count, law):
    """
    Run *law* on *count* cases, each with a random source and a counter, which says how often it was about what.

    The quick suite runs a fourth of them.

    Derandomised: the same cases each time, so that a failure is somebody's change and not somebody's luck.
    """
    counted = Counter()

    @settings(max_examples=examples(count // TOGETHER), derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**64 - 1))
    def check(seed):
        rng = Random(seed)
        for _ in range(TOGETHER):
            law(rng, counted)

    check()
    return counted


def enough(counted, **least):
    """The cases that came up less often than wanted, of all that `tried` was asked for."""
    return {case: counted[case] for case, wanted in least.items() if counted[case] * SHARE < wanted}


# --- resources ------------------------------------------------------------------------------------

SCHEMES = ["https", "http", "wss", "postgres", "file", "s3", "mcp"]
HOSTS = ["acme.example", "api.acme.example", "a.b.acme.example", "evil.example", "10.0.0.1", "[::1]", "db"]
WILD_HOSTS = [*HOSTS, "*", "*.acme.example", "api-*.acme.example", "*.b.acme.example"]
PORTS = ["", ":8443", ":80", ":443", ":5432"]
DEFAULT_PORTS = {"https": ":443", "http": ":80", "wss": ":443"}
LETTERS = "aZ09 -_.%{}?#:;@+=~!$&',()[]éß\u0301\u0327\u0338日\U0001f600\u1100\u1161\u212b\u0958"
NAMES = ["a", "crm", "c-42", "100%", "{id}", "ada@acme.example", "caf\u00e9", "a?b#c", "...", "a b", "%zz"]
PIECES = ["a", "b", "ab", "ba", "report-", "@acme.example", "100%-", "{", "caf\u00e9", "x.y"]


def segment(rng):
    text = "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 6)))
    try:
        return literal_segment(text)
    except ConfigurationError:
        return rng.choice(NAMES)


def resource(rng):
    path = [segment(rng) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.5 and not names_scheme(path[0]):
        return Resource.of("", "", *path)
    return Resource.of(rng.choice(SCHEMES), rng.choice(HOSTS) + rng.choice(PORTS), *path)


def spelled(rng, of):
    """The resource otherwise: percent-encoded here and there, not in NFC, in capitals where they mean nothing."""

    def encoded(letter):
        if letter in "%{}" or (of.scheme and letter in "?#") or rng.random() < 0.3:
            return "".join(rng.choice(["%{:02x}", "%{:02X}"]).format(byte) for byte in letter.encode())
        return letter

    def respelled(text):
        text = unicodedata.normalize(rng.choice(["NFC", "NFD"]), text)
        return "".join(map(encoded, text))

    path = "/".join(map(respelled, of.segments))
    if not of.scheme:
        return path
    authority = of.authority
    if not of.key[2] and rng.random() < 0.5:
        authority += DEFAULT_PORTS.get(of.scheme, "")
    cased = rng.choice([str, str.upper, str.title])
    return f"{cased(of.scheme)}://{cased(authority)}/{path}"


def pattern(rng):
    def part():
        a, b = rng.choice(PIECES), rng.choice(PIECES)
        return rng.choice([a, "*", f"{a}*", f"*{a}", f"{a}*{b}"]).replace("%", "%25").replace("{", "%7B")

    path = [part() for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.5:
        path = [*path[:3], "**"]
    if rng.random() < 0.5:
        return ResourcePattern.parse("/".join(path))
    authority = rng.choice(WILD_HOSTS) + rng.choice(PORTS)
    return ResourcePattern.parse(f"{rng.choice(SCHEMES)}://{authority}/{'/'.join(path)}")


def inside_pattern(rng, of):
    """A pattern that is mostly inside: its stars filled, lengthened or left alone, its remainder written out."""
    scheme, _, path = str(of).rpartition("://")
    authority, _, path = path.partition("/") if scheme else ("", "", path)
    fills = ["*", "*", "x", "a", "xa*", "*ax", "a*b"]
    written = []
    for part in path.split("/"):
        if part == "**":
            written += rng.choices(fills, k=rng.randint(0, 2))
            written.append(rng.choice(["**", "**", "y", "*"]))
        else:
            written.append(part.replace("*", rng.choice(fills)) if rng.random() < 0.95 else "a")
    whole = authority.partition(":")[0] == "*"
    hosts = ["*", "acme.example", "*.acme.example"] if whole else ["*", "*", "x", "x.y", "x-*"]
    authority = authority.replace("*", rng.choice(hosts))
    return ResourcePattern.parse(f"{scheme}://{authority}/{'/'.join(written)}" if scheme else "/".join(written))


def inside(rng, of):
    """A resource that the pattern matches."""
    fill = lambda: rng.choice(["x", "a", "ab", "z"])
    key = [part if isinstance(part, str) else part.prefix + fill() + part.suffix for part in of.parts]
    if of.rest:
        key += [fill() for _ in range(rng.randint(1, 3))]
    return Resource(tuple(key))


# --- constraints ----------------------------------------------------------------------------------

NUMBERS = [-1, 0, 1, 2, 3, 0.0, 0.5, 1.0, 1.5, 2.0]
WORDS = ["a", "ab", "abc", "b", "ba", "cab", "crm/a", "crm/ab", "crm/a/b", "https://x.acme/a", "caf\u00e9", "1"]
SCALARS = [*NUMBERS, *WORDS, "", True, False, None]
RESOURCES = ["crm/*", "crm/**", "crm/a*", "crm/a", "**", "*/a", "https://*.acme/**", "https://x.acme/*"]
PARAMETERS = ["amount", "currency", "to"]

LEAVES = {
    "exactly": lambda rng: exactly(rng.choice(SCALARS)),
    "one_of": lambda rng: one_of(*rng.choices(SCALARS, k=rng.randint(1, 4))),
    "none_of": lambda rng: none_of(*rng.choices(SCALARS, k=rng.randint(1, 3))),
    "at_most": lambda rng: at_most(rng.choice(NUMBERS)),
    "at_least": lambda rng: at_least(rng.choice(NUMBERS)),
    "between": lambda rng: between(*sorted(rng.choices(NUMBERS, k=2))),
    "starts_with": lambda rng: starts_with(rng.choice(WORDS)),
    "ends_with": lambda rng: ends_with(rng.choice(WORDS)),
    "matches_resource": lambda rng: matches_resource(rng.choice(RESOURCES)),
    "subset_of": lambda rng: subset_of(*rng.choices(SCALARS, k=rng.randint(1, 4))),
    "contains": lambda rng: contains(*rng.choices(SCALARS, k=rng.randint(1, 3))),
}
KINDS = [*LEAVES, "all_of", "any_of"]


def leaf(rng):
    return rng.choice(list(LEAVES.values()))(rng)


def constraint(rng, depth=3):
    kind = rng.choice(KINDS) if depth else rng.choice(list(LEAVES))
    if kind in LEAVES:
        return LEAVES[kind](rng)
    parts = [constraint(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    if kind == "all_of" and parts[0].size < 60 and rng.random() < 0.7:  # by chance alone most intersections are empty
        parts = [parts[0], *(any_of(parts[0], part) for part in parts[1:])]
    return all_of(*parts) if kind == "all_of" else any_of(*parts)


def _inside_leaf(rng, of):
    values = [operand[1] for operand in of.operands if isinstance(operand, tuple)]
    first = of.operands[0]
    match of.kind:
        case "exactly":
            return one_of(*values)
        case "one_of":
            return one_of(*rng.choices(values, k=rng.randint(1, 3)))
        case "none_of":
            more = none_of(*values, *rng.choices(SCALARS, k=2))
            return rng.choice(
                [more, more, starts_with("zz"), between(7, 8), exactly("zz"), matches_resource("zz/*"), one_of(7, "zz")]
            )
        case "at_most":
            return rng.choice([at_most(first - 1), between(first - 2, first), exactly(first), at_most(first)])
        case "at_least":
            return rng.choice([at_least(first + 1), between(first, first + 2), exactly(first), at_least(first)])
        case "between":
            low, high = of.operands
            middle = (low + high) / 2
            halves = all_of(at_least(low), at_most(high))
            return rng.choice([between(low, middle), between(middle, high), exactly(low), exactly(high), halves])
        case "starts_with":
            return rng.choice([starts_with(first + "a"), exactly(first), one_of(first + "b", first)])
        case "ends_with":
            return rng.choice([ends_with("a" + first), exactly(first), one_of("b" + first, first)])
        case "matches_resource":
            return rng.choice([matches_resource(inside_pattern(rng, first)), exactly(str(inside(rng, first)))])
        case "subset_of":
            return subset_of(*rng.choices(values, k=rng.randint(1, 3)))
        case _:
            return contains(*values, *rng.choices(SCALARS, k=1))


def inside_constraint(rng, of, room=8):
    """A constraint that is mostly inside: one part tighter, an alternative fewer, a condition more."""
    try:
        return _inside_constraint(rng, of, room)
    except ConfigurationError:  # it would be too large
        return of


def _inside_constraint(rng, of, room):
    luck = rng.random()
    if luck < 0.05:
        return of
    if luck < 0.12:
        return constraint(rng, min(room, 1))
    if luck < 0.2 and of.depth < room:
        parts = [inside_constraint(rng, of, room - 1), leaf(rng)]
        rng.shuffle(parts)
        return all_of(*parts)
    if luck < 0.28 and of.depth < room:
        return any_of(inside_constraint(rng, of, room - 1), inside_constraint(rng, of, room - 1))
    if of.kind in LEAVES:
        return _inside_leaf(rng, of) if room else of
    parts = [inside_constraint(rng, part, room - 1) if rng.random() < 0.5 else part for part in of.operands]
    rng.shuffle(parts)
    if of.kind == "any_of":
        return any_of(*parts[: rng.randint(1, len(parts))]) if rng.random() < 0.7 else parts[0]
    return all_of(*parts, leaf(rng)) if rng.random() < 0.3 else all_of(*parts)


def near(*constraints):
    """Values at, beside and beyond what the constraints name, in each type that they may be mistaken for."""
    found = [*SCALARS, [], float("nan"), float("inf"), Decimal("NaN"), 10**30, {}, object()]
    waiting = list(constraints)
    while waiting:
        c = waiting.pop()
        waiting += [part for part in c.operands if isinstance(part, Constraint)]
        bare = [operand[1] if isinstance(operand, tuple) else operand for operand in c.operands]
        for value in bare:
            found += _beside(value)
        if c.kind in {"subset_of", "contains"}:
            found += [bare, bare[:1], [*bare, "zz"], tuple(bare), set(bare), [*bare, True, 1], [bare]]
    return found


def _beside(value):
    if type(value) in {int, float}:
        alike = [value, int(value), float(value), Decimal(str(value)), str(value), bool(value)]
        return [*alike, value - 1, value + 1, value + 0.001, value - 0.001]
    if isinstance(value, ResourcePattern):
        text = str(value)
        return [text.replace("**", "x/y").replace("*", "x"), text.replace("*", "a").replace("aa", "a"), text]
    if isinstance(value, str):
        changed = [value + "a", "a" + value, value[:-1], value[1:], value.upper(), value + "\n"]
        return [value, *changed, unicodedata.normalize("NFD", value)]
    return []


# --- permissions ----------------------------------------------------------------------------------


def permission(rng):
    wanted = {name: constraint(rng) for name in rng.sample(PARAMETERS, rng.randint(0, 2))}
    return Permission(rng.choice(ACTIONS[:2]), pattern(rng), wanted)


def inside_permission(rng, of):
    narrower = inside_pattern(rng, of.resource) if rng.random() < 0.5 else of.resource
    wanted = {name: inside_constraint(rng, c) if rng.random() < 0.5 else c for name, c in of.constraints.items()}
    if wanted and rng.random() < 0.1:
        wanted.popitem()
    try:
        other = Permission(of.action, narrower, wanted)
        return other.where(**{rng.choice(PARAMETERS): leaf(rng)}) if rng.random() < 0.3 else other
    except ConfigurationError:  # it would be too large
        return of


def arguments(rng, *permissions):
    """Arguments at and beside what the permissions constrain; mostly all are there, and half of the time allowed."""
    found = {}
    for name in PARAMETERS:
        about = [p.constraints[name] for p in permissions if name in p.constraints]
        values = near(*about)
        if rng.random() < 0.7:
            values = [value for value in values if all(c.allows(value) for c in about)] or values
        if rng.random() < 0.95:
            found[name] = rng.choice(values)
    return found
