"""The two ends of each concept: where it is most active, and where its codes are most negative."""

from __future__ import annotations

import torch
from interp_core.concepts import Strongest, with_rows
from jaxtyping import Float, Int
from torch import Tensor

Ranked = list[tuple[int, float]]  # rows and codes


class Poles:
    """The rows of the largest codes above zero, and of the smallest below zero, from codes that come batch by batch.

    Args:
        top: rows of each concept at the upper end, at most.
        bottom: rows at the lower end, at most.
    """

    def __init__(self, top: int, bottom: int) -> None:
        self.top, self.bottom = top, bottom
        self._high: Strongest | None = None
        self._low: Strongest | None = None

    def add(self, codes: Float[Tensor, "b c"], first: int, keys: Int[Tensor, " b"]) -> None:
        """Count a further batch; of rows with equal keys one is kept at each end."""
        self._high = with_rows(self._high, codes, first, keys, self.top)
        if self.bottom:
            self._low = with_rows(self._low, -codes, first, keys, self.bottom)

    @property
    def high(self) -> list[Ranked]:
        """For each concept the rows above zero, the largest code first."""
        return self._high.entries if self._high else []

    @property
    def low(self) -> list[Ranked]:
        """For each concept the rows below zero, the smallest code last."""
        if self._low is None:
            return [[] for _ in self.high]
        return [[(row, -value) for row, value in reversed(entries)] for entries in self._low.entries]

    @property
    def both(self) -> list[Ranked]:
        """For each concept the rows at both ends, the largest code first."""
        return [high + low for high, low in zip(self.high, self.low, strict=True)]

    @property
    def notes(self) -> list[str]:
        """For each concept a note where the lower end was asked for and there is none; else empty."""
        none = "no code is below 0: its least active units are merely inactive, and none is shown."
        return [none if self.bottom and not low else "" for low in self.low]


def joined(*notes: str) -> str:
    """Several notes as one."""
    return " ".join(note for note in notes if note)


def without(codes: Float[Tensor, "b c"], left_out: Tensor) -> Float[Tensor, "b c"]:
    """The codes, those of some rows set to zero, so that the rows are at neither end."""
    return torch.where(left_out[:, None], 0.0, codes)
