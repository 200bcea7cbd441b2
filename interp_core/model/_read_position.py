"""Detection of the position that a classifier reads, by trying."""

from __future__ import annotations

from contextvars import Context

from interp_core.errors import LayerError, ModelError
from interp_core.model._heads import CLASSIFIERS
from interp_core.model._injection import BypassInjection
from interp_core.model._layer_capabilities import LayerCapabilities
from interp_core.model._rounding import agree, rounding
from interp_core.model._wrapped_model import WrappedModel


def read_position(model: WrappedModel) -> int:
    """The only position of the last block that a classifier reads: 0, or negative, from the end. Tried once.

    Raises:
        LayerError: the classifier reads several positions, or none.
    """
    if "read position" not in model.tried:
        layer = LayerCapabilities(model, model.blocks[-1])
        model.tried["read position"] = Context().run(_read_position, layer)
    return int(model.tried["read position"])


def head_reads_one_row(layer: LayerCapabilities) -> bool:
    """Whether the logits depend on a layer at one position alone, so that `cls` rows determine them."""
    if not isinstance(layer.injection, BypassInjection) or layer.model.head not in CLASSIFIERS:
        return False
    ids, states = layer.random_states()
    try:
        at = read_position(layer.model) % ids.shape[1]
    except LayerError:
        return False
    whole = layer.logits_from(ids, states)
    alone = layer.logits_from(ids[:, at : at + 1], states[:, at : at + 1])
    return agree(whole, alone, rounding(layer.model.model))


def _read_position(layer: LayerCapabilities) -> int:
    """The only position at which the states of a layer change the logits."""
    ids, states = layer.random_states()
    plain, share = layer.logits_from(ids, states), rounding(layer.model.model, 1)
    if not bool(plain.isfinite().all()):
        raise ModelError(f"{layer.model.name} gives NaN or infinity.{layer.model.non_finite()}")
    moved = []
    for i in range(ids.shape[1]):
        other = states.clone()
        other[:, i] += 1 + states[:, i].flip(-1)
        moved += [] if agree(layer.logits_from(ids, other), plain, share) else [i]
    if len(moved) != 1:
        raise LayerError(
            f"the head of {layer.model.name} reads {len(moved)} of {ids.shape[1]} positions, not one; "
            "use granularity 'sample', 'word' or 'token'."
        )
    return moved[0] if moved[0] == 0 else moved[0] - ids.shape[1]
