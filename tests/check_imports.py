"""
Import every public module, each in a Python of its own where every warning is an error.

`.ci/run` runs this as a script where neither an extra nor a test package is installed;
`test_imports.py` uses its parts. Standard library only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# What `import agentid` must not load: each costs more than the whole of it, or belongs to somebody else's program.
HEAVY = (
    "aiohttp",
    "anyio",
    "cryptography",
    "fastapi",
    "httpx",
    "hypothesis",
    "jwt",
    "langchain",
    "langchain_core",
    "mcp",
    "openai",
    "opentelemetry.sdk",
    "pydantic",
    "pytest",
    "sqlalchemy",
    "sqlglot",
    "starlette",
    "trio",
    "wrapt",
)

_PROBE = """
import json, sys, threading
before = set(sys.modules)
threads = threading.active_count()
import {module}
print(json.dumps({{"modules": sorted(set(sys.modules) - before), "threads": threading.active_count() - threads}}))
"""


def probe(module: str) -> dict[str, Any]:
    """Import *module* in a new Python in an empty folder: which modules, threads and files did it make?"""
    entries = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    searched = os.pathsep.join(str(Path(entry).resolve()) for entry in entries)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _PROBE.format(module=module)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": searched},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        files = sorted(path.name for path in Path(folder).iterdir())
    if done.returncode != 0:
        raise AssertionError(f"`import {module}` failed:\n{done.stderr}")
    return {**json.loads(done.stdout), "printed": done.stderr, "files": files}


def heavy(modules: list[str]) -> list[str]:
    """Return those of *modules* which `import agentid` must not load."""
    return [name for name in modules if any(name == h or name.startswith(f"{h}.") for h in HEAVY)]


def public_modules() -> list[str]:
    """Name every module of the package whose path has no leading underscore, without importing any."""
    spec = importlib.util.find_spec("agentid")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    names: set[str] = set()
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        # What Python itself imports at its start is there to be found by its name, and by nobody else.
        if not any(part.startswith("_") or part == "sitecustomize" for part in parts):
            names.add(".".join(parts))
    return sorted(names)


def main() -> None:
    seen = probe("agentid")
    expected = {"heavy": [], "threads": 0, "printed": "", "files": []}
    actual = {"heavy": heavy(seen["modules"]), **{key: seen[key] for key in ("threads", "printed", "files")}}
    assert expected == actual, actual

    modules = public_modules()
    assert "agentid" in modules
    for module in modules:
        probe(module)
        print(f"import {module}")


if __name__ == "__main__":
    main()
