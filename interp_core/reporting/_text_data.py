"""What the page holds of attributions: a line for each text, and what its list shows of all of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from interp_core.attribution import Attribution, ComponentText
from interp_core.model import Target
from interp_core.reporting._component_data import grid_of
from interp_core.reporting._formatting import shortened
from interp_core.reporting._provenance_view import pairs
from interp_core.reporting._text_segments import Piece, pieces_of, places_of
from interp_core.reporting._text_views import SPACES, best_target, comparable, effort_of, others, texts_of, visible
from interp_core.text import Encoded
from torch import Tensor

BEGINNING = 160  # characters of a text in the list of texts


@dataclass(frozen=True)
class TextLines:
    """The texts of a page.

    Attributes:
        listed: for each text what the list of texts shows.
        lines: for each text what is drawn once it is chosen.
        largest: for each method the largest absolute score of all texts.
    """

    listed: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    largest: dict[str, float]


def run_names(attributions: Sequence[Attribution]) -> dict[int, str]:
    """The method of each attribution by its `id`, with what tells it from other runs of the method."""
    runs: dict[tuple[str, str], set[str]] = {}
    parameters = {id(one): pairs(one.made_by.parameters) for one in attributions}
    for one in attributions:
        runs.setdefault((one.made_by.method, _over(one)), set()).add(parameters[id(one)])
    names = {}
    for one in attributions:
        told = parameters[id(one)] if len(runs[one.made_by.method, _over(one)]) > 1 else ""
        names[id(one)] = f"{one.made_by.method} ({told})" if told else one.made_by.method
    return names


def _over(one: Attribution) -> str:
    """The components that are the units, if they are."""
    return one.encoded.over if isinstance(one.encoded, ComponentText) else ""


def text_lines(attributions: Sequence[Attribution], shared: frozenset[str]) -> TextLines:
    """The texts in the order of their first attribution; attributions of the same text are one."""
    names = run_names(attributions)
    several = texts_of(attributions)
    lines = [_line(held, shared, names) for held in several]
    listed = [_listed(held, line) for held, line in zip(several, lines, strict=True)]
    largest: dict[str, float] = {}
    for one in attributions:
        own = [others(one, k) for k in range(len(one.targets))] if one.prompt_stop >= 0 else [one.scores]
        size = max((_finite_size(scores) for scores in own), default=0.0)
        scale = scale_of(one, names[id(one)])
        largest[scale] = max(size, largest.get(scale, 0.0))
    return TextLines(listed, lines, largest)


def _finite_size(scores: Tensor) -> float:
    finite = scores[scores.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def scale_of(one: Attribution, name: str) -> str:
    """What has scores that can be compared: those of one method in one score space, of components or of words."""
    return " ".join(part for part in (name, one.score_space, _over(one)) if part)


def packed_floats(values: Tensor) -> str:
    """Numbers as base64 of float32, in the order of their rows."""
    return base64.b64encode(values.detach().float().cpu().contiguous().numpy().astype("<f4").tobytes()).decode()


def _listed(held: Sequence[Attribution], line: dict[str, Any]) -> dict[str, Any]:
    known = next((one for one in held if one.answer is not None), held[0])
    probability = known.probability
    return {
        "text": shortened(known.text, BEGINNING),
        "whole": known.text if shortened(known.text, BEGINNING) != known.text else "",
        "label": _joined(known.label),
        "answer": _joined(known.answer),
        "probability": min(probability, default=None) if isinstance(probability, tuple) else probability,
        "right": known.right,
        "components": all(view["over"] for view in line["views"]),
        "over": any(view["over"] for view in line["views"]),
    }


def _joined(classes: Any) -> str | None:
    if classes is None:
        return None
    return ", ".join(map(str, classes)) or "none" if isinstance(classes, tuple) else str(classes)


def _line(held: Sequence[Attribution], shared: frozenset[str], names: dict[int, str]) -> dict[str, Any]:
    targets = list(dict.fromkeys(target for one in held for target in one.targets))
    first = held[0]
    best = targets.index(first.targets[best_target(first)]) if first.targets else 0
    intact: dict[Target, float] = {}
    for one in held:
        if one.intact is not None and one.score_space == first.score_space:
            intact |= {t: float(v) for t, v in zip(one.targets, one.intact, strict=True) if t not in intact}
    marked = comparable(first)
    cuts: list[Any] = []
    views = [_view(one, names[id(one)], targets, shared, cuts) for one in held]
    return {
        "told": " ".join(next((one.said for one in held if one.said), [])),
        "choices": [
            {"label": visible(t.label), "intact": intact.get(t), "best": marked and i == best}
            for i, t in enumerate(targets)
        ],
        "chosen": best,
        "generated": first.prompt_stop >= 0,
        "blocks": _blocks(first.encoded),
        "code": _is_code(first.text),
        "cuts": cuts,
        "views": views,
    }


def _view(
    one: Attribution, name: str, targets: Sequence[Target], shared: frozenset[str], cuts: list[Any]
) -> dict[str, Any]:
    over = _over(one)
    cut = _cut(one)
    if cut not in cuts:
        cuts.append(cut)
    scores = one.scores.clone()
    if one.applicable is not None:
        scores[~one.applicable] = torch.nan
    view: dict[str, Any] = {
        "method": name,
        "scale": scale_of(one, name),
        "space": SPACES.get(one.score_space, one.score_space),
        "directed": one.directed,
        "over": over,
        "about": " ".join(one.units_line),
        "effort": effort_of(one),
        "exact": one.exact,
        "cut": cuts.index(cut),
        "targets": [targets.index(target) for target in one.targets],
        "intact": None if one.intact is None else one.intact.tolist(),
        "own": [places_of(one, target) for target in one.targets],
        "scores": packed_floats(scores),
        "notes": [note for note in one.notes if note not in shared],
    }
    if one.error is not None and not one.exact:
        view["error"] = packed_floats(one.error)
    if over:
        view["grid"] = grid_of([unit.text for unit in one.units])
    return view


def _cut(one: Attribution) -> dict[str, Any]:
    """The pieces of a text and the names of its units: for each piece its text, unit, gap, block, and 1 if written."""
    prompt, written = ([], []) if isinstance(one.encoded, ComponentText) else pieces_of(one)
    borders, at, rows = _places(one.encoded), 0, []
    for side, pieces in enumerate((prompt, written)):
        for piece in pieces:
            for text, block in _in_blocks(piece, at, borders):
                rows.append([text, piece.unit, piece.gap, block, side])
            at += len(piece.text)
    return {"pieces": rows, "units": [unit.text for unit in one.units]}


def _in_blocks(piece: Piece, at: int, borders: Sequence[tuple[int, int]]) -> list[tuple[str, int]]:
    """A piece that begins at a character, cut at the borders of blocks: each part with the block it is in, or -1."""
    stop = at + len(piece.text)
    edges = sorted({at, stop, *(edge for span in borders for edge in span if at < edge < stop)})
    parts = []
    for start, end in pairwise(edges):
        block = next((i for i, (a, b) in enumerate(borders) if a <= start and end <= b), -1)
        parts.append((piece.text[start - at : end - at], block))
    return parts


def _places(encoded: Encoded | None) -> list[tuple[int, int]]:
    """The documents and messages of a chat; a document inside of a message comes first."""
    return [] if encoded is None else [*encoded.documents, *encoded.turns]


def _blocks(encoded: Encoded | None) -> list[str]:
    """The names of documents and messages, in the same order."""
    if encoded is None:
        return []
    return [*(f"document {i}" for i, _ in enumerate(encoded.documents, start=1)), *encoded.roles]


def _is_code(text: str) -> bool:
    """Whether a text looks like a program: most of its lines are indented or end as statements do."""
    lines = [line for line in text.splitlines() if line.strip()]
    marks = [line for line in lines if line.startswith(("  ", "\t")) or line.rstrip().endswith((";", "{", "}", "):"))]
    return len(lines) > 1 and 2 * len(marks) >= len(lines)
