"""Autoencoders of Gemma Scope, the JumpReLU autoencoders of all layers of Gemma 2."""

from __future__ import annotations

import re

from interp_core.errors import InputError
from torch import Tensor

from interp_pretrained_sae.space import PretrainedSpace, Reading
from interp_pretrained_sae.weights import checked, size_of

REPOSITORY = re.compile(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att)")
REFUSED = re.compile(r"gemma-scope-[^/]*(transcoder)|(?<=/)(embedding)(?:/|$)")
READ = {"res": "the residual stream after", "mlp": "what the MLP gives in", "att": "what the heads give in"}


def read(weights: dict[str, Tensor], place: str) -> PretrainedSpace:
    """The space of `params.npz`.

    Args:
        weights: by name.
        place: hub id and folder, which say of what layer of what model it is.

    Raises:
        InputError: a transcoder, an autoencoder of embeddings, or tensors that do not fit.

    Source:
        Lieberum et al. 2024, arXiv:2408.05147, equations 1 to 3, and its tutorial: nothing is taken off before reading,
        and the weights are in the units of the model's activations.
    """
    refused = REFUSED.search(place)
    if refused:
        raise InputError(
            f"{place!r} is one of the {refused[1] or refused[2]}s of Gemma Scope, which are not supported."
        )
    width, latents = size_of(weights, ["W_enc"], "an autoencoder of Gemma Scope")
    shapes = {"W_enc": (width, latents), "W_dec": (latents, width)}
    vectors = {"b_enc": (latents,), "b_dec": (width,), "threshold": (latents,)}
    w = checked(weights, {**shapes, **vectors}, "autoencoder of Gemma Scope")
    reading = Reading(centred=False)
    space = PretrainedSpace(w["W_dec"], w["W_enc"].T, w["b_enc"], w["b_dec"], w["threshold"], reading=reading)
    known, layer = REPOSITORY.search(place), re.search(r"layer_\d+", place)
    model = f"gemma-2-{known[1]}{'-it' * (known[2] == 'it')}" if known else "a Gemma 2"
    space.layer = layer[0].replace("_", " ") if layer else ""
    what = READ[known[3]] if known else "something in"
    where = space.layer or "a layer that its path does not name"
    space.notes = (f"An autoencoder of Gemma Scope, trained on {model}: {what} {where}.",)
    return space
