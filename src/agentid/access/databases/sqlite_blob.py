"""
A blob of `sqlite3`, each part of which is read and written only while that is allowed, and counted.

C reads `blob[0:10]` without a function that could be wrapped, so this stands before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from agentid.access.touching import Touching

__all__ = ["Blob"]


class Blob:
    """
    What `blobopen` gives in a session.

    Args:
        blob: That of `sqlite3`.
        touching: The access, which is over when the blob is closed.
    """

    def __init__(self, blob: Any, touching: Touching) -> None:
        self._blob = blob
        self._touching = touching

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] -- it becomes no other one
        """What it stands for."""
        return cast("Any", type(self._blob))

    def __len__(self) -> int:
        return len(self._blob)

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        self._touching.check()
        return self._counted(self._blob[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._touching.check()
        self._blob[key] = value
        self._counted(value)

    def read(self, length: int = -1, /) -> Any:
        """As that of `sqlite3`."""
        self._touching.check()
        return self._counted(self._blob.read(length))

    def write(self, data: Any, /) -> None:
        """As that of `sqlite3`."""
        self._touching.check()
        self._blob.write(data)
        self._counted(data)

    def tell(self) -> int:
        """As that of `sqlite3`."""
        return self._blob.tell()

    def seek(self, offset: int, origin: int = 0, /) -> None:
        """As that of `sqlite3`."""
        self._blob.seek(offset, origin)

    def close(self) -> None:
        """As that of `sqlite3`; the access is over, too."""
        self._touching.close()
        self._blob.close()

    def __enter__(self) -> Blob:
        self._blob.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._touching.close(error)
        self._blob.__exit__(kind, error, trace)

    def __del__(self) -> None:
        if hasattr(self, "_touching"):
            self._touching.close()

    def _counted(self, data: Any) -> Any:
        self._touching(size=1 if isinstance(data, int) else memoryview(data).nbytes)
        return data
