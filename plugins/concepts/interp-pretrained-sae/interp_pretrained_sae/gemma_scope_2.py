"""Autoencoders of Gemma Scope 2, the JumpReLU autoencoders of Gemma 3."""

from __future__ import annotations

import re
from typing import Any

from interp_core.errors import InputError
from torch import Tensor

from interp_pretrained_sae.space import PretrainedSpace, Reading
from interp_pretrained_sae.weights import checked, size_of

REPOSITORY = re.compile(r"gemma-scope-2-(\w+-(?:pt|it))")
ELSEWHERE = re.compile(r"transcoder|crosscoder|clt")


def read(weights: dict[str, Tensor], config: dict[str, Any], place: str) -> PretrainedSpace:
    """The space of `params.safetensors`.

    Args:
        weights: by name.
        config: of `config.json`, which says of what layer of what model it is; empty where there is none.
        place: hub id and folder, which say so too.

    Raises:
        InputError: a transcoder or crosscoder, another architecture, or tensors that do not fit.

    Source:
        The layout is that of the repositories `google/gemma-scope-2-*`, as SAELens 6.54 reads it; equations as in
        Lieberum et al. 2024, arXiv:2408.05147: nothing is taken off before reading, and weights are in the units of the
        model's activations.
    """
    reads, writes = config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    named = ELSEWHERE.search(place)
    across = bool(writes) and writes != reads
    if named or across or "affine_skip_connection" in weights or any(w.ndim > 2 for w in weights.values()):
        raise InputError(
            f"{place!r} is a {named[0] if named else 'transcoder or crosscoder'} of Gemma Scope 2, which writes "
            "elsewhere than it reads; autoencoders are supported: those in resid_post, attn_out and mlp_out."
        )
    architecture = config.get("architecture", "jump_relu")
    if architecture != "jump_relu":
        raise InputError(f"the architecture {architecture!r} of Gemma Scope 2 is not supported; jump_relu is.")
    width, latents = size_of(weights, ["w_enc"], "an autoencoder of Gemma Scope 2")
    shapes = {"w_enc": (width, latents), "w_dec": (latents, width)}
    vectors = {"b_enc": (latents,), "b_dec": (width,), "threshold": (latents,)}
    w = checked(weights, {**shapes, **vectors}, "autoencoder of Gemma Scope 2")
    reading = Reading(centred=False)
    space = PretrainedSpace(w["w_dec"], w["w_enc"].T, w["b_enc"], w["b_dec"], w["threshold"], reading=reading)
    repository, layer = REPOSITORY.search(place), re.search(r"layer_\d+", place)
    space.layer = str(reads or (layer[0].replace("_", " ") if layer else ""))
    model = str(config.get("model_name") or (f"gemma-3-{repository[1]}" if repository else "a Gemma 3"))
    where = repr(space.layer) if space.layer else "a layer that nothing names"
    space.notes = (f"An autoencoder of Gemma Scope 2, trained on {model.replace('gemma-v3', 'gemma-3')} at {where}.",)
    return space
