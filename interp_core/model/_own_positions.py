"""Which positions of a longer output are those of the tokens: prompt tuning adds virtual tokens, some models pad."""

from __future__ import annotations

import torch
from interp_core.errors import LayerError
from interp_core.model._hooks import at_rest, module_at
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor


def own_positions(model: WrappedModel, values: Tensor, length: int, what: str, dim: int = 1) -> Tensor:
    """The part of an output that belongs to the tokens of the rows.

    Args:
        model: the model.
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
    return values.narrow(dim, given - length if _come_first(model) else 0, length)


def _come_first(model: WrappedModel) -> bool:
    """Whether the positions that a model adds come before those of the tokens; tried once."""
    if "added positions" not in model.tried:
        model.tried["added positions"] = _try_added(model)
    return bool(model.tried["added positions"])


def _try_added(model: WrappedModel) -> bool:
    """Changing one token changes its own position in the lowest block the most: how far is that from its number?"""
    ids = model.some_ids()
    for count in range(ids.shape[1], 1, -1):
        whole, other = ids[:, :count], ids[:, :count].clone()
        place = count // 2
        other[0, place] = (other[0, place] + 1) % model.embeddings.count
        one, two = (_lowest_states(model, each) for each in (whole, other))
        added = one.shape[1] - count
        if added > 0 and one.shape == two.shape:
            moved = int((one - two)[0].abs().mean(-1).argmax()) - place
            if moved in (0, added):
                return moved == added
            raise LayerError(f"{model.name} adds {added} positions to a text, and where could not be found out.")
    raise LayerError(f"{model.name} adds positions to some texts only, and where could not be found out.")


def _lowest_states(model: WrappedModel, ids: Tensor) -> Tensor:
    found: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: object) -> None:
        states = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(states, Tensor) and not found:
            found.append(states.detach().float().cpu())

    hook = module_at(model.model, model.blocks[0]).register_forward_hook(keep)
    try:
        with model.lock, torch.inference_mode(False), torch.no_grad(), at_rest(model.model):
            model.forward(ids, torch.ones_like(ids))
    finally:
        hook.remove()
    if not found:
        raise LayerError(f"the lowest block of {model.name} did not run.")
    return found[0]
