"""
One segment of a resource: which text may stand there, and how it is written.

A segment is compared character by character, so text that some server, file system or reader might take for
other text is refused, never repaired.

Rules:

- Written segments are percent-decoded once, then brought to Unicode NFC.
- Refused: empty and dot segments; separators and the wildcard, also in any number of encodings or in a look-alike
  character; control and invisible characters; a space at either end.
- Refused everywhere: half a character (a lone surrogate), and text that is slow to normalise.

This module knows nothing of schemes, hosts and paths; those are in `resource`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from agentid.errors import ConfigurationError, quote

__all__ = ["MAX_LENGTH", "Part", "Wild", "decode", "literal_segment", "nfc", "plain_text", "read_literal", "read_part"]

MAX_LENGTH: Final = 4096
"""Longest segment, and longest resource, in decoded characters. Paths of file systems and keys of object stores fit."""

_MAX_UNNORMALISED: Final = 64 * 1024
_MAX_MARKS: Final = 30  # on one letter; the limit of Unicode's Stream-Safe Text Format (UAX #15)

_MAX_DECODINGS: Final = 5

_PLAIN = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9_@+.-]*")  # nothing odd in it: a shortcut, not a rule
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS: Final = frozenset({".", ".."})
_STRUCTURE: Final = ("/", "\\", "*", "%", "{", "}")
# Printable to Python and yet not to be seen: Default_Ignorable_Code_Point, and the blank of Braille.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Strokes that pass for `/`, `\` and `*` and that compatibility normalisation leaves alone.
_STROKES = re.compile("[\u2044\u204e\u2215-\u2217\u2571\u2572\u27cb\u27cd\u29f5\u29f8\u29f9]")


class Wild(NamedTuple):
    """A segment of a pattern with one `*`: text that starts with *prefix* and ends with *suffix*."""

    prefix: str
    suffix: str

    def matches(self, text: str) -> bool:
        """Whether *text* is in the set; a whole-segment `*` wants at least one character."""
        prefix, suffix = self
        if not prefix and not suffix:
            return bool(text)
        return len(text) >= len(prefix) + len(suffix) and text.startswith(prefix) and text.endswith(suffix)

    def __str__(self) -> str:
        return f"{encode(self.prefix)}*{encode(self.suffix)}"


Part = str | Wild


def plain_text(text: object, noun: str) -> str:
    """
    Give *text* as an exact `str`: a subclass may lie about its characters.

    Raises:
        ConfigurationError: It is not text; the message says that it is no *noun*.
    """
    if type(text) is str:
        return text
    if issubclass(type(text), str):
        return str.__str__(cast("str", text))
    article = "an" if noun[0] in "aeiou" else "a"
    raise ConfigurationError(f"not {article} {noun}: {quote(type(text).__name__)}", why="it must be text")


def nfc(text: str) -> str:
    """
    Bring *text* to Unicode NFC.

    Raises:
        ConfigurationError: It holds half a character, or normalising it would take time that grows with the
            square of its length.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refuse("text", text, "it holds half a character") from None
    if unicodedata.is_normalized("NFC", text):
        return text
    if len(text) > _MAX_UNNORMALISED:
        raise _refuse("text", text, f"it is longer than {_MAX_UNNORMALISED} characters and not in Unicode NFC")
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MAX_MARKS:
            raise _refuse("text", text, f"a letter has more than {_MAX_MARKS} accents")
    return unicodedata.normalize("NFC", text)


def literal_segment(text: str) -> str:
    """
    Check that *text* can stand as one segment, literally, and bring it to NFC.

    Raises:
        ConfigurationError: It is empty, a dot segment, too long, holds a separator, a wildcard or an
            invisible character, or would hold one once more decoded or compatibility-normalised.
    """
    if type(text) is not str:
        text = plain_text(text, "resource")
    if len(text) > MAX_LENGTH:
        raise _refuse("resource", text, f"it is longer than {MAX_LENGTH} characters")
    if not _PLAIN.fullmatch(text):
        text = nfc(text)
        why = _oddness(text)
        if why:
            raise _refuse("resource", text, why)
    return text


