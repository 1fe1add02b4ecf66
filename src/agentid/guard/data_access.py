"""`Guard.access`: a guarded block that is no function. The same seven steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentid.errors import ConfigurationError, NoActingAgentError, quote
from agentid.guard.enforce import Enforcement
from agentid.guard.session import acting
from agentid.guard.touch import Touch
from agentid.permission import parse_action
from agentid.record import Access, AccessRecord
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.guard.call import GuardedCall
    from agentid.guard.guard import Guard

__all__ = ["DataAccess"]


class DataAccess:
    """One guarded block; use it once, with `with` or `async with`. Gives the record of the access."""

    __slots__ = ("_call", "_entered", "_facts", "_guard", "_touch")

    def __init__(self, guard: Guard, action: str, resource: str | Resource, facts: Mapping[str, Any]) -> None:
        parsed = resource if isinstance(resource, Resource) else Resource.parse(resource)
        self._touch = Touch.block(Access(parse_action(action), parsed))
        self._guard = guard
        self._facts = facts
        self._call: GuardedCall | None = None
        self._entered = False

    def __enter__(self) -> AccessRecord:
        return self._start(self._open().wait())

    async def __aenter__(self) -> AccessRecord:
        return self._start(await self._open().wait_async())

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._call is not None:
            self._call.pause()
            self._call.close(error)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)

    def _open(self) -> Enforcement:
        if self._entered:
            raise ConfigurationError("a guarded block is entered once", fix="Call `guard.access(…)` for each block")
        self._entered = True  # from here on, also while a person is asked
        session = acting.get()
        if session is not None and session.guard is not self._guard:
            raise NoActingAgentError(
                f"{quote(session.agent.name)} is acting under another guard",
                why="the rules of that one would decide, and not those of this",
                fix="Open the session and the block with the same guard",
            )
        return Enforcement(self._touch, self._facts)

    def _start(self, call: GuardedCall) -> AccessRecord:
        self._call = call
        try:
            call.resume()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return call.record
