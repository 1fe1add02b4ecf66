"""From resources to patterns: what becomes a `*`, and what never does."""

from __future__ import annotations

import pytest

from agentid.assurance.generalise import generalise
from agentid.resource import Resource

UUIDS = [f"0198f0{n:02d}-7c04-7b01-a9d1-0050569c2e4f" for n in range(3)]


def patterns(*texts, **options):
    """The patterns of what was seen, as text."""
    resources = [Resource.parse(text) for text in texts]
    options = {
        name: [Resource.parse(one) for one in value] if name in {"avoid", "apart"} else value
        for name, value in options.items()
    }
    found = generalise(resources, **options)
    assert set(resources) == {resource for one in found for resource in one.seen}
    assert all(one.pattern.matches(resource) for one in found for resource in one.seen)
    return [str(one.pattern) for one in found]


@pytest.mark.parametrize(
    ("ids", "pattern"),
    [
        (["1", "2", "3"], "*"),
        (UUIDS, "*"),
        (["9f86d081", "deadbee0", "00c0ffee"], "*"),
        (["2026-11-25", "2026-11-26", "2026-11-27"], "*"),
        (["c-1", "c-2", "c-42"], "*"),
        (["cus_NffrFeUfNV2Hib", "cus_9s6XKzkNRiz8i3", "cus_Na6dX7aXxi11N4"], "*"),
        (["01JDK2Q9Z8N5V6XG3R4T7W1Y2A", "01JDK2Q9Z8N5V6XG3R4T7W1Y2B", "01JDK2Q9Z8N5V6XG3R4T7W1Y2C"], "*"),
        (["report-2026-01.csv", "report-2026-02.csv", "report-2026-03.csv"], "report-*.csv"),
        (["1.json", "2.json", "3.json"], "*.json"),
        (["date=2026-01-01", "date=2026-01-02", "date=2026-01-03"], "date=*"),
        (["tmpab12cd_x.csv", "tmpqrstuvwx.csv", "tmp00000000.csv"], "tmp*.csv"),
        (["tmpab12cd_x", "tmpqrstuvwx", "tmp00000000"], "tmp*"),
        (["invoice-1", "invoice-2", "invoice-3"], "invoice-*"),
        ([f"scan {number}.tar.gz" for number in (1, 2, 3)], "scan *.tar.gz"),
    ],
)
def test_three_ids_in_one_place_become_a_star_as_narrow_as_can_be(ids, pattern):
    assert [f"crm/x/{pattern}/y"] == patterns(*[f"crm/x/{one}/y" for one in ids])
    assert [f"crm/x/{pattern}"] == patterns(*[f"crm/x/{one}" for one in ids])


def test_two_ids_are_two():
    assert ["crm/x/1", "crm/x/2"] == patterns("crm/x/1", "crm/x/2", "crm/x/1")


def test_ids_of_different_kinds_are_told_apart():
    seen = ["report-1.csv", "report-2.csv", "invoice-1.csv", "invoice-2.csv"]

    assert sorted(f"x/{one}" for one in seen) == patterns(*[f"x/{one}" for one in seen])


def test_names_stay_names_until_there_are_many_or_less_are_asked_for():
    seven = [f"crm/{name}" for name in ("orders", "users", "logs", "mail", "v1", "table2", "index")]

    assert sorted(seven) == patterns(*seven)
    assert ["crm/*"] == patterns(*seven, "crm/notes")
    assert ["crm/*"] == patterns(*seven[:3], names=3)
    assert sorted(seven[:2]) == patterns(*seven[:2], names=3)


def test_names_keep_what_they_have_in_common():
    people = ["ada", "bob", "cyd", "dan", "eve", "flo", "gil", "hal"]

    assert ["mail/outbox/*@acme.example"] == patterns(*[f"mail/outbox/{one}@acme.example" for one in people])
    assert ["file:///srv/*.csv"] == patterns(*[f"file:///srv/{one}.csv" for one in people])
    two_domains = [f"mail/outbox/{one}@{'a' if n % 2 else 'b'}.example" for n, one in enumerate(people)]
    assert sorted(two_domains) == patterns(*two_domains)


def test_several_places_are_generalised_one_after_the_other():
    seen = [f"crm/customers/{a}/orders/{b}" for a in (1, 2, 3) for b in (10, 20, 30)]

    assert ["crm/customers/*/orders/*"] == patterns(*seen)


def test_ids_that_differ_in_two_places_at_once_are_not_alike():
    seen = ["crm/1/orders/10", "crm/2/orders/20", "crm/3/orders/30"]

    assert seen == patterns(*seen)


def test_a_pattern_takes_in_what_it_covers():
    assert ["crm/x/*"] == patterns("crm/x/1", "crm/x/2", "crm/x/3", "crm/x/summary")


@pytest.mark.parametrize(
    "seen",
    [
        ["1/x", "2/x", "3/x"],
        ["https://1.acme.example/x", "https://2.acme.example/x", "https://3.acme.example/x"],
        ["https://a.example:1/x", "https://a.example:2/x", "https://a.example:3/x"],
        ["http://a.example/x", "https://a.example/x", "ws://a.example/x"],
        ["file:///1/x", "file:///2/x", "file:///3/x"],
        ["postgres://db/1/x", "postgres://db/2/x", "postgres://db/3/x"],
        ["s3://1/x", "s3://2/x", "s3://3/x"],
        ["x/.1", "x/.2", "x/.3"],
    ],
)
def test_what_is_never_generalised(seen):
    """Hosts, ports, schemes, the first segment where it is as much another place as a host, and hidden files."""
    assert sorted(seen) == patterns(*seen, names=3, deep=True)


def test_depth_is_generalised_only_when_asked_for_and_from_the_deepest_parent():
    seen = ["file:///srv/data/a/1.csv", "file:///srv/data/b/c/2.csv", "file:///srv/data/3.txt", "file:///srv/other/x"]

    assert sorted(seen) == patterns(*seen)
    assert ["file:///srv/data/**", "file:///srv/other/x"] == patterns(*seen, deep=True)


def test_nothing_is_generalised_over_what_is_to_be_avoided():
    assert ["x/1", "x/2", "x/3"] == patterns("x/1", "x/2", "x/3", avoid=["x/4"])
    assert ["x/*"] == patterns("x/1", "x/2", "x/3", avoid=["y/4", "x/1"])
    deep = ["x/y/a", "x/y/b/c", "x/y/d/e/f"]
    assert deep == patterns(*deep, deep=True, avoid=["x/y/secret"])


def test_what_stands_apart_is_never_generalised_nor_counted():
    assert ["x/1", "x/2", "x/3"] == patterns("x/1", "x/2", "x/3", apart=["x/3"])


def test_odd_segments_are_written_so_that_they_can_be_read():
    seen = [f"https://a.example/{{x}}-100%25 {number}" for number in (1, 2, 3)]
    resources = [Resource.of("https", "a.example", f"{{x}}-100% {number}") for number in (1, 2, 3)]
    found = generalise(resources)

    assert ["https://a.example/%7Bx%7D-100%25 *"] == [str(one.pattern) for one in found]
    assert len(seen) == len(found[0].seen)


def test_many_resources_take_no_long_time():
    """Ten thousand ids in one place, and as many names."""
    seen = [f"crm/x/{number}" for number in range(10_000)] + [f"y/{number}a/b" for number in range(2_000)]

    assert ["crm/x/*"] == [one for one in patterns(*seen) if one.startswith("crm")]
