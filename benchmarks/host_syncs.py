"""Counts how often the host waits for the device: by the driver's own word on CUDA, by following tensors elsewhere."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

TO_HOST = {"cpu", "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "__array__"}
BY_VALUES = {"equal", "allclose", "nonzero", "masked_select", "unique", "bincount", "is_nonzero", "argwhere"}
WAITS = TO_HOST | BY_VALUES  # the second kind waits since a shape, or a Python number, depends on values


class HostSyncs(TorchFunctionMode):
    """Follows what is computed from the weights of a model, as if they lay on a device, and counts what waits for it.

    It is for the CPU, where nothing waits. What is on the device are weights and buffers, what is copied to the device
    of the model, and all that is computed from these; what has been copied to the host is no longer.

    Args:
        model: the model, whose own waiting is counted apart.

    Attributes:
        counts: how often the host waited, by the operation, outside of the model.
        inside: the same within calls of the model.
        batches: how often the model was called.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.counts, self.inside, self.batches = Counter[str](), Counter[str](), 0
        self._model, self._depth = model, 0
        self._there: Any = WeakIdKeyDictionary()
        for tensor in (*model.parameters(), *model.buffers()):
            self._there[tensor] = True

    def __enter__(self) -> HostSyncs:
        forward = self._model.forward

        def called(*args: Any, **kwargs: Any) -> Any:
            self.batches, self._depth = self.batches + 1, self._depth + 1
            try:
                return forward(*args, **kwargs)
            finally:
                self._depth -= 1

        vars(self._model)["forward"] = called
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        del vars(self._model)["forward"]

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(function, "__name__", ""), kwargs or {}
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        there = any(one in self._there for one in given)
        by_mask = name == "__getitem__" and any(one.dtype == torch.bool for one in given[1:])
        if there and (name in WAITS or by_mask):
            (self.inside if self._depth else self.counts)[name] += 1
        result = function(*args, **kwargs)
        moved = name == "to" and any(isinstance(one, torch.device | str) for one in tree_leaves((args[1:], kwargs)))
        if name == "cpu":
            return result.view_as(result)  # the same numbers, on the host now
        if moved and any(result is one for one in given) and not there:
            result = result.view_as(result)
        for one in tree_leaves(result) if there or moved else ():
            if isinstance(one, Tensor):
                self._there[one] = True
        return result


@contextmanager
def waits_on_cuda() -> Iterator[Counter[str]]:
    """Counts what PyTorch calls a synchronizing operation; waiting for an event, once a batch, is none of them."""
    counts, before = Counter[str](), torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield counts
        finally:
            torch.cuda.set_sync_debug_mode(before)
            for one in caught:
                if "synchronizing" in str(one.message):
                    counts[f"{one.filename.rpartition('/')[2]}:{one.lineno}"] += 1
