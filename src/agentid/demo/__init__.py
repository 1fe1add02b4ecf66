"""
The demo: an agent that believes what it reads, at work over a folder.

- `world`: the documents, the database and the outbox it works with; real files.
- `tools`: what it can do, guarded with `requires`.
- `agent`: what it does; a stand-in for a language model that takes every instruction it finds for an order.
- `run`: puts them together under a guard.

The refusals are not staged: take the guard away and the mail is written and the table is dropped.
"""

from __future__ import annotations

from agentid.demo.run import Outcome, run_demo

__all__ = ["Outcome", "run_demo"]
