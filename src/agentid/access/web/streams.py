"""
The access of a library whose responses have a stream of parts: it lasts until the last part is read.

`Sending` makes the wrappers of a function that takes a request and gives a response, sync and async. Each part is
counted, and read only while that is allowed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.access.web.body import own, status_of

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.touching import Touching
    from agentid.access.web.request import WebRequest

__all__ = ["AsyncCountedStream", "CountedStream", "Sending", "httpx_library"]

_END: Final = object()


@dataclass(frozen=True)
class Sending:
    """
    How the requests of one library are decided.

    Attributes:
        library: Which one.
        access: Where it is installed.
        asked: Says what a sender is asked for by a request.
        stream: What stands for the stream of a response.
        async_stream: The same of an async one.
    """

    library: Library
    access: Installation
    asked: Callable[[Any, Any], WebRequest]
    stream: type[Any]
    async_stream: type[Any]

    def sends(self, wrapped: Any, sender: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Stand for a function that sends a request."""
        if not self.access.watches(self.library.layer):
            return wrapped(*args, **kwargs)
        return self._send(wrapped, sender, *args, **kwargs)

    def _send(self, wrapped: Any, sender: Any, request: Any) -> Any:
        asked = self.asked(sender, request).unaccounted(self.access)
        if asked is None:
            return wrapped(request)
        touching = asked.touching(self.access, self.library)
        with _Failing(touching.__enter__()):
            response = wrapped(request)
            _lasts(touching, response, self.stream)
        return response

    def sends_async(self, wrapped: Any, sender: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Stand for a coroutine that sends a request: decided when it is awaited, which may be elsewhere."""
        return self._send_async(wrapped, sender, *args, **kwargs)

    async def _send_async(self, wrapped: Any, sender: Any, request: Any) -> Any:
        if not self.access.watches(self.library.layer):
            return await wrapped(request)
        asked = self.asked(sender, request).unaccounted(self.access)
        if asked is None:
            return await wrapped(request)
        touching = asked.touching(self.access, self.library)
        with _Failing(await touching.__aenter__()):
            response = await wrapped(request)
            _lasts(touching, response, self.async_stream)
        return response


def _lasts(touching: Touching, response: Any, stream: type[Any]) -> None:
    """Let the access last until the body is read."""
    touching(attributes=status_of(response))
    content = own(response).get("_content")
    if content is not None:  # an answer of this process, complete already
        touching(size=len(content))
        touching.__exit__(None, None, None)
        return
    response.stream = stream(response.stream, touching)
    touching.pause()


class _Failing:
    """A block of an access that ends with an error, and else goes on."""

    def __init__(self, touching: Touching) -> None:
        self._touching = touching

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._touching.__exit__(kind, error, trace)


class _Counted:
    """A stream of a response whose parts are counted, and read only while that is allowed."""

    def __init__(self, stream: Any, touching: Touching) -> None:
        self._stream = stream
        self._touching = touching

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _begin(self) -> None:
        self._touching.check()
        self._touching.resume()

    def _end(self, part: Any) -> Any:
        self._touching.pause()
        if part is _END:
            self._touching.close()
        else:
            self._touching(size=len(part))
        return part

    def _fail(self, error: BaseException) -> None:
        self._touching.pause()
        self._touching.close(error)


class CountedStream(_Counted):
    """Such a stream, to be iterated."""

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._stream)
        while (part := self._next(parts)) is not _END:
            yield part

    def _next(self, parts: Iterator[bytes]) -> Any:
        self._begin()
        try:
            return self._end(next(parts, _END))
        except BaseException as error:
            self._fail(error)
            raise

    def close(self) -> None:
        """Close the stream, which ends the access."""
        try:
            self._stream.close()
        finally:
            self._touching.close(GeneratorExit())


class AsyncCountedStream(_Counted):
    """Such a stream, to be iterated asynchronously."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = aiter(self._stream)
        try:
            while (part := await self._next(parts)) is not _END:
                yield part
        finally:
            if hasattr(parts, "aclose"):
                await parts.aclose()

    async def _next(self, parts: AsyncIterator[bytes]) -> Any:
        self._begin()
        try:
            return self._end(await anext(parts, _END))
        except BaseException as error:
            self._fail(error)
            raise

    async def aclose(self) -> None:
        """Close the stream, which ends the access."""
        try:
            await self._stream.aclose()
        finally:
            self._touching.close(GeneratorExit())


def httpx_library(
    name: str,
    layer: str,
    contrib: str,
    patches: Callable[[Library, Any, Installation], Iterable[Patch]],
    *,
    limits: str,
) -> Library:
    """
    Give a library of the family of httpx, of which there are two that differ in their names alone.

    Args:
        name: By which it is imported and installed.
        layer: What it is to libraries that stand on it.
        contrib: The class of OpenTelemetry's instrumentation of it.
        patches: Says what to wrap, for that library.
        limits: What of it is not seen.
    """
    found: Library = Library(
        name=name,
        module=name,
        layer=layer,
        patches=lambda module, access: patches(found, module, access),
        distribution=name,
        contrib=f"opentelemetry.instrumentation.httpx:{contrib}",
        limits=limits,
    )
    return found
