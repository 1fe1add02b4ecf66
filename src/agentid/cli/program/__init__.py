"""
A program that nobody changed, as an agent: what happens in its process before it starts and after it ended.

- `handoff`: what one process leaves for the next: settings and an agent, in a folder that only their owner can open.
- `startup/sitecustomize.py`: what Python imports before a program, and what ends it where no session can be opened.
- `start`: opens the session, and ends it after everything else.
- `touched`: counts what was touched; `summary`: shows it.
- `command`: what a command runs, and its name.
- `children`: child processes find what they need, also in an environment that the program made for them.

`agentid run` does not run a program itself: it leaves a handoff, and turns into Python. So the program is run by Python
and by nobody else, and a child process that is Python, too, starts in the very same way.
"""

from __future__ import annotations
