"""The names of what libraries touch: an address is one place, or none."""

from __future__ import annotations

import pytest

from agentid.access.places import web_resource
from agentid.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("http://a.example", "http://a.example"),
        ("HTTP://A.example:80/", "http://a.example"),
        ("https://a.example:443/b/?c=d#e", "https://a.example/b"),
        ("http://ada:secret@a.example:8080/b", "http://a.example:8080/b"),
        ("http://[::1]:8080/b", "http://[::1]:8080/b"),
        ("http://b\u00fccher.example/a%20b", "http://xn--bcher-kva.example/a b"),
        ("wss://a.example/b", "wss://a.example/b"),
        ("ftp://a.example/b", "ftp://a.example/b"),
        ("http://a.example/b?c=\\", "http://a.example/b"),
    ],
)
def test_an_address_is_named_without_what_is_no_place(url, resource):
    assert resource == str(web_resource(url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/b",
        "a.example/b",
        "http:///b",
        "http://a.example:port/b",
        "http://a.example:0/b",
        "http://a.example:99999/b",
        "http://[::1/b",
        "http://[fe80::1%25eth0]/b",
        "http://a.exam\nple/b",
        "http://a.example/b\tc",
        "http://a.example\\@b.example/c",
        "http:\\a.example/c",
        "http://127.1/b",
        "http://0x7f000001/b",
        "http://a.example/b//c",
        "http://a.example/b/../c",
        "http://a.example/*",
        "http://a.example/%2e%2e/c",
        "http://a..example/c",
        "http://\u00fc..example/c",
        "http://a.example\u3002b/../c",
    ],
)
def test_what_could_be_another_place_is_refused(url):
    with pytest.raises(ConfigurationError):
        web_resource(url)
