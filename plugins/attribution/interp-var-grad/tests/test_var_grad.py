"""VarGrad: nothing where the gradient is constant, as captum says on models, and as uncertain as it says."""

from collections.abc import Iterator
from math import exp

import interp_core as interp
import numpy as np
import pytest
import torch
from captum.attr import NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from interp_core.attribution import FunctionRunner, Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.model import TextModel
from interp_core.testing import contract_tests, linear_world, tiny_classifier, tiny_generator
from interp_var_grad.var_grad import Tally, VarGrad
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

test_contract = contract_tests("var-grad", samples=16)
TEXT = "i feel so happy and never tired today"


class AtOnce(FunctionRunner):
    """The slopes of all rows by one backward a target, since rows are independent."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        leaf = x.detach().clone().requires_grad_()
        slopes = [torch.autograd.grad(s.sum(), leaf, retain_graph=True)[0] for s in self.at(leaf).T]
        yield from torch.stack(slopes, dim=1)


def wave_world() -> tuple[Question, Tensor]:
    """A score with the gradient cos x, whose variance under noise of size 1 is E cos² less the square of E cos."""
    x = torch.tensor([[1.0, -0.5], [0.3, 2.0], [-1.5, 0.1]])
    question = ask(lambda v: v.sin().sum((1, 2))[:, None] * torch.tensor([1.0, -2.0]), x)
    question = question.replace(runner=AtOnce(question.runner.function, x, question.baseline, question.unit_of))
    question = question.replace(spread=1.0)
    variance = (1 + (2 * x).cos() * exp(-2)) / 2 - x.cos() ** 2 * exp(-1)
    return question, variance.sum(-1) * torch.tensor([[1.0], [4.0]])


def test_the_gradient_of_a_linear_score_does_not_vary() -> None:
    question, _ = linear_world(3, 6, 2)
    scores, error = VarGrad(samples=20, noise=2.0).attribute(question)
    assert float(scores.max()) < 1e-10 and float(error.max()) < 1e-10


def test_the_factors_of_a_product_vary_with_each_other() -> None:
    """The gradient of one factor is the other, whose variance is that of the noise."""
    question = ask(lambda v: v[:, 0] * v[:, 1], torch.tensor([[3.0], [5.0]]))
    scores, error = VarGrad(samples=4000, noise=0.5).attribute(question)
    assert bool(((scores - (0.5 * question.spread) ** 2).abs() < 4 * error).all())


def test_the_variance_is_that_of_the_noise_asked_for() -> None:
    question, truth = wave_world()
    scores, error = VarGrad(samples=8000, noise=1.0).attribute(question)
    assert bool(((scores - truth).abs() < 4 * error).all())
    assert float((error / truth).max()) < 0.02


def test_noise_is_measured_in_spreads() -> None:
    one, _ = wave_world()
    other, _ = wave_world()
    other = other.replace(spread=2.0)
    pair = VarGrad(samples=8, noise=1.0).attribute(one)[0], VarGrad(samples=8, noise=0.5).attribute(other)[0]
    assert torch.allclose(*pair)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_increments_add_up_to_the_variance_of_numpy(count: int) -> None:
    slopes = 3 + torch.randn(count, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    increments = torch.stack(list(Tally().increments(slopes)))
    assert len(increments) == count - 1
    assert np.allclose(increments.mean(0), slopes.numpy().var(axis=0, ddof=1), rtol=1e-4)


def test_a_tally_goes_on_where_it_stopped() -> None:
    slopes = torch.randn(30, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    tally = Tally()
    parts = [*tally.increments(slopes[:11]), *tally.increments(slopes[11:])]
    assert np.allclose(torch.stack(parts).mean(0), slopes.numpy().var(axis=0, ddof=1), rtol=1e-4)


def test_errors_hold_the_truth_in_95_of_100_runs() -> None:
    question, truth = wave_world()
    held = []
    for seed in range(500):
        scores, error = VarGrad(samples=64, noise=1.0, seed=seed).attribute(question)
        held.append((scores - truth).abs() < 1.96 * error)
    share = torch.stack(held).float().mean(0)
    assert bool(((share > 0.92) & (share < 0.98)).all()), share


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    """Captum divides by the number of samples where we divide by one less."""
    tiny = name == "tiny"
    model = tiny_classifier() if tiny else request.getfixturevalue("real_model")(name)
    text, targets, samples = (TEXT, [0, 1], 96) if tiny else ("i feel so happy today", [1], 32)
    method = VarGrad(samples=samples, noise=0.3)
    (found,) = interp.attribute(model, text, by=method, targets=targets, granularity="token", progress=False)
    x = model.embed(model.encoder(text).ids.to(model.device))
    table = model.model.get_input_embeddings().weight.detach()
    size = float(0.3 * table.var(0, correction=0).mean().sqrt())
    each = samples // 4
    for k, target in enumerate(targets):
        theirs = captum_runs(model, x, target, size, each).sum(-1)[:, 1:-1].cpu()  # less [CLS] and [SEP]
        theirs = theirs * each / (each - 1)
        both = (theirs.var(0) / len(theirs) + found.error[k] ** 2).sqrt()
        distance = (found.scores[k] - theirs.mean(0)) / both
        assert float(distance.abs().max()) < 5 and float(distance.square().mean()) < 3, distance


def captum_runs(model: TextModel, x: Tensor, target: int, size: float, samples: int, runs: int = 8) -> Tensor:
    """Several independent answers of captum's VarGrad, (runs, t, d)."""
    tunnel = NoiseTunnel(CaptumSaliency(lambda e: model.model(inputs_embeds=e).logits))
    settings = {"nt_type": "vargrad", "nt_samples": samples, "stdevs": size, "abs": False}
    found = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(runs):
            torch.manual_seed(seed)
            leaf = x[None].clone().requires_grad_()
            found.append(tunnel.attribute(leaf, target=target, **settings)[0].detach())
    return torch.stack(found)


