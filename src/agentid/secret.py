"""What holds a secret and must not leave this process by accident."""

from __future__ import annotations

from typing import NoReturn

from agentid.errors import ConfigurationError

__all__ = ["Secret"]


class Secret:
    """Base of what must stay in this process: it cannot be pickled or copied."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ConfigurationError(
            f"A {type(self).__name__} was to be pickled or copied",
            why="it holds a private key, which must not travel by accident",
            fix="Use the object itself, or hand an agent to another process with `Agent.save` and `Agent.load`",
        )
