"""Weights and slopes are those of transformers' own eager attention with autograd through it."""

import copy
import threading
from collections.abc import Callable, Iterable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_attention_x_gradient.attention_x_gradient import AttentionXGradient, received, rolled_out
from interp_core.errors import UnsupportedError
from interp_core.testing import (
    contract_tests,
    planted_model,
    tiny_classifier,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_translator,
)

test_contract = contract_tests("attention-x-gradient")
test_contract_of_the_rollout = contract_tests("attention-x-gradient", rollout=True)

TEXT = "i feel so [MASK] and never warm"
MAKERS = [tiny_classifier, tiny_filler, tiny_generator, tiny_llama]
Make = Callable[..., interp.TextModel]


def explained(model: interp.TextModel, text: str = TEXT, **options: Any) -> interp.Attribution:
    limit = {"max_new_tokens": 3} if model.head == "causal" else {}
    options = {"progress": False, "by": "attention-x-gradient", **limit, **options}
    (found,) = interp.attribute(model, text, **options)
    return found


def of_transformers(model: interp.TextModel, found: interp.Attribution, rollout: bool) -> torch.Tensor:
    """The scores by transformers' own weights, a loop over heads, and autograd in 64 bits."""
    exact = copy.deepcopy(model.model).double()
    exact.set_attn_implementation("eager")
    owners = found.encoded.unit_of
    rows = []
    for target in found.targets:
        out = exact(found.encoded.ids[None], output_attentions=True)
        for weights in out.attentions:
            weights.retain_grad()
        if target.position is None:
            read, score = 0, out.logits[0, target.index]
        else:
            read = target.position - (model.head == "causal")
            score = out.logits[0, read].log_softmax(-1)[target.index]
        score.backward()
        layers = [(weights[0].detach(), weights.grad[0]) for weights in out.attentions]
        tokens = with_rollout(layers, read) if rollout else without(layers)
        rows.append([float(tokens[owners == unit].sum()) for unit in range(len(found.units))])
    return torch.tensor(rows) * found.applicable


def without(layers: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Grad-SAM: every head of every layer adds its weights where they raise the score."""
    maps = [a * g * (g > 0) for weights, slopes in layers for a, g in zip(weights, slopes, strict=True)]
    return torch.stack(maps).mean(0).mean(0)


def with_rollout(layers: Iterable[tuple[torch.Tensor, torch.Tensor]], read: int) -> torch.Tensor:
    """Chefer et al.: the whole relevance matrix from the first layer to the last, of which one row is read."""
    relevance = None
    for weights, slopes in layers:
        identity = torch.eye(weights.shape[-1], dtype=weights.dtype)
        relevance = identity if relevance is None else relevance
        relevance = relevance + torch.relu(weights * slopes).mean(0) @ relevance
    assert relevance is not None
    return relevance[read] - identity[read]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("rollout", [False, True])
def test_scores_are_those_of_eager_attention_with_autograd(make: Make, rollout: bool) -> None:
    model = make()
    found = explained(model, rollout=rollout, targets="all" if make is tiny_classifier else None)
    expected = of_transformers(model, found, rollout)
    assert torch.allclose(found.scores, expected, atol=1e-5 * max(1.0, float(expected.max())))
    assert float(found.scores.min()) >= 0 and found.scores.any()


def test_the_mean_over_layers_is_what_is_given_unasked() -> None:
    assert torch.equal(explained(tiny_classifier()).scores, explained(tiny_classifier(), rollout=False).scores)


def test_weights_that_lower_the_score_count_as_zero_each_by_itself() -> None:
    """One layer of two heads, two tokens: 0.5 · 2 comes through although the other head takes the same away."""
    weights = torch.tensor([[[0.5, 0.5], [0.2, 0.8]], [[0.5, 0.5], [1.0, 0.0]]])
    slopes = torch.tensor([[[2.0, 0.0], [0.0, -1.0]], [[-2.0, 4.0], [0.0, 3.0]]])
    scores = received([weights], [slopes], torch.tensor([1.0, 0.0]))
    assert torch.allclose(scores, torch.tensor([1.0, 2.0]) / 4)
    rolled = rolled_out([weights], [slopes], torch.tensor([1.0, 0.0]))
    assert torch.allclose(rolled, torch.tensor([0.5, 1.0]))


def test_rollout_follows_attention_through_the_tokens_between() -> None:
    """The reader looks at the second token alone, which in the layer before has looked at the third."""
    first, last = torch.zeros(1, 3, 3), torch.zeros(1, 3, 3)
    first[0, 1, 2], last[0, 0, 1] = 0.5, 0.4
    slopes = torch.ones(1, 3, 3)
    found = rolled_out([first, last], [slopes, slopes], torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(found, torch.tensor([0.0, 0.4, 0.2]))


def test_several_targets_are_what_each_is_alone() -> None:
    model = tiny_classifier()
    together = explained(model, targets="all").scores
    alone = torch.cat([explained(model, targets=k).scores for k in range(3)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_each_target_costs_one_backward_and_all_of_them_one_forward() -> None:
    one, three = (explained(tiny_classifier(), targets=targets).made_by.cost for targets in (0, "all"))
    assert (one.backwards, three.backwards) == (1, 3)
    assert one.forwards == three.forwards


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_the_caller_has_switched_gradients_off(mode: Any) -> None:
    model = tiny_classifier()
    expected = explained(model).scores
    with mode():
        found = explained(model).scores
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_graph_of_one_text_is_gone_before_the_next_passes() -> None:
    """While slopes are computed no other thread can pass through the model."""
    model, free = tiny_classifier(), []

    def attempt() -> None:
        free.append(model.lock.acquire(blocking=False))
        if free[-1]:
            model.lock.release()

    def on_the_way_back(_slope: torch.Tensor) -> None:
        other = threading.Thread(target=attempt)
        other.start()
        other.join()

    def watch(_module: Any, _inputs: Any, out: torch.Tensor) -> None:
        if out.requires_grad:
            out.register_hook(on_the_way_back)

    model.model.classifier.register_forward_hook(watch)
    explained(model)
    assert free and not any(free)


def test_two_stacks_and_models_without_attention_are_refused() -> None:
    for model in (tiny_translator(), tiny_translator("t5"), planted_model({"happy": (1.0, 0.0)})):
        with pytest.raises(UnsupportedError, match="cannot be seen"):
            explained(model, "i was happy")


def test_a_layer_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not about a layer"):
        explained(tiny_classifier(), layer=0)


@pytest.mark.parametrize("name", ["emotion-minilm", "lm-tiny", "llama-tiny"])
@pytest.mark.parametrize("rollout", [False, True])
def test_real_models_have_the_scores_of_eager_attention(
    name: str, rollout: bool, real_model: Callable[[str], Any]
) -> None:
    model = real_model(name)
    found = explained(model, "i feel so bitter about love", by=AttentionXGradient(rollout=rollout))
    expected = of_transformers(model, found, rollout)
    assert torch.allclose(found.scores, expected, atol=1e-4 * max(1.0, float(expected.max())))
    assert name != "emotion-minilm" or found.top()[0][0] == "bitter"
