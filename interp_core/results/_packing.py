"""Packing of many values into one file: tensors of one name are concatenated, common values are stored once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any, overload

import torch
from torch import Tensor

State = tuple[dict[str, Tensor], dict[str, Any]]  # the tensors and the JSON values of something, by name


def packed(states: Sequence[State]) -> State:
    """Pack several states into one.

    Args:
        states: the tensors and JSON values of each value; names and shapes may differ.

    Returns:
        One state, which `Packed` unpacks. Tensors of the same name and data type are flattened and concatenated.

    Examples:
        >>> from interp_core.results import Packed, packed
        >>> one, other = {"scores": torch.ones(1, 2)}, {"scores": torch.zeros(2, 3)}
        >>> tensors, data = packed([(one, {"text": "so sad", "rows": 7}), (other, {"text": "so", "rows": 7})])
        >>> tensors["scores|float32"].shape, data["shared"]
        (torch.Size([8]), {'rows': 7})
        >>> Packed(tensors, data)[1]
        ({'scores': tensor([[0., 0., 0.],
                [0., 0., 0.]])}, {'rows': 7, 'text': 'so'})
    """
    keys = [{f"{n}|{str(t.dtype).removeprefix('torch.')}": t for n, t in tensors.items()} for tensors, _ in states]
    names = sorted({key for own in keys for key in own})
    tensors = {key: torch.cat([own[key].detach().cpu().flatten() for own in keys if key in own]) for key in names}
    shapes = {key: [list(own[key].shape) if key in own else None for own in keys] for key in names}
    first = states[0][1] if states else {}
    shared = {k: v for k, v in first.items() if all(k in data and data[k] == v for _, data in states)}
    own = [{k: v for k, v in data.items() if k not in shared} for _, data in states]
    return tensors, {"count": len(states), "shapes": shapes, "shared": shared, "own": own}


class Packed(Sequence[State]):
    """The states in a packed state, each unpacked on access.

    Args:
        tensors: the tensors of the packed state.
        data: the JSON values of the packed state.

    Examples:
        >>> from interp_core.results import Packed, packed
        >>> len(Packed(*packed([({"a": torch.ones(2)}, {}), ({}, {"b": 1})])))
        2
    """

    def __init__(self, tensors: dict[str, Tensor], data: dict[str, Any]) -> None:
        self.tensors, self.data = tensors, data
        self._stops = {
            key: list(accumulate((0 if shape is None else prod(shape) for shape in shapes), initial=0))
            for key, shapes in data["shapes"].items()
        }

    def __len__(self) -> int:
        return int(self.data["count"])

    @overload
    def __getitem__(self, at: int) -> State: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[State]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        i = range(len(self))[at]
        tensors = {
            key.rpartition("|")[0]: self.tensors[key][stops[i] : stops[i + 1]].reshape(self.data["shapes"][key][i])
            for key, stops in self._stops.items()
            if self.data["shapes"][key][i] is not None
        }
        return tensors, {**self.data["shared"], **self.data["own"][i]}

    def flat(self, name: str, dtype: str = "float32") -> list[list[Any] | None]:
        """Read the numbers of one tensor of each state.

        Args:
            name: the name of the tensor.
            dtype: the data type of the tensor, without `torch.`.

        Returns:
            For each state the numbers in row-major order; None for a state that lacks the tensor.
        """
        key = f"{name}|{dtype}"
        if key not in self._stops:
            return [None] * len(self)
        values, stops, shapes = self.tensors[key].tolist(), self._stops[key], self.data["shapes"][key]
        return [None if shapes[i] is None else values[stops[i] : stops[i + 1]] for i in range(len(self))]
