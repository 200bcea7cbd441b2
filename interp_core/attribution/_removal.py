"""Removal of units: a baseline replaces their features, or the sequence changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from interp_core.errors import InputError, UnsupportedError, unknown
from interp_core.model import WrappedModel, hides_tokens, trial_of
from interp_core.text import DividedText, Encoded
from jaxtyping import Bool, Float, Int
from torch import Tensor

Mode = Literal["features", "drop", "attention"]
Removal = str | Tensor  # one of NAMES, or vectors
NAMES = ("auto", "mask", "mean", "zero", "drop", "attention")


@dataclass(frozen=True, eq=False)
class Absence:
    """How the units of one text are removed.

    Attributes:
        name: the name of the removal in results: `"mask"`, `"mean"`, …, or `"tensor"` for a vector of the caller.
        mode: `"features"` (features are replaced by the baseline), `"drop"` (tokens leave the sequence) or
            `"attention"` (tokens are hidden from attention).
        baseline: (t, d) what replaces the features. At tokens in no unit it equals the features, and with `"drop"` and
            `"attention"` everywhere.
        stand_in: the id of the token that stands in for a removed one, for models that also use the ids after the
            embedding; None for other models.

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
    stand_in: int | None = None

    def ids(self, encoded: Encoded, kept: Bool[Tensor, "p t"]) -> Int[Tensor, "p t"]:
        """Build the token ids of p variants of a text.

        Args:
            encoded: the text, of t tokens.
            kept: (p, t) False for the tokens that are removed.

        Returns:
            (p, t) the ids of the text, with `stand_in` for the tokens that are removed.
        """
        every = encoded.ids.expand(len(kept), -1)
        return every if self.stand_in is None else torch.where(kept, every, self.stand_in)


def absence(
    model: WrappedModel, encoded: DividedText, x: Float[Tensor, "t d"], removal: Removal, fixed: bool = False
) -> Absence:
    """Work out how units of one text are removed.

    Args:
        model: the model.
        encoded: the text in units.
        x: (t, d) the embeddings of the text.
        removal: `"mask"` (the embedding of the tokenizer's mask token), `"mean"` (the mean of all embeddings),
            `"zero"`, `"drop"` (tokens leave the sequence and the others close up, as in a shorter text; units of a
            continuation stay), `"attention"` (tokens are hidden from attention), a tensor (d) or (t, d), or `"auto"`:
            `"mask"` if the tokenizer has a mask token that the model embeds, else `"mean"`.
        fixed: whether tokens must keep their positions, since the targets are at positions of a tagger or extractor of
            answers.

    Returns:
        The name, mode and baseline of the removal.

    Raises:
        InputError: `removal` is an unknown name, or a tensor of another shape.
        UnsupportedError: `"mask"` for a tokenizer without a mask token, `"drop"` if positions are fixed, or
            `"attention"` for a model whose attention mask hides nothing.

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
    return Absence(name, mode, torch.where(outside, x, replacement.to(x)), stand_in(model, name))


def removal_name(model: WrappedModel, removal: Removal, fixed: bool = False) -> str:
    """The name of a removal for this model; arguments and errors are those of `absence`."""
    if isinstance(removal, Tensor):
        return "tensor"
    if not isinstance(removal, str) or removal not in NAMES:
        raise InputError(unknown("removal", removal, NAMES, also="a tensor"))
    if removal == "drop" and fixed:
        raise UnsupportedError(
            "removal='drop' moves the tokens whose tags, or whose start and stop, are explained; use 'mean', 'zero' or "
            "'attention'."
        )
    if removal == "attention" and not hides_tokens(model):
        raise UnsupportedError(
            f"removal='attention' removes nothing here: {model.name} reads a token also where its attention mask hides "
            "it; use 'mask', 'mean' or 'zero'."
        )
    if removal == "auto":
        return "mean" if _mask_id(model) is None else "mask"
    return removal


def _replacement(model: WrappedModel, removal: Removal, name: str, x: Float[Tensor, "t d"]) -> Tensor:
    if isinstance(removal, Tensor):
        if removal.shape not in (x.shape, x.shape[1:]):
            raise InputError(
                f"the removal tensor is {tuple(removal.shape)}; {tuple(x.shape[1:])} or {tuple(x.shape)} was expected."
            )
        return removal
    if name == "mask":
        mask_id = _mask_id(model)
        if mask_id is None:
            raise UnsupportedError(
                "removal='mask' needs a mask token that the model has an embedding of, and there is none; use 'mean' "
                "or 'zero'."
            )
        return model.embed(torch.tensor([mask_id]))[0]
    return model.embeddings.mean if name == "mean" else torch.zeros_like(x)


def stand_in(model: WrappedModel, name: str) -> int | None:
    """The id of the token that is read in place of a removed one, for models that read ids below the embeddings.

    Args:
        model: the model.
        name: the name of the removal.
    """
    if name in ("drop", "attention") or not trial_of(model).reads_ids:
        return None
    tokenizer, count = model.tokenizer, model.embeddings.count
    if name == "mask":
        return _mask_id(model)
    neutral = tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, model.pad_id
    return next(int(i) for i in neutral if i is not None and i < count)


def _mask_id(model: WrappedModel) -> int | None:
    """The id of the mask token, if the model has an embedding of it."""
    mask_id: int | None = model.tokenizer.mask_token_id
    return mask_id if mask_id is not None and mask_id < model.embeddings.count else None


def removed(
    keep: Bool[Tensor, "p u"], x: Float[Tensor, "f d"], baseline: Float[Tensor, "f d"], unit_of: Int[Tensor, " f"]
) -> Float[Tensor, "p f d"]:
    """The features, with those of units that are not kept replaced by the baseline."""
    with_no_unit = torch.cat([keep, keep.new_ones(len(keep), 1)], dim=1)  # -1 reads the added column
    stays = with_no_unit[:, unit_of.to(keep.device)]  # (p, f)
    return torch.where(stays[:, :, None].to(x.device), x, baseline)
