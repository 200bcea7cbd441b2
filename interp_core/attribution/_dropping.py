"""Removal by dropping tokens: those after them close up and take the positions of a shorter text."""

from __future__ import annotations

import torch
from interp_core.model import GENERATORS, GeneratorRows, Readout, TextRows, WrappedModel
from interp_core.text import NO_UNIT, DividedText, Encoded, splits_alike
from jaxtyping import Bool, Int
from torch import Tensor

TRIED = 32  # the most units of a text that the tokenizer is tried on


def fixed_tokens(encoded: Encoded, readout: Readout, unit_of: Int[Tensor, " t"]) -> Bool[Tensor, " t"]:
    """The tokens that cannot leave: those of a continuation, those that are explained, and those in a unit with them.

    Args:
        encoded: the text.
        readout: the targets.
        unit_of: the unit of each token.
    """
    fixed = torch.zeros(len(encoded), dtype=torch.bool)
    if readout.head in GENERATORS and 0 < encoded.prompt < len(encoded):
        fixed[encoded.prompt :] = True
    explained = [place for target in readout.targets for place in target.positions if place < len(encoded)]
    fixed[explained] = True
    units = unit_of[fixed].unique()
    return fixed | torch.isin(unit_of, units[units != NO_UNIT])


def tokens_left(encoded: Encoded, readout: Readout, stays: Bool[Tensor, "p t"]) -> Bool[Tensor, "p t"]:
    """The tokens that stay, so that each row has one to read: where there would be none, the first."""
    first = encoded.source or min(readout.positions, default=len(encoded) - 1) + 1
    left = stays.clone()
    left[:, 0] |= ~left[:, :first].any(dim=1)
    return left


def shorter_rows(encoded: Encoded, readout: Readout, left: Bool[Tensor, "p t"], pad_id: int) -> TextRows:
    """Rows of the tokens that are left, padded at the right, and the positions at which these are read.

    Args:
        encoded: the text, t tokens.
        readout: what is read.
        left: False for the tokens that are gone.
        pad_id: the id that fills short rows.
    """
    border = encoded.source
    sides = [slice(border), slice(border, None)] if border else [slice(None)]
    ids, inside, types = zip(*(_closed_up(encoded, left, side, pad_id) for side in sides), strict=True)
    source = ids[0].shape[1] if border else 0
    rows = TextRows(torch.cat(ids, dim=1), torch.cat(inside, dim=1), source=source)
    if encoded.types is not None:
        rows.types = torch.cat(types, dim=1)
    if not readout.gathers:
        return rows
    places = left[:, border:].cumsum(1)[:, [position - border for position in readout.positions]]
    return GeneratorRows(**vars(rows), positions=places - 1 + source)


def _closed_up(encoded: Encoded, left: Bool[Tensor, "p t"], side: slice, pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ids of the tokens of one side that are left, which of them are no padding, and their types."""
    stays, ids = left[:, side], encoded.ids[side]
    types = torch.zeros_like(ids) if encoded.types is None else encoded.types[side]
    lengths = stays.sum(1)
    order = torch.argsort((~stays).to(torch.int8), dim=1, stable=True)[:, : int(lengths.max())]
    inside = torch.arange(order.shape[1]) < lengths[:, None]
    return torch.where(inside, ids[order], pad_id), inside, types[order]


def merge_note(model: WrappedModel, encoded: DividedText, fixed: Bool[Tensor, " t"]) -> tuple[str, ...]:
    """A note if the tokenizer would divide the text without a unit otherwise than the tokens that remain are."""
    units = torch.arange(len(encoded.units))[~torch.isin(torch.arange(len(encoded.units)), encoded.unit_of[fixed])]
    some = units[torch.linspace(0, len(units) - 1, min(TRIED, len(units))).long()].tolist()
    alike = [splits_alike(model.encoder, encoded, encoded.unit_of == unit) for unit in some]
    other, tried = alike.count(False), sum(one is not None for one in alike)
    if not other:
        return ()
    return (
        f"removal='drop' takes tokens away and leaves the others as they are: without one unit, the tokenizer would "
        f"divide the rest of the text into other tokens for {other} of {tried} units that were tried.",
    )
