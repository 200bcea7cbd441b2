"""Integrated gradients: the quadrature is exact where it should be, and a kink counts from where it is."""

import interp_core as interp
import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.testing.helpers.basic_models import BasicModel_MultiLayer
from interp_core.attribution import Question, ask, explain
from interp_core.errors import BudgetError, InputError
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


def steep(sharpness: float) -> Question:
    """A score that rises within a short part of the path, which few nodes meet."""
    return ask(lambda v: torch.sigmoid(sharpness * (v.sum((1, 2)) - 1.9))[:, None], torch.tensor([[1.0], [2.0]]))


def test_a_sum_that_misses_the_difference_is_said() -> None:
    question = ask(lambda v: (v.sum((1, 2)) ** 4)[:, None], torch.tensor([[1.0], [2.0]]))
    notes = explain(IntegratedGradients(steps=1), question).notes
    assert (
        notes[0].startswith("1 nodes of the integral are too few; without `steps`")
        and "miss the difference" in notes[1]
    )
    assert explain(IntegratedGradients(steps=2), question).notes == ()


def test_nodes_are_doubled_until_the_scores_are_complete() -> None:
    for sharpness, nodes, rows in ((10, 32, 34), (30, 64, 98), (100, 256, 482)):
        found = explain(IntegratedGradients(), question := steep(sharpness))
        gap = float(question.intact() - question.emptied())
        assert float(found.scores.sum()) == pytest.approx(gap, rel=0.01) and found.rows == rows
        assert (
            found.notes == () if nodes == 32 else found.notes[0].startswith(f"{nodes} nodes of the integral were taken")
        )
        once = explain(IntegratedGradients(steps=nodes), steep(sharpness)).scores
        assert torch.equal(found.scores, once)


def test_more_nodes_are_taken_for_the_text_that_needs_them_and_within_its_budget() -> None:
    kept = explain(IntegratedGradients(), steep(100).with_budget(100))
    assert kept.rows == 98 and "64 nodes of the integral are too few; max_rows allows no more: raise it." in kept.notes
    few = explain(IntegratedGradients(), steep(10).with_budget(20))
    assert few.rows == 20 and few.notes[0].startswith("18 nodes of the integral are too few; max_rows")
    with pytest.raises(BudgetError, match="needs at least 3 rows of the model and max_rows is 2; raise it, or choose"):
        explain(IntegratedGradients(), steep(10).with_budget(2))


def test_where_gradients_say_nothing_doubling_ends_soon() -> None:
    question = ask(lambda v: torch.round(v.sum((1, 2)))[:, None], torch.tensor([[1.0], [2.0]]))
    found = explain(IntegratedGradients(), question)
    assert found.rows == 32 + 64 + 128 + 2 and "more do not help" in found.notes[0]


@pytest.mark.real
def test_texts_of_a_real_classifier_are_complete_to_a_hundredth(real_model, real_texts) -> None:  # type: ignore[no-untyped-def]
    """With 32 nodes two of them are not; one misses a quarter of its difference."""
    texts = [real_texts("emotion")[i] for i in (0, 1, 13, 20)]
    found = interp.attribute(real_model("emotion-tiny"), texts, by="integrated-gradients", progress=False)
    assert not any("miss the difference" in note for one in found for note in one.notes)
    assert [one.rows for one in found] == [33, 33, 97, 97]  # the intact text is known
    assert all("64 nodes" in one.notes[0] for one in found[2:])
