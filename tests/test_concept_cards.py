"""Cards hold what was measured, each number of its own concept, and say why a label is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import (
    AffineSpace,
    ConceptCards,
    ConceptSpace,
    Effect,
    Example,
    Importance,
    LabelledConcept,
    activity,
    concept_cards,
)
from interp_core.concepts._class_words import interpretations_of
from interp_core.errors import InputError
from interp_core.results import MadeBy, Usage
from interp_core.testing import topic_world
from torch import Tensor


class Plain(ConceptSpace):
    """The codes are the activations."""

    def encode(self, values: Tensor) -> Tensor:
        return values


CODES = torch.tensor([[i / 8 if i % 2 else -1.0, float(i == 3), -2.0] for i in range(1, 17)])
TEXTS = [f"text {i} <b>" for i in range(1, 17)]
SPACE = Plain(torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-1.0, 0.0, 0.0]]))


def measured(name: str, values: list[float], numbers: list[int]) -> interp.Score:
    made = MadeBy(name, settings={"concepts": numbers})
    return interp.Score(0.7, True, torch.tensor(values), name=name, made_by=made)


def cards(**options: Any) -> ConceptCards:
    return concept_cards(SPACE, of_rows(CODES, TEXTS), **options)


def test_shares_histograms_and_stretches_are_those_of_the_codes() -> None:
    card = cards(stretches=2, examples=4, bins=2)[0]
    assert card.active == 0.5 and card.largest == 15 / 8
    assert card.counts == (4.0, 4.0)  # 1, 3, 5, 7 eighths below half of 15 eighths
    (low, weak), (high, strong) = card.stretches
    assert (low, high) == ("0 to 50 %", "50 to 100 %")
    assert [e.value * 8 for e in weak] == [7, 5, 3, 1] and [e.value * 8 for e in strong] == [15, 13, 11, 9]
    assert all(f"text {round(e.value * 8)} <b>" == e.text for e in (*weak, *strong))


def test_a_concept_that_is_never_active_has_a_card_without_examples() -> None:
    card = cards()[2]
    assert (card.active, card.largest, sum(card.counts), card.stretches) == (0.0, 0.0, 0.0, ())
    assert card.summary().splitlines()[0] == "Concept 2, no label"


def test_the_nearest_concepts_are_those_whose_directions_are_alike() -> None:
    (first, cosine), (second, opposite) = cards()[0].nearest
    assert (first, second) == (1, 2) and cosine == pytest.approx(0.6) and opposite == pytest.approx(-1.0)


def test_every_number_is_that_of_its_own_concept_in_whatever_order() -> None:
    words = interp.Interpretation(
        (LabelledConcept(2, None, note="refused by the content filter"), LabelledConcept(0, "zero"))
    )
    tokens = interp.Interpretation((LabelledConcept(0, "up", (("up", 2.0), ("down", -3.0), ("more", 4.0))),))
    per_text = torch.tensor([[[1.0, 0.0, 5.0]], [[-3.0, 0.0, 5.0]]])
    importance = Importance(per_text, ("joy",), ("a", "b", "c"), MadeBy("occlusion"))
    effect = Effect(torch.tensor([[-2.0], [-4.0]]), ("joy",), {"ablate": ["concept 2"]}, MadeBy("effect"))
    score = measured("detection", [torch.nan, 0.7], [2, 0])
    made = cards(
        words=words, tokens=tokens, importance=importance, effects={2: effect}, scores=[score], concepts=[2, 0]
    )
    two, zero = made
    assert (two.words.concept, zero.words.concept) == (2, 0)
    assert zero.raised == (("more", 4.0), ("up", 2.0)) and zero.lowered == (("down", -3.0),) and two.raised == ()
    assert zero.importance == {"joy": (2.0, -1.0)} and two.importance == {"joy": (5.0, 5.0)}
    assert two.effect == {"joy": (-3.0, None)} and zero.effect == {}
    assert zero.scores == {"detection": pytest.approx(0.7)} and two.scores == {"detection": None}
    assert two.heading == "Concept 2, no label: refused by the content filter"
    assert "refused by the content filter" in interp.report([made]).html


def test_cards_are_the_same_after_saving(tmp_path: Path) -> None:
    words = interp.Interpretation((LabelledConcept(0, "zero", shown=(Example("a b", 0, 1, 0.5),), confidence=0.5),))
    made = cards(words=words, concepts=[0, 2])
    again = ConceptCards.load(made.save(tmp_path / "cards.json"))
    assert again.cards == made.cards and again.made_by == made.made_by and again.notes == made.notes


def test_what_does_not_fit_is_refused() -> None:
    importance = Importance(torch.ones(1, 1, 2), ("joy",), ("a", "b"), MadeBy("occlusion"))
    with pytest.raises(InputError, match="2 concepts, and the space has 3"):
        cards(importance=importance)
    with pytest.raises(InputError, match="'stability' is no score of labels"):
        cards(scores=[interp.Score(0.5, True, torch.ones(3), name="stability")])
    with pytest.raises(InputError, match="two scores 'detection'"):
        cards(scores=[measured("detection", [0.5], [0])] * 2)
    assert cards(scores=measured("detection", [0.5], [1]))[1].scores == {"detection": 0.5}
    with pytest.raises(InputError, match="bins is 0"):
        cards(bins=0)
    for wrong in ([9], [-1], [0, 0], []):
        with pytest.raises(InputError, match="each once, are needed"):
            cards(concepts=wrong)
    effect = Effect(torch.ones(1, 1), ("joy",), {"ablate": ["concept 2"]}, MadeBy("effect"))
    for effects in ({0: effect}, {7: effect}):
        with pytest.raises(InputError, match="effect"):
            cards(effects=effects)
    with pytest.raises(InputError, match="more concepts than the 3"):
        cards(words=interp.Interpretation((LabelledConcept(3, "x"),)))
    of_another = interp.Interpretation((LabelledConcept(0, "x"),), MadeBy("m", settings={"space": "0" * 16}))
    for options in ({"words": of_another}, {"tokens": of_another}, {"words": {"joy": of_another}}):
        with pytest.raises(InputError, match="of another space"):
            cards(**options)
    two = Effect(torch.ones(1, 1), ("joy",), {"ablate": ["concept 0", "concept 2"]}, MadeBy("effect"))
    for effects in ([two], {0: two}, [effect, effect]):
        with pytest.raises(InputError, match="effect"):
            cards(effects=effects)
    space = Plain(SPACE.dictionary)
    space.layer = "block.2"
    with pytest.raises(InputError, match=r"of layer 'block.1', and the space of 'block.2'"):
        words = interp.Interpretation((LabelledConcept(0, "x"),), MadeBy("m", settings={"layer": "block.1"}))
        concept_cards(space, of_rows(CODES, TEXTS), words)
    with pytest.raises(InputError, match="no card of concept 1"):
        cards(concepts=[0])[1]


def in_class(name: str, *concepts: LabelledConcept, **more: Any) -> interp.Interpretation:
    return interp.Interpretation(concepts, MadeBy("top-inputs", settings={"class": name}), **more)


def test_effects_in_a_list_stand_on_the_cards_of_the_concepts_that_they_change() -> None:
    one = Effect(torch.tensor([[-2.0]]), ("joy",), {"ablate": ["concept 2"]}, MadeBy("effect"))
    other = Effect(
        torch.tensor([[3.0]]), ("joy",), {"scale": {"concept 0": 2.0}, "add": {"concept 0": 1.0}}, MadeBy("")
    )
    made = cards(effects=[one, other])
    assert [card.effect for card in made] == [{"joy": (3.0, None)}, {}, {"joy": (-2.0, None)}]


@pytest.mark.parametrize("form", ["list", "dict"])
def test_labels_of_several_classes_say_which_class_each_is_of(form: str, tmp_path: Path) -> None:
    sun, rain = Example("the sun", 4, 7, 2.0), Example("the rain", 4, 8, 3.0)
    joy = in_class(
        "joy", LabelledConcept(0, "sun", (("sun", 2.0),), (sun,), score=0.9), usage=Usage(2), notes=("a note",)
    )
    grief = in_class(
        "grief",
        LabelledConcept(0, "rain", (("rain", 3.0),), (rain, sun), confidence=0.5, note="a doubt"),
        LabelledConcept(1, None, note="the call failed"),
        usage=Usage(3),
    )
    made = cards(words=[joy, grief] if form == "list" else {"joy": joy, "grief": grief})
    first, second, third = made
    assert first.words.label == "joy: sun; grief: rain" and first.words.note == "grief: a doubt"
    assert first.words.words == (("joy: sun", 2.0), ("grief: rain", 3.0)) and first.words.examples == (rain, sun)
    assert (first.words.score, first.words.confidence) == (None, None)
    assert first.by_class == {"joy": joy[0], "grief": grief[0]}
    assert second.heading == "Concept 1, no label: grief: the call failed" and third.by_class == {}
    assert made.usage == made.interpretation.usage == Usage(5)
    assert made.columns()["label: grief"] == ["rain", None, None]
    again = ConceptCards.load(made.save(tmp_path / "cards.json"))
    assert again.cards == made.cards and again.usage == made.usage


def test_interpretations_that_do_not_each_name_a_class_of_their_own_are_refused() -> None:
    joy, unnamed = in_class("joy", LabelledConcept(0, "sun")), in_class("", LabelledConcept(0, "rain"))
    assert cards(words=[unnamed])[0].words == unnamed[0] and cards(words=[])[0].words.label is None
    with pytest.raises(InputError, match="2 interpretations were given, and that by top-inputs names no class"):
        cards(words=[joy, unnamed])
    with pytest.raises(InputError, match="2 interpretations of the class 'joy'"):
        cards(words=[joy, joy])
    for wrong in ("joy", [joy, 3], {"joy": None}, 7):
        with pytest.raises(InputError, match="an Interpretation was expected"):
            interpretations_of(wrong)


def test_an_interpretation_knows_its_class_and_its_space() -> None:
    activations, space = topic_world()
    labels = torch.arange(len(activations.texts)) % 2
    labelled = replace(activations, labels=labels, class_names=("odd", "even"))
    several = [interp.interpret(space, labelled.of_class(name, by="labels")) for name in ("odd", "even")]
    card = concept_cards(space, labelled, several)[1]
    assert list(card.by_class) == ["odd", "even"] and str(card.words.label).startswith("odd: ")
    other = AffineSpace(space.dictionary.flip(0), space.dictionary.flip(0))
    with pytest.raises(InputError, match="of another space"):
        concept_cards(other, labelled, several)
    assert concept_cards(other, labelled, interp.interpret(other, labelled))[1].words.label


@pytest.mark.parametrize("scale", [2.0**-83, 2.0**100])  # 1e-25 and 1e30, whose squares are beyond single precision
def test_directions_and_codes_of_any_scale_give_the_same_cards(scale: float) -> None:
    plain = cards(stretches=2, bins=5)
    space = Plain(SPACE.dictionary * scale)
    for one, other in zip(plain, concept_cards(space, of_rows(CODES * scale, TEXTS), stretches=2, bins=5), strict=True):
        assert [number for number, _ in other.nearest] == [number for number, _ in one.nearest]
        assert [cosine for _, cosine in other.nearest] == pytest.approx([cosine for _, cosine in one.nearest], abs=1e-6)
        assert other.active == one.active and other.counts == one.counts and other.largest == one.largest * scale
        values = [[e.value for _, part in card.stretches for e in part] for card in (one, other)]
        assert [value * scale for value in values[0]] == values[1]


def test_a_direction_of_length_zero_is_like_no_other() -> None:
    space = Plain(torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.8, 0.0], [1.0, 0.0, 0.0]]))
    assert [cosine for _, cosine in concept_cards(space, of_rows(CODES, TEXTS))[0].nearest] == [0.0, 0.0]


def test_a_concept_in_words_is_printed_in_a_few_lines() -> None:
    examples = tuple(Example("long " * 200 + f"ending {i}", 1000, 1006, 3.0 - i) for i in range(9))
    one = LabelledConcept(7, "endings", (("end", 1.0),) * 50, examples, 0.25, "a doubt", 0.5, "why", examples * 5)
    assert str(one).splitlines()[:3] == [
        "Concept 7, endings (confidence 0.50, score 0.25)",
        "  a doubt",
        "  words: 'end', 'end', 'end', 'end', 'end' and 45 more",
    ]
    assert len(str(one)) < 500 and str(one).count("«ending»") == 3
    assert eval(repr(one)) == one
    assert str(LabelledConcept(2, None, note="the call failed")) == "Concept 2, no label: the call failed"


def test_cards_are_a_table_and_know_their_concepts() -> None:
    made = cards(concepts=[2, 0])
    assert [card.concept for card in made] == [2, 0]
    pandas = pytest.importorskip("pandas")
    table = made.to_dataframe()
    assert isinstance(table, pandas.DataFrame) and table.concept.tolist() == [2, 0]


def test_shares_that_are_counted_roughly_are_noted_with_their_error(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)).abs()
    space, held = Plain(torch.eye(1)), of_rows(codes, [str(i) for i in range(len(codes))])
    fine, rough = (activity(space, held, sample=sample) for sample in (4096, 300))
    assert concept_cards(space, held).notes == () and fine.rank_error < 0.01 < rough.rank_error
    monkeypatch.setattr("interp_core.concepts._card_contents.activity", lambda *_, **__: rough)
    (note,) = concept_cards(space, held).notes
    assert note.startswith("Shares in the histograms are counted to ")
    assert float(note.split(" counted to ")[1].split("%")[0]) / 100 == pytest.approx(rough.rank_error, abs=1e-4)
