"""The true classes of texts, as a caller labels them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.model import CLASSIFIERS, Classes, WrappedModel
from interp_core.text import Text, with_labels


def true_classes(model: WrappedModel, texts: Sequence[Text], labels: Iterable[Any] | str | int) -> list[Classes]:
    """The true class of each text, in words.

    Raises:
        InputError: the model has no classes, there are not as many labels as texts, or a label is none of the classes.
    """
    if model.head not in CLASSIFIERS or model.head == "regression":
        raise InputError(
            f"{model.name} does not choose among classes, so that labels mean nothing to it; leave it out."
        )
    names = model.labels
    found: list[Classes] = []
    several = [labels] if isinstance(labels, str | int) else labels  # that of a single text
    for _, label in with_labels(iter(texts), several, names, hint=""):
        if (label.ndim == 1) != (model.head == "multi-label"):
            raise InputError(
                f"the label {label.tolist()} does not fit the head of {model.name}, which is {model.head}."
            )
        found.append(names[int(label)] if label.ndim == 0 else tuple(names[i] for i in torch.nonzero(label).flatten()))
    return found
