"""
One access of a wrapped library: decided before it is made, recorded when it is over. A passage like a tool's call.

    with access.touching(LIBRARY, accesses, "GET a.example", accounts_for={"socket"}) as seen:      # or `async with`
        response = wrapped(*args, **kwargs)
        seen(rows=1, attributes={…})

An access
that lasts longer than one block, such as a response whose body is read later, is begun with `__enter__`, put aside with
`pause`, taken up with `check` and `resume` for each part, and ended with `close`. Another agent that takes it up is
decided and recorded by itself: who was handed a cursor or a stream may read no more by it than by opening one.

What must never happen: a library that is called although the access was refused; an access that is recorded twice
because one wrapped library stands on another.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from agentid.guard.enforce import Enforcement
from agentid.guard.session import acting

if TYPE_CHECKING:
    from agentid.guard.call import GuardedCall
    from agentid.guard.session import Session
    from agentid.guard.touch import Touch

__all__ = ["Inside", "Touching", "announcements"]

Inside = ContextVar[frozenset[str]]
"""The layers below an access that is being made, which it accounts for: they are not looked at again."""


def announcements(layer: str) -> frozenset[str]:
    """
    Give what accounts for what Python announces of *layer* (`tripwire`), and for nothing that its library does.

    A wrapped function stands for its own announcements; what else goes on meanwhile is asked about as ever.
    """
    return frozenset({f"{layer} announced"})


class Touching:
    """
    One access, to be entered once, with `with` or `async with`.

    Args:
        inside: Which layers are accounted for; in the block, *accounts_for* are, too.
        touch: What is about to be done.
        accounts_for: The layers that the library stands on.
        facts: Values that constraints may look at, as arguments of a tool.
        is_described: Whether its span has what the conventions of OpenTelemetry name; else another one does.
    """

    __slots__ = (
        "_accounts_for",
        "_call",
        "_facts",
        "_inside",
        "_is_described",
        "_others",
        "_running",
        "_token",
        "_touch",
    )

    def __init__(
        self,
        inside: Inside,
        touch: Touch,
        accounts_for: frozenset[str],
        facts: Mapping[str, Any],
        *,
        is_described: bool = True,
    ) -> None:
        self._inside = inside
        self._touch = touch
        self._accounts_for = accounts_for
        self._facts = facts
        self._is_described = is_described
        self._call: GuardedCall | None = None
        self._others: dict[Session, GuardedCall] = {}
        self._running: GuardedCall | None = None
        self._token: Token[frozenset[str]] | None = None

    def __enter__(self) -> Touching:
        self._begin(Enforcement(self._touch, self._facts).wait())
        return self

    async def __aenter__(self) -> Touching:
        self._begin(await Enforcement(self._touch, self._facts).wait_async())
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._call is not None:
            self.pause()
            self.close(error)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)

    def __call__(
        self, *, rows: int | None = None, size: int | None = None, attributes: Mapping[str, Any] | None = None
    ) -> None:
        """Note what went in or came out, and what is known of it only now. Numbers add up, until it is over."""
        if self._call is not None and not self._call.closed:
            call = self._by(acting.get(), self._call)
            call.saw(rows=rows, size=size, attributes=attributes if self._is_described else None)

    def _begin(self, call: GuardedCall) -> None:
        self._call = call
        try:
            self.resume()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    # --- for an access that goes on after the block in which it was begun ------------------------------------------

    def resume(self) -> None:
        """The library runs from here, as the agent that called it."""
        if self._call is not None:
            self._running = self._by(acting.get(), self._call)
            self._running.resume()
            self._token = self._inside.set(self._inside.get() | self._accounts_for)

    def pause(self) -> None:
        """The agent's own code runs from here."""
        token, self._token = self._token, None
        if token is not None:
            # Paused in another context than it was resumed in, there is nothing to undo in this one.
            with suppress(ValueError):
                self._inside.reset(token)
        running, self._running = self._running, None
        if running is not None:
            running.pause()

    def _by(self, session: Session | None, first: GuardedCall) -> GuardedCall:
        """Give the access as it was decided for who acts; nobody goes on with that of the first one."""
        return first if session is None else self._others.get(session, first)

    def check(self) -> None:
        """
        Raise if the agent may not go on: its session, credential or grant is over, or was taken back.

        Or if it is another agent that goes on here, and may not have begun it.

        Raises:
            Error: It may not; which error says why.
        """
        if self._call is None:
            return
        self._call.check()
        session = acting.get()
        if session is None or session is self._call.session:
            return
        other = self._others.get(session)
        if other is None:
            self._others[session] = Enforcement(self._touch, self._facts).wait()
        else:
            other.check()

    def close(self, error: BaseException | None = None) -> None:
        """It is over; only the first call counts."""
        try:
            if self._call is not None:
                self._call.close(error)
        finally:  # also where that cannot be recorded
            for other in self._others.values():
                other.close(error)
