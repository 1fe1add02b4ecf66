"""`python -m agentid`."""

from __future__ import annotations

from agentid.cli import main

raise SystemExit(main())
