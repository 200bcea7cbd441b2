"""After any call every weight, buffer, flag, hook, tokenizer file and global random state is what it was."""

import contextlib
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.errors import InputError, UnsupportedError
from interp_core.plugin import _registry as registry
from interp_core.testing import PlantedSpace, TopicLLM, state_of, tiny_classifier, tiny_generator

pytestmark = pytest.mark.slow

TEXTS = ["i feel so happy today", "the old dog was never calm", "sad"]


def files_of(tokenizer, folder: Path) -> str:  # type: ignore[no-untyped-def]
    """A digest of what the user's own tokenizer would be saved as."""
    tokenizer.save_pretrained(folder)
    return hashlib.sha256(b"".join(p.read_bytes() for p in sorted(folder.iterdir()))).hexdigest()


def story(model: interp.TextModel) -> None:
    """Every attribution method and every driver on one model."""
    options = {"max_new_tokens": 3} if model.head == "causal" else {"targets": "all"}
    for method in interp.methods("attribution"):
        fields = {f.name for f in dataclasses.fields(registry.implementation(method))}
        few = interp.method(method.name, **{k: v for k, v in (("samples", 48), ("steps", 8)) if k in fields})
        found = []
        for layer in (0, None):
            with contextlib.suppress(UnsupportedError):  # of what looks into the model, and cannot here
                found = interp.attribute(model, TEXTS, by=few, layer=layer, progress=False, **options)
        for metric in interp.methods("metric") if found and method.name in ("occlusion", "input-x-gradient") else ():
            if metric.measures == "attribution":
                marked = [[[(0, len(text.split()[0]))] for text in TEXTS]] if "labels" in metric.needs else []
                with contextlib.suppress(UnsupportedError):  # one word has no order
                    interp.measure(found, model, *marked, by=metric.name, progress=False)
    for removal in ("zero", "mean", "attention"):
        interp.attribute(model, TEXTS, by="occlusion", removal=removal, progress=False, **options)
    split = model.split(0)
    asked: dict[str, Any] = {"targets": ["good"] if model.head == "causal" else "all", "progress": False}
    held = split.activations(TEXTS * 3, granularity="word", labels=[0, 1, 2] * 3, progress=False)
    for method in interp.methods("concepts"):
        fields = {f.name: f for f in dataclasses.fields(registry.implementation(method))}
        small = {name: value for name, value in (("concepts", 2), ("steps", 5), ("active", 1)) if name in fields}
        if not method.needs & {"nonnegative"} and "path" not in fields:  # what others trained
            interp.fit_concepts(held, by=method.name, **small)
    interp.effect(split, interp.fit_concepts(held, by="ica", concepts=2), held, interp.Change(ablate=[0]), **asked)
    space = PlantedSpace(torch.eye(16)[:3], torch.zeros(16))
    for method in interp.methods("interpretation"):
        given: dict[str, Any] = {"llm": TopicLLM()} if method.name == "llm-labels" else {}
        given |= {"model": split} if "model" in method.needs else {}
        with contextlib.suppress(UnsupportedError):  # a classifier has no vocabulary
            interp.interpret(space, held, by=method.name, **given)
    for metric in interp.methods("metric"):
        if metric.measures == "concepts":
            more = [v for need, v in (("truth", space), ("model", split)) if need in metric.needs]
            method = interp.method("ica", concepts=3) if "method" in metric.needs else None
            with contextlib.suppress(InputError, UnsupportedError):  # an untrained model knows nothing to lose
                interp.measure(space, held, *more, by=metric.name, method=method)
    interp.importance(split, space, held, **asked)
    concepts = interp.ConceptModel(split, space, over="sum")
    interp.attribute(concepts, TEXTS, by="input-x-gradient", targets="all", progress=False)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_nothing_of_the_users_is_changed(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Every other module is training, so that one run sees both flags put back."""
    made = make()
    for number, module in enumerate(made.model.modules()):
        module.training = bool(number % 2)
    next(made.model.parameters()).requires_grad_(False)  # a flag of the user's own
    tokenizer = made.tokenizer
    model = interp.TextModel(made.model, tokenizer)
    before, files = state_of(model), files_of(tokenizer, tmp_path / "before")
    story(model)
    assert state_of(model) == before
    assert files_of(tokenizer, tmp_path / "after") == files


def test_the_digest_sees_each_kind_of_change() -> None:
    """The check above can fail: each of these is noticed."""
    for change in (
        lambda m: m.model.train(),
        lambda m: m.model.classifier.weight.requires_grad_(False),
        lambda m: m.model.classifier.weight.data.add_(1e-3),
        lambda m: m.model.classifier.register_forward_hook(lambda *_: None),
        lambda m: setattr(m.model.config, "use_cache", not m.model.config.use_cache),
        lambda m: torch.rand(1),
    ):
        model = tiny_classifier()
        before = state_of(model)
        change(model)
        assert state_of(model) != before
