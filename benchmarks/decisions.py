"""One decision among ten and among a hundred thousand permissions. The yardstick is ten."""

from __future__ import annotations

from collections.abc import Iterable

from agentid.permission import Permission
from agentid.policy import NO_ARGUMENTS, Policy, Rules
from agentid.resource import Resource
from benchmarks.harness import Case, Suite

__all__ = ["suites"]


def _deciding(permissions: Iterable[str], resource: str, action: str = "read") -> tuple[Rules, tuple[str, ...], str]:
    rules = Rules([Permission.parse(text) for text in permissions], (), Policy())
    return rules, Resource.parse(resource).key, action


def _case(name: str, permissions: Iterable[str], resource: str, yardstick: str | None, target: float | None) -> Case:
    rules, key, action = _deciding(permissions, resource)

    def batch(count: int) -> None:
        decide = rules.decide
        for _ in range(count):
            decide(action, key, NO_ARGUMENTS)

    return Case(name, batch, yardstick, target)


def plain(count: int) -> Iterable[str]:
    """Permissions that differ in every segment; the last one is the one that applies."""
    yield from (f"read:app-{number % 97}/table-{number}/row-{number}/*" for number in range(count - 1))
    yield "read:crm/customers/emea/*"


def overlapping(count: int, matching: int) -> Iterable[str]:
    """Of these, *matching* apply to the resource, all by wildcards that overlap."""
    name = "customer-of-the-north-number-0000042"
    shapes = [f"{name[:cut]}*{name[end:]}" for cut in range(len(name)) for end in range(cut + 1, len(name) + 1)]
    regions = ["emea", "*", "em*", "*ea", "e*a"]
    places = [f"read:crm/customers/{region}/{shape}" for region in regions for shape in shapes if "**" not in shape]
    yield from places[:matching]
    yield from (f"read:crm/customers/r-{number}/x*-{number}" for number in range(count - matching))


def suites() -> list[Suite]:
    """The suites of this subject."""
    resource = "crm/customers/emea/c-42"
    among = "crm/customers/emea/customer-of-the-north-number-0000042"
    ten, wild = "10 permissions", "10 overlapping wildcards"
    return [
        Suite(
            "decision, allowed",
            [
                _case(ten, plain(10), resource, None, None),
                _case("1,000 permissions", plain(1_000), resource, ten, 1.3),
                _case("100,000 permissions", plain(100_000), resource, ten, 1.3),
            ],
        ),
        Suite(
            "decision, denied",
            [
                _case(ten, plain(10), "crm/customers/apac/c-42", None, None),
                _case("100,000 permissions", plain(100_000), "crm/customers/apac/c-42", ten, 1.3),
            ],
        ),
        Suite(
            "decision, overlapping wildcards",
            [
                _case(wild, overlapping(10, 10), among, None, None),
                _case("100,000, of which 1,000 match", overlapping(100_000, 1_000), among, wild, 1.3),
            ],
        ),
    ]
