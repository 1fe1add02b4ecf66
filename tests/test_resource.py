"""`Resource` and `ResourcePattern`, sentence by sentence; the vectors are in `conformance/resources.json`."""

from __future__ import annotations

import copy
import pickle

import pytest

from agentid.errors import ConfigurationError
from agentid.resource import MAX_LENGTH, Resource, ResourcePattern, Wild, literal_segment, text_of

PARSERS = [Resource.parse, ResourcePattern.parse]


def parse(text):
    return Resource.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "crm/customers/42",
        "postgres://db.acme:5432/crm/public/orders",
        "https://api.stripe.com/v1/charges",
        "file:///srv/data/x.csv",
        "s3://bucket/key",
        "mcp://github/create_issue",
        "mail/outbox/ada@acme.example",
    ],
)
def test_a_resource_reads_back_as_it_is_written(text):
    """A short path, or a URI."""
    assert text == str(parse(text))
    assert f"Resource({text!r})" == repr(parse(text))


def test_a_short_path_has_no_scheme():
    resource = parse("crm/customers/42")

    assert ("", "", ("crm", "customers", "42")) == (resource.scheme, resource.authority, resource.segments)


def test_a_uri_has_a_scheme_and_an_authority():
    resource = parse("postgres://db.acme:5432/crm/public/orders")

    assert ("postgres", "db.acme:5432") == (resource.scheme, resource.authority)
    assert ("crm", "public", "orders") == resource.segments
    assert "db.acme" == parse("postgres://db.acme/crm").authority


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "https://acme.example/Path",
            "HTTPS://ACME.example/Path",
            "https://acme.example:443/Path",
            "Https://Acme.Example:443/%50ath",
        ],
        ["http://acme.example/x", "http://acme.example:80/x"],
        ["crm/caf\u00e9", "crm/cafe\u0301", "crm/caf%C3%A9", "crm/caf%c3%a9", "crm/cafe%CC%81", "%63rm/caf\u00e9"],
        ["http://[::1]/x", "http://[0:0:0:0:0:0:0:1]/x", "http://[0000::0001]:80/x"],
    ],
)
def test_spellings_of_one_resource_are_equal(spellings):
    """Scheme and host are lower-cased, segments decoded once and compared in NFC."""
    assert 1 == len({parse(text) for text in spellings})
    assert 1 == len({str(parse(text)) for text in spellings})
    assert 1 == len({ResourcePattern.parse(text) for text in spellings})
    assert all(ResourcePattern.parse(a).matches(parse(b)) for a in spellings for b in spellings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("crm/Customers", "crm/customers"),
        ("https://acme.example/A", "https://acme.example/a"),
        ("http://acme.example/x", "https://acme.example/x"),
        ("https://acme.example/x", "https://acme.example:8443/x"),
        ("https://acme.example/x", "acme.example/x"),
        ("crm/a", "crm/a/b"),
        ("data/x", "database/x"),
        ("crm/e", "crm/\u00e9"),
    ],
)
def test_different_resources_are_not_equal(one, other):
    assert parse(one) != parse(other)
    assert not ResourcePattern.parse(one).matches(parse(other))
    assert not ResourcePattern.parse(one).covers(ResourcePattern.parse(other))


def test_a_resource_equals_nothing_but_resources():
    assert parse("crm/a") != "crm/a"
    assert ResourcePattern.parse("crm/a") != parse("crm/a")
    assert parse("crm/a") != ResourcePattern.parse("crm/a")
    assert ResourcePattern.parse("crm/**") != ResourcePattern.parse("crm")


def test_nothing_is_decoded_twice():
    assert ("crm", "%41") == parse("crm/%2541").segments
    assert "crm/%2541" == str(parse("crm/%2541"))


@pytest.mark.parametrize("read", PARSERS)
@pytest.mark.parametrize(
    "value", [None, 5, True, b"crm/a", ["crm/a"], object(), {"crm": "a"}, pytest.param(10**5000, id="huge")]
)
def test_what_is_no_text_is_refused(read, value):
    with pytest.raises(ConfigurationError, match="it must be text"):
        read(value)


def test_a_pattern_is_at_most_4096_characters_long_star_and_all():
    for text in ("x" * 2000 + "*" + "x" * 2000, "*/" * 2000 + "*"):
        assert ResourcePattern.parse(text) == ResourcePattern.parse(str(ResourcePattern.parse(text)))
    for text in ("x" * 2100 + "*" + "x" * 2100, "*/" * 2100 + "*"):
        with pytest.raises(ConfigurationError, match="it is longer than 4096 characters"):
            ResourcePattern.parse(text)


