"""
Where the keys and channels of Redis are, in the words of permissions.

```text
redis://host:port                     the server
redis://host:port/0                   a database of it, as a whole
redis://host:port/0/user/42           the key `user/42`; `user:42` is one segment
redis://host:port/channels            all channels
redis://host:port/channels/news       one channel
redis:///run/redis.sock/0/user:42     the same, of a server on a Unix socket
```

With TLS it is the same server, and has the same name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from agentid.errors import ConfigurationError
from agentid.resource import Resource

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """
    A database of a server.

    Attributes:
        host: Of the server; empty for one on a Unix socket.
        port: Of the server; 0 for one on a Unix socket.
        path: Of its Unix socket; empty for one on a host.
        db: The database, in digits.
    """

    host: str
    port: int
    path: str
    db: str

    @classmethod
    def of_connection(cls, connection: Any) -> Place:
        """
        Give the place that a connection of the library leads to.

        Raises:
            ConfigurationError: It does not say.
        """
        path = getattr(connection, "path", None)
        return cls.at(getattr(connection, "host", None), getattr(connection, "port", None), path, connection.db)

    @classmethod
    def at(cls, host: Any, port: Any, path: Any, db: Any) -> Place:
        """
        Give a place by what a connection is made with.

        Raises:
            ConfigurationError: That names no server.
        """
        try:
            number = str(int(db or 0))
            if path:
                # Links followed: one socket has one name.
                return cls("", 0, os.path.realpath(os.fsdecode(path)), number)
            if isinstance(host, str) and host:
                return cls(host, int(port), "", number)
        except (TypeError, ValueError):
            pass
        raise ConfigurationError("a connection of Redis does not say where it leads", why="it names no server")

    @property
    def address(self) -> str:
        """For names of spans and records."""
        return self.path or f"{self.host}:{self.port}"

    def in_database(self, db: str) -> Place:
        """Give another database of the same server, which must be written in digits."""
        if not db.isdecimal() or not db.isascii():
            raise ConfigurationError("a database of Redis has no number", why="its database is not a number")
        return replace(self, db=str(int(db)))

    def is_same_server(self, other: Place) -> bool:
        """Whether both lead to the same server, whichever database."""
        return (self.host, self.port, self.path) == (other.host, other.port, other.path)

    def server(self) -> Resource:
        """The server as a whole."""
        return self._resource()

    def database(self) -> Resource:
        """The database as a whole."""
        return self._resource(self.db)

    def channels(self) -> Resource:
        """All channels of the server."""
        return self._resource("channels")

    def key(self, key: bytes | str) -> Resource:
        """
        Give one key.

        Raises:
            ConfigurationError: It has a name that no resource can have.
        """
        return self._named(self.db, key)

    def channel(self, name: bytes | str) -> Resource:
        """
        Give one channel.

        Raises:
            ConfigurationError: It has a name that no resource can have.
        """
        return self._named("channels", name)

    def _named(self, where: str, name: bytes | str) -> Resource:
        try:
            text = name if isinstance(name, str) else name.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigurationError("not a resource: a key of Redis", why="a key is not text in UTF-8") from None
        parts = text.split("/")
        resource = self._resource(where, *parts)
        # A resource has one spelling, in which two keys of the server could be one.
        if resource.key[-len(parts) :] != tuple(parts):
            raise ConfigurationError("not a resource: a key of Redis", why="a key is not in its normal form (NFC)")
        return resource

    def _resource(self, *segments: str) -> Resource:
        if self.path:
            return Resource.of("redis", "", *PurePosixPath(self.path).parts[1:], *segments)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Resource.of("redis", f"{host}:{self.port}", *segments)
