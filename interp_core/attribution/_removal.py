"""What "this word is not there" means: the vector, or the change of the sequence, that stands for an absent unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import WrappedModel
from interp_core.text import DividedText
from jaxtyping import Float
from torch import Tensor

Mode = Literal["features", "drop", "attention"]
Removal = str | Tensor  # one of NAMES, or a vector
NAMES = ("auto", "mask", "mean", "zero", "drop", "attention")


@dataclass(frozen=True, eq=False)
class Absence:
    """How units are made absent.

    Attributes:
        name: for the record: `"mask"`, `"mean"`, …
        mode: features are replaced, tokens leave the sequence, or tokens are hidden from attention.
        baseline: (t, d) what replaces the features; equal to `x` at tokens that are in no unit.
    """

    name: str
    mode: Mode
    baseline: Float[Tensor, "t d"]


def absence(
    model: WrappedModel, encoded: DividedText, x: Float[Tensor, "t d"], removal: Removal, fixed: bool = False
) -> Absence:
    """The meaning of `removal` for one text.

    Args:
        model: the model.
        encoded: the text in units.
        x: its embeddings.
        removal: `"mask"` (the tokenizer's mask token), `"mean"` (the mean of all embeddings), `"zero"`, `"drop"`
            (tokens leave the sequence), `"attention"` (tokens are hidden from attention), a tensor (d) or (t, d), or
            `"auto"`: mask if the tokenizer has a mask token, else mean.
        fixed: whether tokens must keep their places, since the answer is about some of them.

    Raises:
        InputError: an unknown name, or a tensor of another shape.
        UnsupportedError: `mask` for a tokenizer that has no mask token; `drop` where tokens are explained.
    """
    name = removal_name(model, removal, fixed)
    vector = x if name in ("drop", "attention") else _vector(model, removal, name, x)
    outside = (encoded.unit_of < 0)[:, None].to(x.device)
    mode: Mode = "drop" if name == "drop" else "attention" if name == "attention" else "features"
    return Absence(name, mode, torch.where(outside, x, vector.to(x)))


def removal_name(model: WrappedModel, removal: Removal, fixed: bool = False) -> str:
    """What `removal` is called for this model; the arguments and errors are those of `absence`."""
    if isinstance(removal, Tensor):
        return "tensor"
    if removal not in NAMES:
        raise InputError(f"removal {removal!r} is unknown; it is one of {', '.join(NAMES)}, or a tensor.")
    if removal == "drop" and fixed:
        raise UnsupportedError("removal='drop' moves the tokens that are explained; use 'mean', 'zero' or 'attention'.")
    if removal == "auto":
        return "mask" if model.tokenizer.mask_token_id is not None else "mean"
    return removal


def _vector(model: WrappedModel, removal: Removal, name: str, x: Float[Tensor, "t d"]) -> Tensor:
    if isinstance(removal, Tensor):
        if removal.shape not in (x.shape, x.shape[1:]):
            raise InputError(
                f"the removal tensor is {tuple(removal.shape)}; {tuple(x.shape[1:])} or {tuple(x.shape)} was expected."
            )
        return removal
    if name == "mask":
        if model.tokenizer.mask_token_id is None:
            raise UnsupportedError(
                "removal='mask' needs a mask token and this tokenizer has none; use 'mean' or 'zero'."
            )
        return model.embed(torch.tensor([model.tokenizer.mask_token_id]))[0]
    return model.embeddings.mean if name == "mean" else torch.zeros_like(x)
