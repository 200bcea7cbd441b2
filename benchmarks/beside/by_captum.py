"""The works, as captum does them, with the loops that it leaves to its users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import torch
from captum.attr import IntegratedGradients, KernelShap, Lime, Saliency
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

Work = Callable[[], Any]


def _classifier(asked: dict[str, Any]) -> tuple[Any, Any]:
    folder = f"{asked['shared']}/models/emotion-minilm"
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    return model.eval().requires_grad_(False), AutoTokenizer.from_pretrained(folder)


def _sampled(method: Any) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, tokenizer = _classifier(asked)
        explainer = method(lambda ids: model(input_ids=ids).logits)

        def run() -> None:
            for text in asked["texts"][:4]:
                encoded = tokenizer(text, return_tensors="pt")
                words = [0 if word is None else word + 1 for word in encoded.word_ids()]
                ids, mask = encoded["input_ids"], torch.full_like(encoded["input_ids"], tokenizer.mask_token_id)
                kept = torch.tensor([word == 0 for word in words])
                explainer.attribute(
                    ids,
                    baselines=torch.where(kept, ids, mask),
                    target=0,
                    feature_mask=torch.tensor([words]),
                    n_samples=100,
                    perturbations_per_eval=64,
                )

        return run

    return made


def _rows_of(asked: dict[str, Any]) -> list[tuple[Tensor, Tensor, list[int], int]]:
    """Of each text the ids, the same with the mask token for each word, the word of each token, and the target."""
    _, tokenizer = _classifier(asked)
    rows = []
    for text, target in zip(asked["texts"], asked["targets"], strict=True):
        encoded = tokenizer(text, return_tensors="pt")
        words = [-1 if word is None else word for word in encoded.word_ids()]
        ids = encoded["input_ids"]
        masked = torch.where(torch.tensor(words) < 0, ids, torch.full_like(ids, tokenizer.mask_token_id))
        rows.append((ids, masked, words, target))
    return rows


def _shapley(samples: int) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, _ = _classifier(asked)
        explainer, rows = KernelShap(lambda ids: model(input_ids=ids).logits), _rows_of(asked)

        def run() -> list[list[float]]:
            found = []
            for ids, masked, words, target in rows:
                scores = explainer.attribute(
                    ids,
                    baselines=masked,
                    target=target,
                    feature_mask=torch.tensor([[word + 1 for word in words]]),
                    n_samples=samples,
                    perturbations_per_eval=64,
                )[0]
                found.append([float(scores[words.index(word)]) for word in range(max(words) + 1)])
            return found

        return run

    return made


def _shapley_of_shap(samples: int) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        import shap

        model, _ = _classifier(asked)
        rows = _rows_of(asked)

        def run() -> list[list[float]]:
            numpy.random.seed(0)
            found = []
            for ids, masked, words, target in rows:

                def answer(keep: Any, row: Any = (ids, masked, words, target)) -> Any:
                    ids, masked, words, target = row
                    kept = torch.from_numpy(keep).bool()
                    stays = torch.cat([kept, torch.ones(len(kept), 1, dtype=torch.bool)], dim=1)[:, words]
                    variants = torch.where(stays, ids, masked)
                    with torch.inference_mode():
                        parts = [model(input_ids=part).logits[:, target] for part in variants.split(64)]
                    return torch.cat(parts).numpy()

                count = max(words) + 1
                explainer = shap.KernelExplainer(answer, numpy.zeros((1, count)), silent=True)
                found.append(explainer.shap_values(numpy.ones(count), nsamples=samples, silent=True).tolist())
            return found

        return run

    return made


def _slopes(method: Any, count: int, **parameters: Any) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model, tokenizer = _classifier(asked)
        table = model.get_input_embeddings().weight
        texts = asked["texts"][:count]

        def forward(embedded: Tensor, mask: Tensor) -> Tensor:
            logits: Tensor = model(inputs_embeds=embedded, attention_mask=mask).logits
            return logits

        explainer = method(forward)

        def run() -> None:
            for start in range(0, len(texts), 12):
                given = tokenizer(texts[start : start + 12], return_tensors="pt", padding=True)
                embedded = table[given["input_ids"]].requires_grad_()
                explainer.attribute(
                    embedded, target=0, additional_forward_args=(given["attention_mask"],), **parameters
                )

        return run

    return made


ERRORS = {f"captum, {samples} samples": _shapley(samples) for samples in range(8, 1025, 8)}
ERRORS |= {f"shap, {samples} samples": _shapley_of_shap(samples) for samples in range(8, 1025, 8)}
WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "LIME, 100 samples, 1 target": _sampled(Lime),
    "Kernel SHAP, 100 samples, 1 target": _sampled(KernelShap),
    "saliency, 1 target": _slopes(Saliency, 24),
    "integrated gradients, 10 steps, 1 target": _slopes(IntegratedGradients, 4, n_steps=10, internal_batch_size=64),
}
