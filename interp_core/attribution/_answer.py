"""What a classifier answers to a text, beside what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.model import CLASSIFIERS, Head, WrappedModel
from interp_core.text import Text, with_labels
from jaxtyping import Float
from torch import Tensor

Classes = str | tuple[str, ...]  # the class of a text; the classes, of a multi-label head


def answer_of(
    logits: Float[Tensor, " v"], labels: Sequence[str], head: Head
) -> tuple[Classes, float | tuple[float, ...]]:
    """The answer of a classifier and its probability.

    Args:
        logits: the logits of the text, one for each of v classes.
        labels: the names of the classes.
        head: "single-label" or "multi-label".

    Returns:
        The class and its probability; for a multi-label head a tuple of each, of the classes above one half.

    Examples:
        >>> from interp_core.attribution import answer_of
        >>> answer_of(torch.tensor([0.0, 0.0, 10.0]), ("anger", "fear", "joy"), "single-label")[0]
        'joy'
        >>> answer_of(torch.tensor([0.0, 2.0, 10.0]), ("anger", "fear", "joy"), "multi-label")[0]
        ('fear', 'joy')
    """
    if head == "multi-label":
        given = torch.nonzero(logits > 0).flatten().tolist()
        return tuple(labels[i] for i in given), tuple(logits[given].float().sigmoid().tolist())
    best = int(logits.argmax())
    return labels[best], float(logits.float().softmax(-1)[best])


def true_classes(model: WrappedModel, texts: Sequence[Text], labels: Iterable[Any] | None) -> list[Classes] | None:
    """The true class of each text, in words; None if there are no labels.

    Raises:
        InputError: the model has no classes, there are not as many labels as texts, or a label is none of the classes.
    """
    if labels is None:
        return None
    if not knows_answers(model):
        raise InputError(
            f"{model.name} does not choose among classes, so that labels mean nothing to it; leave it out."
        )
    names = model.labels
    found: list[Classes] = []
    for _, label in with_labels(iter(texts), labels, names):
        if (label.ndim == 1) != (model.head == "multi-label"):
            raise InputError(
                f"the label {label.tolist()} does not fit the head of {model.name}, which is {model.head}."
            )
        found.append(names[int(label)] if label.ndim == 0 else tuple(names[i] for i in torch.nonzero(label).flatten()))
    return found


def knows_answers(model: WrappedModel) -> bool:
    """Whether the model chooses among classes."""
    return model.head in CLASSIFIERS and model.head != "regression"
