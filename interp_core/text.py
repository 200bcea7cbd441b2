"""One tokenised text with the characters each token covers, and the units a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from interp_core.errors import InputError
from jaxtyping import Bool, Int
from torch import Tensor

NO_UNIT = -1


@dataclass(frozen=True)
class Unit:
    """A piece of a text that a person reads as one: characters [start, stop)."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as the model receives it.

    Attributes:
        text: the characters.
        ids: the token ids, special tokens included.
        offsets: for each token the characters [start, stop) it covers; (0, 0) for a special token.
        special: True where the token was added by the tokenizer.
        units: the pieces a person reads, in order.
        unit_of: the unit of each token; -1 for a token in no unit.
        prompt: how many of the tokens are given; those after it are a continuation to be explained.
        cut: how many tokens were left off because the model takes no more.
    """

    text: str
    ids: Int[Tensor, " t"]
    offsets: Int[Tensor, "t 2"]
    special: Bool[Tensor, " t"]
    units: tuple[Unit, ...] = ()
    unit_of: Int[Tensor, " t"] | None = None
    prompt: int = -1
    cut: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def with_units(self, spans: Sequence[tuple[int, int]]) -> Encoded:
        """The same text in other units: each token goes to the span it shares the most characters with.

        Raises:
            InputError: spans that are empty, out of order, overlapping, or outside the text.
        """
        previous = 0
        for start, stop in spans:
            if not previous <= start < stop <= len(self.text):
                raise InputError(
                    f"span ({start}, {stop}) is empty, overlaps the one before, or leaves the text of "
                    f"{len(self.text)} characters. Give spans as [start, stop) in order."
                )
            previous = stop
        owners = [
            NO_UNIT if special else _owner(start, stop, spans, self.text)
            for (start, stop), special in zip(self.offsets.tolist(), self.special.tolist(), strict=True)
        ]
        kept = sorted(set(owners) - {NO_UNIT})  # a unit whose tokens were cut off is not in the input
        number = {old: new for new, old in enumerate(kept)}
        units = tuple(Unit(self.text[slice(*spans[i])], *spans[i]) for i in kept)
        unit_of = torch.tensor([number.get(owner, NO_UNIT) for owner in owners], dtype=torch.long)
        return replace(self, units=units, unit_of=unit_of)


def _owner(start: int, stop: int, spans: Sequence[tuple[int, int]], text: str) -> int:
    """The span that shares most characters with the token; white space belongs to the span it leads to."""
    if stop > start and not text[start:stop].strip():
        return next((i for i, (first, _) in enumerate(spans) if first == stop), NO_UNIT)
    shared = [min(stop, b) - max(start, a) for a, b in spans]
    best = max(range(len(spans)), key=shared.__getitem__, default=NO_UNIT)
    return best if best != NO_UNIT and shared[best] > 0 else NO_UNIT
