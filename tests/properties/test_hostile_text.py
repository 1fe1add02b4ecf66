"""
No text, however odd, names more than one resource, breaks a parser or takes long.

An accepted value is held against everything that somebody below may take it for: decoded and normalised in any
order, as often as they like, it is still one ordinary segment.
"""

from __future__ import annotations

import string
import time
import unicodedata
from urllib.parse import unquote

from generated import enough, examples, tried
from hypothesis import given, settings
from hypothesis import strategies as st

from agentid.constraint import from_data
from agentid.errors import Error
from agentid.permission import Permission
from agentid.resource import Resource, ResourcePattern, literal_segment

STRUCTURE = ["/", "\\", "*", "**", "..", ".", "", ";", "..;", "{", "}", "{id}", "?", "#", "@", ":", "://", "%"]
CONTROL = ["\n", "\r", "\t", "\0", "\x1b[2J", "\x7f", "\x85", " ", "\u00a0", "\u2028", "\u3000"]
ENCODED = ["%2", "%zz", "%2f", "%2F", "%5c", "%2e", "%2e%2e", "%00", "%0a", "%2a", "%3b", "%20", "%u002f"]
ENCODED += ["%252f", "%25252f", "%252e%252e", "%2525252525252f", "%c0%af", "%e0%80%af", "%ef%bc%8f", "%ed%a0%80"]
LOOK_ALIKE = [
    "\uff0f",
    "\uff3c",
    "\uff0a",
    "\uff0e",
    "\uff05",
    "\uff052f",
    "\uff052\uff46",
    "%\uff12f",
    "\uff1a",
    "\uff1b",
]
LOOK_ALIKE += [
    "\u2024",
    "\u2025",
    "\u2026",
    "\u2044",
    "\u2215",
    "\u2216",
    "\u2217",
    "\u29f8",
    "\ufe68",
    "\ufe61",
    "\u2100",
]
LOOK_ALIKE += ["\u212a", "\u0130", "\uff52", "\u0430", "\u3002", "\ufdfa", "\U0001d160", "\u0338", "\u0301", "\u00bd"]
INVISIBLE = ["\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\u00ad", "\u034f", "\u3164", "\ufe0f", "\U000e0041"]
BROKEN = ["\ud800", "\udfff", "1" * 50, "NaN", "-1", "1e999", "null", '{"at_most": 1}', ' where {"a": {"at_most": 1}}']
ADDRESS = ["https://", ":443", ":0443", ":", "[::1]", "127.1", "0x7f.1", "xn--a", "acme.example.", "..example", "ada@"]
HOSTILE = [*STRUCTURE, *CONTROL, *ENCODED, *LOOK_ALIKE, *INVISIBLE, *BROKEN, *ADDRESS]
PLAIN = ["a", "crm", "c-42", "acme.example", "ada@acme.example", "read:", "write:", "crm/", "https://acme.example/"]

WILD = ["*", "/*", "/**"]
ANY = (
    [chr(c) for c in range(0x20, 0x250)]
    + [chr(c) for c in range(0x2000, 0x2070)]
    + [chr(c) for c in range(0xFF00, 0xFF60)]
)


def hostile(rng, *more):
    """A few pieces, each plain, hostile or any character."""
    return "".join(rng.choice(rng.choice([PLAIN, PLAIN, HOSTILE, ANY, *more])) for _ in range(rng.randint(1, 4)))


hostile_text = st.lists(st.sampled_from([*HOSTILE, *PLAIN]), max_size=4).map("".join)
keys = st.sampled_from(["exactly", "one_of", "between", "starts_with", "matches_resource", "contains", "any_of", "x"])
huge = st.integers(4500, 5000).map(lambda digits: 10**digits)
leaf = (
    st.none() | st.booleans() | st.integers() | st.floats() | hostile_text | st.binary(max_size=3) | st.builds(object)
)


def around(inner):
    """The same, in a list, a tuple or a dictionary."""
    return st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(keys | hostile_text, inner, max_size=2)


junk = leaf | around(leaf) | around(around(leaf))
PARSERS = [Resource.parse, ResourcePattern.parse, Permission.parse, from_data, literal_segment]
OTHERS = ["crm", "crm/a", "crm/a/b", "crm/x", "hr/a", "a", "https://acme.example/a", "file:///etc/passwd"]
ELSEWHERE = [Resource.parse(text) for text in OTHERS]


def read(parse, value):
    """What *parse* makes of it, or None where it is refused: with one of our errors, on one line, at once."""
    times = []
    for _ in range(3):
        start = time.process_time()
        try:
            result, refusal = parse(value), ""
        except Error as error:
            result, refusal = None, str(error)
        times.append(time.process_time() - start)
        if times[-1] < 0.1:
            break

    assert refusal.isprintable()
    assert min(times) < 0.1
    return result