def read_literal(raw: str, whole: str, noun: str) -> str:
    """
    Read one written segment of *whole* that stands for itself.

    Raises:
        ConfigurationError: It is odd; the message says that *whole* is no *noun*.
    """
    if _PLAIN.fullmatch(raw):
        return raw
    if "*" in raw:
        raise _refuse(noun, whole, "a resource is one thing, wildcards belong into permissions")
    text = decode(raw, whole, noun)
    why = _oddness(text)
    if why:
        raise _refuse(noun, whole, why)
    return text


def read_part(raw: str, whole: str, noun: str) -> Part:
    """
    Read one written segment of a pattern, the final `**` excepted.

    Raises:
        ConfigurationError: It is odd, or has wildcards that do not exist.
    """
    if "*" not in raw:
        return read_literal(raw, whole, noun)
    if "**" in raw:
        raise _refuse(noun, whole, "`**` stands only at the end, as a whole segment")
    if raw.count("*") > 1:
        raise _refuse(noun, whole, "a segment holds at most one `*`")
    prefix, suffix = (decode(piece, whole, noun) for piece in raw.split("*"))
    # With the star stretched over one plain character, what is left must be an ordinary name.
    why = _oddness(f"{prefix}x{suffix}")
    if why:
        raise _refuse(noun, whole, why)
    return Wild(prefix, suffix)


def decode(raw: str, whole: str, noun: str) -> str:
    """
    Decode one written segment, once.

    Raises:
        ConfigurationError: An encoding is broken or hides bytes that are no text.
    """
    if "%" in raw:
        if _PERCENT.search(raw):
            raise _refuse(noun, whole, "`%` must begin a percent-encoded byte; write `%25` for a percent sign")
        try:
            raw = unquote_to_bytes(raw).decode()
        except UnicodeError:  # of the bytes, or of half a character beside them
            raise _refuse(noun, whole, "the percent-encoded bytes are not UTF-8") from None
    return nfc(raw)


def encode(text: str) -> str:
    """Write a segment so that `decode` gives it back."""
    if "%" in text or "{" in text or "}" in text:
        text = text.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return text


def _oddness(text: str) -> str:
    """Say why *text* is no literal segment, or nothing if it is one."""
    why = _oddness_as_written(text)
    if not why and "%" in text:
        why = _oddness_decoded(text)
    if not why and not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        why = _oddness_decoded(plain) if "%" in plain else ""
    return why


def _oddness_decoded(text: str) -> str:
    # What would become a separator once somebody below decodes it, again and again, is one in disguise.
    for _ in range(_MAX_DECODINGS):
        try:
            decoded = unquote_to_bytes(text).decode()
        except UnicodeDecodeError:
            return "it hides bytes that are no UTF-8 in percent-encoding"
        if decoded == text:
            return ""
        text = decoded
        why = _oddness_as_written(text)
        if why:
            return f"it is percent-encoded, and decoded {why}"
    return f"it is percent-encoded more than {_MAX_DECODINGS - 1} times over"


def _oddness_as_written(text: str) -> str:
    if not text:
        return "a segment is empty"
    if not text.isprintable():
        return "it holds a control or invisible character"
    if text[0] == " " or text[-1] == " ":
        return "a segment begins or ends with a space"
    if "/" in text or "*" in text or "\\" in text:
        return "a value names exactly one segment, so `/`, `\\` and `*` are not allowed in it"
    if _is_dots(text):
        return "`.` and `..` are no names"
    if text.isascii():
        return ""
    if _INVISIBLE.search(text):
        return "it holds an invisible character"
    plain = unicodedata.normalize("NFKC", text)
    if _is_dots(plain) or _STROKES.search(text) or any(plain.count(c) > text.count(c) for c in _STRUCTURE):
        return "it holds a look-alike of a separator, a wildcard or a dot segment"
    return ""


def _is_dots(text: str) -> bool:
    # Some servers cut a segment at `;`, so `..;x` is `..` to them.
    return text[:1] == "." and text.partition(";")[0] in _DOTS


def _refuse(noun: str, text: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"not a {noun}: {quote(text)}", why=why)
