"""
What a test needs of the system that it runs on; elsewhere it is skipped, and says why.

Linux and macOS have all of this, and `.ci/run` skips none of it there. The library itself works on Windows as well,
where files have no modes: what is tested under these marks holds where there are some.
"""

from __future__ import annotations

import os
import sqlite3

import pytest

__all__ = ["needs_blobs", "needs_fork", "needs_posix", "needs_serialize"]

needs_posix = pytest.mark.skipif(
    os.name != "posix", reason="Windows has no file modes, links, terminals and signals as POSIX has them"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows starts processes anew, and forks none")
needs_blobs = pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "blobopen"), reason="sqlite3 has blobs from Python 3.11 on"
)
needs_serialize = pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "serialize"),
    reason="sqlite3 can serialize from Python 3.11 on, if SQLite was built with that",
)
