"""On which excerpts the label of a concept is scored: on none that the labeller was shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation, LabelledConcept, check_fits
from interp_core.errors import InputError
from interp_core.plugin import check_fields
from jaxtyping import Bool, Float, Int

from interp_label_scores.excerpts import Excerpt, Windows

CODES = 2**27  # held at a time: half a gigabyte
FEWEST = 3  # excerpts of a sort; fewer would say too little
NO_LABEL = "no label"
TOO_FEW = "too few excerpts that the labeller was not shown"


@dataclass(frozen=True)
class Drawn:
    """What one concept is scored on.

    Attributes:
        labelled: the concept.
        active: excerpts on which it is active, strong ones first.
        inactive: excerpts on which it is not.
    """

    labelled: LabelledConcept
    active: tuple[Excerpt, ...]
    inactive: tuple[Excerpt, ...]

    def balanced(self) -> Drawn:
        """As many excerpts of one sort as of the other."""
        count = min(len(self.active), len(self.inactive))
        kept = np.linspace(0, len(self.active) - 1, count).round().astype(int)  # strong and weak ones alike
        return replace(self, active=tuple(self.active[i] for i in kept), inactive=self.inactive[:count])

    def mixed(self, seed: int) -> list[tuple[Excerpt, bool]]:
        """All excerpts in random order, each with whether the concept is active."""
        pairs = [(e, True) for e in self.active] + [(e, False) for e in self.inactive]
        return [pairs[i] for i in np.random.default_rng([seed, self.labelled.concept, 1]).permutation(len(pairs))]


@dataclass(frozen=True)
class Sampling:
    """How excerpts are drawn.

    Those on which a concept is active come in equal parts from stretches of the ranking of all rows where it is, so
    that weak ones are among them. No excerpt is drawn twice, none from a text that the labeller was shown.

    Attributes:
        active: how many on which the concept is active.
        inactive: how many on which it is not.
        context: units shown on either side.
        bins: stretches of the ranking.
        seed: of the draws.
        threshold: a concept is active above this share of its largest code.
        marked: whether an excerpt is about one unit. Inactive ones are then drawn where the concept is active elsewhere
            in the text as long as there are such units; otherwise where nothing in the excerpt is active.
        unlabelled: whether concepts without a label are drawn for as well.
    """

    active: int
    inactive: int
    context: int
    bins: int
    seed: int
    threshold: float
    marked: bool = False
    unlabelled: bool = False

    def draw(
        self, interpretation: Interpretation, space: ConceptSpace, activations: Activations
    ) -> tuple[list[Drawn], dict[int, str]]:
        """What each concept is scored on, and for the others, by number, why they have no score.

        Raises:
            InputError: the activations are not those of the space, or the space does not have one of the concepts.
        """
        check_fits(space, activations)
        unknown = [c.concept for c in interpretation if not 0 <= c.concept < space.concepts]
        if unknown:
            raise InputError(
                f"the interpretation is of concepts {unknown}, and the space has 0 to {space.concepts - 1}; give the "
                "space that was interpreted."
            )
        labelled = [c for c in interpretation if c.label or self.unlabelled]
        without = {c.concept: NO_LABEL for c in interpretation if not (c.label or self.unlabelled)}
        windows, shown = Windows(activations, self.context), _shown(labelled, activations)
        drawn = []
        for concept, codes in zip(labelled, _columns(space, activations, labelled), strict=True):
            free = ~np.isin(windows.text_of, shown[concept.concept])
            one = self._drawn(concept, codes, windows, free)
            if min(len(one.active), len(one.inactive)) < FEWEST:
                without[concept.concept] = TOO_FEW
            else:
                drawn.append(one)
        return drawn, without

    def _drawn(
        self,
        concept: LabelledConcept,
        codes: Float[np.ndarray, " n"],
        windows: Windows,
        free: Bool[np.ndarray, " n"],
    ) -> Drawn:
        generator = np.random.default_rng([self.seed, concept.concept])
        least = self._least(codes)
        picked = _Picked(windows, codes, least, self.marked)
        rows = np.flatnonzero(free & (codes > least))
        ranked = rows[np.argsort(-codes[rows], kind="stable")]
        active: list[Excerpt] = []
        for stretch, share in zip(np.array_split(ranked, self.bins), _shares(self.active, self.bins), strict=True):
            active += picked.first(generator.permutation(stretch), share)
        active += picked.first(generator.permutation(ranked), self.active - len(active))
        active.sort(key=lambda excerpt: -max(excerpt.values))
        inactive: list[Excerpt] = []
        for candidates in self._inactive(codes <= least, windows, free, rows):
            inactive += picked.first(generator.permutation(candidates), self.inactive - len(inactive))
        return Drawn(concept, tuple(active), tuple(inactive))

    def _least(self, codes: Float[np.ndarray, " n"]) -> float:
        """Above which code a concept is active."""
        return self.threshold * float(codes[np.isfinite(codes)].max(initial=0))

    def _inactive(
        self,
        silent: Bool[np.ndarray, " n"],
        windows: Windows,
        free: Bool[np.ndarray, " n"],
        active: Int[np.ndarray, " a"],
    ) -> Iterator[Int[np.ndarray, " r"]]:
        """Rows on which the concept is not active: those to be drawn first, then those for want of them."""
        if self.marked:
            beside = np.isin(windows.text_of, windows.text_of[active])
            yield np.flatnonzero(free & silent & beside)
            yield np.flatnonzero(free & silent & ~beside)
        else:
            yield np.flatnonzero(free & ~windows.reach(~silent))


@dataclass(frozen=True)
class _Picked:
    """Draws excerpts, each wording once."""

    windows: Windows
    codes: Float[np.ndarray, " n"]
    least: float
    marked: bool
    taken: set[str] = field(default_factory=set)

    def first(self, rows: Int[np.ndarray, " r"], count: int) -> list[Excerpt]:
        """The first `count` of these rows whose wording is new."""
        found: list[Excerpt] = []
        for row in rows.tolist():
            if len(found) >= count:
                break
            excerpt = self.windows.excerpt(row, self.codes, self.least)
            wording = excerpt.marked if self.marked else excerpt.plain
            if wording not in self.taken:
                self.taken.add(wording)
                found.append(excerpt)
        return found


def check_settings(score: Any, **least: int) -> None:
    """Check the fields of a score that draws excerpts.

    Args:
        score: the score; it has `context`, `bins`, `seed` and `threshold`.
        **least: the least values of its other numbers, by name.

    Raises:
        InputError: a value is of another type or out of range.
    """
    check_fields(score)
    for name, bound in {**least, "context": 0, "bins": 1}.items():
        if getattr(score, name) < bound:
            raise InputError(f"{name}={getattr(score, name)} must be at least {bound}.")
    if not 0 <= score.threshold < 1:
        raise InputError(f"threshold={score.threshold} is outside [0, 1): it is a share of the largest code.")


def _shares(count: int, parts: int) -> list[int]:
    """A number in nearly equal parts."""
    return [len(part) for part in np.array_split(np.arange(count), parts)]


def wording(text: str) -> str:
    """A text as it reads, whatever its white space and capitals."""
    return " ".join(str(text).casefold().split())


def _shown(labelled: Sequence[LabelledConcept], activations: Activations) -> dict[int, list[int]]:
    """For each concept the numbers of the texts that its labeller was shown."""
    texts = {c.concept: {wording(e.text) for e in (*c.examples, *c.shown)} for c in labelled}
    wanted = set().union(*texts.values())
    numbers: dict[str, list[int]] = {}
    for number, text in enumerate(activations.texts if wanted else ()):
        if (said := wording(text)) in wanted:
            numbers.setdefault(said, []).append(number)
    return {c: [n for text in own for n in numbers.get(text, ())] for c, own in texts.items()}


def _columns(
    space: ConceptSpace, activations: Activations, labelled: Sequence[LabelledConcept]
) -> Iterator[Float[np.ndarray, " n"]]:
    """The codes of each concept."""
    at_once = max(1, CODES // len(activations))
    for start in range(0, len(labelled), at_once):
        chosen = [c.concept for c in labelled[start : start + at_once]]
        codes, row = torch.empty(len(activations), len(chosen)), 0
        for rows in activations.batches():
            with torch.no_grad():
                codes[row : row + len(rows)] = space.encode(rows)[:, chosen]
            row += len(rows)
        yield from codes.numpy().T
