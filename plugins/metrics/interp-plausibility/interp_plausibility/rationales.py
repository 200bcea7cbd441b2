"""What people marked, from characters to units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from interp_core.attribution import Attribution
from interp_core.errors import InputError
from jaxtyping import Bool
from torch import Tensor


def marked_units(attribution: Attribution, rationale: Any) -> Bool[Tensor, " u"]:
    """The units of which more than half of the characters are marked.

    Args:
        attribution: of one text.
        rationale: what people marked in it, characters [start, stop); they may overlap.

    Raises:
        InputError: it is no list of characters of the text.
    """
    marked = torch.zeros(len(attribution.text), dtype=torch.bool)
    for start, stop in _spans(rationale, attribution.text):
        marked[start:stop] = True
    return torch.tensor([float(marked[unit.start : unit.stop].float().mean()) > 0.5 for unit in attribution.units])


def _spans(rationale: Any, text: str) -> list[tuple[int, int]]:
    try:
        spans = [(int(start), int(stop)) for start, stop in rationale]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{rationale!r} was given as the rationale of {text[:40]!r}; a list of characters (start, stop) was "
            "expected for each text."
        ) from error
    wrong = [span for span in spans if not 0 <= span[0] < span[1] <= len(text)]
    if wrong:
        raise InputError(f"the rationale {wrong[0]} is empty or leaves the {len(text)} characters of {text[:40]!r}.")
    return spans


def runs(chosen: Bool[Tensor, " u"]) -> list[range]:
    """Units that follow one another, as pieces."""
    edges = torch.cat([chosen.new_zeros(1), chosen, chosen.new_zeros(1)]).int().diff()
    starts, stops = ((edges == way).nonzero().flatten().tolist() for way in (1, -1))
    return [range(start, stop) for start, stop in zip(starts, stops, strict=True)]


def for_each_target(
    applicable: Bool[Tensor, "k u"], marked: Bool[Tensor, " u"], text: str
) -> Sequence[tuple[int, Bool[Tensor, " u"]]]:
    """The targets to which a marked unit can matter, with the units that can.

    Raises:
        InputError: there are none.
    """
    found = [(k, able) for k, able in enumerate(applicable) if bool((able & marked).any())]
    if not found:
        raise InputError(f"no unit of {text[:40]!r} that can matter to the answer is marked; leave such texts out.")
    return found
