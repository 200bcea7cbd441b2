"""Pieces of texts as a judge is shown them, with how active a concept is on each of their units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from interp_core.activations import Activations
from jaxtyping import Bool, Float, Int

LONGEST = 1000  # characters of a unit, and of its context on either side


@dataclass(frozen=True)
class Excerpt:
    """A unit and those around it.

    Attributes:
        plain: the piece of the text on one line.
        marked: the same with << >> around the unit.
        units: what each unit in it reads.
        values: how active the concept is on each; what is below 0 counts as 0.
        beside: whether the concept is active anywhere in the text that it comes from.
        cut: whether it is shortened.
    """

    plain: str
    marked: str
    units: tuple[str, ...]
    values: tuple[float, ...]
    beside: bool
    cut: bool


@dataclass(frozen=True)
class Windows:
    """The rows that are shown around each row: up to `context` on either side, within the text.

    Attributes:
        activations: of the corpus.
        context: how many units on either side.
    """

    activations: Activations
    context: int

    @cached_property
    def text_of(self) -> Int[np.ndarray, " n"]:
        """The text of each row."""
        return self.activations.text_of.numpy()

    @cached_property
    def _whole(self) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The first row of the text of each row, and the one after its last."""
        ends = [np.searchsorted(self.text_of, self.text_of, side=side) for side in ("left", "right")]
        return ends[0], ends[1]

    @cached_property
    def _bounds(self) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The first row shown around each row, and the one after the last."""
        rows, (first, after) = np.arange(len(self.text_of)), self._whole
        return np.maximum(first, rows - self.context), np.minimum(after, rows + self.context + 1)

    def reach(self, rows: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Around which rows at least one of these is shown."""
        first, after = (bound[rows] for bound in self._bounds)  # that a row sees another is mutual
        steps = np.zeros(len(rows) + 1, dtype=np.int64)
        np.add.at(steps, first, 1)
        np.add.at(steps, after, -1)
        seen: np.ndarray = steps.cumsum()[:-1] > 0
        return seen

    def excerpt(self, row: int, codes: Float[np.ndarray, " n"], least: float) -> Excerpt:
        """What is shown around a row, with the codes of a concept, which is active above `least`."""
        first, after = (int(bound[row]) for bound in self._bounds)
        whole = slice(*(int(end[row]) for end in self._whole))
        text = _unmarked(self.activations.texts[int(self.text_of[row])])
        units = [self.activations.unit(r) for r in range(first, after)]
        unit = self.activations.unit(row)
        body = _unmarked(unit.text).strip()
        start = unit.start + _unmarked(unit.text).index(body)  # tokens of some models begin with the space before them
        before, behind = text[units[0].start : start], text[start + len(body) : units[-1].stop]
        shown = before[-LONGEST:], body[:LONGEST], behind[:LONGEST]
        return Excerpt(
            plain=_on_one_line("".join(shown)),
            marked=_on_one_line(f"{shown[0]}<<{shown[1] or '(blank)'}>>{shown[2]}"),
            units=tuple(_on_one_line(_unmarked(one.text)[:LONGEST]) for one in units),
            values=tuple(np.maximum(codes[first:after], 0).tolist()),
            beside=bool((codes[whole] > least).any()),
            cut=max(len(before), len(body), len(behind)) > LONGEST,
        )


def _unmarked(text: str) -> str:
    """The text, of the same length, without marks of its own."""
    return text.replace("<<", "‹‹").replace(">>", "››")


def _on_one_line(text: str) -> str:
    return " ".join(text.split()) or "(blank)"
