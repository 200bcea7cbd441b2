"""Which words light a concept: any method and metric, on classifiers and generators."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError
from interp_core.testing import state_of, tiny_classifier, tiny_generator
from torch import Tensor
from transformers.modeling_utils import AttentionInterface

pytestmark = pytest.mark.slow

TEXTS = ["i feel so happy today", "the old dog was never calm", "sad"]


def learnt(make: Any, layer: int, granularity: str = "token") -> tuple[Any, Any, Any]:
    split = make().split(layer)
    held = split.activations(TEXTS * 3, granularity=granularity, progress=False)
    return split, held, interp.fit_concepts(held, by="semi-nmf", concepts=3)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
@pytest.mark.parametrize("over", ["max", "mean", "sum", "first", "last"])
def test_the_answers_are_the_activities_of_the_concepts(make: Any, over: str) -> None:
    split, held, space = learnt(make, -1)
    found = interp.attribute(
        interp.ConceptModel(split, space, over=over), TEXTS, by="occlusion", targets="all", progress=False
    )
    for i, one in enumerate(found):
        codes = space.encode(held.values[held.rows_of(i)])
        expected = {
            "max": codes.amax(0),
            "mean": codes.mean(0),
            "sum": codes.sum(0),
            "first": codes[0],
            "last": codes[-1],
        }[over]
        assert one.intact is not None and torch.allclose(one.intact, expected, atol=1e-4)


def test_of_cls_rows_the_position_that_the_classifier_reads_is_taken() -> None:
    split, held, space = learnt(tiny_classifier, -1, "cls")
    found = interp.attribute(interp.ConceptModel(split, space), TEXTS, by="occlusion", targets="all", progress=False)
    codes = space.encode(held.values[:3])
    assert all(torch.allclose(one.intact, code, atol=1e-4) for one, code in zip(found, codes, strict=True))  # type: ignore[arg-type]


SEES_ATTENTION = pytest.param(
    "value-zeroing",
    marks=pytest.mark.skipif(
        not hasattr(AttentionInterface, "get_interface"), reason="attention can only be observed with transformers 5"
    ),
)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
@pytest.mark.parametrize("by", ["integrated-gradients", "saliency", "lime", "shapley", SEES_ATTENTION])
def test_any_method_explains_a_concept(make: Any, by: str) -> None:
    split, _, space = learnt(make, -1)
    model = interp.ConceptModel(split, space, over="sum")
    before = state_of(split.model)
    found = interp.attribute(model, TEXTS[:2], by=by, targets=[0, "concept 2"], granularity="word", progress=False)
    assert [t.label for t in found[0].targets] == ["concept 0", "concept 2"]
    assert found[0].scores.shape == (2, 5) and bool(found[0].scores.any())
    assert state_of(split.model) == before


def test_slopes_flow_through_the_encoder() -> None:
    """Of one direction read at one position, the slope is that of the plain model."""
    model = tiny_classifier()
    split = model.split(-1)
    direction = torch.randn(1, 16, generator=torch.Generator().manual_seed(0))
    concept = interp.ConceptModel(split, AffineSpace(direction, direction), over="first")
    [found] = interp.attribute(concept, [TEXTS[0]], by="input-x-gradient", removal="zero", progress=False)
    ids = model.encoder(TEXTS[0]).ids
    x = model.embed(ids)[None].clone().requires_grad_()
    hidden = model.model(inputs_embeds=x, output_hidden_states=True).hidden_states[-1]
    (hidden[0, 1] @ direction[0]).backward()
    assert x.grad is not None
    expected: Tensor = (x.grad * x.detach()).sum(-1)[0, 1:-1]
    assert torch.allclose(found.scores[0], expected, atol=1e-5)


def test_without_a_target_the_most_active_concept_is_explained() -> None:
    split, _, space = learnt(tiny_classifier, -1)
    model = interp.ConceptModel(split, space)
    [every] = interp.attribute(model, [TEXTS[0]], by="occlusion", targets="all", progress=False)
    [one] = interp.attribute(model, [TEXTS[0]], by="occlusion", progress=False)
    assert every.intact is not None
    assert one.targets[0].index == int(every.intact.argmax())


def test_blocks_above_the_space_do_not_run(blocks_that_run: Any) -> None:
    split, _, space = learnt(tiny_classifier, 0)
    model = interp.ConceptModel(split, space)
    seen = blocks_that_run(split.model)
    interp.attribute(model, TEXTS, by="occlusion", targets=[0], progress=False)
    assert set(seen) == {split.model.blocks[0]}


def test_metrics_measure_such_explanations() -> None:
    split, _, space = learnt(tiny_classifier, -1)
    model = interp.ConceptModel(split, space)
    found = interp.attribute(model, TEXTS, by="occlusion", targets=[1], progress=False)
    score = interp.measure(found, model, by="insertion", progress=False)
    assert score.chance is not None and torch.isfinite(torch.tensor(score.value))


def test_redrawn_weights_redraw_what_is_below_the_space() -> None:
    split, _, space = learnt(tiny_classifier, -1)
    model = interp.ConceptModel(split, space, over="sum")
    found = interp.attribute(model, TEXTS[:2], by="occlusion", targets=[0, 1], progress=False)
    score = interp.measure(found, model, by="parameter-randomisation", progress=False)
    assert torch.isfinite(torch.tensor(score.value))


@pytest.mark.usefixtures("unchecked")
def test_a_space_of_another_layer_is_refused() -> None:
    split, _, space = learnt(tiny_classifier, 0)
    with pytest.raises(InputError, match="the model is split at"):
        interp.ConceptModel(split.model.split(-1), space)
    with pytest.raises(InputError, match="over 'least' is unknown"):
        interp.ConceptModel(split, space, over="least")
    wrong: Any = split.model
    with pytest.raises(InputError, match=r"a split model, .* was expected for split, and TextModel was given"):
        interp.ConceptModel(wrong, space)
