"""ReAGent replaces each unit once a deal by words of the vocabulary, and finds what units are worth beyond those."""

import itertools

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import InputError
from interp_core.plugin import _registry as registry
from interp_core.testing import (
    _check_attribution,
    contract_tests,
    linear_world,
    planted_model,
    tangled_world,
    tiny_classifier,
    tiny_generator,
)
from interp_reagent import reagent
from interp_reagent.reagent import Reagent

test_contract = contract_tests("reagent", samples=60)


def watched(question: Question) -> list[torch.Tensor]:
    """The features that are asked for from now on, a tensor a call."""
    seen: list[torch.Tensor] = []
    at = question.at
    vars(question)["at"] = lambda x: (seen.append(x), at(x))[1]
    return seen


def by_enumeration(question: Question, share: float) -> torch.Tensor:
    """The mean score with a unit kept less that with it replaced by the baseline, the others replaced at random."""
    u = len(question.units)
    masks = torch.tensor(list(itertools.product([False, True], repeat=u)))
    scores = question.masked(masks).double()
    columns = []
    for i in range(u):
        others = torch.cat([masks[:, :i], masks[:, i + 1 :]], dim=1).double()
        chance = (others * (1 - share) + (1 - others) * share).prod(1)[:, None]
        sign = masks[:, i, None].double() * 2 - 1
        columns.append((chance * sign * scores).sum(0))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_the_interval_holds_the_expected_fall_as_often_as_it_says(parts: int) -> None:
    question = tangled_world(6, units=5)
    truth = by_enumeration(question, 1 / parts)
    runs = [Reagent(samples=40 * parts, parts=parts, seed=seed).attribute(question) for seed in range(500)]
    held = torch.stack([(scores - truth).abs() <= 1.96 * error for scores, error in runs])
    assert 0.92 <= float(held.double().mean()) <= 0.98


def test_without_interactions_a_unit_is_worth_what_it_has_beyond_a_random_word() -> None:
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0), "glad": (5.0, 0.0)})
    (found,) = interp.attribute(
        model, "i was so sad but never happy", by=Reagent(samples=3000), targets="all", progress=False
    )
    table = model.model.words.weight.detach()
    truth = torch.zeros(2, 7) - table.mean(0)[:, None]
    truth[:, 3] += torch.tensor([-2.0, 2.0])
    truth[:, 6] += torch.tensor([3.0, -1.0])
    assert found.error is not None and float(found.error.max()) < 0.2
    assert float(((found.scores - truth) / found.error).abs().max()) < 4


@pytest.mark.parametrize("check", ["planted_word_is_first", "signs_are_kept"])
def test_planted_words_and_their_signs_are_found(check: str) -> None:
    getattr(_check_attribution, check)(registry.find_method("reagent"), Reagent())


def test_each_unit_is_replaced_once_a_deal_by_words_of_the_vocabulary() -> None:
    question = tangled_world(0, units=10)
    question = question.replace(background=torch.arange(40.0).reshape(20, 2) + 100)
    seen = watched(question)
    Reagent(samples=60, parts=4).attribute(question)
    [rows] = seen
    gone = (rows != question.x).all(dim=2)
    assert torch.equal(gone.unflatten(0, (15, 4)).sum(1), torch.ones(15, 10, dtype=torch.long))
    words = {tuple(v) for v in question.background.tolist()}
    replaced = {tuple(v) for v in rows[gone].tolist()}
    assert replaced <= words and len(replaced) == 20
    assert torch.equal(rows[~gone], question.x.expand(60, -1, -1)[~gone])


def test_all_features_of_a_unit_go_together_and_those_of_none_stay() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None], torch.arange(5.0)[:, None])
    parts = {"units": question.units[:2], "unit_of": torch.tensor([-1, 0, 0, 1, -1]), "applicable": None}
    question = question.replace(**parts, runner=question.runner)
    question = question.replace(background=torch.full((1, 1), 9.0))
    seen = watched(question)
    Reagent(samples=60).attribute(question)
    gone = (seen[0] == 9)[:, :, 0]
    assert not gone[:, [0, 4]].any()
    assert torch.equal(gone[:, 1], gone[:, 2]) and not torch.equal(gone[:, 1], gone[:, 3])


def test_features_are_held_a_few_texts_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    question, truth = linear_world(0, 6, 2)
    monkeypatch.setattr(reagent, "NUMBERS", 6 * question.x.numel())
    seen = watched(question)
    scores, error = Reagent(samples=300).attribute(question)
    assert [len(x) for x in seen] == [6] * 50
    assert float(((scores - truth) / error).abs().max()) < 4


def test_what_absence_means_plays_no_part() -> None:
    found = [
        interp.attribute(tiny_classifier(), "the old cat", by=Reagent(samples=12), removal=removal, progress=False)[0]
        for removal in ("mask", "drop", "attention")
    ]
    assert torch.allclose(found[0].scores, found[1].scores, atol=1e-5)
    assert torch.allclose(found[0].scores, found[2].scores, atol=1e-5)


def test_fewer_texts_are_drawn_under_a_limit_on_rows() -> None:
    question, truth = linear_world(2, 9, 2)
    question = question.with_budget(100)
    scores, error = Reagent().attribute(question)
    question.intact()
    question.emptied()
    assert 95 < question.rows <= 100
    assert float(((scores - truth) / error).abs().max()) < 4


def test_it_stops_when_no_error_is_above_the_tolerance() -> None:
    question = tangled_world(5, units=14)
    _, error = Reagent(samples=30_000, tolerance=0.1).attribute(question)
    assert float(error.max()) <= 0.1
    assert 90 <= question.rows < 15_000


def test_several_targets_are_explained_as_one_at_a_time() -> None:
    model = tiny_classifier()
    text = "the old cat was never calm"
    together = interp.attribute(model, text, by=Reagent(samples=30), targets=[0, 2], progress=False)[0].scores
    for row, target in enumerate((0, 2)):
        (alone,) = interp.attribute(model, text, by=Reagent(samples=30), targets=target, progress=False)
        assert torch.allclose(together[row], alone.scores[0], atol=1e-5)


@pytest.mark.parametrize("layer", [None, 0])
def test_generated_tokens_are_explained(layer: int | None) -> None:
    by = Reagent(samples=90)
    (found,) = interp.attribute(tiny_generator(), "i feel so", by=by, max_new_tokens=3, layer=layer, progress=False)
    assert found.applicable is not None and found.error is not None
    assert not found.scores[~found.applicable].any() and not found.error[~found.applicable].any()
    assert bool((found.error[found.applicable] > 0).all())


def test_the_emotion_word_is_first_where_integrated_gradients_say_so(real_model) -> None:  # type: ignore[no-untyped-def]
    model = real_model("emotion-minilm")
    texts = {"i feel so angry about it": "angry", "i was terrified by the dark": "terrified"}
    for by in (Reagent(samples=90), "integrated-gradients"):
        found = interp.attribute(model, list(texts), by=by, progress=False)
        assert [a.words[int(a.scores[0].argmax())] for a in found] == list(texts.values())


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="something is kept"):
        Reagent(parts=1)
    with pytest.raises(InputError, match="at least 6"):
        Reagent(samples=5)
    with pytest.raises(InputError, match="tolerance"):
        Reagent(tolerance=0.0)
