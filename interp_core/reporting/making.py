"""How the values were made, as they are shown: one record for each run, and the papers they follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from interp_core.plugin import PROGRAM_SOURCE
from interp_core.provenance import Cost, MadeBy
from interp_core.reporting.numerals import count, duration

NO_PAPER = ("", "definition", PROGRAM_SOURCE)
KINDS = {
    "Attribution": "attribution",
    "Importance": "importance",
    "Interpretation": "interpretation",
    "Score": "measure",
}
KINDS |= {"Activations": "activations"}


@dataclass
class Record:
    """One run: what came of it, and the facts."""

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


def records_of(values: Sequence[Any]) -> tuple[list[Record], list[str]]:
    """The records of all runs in order, and the references they name by number."""
    records: dict[str, Record] = {}
    references: list[str] = []
    for value in values:
        made: MadeBy = value.made_by
        kind = KINDS.get(type(value).__name__, "concepts")
        key = kind + json.dumps(made.to_json(), sort_keys=True, default=repr)
        if key not in records:
            if made.source not in NO_PAPER and made.source not in references:
                references.append(made.source)
            place = references.index(made.source) + 1 if made.source in references else 0
            records[key] = Record(made.method, _facts(made), place, 0, kind)
        records[key].made += 1
        records[key].notes += [n for n in value.notes if n not in records[key].notes]
    return list(records.values()), references


def notes_of(values: Sequence[Any]) -> list[str]:
    """What a reader should know, each once; where only some of the values of a kind say so, how many do."""
    lines: list[str] = []
    for kind in dict.fromkeys(type(v).__name__ for v in values):
        held = [v.notes for v in values if type(v).__name__ == kind]
        for note in dict.fromkeys(n for notes in held for n in notes):
            saying = sum(note in notes for notes in held)
            lines.append(note if saying == len(held) else f"{note} ({saying} of {len(held)})")
    return list(dict.fromkeys(lines))


def versions_of(values: Sequence[Any]) -> list[str]:
    """The releases that the values were made with; several where they differ."""
    said = [", ".join(f"{name} {number}" for name, number in v.made_by.versions.items()) for v in values]
    return [one for one in dict.fromkeys(said) if one]


def cost_of(cost: Cost) -> str:
    """What a run took, in words."""
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
    return ", ".join(f"{name.replace('_', ' ')} = {'none' if v is None else v}" for name, v in values.items())
