"""Which attribution method to trust on a model: methods × metrics on the same texts, as one table."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from interp_core.intervals import FEWEST, interval_of_mean
from interp_core.provenance import Cost, MadeBy
from interp_core.score import Score

SURE = 0.95


@dataclass(frozen=True, eq=False)
class Row:
    """One method: its scores by metric, what it cost, and why it failed, if it did."""

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    failures: Mapping[str, str] = field(default_factory=dict)
    made_by: MadeBy | None = None


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Methods × metrics on the same texts of one model.

    Attributes:
        rows: one for each method, in the order they were given.
        metrics: the names of the metrics.
        model: the name of the model.
        texts: how many texts.
        deciding: the metrics that a verdict may rest on; None for all. Those that ask whether a method is steady are
            not among them: one that always says the same is.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    model: str
    texts: int
    deciding: tuple[str, ...] | None = None

    @property
    def ranked(self) -> tuple[str, ...]:
        """The metrics that say which of two answers is better, of those that decide."""
        named = self.metrics if self.deciding is None else self.deciding
        scores = [(m, s) for row in self.rows for m, s in row.scores.items()]
        return tuple(m for m in named if any(n == m and s.higher_is_better is not None for n, s in scores))

    @cached_property
    def level(self) -> float:
        """How sure one comparison must be so that all together are wrong in 5 of 100 benchmarks (Bonferroni)."""
        return 1 - (1 - SURE) / max(1, sum(m in row.scores for row in self.rows for m in self.ranked))

    def beats_floor(self, row: Row, metric: str) -> bool:
        """Whether a method is better than random orders on the same texts by more than chance, of all comparisons."""
        score = row.scores.get(metric)
        found = interval_of_mean(score.margins, 2 * self.level - 1) if score and score.margins is not None else None
        return found is not None and found[0] > 0

    @cached_property
    def trusted(self) -> Row | None:
        """The method to trust: of those that beat the floor on more than half of the metrics the one with the best mean
        rank over metrics, the cheaper of equals. None where none does.
        """
        wins = {row.method: sum(self.beats_floor(row, m) for m in self.ranked) for row in self.rows}
        able = [row for row in self.rows if 2 * wins[row.method] > len(self.ranked)]
        return min(able, key=lambda row: (self.mean_rank(row, able), row.cost.rows), default=None)

    def mean_rank(self, row: Row, among: Sequence[Row]) -> float:
        """The mean over metrics of the place of a method among others, 1 for the best; last where it has no score."""
        places = []
        for metric in self.ranked:
            own = _goodness(row, metric)
            places.append(1 + sum(_goodness(other, metric) > own for other in among if other is not row))
        return sum(places) / len(places)

    @property
    def verdict(self) -> str:
        """In words: which method to trust here, or that none earns it."""
        if not any(row.scores for row in self.rows):
            said = [why for row in self.rows for why in row.failures.values()]
            return f"Nothing could be measured: {said[0] if said else 'there are no methods.'}"
        if not self.ranked:
            return "None of these metrics says which method to trust; add one such as insertion."
        if self.texts < FEWEST:
            return f"{self.texts} texts are too few to tell methods from chance; give at least {FEWEST}."
        if self.trusted is None:
            return (
                f"No method beats random orders on more than half of the metrics on {self.model}: trust none of them "
                "here."
            )
        won = [m for m in self.ranked if self.beats_floor(self.trusted, m)]
        return (
            f"On {self.model} trust {self.trusted.method}: better than random orders in {' and '.join(won)}, with the "
            "best mean rank of the methods that beat chance."
        )

    def __str__(self) -> str:
        return f"{self.to_csv()}{self.verdict}"

    def to_csv(self, path: str | Path | None = None) -> str:
        """A line for each method and metric; also written to `path` if given."""
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in self.rows:
            for metric in self.metrics:
                table.writerow(self._line(row, metric))
        if path is not None:
            Path(path).write_text(out.getvalue(), encoding="utf-8")
        return out.getvalue()

    def _line(self, row: Row, metric: str) -> list[Any]:
        score, cost = row.scores.get(metric), row.cost
        spent = [f"{cost.seconds:.3f}", cost.forwards, cost.rows, cost.backwards]
        if score is None:
            return [row.method, metric, *[""] * 6, *spent, row.failures.get(metric, row.failures.get("", ""))]
        low, high = score.interval or ("", "")
        direction = {True: "higher", False: "lower", None: ""}[score.higher_is_better]
        return [
            row.method,
            metric,
            score.value,
            low,
            high,
            score.floor,
            direction,
            self.beats_floor(row, metric),
            *spent,
            "",
        ]

    def save(self, path: str | Path) -> Path:
        """Write as JSON."""
        rows = [{**vars(row), "scores": {m: s.to_json() for m, s in row.scores.items()}} for row in self.rows]
        data = {"kind": "benchmark", "rows": rows, "metrics": self.metrics, "model": self.model, "texts": self.texts}
        data["deciding"] = self.deciding
        Path(path).write_text(json.dumps(data, default=dataclasses.asdict), encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Benchmark:
        """Read what `save` wrote."""
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = tuple(
            Row(
                **{
                    **row,
                    "scores": {m: Score.from_json(s) for m, s in row["scores"].items()},
                    "cost": Cost(**row["cost"]),
                    "made_by": MadeBy.from_json(row["made_by"]) if row.get("made_by") else None,
                }
            )
            for row in data["rows"]
        )
        deciding = None if data.get("deciding") is None else tuple(data["deciding"])
        return cls(rows, tuple(data["metrics"]), data["model"], data["texts"], deciding)

    def _repr_html_(self) -> str:
        from interp_core.reporting import fragment

        return fragment(self)


COLUMNS = (
    "method",
    "metric",
    "value",
    "low",
    "high",
    "floor",
    "better",
    "beats floor",
    "seconds",
    "forwards",
    "rows",
    "backwards",
    "failure",
)


def _goodness(row: Row, metric: str) -> float:
    score = row.scores.get(metric)
    if score is None or score.higher_is_better is None:
        return -float("inf")
    return score.value if score.higher_is_better else -score.value
