"""
What a test needs of the system that it runs on; elsewhere it is skipped, and says why.

Linux and macOS have all of this, and `.ci/run` skips none of it there. The library itself works on Windows as well,
where files have no modes: what is tested under these marks holds where there are some.
"""

from __future__ import annotations

import os

import pytest

__all__ = ["needs_fork", "needs_posix"]

needs_posix = pytest.mark.skipif(
    os.name != "posix", reason="Windows has no file modes, links, terminals and signals as POSIX has them"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows starts processes anew, and forks none")
