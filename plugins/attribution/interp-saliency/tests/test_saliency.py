"""Saliency is the sum of the gradient's sizes: by hand, by autograd, and by captum."""

from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from captum.attr import Saliency as CaptumSaliency
from interp_core.attribution import ask
from interp_core.errors import UnsupportedError
from interp_core.testing import contract_tests, linear_world, tiny_classifier, tiny_generator
from interp_saliency.saliency import Saliency

test_contract = contract_tests("saliency")


def test_a_linear_score_is_as_steep_as_its_weights_are_large() -> None:
    weight = torch.tensor([[[1.0, -2.0], [0.0, 0.0], [-3.0, -4.0]], [[0.5, 0.5], [1.0, 0.0], [0.0, -1.0]]])
    question = ask(lambda v: torch.einsum("pfd,kfd->pk", v, weight), torch.randn(3, 2))
    assert Saliency().attribute(question).tolist() == [[3.0, 0.0, 7.0], [1.0, 1.0, 1.0]]


def test_each_factor_of_a_product_is_as_steep_as_the_other_is_large() -> None:
    question = ask(lambda v: v[:, 0] * v[:, 1], torch.tensor([[3.0], [-5.0]]))
    assert Saliency().attribute(question).tolist() == [[5.0, 3.0]]


def test_the_baseline_does_not_matter() -> None:
    x = torch.tensor([[3.0], [-5.0]])
    here, there = (ask(lambda v: v[:, 0] * v[:, 1], x, torch.full_like(x, b)) for b in (0.0, 9.0))
    assert torch.equal(Saliency().attribute(here), Saliency().attribute(there))


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    model = tiny_classifier() if name == "tiny" else request.getfixturevalue("real_model")(name)
    text = "i feel so happy and never tired today"
    (found,) = interp.attribute(model, text, by="saliency", targets="all", granularity="token", progress=False)
    ids = model.encoder(text).ids.to(model.device)
    theirs = CaptumSaliency(lambda e: model.model(inputs_embeds=e).logits)
    for k, scores in enumerate(found.scores):
        slope = theirs.attribute(model.embed(ids)[None].clone().requires_grad_(), target=k, abs=True)[0].detach()
        expected = slope.sum(-1)[1:-1].cpu()  # less [CLS] and [SEP]
        assert torch.allclose(scores, expected, rtol=1e-4, atol=1e-5 * float(expected.max()))


def test_a_word_has_the_sum_of_its_tokens(real_model: Callable[[str], Any]) -> None:
    model = real_model("emotion-minilm")
    text = "disheartening moments of joyfulness"
    words, tokens = (
        interp.attribute(model, text, by="saliency", granularity=g, progress=False)[0] for g in ("word", "token")
    )
    assert len(words.units) < len(tokens.units)
    inside = [[w.start <= t.start and t.stop <= w.stop for t in tokens.units] for w in words.units]
    assert torch.allclose(words.scores[0], torch.tensor(inside).float() @ tokens.scores[0], rtol=1e-4)


def test_each_generated_token_has_its_own_gradient() -> None:
    model = tiny_generator()
    (found,) = interp.attribute(model, "i feel so", by="saliency", targets=" happy today", progress=False)
    ids = found.encoded.ids
    x = model.embed(ids).clone().requires_grad_()
    chances = model.model(inputs_embeds=x[None]).logits[0].log_softmax(-1)
    for k, target in enumerate(found.targets):
        score = chances[target.position - 1, target.index]
        slope = torch.autograd.grad(score, x, retain_graph=True)[0].abs().sum(-1)
        slope[target.position :] = 0.0
        assert torch.allclose(found.scores[k], slope[found.encoded.unit_of >= 0], atol=1e-5)


def test_at_a_layer_the_gradient_is_that_of_its_states() -> None:
    model = tiny_classifier()
    text = "the old dog was never calm"
    (found,) = interp.attribute(model, text, by="saliency", targets="all", layer=0, progress=False)
    output = model.model(model.encoder(text).ids[None], output_hidden_states=True)
    for k in range(3):
        (slope,) = torch.autograd.grad(output.logits[0, k], output.hidden_states[1], retain_graph=True)
        assert torch.allclose(found.scores[k], slope[0].abs().sum(-1)[1:-1], atol=1e-5)


def test_one_row_and_one_backward_for_each_target() -> None:
    (found,) = interp.attribute(tiny_classifier(), "so happy", by="saliency", targets="all", progress=False)
    assert (found.rows, found.made_by.cost.backwards) == (1, 3)  # the scores of the text itself come with the slopes


def test_taking_tokens_away_leaves_nothing_to_follow() -> None:
    with pytest.raises(UnsupportedError, match="gradients"):
        interp.attribute(tiny_classifier(), "so happy", by="saliency", removal="drop", progress=False)


def test_it_is_no_method_with_signs() -> None:
    question, truth = linear_world(2, 8, 2)
    scores = Saliency().attribute(question)
    assert bool((scores >= 0).all()) and bool((truth < 0).any())