@pytest.mark.parametrize("read", PARSERS)
def test_a_resource_is_at_most_4096_characters_long_however_it_is_written(read):
    """Counted decoded and in NFC, so that what was read can always be written and read again."""
    for longest in ("x" * (MAX_LENGTH - 4), "%7B" * (MAX_LENGTH - 4), "\u00e9" * (MAX_LENGTH - 4)):
        assert read(str(read(longest))) == read(longest)
    for too_long in ("x" * (MAX_LENGTH - 3), "%7B" * (MAX_LENGTH - 3), "\U0001d160" * 2000, "x" * 1_000_000):
        with pytest.raises(ConfigurationError, match="it is longer than 4096 characters"):
            read(too_long)


def test_parts_are_put_together_literally():
    """What has a meaning in text has none here, so a value cannot reach out of its segment."""
    resource = Resource.of("https", "API.acme.example:443", "v1", "100%", "a?b#c", "{id}")

    assert "https://api.acme.example/v1/100%25/a%3Fb%23c/%7Bid%7D" == str(resource)
    assert resource == parse(str(resource))
    assert parse("crm/a") == Resource.of("", "", "crm", "a")
    assert parse("file:///srv/x") == Resource.of("file", "", "srv", "x")
    assert parse("https://acme.example") == Resource.of("https", "acme.example")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (("", ""), "neither a host nor a segment"),
        (("file", ""), "neither a host nor a segment"),
        (("", "acme.example", "x"), "a host needs a scheme"),
        (("https", "", "x"), "the host is missing"),
        (("HTTPS", "acme.example", "x"), "the scheme is not a lower-case word"),
        (("ht\ntp", "acme.example", "x"), "the scheme is not a lower-case word"),
        (("https", "acme.example/x", "y"), "no plain host name"),
        (("https", "ada@acme.example", "x"), "no plain host name"),
        (("https", "*.acme.example", "x"), "no plain host name"),
        (("https", "acme.example", "a/b"), "exactly one segment"),
        (("https", "acme.example", ".."), "no names"),
        (("https", "acme.example", "*"), "exactly one segment"),
        (("https", "acme.example", ""), "empty"),
        (("", "", "crm", "a\n"), "control"),
        (("", "", "x" * MAX_LENGTH), "longer than 4096"),
        (("", "", *["x" * 100] * 50), "longer than 4096"),
        (("", "", 5), "must be text"),
        ((5, "acme.example", "x"), "must be text"),
        (("https", None, "x"), "must be text"),
    ],
)
def test_odd_parts_are_refused(parts, why):
    with pytest.raises(ConfigurationError, match=why):
        Resource.of(*parts)


def test_text_that_lies_about_itself_counts_as_what_it_holds():
    class Liar(str):
        __slots__ = ()

        def partition(self, separator):
            return "crm/public", "", ""

        def split(self, *args):
            return ["crm", "public"]

        def __len__(self):
            return 1

    assert ("hr", "secret") == parse(Liar("hr/secret")).segments
    assert ResourcePattern.parse("hr/secret") == ResourcePattern.parse(Liar("hr/secret"))


@pytest.mark.parametrize(
    "value",
    [parse("https://acme.example/a"), ResourcePattern.parse("https://*.acme.example/a*/**")],
    ids=["resource", "pattern"],
)
def test_a_resource_does_not_change(value):
    for name in type(value).__slots__:
        with pytest.raises(AttributeError, match="does not change"):
            setattr(value, name, ())
        with pytest.raises(AttributeError, match="does not change"):
            delattr(value, name)
    with pytest.raises(AttributeError):
        value.other = 1


@pytest.mark.parametrize(
    "value",
    [parse("https://acme.example/a"), ResourcePattern.parse("https://*.acme.example/a*/**")],
    ids=["resource", "pattern"],
)
def test_a_resource_can_be_copied_and_sent_to_another_process(value):
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert value == other
        assert hash(value) == hash(other)
        assert str(value) == str(other)


# --- patterns -------------------------------------------------------------------------------------


def test_a_pattern_knows_its_parts():
    pattern = ResourcePattern.parse("https://*.acme.example:8443/v1/a*b/*/**")

    assert ("https", Wild("", ".acme.example"), "8443", "v1", Wild("a", "b"), Wild("", "")) == pattern.parts
    assert pattern.rest
    assert "ResourcePattern('https://*.acme.example:8443/v1/a*b/*/**')" == repr(pattern)


