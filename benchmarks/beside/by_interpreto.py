"""The works, as interpreto does them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import interpreto
import torch
from interpreto import Granularity, ModelWithSplitPoints
from interpreto.attributions import InferenceModes
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

Work = Callable[[], Any]


def _pair(asked: dict[str, Any], kind: Any, name: str) -> tuple[Any, Any]:
    folder = f"{asked['shared']}/models/{name}"
    return kind.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)


def _attribute(name: str, count: int, **parameters: Any) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, tokenizer = _pair(asked, AutoModelForSequenceClassification, "emotion-minilm")
        method = getattr(interpreto, name)(model, tokenizer, batch_size=64, granularity=Granularity.WORD, **parameters)
        texts = asked["texts"][:count]
        targets = torch.arange(6).expand(count, 6)
        return lambda: method(texts, targets)

    return made


def _shapley(samples: int) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, tokenizer = _pair(asked, AutoModelForSequenceClassification, "emotion-minilm")
        method = interpreto.KernelShap(
            model, tokenizer, batch_size=64, granularity=Granularity.WORD, inference_mode=InferenceModes.LOGITS,
            n_perturbations=samples,
        )  # fmt: skip
        targets = torch.tensor(asked["targets"])[:, None]
        return lambda: [one.attributions.flatten().tolist() for one in method(asked["texts"], targets)]

    return made


def _generation(name: str) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, tokenizer = _pair(asked, AutoModelForCausalLM, "lm-tiny")
        method = getattr(interpreto, name)(model, tokenizer, batch_size=64, granularity=Granularity.TOKEN)
        return lambda: method(asked["prompt"], asked["answer"])

    return made


def _split(asked: dict[str, Any], block: int) -> Any:
    folder = f"{asked['shared']}/models/emotion-minilm"
    return ModelWithSplitPoints(
        folder,
        tokenizer=AutoTokenizer.from_pretrained(folder),
        split_points=[f"bert.encoder.layer.{block}"],
        automodel=AutoModelForSequenceClassification,
        batch_size=64,
        device_map="cpu",
    )


def _activations(block: int, granularity: str) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        split = _split(asked, block)
        unit = getattr(split.activation_granularities, granularity)
        return lambda: split.get_activations(asked["texts"][:200], activation_granularity=unit)

    return made


def _importance(asked: dict[str, Any]) -> Work:
    from interpreto.concepts import SemiNMFConcepts

    split, texts = _split(asked, 5), asked["texts"][:200]
    unit = split.activation_granularities.CLS_TOKEN
    explainer = SemiNMFConcepts(split, nb_concepts=20)
    activations, _ = split.get_activations(texts, activation_granularity=unit)
    explainer.fit(activations)
    return lambda: explainer.concept_output_gradient(texts, activation_granularity=unit, batch_size=64)


ERRORS = {f"interpreto, {samples} samples": _shapley(samples) for samples in range(8, 1025, 8)}
WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "LIME, 100 samples, 6 targets": _attribute("Lime", 4, n_perturbations=100),
    "Kernel SHAP, 100 samples, 6 targets": _attribute("KernelShap", 4, n_perturbations=100),
    "occlusion, 6 targets": _attribute("Occlusion", 16),
    "saliency, 6 targets": _attribute("Saliency", 24),
    "integrated gradients, 10 steps, 6 targets": _attribute("IntegratedGradients", 2, n_perturbations=10),
    "SmoothGrad, 10 samples, 6 targets": _attribute("SmoothGrad", 2, n_perturbations=10),
    "GradientSHAP, 16 samples, 6 targets": _attribute("GradientShap", 2, n_perturbations=16),
    "activations, 200 texts, cls, last block": _activations(5, "CLS_TOKEN"),
    "activations, 200 texts, words, block 2": _activations(2, "WORD"),
    "importance of 20 concepts from 200 texts, 6 targets": _importance,
    "generation, 75 + 11 tokens: occlusion": _generation("Occlusion"),
    "generation, 75 + 11 tokens: saliency": _generation("Saliency"),
}
