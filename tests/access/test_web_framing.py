"""Where a request begins and ends in the bytes that are sent."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentid.access.web.framing import Framing, read_head
from agentid.errors import ConfigurationError


def framing(*fields, version="1.1"):
    return Framing(read_head("\r\n".join([f"POST /a HTTP/{version}", *fields, "", ""]).encode("latin-1"))[0])


def test_a_head_is_cut_off_what_follows():
    head, rest = read_head(b"GET /a?b HTTP/1.0\r\nHost: h\r\nX:\ty \r\n\r\nbody")

    assert ("GET", "/a?b", (("Host", "h"), ("X", "y")), True) == head
    assert b"body" == rest


def test_a_value_that_goes_on_is_one():
    head, _ = read_head(b"GET / HTTP/1.1\r\nX: a\r\n\tb\r\n c\r\n\r\n")

    assert (("X", "a b c"),) == head.headers


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\n\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"G:T / HTTP/1.1\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\0: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\nD: e\r\n\r\n",
    ],
)
def test_what_is_no_head_is_refused(text):
    with pytest.raises(ConfigurationError):
        read_head(text)


def test_without_a_length_nothing_follows():
    one = framing()

    assert one.is_over
    with pytest.raises(ConfigurationError):
        one.take(b"x")


def test_with_a_length_that_much_follows():
    one = framing("Content-Length: 3")
    one.take(b"ab")
    assert not one.is_over
    one.take(b"c")

    assert one.is_over
    with pytest.raises(ConfigurationError):
        one.take(b"d")


@pytest.mark.parametrize("length", ["", "-1", "+1", "1_0", "0x1", "1,1", "\xb2", "9" * 19])
def test_a_length_that_is_no_plain_number_is_refused(length):
    with pytest.raises(ConfigurationError):
        framing(f"Content-Length: {length}")


@pytest.mark.parametrize("fields", [("Transfer-Encoding: gzip",), ("Transfer-Encoding: chunked, identity",)])
def test_a_coding_that_is_unknown_is_refused(fields):
    with pytest.raises(ConfigurationError):
        framing(*fields)


def test_an_old_request_has_no_chunks():
    with pytest.raises(ConfigurationError):
        framing("Transfer-Encoding: chunked", version="1.0")


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5), cut=st.integers(1, 7))
def test_chunks_are_followed_however_they_are_cut(chunks, cut):
    text = b"".join(b"%X\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    one = framing("Transfer-Encoding: Chunked")
    for start in range(0, len(text), cut):
        assert not one.is_over
        one.take(text[start : start + cut])

    assert one.is_over
    with pytest.raises(ConfigurationError):
        one.take(b"G")


@pytest.mark.parametrize(
    "text",
    [
        b"0\r\n\r\nGET",
        b"0\r\nX: trailer\r\n\r\n",
        b"1;a=b\r\nx\r\n",
        b"1 \r\nx\r\n",
        b"-1\r\n",
        b"\r\n",
        b"1\nx\n",
        b"11\nx",
        b"1\r\nxy\r\n",
        b"1" * 40,
        b"0x1\r\n",
    ],
)
def test_what_is_no_plain_chunk_is_refused(text):
    with pytest.raises(ConfigurationError):
        framing("Transfer-Encoding: chunked").take(text)


def test_after_a_change_of_protocol_anything_follows():
    one = framing("Upgrade: websocket")
    assert one.is_over
    one.is_anything = True
    one.take(b"whatever")

    assert not one.is_over
