"""What one pass over a batch gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from interp_core.errors import UnsupportedError
from torch import Tensor


@dataclass(frozen=True)
class ForwardPass:
    """The results of one pass.

    Attributes:
        output: what the model returned.
        logits_or_none: the logits in it, see `logits_of`.
        hidden: the states of the modules that were read, with padding.
        mask: True for the tokens that these states are of.
    """

    output: Any
    logits_or_none: Tensor | None
    hidden: Tensor | None
    mask: Tensor

    @property
    def logits(self) -> Tensor:
        """The logits.

        Raises:
            UnsupportedError: the model returned none.
        """
        if self.logits_or_none is None:
            raise UnsupportedError("this model gives no logits, so there is nothing to explain.")
        return self.logits_or_none

    def hidden_of(self, row: int) -> Tensor | None:
        """The states that were read of one row, without padding."""
        if self.hidden is None:
            return None
        if self._lengths:
            return self.hidden[row, : self._lengths[row]].detach()
        return self.hidden[row][self.mask[row].to(self.hidden.device)].detach()

    @cached_property
    def _lengths(self) -> list[int]:
        """The tokens of each row if all padding is at the right, as a rule."""
        lengths = self.mask.sum(1)
        at_the_left = torch.arange(self.mask.shape[1]) < lengths[:, None].cpu()
        return lengths.tolist() if torch.equal(self.mask.cpu(), at_the_left) else []
