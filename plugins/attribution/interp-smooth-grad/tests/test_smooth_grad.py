"""SmoothGrad: exact where the gradient is known, as captum says on models, and as uncertain as it says."""

from collections.abc import Iterator
from math import exp

import interp_core as interp
import pytest
import torch
from captum.attr import NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from interp_core.attribution import FunctionRunner, Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.model import TextModel
from interp_core.testing import contract_tests, linear_world, tiny_classifier, tiny_generator
from interp_smooth_grad.smooth_grad import SmoothGrad
from torch import Tensor

test_contract = contract_tests("smooth-grad", samples=16)
TEXT = "i feel so happy and never tired today"


class AtOnce(FunctionRunner):
    """The slopes of all rows by one backward a target, since rows are independent."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        leaf = x.detach().clone().requires_grad_()
        slopes = [torch.autograd.grad(s.sum(), leaf, retain_graph=True)[0] for s in self.at(leaf).T]
        yield from torch.stack(slopes, dim=1)


def wave_world() -> tuple[Question, Tensor]:
    """A score with the gradient cos x, and its mean under noise of size 1: cos x · exp(-1/2)."""
    x = torch.tensor([[1.0, -0.5], [0.3, 2.0], [-1.5, 0.1]])
    question = ask(lambda v: v.sin().sum((1, 2))[:, None] * torch.tensor([1.0, -2.0]), x, torch.full_like(x, 3.0))
    question = question.replace(runner=AtOnce(question.runner.function, x, question.baseline, question.unit_of))
    question = question.replace(spread=1.0)
    return question, ((x - 3) * x.cos()).sum(-1) * torch.tensor([[1.0], [-2.0]]) * exp(-0.5)


@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_a_linear_score_is_explained_exactly_whatever_the_noise(noise: float) -> None:
    question, truth = linear_world(3, 6, 2)
    scores, error = SmoothGrad(samples=8, noise=noise).attribute(question)
    assert torch.allclose(scores.float(), truth, atol=1e-5)
    assert float(error.max()) < 1e-6


def test_without_the_product_a_model_that_normalises_would_have_only_zeros() -> None:
    """Why there is no plain gradient: adding the same to all coordinates of a token changes nothing in a BERT."""
    model = tiny_classifier()
    x = model.embed(model.encoder(TEXT).ids).clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.model(inputs_embeds=x[None]).logits[0, 0], x)
    assert float(slope.sum(-1).abs().max()) < 1e-5 * float(slope.abs().max())


def test_opposite_noise_cancels_what_is_linear_in_the_gradient() -> None:
    question = ask(lambda v: v[:, 0] * v[:, 1], torch.tensor([[3.0], [5.0]]))
    scores, error = SmoothGrad(samples=4, noise=2.0).attribute(question)
    assert torch.allclose(scores.float(), torch.tensor([[15.0, 15.0]]), atol=1e-4)
    assert float(error.max()) < 1e-5


def test_noise_bends_the_gradient_as_much_as_its_size_says() -> None:
    question, truth = wave_world()
    scores, error = SmoothGrad(samples=8000).attribute(question)
    assert bool(((scores - truth).abs() < 4 * error).all())
    assert float(error.max()) < 0.05


def test_noise_is_measured_in_spreads() -> None:
    one, _ = wave_world()
    other, _ = wave_world()
    other = other.replace(spread=2.0)
    assert torch.allclose(
        SmoothGrad(samples=8, noise=1.0).attribute(one)[0], SmoothGrad(samples=8, noise=0.5).attribute(other)[0]
    )


def test_errors_hold_the_truth_in_95_of_100_runs() -> None:
    question, truth = wave_world()
    held = []
    for seed in range(500):
        scores, error = SmoothGrad(samples=64, seed=seed).attribute(question)
        held.append((scores - truth).abs() < 1.96 * error)
    share = torch.stack(held).float().mean(0)
    assert bool(((share > 0.92) & (share < 0.98)).all()), share


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    tiny = name == "tiny"
    model = tiny_classifier() if tiny else request.getfixturevalue("real_model")(name)
    text, targets, samples = (TEXT, [0, 1], 96) if tiny else ("i feel so happy today", [1], 32)
    method = SmoothGrad(samples=samples, noise=0.3)
    (found,) = interp.attribute(model, text, by=method, targets=targets, granularity="token", progress=False)
    ids = model.encoder(text).ids.to(model.device)
    x, absent = model.embed(ids), model.embed(torch.full_like(ids, model.tokenizer.mask_token_id))
    table = model.model.get_input_embeddings().weight.detach()
    size = float(0.3 * table.var(0, correction=0).mean().sqrt())
    for k, target in enumerate(targets):
        runs = captum_runs(model, x, target, size, samples // 4)
        theirs = ((x - absent) * runs).sum(-1)[:, 1:-1].cpu()  # less [CLS] and [SEP]
        both = (theirs.var(0) / len(theirs) + found.error[k] ** 2).sqrt()
        distance = (found.scores[k] - theirs.mean(0)) / both
        assert float(distance.abs().max()) < 5 and float(distance.square().mean()) < 3, distance


def captum_runs(model: TextModel, x: Tensor, target: int, size: float, samples: int, runs: int = 8) -> Tensor:
    """Several independent answers of captum's SmoothGrad, (runs, t, d)."""
    tunnel = NoiseTunnel(CaptumSaliency(lambda e: model.model(inputs_embeds=e).logits))
    settings = {"nt_type": "smoothgrad", "nt_samples": samples, "stdevs": size, "abs": False}
    found = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(runs):
            torch.manual_seed(seed)
            leaf = x[None].clone().requires_grad_()
            found.append(tunnel.attribute(leaf, target=target, **settings)[0].detach())
    return torch.stack(found)


