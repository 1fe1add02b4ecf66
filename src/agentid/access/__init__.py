"""
Data access as an agent makes it: what a library is about to touch, decided before it is touched.

    import agentid.access
    agentid.access.install()

- `installation`: wraps the libraries that are there, and those that come later (`importing`).
- `library`: what a file about one library says.
- `touching`: one access, from its decision to its end; `places`: what it touches, in the words of permissions.
- `tripwire`: sees what goes around the wrapped libraries.
- `files`, `programs`, `databases`, `redis`, `s3`, `web`: one file for each library.
- `sql`: which tables an SQL text reads and changes.

Nothing here decides anything: each access goes through the one enforcement function of `agentid.guard`.
"""

from __future__ import annotations

from agentid.access.installation import Installation, install

__all__ = ["Installation", "install"]
