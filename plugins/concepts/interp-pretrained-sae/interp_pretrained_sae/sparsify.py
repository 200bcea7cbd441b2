"""Autoencoders of EleutherAI's sparsify, which was called sae before."""

from __future__ import annotations

from typing import Any

from interp_core.errors import InputError
from torch import Tensor

from interp_pretrained_sae.space import PretrainedSpace, Reading
from interp_pretrained_sae.weights import checked, size_of

ACTIVATIONS = ("topk", "groupmax")
REFUSED = {  # settings under which it is more than codes and directions of one place
    "signed": "one of the first release that keeps codes below 0",
    "transcode": "a transcoder, which reads one place and writes another",
    "skip_connection": "an autoencoder or transcoder with a linear path beside its latents",
    "embed_skip": "trained on top of an affine map of the embeddings",
    "gram_lookup": "trained on what a table of n-grams leaves over",
}


def read(weights: dict[str, Tensor], config: dict[str, Any], folder: str) -> PretrainedSpace:
    """The space of `sae.safetensors` and `cfg.json`.

    Args:
        weights: by name.
        config: as the library wrote it.
        folder: its name, which is that of the module whose output it reads.

    Raises:
        InputError: not an autoencoder of one place, a setting that is not supported, or tensors that do not fit.

    Source:
        EleutherAI/sparsify, `sparse_coder.py` and `fused_encoder.py` of 2025: the offset is taken off, and of what is
        read above 0 the k largest are kept, or the largest of each of k groups.
    """
    for setting, why in REFUSED.items():
        if config.get(setting) or (setting == "skip_connection" and "W_skip" in weights):
            raise InputError(
                f"this sparse coder of sparsify is {why} ({setting}); only plain autoencoders can be read."
            )
    activation = config.get("activation", "topk")
    if activation not in ACTIVATIONS:
        raise InputError(
            f"activation {activation!r} of sparsify is not supported; those are: {', '.join(ACTIVATIONS)}."
        )
    latents, width = size_of(weights, ["encoder.weight"], "an autoencoder of sparsify")
    told = config.get("num_latents") or config.get("d_in", width) * config.get("expansion_factor", latents / width)
    if (config.get("d_in", width), told) != (width, latents):
        raise InputError(
            f"cfg.json says {told:.0f} latents of rows of width {config.get('d_in')}; "
            f"encoder.weight is ({latents}, {width})."
        )
    k = config.get("k")
    if not isinstance(k, int) or not 1 <= k <= latents or (activation == "groupmax" and latents % k):
        raise InputError(
            f"k is {k!r} in cfg.json; {activation} of {latents} latents needs a count of 1 to {latents}"
            f"{' that divides it' if activation == 'groupmax' else ''}."
        )
    shapes = {"encoder.weight": (latents, width), "W_dec": (latents, width)}
    w = checked(weights, {**shapes, "encoder.bias": (latents,), "b_dec": (width,)}, "plain autoencoder of sparsify")
    reading = Reading(k=k, grouped=activation == "groupmax")
    space = PretrainedSpace(w["W_dec"], w["encoder.weight"], w["encoder.bias"], w["b_dec"], reading=reading)
    space.layer = folder
    space.notes = (
        f"An autoencoder of sparsify ({activation}), trained at {folder or 'a place that its folder does not name'!r}.",
    )
    return space
