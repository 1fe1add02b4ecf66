"""
JSON read strictly: what two readers could understand differently is refused.

`json` accepts duplicate members (the last wins), `NaN`, UTF-16, lone surrogates and numbers of any
length. In a signed document each is a way to be read as one thing here and as another there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final

__all__ = ["StrictJSONError", "has_long_number", "parse_object"]

_MAX_DIGITS: Final = 20
"""A sign and 63 bits, which is as far as constraints go."""

# Texts with a number of so many digits, or a string of them, are left to the slower reader.
_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * _MAX_DIGITS


class StrictJSONError(Exception):
    """The text is not JSON that everyone reads alike. Never leaves `agentid.identity`; its text is a fixed phrase."""


def parse_object(data: bytes | str) -> dict[str, Any]:
    """
    Read one JSON object.

    Raises:
        StrictJSONError: It is not UTF-8, not JSON, not an object, too deep, repeats a member, or has a
            number or text that not every reader understands alike.
    """
    # INVARIANT: what is read fast would be read as the same below. What is written from a value repeats no member and
    # has nothing that is not JSON, so neither has a text that equals it, as the text of nearly every token does.
    if isinstance(data, bytes) and not has_long_number(data):
        read, write = _fast_json()
        # Strings are not kept for the next text: nearly all differ, and looking them up costs more than making them.
        try:
            value: dict[str, Any] = read(data, allow_inf_nan=False, cache_strings="none")
            if isinstance(value, dict) and write(value) == data:  # pyright: ignore[reportUnnecessaryIsInstance]
                return value
        except ValueError:
            pass  # what is wrong with it is found out below
    return _parse_strictly(data)


def has_long_number(data: bytes) -> bool:
    """Say whether there are so many digits in a row that it could be a number that not every reader understands."""
    return _LONG_NUMBER in data.translate(_DIGITS_ALIKE)


def _parse_strictly(data: bytes | str) -> dict[str, Any]:
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        text = text.strip(" \t\r\n")
        value: dict[str, Any]
        value, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise StrictJSONError("it is not valid JSON")
        # `ensure_ascii=False` never needs an escape for text beyond ASCII, so this costs ordinary tokens nothing.
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise StrictJSONError("it is not valid UTF-8") from None
    except (ValueError, RecursionError):
        raise StrictJSONError("it is not valid JSON") from None
    if not isinstance(value, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StrictJSONError("it is not a JSON object")
    return value


@cache
def _fast_json() -> tuple[Callable[..., Any], Callable[[Any], bytes]]:
    from pydantic_core import from_json, to_json  # comes with pydantic, which the first token loads anyway

    return from_json, to_json


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJSONError("it has a member twice")
    return members


def _refuse(_constant: str) -> Any:
    raise StrictJSONError("it has a number that is not finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise StrictJSONError("it has a number that is not finite")
    return number


def _short(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise StrictJSONError("it has a number that is too long")
    return int(text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite, parse_int=_short
)
