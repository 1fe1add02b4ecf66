"""Canonical JSON is byte for byte what another implementation of RFC 8785 writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentid.record.audit.canonical import MAX_INTEGER, canonical, quote_text, well_formed

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

rfc8785 = pytest.importorskip("rfc8785")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@relaxed
@given(VALUES)
def test_it_is_what_another_implementation_writes(value):
    assert rfc8785.dumps(value) == canonical(value)


@relaxed
@given(VALUES)
def test_it_reads_back_as_the_same_value_and_is_its_own_canonical_form(value):
    once = canonical(value)

    assert value == json.loads(once)
    assert once == canonical(json.loads(once))


@pytest.mark.parametrize(
    "value",
    [
        {"\ufb33": 1, "\U0001f600": 2, "a": 3, "\r": 4, "1": 5, "\x80": 6, "ö": 7, "€": 8},
        {"": {"": ""}, "\u2028": '\u2029\x7f\x1f\b\f\n\r\t"\\/'},
        [MAX_INTEGER, -MAX_INTEGER, 0, True, False, None],
        {chr(c): c for c in range(0x20)},
    ],
    ids=["keys in UTF-16 order", "escapes", "numbers", "control characters"],
)
def test_the_examples_of_the_standard_are_written_as_it_says(value):
    assert rfc8785.dumps(value) == canonical(value)


@relaxed
@given(TEXT)
def test_quoted_text_is_canonical(text):
    assert canonical(text) == quote_text(text).encode()


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**53, {1: 2}, b"x", {"a": {1, 2}}, object()])
def test_what_two_programs_may_write_differently_is_refused(value):
    with pytest.raises(ValueError):
        canonical(value)


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb", "\ude00\ud83d"])
def test_a_lone_surrogate_is_replaced_visibly(text):
    written = canonical({"odd": text})

    assert "\ufffd" in json.loads(written)["odd"]
    assert well_formed(text) == json.loads(written)["odd"]


def test_two_keys_that_become_the_same_are_refused():
    with pytest.raises(ValueError, match="twice"):
        canonical({chr(0xD800): 1, chr(0xDC00): 2})