def disguises(text):
    """What others may take *text* for: decoded and compatibility-normalised, in any order, as often as they like."""
    found, waiting = {text}, [text]
    while waiting:
        form = waiting.pop()
        for other in (unquote(form), unicodedata.normalize("NFKC", form)):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def ordinary(segment):
    """Whether no disguise of the segment is a separator, a wildcard, a control character or a dot segment."""
    return not any(
        set(form) & set("/\\*\0\n\r\t\x7f\ufffd") or form.partition(";")[0] in {".", ".."} or not form
        for form in disguises(segment)
    )


def test_a_hostile_value_is_one_segment_or_refused():
    """It cannot become a separator, a dot segment or a wildcard, whoever decodes it below."""

    def law(rng, counted):
        text = hostile(rng)
        segment = read(literal_segment, text)
        counted["refused" if segment is None else "read"] += 1
        if segment is not None:
            counted["odd"] += segment not in PLAIN
            resource = Resource.of("", "", "crm", segment)

            assert unicodedata.normalize("NFC", text) == segment
            assert ("crm", segment) == resource.segments == Resource.parse(str(resource)).segments
            assert ResourcePattern.parse("crm/*").matches(resource)
            assert [resource == other for other in ELSEWHERE] == [
                ResourcePattern.exactly(resource).matches(other) for other in ELSEWHERE
            ]
            assert ordinary(segment)

    assert {} == enough(tried(6000, law), read=250, refused=500, odd=120)


def test_hostile_text_names_one_resource_or_is_refused():
    def law(rng, counted):
        after = rng.random() < 0.5
        text = "crm/" + hostile(rng) if after else hostile(rng)
        resource = read(Resource.parse, text)
        counted["refused" if resource is None else "read"] += 1
        if resource is not None:
            counted["odd"] += resource.segments[1:2] != () and resource.segments[1] not in PLAIN
            slashes = text.partition("://")[2].count("/") if resource.scheme else text.count("/") + 1

            assert resource == Resource.parse(str(resource))
            assert ResourcePattern.exactly(resource) == read(ResourcePattern.parse, text)
            assert slashes == len(resource.segments)
            assert all(ordinary(segment) for segment in resource.segments)
            assert str(resource).isprintable()

    assert {} == enough(tried(6000, law), read=250, refused=500, odd=100)


def test_hostile_text_is_a_pattern_that_matches_as_written_or_is_refused():
    def law(rng, counted):
        after = rng.random() < 0.5
        text = "crm/" + hostile(rng, WILD) if after else hostile(rng, WILD)
        pattern = read(ResourcePattern.parse, text)
        counted["refused" if pattern is None else "read"] += 1
        if pattern is not None:
            counted["wild"] += not pattern.is_literal

            assert pattern == ResourcePattern.parse(str(pattern))
            # Only a star that was written as one, in ASCII, makes it match more than one resource.
            assert pattern.is_literal == ("*" not in text)
            assert pattern.rest == text.endswith("**")
            assert not after or pattern.parts[:4] == ("", "", "", "crm")

    assert {} == enough(tried(6000, law), read=200, refused=300, wild=100)


def test_hostile_text_is_a_permission_that_reads_back_or_is_refused():
    def law(rng, counted):
        after = rng.random() < 0.5
        text = "read:crm/" + hostile(rng) if after else hostile(rng)
        permission = read(Permission.parse, text)
        counted["refused" if permission is None else "read"] += 1
        if permission is not None:
            assert permission == Permission.parse(str(permission))
            assert permission.action == text.partition(":")[0]
            assert not after or Permission.parse("read:crm/**").covers(permission)

    assert {} == enough(tried(6000, law), read=150, refused=300)


@settings(max_examples=examples(1500), derandomize=True, deadline=None, database=None)
@given(junk | huge)
def test_junk_is_refused_by_each_parser_with_one_of_our_errors(value):
    for parse in (
        *PARSERS,
        lambda v: Permission.build("read", "crm/x", {"a": v}),
        lambda v: Permission.build("read", v),
        lambda v: Permission.build(v, "crm/x"),
        lambda v: Permission.build("read", "crm/x", v),
        lambda v: Resource.of("", "", v),
        lambda v: Resource.of("https", v, "x"),
        lambda v: Resource.of(v, "acme.example", "x"),
    ):
        read(parse, value)


def test_a_megabyte_of_anything_is_refused_at_once():
    pieces = [*HOSTILE, *PLAIN, *string.ascii_letters, "a/", "a*/", "%25", "a\u0301", "\u0327\u0301", "\u1100\u1161"]
    for piece in filter(None, pieces):
        text = piece * (1_000_000 // len(piece))

        assert [None] * len(PARSERS) == [read(parse, text) for parse in PARSERS]
        assert read(Permission.parse, "read:crm/" + text) is None
        assert read(from_data, {"exactly": text}) is None
        assert read(from_data, {"any_of": [{"matches_resource": text}]}) is None
        assert read(lambda t: Permission.build("read", "crm/x", {t: {"exactly": 1}}), text) is None
