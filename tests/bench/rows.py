"""One figure of the benchmark, its target, and the table of all of them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


class Unmeasurable(Exception):
    """What is to be measured did not happen as it should; the text says what."""


@dataclass(frozen=True, slots=True)
class Target:
    """An upper limit, or the least there must be: `stat` is "ratio", "value", "p50" or "p99"."""

    stat: str
    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{self.stat} {'≥' if self.at_least else '≤'} {self.limit:g}"

    def met_by(self, figure: float | None) -> bool:
        """A figure that there is not meets nothing."""
        return figure is not None and (figure >= self.limit if self.at_least else figure <= self.limit)


@dataclass(frozen=True, slots=True)
class Row:
    """`baseline` and `ratio` are None where there is nothing real to compare with; `met` where nothing is promised."""

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    n: int
    p50: float
    p99: float
    target: str | None
    met: bool | None


def distribution(name: str, samples: Sequence[float], unit: str, *targets: Target) -> Row:
    """The value is the median."""
    return _row(name, samples, unit, None, None, targets)


def compared(name: str, ours: Sequence[float], theirs: Sequence[float], unit: str, *targets: Target) -> Row:
    """`ours` and `theirs` are pairs, measured in turn: both halves of a pair ran under the same mood of the machine.

    The ratio is the median of the pairs' ratios.
    """
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return _row(name, ours, unit, statistics.median(theirs), ratio, targets)


def single(name: str, value: float, unit: str, *targets: Target, baseline: float | None = None) -> Row:
    return _row(name, [value], unit, baseline, None if baseline is None else value / baseline, targets)


def show(rows: Sequence[Row]) -> str:
    """The table for people: whether the target was met, then the figures."""
    lines = [f"{'':58} {'median':>9} {'p99':>9} {'unit':5} {'plain':>8} {'ratio':>6} {'n':>4}  target"]
    for row in rows:
        plain = "" if row.baseline is None else f"{row.baseline:.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        target = "" if row.target is None else f"{row.target}: {verdict}"
        figures = f"{row.p50:9.2f} {row.p99:9.2f} {row.unit:5} {plain:>8} {ratio:>6} {row.n:4}"
        lines.append(f"{row.name:58} {figures}  {target}".rstrip())
    return "\n".join(lines)


def write(rows: Sequence[Row], file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def _row(
    name: str,
    samples: Sequence[float],
    unit: str,
    baseline: float | None,
    ratio: float | None,
    targets: Sequence[Target],
) -> Row:
    p50, p99 = statistics.median(samples), percentile(samples, 0.99)
    figures = {"ratio": ratio, "value": p50, "p50": p50, "p99": p99}
    return Row(
        name=name,
        value=p50,
        unit=unit,
        baseline=baseline,
        ratio=ratio,
        n=len(samples),
        p50=p50,
        p99=p99,
        target=", ".join(map(str, targets)) or None,
        met=all(target.met_by(figures[target.stat]) for target in targets) if targets else None,
    )


def percentile(samples: Sequence[float], part: float) -> float:
    """By nearest rank: a figure that was really measured."""
    return sorted(samples)[math.ceil(part * len(samples)) - 1]
