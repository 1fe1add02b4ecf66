"""Writing what is published: whole or not at all, and readable for anyone."""

from __future__ import annotations

import secrets
from pathlib import Path

from agentid.errors import ConfigurationError, quote

__all__ = ["write_public"]


def write_public(path: Path, text: str) -> None:
    """
    Write a file that anyone may read, in one step: whoever serves it never serves half of it.

    Raises:
        ConfigurationError: It cannot be written.
    """
    try:
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            draft.write_text(text, encoding="ascii")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        why = error.strerror or "the system refused" if isinstance(error, OSError) else "its name is not one"
        raise ConfigurationError(f"{quote(path)} could not be written", why=why.lower()) from None
