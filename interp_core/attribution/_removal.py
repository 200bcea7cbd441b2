"""What it means that a word is absent: a vector replaces it, or the sequence changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from interp_core.errors import InputError, UnsupportedError, unknown
from interp_core.model import WrappedModel
from interp_core.text import DividedText
from jaxtyping import Bool, Float, Int
from torch import Tensor

Mode = Literal["features", "drop", "attention"]
Removal = str | Tensor  # one of NAMES, or vectors
NAMES = ("auto", "mask", "mean", "zero", "drop", "attention")


@dataclass(frozen=True, eq=False)
class Absence:
    """How units of one text are removed.

    Attributes:
        name: what the removal is called in results: `"mask"`, `"mean"`, …, or `"tensor"` for a vector of the caller.
        mode: `"features"` (features are replaced by the baseline), `"drop"` (tokens leave the sequence) or
            `"attention"` (tokens are hidden from attention).
        baseline: (t, d) what replaces the features; equal to the features of tokens that are in no unit, and with
            `"drop"` and `"attention"` to all features.

    Examples:
        >>> from interp_core.attribution import absence
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import divide
        >>> model = tiny_classifier()
        >>> divided = divide(model.encoder("so happy"), "word")
        >>> absence(model, divided, model.embed(divided.ids), "attention").mode
        'attention'
    """

    name: str
    mode: Mode
    baseline: Float[Tensor, "t d"]


def absence(
    model: WrappedModel, encoded: DividedText, x: Float[Tensor, "t d"], removal: Removal, fixed: bool = False
) -> Absence:
    """What a removal means for one text.

    Args:
        model: the model.
        encoded: the text in units.
        x: (t, d) the embeddings of the text.
        removal: `"mask"` (the embedding of the tokenizer's mask token), `"mean"` (the mean of all embeddings),
            `"zero"`, `"drop"` (tokens leave the sequence), `"attention"` (tokens are hidden from attention), a tensor
            (d) or (t, d), or `"auto"`: mask if the tokenizer has a mask token, else mean.
        fixed: whether tokens must keep their positions, because some of them are explained.

    Returns:
        The name, the mode and the baseline.

    Raises:
        InputError: an unknown name, or a tensor of another shape.
        UnsupportedError: `"mask"` for a tokenizer without a mask token, or `"drop"` if positions are fixed.

    Examples:
        >>> from interp_core.attribution import absence
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import divide
        >>> model = tiny_classifier()
        >>> divided = divide(model.encoder("so happy"), "word")
        >>> x = model.embed(divided.ids)
        >>> absent = absence(model, divided, x, "auto")
        >>> absent.name
        'mask'
        >>> (absent.baseline == x).all(1)  # [CLS] and [SEP] are in no unit, so they stay
        tensor([ True, False, False,  True])
    """
    name = removal_name(model, removal, fixed)
    replacement = x if name in ("drop", "attention") else _replacement(model, removal, name, x)
    outside = (encoded.unit_of < 0)[:, None].to(x.device)
    mode: Mode = "drop" if name == "drop" else "attention" if name == "attention" else "features"
    return Absence(name, mode, torch.where(outside, x, replacement.to(x)))


def removal_name(model: WrappedModel, removal: Removal, fixed: bool = False) -> str:
    """The name of a removal for this model; arguments and errors are those of `absence`."""
    if isinstance(removal, Tensor):
        return "tensor"
    if removal not in NAMES:
        raise InputError(unknown("removal", removal, NAMES, also="a tensor"))
    if removal == "drop" and fixed:
        raise UnsupportedError("removal='drop' moves the tokens that are explained; use 'mean', 'zero' or 'attention'.")
    if removal == "auto":
        return "mask" if model.tokenizer.mask_token_id is not None else "mean"
    return removal


def _replacement(model: WrappedModel, removal: Removal, name: str, x: Float[Tensor, "t d"]) -> Tensor:
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


def removed(
    keep: Bool[Tensor, "p u"], x: Float[Tensor, "f d"], baseline: Float[Tensor, "f d"], unit_of: Int[Tensor, " f"]
) -> Float[Tensor, "p f d"]:
    """The features, with those of units that are not kept replaced by the baseline."""
    with_no_unit = torch.cat([keep, keep.new_ones(len(keep), 1)], dim=1)  # -1 reads the added column
    stays = with_no_unit[:, unit_of.to(keep.device)]  # (p, f)
    return torch.where(stays[:, :, None].to(x.device), x, baseline)
