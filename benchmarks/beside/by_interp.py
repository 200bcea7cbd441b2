"""The works, as this toolkit does them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import interp_core as interp
import numpy
import torch

Work = Callable[[], Any]


def _classifier(asked: dict[str, Any]) -> Any:
    return _loaded(f"{asked['shared']}/models/emotion-minilm")


@cache
def _loaded(folder: str) -> Any:
    return interp.load(folder)


def _attribute(by: str, count: int, targets: Any = "all", **parameters: Any) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, texts = _classifier(asked), asked["texts"][:count]
        return lambda: interp.attribute(model, texts, by=by, targets=targets, progress=False, **parameters)

    return made


def _shapley(by: str, samples: int) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, texts = _classifier(asked), asked["texts"]
        given = {"by": by, "samples": samples, "progress": False}
        return lambda: [found.scores[0].tolist() for found in interp.attribute(model, texts, **given)]

    return made


def _activations(layer: int, granularity: str) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        split, texts = _classifier(asked).split(layer), asked["texts"][:200]
        return lambda: split.activations(texts, granularity=granularity, progress=False)

    return made


def _importance(asked: dict[str, Any]) -> Work:
    split = _classifier(asked).split(-1)
    held = lambda: split.activations(asked["texts"][:200], granularity="cls", progress=False)  # noqa: E731
    space = interp.fit_concepts(held(), by="semi-nmf", concepts=20)
    return lambda: interp.importance(split, space, held(), progress=False)


def _generation(by: str) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model = interp.load(f"{asked['shared']}/models/lm-tiny")
        prompt, answer = asked["prompt"], asked["answer"]
        return lambda: interp.attribute(
            model, prompt, by=by, targets=answer, granularity="token", score="probability", progress=False
        )

    return made


def _autoencoder(rows: int) -> Callable[[dict[str, Any]], Work]:
    def made(_asked: dict[str, Any]) -> Work:
        from interp_topk_sae.topk import TopKNetwork

        network = TopKNetwork(3072, 384, torch.Generator().manual_seed(0), 32)
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        given = torch.randn(rows, 384, generator=torch.Generator().manual_seed(1))

        def step() -> None:
            output = network(given)
            optimiser.zero_grad()
            network.reconstruction_loss(given, output).backward()
            network.project()
            optimiser.step()
            network.constrain()
            network.update_activity(output)

        return step

    return made


def _fit(by: str, **parameters: Any) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        from interp_core.activations import of_rows

        given = of_rows(torch.from_numpy(numpy.load(asked["rows"])))
        return lambda: interp.fit_concepts(given, by=by, progress=False, **parameters)

    return made


ERRORS = {
    f"{by}, {samples} samples": _shapley(by, samples)
    for by in ("shapley-gp", "kernel-shap")
    for samples in range(8, 1025, 8)
}
WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "LIME, 100 samples, 6 targets": _attribute("lime", 4, samples=100),
    "LIME, 100 samples, 1 target": _attribute("lime", 4, targets=0, samples=100),
    "Kernel SHAP, 100 samples, 6 targets": _attribute("kernel-shap", 4, samples=100),
    "Kernel SHAP, 100 samples, 1 target": _attribute("kernel-shap", 4, targets=0, samples=100),
    "occlusion, 6 targets": _attribute("occlusion", 16),
    "saliency, 6 targets": _attribute("saliency", 24),
    "saliency, 1 target": _attribute("saliency", 24, targets=0),
    "integrated gradients, 10 steps, 6 targets": _attribute("integrated-gradients", 2, steps=10),
    "integrated gradients, 10 steps, 1 target": _attribute("integrated-gradients", 4, targets=0, steps=10),
    "SmoothGrad, 10 samples, 6 targets": _attribute("smooth-grad", 2, samples=10),
    "GradientSHAP, 16 samples, 6 targets": _attribute("gradient-shap", 2, samples=16),
    "activations, 200 texts, cls, last block": _activations(-1, "cls"),
    "activations, 200 texts, words, block 2": _activations(2, "word"),
    "importance of 20 concepts from 200 texts, 6 targets": _importance,
    "generation, 75 + 11 tokens: occlusion": _generation("occlusion"),
    "generation, 75 + 11 tokens: saliency": _generation("saliency"),
    "autoencoder step, 512 rows, 384 to 3,072, k 32": _autoencoder(512),
    "autoencoder step, 4,096 rows, 384 to 3,072, k 32": _autoencoder(4096),
    "PCA, 20 concepts": _fit("pca", concepts=20),
    "ICA, 20 concepts": _fit("ica", concepts=20),
    "k-means, 20 concepts, one start": _fit("kmeans", concepts=20, starts=1),
    "semi-NMF, 20 concepts": _fit("semi-nmf", concepts=20),
}
