"""
What a guarded block, or a call of a wrapped library, is about to do: the subject of one guarded call.

And what is about to be done although no wrapped library accounts for it: a `Door`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agentid.errors import ConfigurationError
from agentid.guard.binding import Unbindable
from agentid.policy import Decision
from agentid.record import Access
from agentid.record import attributes as names

__all__ = ["Door", "Touch"]


class Touch:
    """
    Something done to resources that are known before it is done.

    Args:
        accesses: All of them have to be allowed; nothing is refused.
        name: Of low cardinality, for records and the span.
        attributes: Of its span, known before it begins.
        is_client: Whether it is a call of another system: then its span is of kind `CLIENT`.
        odd: Why it cannot be said what is touched, which is refused; empty where it can.
    """

    __slots__ = ("_accesses", "_odd", "attributes", "is_client", "name")

    def __init__(
        self,
        accesses: tuple[Access, ...],
        name: str,
        *,
        attributes: Mapping[str, Any] | None = None,
        is_client: bool = False,
        odd: str = "",
    ) -> None:
        self._accesses = accesses
        self._odd = odd
        self.attributes = attributes or {}
        self.is_client = is_client
        self.name = name

    @classmethod
    def block(cls, access: Access) -> Touch:
        """Give that of a guarded block: named by its action and by where the resource lives, never which one it is."""
        resource = access.resource
        place = f"{resource.scheme}://{resource.authority}" if resource.scheme else resource.segments[0]
        return cls((access,), f"{access.action} {place}")

    @classmethod
    def of(
        cls,
        accesses: Callable[[], Iterable[Access]],
        name: str,
        *,
        attributes: Mapping[str, Any] | None = None,
        is_client: bool = False,
    ) -> Touch:
        """Give that of a library, whose arguments may name what no resource can be: then it is refused and recorded."""
        try:
            return cls(tuple(accesses()), name, attributes=attributes, is_client=is_client)
        except ConfigurationError as error:
            odd = error.why or "it has a name that no resource can have"
            return cls((), name, attributes=attributes, is_client=is_client, odd=odd)

    @property
    def is_tool(self) -> bool:
        """It is none: what it touches is known, or said by a library."""
        return False

    @property
    def span_name(self) -> str:
        """The same: the name is of low cardinality."""
        return self.name

    def accesses(self, arguments: Mapping[str, Any]) -> tuple[Access, ...]:  # noqa: ARG002 -- they are known already
        """What it does to which resources."""
        if self._odd:
            raise Unbindable(self._odd)
        return self._accesses


class Door(Touch):
    """
    Something that went around the wrapped libraries, seen by the tripwire right before it happens.

    It has no span: it is an event of the one that is current. No permission is looked at, because what it is about is
    known too little: it passes and is recorded, or is refused.

    Args:
        kind: Of what it is: `file`, `socket`, `process`, `interpreter`, `native` or `ctypes`.
        accesses: As far as they can be named.
        is_refused: Whether the installation is strict.
    """

    __slots__ = ("decision",)

    def __init__(self, kind: str, accesses: tuple[Access, ...], *, is_refused: bool) -> None:
        attributes = {names.SECOND_DOOR_KIND: kind}
        if accesses:
            attributes[names.DATASET] = str(accesses[0].resource)
        super().__init__(accesses, f"second door: {kind}", attributes=attributes)
        self.decision = Decision("deny" if is_refused else "allow", "second_door")
