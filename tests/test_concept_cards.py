"""Cards hold what was measured, each number of its own concept, and say why a label is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptCards, ConceptSpace, Effect, Example, Importance, LabelledConcept, concept_cards
from interp_core.errors import InputError
from interp_core.results import MadeBy
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
    change = interp.Interpretation((LabelledConcept(0, "x"),), MadeBy("m", parameters={"change": "ablate"}))
    with pytest.raises(InputError, match="change='add'"):
        cards(tokens=change)
    space = Plain(SPACE.dictionary)
    space.layer = "block.2"
    with pytest.raises(InputError, match=r"of layer 'block.1', and the space of 'block.2'"):
        words = interp.Interpretation((LabelledConcept(0, "x"),), MadeBy("m", settings={"layer": "block.1"}))
        concept_cards(space, of_rows(CODES, TEXTS), words)
    with pytest.raises(InputError, match="no card of concept 1"):
        cards(concepts=[0])[1]