def test_with_almost_no_noise_each_generated_token_has_its_gradient_times_the_input() -> None:
    model = tiny_generator()
    method = SmoothGrad(samples=4, noise=1e-4)
    (found,) = interp.attribute(model, "i feel so", by=method, targets=" happy today", progress=False)
    x = model.embed(found.encoded.ids).clone().requires_grad_()
    chances = model.model(inputs_embeds=x[None]).logits[0].log_softmax(-1)
    absent = model.embed(torch.tensor([model.tokenizer.mask_token_id]))
    for k, target in enumerate(found.targets):
        (slope,) = torch.autograd.grad(chances[target.position - 1, target.index], x, retain_graph=True)
        expected = ((x - absent) * slope).sum(-1).detach()
        expected[target.position :] = 0.0
        assert torch.allclose(found.scores[k], expected[found.encoded.unit_of >= 0], atol=1e-3)


def test_at_a_layer_noise_is_added_to_its_states() -> None:
    model = tiny_classifier()
    text = "the old dog was never calm"
    method = SmoothGrad(samples=4, noise=1e-4)
    (found,) = interp.attribute(model, text, by=method, targets="all", layer=0, progress=False)
    ids = model.encoder(text).ids
    without = ids.clone()
    without[1:-1] = model.tokenizer.mask_token_id
    output = model.model(ids[None], output_hidden_states=True)
    states, absent = output.hidden_states[1], model.model(without[None], output_hidden_states=True).hidden_states[1]
    for k in range(3):
        (slope,) = torch.autograd.grad(output.logits[0, k], states, retain_graph=True)
        assert torch.allclose(found.scores[k], ((states - absent) * slope).sum(-1)[0, 1:-1], atol=1e-3)


def test_backward_passes_are_targets_times_batches() -> None:
    small = tiny_classifier()
    model = TextModel(small.model, small.tokenizer, tokens_per_batch=40)  # 4 rows of 10 tokens
    (found,) = interp.attribute(model, TEXT, by="smooth-grad", samples=32, targets="all", progress=False)
    assert found.made_by.cost.backwards == 3 * 8


def test_fewer_are_drawn_where_rows_are_capped() -> None:
    model = tiny_classifier()
    (found,) = interp.attribute(model, TEXT, by="smooth-grad", samples=64, max_rows=21, progress=False)
    (few,) = interp.attribute(model, TEXT, by="smooth-grad", samples=20, progress=False)
    assert found.rows <= 21 and torch.equal(found.scores, few.scores)
    with pytest.raises(BudgetError, match="max_rows is 2"):
        interp.attribute(model, TEXT, by="smooth-grad", max_rows=2, progress=False)


def test_drawing_stops_once_it_is_good_enough() -> None:
    question, _ = wave_world()
    _, error = SmoothGrad(samples=4000, tolerance=0.3).attribute(question)
    assert 0 < float(error.max()) <= 0.3
    assert question.rows < 2000


@pytest.mark.parametrize("wrong", [{"samples": 3}, {"noise": 0.0}, {"noise": float("nan")}, {"tolerance": 0.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"expected|needed"):
        SmoothGrad(**wrong)
