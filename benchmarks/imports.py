"""What importing costs, in processes of their own. The yardstick is the API of OpenTelemetry."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

from benchmarks.harness import Case, Measured

__all__ = ["measure_imports"]

_YARDSTICK = Case("import opentelemetry.trace", lambda _count: None)
_CASES = (
    (Case("import agentid", lambda _count: None, _YARDSTICK.name, 1.3), ["-c", "import agentid"]),
    (Case("agentid --help", lambda _count: None, _YARDSTICK.name, 1.5), ["-m", "agentid", "--help"]),
)


def measure_imports(rounds: int = 15) -> list[Measured]:
    """CPU time of whole processes that import, less that of one that does nothing, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in ("nothing", _YARDSTICK.name, *(c.name for c, _ in _CASES))}
    for _ in range(rounds):
        times["nothing"].append(_cpu(["-c", "pass"]))
        times[_YARDSTICK.name].append(_cpu(["-c", "import opentelemetry.trace"]))
        for case, arguments in _CASES:
            times[case.name].append(_cpu(arguments))
    bare = statistics.median(times["nothing"])
    measured = [Measured("import", _YARDSTICK, (statistics.median(times[_YARDSTICK.name]) - bare) * 1e9, rounds=rounds)]
    yardstick = [taken - bare for taken in times[_YARDSTICK.name]]
    for case, _ in _CASES:
        mine = [taken - bare for taken in times[case.name]]
        ratios = sorted(own / other for own, other in zip(mine, yardstick, strict=True))
        low, ratio, high = statistics.quantiles(ratios, n=4)
        measured.append(Measured("import", case, statistics.median(mine) * 1e9, ratio, low, high, rounds, ratios))
    return measured


def _cpu(arguments: list[str]) -> float:
    """CPU seconds of one Python process, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env={**os.environ})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
