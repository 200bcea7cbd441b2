"""Methods that ignore the model stay the same when its weights are drawn anew; sound ones do not."""

from collections.abc import Callable
from typing import Any

import interp_core as interp
import interp_parameter_randomisation.parameter_randomisation as module
import pytest
import torch
from interp_core.attribution import Question
from interp_core.errors import InputError, UnsupportedError
from interp_core.testing import (
    contract_tests,
    planted_model,
    state_of,
    tiny_classifier,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
)
from interp_parameter_randomisation.parameter_randomisation import ParameterRandomisation, rank_correlation
from interp_parameter_randomisation.redrawing import drawn_anew
from scipy.stats import spearmanr
from torch import Tensor

test_contract = contract_tests("parameter-randomisation")

QUIET: dict[str, Any] = {"progress": False}
WORTH = {"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.5, 2.5), "bad": (-1.5, 1.5), "calm": (0.5, -0.5)}
TEXTS = ["i was so happy and glad", "sad bad calm old cat", "never glad or calm today"]


class Places:
    """Ignores the model: the later, the more."""

    def attribute(self, question: Question) -> Tensor:
        return torch.arange(float(len(question.units))).expand(len(question.targets), -1)


class Lengths:
    """Ignores the model: the longer the word, the more."""

    def attribute(self, question: Question) -> Tensor:
        return torch.tensor([float(len(unit.text)) for unit in question.units]).expand(len(question.targets), -1)


class OfTheModel:
    """Ignores the text and looks at the model: an order by the numbers of a slope."""

    def attribute(self, question: Question) -> Tensor:
        (slope,) = question.gradients(question.x[None])
        return question.pool(slope.sum(-1))


class Turning:
    """The same sizes every time it is asked, with all signs turned around."""

    sign = 1.0

    def attribute(self, question: Question) -> Tensor:
        self.sign = -self.sign
        return self.sign * torch.arange(1.0, len(question.units) + 1).expand(len(question.targets), -1)


class Constant:
    """One number for everything."""

    def attribute(self, question: Question) -> Tensor:
        return torch.ones(len(question.targets), len(question.units))


def measured(model: Any, by: Any, texts: list[str] = TEXTS, **parameters: Any) -> Any:
    found = interp.attribute(model, texts, by=by, **QUIET)
    return interp.measure(found, model, by=ParameterRandomisation(**parameters), method=by, **QUIET)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("blind", [Places(), Lengths(), Constant()])
def test_a_method_that_ignores_the_model_stays_as_it_was(blind: Any, absolute: bool) -> None:
    found = measured(tiny_classifier(), blind, absolute=absolute)
    assert found.value == pytest.approx(1) and found.chance is not None and abs(found.chance) < 0.3


@pytest.mark.parametrize("absolute", [True, False])
def test_contributions_of_words_are_compared_by_their_ranks_with_those_of_the_new_words(absolute: bool) -> None:
    """Read off the tables of words, old and new, and correlated by scipy."""
    model = planted_model(WORTH)
    (made,) = interp.attribute(model, TEXTS[1], by="occlusion", targets="all", **QUIET)
    metric = ParameterRandomisation(absolute=absolute, seed=3)
    found = interp.measure(made, model, by=metric, **QUIET)
    old, new = (m.model.words.weight for m in (model, drawn_anew(model, 1.0, 3)))
    ids = model.tokenizer(TEXTS[1], add_special_tokens=False)["input_ids"]
    mask = model.tokenizer.mask_token_id
    for k in range(2):
        one, two = ((table[ids, k] - table[mask, k]).detach() for table in (old, new))
        expected = spearmanr(one.abs(), two.abs()) if absolute else spearmanr(one, two)
        assert found.values is not None and float(found.values[k]) == pytest.approx(expected.statistic, abs=1e-5)


@pytest.mark.parametrize("values", [1000, 3])
def test_ranks_are_correlated_as_by_scipy(values: int) -> None:
    """Without equal numbers, and with many."""
    generator = torch.Generator().manual_seed(values)
    one, two = (torch.randint(values, (12,), generator=generator).float() for _ in range(2))
    assert float(rank_correlation(one, two)) == pytest.approx(spearmanr(one, two).statistic, abs=1e-6)
    assert float(rank_correlation(one, one**3)) == pytest.approx(1)
    assert float(rank_correlation(one, -one)) == pytest.approx(-1)


def test_where_all_are_equal_on_both_models_nothing_depends_on_it() -> None:
    flat, other = torch.ones(5), torch.arange(5.0)
    assert float(rank_correlation(flat, 7 * flat)) == 1
    assert float(rank_correlation(flat, other)) == float(rank_correlation(other, flat)) == 0


def test_signs_that_turn_around_count_only_where_asked() -> None:
    model = tiny_classifier()
    assert measured(model, Turning(), TEXTS[:1]).value == pytest.approx(1)
    assert measured(model, Turning(), TEXTS[:1], absolute=False).value == pytest.approx(-1)


def test_random_answers_keep_nothing_which_is_no_praise() -> None:
    model = tiny_classifier()
    texts = ["the old cat was never calm and always cold today"] * 3
    found = measured(model, Places(), texts)
    assert found.chance == pytest.approx(0, abs=0.15)
    assert found.higher_is_better is None and found.margins is None


def test_the_copy_is_made_once_for_all_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(module, "drawn_anew", lambda *given: made.append(given[1:]) or drawn_anew(*given))
    measured(tiny_classifier(), Places(), share=0.4, seed=5)
    assert made == [(0.4, 5)]


def test_the_answer_depends_on_the_seed_alone() -> None:
    model = tiny_classifier()
    found = interp.attribute(model, TEXTS, by="occlusion", **QUIET)
    one, two, other = (interp.measure(found, model, by=ParameterRandomisation(seed=s), **QUIET) for s in (1, 1, 2))
    assert one.value == two.value != other.value


@pytest.mark.parametrize(
    "make", [tiny_classifier, tiny_generator, tiny_llama, tiny_tagger, tiny_filler, tiny_translator]
)
def test_any_model_is_asked_and_none_is_touched(make: Callable[[], Any]) -> None:
    model = make()
    model.model.train()
    before = state_of(model)
    texts = ["i was [MASK] happy"] if make is tiny_filler else TEXTS[:2]
    generates = make in (tiny_generator, tiny_llama, tiny_translator)
    options = {"max_new_tokens": 2} if generates else {"targets": "all"} if make is tiny_tagger else {}
    found = interp.attribute(model, texts, by="occlusion", **options, **QUIET)
    score = interp.measure(found, model, by="parameter-randomisation", **QUIET)
    assert state_of(model) == before
    assert score.values is not None and bool((score.values.abs() <= 1 + 1e-6).all())
    assert score.made_by.settings["score"] == found[0].score_space


def test_only_units_that_can_matter_are_ranked() -> None:
    model = tiny_generator()
    (found,) = interp.attribute(model, "sad", by=Places(), max_new_tokens=4, **QUIET)
    score = interp.measure(found, model, by="parameter-randomisation", method=OfTheModel(), absolute=False, **QUIET)
    assert score.values is not None and len(score.values) == 3  # the first token has one unit before it
    assert score.values[0].abs() == pytest.approx(1)  # of two units


def test_attributions_at_a_layer_are_compared_with_those_of_the_new_model_there() -> None:
    model = tiny_classifier()
    for by in (Places(), OfTheModel()):
        found = interp.attribute(model, TEXTS[:1], by=by, layer=0, **QUIET)
        score = interp.measure(found, model, by=ParameterRandomisation(), method=by, **QUIET)
        assert (score.value == pytest.approx(1)) == isinstance(by, Places)


def test_a_text_of_one_unit_has_no_ranks() -> None:
    with pytest.raises(UnsupportedError, match="'sad' has one"):
        measured(tiny_classifier(), Places(), ["sad"])


@pytest.mark.parametrize("share", [0.0, 1.1, -1.0, float("nan")])
def test_shares_that_make_no_sense_are_refused(share: float) -> None:
    with pytest.raises(InputError, match="above 0 and up to 1"):
        ParameterRandomisation(share=share)


def test_the_definition_says_what_is_drawn_and_when_it_is_passed() -> None:
    assert "all layers" in ParameterRandomisation().definition and "below 0.5" in ParameterRandomisation().definition
    assert "top 25% of the layers" in ParameterRandomisation(share=0.25).definition
    assert "below" not in ParameterRandomisation(share=0.25).definition
    assert "sizes" in ParameterRandomisation().definition
    assert "sizes" not in ParameterRandomisation(absolute=False).definition


def test_on_a_real_classifier_sound_methods_pass_and_blind_ones_fail(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-tiny")
    texts = [text for text in real_texts("emotion") if 10 <= len(text.split()) <= 14][:12]
    found = interp.attribute(model, texts, by="occlusion", **QUIET)
    cascade = [interp.measure(found, model, by="parameter-randomisation", share=s, **QUIET) for s in (0.02, 0.5, 1.0)]
    assert cascade[0].value > cascade[1].value > cascade[2].value
    assert cascade[2].interval is not None and cascade[2].interval[1] < 0.5
    failed = measured(model, Lengths(), texts)
    assert failed.interval is not None and failed.interval[0] > 0.99


def test_attention_does_not_see_a_new_head(real_model: Callable[[str], Any]) -> None:
    model = real_model("emotion-tiny")
    found = interp.attribute(model, ["i feel so happy today", "i was never so sad"], by="attention-rollout", **QUIET)
    assert interp.measure(found, model, by="parameter-randomisation", share=0.02, **QUIET).value == pytest.approx(1)
    removals = interp.attribute(model, ["i feel so happy today", "i was never so sad"], by="occlusion", **QUIET)
    assert interp.measure(removals, model, by="parameter-randomisation", share=0.02, **QUIET).value < 0.95
