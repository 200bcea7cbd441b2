"""Logits at the positions that are read only, which saves most of the memory of the vocabulary head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from interp_core.errors import UnsupportedError
from interp_core.model._module_state import calling_here
from interp_core.model._own_positions import own_positions
from interp_core.model._transfer import to_device
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor


@dataclass(eq=False)
class Gathering:
    """Picks the positions that are read: before the vocabulary head, or behind it where the model does not call it.

    Attributes:
        model: the model.
        index: the positions (p, m).
        length: the number of tokens of each row, padding included.
        picked: whether the head was given these positions alone.
    """

    model: WrappedModel
    index: Tensor
    length: int
    picked: bool = False

    @contextmanager
    def open(self) -> Iterator[Gathering]:
        """A context in which the vocabulary head is passed these positions alone.

        Raises:
            UnsupportedError: the model does not name its vocabulary head.
        """
        head: Any = self.model.model.get_output_embeddings()
        if head is None:
            raise UnsupportedError(
                "this model does not name its vocabulary head: get_output_embeddings() returned None."
            )
        meant = calling_here()
        hook = head.register_forward_pre_hook(lambda m, inputs: self._before(m, inputs) if meant() else None)
        try:
            yield self
        finally:
            hook.remove()

    def _before(self, _module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        states = inputs[0] if inputs else None
        if not isinstance(states, Tensor) or states.ndim != 3 or len(states) != len(self.index):
            return None
        if states.shape[1] < self.length:
            return None
        self.picked = True
        return (self.pick(own_positions(self.model, states, self.length, "the head")), *inputs[1:])

    def pick(self, values: Tensor) -> Tensor:
        """Of values (p, t, …) at each token those at the positions."""
        index = to_device(self.index, values.device)
        return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[-1]))
