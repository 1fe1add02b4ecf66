"""How generated tests run: the same cases each time, so that a failure is somebody's change and not somebody's luck."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("agentid", derandomize=True, deadline=None, database=None)
settings.load_profile("agentid")
