"""
An agent as a file: its credential, its grant and its key, for another process of the same owner.

- Only its owner can read the file. With a passphrase the key in it is encrypted besides: PKCS#8, as other tools
  read it, too.
- Without a path, it is the file of that name, or the only one, in `.agentid/agents` below the current folder.
- The tokens are never encrypted, so that an agent can be taken back by whoever does not know its passphrase.
- A passphrase stands in no error, and nothing of what a file held does.

What the tokens say is not looked at here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.private_file import file_path, read_ordinary, read_private, write_private
from agentid.identity.strict_json import StrictJSONError, parse_object
from agentid.identity.token import GRANT
from agentid.signing import PrivateKey

__all__ = ["FOLDER", "AgentFile", "is_encrypted", "not_an_agent", "read_tokens"]

FOLDER: Final = Path(".agentid", "agents")
"""Where agents are kept unless somebody says otherwise, below the current folder."""

MAX_PASSPHRASE: Final = 1000
"""Bytes; some versions of OpenSSL take no more than 1023."""

_WHAT: Final = "agent file"
_MAX_SIZE: Final = GRANT.max_size + 64 * 1024
_MEMBERS: Final = frozenset({"agentid_agent", "credential", "grant", "key"})
_ENCRYPTED: Final = "-----BEGIN ENCRYPTED PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class AgentFile:
    """
    What a file of an agent holds.

    Attributes:
        key: The agent's key.
        credential: The signed credential.
        chain: The signed grant, the authority's link first.
    """

    key: PrivateKey
    credential: str = field(repr=False)
    chain: Sequence[str] = field(repr=False)

    def write(
        self,
        path: str | os.PathLike[str] | None,
        *,
        name: str,
        passphrase: str | bytes | None = None,
        overwrite: bool = False,
    ) -> Path:
        """
        Write the file, and give its path.

        Args:
            path: The file; missing folders are made, for the owner alone. By default the one for *name*.
            name: What people call the agent.
            passphrase: Encrypts the key.
            overwrite: Replace a file that is there.

        Raises:
            ConfigurationError: There is a file already, it cannot be written, or the passphrase is not one.
        """
        file = FOLDER / f"{name}.json" if path is None else file_path(path, what=_WHAT)
        key = self.key.to_pem() if passphrase is None else _encrypted(self.key, _bytes(passphrase))
        content = {
            "agentid_agent": 1,
            "credential": self.credential,
            "grant": list(self.chain),
            "key": key.decode("ascii"),
        }
        data = json.dumps(content, indent=1).encode("ascii")
        if not write_private(file, data, what=_WHAT, overwrite=overwrite):
            raise ConfigurationError(
                f"The {_WHAT} {quote(os.fspath(file))} was not written",
                why="there is a file already",
                fix="Choose another name, or replace it: `overwrite=True`, on the command line `--overwrite`",
            )
        return file

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None, *, passphrase: str | bytes | None = None) -> AgentFile:
        """
        Read a file; without a path, the only one in the folder where agents are kept.

        Raises:
            ConfigurationError: The file cannot be read, others can get at it, there is not one file where only
                one can be meant, or the passphrase is missing or wrong.
            CredentialError: It does not hold an agent.
        """
        given = None if passphrase is None else _bytes(passphrase)
        file = _only_file() if path is None else file_path(path, what=_WHAT)
        content = _content(file)
        pem: str = content["key"]
        if given is None and pem.startswith(_ENCRYPTED):
            raise ConfigurationError(
                f"The {_WHAT} {quote(file)} was not read",
                why="its key is encrypted, and there is no passphrase",
                fix="Pass passphrase=, on the command line set AGENTID_PASSPHRASE",
            )
        if given is None:
            return cls(_key(pem), content["credential"], content["grant"])
        if not pem.startswith(_ENCRYPTED):
            # Not ignored: whoever has a passphrase expects that nobody without it could have written the key.
            raise ConfigurationError(
                f"The {_WHAT} {quote(file)} was not read",
                why="there is a passphrase, and its key is not encrypted",
                fix="Leave passphrase= away, if the file is the one that was meant",
            )
        return cls(_decrypted(pem, given, file), content["credential"], content["grant"])


def read_tokens(path: str | os.PathLike[str]) -> tuple[str, list[str]]:
    """
    Give the credential and the grant in a file, for taking them back: without its key, and whoever can get at it.

    Raises:
        ConfigurationError: The file cannot be read.
        CredentialError: It does not hold an agent.
    """
    content = _parsed(read_ordinary(file_path(path, what=_WHAT), what=_WHAT, max_size=_MAX_SIZE))
    return content["credential"], content["grant"]


def is_encrypted(path: str | os.PathLike[str]) -> bool:
    """
    Say whether a passphrase is needed to read a file.

    Raises:
        ConfigurationError: The file cannot be read, or others can get at it.
        CredentialError: It does not hold an agent.
    """
    return _content(file_path(path, what=_WHAT))["key"].startswith(_ENCRYPTED)


def not_an_agent(why: str) -> CredentialError:
    """Make the error for a file that does not hold an agent; *why* is a fixed phrase, never a part of the file."""
    return CredentialError(f"The {_WHAT} was refused", why=why, fix="Save the agent again with `Agent.save`")


def _only_file() -> Path:
    found = sorted(FOLDER.glob("*.json"))
    if len(found) != 1:
        listed = ", ".join(quote(file.stem) for file in found[:5])
        raise ConfigurationError(
            "No agent was loaded",
            why=f"there are {len(found)} in {quote(FOLDER)}: {listed}{', …' if len(found) > 5 else ''}"
            if found
            else f"none was saved in {quote(FOLDER)} below the current folder",
            fix='Name the file: `Agent.load("support-bot.json")`',
        )
    return found[0]


def _content(file: Path) -> dict[str, Any]:
    return _parsed(read_private(file, what=_WHAT, max_size=_MAX_SIZE))


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        content = parse_object(data)
    except StrictJSONError as error:
        raise not_an_agent(str(error)) from None
    if content.keys() != _MEMBERS or type(content["agentid_agent"]) is not int or content["agentid_agent"] != 1:
        raise not_an_agent("`Agent.save` did not write it")
    chain = content["grant"]
    texts = [
        content["credential"],
        content["key"],
        *(cast("list[object]", chain) if isinstance(chain, list) else [None]),
    ]
    if not all(isinstance(text, str) for text in texts):
        raise not_an_agent("`Agent.save` did not write it")
    return content


def _key(pem: str) -> PrivateKey:
    try:
        return PrivateKey.from_pem(pem.encode("utf-8"))
    except (ConfigurationError, UnicodeError):
        raise not_an_agent("its key cannot be read") from None


def _encrypted(key: PrivateKey, passphrase: bytes) -> bytes:
    plain = load_pem_private_key(key.to_pem(), password=None)
    return plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))


def _decrypted(pem: str, passphrase: bytes, file: Path) -> PrivateKey:
    try:
        key = load_pem_private_key(pem.encode("utf-8"), password=passphrase)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        # A wrong passphrase and a damaged key look the same. The cause is dropped: it may quote what it read.
        raise ConfigurationError(
            f"The {_WHAT} {quote(file)} was not read",
            why="the passphrase is not that of its key",
            fix="Check the passphrase, or issue the agent again",
        ) from None
    try:
        return PrivateKey(cast("Any", key))
    except ConfigurationError:
        raise not_an_agent("its key cannot be read") from None


def _bytes(passphrase: object) -> bytes:
    try:
        data = passphrase.encode("utf-8") if isinstance(passphrase, str) else passphrase
    except UnicodeEncodeError:
        data = None
    if not isinstance(data, bytes) or not 0 < len(data) <= MAX_PASSPHRASE:
        raise ConfigurationError(
            "The passphrase was refused", why=f"it must be text or bytes, from 1 to {MAX_PASSPHRASE} bytes long"
        )
    return data