def test_a_generated_token_varies_with_what_comes_before_it_alone() -> None:
    model = tiny_generator()
    method = VarGrad(samples=16)
    (found,) = interp.attribute(model, "i feel so", by=method, targets=" happy today", progress=False)
    assert found.words[-2:] == ["happy", "today"]
    assert (found.scores > 0).tolist() == [[True] * 3 + [False] * 2, [True] * 4 + [False]]


def test_at_a_layer_noise_is_added_to_its_states() -> None:
    """With little noise the variance is the size of the noise, squared, times that of the second derivatives."""
    model = tiny_classifier()
    text = "so calm"
    method = VarGrad(samples=2000, noise=0.01)
    (found,) = interp.attribute(model, text, by=method, targets=0, layer=0, progress=False)
    states = model.model(model.encoder(text).ids[None], output_hidden_states=True).hidden_states[1].detach()[0]

    def score(x: Tensor) -> Tensor:
        hidden = model.model.bert.encoder.layer[1](x[None])
        hidden = hidden if isinstance(hidden, Tensor) else hidden[0]
        return model.model.classifier(model.model.bert.pooler(hidden))[0, 0]

    with sdpa_kernel(SDPBackend.MATH):  # the fast one has no second derivatives
        second = torch.autograd.functional.hessian(score, states)  # (f, d, f, d)
    size = 0.01 * float((states - states.mean(0)).square().mean().sqrt())
    expected = size**2 * second.square().sum((1, 2, 3))[1:-1]
    assert torch.allclose(found.scores[0], expected, rtol=0.15)


def test_backward_passes_are_targets_times_batches() -> None:
    small = tiny_classifier()
    model = TextModel(small.model, small.tokenizer, tokens_per_batch=40)  # 4 rows of 10 tokens
    (found,) = interp.attribute(model, TEXT, by="var-grad", samples=32, targets="all", progress=False)
    assert found.made_by.cost.backwards == 3 * 8


def test_fewer_are_drawn_where_rows_are_capped() -> None:
    model = tiny_classifier()
    (found,) = interp.attribute(model, TEXT, by="var-grad", samples=64, max_rows=21, progress=False)
    (few,) = interp.attribute(model, TEXT, by="var-grad", samples=20, progress=False)
    assert found.rows <= 21 and torch.equal(found.scores, few.scores)
    with pytest.raises(BudgetError, match="max_rows is 2"):
        interp.attribute(model, TEXT, by="var-grad", max_rows=2, progress=False)


def test_drawing_stops_once_it_is_good_enough() -> None:
    question, _ = wave_world()
    _, error = VarGrad(samples=4000, noise=1.0, tolerance=0.2).attribute(question)
    assert 0 < float(error.max()) <= 0.2
    assert question.rows < 2000


@pytest.mark.parametrize("wrong", [{"samples": 3}, {"noise": 0.0}, {"noise": float("nan")}, {"tolerance": 0.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"expected|needed"):
        VarGrad(**wrong)
