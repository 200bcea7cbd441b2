"""The positions of the tokens in a longer output: prompt tuning adds virtual tokens, and some models pad."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model._hooks import at_rest, module_at
from interp_core.model._module_state import undisturbed
from torch import Tensor

CLEARLY = 1.5  # times the change of the other position


def own_positions(model: Any, values: Tensor, length: int, what: str, dim: int = 1) -> Tensor:
    """The part of an output that belongs to the tokens of the rows.

    Args:
        model: the wrapped model.
        values: an output with positions along `dim`.
        length: the number of tokens of each row, padding included.
        what: what the output is, for the error message.
        dim: the dimension of the positions.

    Raises:
        LayerError: there are fewer positions than tokens, or more and a trial cannot tell which are whose.
    """
    given = values.shape[dim]
    if given == length:
        return values
    if given < length:
        raise LayerError(f"{what} has {given} positions for {length} tokens, not one for each; choose another layer.")
    return values.narrow(dim, given - length if come_first(model) else 0, length)


def come_first(model: Any) -> bool:
    """Whether the positions that a model adds come before those of the tokens; tried once."""
    if "added positions" not in model.tried:
        model.tried["added positions"] = _try_added(model)
    return bool(model.tried["added positions"])


@undisturbed
def _try_added(model: Any) -> bool:
    """Changing a token changes its own position in the lowest block, and others less: is that the one of its number, or
    the one behind as many as are added? Attention may change one other position more, so that several tokens are tried.
    """
    ids = model.some_ids()
    for count in range(ids.shape[1], 1, -1):
        whole = ids[:, :count]
        states = _lowest_states(model, whole)
        added = states.shape[1] - count
        if added <= 0:
            continue
        behind = before = 0.0
        for place in sorted({count // 4, count // 2, 3 * count // 4}):
            other = whole.clone()
            other[0, place] = (other[0, place] + 1) % model.embeddings.count
            changed = (states - _lowest_states(model, other))[0].abs().mean(-1)
            behind, before = behind + float(changed[place]), before + float(changed[place + added])
        if CLEARLY * min(behind, before) < max(behind, before):
            return before > behind
        raise LayerError(f"{model.name} adds {added} positions to a text, and where could not be found out.")
    raise LayerError(f"{model.name} adds positions to some texts only, and where could not be found out.")


def _lowest_states(model: Any, ids: Tensor) -> Tensor:
    """The states of the lowest module, of the embeddings and the first block, that has more of them than tokens."""
    found: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: object) -> None:
        states = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(states, Tensor) and states.ndim == 3:
            found.append(states.detach().float().cpu())

    with ExitStack() as stack:
        for path in (model.embeddings.paths[0], model.blocks[0]):
            stack.callback(module_at(model.model, path).register_forward_hook(keep).remove)
        with model.lock, torch.inference_mode(False), torch.no_grad(), at_rest(model.model):
            model.forward(ids, torch.ones_like(ids))
    if not found:
        raise LayerError(f"the lowest block of {model.name} did not run.")
    return next((states for states in found if states.shape[1] > ids.shape[1]), found[-1])
