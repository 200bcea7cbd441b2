"""Expected gradients: exact where the integral is known, as captum says on models, and as uncertain as it says."""

from collections.abc import Iterator

import interp_core as interp
import numpy as np
import pytest
import torch
from captum.attr import GradientShap, IntegratedGradients
from interp_core.attribution import FunctionRunner, Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.model import TextModel
from interp_core.testing import contract_tests, linear_world, tiny_classifier, tiny_generator
from interp_expected_gradients.expected_gradients import ExpectedGradients
from torch import Tensor

test_contract = contract_tests("expected-gradients", samples=16)
TEXT = "i feel so happy and never tired today"


class AtOnce(FunctionRunner):
    """The slopes of all rows by one backward a target, since rows are independent."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        leaf = x.detach().clone().requires_grad_()
        slopes = [torch.autograd.grad(s.sum(), leaf, retain_graph=True)[0] for s in self.at(leaf).T]
        yield from torch.stack(slopes, dim=1)


def wave_world() -> tuple[Question, Tensor]:
    """Scores are sums of sin x, so a coordinate is worth sin x less the mean of sin over the background."""
    x = torch.tensor([[1.0, -0.5], [0.3, 2.0], [-1.5, 0.1]])
    question = ask(lambda v: v.sin().sum((1, 2))[:, None] * torch.tensor([1.0, -2.0]), x)
    question = question.replace(runner=AtOnce(question.runner.function, x, question.baseline, question.unit_of))
    question = question.replace(background=1 + torch.randn(40, 2, generator=torch.Generator().manual_seed(5)))
    worth = x.sin() - question.background.sin().mean(0)
    return question, worth.sum(-1) * torch.tensor([[1.0], [-2.0]])


def test_a_linear_score_is_explained_exactly_from_one_baseline() -> None:
    question, truth = linear_world(3, 6, 2)
    scores, error = ExpectedGradients(samples=8).attribute(question)
    assert torch.allclose(scores.float(), truth, atol=1e-5)
    assert float(error.max()) < 1e-5


def test_references_are_drawn_from_the_whole_background() -> None:
    question, truth = wave_world()
    scores, error = ExpectedGradients(samples=8000).attribute(question)
    assert bool(((scores - truth).abs() < 4 * error).all())
    assert float(error.max()) < 0.05


def test_one_reference_gives_its_integrated_gradients() -> None:
    question, _ = wave_world()
    question = question.replace(background=torch.full((1, 2), 0.7))
    scores, error = ExpectedGradients(samples=4000).attribute(question)
    worth = (question.x.sin() - question.background.sin()).sum(-1)
    assert bool(((scores[0] - worth).abs() < 4 * error[0]).all())
    assert float(error.max()) < 0.01


def test_even_shares_of_the_way_have_a_smaller_error_than_independent_ones() -> None:
    question, _ = wave_world()
    question = question.replace(background=torch.full((1, 2), 0.7))
    x, base = question.x, question.background
    share = torch.rand(4000, 1, 1, generator=torch.Generator().manual_seed(1))
    alone = ((x - base) * (base + share * (x - base)).cos()).sum(-1).std(0) / 200**0.5
    _, error = ExpectedGradients(samples=200).attribute(question)
    assert bool((error[0] < alone / 2).all())


def test_errors_hold_the_truth_in_95_of_100_runs() -> None:
    question, truth = wave_world()
    held = []
    for seed in range(500):
        scores, error = ExpectedGradients(samples=100, seed=seed).attribute(question)
        held.append((scores - truth).abs() < 1.96 * error)
    share = torch.stack(held).float().mean(0)
    assert bool(((share > 0.92) & (share < 0.98)).all()), share


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    """Captum draws its references from texts of random tokens of the same vocabulary."""
    tiny = name == "tiny"
    model = tiny_classifier() if tiny else request.getfixturevalue("real_model")(name)
    text, targets, samples = (TEXT, [0, 1], 200) if tiny else ("i feel so happy today", [1], 96)
    method = ExpectedGradients(samples=samples)
    (found,) = interp.attribute(model, text, by=method, targets=targets, granularity="token", progress=False)
    ids = model.encoder(text).ids
    count = len(model.model.get_input_embeddings().weight)
    known = torch.arange(0, count, max(1, count // 1024))
    some = known[torch.randint(len(known), (500, len(ids)), generator=torch.Generator().manual_seed(3))]
    some[:, 0], some[:, -1] = ids[0], ids[-1]  # [CLS] and [SEP] stay
    references = torch.stack([model.embed(row.to(model.device)) for row in some])
    x = model.embed(ids.to(model.device))
    for k, target in enumerate(targets):
        theirs = captum_runs(model, x, references, target, samples // 4).sum(-1)[:, 1:-1].cpu()
        both = (theirs.var(0) / len(theirs) + found.error[k] ** 2).sqrt()
        distance = (found.scores[k] - theirs.mean(0)) / both
        assert float(distance.abs().max()) < 5 and float(distance.square().mean()) < 3, distance


def captum_runs(model: TextModel, x: Tensor, references: Tensor, target: int, samples: int, runs: int = 8) -> Tensor:
    """Several independent answers of captum's GradientShap without noise, (runs, t, d)."""
    theirs = GradientShap(lambda e: model.model(inputs_embeds=e).logits)
    found, before = [], np.random.get_state()
    for seed in range(runs):
        np.random.seed(seed)
        leaf = x[None].clone().requires_grad_()
        found.append(theirs.attribute(leaf, references, target=target, n_samples=samples)[0].detach())
    np.random.set_state(before)
    return torch.stack(found)


