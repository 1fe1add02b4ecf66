"""A call that brings a session of its own along, for `Guard.bind`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentid.guard.calls import Identity
from agentid.guard.session import acting

if TYPE_CHECKING:
    from agentid.guard.session import Session

__all__ = ["BoundCall"]


class BoundCall(Identity):
    """A passage during which a session made for it is current, and at whose end that session closes."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        super().__init__(session, acting)
        self._session = session

    def close(self, error: BaseException | None = None, result: Any = None) -> None:  # noqa: ARG002 -- either way
        """End the session."""
        self._session.close()
