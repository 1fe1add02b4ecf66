"""Time one library's guarded call; used by each script here, in whatever environment that runs."""

from __future__ import annotations

import gc
import json
import logging
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def closure(function: Callable[..., Any]) -> Callable[..., Any]:
    """The least that any decorator costs."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def body(customer_id: str) -> str:
    """What is guarded."""
    return customer_id


def once(call: Callable[[], Any], count: int) -> float:
    """Nanoseconds of CPU time for each of *count* calls."""
    gc.collect()
    gc.disable()
    began = time.thread_time_ns()
    for _ in range(count):
        call()
    taken = time.thread_time_ns() - began
    gc.enable()
    return taken / count


def report(distribution: str, allowed: Callable[[], Any], denied: Callable[[], Any], *, note: str = "") -> None:
    """Check that both do what they say, time them, and print the figures as JSON."""
    logging.disable(logging.CRITICAL)
    assert allowed() == "c-42", "the allowed call did not run"
    assert denied() == "denied", "the denied call was not denied"
    plain = closure(body)
    cases: dict[str, Callable[[], Any]] = {"closure": lambda: plain("c-42"), "allowed": allowed, "denied": denied}
    sizes = {name: max(20, round(2e7 / max(once(call, 20), 50))) for name, call in cases.items()}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(9):
        for name, call in cases.items():
            times[name].append(once(call, sizes[name]))
    figures = {name: statistics.median(values) for name, values in times.items()}
    print(json.dumps({"version": version(distribution), "note": note, **figures}))
