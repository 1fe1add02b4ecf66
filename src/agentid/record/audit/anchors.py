"""
Where checkpoints can be sent, so that a log that was cut short or wholly rewritten is found out.

An anchor is any callable that takes a signed note. It is worth as much as it is hard to reach for whoever can change
the log: a file on another volume, a service of somebody else, the log backend of the company.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from agentid._version import __version__
from agentid.errors import ConfigurationError
from agentid.record.audit.checkpoint import Checkpoint

if TYPE_CHECKING:
    from opentelemetry._logs import Logger, LoggerProvider

__all__ = ["CHECKPOINT_EVENT", "FileAnchor", "LogEventAnchor", "WebhookAnchor"]

SCOPE: Final = "agentid"
CHECKPOINT_EVENT: Final = "agentid.audit.checkpoint"
CHAIN_ATTRIBUTE: Final = "agentid.audit.chain"
SIZE_ATTRIBUTE: Final = "agentid.audit.size"


class FileAnchor:
    """
    Appends checkpoints to a file elsewhere. Any number of processes can share one.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __call__(self, note: str) -> None:
        """Append the note as a whole and wait for the disk."""
        data = note.encode() + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            with suppress(ImportError, OSError):  # Windows, and network file systems without marks
                from fcntl import LOCK_EX, flock

                flock(descriptor, LOCK_EX)
            before = os.fstat(descriptor).st_size
            written = os.write(descriptor, data)
            if written != len(data):
                # Half a note would spoil those of others that follow it.
                if os.fstat(descriptor).st_size == before + written:
                    os.ftruncate(descriptor, before)
                raise OSError("the note was written in part only")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class WebhookAnchor:
    """
    Posts checkpoints as plain text.

    Args:
        url: `https://…`, or `http://…` within a network that is trusted.
        headers: Such as one that authorises.
        timeout: Seconds to wait for an answer.

    Raises:
        ConfigurationError: The URL is not one of the web.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ConfigurationError("The URL of an audit webhook was refused", fix="Use one that begins with https://")
        self._url = url
        self._headers = {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}
        self._timeout = timeout
        self._opener = build_opener(_NoRedirects)

    def __call__(self, note: str) -> None:
        """Post the note; any answer but a 2xx is a failure."""
        request = Request(self._url, data=note.encode(), headers=self._headers, method="POST")  # noqa: S310 -- checked above
        with self._opener.open(request, timeout=self._timeout) as response:
            response.read(65_536)

    def __repr__(self) -> str:
        # The rest of the URL may hold a secret.
        return f"<WebhookAnchor {urlsplit(self._url).hostname}>"


class LogEventAnchor:
    """
    Emits checkpoints as OpenTelemetry log events named `agentid.audit.checkpoint`, the note being their body.

    Args:
        provider: The logger provider; by default the global one at the time, and nothing happens while none is set.
    """

    def __init__(self, provider: LoggerProvider | None = None) -> None:
        self._provider = provider

    def __call__(self, note: str) -> None:
        """Emit the event."""
        from opentelemetry import _logs  # the API is still marked as in development

        provider = self._provider or _logs.get_logger_provider()
        if not isinstance(provider, _logs.NoOpLoggerProvider):
            _emit(provider.get_logger(SCOPE, __version__), note)


class _NoRedirects(HTTPRedirectHandler):
    """A note, and what authorises it, goes to the one place that was named."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Follow nothing: the redirect becomes the error that it is."""


def _emit(logger: Logger, note: str) -> None:
    from inspect import signature

    from opentelemetry._logs import LogRecord, SeverityNumber

    checkpoint = Checkpoint.parse(note)
    fields: dict[str, Any] = {
        "timestamp": time.time_ns(),
        "severity_number": SeverityNumber.INFO,
        "severity_text": "INFO",
        "body": note,
        "attributes": {CHAIN_ATTRIBUTE: checkpoint.origin, SIZE_ATTRIBUTE: checkpoint.size},
    }
    kind: Any = LogRecord
    if "event_name" in signature(kind.__init__).parameters:
        fields["event_name"] = CHECKPOINT_EVENT
    else:
        # Before 1.35 an event had its name in an attribute, and the SDK took only its own kind of record.
        from opentelemetry.sdk import _logs as sdk

        kind = getattr(sdk, "LogRecord")  # noqa: B009 -- later versions have none
        fields["attributes"]["event.name"] = CHECKPOINT_EVENT
        fields["resource"] = getattr(logger, "resource", None)
        # Nor did its exporter send a record that named no trace.
        fields.update(trace_id=0, span_id=0, trace_flags=0)
    logger.emit(kind(**fields))
