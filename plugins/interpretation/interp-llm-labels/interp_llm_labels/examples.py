"""Which examples of a concept are shown to a language model, and how."""

from __future__ import annotations

import numpy as np
from interp_core.activations import Activations
from jaxtyping import Float, Int

LONGEST = 400  # characters of a unit, and of its context on either side


def line(activations: Activations, row: int, context: int) -> str:
    """A row as one line of a prompt: its unit, which is marked << >> if units of context stand around it."""
    text, place = int(activations.text_of[row]), int(activations.unit_of[row])
    units, unit = activations.units[text], activations.unit(row)
    if context == 0:
        return _on_one_line(_cut(unit.text)) or "(blank)"
    whole, body = _unmarked(activations.texts[text]), unit.text.strip()
    start = unit.start + unit.text.index(body)  # tokens of some models begin with the space before them
    before = whole[units[max(0, place - context)].start : start][-LONGEST:]
    after = whole[start + len(body) : units[min(len(units) - 1, place + context)].stop][:LONGEST]
    return _on_one_line(f"{before}<<{_unmarked(_cut(body)) or '(blank)'}>>{after}")


def strongest(codes: Float[np.ndarray, " n"], same: Int[np.ndarray, " n"]) -> Int[np.ndarray, " r"]:
    """The rows where a concept is positive, strongest first; of rows that look the same only the strongest."""
    order = np.argsort(-codes, kind="stable")
    order = order[codes[order] > 0]
    _, first = np.unique(same[order], return_index=True)
    return order[np.sort(first)]


def spread(ranked: Int[np.ndarray, " r"], examples: int, bins: int, seed: int) -> Int[np.ndarray, " e"]:
    """As many draws from each of `bins` equal stretches of a ranking, in its order; all of it if there are no more."""
    if len(ranked) <= examples:
        return ranked
    generator = np.random.default_rng(seed)
    stretches = np.array_split(ranked, bins)
    shares = [len(part) for part in np.array_split(np.arange(examples), bins)]  # the first take what does not divide
    drawn = [generator.choice(s, share, replace=False) for s, share in zip(stretches, shares, strict=True)]
    return ranked[np.isin(ranked, np.concatenate(drawn))]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _unmarked(text: str) -> str:
    """The text, of the same length, without marks of its own."""
    return text.replace("<<", "‹‹").replace(">>", "››")


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
