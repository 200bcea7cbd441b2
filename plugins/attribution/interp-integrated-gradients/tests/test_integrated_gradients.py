"""Integrated gradients: the quadrature is exact where it should be, and a kink counts from where it is."""

import interp_core as interp
import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.testing.helpers.basic_models import BasicModel_MultiLayer
from interp_core.attribution import ask, explain
from interp_core.errors import InputError
from interp_core.testing import contract_tests, linear_world, tiny_classifier
from interp_integrated_gradients.integrated_gradients import IntegratedGradients, gauss_legendre

test_contract = contract_tests("integrated-gradients")


@pytest.mark.parametrize("steps", [1, 2, 5, 16])
def test_nodes_integrate_polynomials_up_to_degree_2n_minus_1(steps: int) -> None:
    nodes, weights = gauss_legendre(steps)
    for degree in range(2 * steps):
        assert np.isclose(float((weights * nodes**degree).sum()), 1 / (degree + 1), atol=1e-12)


def test_a_polynomial_score_is_complete_with_the_fewest_steps() -> None:
    question = ask(lambda v: (v.sum((1, 2), keepdim=False) ** 4)[:, None] / 100, torch.tensor([[1.0], [2.0], [-0.5]]))
    scores = IntegratedGradients(steps=2).attribute(question)  # the path gradient has degree 3 = 2 · 2 - 1
    gap = question.intact() - question.emptied()
    assert torch.allclose(scores.sum(1), gap, atol=1e-5)
    assert not torch.allclose(IntegratedGradients(steps=1).attribute(question).sum(1), gap, atol=1e-3)


@pytest.mark.parametrize("x", [(20.0, 50.0, 30.0), (2.0, 10.0, 3.0)])
def test_a_kink_on_the_path_counts_from_where_it_is(x: tuple[float, ...]) -> None:
    """One of four units of captum's test model opens where the sum passes 10, at 10 / sum: x · (4 - 10 / sum)."""
    model = BasicModel_MultiLayer()
    question = ask(lambda v: model(v[:, :, 0]), torch.tensor(x)[:, None])
    scores = IntegratedGradients(steps=500).attribute(question)[0]
    assert np.allclose(scores.tolist(), np.array(x) * (4 - 10 / sum(x)), rtol=1e-3)


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    model = tiny_classifier() if name == "tiny" else request.getfixturevalue("real_model")(name)
    text = "i feel so happy and never tired today"
    method = IntegratedGradients(steps=8)
    (found,) = interp.attribute(model, text, by=method, targets=[0, 1], granularity="token", progress=False)
    ids = model.encoder(text).ids.to(model.device)
    without = ids.clone()
    without[1:-1] = model.tokenizer.mask_token_id
    x, absent = model.embed(ids)[None], model.embed(without)[None]
    theirs = CaptumIntegratedGradients(lambda e: model.model(inputs_embeds=e).logits)
    for k in (0, 1):
        slopes = theirs.attribute(x, absent, target=k, n_steps=8, method="gausslegendre")[0].detach()
        expected = slopes.sum(-1)[1:-1].float().cpu()  # less [CLS] and [SEP]
        assert torch.allclose(found.scores[k], expected, atol=1e-4 * float(expected.abs().max()))


def test_a_linear_score_needs_one_step() -> None:
    question, truth = linear_world(5, 7, 2)
    assert torch.allclose(IntegratedGradients(steps=1).attribute(question), truth, atol=1e-6)


def test_no_steps_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        IntegratedGradients(steps=0)


def test_a_sum_that_misses_the_difference_is_said() -> None:
    question = ask(lambda v: (v.sum((1, 2)) ** 4)[:, None], torch.tensor([[1.0], [2.0]]))
    assert "use more steps" in explain(IntegratedGradients(steps=1), question).notes[0]
    assert explain(IntegratedGradients(steps=2), question).notes == ()
