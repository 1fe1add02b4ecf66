"""
Measure cases against a yardstick in the same run.

Absolute times on a shared machine are noise: its processors change speed while one looks. So every case is
timed in short batches, all cases of a suite take turns within a round, and a figure is the median over
rounds of (case / yardstick) within the same round. The clock is the CPU time of this thread, or the wall clock where
waiting is what is measured.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Case", "Measured", "NotMeasuredError", "Suite", "measure"]

Batch = Callable[[int], Any]
"""Does the work so many times, in a loop of its own."""


class NotMeasuredError(Exception):
    """Raised by what is around a suite: it cannot be measured here, and why."""


@dataclass(frozen=True)
class Case:
    """
    Something to measure.

    Attributes:
        name: What is done.
        batch: Does it *n* times.
        yardstick: Name of the case of the same suite that it is compared with; None for a yardstick.
        target: The ratio that it must not pass, or None.
        note: What the comparison is about.
        gate: The ratio at which `--check` fails, where that is not the target with some room for noise.
        unit: Of what is measured: `ns` or `bytes`.
        around: Entered before each batch and left after it, which is not measured.
    """

    name: str
    batch: Batch
    yardstick: str | None = None
    target: float | None = None
    note: str = ""
    gate: float | None = None
    unit: str = "ns"
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass
class Suite:
    """Cases that are measured together, inside of *around*, with a *clock* that gives nanoseconds."""

    name: str
    cases: list[Case]
    rounds: int = 41
    per_batch_ns: int = 400_000
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    clock: Callable[[], int] = time.thread_time_ns


@dataclass
class Measured:
    """
    The figures of one case.

    Attributes:
        suite: Its suite's name.
        case: The case.
        ns: Median CPU time of one operation, in nanoseconds, or whatever the unit of the case is. Compare within one
            suite only.
        ratio: Median of the ratios to the yardstick; None for a yardstick.
        low: The first quartile of the ratios.
        high: The third quartile.
        reason: Why there are no figures, where there are none.
    """

    suite: str
    case: Case
    ns: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    ratios: list[float] = field(default_factory=list[float], repr=False)
    reason: str = ""

    @property
    def passes(self) -> bool:
        """Whether the ratio is within its target."""
        return self.ratio is None or self.case.target is None or self.ratio <= self.case.target


def measure(suite: Suite) -> list[Measured]:
    """Measure all cases of *suite*, taking turns; where it cannot be measured, say why for each."""
    try:
        return _measured(suite)
    except NotMeasuredError as error:
        return [Measured(suite.name, case, 0.0, reason=str(error)) for case in suite.cases]


def _measured(suite: Suite) -> list[Measured]:
    times: dict[str, list[float]] = {case.name: [] for case in suite.cases}
    with suite.around():
        # What is there already is not collected again and again: with a large index, that is all one would wait for.
        gc.collect()
        gc.freeze()
        sizes = {case.name: _size(case, suite.per_batch_ns, suite.clock) for case in suite.cases}
        for number in range(suite.rounds):
            # Each round starts with another case, so that none always follows the same one.
            turn = number % len(suite.cases)
            for case in suite.cases[turn:] + suite.cases[:turn]:
                times[case.name].append(_time(case, sizes[case.name], suite.clock))
            gc.collect()
        gc.unfreeze()
    return [_figures(suite, case, times) for case in suite.cases]


def _time(case: Case, count: int, clock: Callable[[], int]) -> float:
    with case.around():
        gc.disable()
        try:
            began = clock()
            case.batch(count)
            return (clock() - began) / count
        finally:
            gc.enable()


def _size(case: Case, wanted_ns: int, clock: Callable[[], int]) -> int:
    """How many operations take about *wanted_ns*."""
    with case.around():
        case.batch(3)
        count = 1
        while True:
            began = clock()
            case.batch(count)
            taken = clock() - began
            if taken >= wanted_ns / 4:
                return max(1, round(count * wanted_ns / max(taken, 1)))
            count *= 2 if taken > wanted_ns / 100 else 8


def _figures(suite: Suite, case: Case, times: dict[str, list[float]]) -> Measured:
    mine = times[case.name]
    measured = Measured(suite.name, case, statistics.median(mine), rounds=len(mine))
    if case.yardstick is not None:
        ratios = sorted(own / other for own, other in zip(mine, times[case.yardstick], strict=True))
        measured.ratios = ratios
        measured.low, measured.ratio, measured.high = statistics.quantiles(ratios, n=4)
    return measured
