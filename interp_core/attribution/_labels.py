"""The true classes of texts, as the caller gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.model import CLASSIFIERS, Classes, ServedModel, WrappedModel
from interp_core.text import Text, with_labels


def true_classes(
    model: WrappedModel | ServedModel, texts: Sequence[Text], labels: Iterable[Any] | str | int
) -> list[Classes | None]:
    """The true class of each text, in words; None for a text whose label is None.

    Raises:
        InputError: the model has no classes, there are not as many labels as texts, or a label is none of the classes.
    """
    if model.head not in CLASSIFIERS or model.head == "regression":
        raise InputError(
            f"{model.name} does not choose among classes, so that labels mean nothing to it; leave it out."
        )
    names = model.labels
    several = [labels] if isinstance(labels, str | int) else list(labels)  # that of a single text
    if len(several) != len(texts):
        raise InputError(
            f"{len(several)} labels were given for {len(texts)} texts; one for each, or None, was expected."
        )
    known = [place for place, label in enumerate(several) if label is not None]
    found: list[Classes | None] = [None] * len(texts)
    pairs = with_labels((texts[place] for place in known), [several[place] for place in known], names, hint="")
    for place, (_, label) in zip(known, pairs, strict=True):
        if (label.ndim == 1) != (model.head == "multi-label"):
            raise InputError(
                f"the label {label.tolist()} does not fit the head of {model.name}, which is {model.head}."
            )
        several_of = torch.nonzero(label).flatten().tolist() if label.ndim else []
        found[place] = tuple(names[i] for i in several_of) if label.ndim else names[int(label)]
    return found
