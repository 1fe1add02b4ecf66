"""What people pass when an agent is issued or handed something on: checked, and refused in words for people."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agentid.errors import ConfigurationError, CredentialError
from agentid.identity.grant import MAX_DEPTH

if TYPE_CHECKING:
    from agentid.identity.agent_id import AgentId

__all__ = ["agent_id", "check_depth", "one_line_text", "times", "uri"]

_DEPTH_REFUSED: Final = "`max_depth` was refused"
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:[!#-;=?-\[\]_a-z~]+")


def times(now: float, ttl: timedelta, longest: timedelta) -> tuple[int, int]:
    """
    Give the whole seconds at which something that lives for *ttl* begins and ends.

    Raises:
        ConfigurationError: The lifetime is nothing, or longer than *longest*.
    """
    if not isinstance(ttl, timedelta) or not timedelta(0) < ttl <= longest:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            "The lifetime was refused",
            why=f"it must be more than nothing and at most {int(longest.total_seconds())} seconds",
            fix="Pass ttl=timedelta(minutes=15), for example",
        )
    # Rounded down: nothing lives longer than it was given. Tokens count in whole seconds, so one is the least.
    return math.floor(now), max(math.floor(now + ttl.total_seconds()), math.floor(now) + 1)


def one_line_text(text: object, where: str, *, empty: bool = True) -> str:
    """
    Give the text that was passed as *where*.

    Raises:
        ConfigurationError: It is not one short printable line, or is empty where it must not be.
    """
    from agentid.identity.claims import MAX_TEXT, is_plain  # loads pydantic

    if not isinstance(text, str) or not is_plain(text) or not (text or empty):
        raise ConfigurationError(
            f"`{where}` was refused", why=f"it must be one line of at most {MAX_TEXT} printable characters"
        )
    return text


def uri(text: object, where: str) -> str:
    """
    Give the URI that was passed as *where*.

    Raises:
        ConfigurationError: It is none, or too long.
    """
    if not isinstance(text, str) or len(text) > 512 or _URI.fullmatch(text) is None:
        raise ConfigurationError(
            f"`{where}` was refused",
            why="it is not a URI of at most 512 characters",
            fix="Write where the list will be published, such as https://acme.example/status/1",
        )
    return text


def check_depth(depth: object, *, holder: int = 0) -> int:
    """
    Give how often a grant may be handed on.

    Args:
        depth: What was passed.
        holder: How often it will have been by then.

    Raises:
        ConfigurationError: It is no such number.
    """
    if type(depth) is not int or not 0 <= depth <= MAX_DEPTH:
        raise ConfigurationError(_DEPTH_REFUSED, why=f"it must be a whole number from {holder} to {MAX_DEPTH}")
    if depth < holder:
        raise ConfigurationError(
            _DEPTH_REFUSED,
            why=f"it counts from the authority, and the sub-agent itself is at depth {holder}",
            fix=f"Use {holder} for a sub-agent that hands nothing on",
        )
    return depth


def agent_id(make: Callable[[], AgentId]) -> AgentId:
    """
    Give the id that *make* makes of names that somebody passed.

    Raises:
        ConfigurationError: A name is not one.
    """
    try:
        return make()
    except CredentialError as error:
        raise ConfigurationError(error.what, why=error.why, fix=error.fix) from None
