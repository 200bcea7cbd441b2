"""Which attribution method to trust on a model: methods × metrics on the same texts, as a table with a verdict."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from interp_core.plugin import Kind, declaration_of, find_method, named_options, resolve
from interp_core.results import Cost, MadeBy, load_json, save_json, write_text
from interp_core.statistics import FEWEST, interval_of_mean
from interp_core.text import Granularity, Text, as_texts

SURE = 0.95  # confidence that no comparison of a benchmark is wrong


@dataclass(frozen=True, eq=False)
class Row:
    """One method of a benchmark: its scores, its cost and its failures.

    Attributes:
        method: name of the method.
        parameters: its hyperparameters, as JSON values.
        scores: by name of the metric.
        cost: what the attributions cost, without the metrics.
        failures: messages by name of the metric; under `""` if the method itself failed.
        made_by: provenance of the attributions; None if the method failed.

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


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Methods × metrics on the same texts of one model.

    Attributes:
        rows: one for each method, in the order given.
        metrics: names of the metrics.
        model: name of the model.
        texts: the number of texts.
        deciding: names of the metrics that the verdict may rest on; None for all. `benchmark` excludes metrics that run
            the method again: they ask how stable it is, and a method that ignores the model is stable too.

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
        """The confidence level of one comparison at which 95 % of benchmarks have no wrong one (Bonferroni)."""
        return 1 - (1 - SURE) / max(1, sum(m in row.scores for row in self.rows for m in self.ranked))

    def beats_chance(self, row: Row, metric: str) -> bool:
        """Whether a method is significantly better than random orders on the same texts, at the level `level`."""
        score = row.scores.get(metric)
        interval = interval_of_mean(score.margins, 2 * self.level - 1) if score and score.margins is not None else None
        return interval is not None and interval[0] > 0

    @cached_property
    def trusted(self) -> Row | None:
        """The method to trust, or None: among those that beat chance on more than half of the ranked metrics, the one
        with the best mean rank; ties go to the cheaper.
        """
        wins = {row.method: sum(self.beats_chance(row, m) for m in self.ranked) for row in self.rows}
        able = [row for row in self.rows if 2 * wins[row.method] > len(self.ranked)]
        return min(able, key=lambda row: (self.mean_rank(row, able), row.cost.rows), default=None)

    def mean_rank(self, row: Row, among: Sequence[Row]) -> float:
        """The mean rank of a method among others over the ranked metrics, of which there must be one.

        1 is the best rank; without a score a method is last.
        """
        places = []
        for metric in self.ranked:
            own = _goodness(row, metric)
            places.append(1 + sum(_goodness(other, metric) > own for other in among if other is not row))
        return sum(places) / len(places)

    @property
    def verdict(self) -> str:
        """The result in words: which method to trust here, or why none."""
        if not any(row.scores for row in self.rows):
            messages = [message for row in self.rows for message in row.failures.values()]
            return f"Nothing could be measured: {messages[0] if messages else 'there are no methods.'}"
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
        """The table as CSV, with a line for each method and metric; also written to `path` if given."""
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
        """Write a JSON file and return its path."""
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
        """The benchmark in a file that `save` wrote.

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
    """Measure every attribution method with every metric on the same texts.

    If a method or a metric fails, the message is kept in its row and the others are still run.

    Args:
        model: the model.
        texts: one text or several, as in `interp.attribute`; with fewer than five no method can be told from chance.
        methods: names or instances of attribution methods; or a mapping of names of your own to these.
        metrics: names or instances of metrics of attributions; or a mapping of names of your own to these.
        labels: for metrics that compare with people: a list of character spans [start, stop) for each text.
        targets: what is explained, as in `interp.attribute`.
        granularity: what a unit is.
        removal: what an absent unit is.
        score: the score space that is explained.
        output: for generators: what one target is.
        layer: explain through the hidden states of this layer; a block number or a module path.
        max_new_tokens: for generators: the most tokens of a continuation.
        max_rows: the most rows of the model that one text may take, for each method and each metric.
        progress: show progress bars in a terminal or notebook.

    Returns:
        The scores, costs and failures of each method, with the method to trust.

    Raises:
        InputError: there are no methods or metrics, names occur twice, a metric needs `labels`, or a text, target or
            option cannot be used.
        UnsupportedError: a metric measures another kind of result.
        UnknownMethodError: no installed package declares a method or metric of some name.

    Examples:
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0), "angry": (-1.0, 1.5)})
        >>> texts = [f"i was {how} {mood} today" for how in ("so", "very") for mood in ("happy", "sad", "angry")]
        >>> result = interp.benchmark(model, texts, methods="occlusion", metrics="insertion", progress=False)
        >>> result.trusted.method
        'occlusion'
        >>> result.rows[0].scores["insertion"].values.shape
        torch.Size([6])
    """
    chosen, measured_by = _named(methods, "methods", "attribution"), _named(metrics, "metrics", "metric")
    needs = {name: _needs(name, metric) for name, metric in measured_by.items()}
    unmarked = [name for name, needed in needs.items() if "labels" in needed] if labels is None else []
    if unmarked:
        raise InputError(f"{', '.join(unmarked)} compares with what people marked; give labels=, spans for each text.")
    corpus = as_texts(texts)
    if labels is not None and len(labels) != len(corpus):
        raise InputError(f"{len(labels)} labels were given for {len(corpus)} texts; spans for each were expected.")
    rows = []
    for name, method in chosen.items():
        try:
            attributions = attribute(
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
        instance = None if isinstance(method, str) else method
        for metric_name, metric in measured_by.items():
            produced_by = (model, labels) if "labels" in needs[metric_name] else (model,)
            absent = None if "method" in needs[metric_name] else removal
            try:
                scores[metric_name] = measure(
                    attributions, *produced_by, by=metric, method=instance, removal=absent, progress=progress
                )
            except (*EXPECTED, InputError) as error:
                failures[metric_name] = str(error)
        made = attributions[0].made_by
        rows.append(Row(name, made.parameters, scores, made.cost, failures, made))
    deciding = tuple(name for name, needed in needs.items() if "method" not in needed)  # the others measure stability
    return Benchmark(tuple(rows), tuple(measured_by), model.name, len(corpus), deciding)


def _named(several: Named | str, what: str, kind: Kind) -> dict[str, Any]:
    """Methods or metrics by name.

    Raises:
        InputError: there are none, two have the same name, or one is not of this kind.
        PluginError: no package declares one of them, or it is of another kind.
    """
    items: Named = [several] if isinstance(several, str) else several
    if isinstance(items, Mapping):
        named = dict(items)
    else:
        named = {item if isinstance(item, str) else name_of(item): item for item in items}
    if not named:
        raise InputError(f"no {what} were given; at least one is needed.")
    if len(named) < len(items):
        raise InputError(
            f"the {what} are {', '.join(map(str, named))}, {len(items)} in all, so that names occur twice; give two of "
            "one name as a mapping of your own names to instances."
        )
    for item in named.values():  # a name that is not known must not stop a long run in its middle
        with suppress(BrokenPluginError):  # kept in its row
            resolve(item, kind)
    return named


def _needs(name: str, metric: Any) -> frozenset[str]:
    """What a metric gets besides the attribution and the question.

    Raises:
        UnsupportedError: it measures something other than attributions.
    """
    declared = find_method(metric, "metric") if isinstance(metric, str) else declaration_of(metric)
    if declared is not None and declared.measures != "attribution":
        raise UnsupportedError(f"{name} measures {declared.measures}; a benchmark measures attributions.")
    needs: frozenset[str] = declared.needs if declared else getattr(metric, "needs", frozenset())
    return needs
