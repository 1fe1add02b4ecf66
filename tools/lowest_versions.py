"""
Print the lowest allowed version of each dependency, as constraints for pip.

```console
$ .venv/bin/python tools/lowest_versions.py
cryptography==43
opentelemetry-api==1.28
...
```

It asks the installed package, because Python 3.10 cannot read `pyproject.toml` by itself. It does not
resolve anything: pip refuses a set of versions that do not go together.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys

DISTRIBUTION = "agentid-guard"


def lowest(requirement: str) -> str:
    """Turn ``name>=1.2; marker`` into ``name==1.2``; a requirement without a lower bound is an error."""
    wanted = requirement.partition(";")[0].strip()
    found = re.fullmatch(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9][0-9.]*)", wanted)
    if found is None:
        sys.exit(f"lowest_versions: `{wanted}` must read name>=version, so that its lowest version can be tested")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print("\n".join(sorted(lowest(requirement) for requirement in importlib.metadata.requires(DISTRIBUTION) or ())))
