"""The rate at which the concepts of labels are absorbed into others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_concept_detection.labelled import halves
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from interp_sparse_probing.probes import (
    drawn_note,
    interval_over_labels,
    learning_rows,
    lines_of_rows,
    unsettled_note,
)

from interp_absorption.counting import Count, counts
from interp_absorption.main_concepts import MainConcepts, main_concepts

NAMED = 3  # absorbing concepts that a note names


@dataclass(frozen=True)
class Absorption:
    """How often the concepts of a label are silent where another concept holds the label's direction; mean over labels.

    Where one feature comes with a more special one ("starts with s", "snake"), a sparse dictionary saves a concept by
    putting both into one: the general concept seems to mean its label and fails on arbitrary exceptions. Labels are the
    general features. A label whose concepts are active in all of its rows has rate 0, one that others always stand in
    for has 1.

    Texts are dealt to two halves. On one half are learnt, for each label, a linear probe on whole rows, whose weights
    are its direction, and its main concepts: the concept whose mean code rises most with the label, and the next ones
    as long as each lets the F1 of a probe on their codes rise by more than `gain` (the label is then split between
    several, which is no absorption). Of the rows of the other half that have the label and that the probe tells
    rightly, those are absorbed in which no main concept is active while another one, whose direction has at least the
    `cosine` with the probe, adds to its decision by `margin` more than any other. Then the other way round; the rate is
    of the rows of both halves. A concept with codes of either sign counts as active on the side that rises with the
    label.

    Read it beside `k-sparse-probing`: concepts that tell a label badly, such as random directions, have little to be
    absorbed. The notes give the F1 of main concepts, and how often they are silent. `interval` is over labels
    (Student's t, five or more). Rows are read in batches and encoded three times; probes hold the rows that they learn
    from in memory.

    Args:
        threshold: above this a code counts as active, in units of the codes. 0 suits codes that a method makes zero
            where there is nothing.
        k: the most main concepts a label may have.
        gain: by how much the F1 must rise, from 0 to 1, for another main concept.
        cosine: of an absorbing concept with the probe, at least.
        margin: by how much more an absorbing concept adds to the probe's decision than any other concept, and than
            nothing; 1 is how far the mean rows with and without the label are apart.
        ridge: of the probes, the penalty on squared weights against losses summed over rows, as for `k-sparse-probing`.
        rows: the most rows of a half that a probe learns from, half of them with the label; drawn if there are more.
        seed: of the halves and of the draw.

    Raises:
        InputError: a parameter out of its range.

    Source: Chanin et al. 2024, arXiv:2409.14507 (gain .03, cosine .025), with the contribution to a probe's decision in
    place of the effect of ablation on the model, as in SAEBench, Karvonen et al. 2025, arXiv:2503.09532. Departs from
    the paper in that the margin (there 1.0 of the model's logit) is in distances of mean rows, so that it depends on
    neither the ridge nor the size of rows, and in that each half is scored by what the other has taught.
    """

    higher_is_better: ClassVar[bool] = False
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "mean over labels of the share of rows, of those that a linear probe rightly tells to have the label, in which "
        "no main concept of the label is active and another concept holds its direction"
    )

    threshold: float = 0.0
    k: int = 10
    gain: float = 0.03
    cosine: float = 0.025
    margin: float = 0.4
    ridge: float = 1.0
    rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.threshold >= 0 or self.k < 1 or not 0 <= self.gain <= 1:
            raise InputError(
                f"threshold {self.threshold}, k {self.k}, gain {self.gain}: a threshold of at least 0, at least 1 main "
                "concept and a gain from 0 to 1 are needed."
            )
        if not -1 <= self.cosine <= 1 or not self.margin > 0:
            raise InputError(
                f"cosine {self.cosine}, margin {self.margin}: a cosine from -1 to 1 and a margin above 0 are needed."
            )
        if not self.ridge > 0 or self.rows < 2:
            raise InputError(f"ridge {self.ridge}, rows {self.rows}: a positive ridge and at least 2 rows are needed.")

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all labels; `values` has one for each label of which the probe tells a row, in order.

        Raises:
            InputError: there is no label that texts of both halves have and lack, no row with a label is told by its
                probe, or a row is not finite.
        """
        dealt = halves(activations, self.seed)
        learnt = learning_rows(dealt, self.rows, self.seed)
        mains = main_concepts(space, activations, dealt, learnt, k=self.k, gain=self.gain, ridge=self.ridge)
        lines = lines_of_rows(activations, dealt, learnt, self.ridge)
        limits = {"threshold": self.threshold, "cosine": self.cosine, "margin": self.margin}
        found = counts(space, activations, dealt, lines, mains, **limits)
        values = torch.tensor([count.rate for count in found if count.told], dtype=torch.float64)
        if not len(values):
            raise InputError(
                f"of none of the labels {', '.join(dealt.names)} is a row told by a linear probe, so there is no "
                "direction to be absorbed; give rows that hold the labels."
            )
        notes = [
            _note(space, name, count, [half[i] for half in mains])
            for i, (name, count) in enumerate(zip(dealt.names, found, strict=True))
        ]
        return Score(
            float(values.mean()),
            self.higher_is_better,
            values.float(),
            interval_over_labels(values),
            notes=(*notes, *unsettled_note(lines, dealt.names), *drawn_note(dealt, learnt), *dealt.notes),
        )


def _note(space: ConceptSpace, name: str, count: Count, ways: list[MainConcepts]) -> str:
    """What stands for a label, and what stands in for that."""
    by = " and ".join(dict.fromkeys(", ".join(_side(space, int(side)) for side in way.sides) for way in ways))
    f1 = sum(way.f1 for way in ways) / len(ways)
    if not count.told:
        return f"{name}: left out, since its probe tells none of its rows; main {by} (F1 {f1:.3f})."
    by_others = ", ".join(f"{_side(space, side)} ({rows})" for side, rows in count.absorbed.most_common(NAMED))
    more = " and others" if len(count.absorbed) > NAMED else ""
    into = f" by {by_others}{more}" if by_others else ""
    return (
        f"{name}: main {by} (F1 {f1:.3f}); of {count.told} rows told {count.silent} silent, "
        f"{count.absorbed.total()} absorbed{into}."
    )


def _side(space: ConceptSpace, side: int) -> str:
    return space.names[side] if side < space.concepts else f"{space.names[side - space.concepts]} below 0"
