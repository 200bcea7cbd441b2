"""The models that checks share; each is made once, since the core tests every new model before it relies on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.model import SplitModel, TextModel
from interp_core.testing._planted_worlds import MixedSpace
from interp_core.testing._tiny_models import tiny_classifier, tiny_generator
from interp_core.testing._untidy_models import halved, piecewise_model, wrapped

PLANTED = {"##py": (3.0, -1.0), "sad": (-2.0, 2.0)}  # what pieces are worth: of "happy" only the last one counts


def _padding(make: Callable[[], TextModel], side: str) -> TextModel:
    made = make()
    padded = TextModel(made.model, made.tokenizer)
    padded.tokenizer.padding_side = side
    return padded


MAKERS: dict[str, Callable[[], TextModel]] = {
    "classifier": tiny_classifier,
    "generator": tiny_generator,
    "other generator": lambda: tiny_generator(seed=1),
    "other classifier": lambda: tiny_classifier(seed=1),
    "wrapped classifier": lambda: wrapped(tiny_classifier()),
    "bfloat16 classifier": lambda: halved(tiny_classifier()),
    "bfloat16 generator": lambda: halved(tiny_generator()),
    "classifier padded left": lambda: _padding(tiny_classifier, "left"),
    "classifier padded right": lambda: _padding(tiny_classifier, "right"),
    "generator padded left": lambda: _padding(tiny_generator, "left"),
    "generator padded right": lambda: _padding(tiny_generator, "right"),
    "planted": lambda: piecewise_model(PLANTED),
}
SPOKEN = ["so happy today", "the old dog was never calm", "i feel so sad but not cold", "a warm sun and the rain"]
_made: dict[str, tuple[TextModel, Any]] = {}


def shared(name: str) -> TextModel:
    """A model by its name, made anew if a method has written into it or left something on it."""
    model, mark = _made.get(name, (None, None))
    if model is None or _mark(model) != mark:
        model = MAKERS[name]()
        _made[name] = model, _mark(model)
    return model


def _mark(model: TextModel) -> Any:
    """What changes if somebody writes into the weights, leaves a hook, or sets a flag."""
    modules = list(model.model.modules())
    tensors = [*model.model.parameters(), *model.model.buffers()]
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in modules)
    own = sum("forward" in vars(m) for m in modules)
    flags = tuple(m.training for m in modules), tuple(t.requires_grad for t in tensors)
    return tuple(t._version for t in tensors), hooks, own, flags


def model_world(concepts: int = 3) -> tuple[SplitModel, Activations, ConceptSpace]:
    """A small generator split at its last block, its states at a few texts, and orthogonal concepts of them."""
    split = shared("generator").split(-1)
    activations = split.activations(SPOKEN, granularity="token", progress=False)
    draw = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(activations.width, concepts, generator=draw)).Q.T
    return split, activations, MixedSpace(directions, torch.zeros(activations.width))
