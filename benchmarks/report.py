"""Show figures: a table on the terminal, JSON for machines, a picture where people would rather look."""

from __future__ import annotations

import html
import json
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured

__all__ = ["as_json", "as_svg", "as_table"]

_WIDTH, _ROW, _LEFT, _SPAN = 960, 22, 420, 380


def as_table(figures: Iterable[Measured]) -> str:
    """Lines for the terminal."""
    lines: list[str] = []
    suite = ""
    for figure in figures:
        if figure.suite != suite:
            suite = figure.suite
            lines.append(f"\n{suite}")
        if figure.reason:
            lines.append(f"  {figure.case.name:<44} not measured: {figure.reason}")
            continue
        if figure.ratio is None:
            lines.append(f"  {figure.case.name:<44} {_amount(figure):>10}   yardstick")
            continue
        target = "" if figure.case.target is None else f"target {figure.case.target:g}"
        verdict = "" if figure.case.target is None else ("ok" if figure.passes else "TOO SLOW")
        spread = f"[{figure.low:.3g} … {figure.high:.3g}]"
        lines.append(
            f"  {figure.case.name:<44} {_amount(figure):>10} {figure.ratio:>8.3g}x {spread:<18} {target:<12} {verdict}"
        )
    return "\n".join(lines).lstrip("\n")


def _amount(figure: Measured) -> str:
    return f"{figure.ns / 2**20:.1f} MiB" if figure.case.unit == "bytes" else _time(figure.ns)


def _time(ns: float) -> str:
    if ns < 1_000:
        return f"{ns:.0f} ns"
    if ns < 1_000_000:
        return f"{ns / 1e3:.2f} µs"
    return f"{ns / 1e6:.1f} ms"


def machine() -> dict[str, str]:
    """What the figures depend on and cannot be read off them."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "machine": platform.machine(),
        "system": platform.system(),
        "opentelemetry-sdk": version("opentelemetry-sdk"),
        "pyjwt": version("pyjwt"),
        "cryptography": version("cryptography"),
    }


def as_json(figures: Iterable[Measured]) -> str:
    """Everything, for machines."""
    rows: list[dict[str, Any]] = [
        {
            "suite": figure.suite,
            "case": figure.case.name,
            "yardstick": figure.case.yardstick,
            figure.case.unit: None if figure.reason else round(figure.ns, 1),
            "reason": figure.reason,
            "ratio": figure.ratio,
            "quartiles": None if figure.ratio is None else [figure.low, figure.high],
            "target": figure.case.target,
            "rounds": figure.rounds,
            "ok": figure.passes,
        }
        for figure in figures
    ]
    return json.dumps({"machine": machine(), "figures": rows}, indent=1, ensure_ascii=False) + "\n"


def as_svg(figures: Iterable[Measured]) -> str:
    """A bar for each ratio with a target: full length is the target."""
    rows = [figure for figure in figures if figure.ratio is not None and figure.case.target is not None]
    height = 60 + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="24" font-size="15">How much of its target each ratio uses up; the line is the target</text>',
    ]
    for number, figure in enumerate(rows):
        y = 44 + _ROW * number
        share = (figure.ratio or 0) / (figure.case.target or 1)
        colour = "#2e7d32" if figure.passes else "#c62828"
        label = html.escape(f"{figure.suite}: {figure.case.name}")
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{label[:72]}</text>')
        parts.append(
            f'<rect x="{_LEFT}" y="{y}" width="{min(share, 1.25) * _SPAN:.1f}" height="{_ROW - 6}" fill="{colour}"/>'
        )
        text = f"{figure.ratio:.3g}x of {figure.case.target:g}x"
        parts.append(f'<text x="{_LEFT + min(share, 1.0) * _SPAN + 6:.1f}" y="{y + 13}">{text}</text>')
    edge = _LEFT + _SPAN
    line = f'<line x1="{edge}" y1="38" x2="{edge}" y2="{height - 14}" stroke="#555555" stroke-dasharray="3 3"/>'
    parts.append(line)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def write(figures: list[Measured], folder: Path) -> tuple[Path, Path]:
    """Write JSON and picture into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    data, picture = folder / "bench.json", folder / "bench.svg"
    data.write_text(as_json(figures), encoding="utf-8")
    picture.write_text(as_svg(figures), encoding="utf-8")
    return data, picture
