"""SquareGrad: exact where the gradient is known, as captum says on models, and as uncertain as it says."""

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
from interp_square_grad.square_grad import SquareGrad
from torch import Tensor

test_contract = contract_tests("square-grad", samples=16)
TEXT = "i feel so happy and never tired today"


class AtOnce(FunctionRunner):
    """The slopes of all rows by one backward a target, since rows are independent."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        leaf = x.detach().clone().requires_grad_()
        slopes = [torch.autograd.grad(s.sum(), leaf, retain_graph=True)[0] for s in self.at(leaf).T]
        yield from torch.stack(slopes, dim=1)


def wave_world() -> tuple[Question, Tensor]:
    """A score with the gradient cos x; under noise of size 1 its mean square is (1 + cos 2x · exp(-2)) / 2."""
    x = torch.tensor([[1.0, -0.5], [0.3, 2.0], [-1.5, 0.1]])
    question = ask(lambda v: v.sin().sum((1, 2))[:, None] * torch.tensor([1.0, -2.0]), x)
    question = question.replace(runner=AtOnce(question.runner.function, x, question.baseline, question.unit_of))
    question = question.replace(spread=1.0)
    return question, ((1 + (2 * x).cos() * exp(-2)) / 2).sum(-1) * torch.tensor([[1.0], [4.0]])


def test_a_linear_score_has_the_squares_of_its_weights() -> None:
    weight = torch.tensor([[1.0, -2.0], [-3.0, -4.0]])
    question = ask(lambda v: (v * weight).sum((1, 2))[:, None], torch.randn(2, 2))
    scores, error = SquareGrad(samples=4).attribute(question)
    assert scores.tolist() == [[5.0, 25.0]] and error.tolist() == [[0.0, 0.0]]


def test_the_mean_square_is_that_of_the_noise_asked_for() -> None:
    question, truth = wave_world()
    scores, error = SquareGrad(samples=8000, noise=1.0).attribute(question)
    assert bool(((scores - truth).abs() < 4 * error).all())
    assert float((error / truth).max()) < 0.02


def test_noise_is_measured_in_spreads() -> None:
    one, _ = wave_world()
    other, _ = wave_world()
    other = other.replace(spread=2.0)
    pair = SquareGrad(samples=8, noise=1.0).attribute(one)[0], SquareGrad(samples=8, noise=0.5).attribute(other)[0]
    assert torch.allclose(*pair)


def test_opposite_noise_lowers_the_error_where_the_gradient_is_nearly_linear() -> None:
    """Around cos² the part that is linear in the noise is most of the variance: little of it is left."""
    question, _ = wave_world()
    x, size = question.x, 0.02
    noise = size * torch.randn(4000, *x.shape, generator=torch.Generator().manual_seed(1))
    alone = (x + noise).cos().square().sum(-1).std(0) / 200**0.5
    _, error = SquareGrad(samples=200, noise=size).attribute(question)
    assert bool((error[0] < alone / 2).all())


def test_errors_hold_the_truth_in_95_of_100_runs() -> None:
    question, truth = wave_world()
    held = []
    for seed in range(500):
        scores, error = SquareGrad(samples=64, noise=1.0, seed=seed).attribute(question)
        held.append((scores - truth).abs() < 1.96 * error)
    share = torch.stack(held).float().mean(0)
    assert bool(((share > 0.92) & (share < 0.98)).all()), share


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    tiny = name == "tiny"
    model = tiny_classifier() if tiny else request.getfixturevalue("real_model")(name)
    text, targets, samples = (TEXT, [0, 1], 96) if tiny else ("i feel so happy today", [1], 32)
    method = SquareGrad(samples=samples, noise=0.3)
    (found,) = interp.attribute(model, text, by=method, targets=targets, granularity="token", progress=False)
    x = model.embed(model.encoder(text).ids.to(model.device))
    table = model.model.get_input_embeddings().weight.detach()
    size = float(0.3 * table.var(0, correction=0).mean().sqrt())
    for k, target in enumerate(targets):
        theirs = captum_runs(model, x, target, size, samples // 4).sum(-1)[:, 1:-1].cpu()  # less [CLS] and [SEP]
        both = (theirs.var(0) / len(theirs) + found.error[k] ** 2).sqrt()
        distance = (found.scores[k] - theirs.mean(0)) / both
        assert float(distance.abs().max()) < 5 and float(distance.square().mean()) < 3, distance


def captum_runs(model: TextModel, x: Tensor, target: int, size: float, samples: int, runs: int = 8) -> Tensor:
    """Several independent answers of captum's SmoothGrad squared, (runs, t, d)."""
    tunnel = NoiseTunnel(CaptumSaliency(lambda e: model.model(inputs_embeds=e).logits))
    settings = {"nt_type": "smoothgrad_sq", "nt_samples": samples, "stdevs": size, "abs": False}
    found = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(runs):
            torch.manual_seed(seed)
            leaf = x[None].clone().requires_grad_()
            found.append(tunnel.attribute(leaf, target=target, **settings)[0].detach())
    return torch.stack(found)


