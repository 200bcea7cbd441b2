"""Which source: on a model that looks things up, the right sentence is first, and a fact given twice is told."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
from interp_core.attribution import Attribution
from interp_core.errors import InterpWarning

METHODS: dict[str, dict[str, int]] = {
    "occlusion": {},
    "hierarchical-occlusion": {},
    "lime": {"samples": 32},
    "kernel-shap": {"samples": 32},
    "context-cite": {"samples": 32},
    "shapley": {"samples": 8},
}


@pytest.fixture(scope="module")
def model() -> interp.TextModel:
    return interp.lookup_model()


def sources(model: interp.TextModel, context: Any, by: str, **parameters: int) -> Attribution:
    (found,) = interp.attribute(
        model,
        context.prompt,
        by=by,
        targets=context.answer,
        units=list(context.sources),
        granularity=list(context.sources),
        removal="drop",
        score="log-odds",
        progress=False,
        **parameters,
    )
    assert [unit.text for unit in found.units] == list(context.sentences)
    return found


def best(found: Attribution, count: int) -> list[int]:
    return sorted(found.scores[0].topk(count).indices.tolist())


@pytest.mark.parametrize("by", METHODS)
def test_the_sentence_that_holds_the_answer_is_first(model: interp.TextModel, by: str) -> None:
    contexts = interp.lookup_contexts(12, sentences=(6, 20), seed=11)
    right = [best(sources(model, one, by, **METHODS[by]), 1) == list(one.holding) for one in contexts]
    assert sum(right) >= 11


@pytest.mark.parametrize("by", ["occlusion", "context-cite", "shapley"])
def test_it_is_the_only_source_beyond_chance(model: interp.TextModel, by: str) -> None:
    contexts = interp.lookup_contexts(6, sentences=(6, 12), seed=12)
    found = [interp.grounded(sources(model, one, by)).sources[0] for one in contexts]
    right = [tuple(one.unit for one in own) == context.holding for own, context in zip(found, contexts, strict=True)]
    assert sum(right) >= 5


def test_an_answer_that_no_sentence_holds_has_no_source(model: interp.TextModel) -> None:
    contexts = interp.lookup_contexts(6, sentences=(6, 12), copies=0, seed=13)
    some = [interp.grounded(sources(model, one, "occlusion")).sources[0] for one in contexts]
    assert sum(map(bool, some)) <= 1


@pytest.mark.parametrize("by", ["shapley", "kernel-shap", "context-cite"])
def test_both_copies_are_the_best_two_for_methods_that_draw_subsets(model: interp.TextModel, by: str) -> None:
    contexts = interp.lookup_contexts(6, sentences=(6, 12), copies=2, seed=14)
    parameters = {"shapley": {}, "kernel-shap": {"samples": 256}, "context-cite": {"samples": 128}}[by]
    right = [best(sources(model, one, by, **parameters), 2) == sorted(one.holding) for one in contexts]
    assert sum(right) >= 5


def test_leaving_one_out_says_what_it_cannot_see(model: interp.TextModel) -> None:
    for context in interp.lookup_contexts(6, sentences=(6, 12), copies=2, seed=15):
        sentence = context.sentences[context.holding[0]]
        with pytest.warns(InterpWarning, match=f"The 2 units '{sentence}' say the same"):
            found = sources(model, context, "occlusion")
        assert float(found.scores[0, list(context.holding)].abs().max()) < 5  # of about 20, as the note says
