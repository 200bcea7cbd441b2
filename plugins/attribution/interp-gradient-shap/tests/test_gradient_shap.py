"""GradientSHAP: integrated gradients of noisy inputs, as captum says on models, and as uncertain as it says."""

from collections.abc import Iterator
from math import exp

import interp_core as interp
import numpy as np
import pytest
import torch
from captum.attr import GradientShap as CaptumGradientShap
from captum.attr import IntegratedGradients
from interp_core.attribution import FunctionRunner, Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.model import TextModel
from interp_core.testing import contract_tests, linear_world, tiny_classifier, tiny_generator
from interp_gradient_shap.gradient_shap import GradientShap
from torch import Tensor

test_contract = contract_tests("gradient-shap", samples=16)
TEXT = "i feel so happy and never tired today"


class AtOnce(FunctionRunner):
    """The slopes of all rows by one backward a target, since rows are independent."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        leaf = x.detach().clone().requires_grad_()
        slopes = [torch.autograd.grad(s.sum(), leaf, retain_graph=True)[0] for s in self.at(leaf).T]
        yield from torch.stack(slopes, dim=1)


def wave_world() -> tuple[Question, Tensor]:
    """Scores are sums of sin x, so a coordinate is worth E sin(x + noise) - sin b = sin x · exp(-1/2) - sin b."""
    x = torch.tensor([[1.0, -0.5], [0.3, 2.0], [-1.5, 0.1]])
    question = ask(lambda v: v.sin().sum((1, 2))[:, None] * torch.tensor([1.0, -2.0]), x, torch.full_like(x, 3.0))
    question = question.replace(runner=AtOnce(question.runner.function, x, question.baseline, question.unit_of))
    question = question.replace(spread=1.0)
    worth = x.sin() * exp(-0.5) - torch.tensor(3.0).sin()
    return question, worth.sum(-1) * torch.tensor([[1.0], [-2.0]])


@pytest.mark.parametrize("noise", [0.0, 0.1, 3.0])
def test_a_linear_score_is_explained_exactly_whatever_the_noise(noise: float) -> None:
    question, truth = linear_world(3, 6, 2)
    scores, error = GradientShap(samples=16, noise=noise).attribute(question)
    assert torch.allclose(scores.float(), truth, atol=1e-5)
    assert float(error.max()) < 1e-5


def test_noisy_inputs_have_their_integrated_gradients() -> None:
    question, truth = wave_world()
    scores, error = GradientShap(samples=8000, noise=1.0).attribute(question)
    assert bool(((scores - truth).abs() < 4 * error).all())
    assert float(error.max()) < 0.06


def test_without_noise_it_is_integrated_gradients() -> None:
    question, _ = wave_world()
    scores, error = GradientShap(samples=8000, noise=0.0).attribute(question)
    worth = question.x.sin() - question.baseline.sin()
    assert bool(((scores[0] - worth.sum(-1)).abs() < 4 * error[0]).all())
    assert float(error.max()) < 0.03


def test_noise_is_measured_in_spreads() -> None:
    one, _ = wave_world()
    other, _ = wave_world()
    other = other.replace(spread=2.0)
    pair = (GradientShap(samples=16, noise=n).attribute(q)[0] for n, q in ((1.0, one), (0.5, other)))
    assert torch.allclose(*pair)


def test_even_shares_of_the_way_have_a_smaller_error_than_independent_ones() -> None:
    question, _ = wave_world()
    x, base = question.x, question.baseline
    share = torch.rand(4000, 1, 1, generator=torch.Generator().manual_seed(1))
    alone = ((x - base) * (base + share * (x - base)).cos()).sum(-1).std(0) / 128**0.5
    _, error = GradientShap(samples=128, noise=0.0).attribute(question)
    assert bool((error[0] < alone / 3).all())


def test_errors_hold_the_truth_in_95_of_100_runs() -> None:
    question, truth = wave_world()
    held = []
    for seed in range(500):
        scores, error = GradientShap(samples=256, noise=1.0, seed=seed).attribute(question)
        held.append((scores - truth).abs() < 1.96 * error)
    share = torch.stack(held).float().mean(0)
    assert bool(((share > 0.92) & (share < 0.98)).all()), share


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    tiny = name == "tiny"
    model = tiny_classifier() if tiny else request.getfixturevalue("real_model")(name)
    text, targets, samples = (TEXT, [0, 1], 160) if tiny else ("i feel so happy today", [1], 64)
    method = GradientShap(samples=samples, noise=0.3)
    (found,) = interp.attribute(model, text, by=method, targets=targets, granularity="token", progress=False)
    x, absent = ends(model, text)
    table = model.model.get_input_embeddings().weight.detach()
    size = float(0.3 * table.var(0, correction=0).mean().sqrt())
    for k, target in enumerate(targets):
        theirs = captum_runs(model, x, absent, target, size, samples // 4).sum(-1)[:, 1:-1].cpu()
        both = (theirs.var(0) / len(theirs) + found.error[k] ** 2).sqrt()
        distance = (found.scores[k] - theirs.mean(0)) / both
        assert float(distance.abs().max()) < 5 and float(distance.square().mean()) < 3, distance


def ends(model: TextModel, text: str) -> tuple[Tensor, Tensor]:
    """The embeddings of a text, and those with all but [CLS] and [SEP] replaced by the mask."""
    ids = model.encoder(text).ids.to(model.device)
    without = ids.clone()
    without[1:-1] = model.tokenizer.mask_token_id
    return model.embed(ids), model.embed(without)


def captum_runs(
    model: TextModel, x: Tensor, absent: Tensor, target: int, size: float, samples: int, runs: int = 8
) -> Tensor:
    """Several independent answers of captum's GradientShap, (runs, t, d)."""
    theirs = CaptumGradientShap(lambda e: model.model(inputs_embeds=e).logits)
    found, before = [], np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        for seed in range(runs):
            torch.manual_seed(seed)
            np.random.seed(seed)
            leaf = x[None].clone().requires_grad_()
            answer = theirs.attribute(leaf, absent[None], target=target, n_samples=samples, stdevs=size)
            found.append(answer[0].detach())
    np.random.set_state(before)
    return torch.stack(found)


