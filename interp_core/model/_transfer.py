"""Copies between the CPU and the device of a model: one each way for a batch, on CUDA pinned and asynchronous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device. From the host to CUDA it is copied from pinned memory, which the host does not wait for."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)  # the allocator keeps the pinned copy until it is read


def all_to_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Tensors of one type on a device, by one copy if they are on the host and it is an accelerator."""
    one_type = len({(t.dtype, t.device.type) for t in tensors.values()}) == 1
    if device.type == "cpu" or not one_type or next(iter(tensors.values())).device.type != "cpu":
        return {name: to_device(tensor, device) for name, tensor in tensors.items()}
    together = to_device(torch.cat([tensor.flatten() for tensor in tensors.values()]), device)
    return dict(zip(tensors, _apart(together, list(tensors.values())), strict=True))


class HostCopy:
    """Tensors on their way from their device to the host, by one copy that is waited for when they are read.

    Args:
        tensors: any number of them, on one device.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._like = tensors
        self._done: torch.cuda.Event | None = None
        together = torch.cat([tensor.detach().flatten() for tensor in tensors])  # in the wider of their types
        if together.device.type != "cuda":
            self._together = together.cpu()
            return
        self._together = torch.empty(together.shape, dtype=together.dtype, pin_memory=True)
        self._together.copy_(together, non_blocking=True)
        self._done = torch.cuda.Event()
        self._done.record(torch.cuda.current_stream(together.device))

    def read(self) -> list[Tensor]:
        """The tensors, on the host, in their own types."""
        together = self._together
        if self._done is not None:
            self._done.synchronize()
            together = together.clone()  # pinned memory is scarce, and results are kept
        return [one.to(like.dtype) for one, like in zip(_apart(together, self._like), self._like, strict=True)]


def _apart(together: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """What was concatenated, in its shapes."""
    parts = together.split([tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]
