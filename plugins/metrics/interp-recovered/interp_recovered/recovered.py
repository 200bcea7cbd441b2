"""Loss, logits and accuracy kept when a layer holds concepts alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from interp_core.model import SplitModel
from jaxtyping import Float
from torch import Tensor

from interp_recovered.replacing import Answers, answers

RESAMPLES = 1000
RIGHT = (
    "right is the label of a text if the activations carry labels, else the class that the model gives; of a generator "
    "the next token"
)


@dataclass(frozen=True)
class LossRecovered:
    """(CE_ablated - CE_space) / (CE_ablated - CE_model): how much of the loss that zeros in place of the rows cost is
    saved by their reconstructions.

    1 for reconstructions that lose nothing, 0 for zeros, below 0 for what is worse than zeros. Losses are means over
    texts, in nats; of a generator first over the tokens of a text. The interval is over texts (bootstrap).

    Source: Bricken et al. 2023, Towards Monosemanticity; here the rows of the activations are exchanged and special
    tokens are not.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = f"(CE of zeros - CE of reconstructions) / (CE of zeros - CE of the model); {RIGHT}"

    def measure(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Score:
        """One number for all texts.

        Raises:
            InputError: zeros cost nothing, so that there is nothing to recover.
        """
        losses = _stacked([one.losses() for one in answers(space, activations, split)])
        if float(losses[:, 2].mean() - losses[:, 0].mean()) <= 0:
            raise InputError(
                f"zeros at {split.path!r} have no greater loss than the model itself, so there is nothing to recover; "
                "choose another layer, or give labels that the model knows."
            )
        return _score(losses, lambda m: (m[2] - m[1]) / (m[2] - m[0]))


@dataclass(frozen=True)
class LogitRecovered:
    """1 - Σ(l - l_space)² / Σ(l - l_ablated)² over all logits of all texts, each less the mean of its row.

    1 for reconstructions that change no logit, 0 for zeros. A shift of all logits, which changes no probability, counts
    for nothing; of a multi-label head it does, and no mean is taken off. Unlike the loss it sees answers that were
    wrong and stay wrong.

    Source: definition.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = "1 - squared change of the logits by reconstructions / by zeros, shifts left out"

    def measure(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Score:
        """One number for all texts.

        Raises:
            InputError: zeros change nothing.
        """
        moved = _stacked([changes(one) for one in answers(space, activations, split)])
        if not float(moved[:, 1].sum()):
            raise InputError(f"zeros at {split.path!r} change no logit, so there is nothing to recover.")
        return _score(moved, lambda m: 1 - m[0] / m[1])


@dataclass(frozen=True)
class ConceptCompleteness:
    """(accuracy with concepts alone - chance) / (accuracy of the model - chance), chance being the share of the most
    frequent class.

    1 where concepts alone answer as well as the model, 0 where they answer as well as a guess. Without labels the
    model's own answers are right, and its accuracy is 1. Of a generator each next token counts.

    Source: Yeh et al. 2020, equation 1; here the reconstruction of the space enters the model, not a learnt map.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = f"(accuracy with reconstructions - chance) / (accuracy of the model - chance); {RIGHT}"

    def measure(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Score:
        """One number for all texts.

        Raises:
            InputError: the model is no better than chance.
        """
        hits, rights = [], []
        for one in answers(space, activations, split):
            right = one.right.bool() if one.right.is_floating_point() else one.right
            hits.append(torch.stack([_hits(logits, right) for logits in (one.whole, one.rebuilt)]))
            rights.append(right)
        found = _stacked(hits)
        guess = chance(rights)
        if float(found[:, 0].mean()) <= guess:
            raise InputError(f"the model is right no more often than chance ({guess:.2f}), so nothing can be kept.")
        return _score(found, lambda m: (m[1] - guess) / (m[0] - guess))


def changes(one: Answers) -> Float[Tensor, " 2"]:
    """The squared change of the logits of a text by reconstructions, and by zeros."""
    three = [one.whole, one.rebuilt, one.ablated]
    if not one.several:
        three = [logits - logits.mean(-1, keepdim=True) for logits in three]
    return torch.stack([(three[0] - other).square().sum() for other in three[1:]])


def _hits(logits: Float[Tensor, "m v"], right: Tensor) -> Tensor:
    found = logits > 0 if right.dtype == torch.bool else logits.argmax(-1)
    return (found == right).float().mean()


def chance(rights: Sequence[Tensor]) -> float:
    """How often the best constant answer is right."""
    if rights[0].dtype == torch.bool:
        share = torch.cat(list(rights)).float().mean(0)
        return float(torch.maximum(share, 1 - share).mean())
    known, place = torch.cat(list(rights)).unique(return_inverse=True)
    share = torch.cat([torch.full((len(right),), 1 / len(right)) for right in rights])  # a text counts once
    return float(torch.zeros(len(known)).index_add_(0, place, share).max() / len(rights))


def _stacked(found: list[Tensor]) -> Float[Tensor, "n q"]:
    if not found:
        raise InputError("no text has a next token to answer for; give longer texts.")
    return torch.stack(found)


def _score(values: Float[Tensor, "n q"], ratio: Callable[[Tensor], Tensor]) -> Score:
    """A ratio of means over texts, with the middle 95 % of it over texts drawn again."""
    interval = None
    if len(values) >= 5:
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(len(values), (RESAMPLES, len(values)), generator=generator)
        again = torch.stack([ratio(values[some].mean(0)) for some in drawn])
        low, high = again.nan_to_num().quantile(torch.tensor([0.025, 0.975])).tolist()
        interval = (low, high)
    value = float(ratio(values.mean(0)))
    if interval is None or interval[0] <= value <= interval[1]:
        return Score(value, True, interval=interval)
    note = "What is lost is so near to nothing that the share of it means little; there is no interval."
    return Score(value, True, notes=(note,))