def test_on_a_classifier_it_agrees_with_integrated_gradients() -> None:
    model = tiny_classifier()
    method = GradientShap(samples=1600, noise=0.0)
    (found,) = interp.attribute(model, TEXT, by=method, targets=0, progress=False)
    x, absent = ends(model, TEXT)
    theirs = IntegratedGradients(lambda e: model.model(inputs_embeds=e).logits)
    expected = theirs.attribute(x[None], absent[None], target=0, n_steps=400)[0].sum(-1)[1:-1]
    assert torch.allclose(found.scores[0], expected.detach().float(), atol=5 * float(found.error.max()))
    assert float(found.error.max()) < 0.02 * float(found.scores.abs().max())


def test_scores_of_generated_tokens_add_up_to_what_their_context_brings() -> None:
    model = tiny_generator()
    method = GradientShap(samples=800, noise=0.0)
    (found,) = interp.attribute(model, "i feel so", by=method, targets=" happy today", progress=False)
    ids = found.encoded.ids
    without = torch.where(found.encoded.unit_of >= 0, model.tokenizer.mask_token_id, ids)
    with torch.no_grad():
        intact, emptied = (model.model(i[None]).logits[0].log_softmax(-1) for i in (ids, without))
    for k, target in enumerate(found.targets):
        place = target.position - 1, target.index
        gap = intact[*place] - emptied[*place]
        assert abs(float(found.scores[k].sum() - gap)) < 0.03 * float(found.scores[k].abs().sum())
        assert found.scores[k][-2 + k :].tolist() == [0.0] * (2 - k)


def test_at_a_layer_the_way_starts_from_the_states_of_the_emptied_text() -> None:
    model = tiny_classifier()
    method = GradientShap(samples=800, noise=0.0)
    (found,) = interp.attribute(model, TEXT, by=method, targets="all", layer=0, progress=False)
    ids = model.encoder(TEXT).ids
    without = ids.clone()
    without[1:-1] = model.tokenizer.mask_token_id
    states, absent = (model.model(i[None], output_hidden_states=True).hidden_states[1] for i in (ids, without))
    absent = torch.cat([states[:, :1], absent[:, 1:-1], states[:, -1:]], dim=1)  # [CLS] and [SEP] stay

    def forward(hidden: Tensor) -> Tensor:
        after = model.model.bert.encoder.layer[1](hidden)
        pooled = model.model.bert.pooler(after if isinstance(after, Tensor) else after[0])
        return model.model.classifier(pooled)

    for k in range(3):
        theirs = IntegratedGradients(forward).attribute(states.detach(), absent.detach(), target=k, n_steps=200)
        expected = theirs[0].sum(-1)[1:-1].float()
        assert torch.allclose(found.scores[k], expected, atol=5 * float(found.error.max()))


def test_backward_passes_are_targets_times_batches() -> None:
    small = tiny_classifier()
    model = TextModel(small.model, small.tokenizer, tokens_per_batch=40)  # 4 rows of 10 tokens
    (found,) = interp.attribute(model, TEXT, by="gradient-shap", samples=32, targets="all", progress=False)
    assert found.made_by.cost.backwards == 3 * 8


def test_fewer_are_drawn_where_rows_are_capped() -> None:
    model = tiny_classifier()
    (found,) = interp.attribute(model, TEXT, by="gradient-shap", samples=64, max_rows=30, progress=False)
    (few,) = interp.attribute(model, TEXT, by="gradient-shap", samples=24, progress=False)
    assert found.rows <= 30 and torch.equal(found.scores, few.scores)
    with pytest.raises(BudgetError, match="max_rows is 8"):
        interp.attribute(model, TEXT, by="gradient-shap", max_rows=8, progress=False)


def test_drawing_stops_once_it_is_good_enough() -> None:
    question, _ = wave_world()
    _, error = GradientShap(samples=16_000, noise=1.0, tolerance=0.1).attribute(question)
    assert 0 < float(error.max()) <= 0.1
    assert question.rows < 8000


@pytest.mark.parametrize("wrong", [{"samples": 15}, {"noise": -0.1}, {"noise": float("nan")}, {"tolerance": 0.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"expected|needed"):
        GradientShap(**wrong)
