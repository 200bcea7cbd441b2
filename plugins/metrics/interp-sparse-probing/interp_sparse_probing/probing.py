"""How well a few concepts of a space tell each label."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from interp_concept_detection.labelled import Halves, halves
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Int
from torch import Tensor

from interp_sparse_probing.contrasts import batches_of_codes, both, columns_of, largest, mean_differences
from interp_sparse_probing.probes import (
    Told,
    decisions,
    drawn_note,
    interval_over_labels,
    learning_rows,
    line_of_columns,
    lines_of_rows,
    told,
    unsettled_note,
)

SIZES = (1, 2, 5)  # numbers of concepts that stand in the notes, beside `k`
Batches = Callable[[], Iterable[Tensor]]


class Probed(NamedTuple):
    """What probes on a few columns tell.

    Attributes:
        told: for each number of columns and each label, how well, in the mean of both halves.
        chosen: the columns of each half and label, those that differ most first.
    """

    told: dict[int, list[Told]]
    chosen: Int[np.ndarray, "2 k m"]


@dataclass(frozen=True)
class KSparseProbing:
    """k-sparse probing: the balanced accuracy of a logistic regression on k concepts, on held-out texts.

    Texts are divided into two halves. On one half the k concepts are chosen whose mean codes differ most, in absolute
    value, between rows with the label and rows without, and a logistic regression on their codes is fitted; on the
    other half it is scored. Then the halves change places, and the mean of both is taken. Rows of a text have its
    labels and are in one half; each label is told from all others. In the regression the rows with the label have,
    together, the same weight as those without, so that a rare label is told too.

    The value is the mean over labels, from 0 to 1, and higher is better: 1 where k concepts always tell each label, 0.5
    at chance. The notes give F1 and accuracy of the same regression, other numbers of concepts (1, 2 and 5), as many
    raw dimensions chosen and fitted alike, and a probe on whole rows. A space below the raw dimensions is no better a
    basis for the label than the model's own. `interval` is over labels (Student's t, five or more). Rows are read in
    batches and encoded twice; probes hold the rows they learn from in memory, and the codes of chosen concepts are held
    for all rows.

    Args:
        k: number of concepts of a probe, from 1 to the number of concepts.
        whiten: divide differences of means by the standard deviation of a code in the half, so that the choice does not
            depend on the units of codes. False, as published, prefers the concepts and raw dimensions with the largest
            values.
        ridge: penalty on squared weights, against losses summed over rows (LogisticRegression(C=1/ridge)); positive.
            Chosen codes are divided by their standard deviation; whole rows by one number, so that a typical row has
            length 1.
        rows: maximum number of rows of a half that a probe learns from, half of them with the label, at least 2; drawn
            if there are more.
        seed: random seed of the halves and of the rows drawn.

    Raises:
        InputError: `k` is below 1, `ridge` is not positive, or `rows` is below 2.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> rows = torch.tensor([[2.0, 0.1], [2.1, -0.1], [0.0, 1.1], [0.1, 0.9]])
        >>> activations = of_rows(rows, labels=torch.tensor([0, 0, 1, 1]), class_names=("joy", "anger"))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="k-sparse-probing", chance=False).value
        1.0

    Source:
        Gurnee et al. 2023, arXiv:2305.01610, section 3 (choice by difference of means), and the sparse probing of
        SAEBench, Karvonen et al. 2025, arXiv:2503.09532. Departs from SAEBench in that classes are weighted where it
        draws balanced samples, that both halves are scored, and that codes are not averaged over the tokens of a text.
    """

    higher_is_better: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "mean over labels of the balanced accuracy of a logistic regression on the k concepts whose mean codes differ "
        "most by label, fitted on half of the texts and scored on the other half, both ways"
    )

    k: int = 1
    whiten: bool = False
    ridge: float = 1.0
    rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 1 or not self.ridge > 0 or self.rows < 2:
            raise InputError(
                f"k {self.k}, ridge {self.ridge}, rows {self.rows}: at least 1 concept, a positive ridge and at least "
                "2 rows are needed."
            )

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the balanced accuracy of each label.

        Returns:
            One number for all labels; `values` has one for each label, in order.

        Raises:
            InputError: there are fewer than k concepts, no label that texts of both halves have and lack, or a row that
                is not finite.
        """
        if self.k > space.concepts:
            raise InputError(f"k is {self.k}, but the space has {space.concepts} concepts; ask for at most so many.")
        dealt = halves(activations, self.seed)
        learnt = learning_rows(dealt, self.rows, self.seed)
        by_concepts = self._probed(partial(batches_of_codes, space, activations), space.concepts, dealt, learnt)
        by_dimensions = self._probed(activations.batches, space.width, dealt, learnt)
        lines = lines_of_rows(activations, dealt, learnt, self.ridge)
        decided = decisions(activations, lines)
        whole = [
            _mean([told(decided[h, ~half, i] > 0, having[~half]) for h, half in enumerate(both(dealt))])
            for i, having in enumerate(dealt.member.T)
        ]
        own = by_concepts.told[self.k]
        values = torch.tensor([one.balanced for one in own], dtype=torch.float64)
        notes = (
            _beside("By the number of concepts", by_concepts),
            _beside("By raw dimensions chosen alike", by_dimensions),
            f"By a probe on whole rows: {_means(whole)}.",
            *self._labels(space, dealt, by_concepts, whole),
            *unsettled_note(lines, dealt.names),
            *drawn_note(dealt, learnt),
            *dealt.notes,
        )
        return Score(
            float(values.mean()),
            self.higher_is_better,
            values.float(),
            interval_over_labels(values),
            definition=f"{self.definition} (k = {self.k})",
            notes=notes,
        )

    def _probed(self, batches: Batches, width: int, dealt: Halves, learnt: list[list[Int[np.ndarray, " m"]]]) -> Probed:
        """What probes on the columns that differ most tell, for each number of columns."""
        sizes = sorted(size for size in {*SIZES, self.k} if size <= width)
        chosen = largest(np.abs(mean_differences(batches(), dealt, whiten=self.whiten)), sizes[-1])
        known = np.unique(chosen)
        columns, place = columns_of(batches(), known), np.searchsorted(known, chosen)
        scores: dict[int, list[Told]] = {}
        for size in sizes:
            scores[size] = []
            for i, having in enumerate(dealt.member.T):
                ways = []
                for h, half in enumerate(both(dealt)):
                    x, index = columns[:, place[h, i, :size]], learnt[h][i]
                    line = line_of_columns(x[index], having[index], self.ridge)
                    ways.append(told(x[~half] @ line.weight + line.bias > 0, having[~half]))
                scores[size].append(_mean(ways))
        return Probed(scores, chosen)

    def _labels(self, space: ConceptSpace, dealt: Halves, probed: Probed, whole: list[Told]) -> list[str]:
        """What each label was told by."""
        notes = []
        for i, name in enumerate(dealt.names):
            sets = [", ".join(space.names[c] for c in way[i, : self.k]) for way in probed.chosen]
            by, own = " and ".join(dict.fromkeys(sets)), probed.told[self.k][i]
            notes.append(f"{name}: {by} {_said(own)}; whole rows {whole[i].balanced:.3f}.")
        return notes


def _mean(several: list[Told]) -> Told:
    return Told(*np.mean(several, axis=0).tolist())


def _said(one: Told) -> str:
    return f"{one.balanced:.3f} (F1 {one.f1:.3f}, accuracy {one.accuracy:.3f})"


def _means(labels: list[Told]) -> str:
    return _said(_mean(labels))


def _beside(what: str, probed: Probed) -> str:
    return f"{what}: {', '.join(f'{size}: {_means(labels)}' for size, labels in probed.told.items())}."
