"""Dictionaries of dictionary_learning, the library of Marks, Karvonen and Mueller."""

from __future__ import annotations

from typing import Any

from interp_core.errors import InputError
from torch import Tensor

from interp_pretrained_sae.space import PretrainedSpace, Reading
from interp_pretrained_sae.weights import by_length, checked, of_gate, size_of

LINEAR = {"encoder.weight": "ld", "encoder.bias": "l", "decoder.weight": "dl"}
PLAIN = {"W_enc": "dl", "b_enc": "l", "W_dec": "ld", "b_dec": "d"}
TENSORS = {  # with their dimensions
    "AutoEncoder": {**LINEAR, "bias": "d"},
    "AutoEncoderNew": {**LINEAR, "decoder.bias": "d"},
    "GatedAutoEncoder": {
        **dict.fromkeys(("r_mag", "gate_bias", "mag_bias"), "l"),
        "encoder.weight": "ld",
        "decoder.weight": "dl",
        "decoder_bias": "d",
    },
    "JumpReluAutoEncoder": {**PLAIN, "threshold": "l"},
    "AutoEncoderTopK": {**LINEAR, "b_dec": "d"},
    "BatchTopKSAE": {**LINEAR, "b_dec": "d", "threshold": ""},
    "MatryoshkaBatchTopKSAE": {**PLAIN, "threshold": ""},
}
UNCENTRED = ("AutoEncoderNew", "JumpReluAutoEncoder")
NO_WEIGHTS = {  # of no effect on a trained dictionary; whether a file has them depends on its age
    "AutoEncoderTopK": ("k", "threshold"),
    "BatchTopKSAE": ("k",),
    "MatryoshkaBatchTopKSAE": ("k", "group_sizes"),
}


def read(weights: dict[str, Tensor], config: dict[str, Any]) -> PretrainedSpace:
    """The space of `ae.safetensors` and `config.json`.

    Args:
        weights: the state of the dictionary, by the names of the library.
        config: whose `trainer` says the class.

    Raises:
        InputError: a class that is not supported, or tensors that do not fit it.

    Source:
        dictionary_learning 0.1.0, `load_dictionary`, `encode` and `decode` with their defaults; as there, the
        directions of an `AutoEncoder` are brought to length 1, and batch top-k keeps what is above the learnt
        threshold.
    """
    trainer = config.get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    name = trainer.get("dict_class")
    if name not in TENSORS:
        raise InputError(
            f"trainer.dict_class in config.json is {name!r}, which is not supported; those are: {', '.join(TENSORS)}."
        )
    k = _k(weights, trainer) if name == "AutoEncoderTopK" else 0
    space = _space(name, _checked(weights, name), k)
    learnt = "threshold" not in weights or k or float(weights["threshold"].max()) >= 0
    place = trainer.get("submodule_name") or ""
    space.layer = place if trainer.get("layer") is None else f"layer {trainer['layer']} {place}".strip()
    space.notes = (
        f"A dictionary of dictionary_learning ({name}), trained on {trainer.get('lm_name') or 'an unknown model'} at "
        f"{space.layer or 'an unknown layer'!r}.",
        *(() if learnt else ("Its threshold was never learnt, so that all positive codes are kept.",)),
    )
    return space


def _k(weights: dict[str, Tensor], trainer: dict[str, Any]) -> int:
    stored = int(weights["k"]) if "k" in weights else None
    k = stored if stored is not None else trainer.get("k")
    if trainer.get("k", k) != k or not isinstance(k, int) or k < 1:
        raise InputError(
            f"k is {stored} in ae.safetensors and {trainer.get('k')} in config.json; one count was expected."
        )
    return k


def _checked(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    kept = {key: weight for key, weight in weights.items() if key not in NO_WEIGHTS.get(name, ())}
    sides = size_of(kept, ["encoder.weight", "W_enc"], f"a {name}")
    size = dict(zip("ld" if "encoder.weight" in kept else "dl", sides, strict=True))
    return checked(kept, {key: tuple(size[one] for one in letters) for key, letters in TENSORS[name].items()}, name)


def _space(name: str, w: dict[str, Tensor], k: int) -> PretrainedSpace:
    linear = "encoder.weight" in w
    encoder, dictionary = (w["encoder.weight"], w["decoder.weight"].T) if linear else (w["W_enc"].T, w["W_dec"])
    offset = next(w[key] for key in ("bias", "decoder.bias", "decoder_bias", "b_dec") if key in w)
    if name == "GatedAutoEncoder":
        encoder, bias, threshold = of_gate(encoder, w["r_mag"], w["mag_bias"], w["gate_bias"])
    else:
        bias, threshold = w["encoder.bias" if linear else "b_enc"], w.get("threshold", encoder.new_zeros(()))
    if name == "AutoEncoder":
        encoder, bias, dictionary = by_length(encoder, bias, dictionary)
    reading = Reading(k=k, centred=name not in UNCENTRED)
    return PretrainedSpace(
        dictionary.contiguous(), encoder, bias, offset, threshold.expand(len(encoder)), reading=reading
    )
