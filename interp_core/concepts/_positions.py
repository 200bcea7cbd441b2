"""The tokens of a pass at which concepts are changed, with and without a cache of earlier tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from interp_core.errors import InputError, nearest
from interp_core.model import Side
from jaxtyping import Bool, Float
from torch import Tensor

NAMED = ("all", "first", "last", "generated")
Positions = str | Sequence[int]


def checked(positions: Any) -> str | tuple[int, ...]:
    """The positions that a caller means.

    Raises:
        InputError: they are neither one of the names nor whole numbers.
    """
    if isinstance(positions, str) and positions in NAMED:
        return positions
    numbers = positions.tolist() if hasattr(positions, "tolist") else positions
    several = isinstance(numbers, Sequence) and not isinstance(numbers, str) and len(numbers) > 0
    if several and all(hasattr(i, "__index__") and not isinstance(i, bool) for i in numbers):
        return tuple(i.__index__() for i in numbers)
    raise InputError(
        f"positions {positions!r} is unknown; one of {', '.join(NAMED)}, or the numbers of tokens in a list, such as "
        f"[0, -1], was expected.{nearest(positions, NAMED)}"
    )


@dataclass(eq=False)
class TokenChoice:
    """Chooses tokens in the passes of one intervention.

    A text that is generated is one sequence: its prompt, and one token more in each pass. With a cache a pass holds the
    new tokens only, without one the whole sequence, and in both the same tokens are chosen.

    Attributes:
        where: `"all"`, `"first"`, `"last"` (of the prompt, and every token that is generated), `"generated"` (these
            alone), or the numbers of tokens of the prompt.
        side: the tokens that the layer processes, in an encoder-decoder model those of one side.
    """

    where: str | tuple[int, ...]
    side: Side
    _pass: dict[str, Any] = field(default_factory=dict)
    _prompt: Tensor | None = None  # the ids of the prompts, padding included
    _prompts: int = 0  # their number of tokens
    _total: int = 0  # the number of tokens after the last pass

    def begin(self, module: Any, args: Any, kwargs: Any) -> None:
        """Look at the arguments of a pass of the whole model."""
        arguments = {**signature(module.forward).bind_partial(*args, **kwargs).arguments, **kwargs}
        prefix = "decoder_" if self.side == "target" else ""
        cached = getattr(arguments.get("past_key_values"), "get_seq_length", lambda: 0)
        self._pass = {
            "ids": arguments.get(f"{prefix}input_ids"),
            "mask": arguments.get(f"{prefix}attention_mask"),
            "cached": 0 if self.side == "source" else int(cached() or 0),
        }

    def end(self, *_: Any) -> None:
        """Forget the arguments: a stack that runs on its own, such as an encoder before generation, has others."""
        self._pass = {}

    def of(self, hidden: Float[Tensor, "p t d"]) -> Bool[Tensor, "p t"]:
        """Which states of a pass are changed."""
        p, t, _ = hidden.shape
        cached, ids = self._pass.get("cached", 0), self._pass.get("ids")
        total = cached + t
        if not self._goes_on(ids, cached, total):
            self._prompts, self._prompt = total, ids if isinstance(ids, Tensor) and not cached else None
        self._total = total
        shown = torch.ones(p, total, dtype=torch.bool, device=hidden.device)
        if self.where == "all":
            return shown[:, cached:]
        mask = self._pass.get("mask")
        if isinstance(mask, Tensor) and mask.shape == shown.shape:
            shown = mask.bool().to(hidden.device)
        return self._chosen(shown)[:, cached:]

    def _goes_on(self, ids: Any, cached: int, total: int) -> bool:
        """Whether a pass adds tokens to the sequences of the pass before it."""
        if cached:
            return cached == self._total
        if total != self._total + 1 or self._prompt is None or not isinstance(ids, Tensor):
            return False
        ahead = ids[:, : self._prompts]
        return ahead.shape == self._prompt.shape and bool((ahead == self._prompt).all())

    def _chosen(self, shown: Bool[Tensor, "p s"]) -> Bool[Tensor, "p s"]:
        """The chosen tokens among all of the sequences, those of the prompt that are not shown left out."""
        places = torch.arange(shown.shape[1], device=shown.device)
        new = (places >= self._prompts) & shown
        prompt = shown & (places < self._prompts)
        number = prompt.cumsum(1) - 1  # of each token of the prompt, from 0
        count = prompt.sum(1, keepdim=True)
        if self.where == "generated":
            return new
        if self.where == "first":
            return prompt & (number == 0)
        if self.where == "last":
            return (prompt & (number == count - 1)) | new
        chosen = torch.zeros_like(shown)
        for wanted in self.where:
            at = torch.full_like(count, int(wanted)) if int(wanted) >= 0 else count + int(wanted)
            chosen |= prompt & (number == at)
        return chosen
