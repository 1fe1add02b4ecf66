"""How commands print."""

from __future__ import annotations

import pytest

from agentid.cli.output import plain, shorten, table


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("documents/a.md", 14, "documents/a.md"),
        ("documents/letters/a.md", 14, "docu…ters/a.md"),
        ("file:///srv/data/notes/a.md", 27, "file:///srv/data/notes/a.md"),
        ("file:///srv/data/notes/a.md", 26, "file://…/notes/a.md"),
        ("file:///srv/data/notes/a.md", 18, "file://…/a.md"),
        ("file:///srv/data/notes/a.md", 12, "fil…tes/a.md"),
        ("read:postgres://db.acme:5432/crm/public/orders", 40, "read:postgres://…/public/orders"),
    ],
)
def test_what_is_too_long_keeps_what_tells_most(text, limit, expected):
    shown = shorten(text, limit)

    assert expected == shown
    assert len(shown) <= limit


@pytest.mark.parametrize("limit", range(2, 60))
def test_shortened_text_never_passes_its_limit(limit):
    for text in ("a" * 80, "read:file:///" + "b/" * 60, "x://", "://", "a://" + "c" * 90):
        assert len(shorten(text, limit)) <= limit


def test_text_from_outside_stays_on_its_line():
    assert r"a\nb\x1b[2J\u202ec" == plain("a\nb\x1b[2J\u202ec")


def test_columns_are_aligned_and_have_no_trailing_blanks():
    assert ["  a    b", "  ccc  d", "  e"] == table([("a", "b"), ("ccc", "d"), ("e", "")])
