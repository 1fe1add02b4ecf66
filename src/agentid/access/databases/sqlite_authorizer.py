"""
Our authorizer of one connection of SQLite: what SQLite tells about a statement, and a no where it was not decided.

SQLite calls it while it prepares a statement, and again when it prepares one anew because the schema has changed. So
what was decided when the statement was prepared for a look is held against what is really run:

- *looking*: whatever is told is noted. A setting is noted and not permitted: it takes effect while it is prepared.
- *running*: what was not told before is decided now (a pragma that is read as a table), or refused.
- Otherwise a program runs something, and nothing is asked. If it is an agent after all, that is decided now, too: rows
  that are read by a cursor from before the session.

An authorizer that the program has set is asked, too, and its no counts. Each thread has its own phase, and a function
of the program that is called by a statement may run another one inside.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from threading import RLock, get_ident
from typing import Any, Final, cast

from agentid.access.databases.sqlite_events import Event, Places, sets

__all__ = ["Authorizer", "Running", "authorizer_of"]

_OK: Final = 0
_DENY: Final = 1
_ATTACH, _DETACH = 24, 25


class Running:
    """
    A statement that runs.

    Args:
        told: What was told about it before, which was decided.
        late: Says whether something else may happen; what it raises is a no.

    Attributes:
        error: What the first no was.
    """

    def __init__(self, told: list[Event], late: Callable[[Event], bool]) -> None:
        self._told = frozenset(told)
        self._late = late
        self.error: BaseException | None = None

    def permits(self, event: Event) -> bool:
        """Whether this may happen."""
        if event in self._told:
            return True
        try:
            return self._late(event)
        except BaseException as error:  # noqa: BLE001 -- raised where the statement was begun: C would lose it
            self.error = self.error or error
            return False

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call *function*, and raise what was refused meanwhile: C would say no more than that something was."""
        try:
            result = function(*args)
        except Exception:
            if self.error is not None:
                raise self.error from None
            raise
        if self.error is not None:
            raise self.error
        return result


class Authorizer:
    """
    Called by SQLite.

    Args:
        late: Says whether something may happen that no phase knows of; is told by whom it is asked.

    Attributes:
        theirs: The authorizer of the program, if it has one.
        places: Where the schemas are, once it was asked; None if that may have changed.
        moves: Whether a database was ever attached, so that it may change at any time.
    """

    def __init__(self, late: Callable[[Authorizer, Event], bool]) -> None:
        self._late = partial(late, self)
        self.theirs: Callable[..., int] | None = None
        self.places: Places | None = None
        self.moves = False
        # C waits for SQLite's own lock without letting others run: a thread that is called by SQLite meanwhile, as we
        # are, would wait forever. So agents take turns on a connection.
        self._turn = RLock()
        self._phases: dict[int, list[list[Event] | Running | None]] = {}

    def __call__(self, *event: Any) -> int:
        """Say whether SQLite may do that."""
        if event[0] in (_ATTACH, _DETACH):
            self.moves, self.places = True, None
        phases = self._phases.get(get_ident())
        told: Any = event
        if not phases:
            if not Running([], self._late).permits(told):
                return _DENY
        else:
            phase = phases[-1]
            if phase is None:
                return _OK
            if isinstance(phase, list):
                phase.append(told)
                return _DENY if sets(told) else _OK
            if not phase.permits(told):
                return _DENY
        return _OK if self.theirs is None else self.theirs(*event)

    @contextmanager
    def phase(self, phase: list[Event] | Running | None) -> Generator[None]:
        """
        In the block, whatever this thread prepares is noted in a list, or held against what was decided.

        With None it is a question of ours, about which nobody is asked.
        """
        thread = get_ident()
        with self._turn:
            phases = self._phases.setdefault(thread, [])
            phases.append(phase)
            try:
                yield
            finally:
                phases.pop()
                if not phases:
                    self._phases.pop(thread, None)


def authorizer_of(
    connection: Any, set_authorizer: Callable[[Any, Any], None], late: Callable[[Authorizer, Event], bool]
) -> Authorizer:
    """
    Give ours of a connection; where the program has set its own or none, ours is set and asks that one.

    What no phase knows of is decided by *late*, which is told whose it is.
    """
    before = gc.get_referents(connection)
    for referent in before:
        if type(referent) is Authorizer:
            return referent
    ours = Authorizer(late)
    # This also makes SQLite prepare each statement anew, those in its cache and those of others.
    set_authorizer(connection, ours)
    after = [id(referent) for referent in gc.get_referents(connection)]
    for referent in before:
        if id(referent) in after:
            after.remove(id(referent))
        elif callable(referent):
            ours.theirs = cast("Callable[..., int]", referent)
    return ours
