"""
Signed notes (c2sp.org/signed-note): text, a blank line, and lines with signatures. Ed25519 only.

```text
urn:x-agentid:audit:chain:20261125T094812Z-4711-9f86d081884c7d65
4711
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— urn:x-agentid:audit:chain:20261125T094812Z-4711-9f86d081884c7d65 Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp…
```

The key id is short and no proof of anything: it only says which key to try. A signature by an unknown key is
ignored; one by a known key that does not verify spoils the whole note.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from agentid.signing import ED25519, PublicKey, Signer

__all__ = ["Note", "NoteError", "NoteSignature", "key_id", "open_note", "parse_note", "sign_note", "vkey"]

ED25519_TYPE: Final = b"\x01"
MAX_SIGNATURES: Final = 16

_DASH: Final = "\u2014"
_NAME: Final = re.compile(r"[^\s+]+")
_SIGNATURE: Final = re.compile(rf"{_DASH} ([^\s+]+) ([A-Za-z0-9+/]+={{0,2}})")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteError(Exception):
    """Not a signed note, or not signed by a key that is trusted; the text says which."""


class NoteSignature(NamedTuple):
    """One line with a signature."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A note that was read, and not verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


def raw_key(jwk: Mapping[str, str]) -> bytes:
    """The 32 bytes of an Ed25519 public key."""
    return urlsafe_b64decode(jwk["x"] + "=")


def key_id(name: str, jwk: Mapping[str, str]) -> bytes:
    """The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key)."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519_TYPE + raw_key(jwk)).digest()[:4]


def vkey(name: str, jwk: Mapping[str, str]) -> str:
    """A verifier key as other tools take it: `<name>+<key id>+<base64 of 0x01 ‖ key>`."""
    return f"{name}+{key_id(name, jwk).hex()}+{b64encode(ED25519_TYPE + raw_key(jwk)).decode()}"


def sign_note(text: str, name: str, signer: Signer) -> str:
    """Sign *text*, which ends with a line break, under a key *name*."""
    signature = key_id(name, signer.public_jwk) + signer.sign(text.encode())
    return f"{text}\n{_DASH} {name} {b64encode(signature).decode()}\n"


def parse_note(note: str) -> Note:
    """
    Take a note apart.

    Raises:
        NoteError: It is not one.
    """
    text, blank, signed = note.rpartition("\n\n")
    if not blank or not text or not signed.endswith("\n") or _CONTROL.search(note):
        raise NoteError("it is not a text, a blank line and signatures")
    lines = signed[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"it has more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple(map(_signature, lines)))


def open_note(note: str, name: str, keys: Iterable[PublicKey]) -> str:
    """
    Verify a note and give its text.

    Args:
        note: Text, blank line, signatures.
        name: The key name under which it must be signed.
        keys: Those that are trusted.

    Raises:
        NoteError: It is no note, no trusted key signed it, or a signature of a trusted key is wrong.
    """
    read = parse_note(note)
    if _NAME.fullmatch(name) is None:
        raise NoteError("the name of its key is not one")
    known = [(key_id(name, key.jwk), key) for key in keys if key.alg == ED25519]
    data, verified = read.text.encode(), False
    for line in read.signatures:
        for identifier, key in known:
            if line.name == name and line.key_id == identifier:
                if not key.verify(data, line.signature):
                    raise NoteError("its signature is wrong")
                verified = True
    if not verified:
        raise NoteError("no trusted key signed it")
    return read.text


def _signature(line: str) -> NoteSignature:
    found = _SIGNATURE.fullmatch(line)
    if found is None:
        raise NoteError("a signature line is malformed")
    try:
        decoded = b64decode(found[2], validate=True)
    except Base64Error:
        raise NoteError("a signature line is malformed") from None
    if len(decoded) <= 4 or b64encode(decoded).decode() != found[2]:
        raise NoteError("a signature line is malformed")
    return NoteSignature(found[1], decoded[:4], decoded[4:])