def test_with_almost_no_noise_each_generated_token_has_its_squared_gradient() -> None:
    model = tiny_generator()
    method = SquareGrad(samples=4, noise=1e-4)
    (found,) = interp.attribute(model, "i feel so", by=method, targets=" happy today", progress=False)
    x = model.embed(found.encoded.ids).clone().requires_grad_()
    chances = model.model(inputs_embeds=x[None]).logits[0].log_softmax(-1)
    for k, target in enumerate(found.targets):
        (slope,) = torch.autograd.grad(chances[target.position - 1, target.index], x, retain_graph=True)
        expected = slope.square().sum(-1)
        expected[target.position :] = 0.0
        assert torch.allclose(found.scores[k], expected[found.encoded.unit_of >= 0], rtol=1e-2, atol=1e-3)


def test_at_a_layer_noise_is_added_to_its_states() -> None:
    model = tiny_classifier()
    text = "the old dog was never calm"
    method = SquareGrad(samples=4, noise=1e-4)
    (found,) = interp.attribute(model, text, by=method, targets="all", layer=0, progress=False)
    output = model.model(model.encoder(text).ids[None], output_hidden_states=True)
    for k in range(3):
        (slope,) = torch.autograd.grad(output.logits[0, k], output.hidden_states[1], retain_graph=True)
        assert torch.allclose(found.scores[k], slope[0].square().sum(-1)[1:-1], rtol=1e-2, atol=1e-3)


def test_backward_passes_are_targets_times_batches() -> None:
    small = tiny_classifier()
    model = TextModel(small.model, small.tokenizer, tokens_per_batch=40)  # 4 rows of 10 tokens
    (found,) = interp.attribute(model, TEXT, by="square-grad", samples=32, targets="all", progress=False)
    assert found.made_by.cost.backwards == 3 * 8


def test_fewer_are_drawn_where_rows_are_capped() -> None:
    model = tiny_classifier()
    (found,) = interp.attribute(model, TEXT, by="square-grad", samples=64, max_rows=21, progress=False)
    (few,) = interp.attribute(model, TEXT, by="square-grad", samples=20, progress=False)
    assert found.rows <= 21 and torch.equal(found.scores, few.scores)
    with pytest.raises(BudgetError, match="max_rows is 2"):
        interp.attribute(model, TEXT, by="square-grad", max_rows=2, progress=False)


def test_drawing_stops_once_it_is_good_enough() -> None:
    question, _ = wave_world()
    _, error = SquareGrad(samples=4000, noise=1.0, tolerance=0.2).attribute(question)
    assert 0 < float(error.max()) <= 0.2
    assert question.rows < 2000


def test_it_is_no_method_with_signs() -> None:
    question, truth = linear_world(2, 8, 2)
    scores, _ = SquareGrad(samples=4).attribute(question)
    assert bool((scores >= 0).all()) and bool((truth < 0).any())


@pytest.mark.parametrize("wrong", [{"samples": 3}, {"noise": 0.0}, {"noise": float("nan")}, {"tolerance": 0.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"expected|needed"):
        SquareGrad(**wrong)
