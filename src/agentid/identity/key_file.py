"""
The key file of an authority: one private key for each use, as labelled PEM blocks.

```text
agentid-use: wit-svid
-----BEGIN PRIVATE KEY-----
…
```

All keys stand in one file, so that an authority is one thing to keep, to back up and to lose. The file
is read strictly: every use once, every key once, and nothing that is not understood.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from agentid import names
from agentid.errors import ConfigurationError, quote
from agentid.identity.private_file import read_private, write_private
from agentid.signing import ED25519, ES256, PrivateKey

__all__ = ["generate_keys", "load_or_create_keys"]

MAX_SIZE: Final = 64 * 1024

_WHAT: Final = "key file"
_LABEL: Final = "agentid-use:"
_BEGIN: Final = "-----BEGIN PRIVATE KEY-----"
_END: Final = "-----END PRIVATE KEY-----"
_NOTE: Final = "# The private keys of an agentid authority. Whoever has them can be any agent.\n"


def generate_keys() -> Mapping[str, PrivateKey]:
    """Make a new key for each use."""
    return MappingProxyType({use: PrivateKey.generate(_alg(use)) for use in names.KEY_USES})


def load_or_create_keys(path: str | os.PathLike[str]) -> Mapping[str, PrivateKey]:
    """
    Give the keys in the file, by use; make the file with new keys when it is missing.

    Processes that do this at the same time all get the same keys.

    Raises:
        ConfigurationError: The file cannot be read or written, others can get at it, or it does not
            hold exactly one key for each use.
    """
    if not os.path.lexists(path):
        keys = generate_keys()
        if write_private(path, _format(keys), what=_WHAT):
            return keys
        # Somebody else was first: theirs are the keys.
    return _parse(read_private(path, what=_WHAT, max_size=MAX_SIZE), path)


def _alg(use: str) -> str:
    # The audit log signs with an algorithm of its own, so that no audit signature can pass for a token's.
    return ED25519 if use == names.AUDIT_USE else ES256


def _format(keys: Mapping[str, PrivateKey]) -> bytes:
    blocks = (f"{_LABEL} {use}\n{key.to_pem().decode('ascii')}" for use, key in keys.items())
    return (_NOTE + "\n".join(blocks)).encode("ascii")


def _parse(data: bytes, path: str | os.PathLike[str]) -> Mapping[str, PrivateKey]:
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise _bad(path, "it is not text") from None
    keys: dict[str, PrivateKey] = {}
    for use, pem in _blocks(iter(lines), path):
        if use not in names.KEY_USES:
            raise _bad(path, f"it has a key for {quote(use)}, which is not a use")
        if use in keys:
            raise _bad(path, f"it has two keys for `{use}`")
        try:
            key = PrivateKey.from_pem(pem)
        except ConfigurationError as error:
            raise _bad(path, f"of its key for `{use}`, {error.why}") from None
        if key.alg != _alg(use):
            raise _bad(path, f"its key for `{use}` is not for `{_alg(use)}`")
        keys[use] = key
    missing = [use for use in names.KEY_USES if use not in keys]
    if missing:
        raise _bad(path, f"it has no key for `{missing[0]}`")
    if len({key.kid for key in keys.values()}) != len(keys):
        raise _bad(path, "it has one key for two uses")
    return MappingProxyType(keys)


def _blocks(lines: Iterator[str], path: str | os.PathLike[str]) -> Iterator[tuple[str, bytes]]:
    use: str | None = None
    for line in lines:
        if line.startswith(_LABEL) and use is None:
            use = line.removeprefix(_LABEL).strip()
        elif line == _BEGIN and use is not None:
            block = [line]
            for inner in lines:
                block.append(inner)
                if inner == _END:
                    break
            yield use, "\n".join([*block, ""]).encode("ascii")
            use = None
        elif line.strip() and not line.startswith("#"):
            raise _bad(path, "it has a line that is neither a label nor a key")
    if use is not None:
        raise _bad(path, f"its label {quote(use)} has no key")


def _bad(path: str | os.PathLike[str], why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The {_WHAT} {quote(os.fspath(path))} was refused",
        why=why,
        fix="Restore it from a backup, or move it away: a new authority is made, and agents of the old one are refused",
    )
