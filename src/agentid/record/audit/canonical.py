"""
Canonical JSON (RFC 8785): one value, one sequence of bytes.

- Text, whole numbers, `true`, `false`, `null`, lists and objects. No floats: two programs may print one differently.
- Whole numbers stay within what every JSON reader keeps exact, ±(2^53 - 1).
- A lone surrogate, which no UTF-8 can carry, becomes U+FFFD, so that an odd string never stops a record.

The standard library prints; its output for sorted keys is what RFC 8785 asks for once there are no floats, except
for the order of keys beyond U+FFFF, which is done here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, Final, cast

__all__ = ["MAX_INTEGER", "canonical", "quote_text", "well_formed"]

MAX_INTEGER: Final = 2**53 - 1

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)

# What `_ENCODER.encode` does with text, without its detours: each record quotes twenty texts.
quote_text: Final = encode_basestring
"""Text as a JSON string, quotes included. Not yet without lone surrogates."""


def well_formed(text: str) -> str:
    """Replace each lone surrogate by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def canonical(value: object) -> bytes:
    """
    Print *value* the one way that RFC 8785 allows.

    Raises:
        ValueError: It has a float, a whole number that is too large, a key that is no text or is there twice, or
            something that is no JSON at all.
    """
    return _ENCODER.encode(_ordered(value)).encode("utf-8")


def _ordered(value: object) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise ValueError("a whole number beyond 2^53 - 1 is not exact for every reader of JSON")
        return int(value)
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in cast("list[object]", value)]
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        if not all(isinstance(key, str) for key in members):
            raise ValueError("a key is no text")
        named = {well_formed(cast("str", key)): member for key, member in members.items()}
        if len(named) != len(members):
            raise ValueError("a key is there twice")
        # RFC 8785 orders keys by their UTF-16 code units.
        return {key: _ordered(named[key]) for key in sorted(named, key=lambda key: key.encode("utf-16-be"))}
    raise ValueError(f"a {type(value).__name__} cannot be written in canonical JSON")
