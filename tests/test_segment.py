"""Which text may stand as one segment of a resource; the vectors are in `conformance/resources.json`."""

from __future__ import annotations

import enum
import time
import unicodedata

import pytest

from agentid.errors import ConfigurationError
from agentid.segment import MAX_LENGTH, Wild, decode, encode, literal_segment, nfc, plain_text


class Liar(str):
    """Text that says something else about itself than what it holds."""

    __slots__ = ()

    def __str__(self):
        return "lie"

    def __eq__(self, other):
        return True

    def __hash__(self):
        return hash("lie")

    def __len__(self):
        return 3

    def __contains__(self, part):
        return False

    def partition(self, separator):
        return "lie", "", ""

    def split(self, *args):
        return ["lie"]

    def isprintable(self):
        return True

    def isascii(self):
        return True


@pytest.mark.parametrize(
    "text", ["c-42", "Zoë", "ada@acme.example", "a b", "100%", "{id}", "a?b#c", "日本語", "x" * MAX_LENGTH]
)
def test_an_ordinary_value_is_itself(text):
    assert text == literal_segment(text)


def test_a_value_comes_out_in_nfc():
    assert "caf\u00e9" == literal_segment("cafe\u0301")
    assert "caf\u00e9" == literal_segment("caf\u00e9")


def test_a_value_is_never_decoded():
    """A value is a literal: whoever means a space passes a space."""
    assert "a%20b" == literal_segment("a%20b")


def test_a_value_longer_than_a_resource_is_refused():
    with pytest.raises(ConfigurationError, match="longer than 4096 characters"):
        literal_segment("x" * (MAX_LENGTH + 1))


def test_a_value_encoded_too_often_to_look_into_is_refused():
    """Four times is looked into, more is refused unseen: looking further would take time without end."""
    assert "%252525" == literal_segment("%252525")
    with pytest.raises(ConfigurationError, match="more than 4 times over"):
        literal_segment("%" + "25" * 6)


@pytest.mark.parametrize("value", [None, 5, 5.0, True, b"c-42", ["c-42"], ("c-42",), object(), {"a": 1}])
def test_a_value_that_is_no_text_is_refused(value):
    with pytest.raises(ConfigurationError, match="it must be text"):
        literal_segment(value)


def test_a_subclass_of_text_counts_as_the_characters_it_holds():
    """What it says about itself does not matter, neither when it is harmless nor when it is not."""
    word = literal_segment(Liar("c-42"))

    assert str is type(word)
    assert ["c", "-", "4", "2"] == list(word)
    with pytest.raises(ConfigurationError):
        literal_segment(Liar("../hr"))


def test_an_enum_of_text_counts_as_its_value():
    class Table(str, enum.Enum):
        ORDERS = "orders"

    assert "orders" == literal_segment(Table.ORDERS)
    assert str is type(literal_segment(Table.ORDERS))


def test_what_is_no_text_is_named_by_what_was_wanted():
    with pytest.raises(ConfigurationError, match="not an action: `int`"):
        plain_text(5, "action")
    with pytest.raises(ConfigurationError, match="not a host: `bytes`"):
        plain_text(b"acme", "host")


def test_an_object_that_pretends_to_be_text_is_refused():
    class Pretender:
        __class__ = str

    with pytest.raises(ConfigurationError, match="it must be text"):
        literal_segment(Pretender())


def test_half_a_character_is_refused():
    for half in ("\ud800", "a\udfffb"):
        with pytest.raises(ConfigurationError, match="half a character"):
            nfc(half)


@pytest.mark.parametrize(
    "text", ["plain", "caf\u00e9", "cafe\u0301", "\u1100\u1161", "a" + "\u0301" * 30, "a\u0301" * 100]
)
def test_nfc_is_that_of_unicode(text):
    assert unicodedata.normalize("NFC", text) == nfc(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0327\u0301" * 16,
        "a" + "\u0327\u0301" * 500_000,
        "a\u0301" * 500_000,
    ],
    ids=["32 accents", "a million accents", "a million characters"],
)
def test_text_that_is_slow_to_normalise_is_refused_at_once(text):
    """Sorting the accents of one letter takes time that grows with the square of their number."""
    start = time.process_time()
    with pytest.raises(ConfigurationError):
        nfc(text)

    assert time.process_time() - start < 0.1


def test_long_text_in_nfc_needs_no_normalising():
    text = "ä" * 1_000_000

    assert text is nfc(text)


@pytest.mark.parametrize("text", ["plain", "100%", "%2F", "{id}", "}{", "%7B", "a b", "caf\u00e9"])
def test_what_is_written_reads_back(text):
    assert text == decode(encode(text), "whole", "resource")


def test_braces_are_never_written_plain():
    """In a template they mean an argument."""
    assert "%7Bid%7D" == encode("{id}")


def test_a_broken_encoding_names_the_whole_text():
    with pytest.raises(ConfigurationError, match=r"not a resource: `a/%4`: `%` must begin a percent-encoded byte"):
        decode("%4", "a/%4", "resource")
    with pytest.raises(ConfigurationError, match=r"not a resource: `a/%ff`: the percent-encoded bytes are not UTF-8"):
        decode("%ff", "a/%ff", "resource")
    with pytest.raises(ConfigurationError, match="the percent-encoded bytes are not UTF-8"):
        decode("%41\ud800", "a/%41\ud800", "resource")


@pytest.mark.parametrize(
    ("wild", "text", "expected"),
    [
        (Wild("", ""), "a", True),
        (Wild("", ""), "", False),
        (Wild("a", ""), "a", True),
        (Wild("a", ""), "ba", False),
        (Wild("", "a"), "a", True),
        (Wild("", "a"), "ab", False),
        (Wild("ab", "ba"), "abba", True),
        (Wild("ab", "ba"), "aba", False),
        (Wild("ab", "ba"), "abxba", True),
        (Wild("ab", "ba"), "abx", False),
        (Wild("ab", "ba"), "xba", False),
    ],
)
def test_a_star_stands_for_what_is_between_beginning_and_end(wild, text, expected):
    """Alone it stands for something, within a segment perhaps for nothing."""
    assert expected == wild.matches(text)


def test_a_star_is_written_between_encoded_ends():
    assert "100%25*%7D" == str(Wild("100%", "}"))
