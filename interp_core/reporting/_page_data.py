"""Everything that a page shows as lines of JSON: an index, then a line for each text and each concept.

The page reads the index at once and another line only when it is drawn, so that thousands of texts open at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from interp_core.reporting._benchmark_table import standings_of
from interp_core.reporting._bibtex import bibtex_of
from interp_core.reporting._concept_data import ConceptLines, concept_lines, concepts_of_texts
from interp_core.reporting._contents import Contents
from interp_core.reporting._effect_view import effect_view
from interp_core.reporting._provenance_view import notes_of, records_of, runs_of, versions_of
from interp_core.reporting._text_data import text_lines
from interp_core.reporting._text_views import texts_of
from interp_core.reporting._trust_data import score_data, table_of
from interp_core.reporting._word_data import word_tables


def page_data(contents: Contents, concepts: ConceptLines | None = None) -> str:
    """The lines, safe inside of a script element.

    Args:
        contents: what is shown.
        concepts: those that are shown, where they are not the ones of the contents.
    """
    shared = shared_notes(contents)
    held = texts_of(contents.attributions)
    texts = text_lines(contents.attributions, shared)
    for line, known in zip(texts.lines, concepts_of_texts(contents, [each[0].text for each in held]), strict=True):
        line["concepts"] = known
    places = {id(one): place for place, each in enumerate(held) for one in each}
    concepts = concepts or concept_lines(contents)
    runs = runs_of(contents.values)
    records, references = records_of(runs)
    index = {
        "texts": texts.listed,
        "largest": texts.largest,
        "word_notes": sorted(shared),
        "words": word_tables(contents.attributions, places),
        "concepts": concepts.groups,
        "concept_notes": notes_of(contents.learnt),
        "corpora": [_corpus(activations) for activations in contents.activations],
        "effects": [asdict(effect_view(effect)) for effect in contents.effects],
        "scores": [score_data(score) for score in contents.scores],
        "benchmarks": [asdict(standings_of(benchmark)) for benchmark in contents.benchmarks],
        "tables": [table_of(value) for value in contents.others],
        "records": [asdict(record) | {"what": record.what} for record in records],
        "versions": versions_of(runs),
        "references": references,
        "bibtex": bibtex_of(references),
    }
    return "\n".join(map(_json, [index, *texts.lines, *concepts.lines]))


def shared_notes(contents: Contents) -> frozenset[str]:
    """The notes that all attributions have in common. Other notes are shown with their text."""
    notes = [frozenset(one.notes) for one in contents.attributions]
    return frozenset.intersection(*notes) if notes else frozenset()


def _corpus(activations: Any) -> dict[str, Any]:
    named = {"cls": "text", "sample": "text", "spans": "span"}
    each = named.get(activations.granularity, activations.granularity)
    return {"texts": len(activations.texts), "rows": len(activations), "layer": activations.layer, "each": each}


def _json(line: dict[str, Any]) -> str:
    text = json.dumps(_plain(line), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """Values that JSON has; numbers that are not finite become text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(name): _plain(held) for name, held in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(held) for held in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
