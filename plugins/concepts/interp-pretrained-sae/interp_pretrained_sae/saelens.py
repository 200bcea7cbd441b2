"""Autoencoders of SAELens, from version 1 to 6."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.errors import InputError
from torch import Tensor

from interp_pretrained_sae.space import PretrainedSpace, Reading, Scaling
from interp_pretrained_sae.weights import by_length, checked, of_gate, size_of

TENSORS = {  # beside W_enc, W_dec and b_dec
    "standard": ("b_enc",),
    "topk": ("b_enc",),
    "abstopk": ("b_enc",),
    "jumprelu": ("b_enc", "threshold"),
    "gated": ("b_gate", "b_mag", "r_mag"),
    "batchtopk": ("b_enc", "topk_threshold"),  # while it is trained; it is saved for use as a jumprelu
    "matryoshka_batchtopk": ("b_enc", "topk_threshold"),
}
AVERAGE = "expected_average_only_in"
SCALINGS: dict[str, Scaling] = {
    "none": "none",
    AVERAGE: "none",
    "constant_norm_rescale": "constant-norm",
    "layer_norm": "layer-norm",
}


def read(weights: dict[str, Tensor], config: dict[str, Any], scale: float | None) -> PretrainedSpace:
    """The space of `sae_weights.safetensors` and `cfg.json`.

    Args:
        weights: by name.
        config: as any version of SAELens wrote it.
        scale: what activations are multiplied by, for those whose file asks for it and does not hold it.

    Raises:
        InputError: an architecture or setting that is not supported, tensors that do not fit, or a `scale` that is
            missing or one too many.

    Source:
        SAELens 6.54, `sae_lens/saes/*.py` (`encode`, `decode`, `fold_activation_norm_scaling_factor`) and
        `handle_pre_6_0_config` for the older layouts.
    """
    architecture, k = _architecture(config)
    normalised = _normalised(config, scale)
    w = _checked(weights, config, architecture)
    encoder, dictionary, offset = w["W_enc"].T, w["W_dec"], w["b_dec"]
    if architecture == "gated":
        encoder, bias, threshold = of_gate(encoder, w["r_mag"], w["b_mag"], w["b_gate"])
    else:
        bias, threshold = w["b_enc"], w.get("threshold", w.get("topk_threshold", w["b_enc"].new_zeros(())))
    rescaled = bool(config.get("rescale_acts_by_decoder_norm")) and architecture.endswith("topk")
    if scale is not None:
        encoder, dictionary, offset = encoder * scale, dictionary / scale, offset / scale
        threshold = threshold / scale if rescaled else threshold  # in units of codes, which are the decoder's
    if rescaled:
        encoder, bias, dictionary = by_length(encoder, bias, dictionary)
    reading = Reading(
        k=k,
        signed=architecture == "abstopk",
        centred=bool(config.get("apply_b_dec_to_input", True)),
        scaling=SCALINGS[normalised],
    )
    space = PretrainedSpace(dictionary, encoder, bias, offset, threshold.expand(len(encoder)), reading=reading)
    space.layer, space.notes = _origin(config, architecture)
    return space


def _architecture(config: dict[str, Any]) -> tuple[str, int]:
    """The architecture by its present name, and how many codes of a row it keeps."""
    name = config.get("architecture", "standard")
    activation = config.get("activation_fn", config.get("activation_fn_str", "relu"))
    options = dict(config.get("activation_fn_kwargs") or {})
    k = options.pop("k", config.get("k", 0)) if activation == "topk" else config.get("k", 0)
    if activation == "topk" and name == "standard":
        name = "topk"
    if name not in TENSORS:
        raise InputError(f"the architecture {name!r} of SAELens is not supported; those are: {', '.join(TENSORS)}.")
    if activation not in ("relu", "topk") or (activation == "topk" and (options or name != "topk")):
        raise InputError(
            f"activation_fn {activation!r} with {options} of a {name!r} autoencoder is not supported; "
            "relu is, and topk with k."
        )
    if config.get("reshape_activations", "none") not in ("none", "hook_z"):
        raise InputError(
            f"reshape_activations {config['reshape_activations']!r} is not supported; none and hook_z are."
        )
    if name not in ("topk", "abstopk"):
        return name, 0
    if not isinstance(k, int) or not 1 <= k <= config.get("d_sae", k):
        raise InputError(
            f"k is {k!r}; a {name!r} autoencoder of {config.get('d_sae')} latents keeps 1 or more of them."
        )
    return name, k


def _normalised(config: dict[str, Any], scale: float | None) -> str:
    """How activations are normalised, by its present name."""
    said = config.get("normalize_activations") or "none"
    said = AVERAGE if said is True else said
    if said not in SCALINGS:
        raise InputError(
            f"normalize_activations {said!r} of SAELens is not supported; those are: {', '.join(SCALINGS)}."
        )
    if (said == AVERAGE) != (scale is not None):
        raise InputError(
            f"normalize_activations is {said!r}: activations are multiplied by a factor that is not in the file. Say "
            "scale=…, which is √width / the mean length of the activations that it was trained on."
            if scale is None
            else f"scale={scale} was given, and normalize_activations is {said!r}; leave it out."
        )
    return str(said)


def _checked(weights: dict[str, Tensor], config: dict[str, Any], architecture: str) -> dict[str, Tensor]:
    factor = weights.get("scaling_factor")
    if factor is not None and torch.allclose(factor, torch.ones_like(factor)):  # written for a time, and of no effect
        weights = {name: weight for name, weight in weights.items() if name != "scaling_factor"}
    width, latents = size_of(weights, ["W_enc"], f"a {architecture!r} autoencoder of SAELens")
    for name, size in (("d_in", width), ("d_sae", latents)):
        if config.get(name, size) != size:
            raise InputError(f"cfg.json says {name} {config[name]}, and W_enc is ({width}, {latents}).")
    shapes: dict[str, tuple[int, ...]] = {"W_enc": (width, latents), "W_dec": (latents, width), "b_dec": (width,)}
    shapes |= {name: () if name == "topk_threshold" else (latents,) for name in TENSORS[architecture]}
    return checked(weights, shapes, f"{architecture!r} autoencoder of SAELens")


def _origin(config: dict[str, Any], architecture: str) -> tuple[str, tuple[str, ...]]:
    """Where it was trained, and what to know of that."""
    told = {**config, **(config.get("metadata") or {})}
    hook, model = told.get("hook_name", told.get("hook_point")) or "", told.get("model_name") or "an unknown model"
    head = told.get("hook_head_index", told.get("hook_point_head_index"))
    place = f"{hook or 'an unknown hook'!r}" + ("" if head is None else f", head {head}")
    notes = [f"An autoencoder of SAELens ({architecture}), trained on {model} at {place}."]
    if hook.startswith("blocks.") and (told.get("model_from_pretrained_kwargs") or {}).get(
        "center_writing_weights", True
    ):
        notes.append(
            "TransformerLens, which it was trained with, may have centred what layers write; see whether it "
            "reconstructs the activations of this model."
        )
    return hook, tuple(notes)
