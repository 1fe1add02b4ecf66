"""
What wrapped libraries cost, against the same call of the bare library.

Each call is made three times over: bare, with the libraries wrapped but nobody acting, and in a session in which it is
decided and recorded in a span. Nothing that is called leaves this machine.

- `wrapper`: what is said of each, and the three ways of calling it.
- `servers`: what is called: a folder, a database, servers of this machine.
- `local`, `databases`, `web`, `stores`: the calls.
"""

from __future__ import annotations

from benchmarks.access import databases, local, stores, web
from benchmarks.access.wrapper import Wrapper
from benchmarks.harness import Suite

__all__ = ["WRAPPERS", "suites"]

WRAPPERS: tuple[Wrapper, ...] = (*local.WRAPPERS, *databases.WRAPPERS, *stores.WRAPPERS, *web.WRAPPERS)


def suites() -> list[Suite]:
    """The suites of this subject, one for each wrapper: where one cannot be measured, the others are."""
    return [wrapper.suite() for wrapper in WRAPPERS]
