"""The `Benchmark` value: attribution methods × metrics on the same texts, with a verdict on which method to trust."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from interp_core.metrics._score import Score
from interp_core.results import Cost, MadeBy, Value, counted, for_json, load_json, save_json, write_text
from interp_core.statistics import FEWEST, interval_of_mean

SURE = 0.95  # confidence that no comparison of a benchmark is wrong


@dataclass(frozen=True, eq=False)
class Row:
    """One method of a benchmark: its scores, its cost and its failures.

    Attributes:
        method: the name of the method.
        parameters: the hyperparameters of the method, as JSON values.
        scores: the scores, by the name of the metric.
        cost: the cost of the attributions, without the metrics.
        failures: error messages, by the name of the metric; under `""` if the method itself failed.
        made_by: the provenance of the attributions; None if the method failed.

    Examples:
        >>> from interp_core.metrics import Row, Score
        >>> row = Row("occlusion", scores={"insertion": Score(0.9, True)}, failures={"deletion": "too few rows"})
        >>> row.scores["insertion"].value, row.failures["deletion"]
        (0.9, 'too few rows')
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    failures: Mapping[str, str] = field(default_factory=dict)
    made_by: MadeBy | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Benchmark(Value):
    """A comparison of attribution methods by several metrics, on the same texts and model.

    Attributes:
        rows: one row for each method, in the order given.
        metrics: the names of the metrics.
        model: the name of the model.
        texts: the number of texts.
        deciding: the names of the metrics that the verdict may rest on; None for all. `benchmark` excludes metrics that
            run the method again: they measure its stability, and a method that ignores the model is stable too.

    Examples:
        >>> from interp_core.metrics import Benchmark, Row, Score
        >>> score = Score(0.9, higher_is_better=True, margins=torch.tensor([0.3, 0.4, 0.35, 0.5, 0.45]))
        >>> result = Benchmark((Row("occlusion", scores={"insertion": score}),), ("insertion",), "bert", texts=5)
        >>> result.beats_chance(result.rows[0], "insertion"), result.trusted.method
        (True, 'occlusion')
    """

    SUFFIX: ClassVar[str] = ".json"
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    model: str
    texts: int
    deciding: tuple[str, ...] | None = None

    @property
    def ranked(self) -> tuple[str, ...]:
        """The deciding metrics that have a direction and at least one score."""
        named = self.metrics if self.deciding is None else self.deciding
        scores = [(m, s) for row in self.rows for m, s in row.scores.items()]
        return tuple(m for m in named if any(n == m and s.higher_is_better is not None for n, s in scores))

    @cached_property
    def level(self) -> float:
        """The confidence level of one comparison with chance, so that all hold in 95 % of benchmarks (Bonferroni)."""
        return 1 - (1 - SURE) / max(1, sum(m in row.scores for row in self.rows for m in self.ranked))

    def beats_chance(self, row: Row, metric: str) -> bool:
        """Test whether a method is significantly better than random orders on the same texts (one-sided, at `level`).

        Args:
            row: the method.
            metric: the name of the metric.

        Returns:
            True if it is; False also without a score or with fewer than five texts.
        """
        score = row.scores.get(metric)
        interval = interval_of_mean(score.margins, 2 * self.level - 1) if score and score.margins is not None else None
        return interval is not None and interval[0] > 0

    @cached_property
    def trusted(self) -> Row | None:
        """The method to trust: the best by mean rank of those that beat chance on more than half of the ranked metrics.

        Ties go to the cheaper method. None if there is no such method.
        """
        able = self._able
        return min(able, key=lambda row: (self.mean_rank(row, able), row.cost.rows), default=None)

    def mean_rank(self, row: Row, among: Sequence[Row]) -> float:
        """Compute the mean rank of a method among others, over the ranked metrics (at least one).

        Args:
            row: the method.
            among: the methods that it is ranked among.

        Returns:
            The mean rank, from 1 (best); a method without a score ranks last.
        """
        places = []
        for metric in self.ranked:
            own = _goodness(row, metric)
            places.append(1 + sum(_goodness(other, metric) > own for other in among if other is not row))
        return sum(places) / len(places)

    def better(self, row: Row, other: Row, metric: str) -> bool:
        """Test whether a method is significantly better than another on the same texts.

        The margins over chance are compared text by text with a paired t interval, corrected for all pairs of methods
        in both directions and all metrics (Bonferroni): of benchmarks of equally good methods, at most 5 % find a
        difference.

        Args:
            row: the method.
            other: the other method.
            metric: the name of the metric.

        Returns:
            True if `row` is better than `other`.
        """
        own, theirs = (one.scores[metric].margins if metric in one.scores else None for one in (row, other))
        if own is None or theirs is None or len(own) != len(theirs):
            return False
        pairs = len(self.rows) * (len(self.rows) - 1) // 2 * len(self.ranked)
        interval = interval_of_mean(own - theirs, 1 - (1 - SURE) / max(1, pairs))
        return interval is not None and interval[0] > 0

    @cached_property
    def ties(self) -> tuple[Row, ...]:
        """The methods that beat chance as the trusted one does and are not significantly worse than it.

        These are the ones that the trusted method beats on no ranked metric, or that beat it on some.
        """
        first = self.trusted
        if first is None:
            return ()

        def told(row: Row) -> bool:
            better, worse = (any(self.better(*two, m) for m in self.ranked) for two in ((first, row), (row, first)))
            return better and not worse

        return tuple(row for row in self._able if row is not first and not told(row))

    @cached_property
    def _able(self) -> tuple[Row, ...]:
        """The methods that beat chance on more than half of the ranked metrics."""
        wins = {row.method: sum(self.beats_chance(row, m) for m in self.ranked) for row in self.rows}
        return tuple(row for row in self.rows if 2 * wins[row.method] > len(self.ranked))

    @property
    def verdict(self) -> str:
        """The result in words: which method to trust, and which cannot be told from it; or why there is none."""
        if not any(row.scores for row in self.rows):
            messages = [message for row in self.rows for message in row.failures.values()]
            return f"Nothing could be measured: {messages[0] if messages else 'there are no methods.'}"
        if not self.ranked:
            return "None of these metrics says which method to trust; add one such as insertion."
        if self.texts < FEWEST:
            return f"{self.texts} texts are too few to tell methods from chance; give at least {FEWEST}."
        if not any(row.scores[m].margins is not None for row in self.rows for m in self.ranked if m in row.scores):
            return "No chance level was measured, so that no method can be told from chance; leave out chance=False."
        if self.trusted is None:
            return (
                f"No method beats random orders on more than half of the metrics on {self.model}: trust none of them "
                "here."
            )
        won = [m for m in self.ranked if self.beats_chance(self.trusted, m)]
        return (
            f"On {self.model} trust {self.trusted.method}: better than random orders in {' and '.join(won)}, with the "
            f"best mean rank of the methods that beat chance.{self._tied}"
        )

    @property
    def _tied(self) -> str:
        """Which methods may be as good as the trusted one, as a sentence."""
        if not self.ties:
            return ""
        names = ", ".join(row.method for row in self.ties)
        return f" These {self.texts} texts cannot tell it from {names}; more texts would be needed."

    def one_line(self) -> str:
        """Describe the benchmark in less than a line, as its `repr` does."""
        made = f"{counted(len(self.rows), 'method')}, {counted(len(self.metrics), 'metric')}"
        trusted = f", trust {self.trusted.method}" if self.trusted else ""
        return f"{made}, {counted(self.texts, 'text')} on {self.model}{trusted}"

    def summary(self) -> str:
        """Give the table as CSV, and the verdict."""
        return f"{self.to_csv()}{self.verdict}"

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, with the comparisons with chance and the verdict."""

        def scores(row: Row) -> dict[str, Any]:
            return {m: {**s.to_json(), "beats_chance": self.beats_chance(row, m)} for m, s in row.scores.items()}

        rows = [
            {
                "method": row.method,
                "parameters": dict(row.parameters),
                "scores": scores(row),
                "cost": vars(row.cost),
                "failures": dict(row.failures),
            }
            for row in self.rows
        ]
        trusted = self.trusted.method if self.trusted else None
        told = {"model": self.model, "texts": self.texts, "rows": rows, "trusted": trusted, "verdict": self.verdict}
        return for_json(told)

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each method and metric, as in `to_csv`; missing numbers are None."""
        lines = [self._line(row, metric) for row in self.rows for metric in self.metrics]
        cells = [[None if cell == "" else cell for cell in line] for line in lines]
        return {name: [line[i] for line in cells] for i, name in enumerate(COLUMNS)}

    def to_csv(self, path: str | Path | None = None) -> str:
        """Convert to CSV, with a line for each method and metric.

        Args:
            path: a file to which the text is also written; missing folders are created.

        Returns:
            The text; missing numbers are empty.
        """
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in self.rows:
            for metric in self.metrics:
                table.writerow(self._line(row, metric))
        if path is not None:
            write_text(path, out.getvalue())
        return out.getvalue()

    def _line(self, row: Row, metric: str) -> list[Any]:
        score, cost = row.scores.get(metric), row.cost
        spent = [f"{cost.seconds:.3f}", cost.forwards, cost.rows, cost.backwards]
        if score is None:
            return [row.method, metric, *[""] * 6, *spent, row.failures.get(metric, row.failures.get("", "")), ""]
        low, high = score.interval or ("", "")
        direction = {True: "higher", False: "lower", None: ""}[score.higher_is_better]
        return [
            row.method,
            metric,
            score.value,
            low,
            high,
            score.chance,
            direction,
            self.beats_chance(row, metric),
            *spent,
            "",
            score.chance_error,
        ]

    def save(self, path: str | Path) -> Path:
        """Write the benchmark to a JSON file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        rows = [
            {
                **vars(row),
                "scores": {m: s.to_json() for m, s in row.scores.items()},
                "cost": dataclasses.asdict(row.cost),
                "made_by": row.made_by.to_json() if row.made_by else None,
            }
            for row in self.rows
        ]
        data = {"rows": rows, "metrics": self.metrics, "model": self.model, "texts": self.texts}
        return save_json(path, "benchmark", {**data, "deciding": self.deciding})

    @classmethod
    def load(cls, path: str | Path) -> Benchmark:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The benchmark.

        Raises:
            InputError: there is no such file, or it does not hold a benchmark.
        """
        data = load_json(path, "benchmark")
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


COLUMNS = (
    "method",
    "metric",
    "value",
    "low",
    "high",
    "chance",
    "better",
    "beats chance",
    "seconds",
    "forwards",
    "rows",
    "backwards",
    "failure",
    "chance error",
)


def _goodness(row: Row, metric: str) -> float:
    score = row.scores.get(metric)
    if score is None or score.higher_is_better is None:
        return -float("inf")
    return score.value if score.higher_is_better else -score.value
