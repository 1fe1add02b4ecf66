"""
An access that lasts until the body of its answer is read: counted, and stopped when the agent is taken back meanwhile.

`run` makes the request of a library that stands on `http.client`. A body of `http.client`
is a `Body`: it hangs on the response, so that whoever reads it, by whichever library, is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.touching import Touching

__all__ = ["Body", "body_of", "hang", "own", "run", "status_of", "until_read"]

_NAME: Final = "_agentid_body"


class Body:
    """
    The body of one response of `http.client`, as it is read.

    Attributes:
        size: How many bytes were read.
        is_counted: Whether some access has it as its own.
    """

    __slots__ = ("_is_busy", "_is_over", "_touching", "is_counted", "size")

    def __init__(self) -> None:
        self.size = 0
        self._is_busy = False
        self.is_counted = False
        self._is_over = False
        self._touching: Touching | None = None

    def keeps(self, touching: Touching) -> bool:
        """Note what was read so far; whether *touching* goes on until the rest is read, too. The first one counts."""
        if self.is_counted:
            return False
        self.is_counted = True
        touching(size=self.size)
        if self._is_over:
            return False
        self._touching = touching
        return True

    def read(self, part: Callable[[], Any], size_of: Callable[[Any], int]) -> Any:
        """Read a part of it, if that is still allowed."""
        if self._is_busy:  # one way of reading uses another
            return part()
        touching = self._touching
        if touching is not None:
            touching.check()
            touching.resume()
        self._is_busy = True
        try:
            found = part()
        except BaseException as error:
            if touching is not None:
                self._touching = None  # it is over, and its record does not change any more
                touching.pause()
                touching.close(error)
            raise
        finally:
            self._is_busy = False
        size = size_of(found)
        self.size += size
        if touching is not None:
            touching.pause()
            if size:
                touching(size=size)
            if self._is_over:
                touching.close()
        return found

    def end(self, *, early: bool) -> None:
        """Nothing more is read: it is at its end, or was closed before."""
        self._is_over = True
        if self._touching is not None and not self._is_busy:
            self._touching.close(GeneratorExit() if early else None)


def own(thing: Any) -> dict[str, Any]:
    """The attributes that an object has itself."""
    return cast("dict[str, Any]", vars(thing))


def hang(response: Any) -> Body | None:
    """Give a response a body that is counted; None if it is no object that can have one."""
    body = Body()
    try:
        own(response)[_NAME] = body
    except TypeError:
        return None
    return body


def body_of(response: Any) -> Body | None:
    """The body of a response, if it hangs on it."""
    try:
        return own(response).get(_NAME)
    except TypeError:
        return None


def run(touching: Touching, make: Callable[[], Any], original: Callable[[Any], Any]) -> Any:
    """
    Make a request, and let its access last until the body is read.

    Args:
        touching: The access.
        make: Makes the request.
        original: Gives the response of `http.client` that a response stands on.
    """

    def answer() -> tuple[Any, Body | None]:
        response = make()
        found = original(response)
        body = body_of(found)
        # Where a redirect was followed inside, this is the answer to the last hop, which has an access of its own.
        if body is None or not body.is_counted:
            touching(attributes=status_of(response if found is None else found))
        return response, body

    touching.__enter__()
    return until_read(touching, answer)


def until_read(touching: Touching, answer: Callable[[], tuple[Any, Body | None]]) -> Any:
    """Give the response of *answer*, and let an access that has begun last until its body, if there is one, is read."""
    try:
        response, body = answer()
    except BaseException as error:
        touching.__exit__(type(error), error, error.__traceback__)
        raise
    if body is not None and body.keeps(touching):
        touching.pause()
    else:
        touching.__exit__(None, None, None)
    return response


def status_of(response: Any) -> dict[str, int]:
    """The attribute of the status of a response, if it has one."""
    for name in ("status", "status_code"):
        status = getattr(response, name, None)
        if isinstance(status, int):
            return {names.HTTP_STATUS: int(status)}
    return {}
