"""The view of provenance: one record for each run, and the papers that the methods follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from interp_core.metrics import Benchmark
from interp_core.plugin import PROGRAM_SOURCE
from interp_core.reporting._formatting import count, duration
from interp_core.results import Cost, MadeBy

NO_PAPER = ("", "definition", PROGRAM_SOURCE)
KINDS = {
    "Attribution": "attribution",
    "Effect": "effect",
    "Importance": "importance",
    "Interpretation": "interpretation",
    "Score": "measure",
    "Activations": "activations",
}


@dataclass(frozen=True)
class Run:
    """One run: the kind of its result, how it was made, and for how many texts."""

    kind: str
    made_by: MadeBy
    notes: tuple[str, ...] = ()
    texts: int = 1


@dataclass
class Record:
    """The view of a run, or of several equal ones."""

    title: str
    facts: list[tuple[str, str]]
    reference: int = 0
    made: int = 1
    kind: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def what(self) -> str:
        """Such as `attribution of 6 texts`."""
        return f"{self.kind} of {count(self.made, 'text')}" if self.kind == "attribution" else self.kind


def runs_of(values: Sequence[Any]) -> list[Run]:
    """The runs that made the values, in order."""
    runs = []
    for value in values:
        if isinstance(value, Benchmark):
            runs += _benchmark_runs(value)
        else:
            runs.append(Run(KINDS.get(type(value).__name__, "concepts"), value.made_by, value.notes))
    return runs


def _benchmark_runs(benchmark: Benchmark) -> list[Run]:
    """The methods of a benchmark, then its metrics, each once with its cost for all methods together."""
    methods = []
    for row in benchmark.rows:
        unrecorded = MadeBy(row.method, parameters=dict(row.parameters), model=benchmark.model, cost=row.cost)
        if "" not in row.failures:
            methods.append(replace(row.made_by, method=row.method) if row.made_by else unrecorded)
    metrics: dict[str, MadeBy] = {}
    for name, score in (item for row in benchmark.rows for item in row.scores.items()):
        made, cost = replace(score.made_by, method=name, cost=Cost()), score.made_by.cost
        key = json.dumps(made.to_json(), sort_keys=True, default=repr)
        metrics[key] = replace(made, cost=_sum(metrics[key].cost if key in metrics else Cost(), cost))
    runs = [Run("attribution", made, texts=benchmark.texts) for made in methods]
    return [*runs, *(Run("measure", made) for made in metrics.values())]


def records_of(runs: Sequence[Run]) -> tuple[list[Record], list[str]]:
    """The records of all runs in order, and the references they name by number."""
    records: dict[str, Record] = {}
    references: list[str] = []
    for run in runs:
        made, kind = run.made_by, run.kind
        key = kind + json.dumps(made.to_json(), sort_keys=True, default=repr)
        if key not in records:
            if made.source not in NO_PAPER and made.source not in references:
                references.append(made.source)
            place = references.index(made.source) + 1 if made.source in references else 0
            records[key] = Record(made.method, _facts(made), place, 0, kind)
        records[key].made += run.texts
        records[key].notes += [n for n in run.notes if n not in records[key].notes]
    return list(records.values()), references


def notes_of(values: Sequence[Any]) -> list[str]:
    """The notes of all values, each once. If only some values of a kind have a note, their number is added."""
    lines: list[str] = []
    for kind in dict.fromkeys(type(v).__name__ for v in values):
        held = [v.notes for v in values if type(v).__name__ == kind]
        for note in dict.fromkeys(n for notes in held for n in notes):
            saying = sum(note in notes for notes in held)
            lines.append(note if saying == len(held) else f"{note} ({saying} of {len(held)})")
    return list(dict.fromkeys(lines))


def versions_of(runs: Sequence[Run]) -> list[str]:
    """The package versions that the values were made with, one line for each combination."""
    lines = [", ".join(f"{name} {number}" for name, number in run.made_by.versions.items()) for run in runs]
    return [line for line in dict.fromkeys(lines) if line]


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(**{name: value + getattr(other, name) for name, value in vars(one).items()})


def cost_of(cost: Cost) -> str:
    """The cost of a run in words."""
    parts = [count(cost.forwards, "forward pass", "forward passes")] if cost.forwards else []
    parts += [count(cost.rows, "row")] if cost.rows else []
    parts += [count(cost.backwards, "backward pass", "backward passes")] if cost.backwards else []
    return ", ".join([*parts, duration(cost.seconds)]) if parts or cost.seconds else ""


def _facts(made: MadeBy) -> list[tuple[str, str]]:
    package = " ".join(part for part in (made.package, made.version) if part)
    facts = [
        ("Package", package),
        ("Model", made.model),
        ("Parameters", pairs(made.parameters)),
        ("Settings", pairs(made.settings)),
        ("Cost", cost_of(made.cost)),
    ]
    return [(name, text) for name, text in facts if text]


def pairs(values: dict[str, Any]) -> str:
    """`samples = 1000, seed = 0`."""
    return ", ".join(f"{name.replace('_', ' ')} = {_value(v)}" for name, v in values.items())


def _value(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"repr"}:  # an object, see `parameters_of`
        return value["repr"]
    return "none" if value is None else value
