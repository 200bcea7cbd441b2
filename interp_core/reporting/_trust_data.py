"""What the page holds of measures: each on an axis of its own, with its curves; and tables of other values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from interp_core.metrics import Score
from interp_core.reporting._curves import band_of
from interp_core.reporting._formatting import shortened
from interp_core.reporting._score_view import verdict_of
from interp_core.results import Value

DOTS = 300  # inputs that are drawn on an axis
POINTS = 41  # of a curve
ROWS = 200  # of a table of another value
RANGES = ((0.0, 1.0), (-1.0, 1.0))


def score_data(score: Score) -> dict[str, Any]:
    """One measure."""
    verdict, words, aside = verdict_of(score)
    values = [] if score.values is None else [v for v in score.values.tolist() if math.isfinite(v)]
    return {
        "name": score.name or score.made_by.method,
        "definition": score.definition,
        "value": score.value,
        "interval": score.interval,
        "chance": score.chance,
        "chance_error": score.chance_error,
        "higher": score.higher_is_better,
        "verdict": verdict,
        "words": words,
        "aside": aside,
        "inputs": None if score.values is None else len(score.values),
        "dots": _evenly(sorted(values), DOTS) if len(values) > 1 else [],
        "axis": _axis(score, values),
        "curves": _curves(score),
        "notes": list(score.notes),
    }


def _axis(score: Score, values: Sequence[float]) -> tuple[float, float] | None:
    """From 0 or -1 to 1 where everything lies there, from 0 where nothing is below it, else from the least value on."""
    known = [score.value, *(score.interval or ()), *(() if score.chance is None else (score.chance,)), *values]
    known = [v for v in known if math.isfinite(v)]
    if not known:
        return None
    low, high = min(known), max(known)
    fitting = next(((a, b) for a, b in RANGES if a <= low and high <= b), None)
    low = min(low, 0.0)
    return fitting or ((low, high) if low < high else None)


def _curves(score: Score) -> dict[str, Any] | None:
    drawn = [curve for curve in score.curves if len(curve)]
    if not drawn:
        return None
    random = [curve for curve in score.chance_curves if len(curve)]
    space = str(score.made_by.settings.get("score", "score"))
    return {"space": space, "own": asdict(band_of(drawn, POINTS))} | (
        {"random": asdict(band_of(random, POINTS))} if random else {}
    )


def _evenly(values: list[float], most: int) -> list[float]:
    if len(values) <= most:
        return values
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def table_of(value: Value) -> dict[str, Any]:
    """Another value as a table, which may be cut."""
    columns = value.columns()
    rows = list(zip(*columns.values(), strict=True))
    return {
        "kind": type(value).__name__,
        "line": shortened(value.one_line(), 300),
        "columns": list(columns),
        "rows": [[_cell(cell) for cell in row] for row in rows[:ROWS]],
        "more": max(0, len(rows) - ROWS),
        "notes": list(getattr(value, "notes", ())),
    }


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
