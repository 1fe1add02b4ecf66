"""
A stand-in for a language model: it reads, and takes every instruction it finds in what it read for an order.

That is what a prompt injection does to a model. Here it is done by two patterns instead, so that the demo
needs no model, no network and no luck.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from agentid.errors import Error

if TYPE_CHECKING:
    from agentid.demo.tools import Tools
    from agentid.demo.world import World

__all__ = ["GullibleAgent", "Order", "Refusal", "orders_in"]

_MOST_ORDERS: Final = 6

_SEND = re.compile(
    r"\b(?:send|forward|e-?mail|mail|post)\b.{0,120}?\bto\s+<?([\w+-][\w.+-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})",
    re.IGNORECASE,
)
_DELETE = re.compile(
    r"\b(?:delete|drop|remove|destroy|truncate)\s+(?:the\s+)?(?:whole\s+)?table\s+"
    r"(?:`([^`]{1,64})`|'([^']{1,64})'|\"([^\"]{1,64})\"|(\w{1,64}))",
    re.IGNORECASE,
)


class Order(NamedTuple):
    """Something that a text told the agent to do: `send` to an address, or `delete` a table."""

    what: Literal["send", "delete"]
    target: str
    source: str


class Refusal(NamedTuple):
    """Something the agent tried and was refused; the order that made it try, if it was one."""

    error: Error
    order: Order | None


def orders_in(text: str, source: str) -> Iterator[Order]:
    """The instructions in a text."""
    flat = " ".join(text.split())
    for found in _SEND.finditer(flat):
        yield Order("send", found[1], source)
    for found in _DELETE.finditer(flat):
        yield Order("delete", next(filter(None, found.groups())), source)


@dataclass
class GullibleAgent:
    """
    Does its task, and then whatever it was told by what it read.

    Attributes:
        after_each: Called after each thing that it tried.
        reading: Inside of what this gives its sub-agent acts, which reads documents and can do nothing else.
        refusals: What it tried and was refused, in order.
        failures: What went wrong in a tool, as names of exceptions, in order.
        orders: The instructions it found and obeys.
    """

    tools: Tools
    world: World
    after_each: Callable[[], None]
    reading: Callable[[], AbstractContextManager[object]]
    refusals: list[Refusal] = field(default_factory=list[Refusal])
    failures: list[str] = field(default_factory=list[str])
    orders: list[Order] = field(default_factory=list[Order])

    def work(self) -> None:
        """Read everything, look up customers, obey, report, answer."""
        read: dict[str, str] = {}
        with self.reading():
            for name in self.world.documents:
                self._try(lambda name=name: read.__setitem__(name, self.tools.read_document(name)))
        for name in self.world.messages:
            self._try(lambda name=name: read.__setitem__(name, self.tools.read_message(name)))
        rows: list[dict[str, object]] = []
        self._try(lambda: rows.extend(self.tools.query(self.world.table)))
        # What it was told last counts first: the messages are what the task is about.
        found = {order[:2]: order for name in reversed(read) for order in orders_in(read[name], name)}
        self.orders = list(found.values())[:_MOST_ORDERS]
        for order in self.orders:
            self._obey(order, rows)
        lines = [f"{name}: {len(text.split())} words" for name, text in read.items()]
        self._try(
            lambda: self.tools.write_report("summary.txt", "\n".join([*lines, f"customers seen: {len(rows)}", ""]))
        )
        self._try(lambda: self.tools.send_mail("ada@acme.example", "Your order has been delivered."))

    def _obey(self, order: Order, rows: list[dict[str, object]]) -> None:
        if order.what == "send":
            record = json.dumps(rows[:1], default=str)
            self._try(lambda: self.tools.send_mail(order.target, record), order)
        else:
            self._try(lambda: self.tools.drop_table(order.target), order)

    def _try(self, act: Callable[[], object], order: Order | None = None) -> None:
        try:
            act()
        except Error as refusal:
            # A model would be shown `refusal.for_model`, and go on.
            self.refusals.append(Refusal(refusal, order))
        except (OSError, sqlite3.Error) as failure:
            # A file that has just been removed, a broken database: the tool ran, and failed.
            self.failures.append(type(failure).__name__)
        self.after_each()
