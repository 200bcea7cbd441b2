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
    """Absorption: how often the concepts of a label are silent where another concept holds its direction.

    Where one feature implies a more general one ("snake" starts with s), a sparse dictionary saves a concept by putting
    both into one: the general concept seems to mean its label and fails on arbitrary exceptions. Labels are the general
    features.

    Texts are divided into two halves. On one half two things are learnt for each label: a linear probe on whole rows,
    whose weights are the direction of the label, and its main concepts. The first main concept is the one whose mean
    code rises most with the label; more are added as long as each raises the F1 of a probe on their codes by more than
    `gain` (the label is then split between several concepts, which is no absorption). Of the rows of the other half
    that have the label and that the probe gets right, those count as absorbed in which no main concept is active while
    another concept, whose direction has at least the cosine `cosine` with the probe, adds more to its decision than any
    other by `margin`. Then the halves change places; the rate is that of the rows of both. A concept with signed codes
    counts as active on the side that rises with the label.

    The value is the mean rate over labels, from 0 to 1: 0 where main concepts are active in all rows of their label, 1
    where other concepts always stand in for them. Lower is better. Read it beside `k-sparse-probing`: concepts that
    tell a label badly, such as random directions, have little to be absorbed. The notes give the F1 of the main
    concepts and how often they are silent. `interval` is over labels (Student's t, five or more). Rows are read in
    batches and encoded three times; probes hold the rows they learn from in memory.

    Args:
        threshold: code above which a concept counts as active, in units of the codes; at least 0. 0 suits methods whose
            codes are zero where the concept is absent.
        k: maximum number of main concepts of a label, at least 1.
        gain: rise of the F1, from 0 to 1, that another main concept must exceed.
        cosine: minimum cosine, from -1 to 1, of an absorbing concept with the probe.
        margin: by how much an absorbing concept must add more to the decision of the probe than any other concept, and
            than nothing; above 0. 1 is the distance between the mean rows with and without the label.
        ridge: penalty of the probes on squared weights, against losses summed over rows, as for `k-sparse-probing`;
            positive.
        rows: maximum number of rows of a half that a probe learns from, half of them with the label, at least 2; drawn
            if there are more.
        seed: random seed of the halves and of the rows drawn.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> kind = torch.arange(1000) % 20  # half of the rows are animals, and one animal in ten is a cat
        >>> rows = torch.stack([kind < 10, kind == 0, kind > 14], dim=1).float()  # animal, cat, something else
        >>> activations = of_rows(rows, labels=rows[:, :1] > 0, class_names=("animal",))
        >>> holds = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # cats hold animals' direction
        >>> space = AffineSpace(holds, torch.linalg.inv(holds).T)
        >>> round(interp.measure(space, activations, by="absorption", gain=0.1).value, 3)
        0.1

    Source:
        Chanin et al. 2024, arXiv:2409.14507 (gain .03, cosine .025), with the contribution to the decision of a probe
        in place of the effect of ablation on the model, as in SAEBench, Karvonen et al. 2025, arXiv:2503.09532. Departs
        from the paper in that the margin (there 1.0 of the model's logit) is in distances of mean rows, so that it
        depends on neither the ridge nor the size of rows, and in that each half is scored by what was learnt on the
        other.
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
        """Measure the mean rate of absorption.

        Returns:
            One number for all labels; `values` has one for each label of which the probe gets a row right, in order.

        Raises:
            InputError: there is no label that texts of both halves have and lack, no probe gets a row with its label
                right, or a row is not finite.
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