def test_scores_of_a_generated_token_add_up_to_what_its_context_brings_over_random_words() -> None:
    model = tiny_generator()
    method = ExpectedGradients(samples=2000)
    (found,) = interp.attribute(model, "i feel so", by=method, targets=" happy today", progress=False)
    ids = found.encoded.ids
    some = torch.randint(model.model.config.vocab_size, (2000, len(ids)), generator=torch.Generator().manual_seed(3))
    some = torch.where(found.encoded.unit_of >= 0, some, ids)
    with torch.no_grad():
        intact, others = (model.model(i).logits.log_softmax(-1) for i in (ids[None], some))
    for k, target in enumerate(found.targets):
        place = target.position - 1, target.index
        gap = intact[0, *place] - others[:, *place].mean()
        noise = (others[:, *place].var() / len(some) + (found.error[k].sum()) ** 2).sqrt()
        assert abs(float(found.scores[k].sum() - gap)) < 3 * float(noise)
        assert found.scores[k][-2 + k :].tolist() == [0.0] * (2 - k)


def test_at_a_layer_the_reference_is_the_state_of_the_emptied_text() -> None:
    model = tiny_classifier()
    method = ExpectedGradients(samples=800)
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
    (found,) = interp.attribute(model, TEXT, by="expected-gradients", samples=32, targets="all", progress=False)
    assert found.made_by.cost.backwards == 3 * 8


def test_fewer_are_drawn_where_rows_are_capped() -> None:
    model = tiny_classifier()
    (found,) = interp.attribute(model, TEXT, by="expected-gradients", samples=64, max_rows=23, progress=False)
    (few,) = interp.attribute(model, TEXT, by="expected-gradients", samples=20, progress=False)
    assert found.rows <= 23 and torch.equal(found.scores, few.scores)
    with pytest.raises(BudgetError, match="max_rows is 4"):
        interp.attribute(model, TEXT, by="expected-gradients", max_rows=4, progress=False)


def test_drawing_stops_once_it_is_good_enough() -> None:
    question, _ = wave_world()
    _, error = ExpectedGradients(samples=16_000, tolerance=0.15).attribute(question)
    assert 0 < float(error.max()) <= 0.15
    assert question.rows < 8000


@pytest.mark.parametrize("wrong", [{"samples": 7}, {"tolerance": 0.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"expected|needed"):
        ExpectedGradients(**wrong)
