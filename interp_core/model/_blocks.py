"""Detection of the blocks of a transformer, by the number of layers in its configuration or else in a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

from interp_core.errors import LayerError
from interp_core.model._hooks import stacks_of
from torch import nn


def blocks_of(model: nn.Module, run: Callable[[], Any]) -> tuple[str, ...]:
    """The paths of a transformer's blocks, first to last; of a model with two stacks, those of the encoder.

    The number of blocks is that of layers in the configuration of the text model. Where one list holds as many modules
    of one class, and the model has no other parts than text, these are the blocks. Else a pass shows which lists of
    modules run that often, mixed classes and modules that run several times included; the path of the latter ends in
    the number of the call. Where a block is made of members of several lists side by side, the last to run stands for
    it.

    Args:
        model: the model.
        run: calls the model once.

    Raises:
        LayerError: there are none.
    """
    depth, simple = _depth(model)
    lists = dict(_lists(model))
    if simple:
        for name, paths in lists.items():
            alike = len({type(model.get_submodule(path)) for path in paths}) == 1
            beside = [
                one for one in lists if one != name and _parent(one) == _parent(name) and len(lists[one]) == depth
            ]
            if len(paths) == depth and alike and not beside:
                return paths
    calls = [one for one in _calls(model, lists, run) if depth and len(one.order) == depth]
    first = next(iter(calls), None)
    beside_first = [one for one in calls if first and _parent(one.name) == _parent(first.name)]
    found = max(beside_first, key=lambda one: one.last).order if beside_first else None
    if found is None:
        raise LayerError(f"the blocks of {type(model).__name__} were not found; name the layer by its module path.")
    if len(set(found)) == len(found):
        return tuple(found)
    return tuple(f"{path}@{found[:i].count(path)}" if found.count(path) > 1 else path for i, path in enumerate(found))


def _depth(model: Any) -> tuple[int | None, bool]:
    """The number of layers of the text model, or of its encoder, and whether the configuration has no parts."""
    owner = next((module for module in model.modules() if getattr(module, "config", None) is not None), model)
    config = getattr(owner, "config", None)  # a wrapper may have none, and the model in it one
    own = getattr(config, "num_hidden_layers", None)
    part_of = getattr(config, "get_text_config", None)
    if part_of is None:
        return own, True
    two_stacks = len(stacks_of(owner)) > 1
    part = part_of(encoder=True) if two_stacks else part_of(decoder=True)
    depths = (getattr(one, "num_hidden_layers", None) for one in (part, getattr(config, "encoder", None)))
    return next((depth for depth in depths if depth), own), part is config or not getattr(config, "sub_configs", None)


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _lists(model: nn.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each list of modules, outer ones first, with the paths of its members; lists in a list are joined."""
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module):
            yield name, tuple(_members(name, module))


def _members(name: str, module: nn.ModuleList) -> Iterator[str]:
    for i, member in enumerate(module):
        path = f"{name}.{i}"
        if isinstance(member, nn.ModuleList):
            yield from _members(path, member)
        else:
            yield path


@dataclass
class _Calls:
    """The members of a list in the order in which they are called in a pass, and when the last call was."""

    name: str
    order: list[str]
    last: int = -1


def _calls(model: nn.Module, lists: dict[str, tuple[str, ...]], run: Callable[[], Any]) -> list[_Calls]:
    calls, clock = [_Calls(name, []) for name in lists], count()

    def note(which: _Calls, path: str) -> None:
        which.order.append(path)
        which.last = next(clock)

    with ExitStack() as stack:
        for one in calls:
            for path in lists[one.name]:
                hook = model.get_submodule(path).register_forward_hook(
                    lambda _m, _i, _o, one=one, path=path: note(one, path)
                )
                stack.callback(hook.remove)
        run()
    return calls