def test_a_star_is_exactly_one_segment():
    pattern = ResourcePattern.parse("crm/*/orders")

    assert [True, False, False, False] == [
        pattern.matches(parse(text)) for text in ("crm/a/orders", "crm/orders", "crm/a/b/orders", "crm/a/orders/b")
    ]


def test_a_final_double_star_is_one_or_more_segments():
    pattern = ResourcePattern.parse("crm/**")

    assert [False, True, True] == [pattern.matches(parse(text)) for text in ("crm", "crm/a", "crm/a/b/c")]
    assert not pattern.matches(parse("crm-old/a"))


@pytest.mark.parametrize("text", ["crm/[a-z]", "crm/?", "crm/a.c", "crm/a|b", "crm/^a$", "crm/(a)", "crm/a+", "crm/!a"])
def test_there_are_no_other_wildcards(text):
    """What is a wildcard elsewhere is a character like others here."""
    pattern = ResourcePattern.parse(text)

    assert pattern.is_literal
    assert pattern.matches(parse(text))
    assert not any(pattern.matches(parse(other)) for other in ("crm/a", "crm/abc", "crm/b", "crm/aa"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("crm/**/x", "only at the end"),
        ("crm/a**", "only at the end"),
        ("crm/*a*", "at most one"),
        ("crm/%2a", "not allowed in it"),
        ("crm//*", "a segment is empty"),
        ("crm/{id}", "belong into `requires`"),
        ("https://acme.*/x", "left of a dot"),
        ("https://10.0.0.*/x", "left of a dot"),
        ("https://acme.example:*/x", "a port from 1 to 65535"),
    ],
)
def test_a_pattern_that_is_refused_says_why(text, why):
    with pytest.raises(ConfigurationError, match=why):
        ResourcePattern.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("crm/*", "wildcards belong into permissions"),
        ("crm/../hr", "`.` and `..` are no names"),
        ("crm/%2e%2e", "`.` and `..` are no names"),
        ("crm/%252e", "percent-encoded, and decoded `.` and `..` are no names"),
        ("crm/a\n", "control or invisible character"),
        ("crm/\u3164", "invisible character"),
        ("crm/ a", "begins or ends with a space"),
        ("crm/a\\b", "exactly one segment"),
        ("crm/\uff0f", "a look-alike"),
        ("crm/%c0%af", "not UTF-8"),
        ("crm/%25c0", "hides bytes that are no UTF-8"),
        ("crm/%4", "write `%25`"),
        ("ht!tp://acme.example/x", "the scheme is not a word"),
        ("https://acme.example/x?y", "queries and fragments"),
        ("https://ada@acme.example/x", "user names and passwords"),
        ("https:///x", "the host is missing"),
        ("file://", "nothing follows the scheme"),
        ("https://acme..example/x", "no plain host name"),
        ("https://acme.example:0443/x", "a port from 1 to 65535"),
        ("https://acme.example:65536/x", "a port from 1 to 65535"),
        ("http://127.1/x", "an IPv4 address in an odd spelling"),
        ("http://[::ffff:7f00:1]/x", "an IPv4 address in an odd spelling"),
        ("http://[1:2]/x", "no IPv6 address"),
    ],
)
def test_a_resource_that_is_refused_says_why(text, why):
    with pytest.raises(ConfigurationError, match=why):
        parse(text)


def test_a_pattern_covers_exactly_what_is_inside_it():
    """More in `properties/test_permission_laws.py`."""
    wide, narrow = ResourcePattern.parse("crm/**"), ResourcePattern.parse("crm/*/orders")

    assert [True, True, True, False] == [
        wide.covers(wide),
        narrow.covers(narrow),
        wide.covers(narrow),
        narrow.covers(wide),
    ]


def test_a_value_is_never_a_pattern():
    """Neither where a resource is put together, nor in the pattern of exactly one resource."""
    with pytest.raises(ConfigurationError):
        literal_segment("*")

    pattern = ResourcePattern.exactly(parse("crm/a"))

    assert pattern.is_literal
    assert "crm/a" == str(pattern)
    assert not ResourcePattern.parse("crm/a*").is_literal
    assert not ResourcePattern.parse("crm/a/**").is_literal


def test_a_key_written_as_text_reads_back():
    for text in (
        "crm/100%25/%7Bid%7D",
        "https://acme.example/a%3Fb%23c",
        "https://acme.example",
        "https://acme.example:8443",
    ):
        assert text == text_of(parse(text).key)
