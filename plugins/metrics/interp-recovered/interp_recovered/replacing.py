"""A model run with the rows of its layer exchanged for reconstructions, for zeros, or left as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import BatchRunner, SplitModel
from interp_core.text import Encoded, batched_by_size
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

TEXTS_AT_A_TIME, NUMBERS = 32, 2**25  # texts, and logits of one kind, that are held at once


@dataclass(frozen=True, eq=False)
class Answers:
    """The logits for one text: of the model, with reconstructed rows, and without the rows; and what is right.

    Attributes:
        right: the class, which classes, or the next token at each position.
        several: whether each logit is an answer of its own, as of a multi-label head.
    """

    whole: Float[Tensor, "m v"]
    rebuilt: Float[Tensor, "m v"]
    ablated: Float[Tensor, "m v"]
    right: Tensor
    several: bool = False

    def losses(self) -> Float[Tensor, " 3"]:
        """The cross-entropy (nats) of the three, in the order of the attributes."""
        return torch.stack([_loss(one, self.right) for one in (self.whole, self.rebuilt, self.ablated)])


def answers(space: ConceptSpace, activations: Activations, split: SplitModel) -> Iterator[Answers]:
    """The answers for each text; a generator has none for a text of one token, which has no next one.

    A token's state becomes itself plus what its row's reconstruction differs by, or less its row: of rows that are
    tokens the reconstruction, or zero.

    Raises:
        InputError: the classes of the labels are not those of the model, or there is no text to answer for.
        UnsupportedError: the model neither classifies texts nor generates with one stack.
    """
    model = split.model
    if model.head not in ("single-label", "multi-label", "causal"):
        raise UnsupportedError(
            f"loss and accuracy are of classifiers and causal generators; the head of {model.name} is {model.head!r}."
        )
    if activations.labels is not None and model.labels and activations.class_names != model.labels:
        raise InputError(
            f"the labels are of {', '.join(activations.class_names[:5])}, the classes of the model are "
            f"{', '.join(model.labels[:5])}; give activations without labels to measure against its own answers."
        )
    batch_runner = BatchRunner(model)
    tokens = NUMBERS // model.logits(model.some_ids()).shape[-1]
    known = ((i, _encoded(split, activations, i)) for i in range(len(activations.texts)))
    for group in batched_by_size(known, lambda one: len(one[1]), tokens, TEXTS_AT_A_TIME):
        texts, encoded = zip(*group, strict=True)
        states = split.states(batch_runner, encoded)
        versions: tuple[list[Tensor], ...] = ([], [], [])
        for i, e, state in zip(texts, encoded, states, strict=True):
            rows = activations.values[activations.rows_of(i)]
            place = split.row_of(e, activations.granularity)
            for held, change in zip(versions, (torch.zeros_like(rows), space(rows) - rows, -rows), strict=True):
                nothing = change.new_zeros(1, change.shape[1])
                held.append(state + torch.cat([change, nothing])[place].to(state))
        logits = [split.resume(held, encoded, batch_runner) for held in versions]
        for i, e, three in zip(texts, encoded, zip(*logits, strict=True), strict=True):
            if three[0].ndim == 2 and len(e) < 2:
                continue
            yield _answers(activations.labels, i, e, three, split)


def _encoded(split: SplitModel, activations: Activations, text: int) -> Encoded:
    spans = [(unit.start, unit.stop) for unit in activations.units[text]]
    return split.model.encoder(activations.texts[text]).with_units(spans)


def _answers(
    labels: Tensor | None, text: int, encoded: Encoded, logits: tuple[Tensor, ...], split: SplitModel
) -> Answers:
    whole, rebuilt, ablated = logits
    if whole.ndim == 2:
        return Answers(whole[:-1], rebuilt[:-1], ablated[:-1], encoded.ids[1:])
    right = split.predicted(whole) if labels is None else labels[text]
    if right.shape != (whole.shape if split.several else ()) or (not split.several and int(right) >= len(whole)):
        raise UnsupportedError(
            f"label {right.tolist()} is no answer of {split.model.name}, which has {len(whole)} classes; give "
            "activations without labels to measure against the model's own answers."
        )
    found = right[None].float() if split.several else right[None]
    return Answers(whole[None], rebuilt[None], ablated[None], found, split.several)


def _loss(logits: Float[Tensor, "m v"], right: Tensor) -> Tensor:
    if right.is_floating_point():
        return binary_cross_entropy_with_logits(logits, right)
    return cross_entropy(logits, right)
