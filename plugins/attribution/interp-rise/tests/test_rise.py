"""RISE is the Banzhaf value, exactly or with honest errors, and the paper's map is the mean score given kept."""

import itertools

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import InputError
from interp_core.testing import contract_tests, linear_world, tangled_world, tiny_classifier, tiny_generator
from interp_rise.rise import Rise

test_contract = contract_tests("rise", samples=256)


def subsets(u: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product([False, True], repeat=u)))


def banzhaf(question: Question) -> torch.Tensor:
    """The mean of score(S with i) - score(S) over all S without i, by a loop over units and subsets."""
    u = len(question.units)
    columns = []
    for i in range(u):
        without = [list(s) for s in itertools.product([False, True], repeat=u) if not s[i]]
        with_it = [[kept or j == i for j, kept in enumerate(s)] for s in without]
        gain = question.masked(torch.tensor(with_it)).double() - question.masked(torch.tensor(without)).double()
        columns.append(gain.mean(0))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("units", [1, 2, 7])
def test_the_exact_difference_is_the_banzhaf_value(units: int) -> None:
    question = tangled_world(1, units=units, targets=3)
    scores, error = Rise(samples=2 ** max(2, units)).attribute(question)
    assert torch.allclose(scores, banzhaf(question), atol=1e-6)
    assert not error.any()


def test_the_paper_s_own_map_is_the_mean_score_of_masks_that_keep_a_unit() -> None:
    question = tangled_world(2, units=6, targets=2)
    scores, error = Rise(difference=False).attribute(question)
    masks = subsets(6)
    for i in range(6):
        assert torch.allclose(scores[:, i], question.masked(masks[masks[:, i]]).double().mean(0), atol=1e-6)
    assert not error.any()


def test_the_paper_s_own_map_is_half_the_difference_above_the_mean_of_all_masks() -> None:
    question = tangled_world(3, units=12)
    mean = question.masked(subsets(12)).double().mean(0)
    difference, _ = Rise(samples=4096).attribute(question)
    paper, _ = Rise(samples=4096, difference=False).attribute(question)
    assert torch.allclose(paper, mean[:, None] + difference / 2, atol=1e-6)


@pytest.mark.parametrize("difference", [True, False])
def test_the_interval_holds_the_exact_answer_as_often_as_it_says(difference: bool) -> None:
    question = tangled_world(5, units=8, targets=1)
    truth, _ = Rise(samples=256, difference=difference).attribute(question)
    runs = [Rise(samples=128, seed=seed, difference=difference).attribute(question) for seed in range(500)]
    held = torch.stack([(scores - truth).abs() <= 1.96 * error for scores, error in runs])
    assert 0.92 <= float(held.double().mean()) <= 0.98


def test_a_unit_is_kept_in_exactly_half_of_the_masks() -> None:
    """So a score that counts only the first unit is found without noise there, however few the masks."""
    question = ask(lambda v: 3 + 2 * v[:, 0], torch.ones(20, 1))
    scores, error = Rise(samples=40).attribute(question)
    assert float(scores[0, 0]) == pytest.approx(2.0)
    assert float(error[0, 0]) == pytest.approx(0.0, abs=1e-7)
    assert float(scores[0, 1:].abs().max()) > 0


def test_each_unit_is_kept_with_probability_one_half() -> None:
    """Of six units that count only together each is worth what it adds to the other five, all of them kept: 1 / 2^5."""
    question = ask(lambda v: v[:, :6, 0].prod(1, keepdim=True), torch.ones(20, 1))
    scores, error = Rise(samples=30_000).attribute(question)
    assert float(error[0, :6].max()) < 0.003
    assert float(((scores[0, :6] - 1 / 32) / error[0, :6]).abs().max()) < 4


def test_what_all_masks_share_leaves_no_noise() -> None:
    question = ask(lambda v: 1000 + 0 * v[:, 0], torch.ones(20, 1))
    scores, error = Rise(samples=20).attribute(question)
    assert not scores.any() and not error.any()


def test_all_masks_are_evaluated_once() -> None:
    question, truth = linear_world(2, 9, 2)
    scores, _ = Rise(samples=512).attribute(question)
    assert question.rows == 512
    assert torch.allclose(scores, truth.double(), atol=1e-5)


def test_fewer_masks_are_drawn_under_a_limit_on_rows() -> None:
    question, truth = linear_world(2, 9, 2)
    question = question.with_budget(102)
    scores, error = Rise(samples=512).attribute(question)
    question.intact()
    question.emptied()
    assert 90 <= question.rows <= 102
    assert bool(error.any()) and float(((scores - truth) / error).abs().max()) < 4


def test_it_stops_when_no_error_is_above_the_tolerance() -> None:
    question = tangled_world(5, units=14)
    full = Rise(samples=4000).attribute(question)[1]
    assert 3000 < question.rows <= 4000
    coarse = tangled_world(5, units=14)
    _, error = Rise(samples=4000, tolerance=4 * float(full.max())).attribute(coarse)
    assert float(error.max()) <= 4 * float(full.max())
    assert 64 <= coarse.rows < 1000


def test_several_targets_are_explained_as_one_at_a_time() -> None:
    model = tiny_classifier()
    text = "the old cat was never calm and always cold today"
    together = interp.attribute(model, text, by=Rise(samples=64), targets=[0, 2], progress=False)[0].scores
    for row, target in enumerate((0, 2)):
        (alone,) = interp.attribute(model, text, by=Rise(samples=64), targets=target, progress=False)
        assert torch.allclose(together[row], alone.scores[0], atol=1e-5)


def test_generated_tokens_are_explained_at_a_layer() -> None:
    (found,) = interp.attribute(tiny_generator(), "i feel so", by=Rise(), max_new_tokens=3, layer=0, progress=False)
    assert found.exact and found.applicable is not None
    assert not found.scores[~found.applicable].any()
    assert bool((found.scores[found.applicable] != 0).any())


@pytest.mark.parametrize("difference", [True, False])
def test_the_emotion_word_is_first_where_integrated_gradients_say_so(real_model, difference: bool) -> None:  # type: ignore[no-untyped-def]
    model = real_model("emotion-minilm")
    texts = {"i feel so angry about it": "angry", "i was terrified by the dark": "terrified"}
    by = {"rise": {"difference": difference}, "integrated-gradients": {}}
    for name, parameters in by.items():
        found = interp.attribute(model, list(texts), by=name, progress=False, **parameters)
        assert [a.words[int(a.scores[0].argmax())] for a in found] == list(texts.values())


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 4"):
        Rise(samples=3)
    with pytest.raises(InputError, match="tolerance"):
        Rise(tolerance=0.0)
