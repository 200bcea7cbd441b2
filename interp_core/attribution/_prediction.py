"""The class that a model predicts and its slopes at the text itself, from one pass and one backward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from interp_core.attribution._options import Options
from interp_core.attribution._targets import class_targets
from interp_core.model import CLASSIFIERS, ModelRequest, Readout, TextRows, WrappedModel, readout_of, text_rows
from interp_core.text import DividedText
from torch import Tensor


@dataclass(frozen=True)
class PredictedReadout(Readout):
    """The scores of the classes that a text is predicted to have, known from its logits alone.

    Attributes:
        labels: the names of all classes.
    """

    labels: tuple[str, ...] = ()

    def known(self, logits: Tensor) -> Readout:
        """The readout of the classes that these logits (v) predict."""
        return readout_of(class_targets(None, self.labels, self.head, logits), self.space, self.head)

    def __call__(self, logits: Tensor) -> Tensor:
        return self.known(logits[0].detach())(logits)


def predicted_readout(model: WrappedModel, options: Options, targets: Any) -> PredictedReadout | None:
    """A readout for a method that asks only for slopes at the text, where the target is the predicted class.

    None for other targets and heads, and where the features are not the embeddings.
    """
    asked = targets is None or (isinstance(targets, str) and targets == "predicted")
    features = not isinstance(options.removal, str) or options.removal not in ("drop", "attention")
    if not asked or not features or options.layer is not None:
        return None
    if model.head not in CLASSIFIERS or "predicted" in model.labels:
        return None
    return PredictedReadout((), readout_of((), options.score, model.head).space, model.head, model.labels)


def slopes_request(model: WrappedModel, encoded: DividedText, readout: PredictedReadout) -> ModelRequest:
    """Asks for the logits of a text and the slopes of its predicted classes at its embeddings."""

    def build(_rows: Tensor) -> TextRows:
        leaf = model.embed(encoded.ids, encoded.source)[None].clone().requires_grad_()
        rows = text_rows(encoded, torch.ones(1, len(encoded), dtype=torch.bool), leaf)
        rows.leaf = leaf
        return rows

    lengths = torch.tensor([len(encoded)])
    return ModelRequest(lengths, build, readout, model.embeddings.injection, gradients=True)
