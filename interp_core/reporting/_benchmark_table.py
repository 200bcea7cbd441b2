"""The view of a benchmark: a row for each method, a column for each metric, and the verdict above."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from interp_core.metrics import Benchmark, Row, Score
from interp_core.reporting._formatting import count, duration, number, whole
from interp_core.results import Cost

NOTHING = "\u2013"


@dataclass(frozen=True)
class Place:
    """One cell: what a method gets from a metric. Without a value, `failure` says why.

    Attributes:
        chance: what random orders of units get.
        best: whether no other method has a better value.
        beats: whether the value is significantly better than random orders.
    """

    value: str = ""
    interval: str = ""
    chance: str = ""
    best: bool = False
    beats: bool = False
    failure: str = ""


@dataclass(frozen=True)
class Line:
    """One method: its cells in the order of the metrics, and its cost. If the method failed, `failure` says why."""

    method: str
    trusted: bool
    places: tuple[Place, ...]
    seconds: str
    rows: str
    passes: str
    failure: str


@dataclass(frozen=True)
class MetricHead:
    """The header of a column."""

    name: str
    direction: str
    definition: str


@dataclass(frozen=True)
class Standings:
    """A benchmark; `csv` is a data URL with its table."""

    verdict: str
    what: str
    metrics: tuple[MetricHead, ...]
    lines: tuple[Line, ...]
    judged: bool
    csv: str
    notes: tuple[str, ...]


def standings_of(benchmark: Benchmark) -> Standings:
    """The view of a benchmark."""
    best = {metric: _best(benchmark, metric) for metric in benchmark.metrics}
    lines = tuple(_line(benchmark, row, best) for row in benchmark.rows)
    scores = [(row, metric, score) for row in benchmark.rows for metric, score in row.scores.items()]
    notes = [f"{row.method}, {metric}: {note}" for row, metric, score in scores for note in score.notes]
    return Standings(
        verdict=benchmark.verdict,
        what=what_of(benchmark),
        metrics=tuple(_head(benchmark, metric) for metric in benchmark.metrics),
        lines=lines,
        judged=any(place.beats for line in lines for place in line.places),
        csv="data:text/csv;charset=utf-8," + quote(benchmark.to_csv(), errors="replace"),
        notes=tuple(dict.fromkeys(notes)),
    )


def what_of(benchmark: Benchmark) -> str:
    """Such as `5 methods by 2 metrics on 8 texts`."""
    methods, metrics = count(len(benchmark.rows), "method"), count(len(benchmark.metrics), "metric")
    return f"{methods} by {metrics} on {count(benchmark.texts, 'text')}"


def _line(benchmark: Benchmark, row: Row, best: dict[str, float | None]) -> Line:
    cost, failure = row.cost, row.failures.get("", "")
    return Line(
        method=row.method,
        trusted=row is benchmark.trusted,
        places=() if failure else tuple(_place(benchmark, row, metric, best[metric]) for metric in benchmark.metrics),
        seconds=NOTHING if failure else duration(cost.seconds),
        rows=NOTHING if failure else whole(cost.rows),
        passes=_passes(cost),
        failure=failure and f"failed: {failure}",
    )


def _passes(cost: Cost) -> str:
    """Such as `3 forward passes, 1 backward`."""
    forward = count(cost.forwards, "forward pass", "forward passes") if cost.forwards else ""
    backward = f"{cost.backwards} backward" if cost.backwards else ""
    return ", ".join(part for part in (forward, backward) if part)


def _place(benchmark: Benchmark, row: Row, metric: str, best: float | None) -> Place:
    score = row.scores.get(metric)
    if score is None:
        return Place(failure=f"failed: {row.failures[metric]}" if metric in row.failures else "not measured")
    return Place(
        value=number(score.value),
        interval=f"{number(score.interval[0])} to {number(score.interval[1])}" if score.interval else "",
        chance="" if score.chance is None else number(score.chance),
        best=best is not None and score.value == best,
        beats=benchmark.beats_chance(row, metric),
    )


def _head(benchmark: Benchmark, metric: str) -> MetricHead:
    score = next(iter(_scores(benchmark, metric)), None)
    directions = {True: "↑ higher is better", False: "↓ lower is better", None: ""}
    return MetricHead(metric, directions[score.higher_is_better if score else None], score.definition if score else "")


def _best(benchmark: Benchmark, metric: str) -> float | None:
    """The best value of a metric; None if fewer than two methods have one, or if neither direction is better."""
    scores = _scores(benchmark, metric)
    if len(scores) < 2 or scores[0].higher_is_better is None:
        return None
    return (max if scores[0].higher_is_better else min)(score.value for score in scores)


def _scores(benchmark: Benchmark, metric: str) -> list[Score]:
    return [row.scores[metric] for row in benchmark.rows if metric in row.scores]
