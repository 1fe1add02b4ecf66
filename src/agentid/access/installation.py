"""
Wrapping the libraries that are there, and those that will be imported later.

    installation = install()     # libraries ask first what an agent may do, in every session of this process
    installation.remove()        # and do not any more

- Whatever is imported already is wrapped now, whatever is imported later is wrapped then: the order does not matter.
- It can be done again, and from several threads; there is one installation in a process.
- It only acts inside a session. Elsewhere a wrapped function does what it did before.
- What goes around the wrapped functions is seen by the `tripwire`, as far as Python says so.
- Ours is the outermost layer, also where OpenTelemetry's own instrumentation wraps the same (`layers`).
- Removing takes away our own layer where it is the outermost, and elsewhere leaves one that does nothing: whoever
  wrapped a function after us keeps working.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access import tripwire
from agentid.access.importing import Imports
from agentid.access.interpreters import INTERPRETERS
from agentid.access.layers import INSTRUMENTATIONS, Place
from agentid.access.touching import Inside, Touching, announcements
from agentid.guard.session import Session, acting
from agentid.guard.touch import Touch

if TYPE_CHECKING:
    from agentid.access.library import Library, Patch
    from agentid.record import Access

__all__ = ["LIBRARIES", "Installation", "install"]

LIBRARIES: Final = (
    "web.aiohttp_client",
    "databases.aiosqlite",
    "files.standard_library",
    "programs.forkserver",
    "files.fsspec_files",
    "web.http_client",
    "web.httpcore2_pool",
    "web.httpcore_pool",
    "web.httpx2_client",
    "web.httpx_client",
    "programs.starting",
    "databases.psycopg",
    "redis.client",
    "web.requests_session",
    "s3.client",
    "databases.sqlalchemy",
    "databases.sqlite",
    "web.urllib3_pool",
    "web.urllib_request",
)
"""The files below this folder that are about a library, each with a `LIBRARY`."""

_NONE: Final[frozenset[str]] = frozenset()
_UNTOLD: Final = object()


class Installation:
    """
    The wrapped libraries of this process.

    Attributes:
        is_on: Whether wrapped functions ask before they run.
        proxies: Those that the environment named when this was turned on: whoever runs the program wants them.
        program: The file that Python itself opens to run it, absolute; empty where nothing is run.
        is_strict: Whether what no wrapped library accounts for is refused, as far as the tripwire sees it.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.is_strict = False
        self.program = ""
        self.proxies: tuple[str, ...] = ()
        self._has_tripwire = False
        self._lock = RLock()
        self._inside: Inside = ContextVar("agentid_inside", default=_NONE)
        self._everywhere: Session | None = None
        self._places: list[Place] = []
        self._lowerings = 0
        self._layers: set[str] = set()
        self._imports = Imports(self._arrived)
        self._expected: list[Library] = []

    # --- for the files about libraries -----------------------------------------------------------------------------

    def watches(self, layer: str) -> bool:
        """Whether an agent acts here, and no library above has accounted for *layer*. Cheap: ask this first."""
        return self.is_on and acting.get(self._everywhere) is not None and layer not in self._inside.get()

    def tell_who_acts(self) -> None:
        """Let whoever was told nothing be the agent that all of this process is, if it is one."""
        if self._everywhere is not None and acting.get(_UNTOLD) is _UNTOLD:
            acting.set(self._everywhere)

    def touching(
        self,
        library: Library,
        accesses: Callable[[], Iterable[Access]],
        name: str,
        *,
        attributes: Mapping[str, Any] | None = None,
        is_client: bool = False,
        accounts_for: frozenset[str] = _NONE,
        facts: Mapping[str, Any] | None = None,
    ) -> Touching:
        """
        Give the block in which *library* does something, to be used only where `watches` said yes.

        Args:
            library: Which one.
            accesses: Says what is done to which resources. What raises `ConfigurationError` here is refused.
            name: Of low cardinality, such as `GET api.acme.example`: for records and the span.
            attributes: Of its span, by the conventions of OpenTelemetry. Left out where its own instrumentation of
                this library is on, whose span has them and stands below ours.
            is_client: Whether another system is called.
            accounts_for: The layers that the library stands on, which need not ask again.
            facts: Values that constraints may look at, as arguments of a tool.
        """
        self.tell_who_acts()
        is_described = not (library.contrib and library.has_contrib_spans())
        if not is_described:
            attributes, is_client = {}, False
        touch = Touch.of(accesses, name, attributes=attributes or {}, is_client=is_client)
        accounts_for |= announcements(library.layer)
        return Touching(self._inside, touch, accounts_for, facts or {}, is_described=is_described)

    def hears(self, layer: str) -> bool:
        """Whether what Python announces of *layer* is a second door: `watches`, and nobody stands for it."""
        return self.watches(layer) and self._inside.get().isdisjoint(announcements(layer))

    @contextmanager
    def handing_back(self, layer: str) -> Generator[None]:
        """Give the block in which a function of *layer* calls what its caller gave it, and stands for nothing."""
        token = self._inside.set(self._inside.get() - announcements(layer))
        try:
            yield
        finally:
            self._inside.reset(token)

    @contextmanager
    def accounting_for(self, layers: frozenset[str]) -> Generator[None]:
        """
        Give the block in which a library itself uses *layers*, as a part of what was decided before.

        For one that runs its caller's code in the rest of an access: that code is not accounted for.
        """
        token = self._inside.set(self._inside.get() | layers)
        try:
            yield
        finally:
            # Left in another context than it was entered in, there is nothing to undo in this one.
            with suppress(ValueError):
                self._inside.reset(token)

    def wraps(self, layer: str) -> bool:
        """Whether a library of this *layer* is wrapped, so that one above can leave the asking to it."""
        return layer in self._layers

    def again(self, library: Library) -> None:
        """Look again for what is to be wrapped in *library*, such as classes that were made since."""
        self._wrap(library, sys.modules[library.module])

    @contextmanager
    def lowered(self, *, is_being_unwrapped: bool) -> Generator[None]:
        """Give the block in which somebody else wraps functions that we wrap, or takes their layers away."""
        # The lock is not held in between: they import modules, for which others may hold locks and wait for ours.
        with self._lock:
            self._lowerings += 1
            if self._lowerings == 1:
                for place in self._places:
                    place.lower(is_being_unwrapped=is_being_unwrapped)
        try:
            yield
        finally:
            with self._lock:
                self._lowerings -= 1
                if not self._lowerings:
                    for place in self._places:
                        place.rise()

    # --- on and off ------------------------------------------------------------------------------------------------

    def turn_on(self, *, strict: bool = False) -> None:
        """Wrap what is imported, and what will be; once strict, it stays strict until it is removed."""

        def is_on() -> bool:
            self.is_strict = self.is_strict or strict
            return self.is_on

        def start() -> bool:
            if is_on():  # by another thread
                return False
            if not self._has_tripwire:  # it cannot be taken away again
                tripwire.arm(self)
                self._has_tripwire = True
            self.is_on = True
            # Not `getproxies`, which would import what is wrapped.
            self.proxies = tuple(value for name, value in os.environ.items() if name.lower().endswith("_proxy"))
            return True

        with self._lock:
            if is_on():
                return
        try:
            self._add([INSTRUMENTATIONS, *INTERPRETERS, *map(_library, LIBRARIES)], start)
        except BaseException:
            # Half of it would look like all of it, to whoever installs again.
            self.remove()
            raise

    def wrap(self, *libraries: Library) -> None:
        """Wrap others as well, which are not wrapped everywhere."""
        self._add(libraries, lambda: True)

    def act_everywhere(self, session: Session | None) -> None:
        """
        Let *session* act wherever nobody was told who acts, such as in a thread that came into being unseen.

        For a process all of which is one agent's. Where it was said that nobody acts, nobody does.
        """
        self._everywhere = session

    def remove(self) -> None:
        """Unwrap what was wrapped."""
        with self._lock:
            self.is_on = self.is_strict = False
            self._everywhere = None
            self._imports.turn_off()
            # Where somebody wrapped ours, they still call it.
            below = [place for place in reversed(self._places) if not place.unwrap()]
            self._places[:] = reversed(below)
            self._layers.clear()
            self._expected.clear()

    def _add(self, libraries: Sequence[Library], start: Callable[[], bool]) -> None:
        """Wrap what is there of *libraries* if *start* says so, and from now on what comes."""
        with self._lock:
            for library in libraries:
                self._imports.expect(library.module)
            self._imports.turn_on()
        found: dict[str, tuple[ModuleType, list[Patch]]] = {}
        while True:
            # Without the lock: this imports modules, for which others may hold locks and wait for ours.
            for library in libraries:
                module = _settled(library.module)
                if module is not None and found.get(library.name, (None,))[0] is not module:
                    found[library.name] = module, list(library.patches(module, self))
            with self._lock:
                there = [(library.name, sys.modules.get(library.module)) for library in libraries]
                # What another thread began to import meanwhile is waited for, too.
                if any(module is not None and found.get(name, (None,))[0] is not module for name, module in there):
                    continue
                if start():
                    self._expected += [library for library in libraries if library not in self._expected]
                    for library in libraries:
                        if library.name in found:
                            self._place(library, *found[library.name])
                return

    def _arrived(self, module: ModuleType) -> None:
        with self._lock:
            # Where it is not on by now, whoever turns it on waits for this module.
            libraries = [each for each in self._expected if self.is_on and each.module == module.__name__]
        for library in libraries:
            self._wrap(library, module, is_new=True)

    def _wrap(self, library: Library, module: ModuleType, *, is_new: bool = False) -> None:
        patches = list(library.patches(module, self))  # without the lock, as above
        with self._lock:
            if self.is_on:
                self._place(library, module, patches, is_new=is_new)

    def _place(self, library: Library, module: ModuleType, patches: list[Patch], *, is_new: bool = False) -> None:
        for patch in patches:
            mine = [place for place in self._places if place.is_of(library, patch)]
            # What was just executed has functions of its own again, under the names of those that were wrapped.
            if not any(place.stands(is_new=is_new and patch.owner is module) for place in mine):
                place = Place(library, patch, self._inside)
                self._places[:] = [*(each for each in self._places if each not in mine), place]
            self._layers.add(library.layer)


def _library(name: str) -> Library:
    return importlib.import_module(f"agentid.access.{name}").LIBRARY


def _settled(name: str) -> ModuleType | None:
    """Give a module that is imported; None where it is not, or may not be."""
    if sys.modules.get(name) is not None:
        # Another thread may be in the middle of it: wait for that one, and hold no lock that it may want.
        importlib.import_module(name)
    return sys.modules.get(name)


def install(*, strict: bool = False) -> Installation:
    """
    Wrap the supported libraries of this process, and give what can unwrap them.

    Inside of a session each access that they make is decided before it is made: `read` of a table, of a file, of a
    page. Outside of sessions nothing changes.

    Args:
        strict: Refuse what goes around them, as far as the tripwire sees it; else it is recorded.
    """
    installation = _installation()
    installation.turn_on(strict=strict)
    return installation


@cache
def _installation() -> Installation:
    return Installation()
