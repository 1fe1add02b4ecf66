"""Install the peers, time them, taking turns, and show the table."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

FOLDER = Path("build/peers").absolute()
ROUNDS = 5
HERE = Path(__file__).parent

# Name, what to install, and the script that prints its figures as JSON.
PEERS = (
    ("agentid", None, "agentid_call.py"),
    ("tenuo", "tenuo", "tenuo_call.py"),
    ("agent-governance-toolkit-core", "agent-governance-toolkit-core", "agt_call.py"),
    ("attenu-guard", "attenu-guard", "attenu_call.py"),
    ("cedarpy", "cedarpy", "cedar_call.py"),
    ("casbin", "casbin", "casbin_call.py"),
)


def environment(name: str, package: str | None) -> Path | str:
    """The interpreter to use, or why there is none."""
    if package is None:
        return Path(sys.executable)
    folder = FOLDER / name
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        print(f"installing {name}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", package], check=False, capture_output=True, text=True
        )
        if done.returncode:
            return "could not be installed: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1][:80]
        (folder / ".installed").touch()
    return python


def timed(python: Path, script: str) -> dict[str, Any] | str:
    """The figures of one process: nanoseconds of CPU time for each call."""
    done = subprocess.run(
        [str(python), str(HERE / script)], check=False, capture_output=True, text=True, cwd=HERE, timeout=300
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1][:100]
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def main() -> int:
    """Run."""
    interpreters = {name: environment(name, package) for name, package, _ in PEERS}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in PEERS}
    problems = {name: why for name, why in interpreters.items() if isinstance(why, str)}
    for _ in range(ROUNDS):
        for name, _package, script in PEERS:
            python = interpreters[name]
            if name in problems or isinstance(python, str):
                continue
            figures = timed(python, script)
            if isinstance(figures, str):
                problems[name] = figures
            else:
                found[name].append(figures)
    rows = []
    for name, _, _ in PEERS:
        if name in problems:
            print(f"  {name:<30} {problems[name]}")
            continue
        runs = found[name]
        rows.append(
            {
                "name": name,
                "version": runs[0]["version"],
                **{key: statistics.median(run[key] / run["closure"] for run in runs) for key in ("allowed", "denied")},
                "ns": statistics.median(run["allowed"] for run in runs),
                "note": runs[0].get("note", ""),
            }
        )
    print("\ntimes a do-nothing closure in the same process")
    print(f"  {'':<30} {'version':<10} {'allowed':>10} {'denied':>10} {'allowed':>12}")
    for row in rows:
        print(
            f"  {row['name']:<30} {row['version']:<10} {row['allowed']:>9.1f}x {row['denied']:>9.1f}x"
            f" {row['ns'] / 1e3:>9.2f} µs  {row['note']}"
        )
    (FOLDER / "peers.json").parent.mkdir(parents=True, exist_ok=True)
    (FOLDER / "peers.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
