"""
The key file of an authority: one private key for each use, and the public keys that were replaced.

```text
agentid-trust-domain: acme.example
agentid-sequence: 3

agentid-use: wit-svid
-----BEGIN PRIVATE KEY-----
…

agentid-retired: wit-svid until 2026-11-26T12:00:00Z
-----BEGIN PUBLIC KEY-----
…
```

All keys stand in one file, so that an authority is one thing to keep, to back up and to lose. The file
is read strictly: every use once, every key once, and nothing that is not understood.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from agentid import names
from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.agent_id import parse_trust_domain
from agentid.identity.keys.file_lock import locked
from agentid.identity.keys.key_ring import KeyRing, RetiredKey, algorithm
from agentid.identity.keys.public_pem import public_key_from_pem, public_key_to_pem
from agentid.identity.private_file import read_private, write_private
from agentid.signing import PrivateKey

__all__ = ["change_keys", "load_or_create_keys", "read_keys"]

MAX_SIZE: Final = 64 * 1024

_WHAT: Final = "key file"
_NOTE: Final = "# The private keys of an agentid authority. Whoever has them can be any agent.\n"
_TRUST_DOMAIN: Final = re.compile(r"agentid-trust-domain: *(.*?) *")
_SEQUENCE: Final = re.compile(r"agentid-sequence: *([1-9][0-9]{0,14}) *")
_USE: Final = re.compile(r"agentid-use: *(.*?) *")
_RETIRED: Final = re.compile(r"agentid-retired: *(.*?)(?: +until +(.*?))? *")
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_PRIVATE: Final = "PRIVATE KEY"
_PUBLIC: Final = "PUBLIC KEY"


def load_or_create_keys(path: str | os.PathLike[str], *, trust_domain: str, complete: bool = False) -> KeyRing:
    """
    Give the keys in the file; make the file with new keys when it is missing.

    Processes that do this at the same time all get the same keys.

    Args:
        path: The file.
        trust_domain: Whose keys they are, in lower case. It is written into a file that does not say so yet.
        complete: Add a key for each use that came up after the file was written.

    Raises:
        ConfigurationError: The file cannot be read or written, others can get at it, it does not hold exactly one key
            for each use, or its keys are another trust domain's.
    """
    if not os.path.lexists(path):
        keys = KeyRing.generate(trust_domain)
        if write_private(path, _format(keys), what=_WHAT):
            return keys
        # Somebody else was first: theirs are the keys.

    def wanted(ring: KeyRing) -> KeyRing:
        ring = ring.of(trust_domain)
        if ring.trust_domain != trust_domain:
            raise ConfigurationError(
                _refused(path),
                why=f"its keys are those of {quote(ring.trust_domain)}, and never another trust domain's, such as "
                f"{quote(trust_domain)}",
                fix="Open it for its own trust domain, or make another file",
            )
        return ring.completed() if complete else ring

    keys = read_keys(path)
    if wanted(keys) is keys:
        return keys
    try:
        return change_keys(path, wanted)
    except ConfigurationError as error:
        fix = f"Write the line {quote(_trust_domain(trust_domain))} into it" if not keys.trust_domain else ""
        raise ConfigurationError(error.what, why=error.why, fix=error.fix or fix) from None


def read_keys(path: str | os.PathLike[str]) -> KeyRing:
    """
    Give the keys in the file.

    Raises:
        ConfigurationError: The file cannot be read, others can get at it, or it does not hold exactly one
            key for each use.
    """
    return _Reader(path).read(read_private(path, what=_WHAT, max_size=MAX_SIZE))


def change_keys(path: str | os.PathLike[str], change: Callable[[KeyRing], KeyRing]) -> KeyRing:
    """
    Replace the keys in the file by what *change* makes of them, and give those.

    Several processes that do so at the same time do it one after the other, each to what the one before wrote.
    Whoever reads meanwhile gets the old keys or the new ones.

    Raises:
        ConfigurationError: The file cannot be read or written, or *change* refuses.
    """
    # Where the path is a link, what it leads to is replaced, and not the link.
    file = Path(os.path.realpath(path))
    with locked(file, what=_WHAT):
        keys = change(read_keys(path))
        write_private(file, _format(keys), what=_WHAT, overwrite=True)
    return keys


def _format(keys: KeyRing) -> bytes:
    whose = f"{_trust_domain(keys.trust_domain)}\n" if keys.trust_domain else ""
    blocks = [_NOTE + whose + f"agentid-sequence: {keys.sequence}\n"]
    for use, key in keys.signers.items():
        # What is in a file was made in it: a key that is kept elsewhere never comes here.
        blocks.append(f"agentid-use: {use}\n{cast('PrivateKey', key).to_pem().decode('ascii')}")
    for retired in keys.retired:
        until = "" if retired.until is None else f" until {_time(retired.until)}"
        blocks.append(f"agentid-retired: {retired.key.use}{until}\n{public_key_to_pem(retired.key).decode('ascii')}")
    return "\n".join(blocks).encode("ascii")


def _trust_domain(name: str) -> str:
    return f"agentid-trust-domain: {name}"


def _refused(path: str | os.PathLike[str]) -> str:
    return f"The {_WHAT} {quote(os.fspath(path))} was refused"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime(_TIME)


@dataclass(slots=True)
class _Reader:
    """Reads one key file, from its first line to its last."""

    path: str | os.PathLike[str]
    keys: dict[str, PrivateKey] = field(default_factory=dict[str, PrivateKey])
    retired: list[RetiredKey] = field(default_factory=list[RetiredKey])
    sequence: int | None = None
    trust_domain: str = ""

    def read(self, data: bytes) -> KeyRing:
        try:
            lines = iter(data.decode("ascii").splitlines())
        except UnicodeDecodeError:
            raise self.bad("it is not text") from None
        for line in lines:
            if found := _SEQUENCE.fullmatch(line):
                self.number(int(found[1]))
            elif found := _TRUST_DOMAIN.fullmatch(line):
                self.bind(found[1])
            elif found := _USE.fullmatch(line):
                self.add_key(found[1], self.block(lines, _PRIVATE, found[1]))
            elif found := _RETIRED.fullmatch(line):
                self.add_retired(found[1], found[2], self.block(lines, _PUBLIC, found[1]))
            elif line.strip() and not line.startswith("#"):
                raise self.bad("it has a line that is neither a label nor a key")
        # Files that were written before there were lists of statuses have no key for them.
        missing = [use for use in names.KEY_USES if use not in self.keys and use != names.STATUS_USE]
        if missing:
            raise self.bad(f"it has no key for `{missing[0]}`")
        try:
            return KeyRing(
                MappingProxyType({use: self.keys[use] for use in names.KEY_USES if use in self.keys}),
                tuple(self.retired),
                # A file from before keys could be replaced has no number: it is in its first state.
                self.sequence or 1,
                self.trust_domain,
            )
        except CredentialError:
            raise self.bad("it has one key for two uses, or twice") from None

    def number(self, number: int) -> None:
        if self.sequence is not None:
            raise self.bad("it has two numbers")
        self.sequence = number

    def bind(self, trust_domain: str) -> None:
        try:
            is_one = parse_trust_domain(trust_domain) == trust_domain
        except CredentialError:
            is_one = False
        if not is_one or self.trust_domain:
            raise self.bad("it does not name one trust domain, as in `acme.example`")
        self.trust_domain = trust_domain

    def add_key(self, use: str, pem: bytes) -> None:
        if use in self.keys:
            raise self.bad(f"it has two keys for `{use}`")
        try:
            key = PrivateKey.from_pem(pem)
        except ConfigurationError as error:
            raise self.bad(f"of its key for `{use}`, {error.why}") from None
        self.check_algorithm(key.alg, use)
        self.keys[use] = key

    def add_retired(self, use: str, until: str | None, pem: bytes) -> None:
        # Written so, because a key that ends where it must not, or does not where it must, changes what is trusted.
        if (until is None) != (use == names.AUDIT_USE):
            raise self.bad("a replaced key has an end, except that of the audit log, which has none")
        try:
            key = public_key_from_pem(pem, use=use)
        except ConfigurationError as error:
            raise self.bad(f"of a replaced key for `{use}`, {error.why}") from None
        except CredentialError as error:
            raise self.bad(f"of a replaced key for `{use}`, {error.why}") from None
        self.check_algorithm(key.alg, use)
        self.retired.append(RetiredKey(key, None if until is None else self.seconds(until)))

    def seconds(self, text: str) -> int:
        try:
            seconds = int(datetime.strptime(text, _TIME).replace(tzinfo=timezone.utc).timestamp())
        except (ValueError, OverflowError):
            seconds = -1
        if seconds < 0 or _time(seconds) != text:
            raise self.bad("the end of a replaced key is not a time such as `2026-11-26T12:00:00Z`")
        return seconds

    def check_algorithm(self, alg: str, use: str) -> None:
        if alg != algorithm(use):
            raise self.bad(f"its key for `{use}` is not for `{algorithm(use)}`")

    def block(self, lines: Iterator[str], kind: str, use: str) -> bytes:
        """Give the PEM block that follows a label."""
        if use not in names.KEY_USES:
            raise self.bad(f"it has a key for {quote(use)}, which is not a use")
        block: list[str] = []
        for line in lines:
            if not block and (not line.strip() or line.startswith("#")):
                continue
            if not block and line != f"-----BEGIN {kind}-----":
                raise self.bad("it has a line that is neither a label nor a key")
            block.append(line)
            if line == f"-----END {kind}-----":
                return "\n".join([*block, ""]).encode("ascii")
        raise self.bad(f"of its key for `{use}`, the end is missing" if block else f"its label {quote(use)} has no key")

    def bad(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            _refused(self.path),
            why=why,
            fix="Restore it from a backup, or move it away: a new authority is made, and agents of the old one are "
            "refused",
        )
