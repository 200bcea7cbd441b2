"""How well one concept of a space tells each label."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Float

from interp_concept_detection.baselines import mean_differences, probes
from interp_concept_detection.labelled import Halves, halves
from interp_concept_detection.ranks import aurocs

CODES = 2**25  # held at a time


@dataclass(frozen=True)
class ConceptDetection:
    """Concept detection: the AUROC of the single concept that tells a label best, on held-out texts; mean over labels.

    Texts are divided into two halves. On one half the concept is chosen whose codes rank the rows with the label
    highest, or lowest; on the other half it is scored. Then the halves change places, and the mean of both is taken.

    The value is from 0 to 1, and higher is better: 1 where each label has a concept that always tells it, 0.5 at
    chance, less where the choice holds on no other texts. Two baselines, learnt and scored on the same halves, are in
    the notes: the difference of means, a direction that needs no optimisation, and a linear probe, about the most that
    one direction can tell. A space below the first has no concept for the label. Codes are computed for a few concepts
    at a time; the baselines have all rows in memory, in float64.

    Args:
        ridge: penalty of the probe on squared weights of standardised dimensions, against losses summed over rows
            (scikit-learn's LogisticRegression(C=1/ridge)); positive.
        seed: random seed of the halves.

    Raises:
        InputError: `ridge` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> rows = torch.tensor([[2.0, 0.1], [2.1, -0.1], [0.0, 1.1], [0.1, 0.9]])
        >>> activations = of_rows(rows, labels=torch.tensor([0, 0, 1, 1]), class_names=("joy", "anger"))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="concept-detection", chance=False).value
        1.0

    Source:
        Sparse probing of one neuron, Gurnee et al. 2023, arXiv:2305.01610, section 3, with the AUROC in place of the F1
        of a fitted threshold; baselines of AxBench, Wu et al. 2025, arXiv:2501.17148.
    """

    higher_is_better: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "mean over labels of the AUROC of the one concept that tells the label best, chosen on half of the texts and "
        "scored on the other half, both ways"
    )

    ridge: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.ridge > 0:
            raise InputError(f"ridge is {self.ridge}; a positive penalty is needed.")

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the AUROC of the best concept of each label.

        Returns:
            One number for all labels; `values` has one for each label, in order.

        Raises:
            InputError: there is no label that texts of both halves have and lack.
        """
        dealt = halves(activations, self.seed)
        one, other = code_aurocs(space, activations, dealt)
        ways = [_chosen(one, other), _chosen(other, one)]
        found = np.mean([value for value, _ in ways], axis=0)
        means, probe = _baselines(activations, dealt, self.ridge)
        notes = [
            f"Beside {found.mean():.3f}, on the same texts: difference of means {means.mean():.3f}, "
            f"linear probe {probe.mean():.3f}."
        ]
        for i, name in enumerate(dealt.names):
            told = " and ".join(dict.fromkeys(space.names[own[i]] for _, own in ways))
            notes.append(
                f"{name}: {told} {found[i]:.3f}, difference of means {means[i]:.3f}, linear probe {probe[i]:.3f}."
            )
        values = torch.from_numpy(found).float()
        return Score(float(found.mean()), self.higher_is_better, values, notes=(*notes, *dealt.notes))


def code_aurocs(space: ConceptSpace, activations: Activations, dealt: Halves) -> Float[np.ndarray, "2 k c"]:
    """The AUROC of each concept for each label, in each half."""
    at_once = max(1, CODES // len(activations))
    found = []
    for start in range(0, space.concepts, at_once):
        with torch.no_grad():
            parts = [space.encode(rows)[:, start : start + at_once].clone() for rows in activations.batches()]
        codes = torch.cat(parts).double().numpy()
        found.append(np.stack([aurocs(codes[half], dealt.member[half]) for half in (dealt.first, ~dealt.first)]))
    return np.concatenate(found, axis=2)


def _chosen(
    seen: Float[np.ndarray, "k c"], unseen: Float[np.ndarray, "k c"]
) -> tuple[Float[np.ndarray, " k"], list[int]]:
    """What the concept that tells each label best where it was seen has where it was not, and which that is."""
    best = np.abs(seen - 0.5).argmax(axis=1)
    label = np.arange(len(seen))
    value = np.where(seen[label, best] < 0.5, 1 - unseen[label, best], unseen[label, best])
    return value, best.tolist()


def _baselines(activations: Activations, dealt: Halves, ridge: float) -> Float[np.ndarray, "2 k"]:
    """The AUROC of difference of means and probe for each label, learnt on one half and scored on the other."""
    x = activations.matrix().double().numpy()
    found = []
    for seen in (dealt.first, ~dealt.first):
        learnt = [learn(x[seen], dealt.member[seen]) for learn in (mean_differences, partial(probes, ridge=ridge))]
        found.append([aurocs(x[~seen] @ direction.T, dealt.member[~seen]).diagonal() for direction in learnt])
    both: np.ndarray = np.mean(found, axis=0)
    return both
