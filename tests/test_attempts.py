"""A long run says which text an error is about, and goes on without it if asked."""

from __future__ import annotations

import json
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.errors import BudgetError, InputError, InterpWarning, ModelError, TargetError
from interp_core.testing import planted_model, tiny_classifier, tiny_extractor, tiny_filler, tiny_generator

MODEL = tiny_classifier()
GOOD = ["so happy", "a sad day", "the old dog"]


def attribute(texts: Any, model: Any = MODEL, **options: Any) -> list[interp.Attribution]:
    return interp.attribute(model, texts, by="occlusion", progress=False, **options)


@pytest.mark.parametrize("bad", ["[MASK]", "", "\ud800"])
def test_an_error_names_the_text_that_it_is_about(bad: Any) -> None:
    with pytest.raises(InputError, match=r"^text 1 \("):
        attribute([GOOD[0], bad, GOOD[1]])


def test_a_text_without_units_says_why() -> None:
    with pytest.raises(InputError, match=r"^the text has no unit that could be removed: .*\[MASK\]"):
        attribute("[MASK]")


@pytest.mark.parametrize("granularity", ["cls", "last", "word", "sample"])
def test_a_text_without_units_is_skipped_whatever_the_granularity(granularity: str) -> None:
    model = tiny_classifier()
    options: dict[str, Any] = {"by": "occlusion", "granularity": granularity, "progress": False}
    with pytest.warns(InterpWarning, match="1 of 2 texts were skipped"):
        (found,) = interp.attribute(model, ["so happy", "[MASK]"], on_error="skip", **options)
    assert list(found.made_by.settings["skipped"]) == ["1"]
    with pytest.raises(InputError, match="no unit that could be removed"):
        interp.attribute(model, ["so happy", "[MASK]"], **options)


@pytest.mark.parametrize("layer", [None, 0])
def test_a_text_that_cannot_be_explained_is_skipped_and_named(layer: int | None) -> None:
    with pytest.warns(InterpWarning, match=r"2 of 5 texts were skipped: text 1 \('\[MASK\]'\): the text has no unit"):
        found = attribute([GOOD[0], "[MASK]", GOOD[1], " ", GOOD[2]], on_error="skip", layer=layer)
    alone = [attribute(text, layer=layer)[0] for text in GOOD]
    assert [one.text for one in found] == GOOD
    assert all(torch.allclose(one.scores, other.scores, atol=1e-5) for one, other in zip(found, alone, strict=True))
    assert list(found[0].made_by.settings["skipped"]) == ["1", "3"]
    json.dumps(found[0].made_by.to_json())
    assert "skipped" not in alone[0].made_by.settings


def test_where_every_text_fails_the_first_error_is_raised() -> None:
    with pytest.raises(InputError, match=r"^text 0 \(' '\): a text is empty"):
        attribute([" ", "[MASK]"], on_error="skip")


def test_a_budget_that_one_text_exceeds_skips_that_text() -> None:
    texts = ["so happy today", "so"]
    with pytest.raises(BudgetError, match=r"^text 0 \('so happy today'\)"):
        attribute(texts, max_rows=2)
    with pytest.warns(InterpWarning, match="1 of 2 texts were skipped"):
        (found,) = attribute(texts, max_rows=2, on_error="skip")
    assert found.text == "so"


def test_equal_texts_are_skipped_together() -> None:
    with pytest.warns(InterpWarning, match="2 of 3 texts were skipped"):
        (found,) = attribute(["so happy today", "so", "so happy today"], max_rows=2, on_error="skip")
    assert list(found.made_by.settings["skipped"]) == ["0", "2"]


def test_texts_that_share_a_pass_are_not_blamed_for_each_other() -> None:
    model = planted_model({"happy": (3.0, -1.0), "sad": (float("inf"), 2.0)})
    texts = ["so happy", "so sad", "happy cat"]
    with pytest.raises(ModelError, match=r"^text 1 \('so sad'\)"):
        attribute(texts, model, targets=0)
    with pytest.warns(InterpWarning, match="1 of 3 texts were skipped"):
        found = attribute(texts, model, targets=0, on_error="skip")
    assert [one.text for one in found] == ["so happy", "happy cat"]


def test_a_mistaken_class_is_about_no_text() -> None:
    for on_error in ("raise", "skip"):
        with pytest.raises(TargetError, match=r"^target 'fear' is not a label"):
            attribute(GOOD, targets="fear", on_error=on_error)
    with pytest.raises(TargetError, match=r"^text 2 \('the old dog'\): target 'fear'"):
        attribute(GOOD, targets=[[0], [1], ["fear"]])


@pytest.mark.parametrize(
    ("model", "texts", "message"),
    [
        (tiny_generator, ["so", "so happy " * 30], "tokens; this model takes"),
        (tiny_filler, ["so [MASK]", "so"], r"the text has no \[MASK\]"),
        (tiny_extractor, [("who", "the dog"), "the dog"], "needs pairs"),
    ],
)
def test_each_kind_of_head_names_the_text(model: Any, texts: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^text 1 \(.*{message}"):
        attribute(texts, model())
    with pytest.warns(InterpWarning, match="1 of 2 texts were skipped"):
        assert len(attribute(texts, model(), on_error="skip")) == 1


def test_a_mistyped_on_error_lists_what_there_is() -> None:
    with pytest.raises(InputError, match="on_error is 'ignore'; it is 'raise' or 'skip'"):
        attribute(GOOD, on_error="ignore")
