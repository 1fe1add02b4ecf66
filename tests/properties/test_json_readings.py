"""
A signed document is read in one way: the fast reader of strict JSON never says anything that the careful one does not.

Text is always read by the careful one, bytes by the fast one where it dares to.
"""

from __future__ import annotations

import json

from generated import enough, tried

from agentid.identity.strict_json import StrictJSONError, parse_object

NAMES = ["a", "b", "sub", "\u00e9", "", "a\\", '"']
FRAGMENTS = [
    b'"a":1',
    b",",
    b":",
    b" ",
    b"\\u0061",
    b"\\",
    b'"',
    b"0",
    b"9" * 20,
    b"NaN",
    b"-",
    b".",
    b"e9",
    b"{",
    b"}",
]
FRAGMENTS += [b"[", b"]", b"1e400", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\x00", b"true", b"null", b'{"a":1,"a":2}']


def test_both_readers_agree_on_whatever_is_written():
    """Over objects, written in several ways and then damaged: the same value of the same types, or the same refusal."""

    def law(rng, counted):
        data = _damaged(_written(_object(rng, 3), rng), rng)
        fast = _told(data)
        try:
            careful = _told(data.decode("utf-8"))
        except UnicodeDecodeError:
            careful = "refused: it is not valid UTF-8"

        assert careful == fast, data
        counted["refused" if fast.startswith("refused") else "read"] += 1
        counted["twice" if "twice" in fast else "other"] += 1

    assert {} == enough(tried(6000, law), read=1500, refused=1500, twice=100)


def _told(data):
    try:
        return repr(parse_object(data))
    except StrictJSONError as error:
        return f"refused: {error}"


def _object(rng, depth):
    return {rng.choice(NAMES): _value(rng, depth) for _ in range(rng.randrange(4))}


def _value(rng, depth):
    if depth and rng.random() < 0.5:
        return (
            _object(rng, depth - 1) if rng.random() < 0.6 else [_value(rng, depth - 1) for _ in range(rng.randrange(3))]
        )
    return rng.choice(
        [
            True,
            False,
            None,
            rng.randrange(-5, 5),
            rng.randrange(-(2**70), 2**70),
            rng.uniform(-2, 2),
            rng.choice([0.0, -0.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308, float("nan"), float("inf")]),
            rng.random() * 10 ** rng.randrange(-300, 300),
            "".join(rng.choice('a":\\,{}\n\x1f\x7f\u00e9\u2028\U0001f600') for _ in range(rng.randrange(6))),
            "1" * rng.randrange(30),
        ]
    )


def _written(value, rng):
    separators = (",", ":") if rng.random() < 0.7 else (", ", ": ")
    return json.dumps(value, separators=separators, ensure_ascii=rng.random() < 0.3).encode("utf-8")


def _damaged(data, rng):
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        at = rng.randrange(len(data) + 1)
        kind = rng.random()
        if kind < 0.5:
            data = data[:at] + rng.choice(FRAGMENTS) + data[at:]
        elif kind < 0.7:
            data = data[:at] + data[at + 1 :]
        else:  # a member more, of which there may be one already
            data = data[:1] + b'"a":' + rng.choice([b"1", b"{}", b"[1.0]"]) + b"," + data[1:]
    return data
