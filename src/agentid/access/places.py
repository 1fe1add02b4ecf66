"""The names of what libraries touch, in the words of permissions: hosts and paths, files, databases."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final
from urllib.parse import urlsplit

from agentid.errors import ConfigurationError
from agentid.permission import Action
from agentid.resource import Resource
from agentid.segment import plain_text

__all__ = ["ACTION_OF_METHOD", "file_at", "file_resource", "web_resource"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

ACTION_OF_METHOD: Final[dict[str, Action]] = {
    "GET": "read",
    "HEAD": "read",
    "OPTIONS": "read",
    "QUERY": "read",
    "POST": "write",
    "PUT": "edit",
    "PATCH": "edit",
    "DELETE": "delete",
}
"""What a request of HTTP does (RFC 9110, section 9.3). A method that is not here may do anything: `execute`."""


def web_resource(url: str) -> Resource:
    """
    Give the resource that a request to *url* touches: scheme, host, port and path, without query and fragment.

    Raises:
        ConfigurationError: It is no URL of a host, or its path could be another one to its server.
    """
    # `urlsplit` leaves some of these out, and libraries differ about where a host ends that has a backslash.
    if _CONTROL.search(url) or "\\" in url.partition("://")[2].partition("/")[0]:
        raise ConfigurationError("the address of a request has control characters, or no plain host")
    try:
        parts = urlsplit(url)
        host, port, path = parts.hostname or "", parts.port, parts.path
        if not host.isascii():
            # As the system does when it looks for such a host.
            host = host.encode("idna").decode("ascii")
    except ValueError:
        raise ConfigurationError("the address of a request is no URL") from None
    if not parts.scheme or not host:
        raise ConfigurationError("the address of a request names no host")
    authority = f"[{host}]" if ":" in host else host
    # A trailing slash names what it follows; any other empty segment is refused by `parse`.
    place = f"{parts.scheme.lower()}://{authority}{'' if port is None else f':{port}'}{path.removesuffix('/')}"
    return Resource.parse(place)


def file_resource(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Resource:
    """
    Give the resource of a file: where the operating system would look for it, links followed.

    Raises:
        ConfigurationError: It has a name that no resource can have.
    """
    # As an exact `str`: a subclass may lie about its characters, and would be opened by what they are.
    found = PurePath(os.path.realpath(plain_text(os.fsdecode(path), "path")))
    return file_at(found.parts[1:])


def file_at(segments: Sequence[str]) -> Resource:
    """
    Give the resource of a file by the names that lead to it.

    No names lead to the root folder, and a resource has a host or a segment: it is `file://localhost`, as in RFC 8089.
    Nothing else has that host, so no pattern that is meant for other files matches it, `file:///**` included.

    Raises:
        ConfigurationError: A name is one that no resource can have.
    """
    return Resource.of("file", "" if segments else "localhost", *segments)
