"""Which attribution method to trust on a model: methods and metrics on the same texts, as one table with a verdict."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from interp_core.attribution import Removal, attribute, name_of
from interp_core.display import html
from interp_core.errors import BrokenPluginError, BudgetError, InputError, ModelError, UnsupportedError
from interp_core.metrics._measure import measure
from interp_core.metrics._score import Score
from interp_core.model import WrappedModel
from interp_core.plugin import declaration_of, find_method, named_options
from interp_core.results import Cost, MadeBy, load_json, save_json
from interp_core.statistics import FEWEST, interval_of_mean
from interp_core.text import Granularity, Text, as_texts

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

    SUFFIX: ClassVar[str] = ".json"
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

    def beats_chance(self, row: Row, metric: str) -> bool:
        """Whether a method is better than random orders on the same texts by more than chance, of all comparisons."""
        score = row.scores.get(metric)
        found = interval_of_mean(score.margins, 2 * self.level - 1) if score and score.margins is not None else None
        return found is not None and found[0] > 0

    @cached_property
    def trusted(self) -> Row | None:
        """The method to trust: of those that beat chance on more than half of the metrics the one with the best mean
        rank over metrics, the cheaper of equals. None where none does.
        """
        wins = {row.method: sum(self.beats_chance(row, m) for m in self.ranked) for row in self.rows}
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
        won = [m for m in self.ranked if self.beats_chance(self.trusted, m)]
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
            score.chance,
            direction,
            self.beats_chance(row, metric),
            *spent,
            "",
        ]

    def save(self, path: str | Path) -> Path:
        """Write as JSON."""
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
        """Read what `save` wrote."""
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

    def _repr_html_(self) -> str:
        return html(self)


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
)


def _goodness(row: Row, metric: str) -> float:
    score = row.scores.get(metric)
    if score is None or score.higher_is_better is None:
        return -float("inf")
    return score.value if score.higher_is_better else -score.value


Named = Sequence[Any] | Mapping[str, Any]
EXPECTED = (UnsupportedError, BudgetError, ModelError, BrokenPluginError)


@named_options
def benchmark(
    model: WrappedModel,
    texts: Text | Sequence[Text],
    *,
    methods: Named,
    metrics: Named,
    labels: Sequence[Any] | None = None,
    targets: Any = None,
    granularity: Granularity = "word",
    removal: Removal = "auto",
    score: str = "auto",
    output: Granularity = "token",
    layer: int | str | None = None,
    max_new_tokens: int = 12,
    max_rows: int | None = None,
    progress: bool = True,
) -> Benchmark:
    """Every method measured by every metric on the same texts.

    Args:
        model: the model.
        texts: five or more, so that methods can be told from chance.
        methods: names or instances of attribution methods; a mapping gives them names of your own.
        metrics: names or instances of metrics of attributions, or a mapping.
        labels: what people marked in each text, for metrics that compare with it.
        targets: what is explained, as in `interp.attribute`.
        granularity: the units.
        removal: what an absent unit is.
        score: the score space that is explained.
        output: of generators, what one target is.
        layer: explain through this layer.
        max_new_tokens: of generators, the most tokens of an answer.
        max_rows: the most rows of the model that one text may take.
        progress: show bars on a terminal or notebook.

    Raises:
        InputError: no methods or metrics, or a name given twice. What goes wrong within one method or metric is kept
            in its row, and the others go on.
    """
    chosen, measured_by = _named(methods, "methods"), _named(metrics, "metrics")
    needs = {name: _needs(name, metric) for name, metric in measured_by.items()}
    unmarked = [name for name, needed in needs.items() if "labels" in needed] if labels is None else []
    if unmarked:
        raise InputError(f"{', '.join(unmarked)} compares with what people marked; give labels=, spans for each text.")
    corpus = as_texts(texts)
    rows = []
    for name, method in chosen.items():
        try:
            found = attribute(
                model,
                corpus,
                by=method,
                targets=targets,
                granularity=granularity,
                removal=removal,
                score=score,
                output=output,
                layer=layer,
                max_new_tokens=max_new_tokens,
                max_rows=max_rows,
                progress=progress,
            )
        except EXPECTED as error:
            rows.append(Row(name, failures={"": str(error)}))
            continue
        scores, failures = {}, {}
        for metric_name, metric in measured_by.items():
            what = (model, labels) if "labels" in needs[metric_name] else (model,)
            again = None if isinstance(method, str) else method
            try:
                same = None if "method" in needs[metric_name] else removal
                scores[metric_name] = measure(found, *what, by=metric, method=again, removal=same, progress=progress)
            except (*EXPECTED, InputError) as error:
                failures[metric_name] = str(error)
        made = found[0].made_by
        rows.append(Row(name, made.parameters, scores, made.cost, failures, made))
    deciding = tuple(name for name, needed in needs.items() if "method" not in needed)  # the others ask for steadiness
    return Benchmark(tuple(rows), tuple(measured_by), model.name, len(corpus), deciding)


def _named(several: Named | str, what: str) -> dict[str, Any]:
    given: Named = [several] if isinstance(several, str) else several
    if isinstance(given, Mapping):
        found = dict(given)
    else:
        found = {one if isinstance(one, str) else name_of(one): one for one in given}
    if not found or len(found) < len(given):
        raise InputError(
            f"the {what} are {', '.join(map(str, found)) or 'none'}, {len(given)} in all; at least one is needed, and "
            "names that differ: give two of one kind as a mapping of names to instances."
        )
    return found


def _needs(name: str, metric: Any) -> frozenset[str]:
    """What a metric is given beside attribution and question.

    Raises:
        UnsupportedError: it measures something else than attributions.
    """
    declared = find_method(metric, "metric") if isinstance(metric, str) else declaration_of(metric)
    if declared is not None and declared.measures != "attribution":
        raise UnsupportedError(f"{name} measures {declared.measures}; a benchmark is of attributions.")
    found: frozenset[str] = declared.needs if declared else getattr(metric, "needs", frozenset())
    return found
