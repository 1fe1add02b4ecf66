"""
Strict JSON, in the spelling that is read fast and in others: whichever reader is asked, the answer is the same.

Bytes spelled as they would be written again take one path, all else takes the other. Text always takes the other.
"""

from __future__ import annotations

import json

import pytest

from agentid.identity.strict_json import StrictJSONError, parse_object

DEEP = b'{"a":' * 150 + b"1" + b"}" * 150


def both(data: bytes) -> str:
    """What is read, or why it is refused, as text that tells `1`, `1.0` and `true` apart; the same for both paths."""

    def told(given: bytes | str) -> str:
        try:
            return repr(parse_object(given))
        except StrictJSONError as error:
            return f"refused: {error}"

    fast = told(data)
    try:
        assert fast == told(data.decode())
    except UnicodeDecodeError:
        assert "refused: it is not valid UTF-8" == fast
    return fast


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":1}', "member twice"),
        (b'{"a":1,"b":2,"a":1}', "member twice"),
        (b'{"a":{"b":1,"b":1}}', "member twice"),
        (b'{"a":[{"b":1,"b":2}]}', "member twice"),
        (b'{"a":1,"\\u0061":2}', "member twice"),
        (b'{"a":{"b":1},"a":{}}', "member twice"),
        (b'{"a":NaN}', "not finite"),
        (b'{"a":Infinity}', "not finite"),
        (b'{"a":[-Infinity]}', "not finite"),
        (b'{"a":1e999}', "not finite"),
        (b'{"a":-1e999}', "not finite"),
        (b'{"a":100000000000000000000}', "too long"),
        (b'{"a":-10000000000000000000}', "too long"),
        (b'{"a":-99999999999999999999}', "too long"),
        (b'{"a":[{"b":340282366920938463463374607431768211456}]}', "too long"),
        (b'{"a":' + b"9" * 5000 + b"}", "too long"),
        (b'{"a":01}', "not valid JSON"),
        (b'{"a":+1}', "not valid JSON"),
        (b'{"a":.5}', "not valid JSON"),
        (b'{"a":1}{}', "not valid JSON"),
        (b'{"a":1,}', "not valid JSON"),
        (b'{"a":"\n"}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b'\xef\xbb\xbf{"a":1}', "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"1", "not a JSON object"),
        (b"", "not valid JSON"),
    ],
)
def test_what_is_refused_is_refused_in_the_shortest_spelling_too(data, why):
    """No white space, so that nothing but the fault itself keeps it from being read fast."""
    assert why in both(data)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"a":1,"b":1.0,"c":true,"d":null,"e":"1"}',
        b'{"a":[1,[],{},-0.0,1e16,1.5e-7,0.1]}',
        b'{"a":-9223372036854775808,"b":18446744073709551615}',
        b'{"a":"12345678901234567890123"}',
        b'{"":"","a":{"a":{"a":1}}}',
        '{"ä":"\u2028é\U0001f600\x7f"}'.encode(),
        b'{"a":"\\n\\t\\"\\\\\\u001f"}',
        DEEP,
    ],
)
def test_what_is_good_is_read_as_json_reads_it(data):
    """The same values of the same types, in the same order, with and without white space."""
    expected = json.loads(data)

    assert repr(expected) == both(data)
    assert repr(expected) == both(b" " + data + b"\n")
    assert repr(expected) == both(json.dumps(expected).encode())


def test_what_is_too_deep_for_one_reader_is_left_to_the_other():
    """A depth that one of them does not follow is no answer; one that neither follows is refused."""
    assert both(DEEP.replace(b"1", DEEP)) == repr(json.loads(DEEP.replace(b"1", DEEP)))
    assert "not valid JSON" in both(b'{"a":' * 100_000)
