"""How the scores of classes change with what a layer holds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.attribution import Question
from interp_core.concepts import AffineSpace, importance
from interp_core.errors import InputError
from interp_core.model import SplitModel
from interp_core.results import Cost
from jaxtyping import Bool, Float
from torch import Tensor

TEXTS = 256  # whose slopes for all classes are held at once


def class_slopes(split: SplitModel, inputs: Activations, cost: Cost) -> dict[str, Float[Tensor, "n d"]]:
    """For each class the slope of its logit in the layer, at each text to which the model gives the class.

    A slope is that of moving all rows of a text together: of the position that the classifier reads for granularity
    "cls", of all tokens for "token", "word" or "sample".

    Args:
        split: the model, split where the inputs were read.
        inputs: the texts and their rows.
        cost: to which the cost of the passes is added.
    """
    predicted = _predicted(split, inputs)
    identity = AffineSpace(torch.eye(inputs.width), torch.eye(inputs.width))
    found: dict[str, list[Tensor]] = {name: [] for name in split.model.labels}
    for part in torch.arange(len(predicted)).split(TEXTS):
        some = inputs.select(torch.isin(torch.arange(len(predicted)), part))
        slopes = importance(split, identity, some, by=_Slope(), score="logit", progress=False)
        for name, having, own in zip(found, predicted[part].T, slopes.per_text.unbind(1), strict=True):
            found[name].append(own[having])
        _add(cost, slopes.made_by.cost)
    return {name: torch.cat(parts) for name, parts in found.items()}


@dataclass(frozen=True)
class _Slope:
    """The slope of each target in each dimension, all rows of the text together."""

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        (slope,) = question.gradients(question.x[None])
        return question.pool(slope.sum(-1))


def _predicted(split: SplitModel, inputs: Activations) -> Bool[Tensor, "m k"]:
    """Which classes the model gives to each text; it is asked where the activations do not say."""
    if not split.model.labels or split.model.head == "regression":
        raise InputError(
            f"{split.model.name} is no classifier; the sensitivity of classes needs a model that has some."
        )
    found = inputs.predictions
    if found is None:
        found = split.activations(inputs.texts, granularity="sample", predictions=True, progress=False).predictions
    assert found is not None
    return found if found.ndim == 2 else found[:, None] == torch.arange(len(split.model.labels))


def _add(cost: Cost, more: Cost) -> None:
    cost.forwards += more.forwards
    cost.rows += more.rows
    cost.tokens += more.tokens
    cost.backwards += more.backwards
