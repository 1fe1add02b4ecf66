"""Measure, show, and with `--check` fail if a ratio passes its target."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import access, audit, calls, decisions, delegation, imports, report, scale, spans, tokens
from benchmarks.harness import Measured, Suite, measure

_SUBJECTS = (calls, spans, decisions, tokens, delegation, scale, audit, access)

# What a gate may add to a target, so that a noisy minute of a shared machine turns nobody's change red. What the
# gate is for, work that slipped onto the hot path, costs more than that.
_ROOM = 1.15
_TRIES = 3


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a ratio passes its target")
    parser.add_argument("--only", metavar="WORD", default="", help="suites whose name has this in it")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for JSON and picture")
    args = parser.parse_args()
    figures: list[Measured] = []
    for suite in (suite for subject in _SUBJECTS for suite in subject.suites() if args.only in suite.name):
        figures += _show(_tried(suite, check=args.check))
    if args.only in "audit log, peak of memory":
        figures += _show(audit.measure_memory())
    if args.only in "import":
        figures += _show(imports.measure_imports())
    data, picture = report.write(figures, args.out)
    print(f"\nwritten to {data} and {picture}")
    slow = [figure for figure in figures if not _good(figure, check=args.check)]
    for figure in slow:
        print(f"too slow: {figure.suite}: {figure.case.name}: {figure.ratio:.3g}x, target {figure.case.target:g}x")
    return 1 if slow else 0


def _show(figures: list[Measured]) -> list[Measured]:
    print(report.as_table(figures), end="\n\n", flush=True)
    return figures


def _good(figure: Measured, *, check: bool) -> bool:
    ratio, target, gate = figure.ratio, figure.case.target, figure.case.gate
    if ratio is None or target is None:
        return True
    if not check:
        return ratio <= target
    return ratio <= (target * _ROOM if gate is None else gate)


def _tried(suite: Suite, *, check: bool) -> list[Measured]:
    """Measure; a gate measures again before it says no, since noise goes away and work does not."""
    if check and all(case.target is None for case in suite.cases):
        # Nothing can be too slow here; but that it can be measured still must be known.
        suite = replace(suite, rounds=2, per_batch_ns=suite.per_batch_ns // 10)
    figures = measure(suite)
    for _ in range(_TRIES - 1 if check else 0):
        if all(_good(figure, check=True) for figure in figures):
            break
        figures = measure(suite)
    return figures


if __name__ == "__main__":
    sys.exit(main())
