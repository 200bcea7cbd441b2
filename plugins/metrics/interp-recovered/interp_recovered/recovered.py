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
    """Loss recovered: the share of the loss caused by zeros in place of the activations that reconstructions save.

    It is (CE_zeros - CE_space) / (CE_zeros - CE_model), with mean cross-entropies over texts, in nats; for a generator
    first over the tokens of a text. The right answer is the label of a text if the activations carry labels, else the
    class the model gives; for a generator the next token.

    The value has no unit: 1 for reconstructions that lose nothing, 0 for zeros, negative for what is worse than zeros.
    Higher is better. The interval is over texts (bootstrap). The cost is three passes over each text: intact,
    reconstructed and with zeros.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.concepts import AffineSpace
        >>> from interp_core.testing import tiny_classifier
        >>> split = tiny_classifier().split(-1)
        >>> texts = ["i feel so happy today", "the old dog was never calm", "sad rain", "glad", "warm sun", "cat"]
        >>> activations = split.activations(texts, granularity="cls")
        >>> identity = AffineSpace(torch.eye(16), torch.eye(16))  # loses nothing
        >>> round(interp.measure(identity, activations, split, by="loss-recovered", chance=False).value, 3)
        1.0

    Source:
        Bricken et al. 2023, Towards Monosemanticity; here the rows of the activations are replaced, and special tokens
        are not.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = f"(CE of zeros - CE of reconstructions) / (CE of zeros - CE of the model); {RIGHT}"

    def measure(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Score:
        """Measure the share of the loss that is recovered.

        Returns:
            One number for all texts, with an interval for five texts or more.

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
    """Logit recovered: how close reconstructions keep the logits, compared with zeros in place of the activations.

    It is 1 - Σ(l - l_space)² / Σ(l - l_zeros)² over all logits of all texts, each less the mean of its row. A shift of
    all logits, which changes no probability, thus counts for nothing; for a multi-label head it does count, and no mean
    is subtracted.

    The value has no unit: 1 for reconstructions that change no logit, 0 for zeros, negative for what is worse. Higher
    is better. Unlike the loss it sees changes of answers that were wrong and stay wrong. The cost is three passes over
    each text.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.concepts import AffineSpace
        >>> from interp_core.testing import tiny_classifier
        >>> split = tiny_classifier().split(-1)
        >>> texts = ["i feel so happy today", "the old dog was never calm", "sad rain", "glad", "warm sun", "cat"]
        >>> activations = split.activations(texts, granularity="cls")
        >>> identity = AffineSpace(torch.eye(16), torch.eye(16))  # loses nothing
        >>> round(interp.measure(identity, activations, split, by="logit-recovered", chance=False).value, 3)
        1.0

    Source:
        By definition.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = "1 - squared change of the logits by reconstructions / by zeros, shifts left out"

    def measure(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Score:
        """Measure the share of the change of the logits that is recovered.

        Returns:
            One number for all texts, with an interval for five texts or more.

        Raises:
            InputError: zeros change nothing.
        """
        moved = _stacked([changes(one) for one in answers(space, activations, split)])
        if not float(moved[:, 1].sum()):
            raise InputError(f"zeros at {split.path!r} change no logit, so there is nothing to recover.")
        return _score(moved, lambda m: 1 - m[0] / m[1])


@dataclass(frozen=True)
class ConceptCompleteness:
    """Concept completeness: the accuracy that a model keeps with concepts alone, between chance and its own.

    It is (accuracy with reconstructions - chance) / (accuracy of the model - chance), where chance is the share of the
    most frequent class. Without labels the model's own answers are right, and its accuracy is 1. For a generator each
    next token counts.

    The value has no unit: 1 where concepts alone answer as well as the model, 0 where they answer as well as a guess,
    negative below that. Higher is better. The cost is three passes over each text.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.concepts import AffineSpace
        >>> from interp_core.testing import tiny_classifier
        >>> split = tiny_classifier().split(-1)
        >>> texts = ["i feel so happy today", "the old dog was never calm", "sad rain", "glad", "warm sun", "cat"]
        >>> activations = split.activations(texts, granularity="cls")
        >>> identity = AffineSpace(torch.eye(16), torch.eye(16))  # loses nothing
        >>> round(interp.measure(identity, activations, split, by="concept-completeness", chance=False).value, 3)
        1.0

    Source:
        Yeh et al. 2020, arXiv:1910.07969, equation 1; here the reconstruction of the space enters the model, not a
        learnt map.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = f"(accuracy with reconstructions - chance) / (accuracy of the model - chance); {RIGHT}"

    def measure(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Score:
        """Measure the share of the accuracy that is kept.

        Returns:
            One number for all texts, with an interval for five texts or more.

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
