"""The answer of a model, the scores of the targets and their slopes at the text itself, from one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from interp_core.attribution._options import Options
from interp_core.attribution._targets import asks_prediction, class_targets, each_has_own
from interp_core.model import (
    CLASSIFIERS,
    GeneratorRows,
    ModelRequest,
    Readout,
    ServedModel,
    TextRows,
    WrappedModel,
    readout_of,
    text_rows,
)
from interp_core.text import DividedText
from torch import Tensor


@dataclass(frozen=True)
class LateReadout(Readout):
    """The scores of the targets of a text, which are known once its logits are.

    Attributes:
        asked: the targets, as in `attribute`.
        labels: the names of all classes.
    """

    asked: Any = None
    labels: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether there will be one target whatever the logits are."""
        if self.head == "multi-label" and asks_prediction(self.asked):
            return False
        return len(class_targets(self.asked, self.labels, self.head, torch.zeros(len(self.labels)))) == 1

    def known(self, logits: Tensor) -> Readout:
        """The readout of the targets of the text with these logits (v)."""
        return readout_of(class_targets(self.asked, self.labels, self.head, logits), self.space, self.head)

    def __call__(self, logits: Tensor) -> Tensor:
        return self.known(logits[0].detach())(logits)


def late_readout(model: WrappedModel | ServedModel, options: Options, targets: Any) -> LateReadout | None:
    """A readout for a method that asks only for slopes at the text.

    None where the head is no classifier, each text has targets of its own, or the features are not the embeddings.

    Raises:
        TargetError: the model has no such class, or there are no targets.
    """
    features = not isinstance(options.removal, str) or options.removal not in ("drop", "attention")
    if (
        model.head not in CLASSIFIERS
        or not features
        or options.layer is not None
        or options.over is not None
        or each_has_own(targets)
    ):
        return None
    if asks_prediction(targets):
        if "predicted" in model.labels:
            return None
    else:  # a mistaken target is about no text
        targets = class_targets(targets, model.labels, model.head, None)
    space = readout_of((), options.score, model.head).space
    return LateReadout((), space, model.head, targets, model.labels)


def slopes_request(model: WrappedModel, encoded: DividedText, readout: Readout) -> ModelRequest:
    """Asks for the scores of a text, and their slopes at its embeddings."""

    def build(_rows: Tensor) -> TextRows:
        leaf = model.embed(encoded.ids, encoded.source)[None].clone().requires_grad_()
        rows = text_rows(encoded, torch.ones(1, len(encoded), dtype=torch.bool), leaf)
        rows.leaf = leaf
        return GeneratorRows(**vars(rows), positions=readout.positions) if readout.gathers else rows

    lengths = torch.tensor([len(encoded)])
    return ModelRequest(lengths, build, readout, model.embeddings.injection, gradients=True)
