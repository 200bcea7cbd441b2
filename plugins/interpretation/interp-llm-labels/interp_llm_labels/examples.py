"""Which rows of each concept are shown to a language model, and how they read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Sampled, Strongest, activity, numbered, with_rows
from jaxtyping import Float, Int
from torch import Tensor

LONGEST = 400  # characters of a unit, and of its context on either side
ENTRIES = 2**22  # codes held at a time
DRAWN = 2048  # rows of a concept that others are drawn from

Ranked = tuple[Int[np.ndarray, " e"], Float[np.ndarray, " e"]]  # rows and codes, the strongest first


@dataclass(frozen=True)
class Chosen:
    """The rows of one concept.

    Attributes:
        rows: where it is active, strongest first.
        codes: its codes there.
        silent: rows where it is not active.
        peak: its largest code in the whole corpus.
    """

    rows: Int[np.ndarray, " e"]
    codes: Float[np.ndarray, " e"]
    silent: tuple[tuple[int, float], ...]
    peak: float


@dataclass(frozen=True)
class Choice:
    """How rows are chosen, no two that read the same; see the parameters of the same names of `LLMLabels`."""

    sampling: str
    examples: int
    contrast: int
    context: int
    bins: int
    seed: int

    def of(self, space: ConceptSpace, activations: Activations) -> list[Chosen]:
        """The rows of each concept of a space."""
        same = numbered(self._lines(activations))
        drawn = None
        if self.sampling != "top" or self.contrast:
            drawn = activity(space, activations, sample=DRAWN, silent=4 * self.contrast, seed=self.seed)
        if self.sampling == "top":
            ranked, peaks = self._strongest(space, activations, same)
        else:
            assert drawn is not None
            ranked, peaks = [self._spread(one, same) for one in drawn.samples], drawn.largest.tolist()
        silent: list[tuple[tuple[int, float], ...]] = [()] * len(ranked)
        if drawn and self.contrast:
            silent = [
                self._silent(one, same, set(same[torch.from_numpy(rows)].tolist()))
                for one, (rows, _) in zip(drawn.silent, ranked, strict=True)
            ]
        return [Chosen(*own, others, peak) for own, others, peak in zip(ranked, silent, peaks, strict=True)]

    def _strongest(
        self, space: ConceptSpace, activations: Activations, same: Tensor
    ) -> tuple[list[Ranked], list[float]]:
        """Rows and codes of each concept, and its largest code, in one pass."""
        found: Strongest | None = None
        size = max(1, ENTRIES // space.concepts)
        with torch.no_grad():
            for first, part in zip(range(0, len(activations), size), activations.batches(size), strict=True):
                codes = space.encode(part).float().cpu()
                found = with_rows(found, codes, first, same[first : first + size], self.examples)
        assert found is not None
        pairs = [np.array(one, dtype=float).reshape(-1, 2) for one in found.entries]
        return [(one[:, 0].astype(int), one[:, 1].astype(np.float32)) for one in pairs], found.values[0].tolist()

    def _lines(self, activations: Activations) -> Iterator[str]:
        return (line(activations, row, self.context) for row in range(len(activations)))

    def _spread(self, sample: Sampled, same: Tensor) -> Ranked:
        """Draws from equal stretches of the ranking, or from all of it, in its order."""
        rows, codes = sample.rows.numpy(), sample.codes.numpy()
        _, first = np.unique(same[sample.rows].numpy(), return_index=True)  # the strongest of those that read the same
        ranked = np.sort(first)
        at = spread(ranked, self.examples, self.bins if self.sampling == "quantile" else 1, self.seed)
        return rows[at], codes[at]

    def _silent(self, sample: Sampled, same: Tensor, active: set[int]) -> tuple[tuple[int, float], ...]:
        """Rows where a concept is not active, in random order, none of which reads like one that is shown as active."""
        order = np.random.default_rng(self.seed).permutation(len(sample.rows))
        drawn = [(int(sample.rows[i]), float(sample.codes[i])) for i in order]
        pairs = [(row, code) for row, code in drawn if int(same[row]) not in active]
        known = {int(same[row]): (row, code) for row, code in reversed(pairs)}
        return tuple(list(known.values())[::-1][: self.contrast])


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


def spread(ranked: Int[np.ndarray, " r"], examples: int, bins: int, seed: int) -> Int[np.ndarray, " e"]:
    """As many draws from each of `bins` equal stretches of a ranking, in its order; all of it if there are no more."""
    if len(ranked) <= examples:
        return ranked
    generator, bins = np.random.default_rng(seed), min(bins, examples)
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
