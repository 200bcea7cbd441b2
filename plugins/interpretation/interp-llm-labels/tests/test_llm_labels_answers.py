from __future__ import annotations

import pytest
from interp_llm_labels.answers import Reading, fault_of, label_in, reading_of


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("joy", "joy"),
        ("\n\n  “Words of joy.”\nThey are all glad.", "Words of joy"),
        ("Label: joy", "joy"),
        ("**Label:** `joy`", "joy"),
        ("Label:\njoy", "joy"),
        ('Concept label: "labels of wine".', "labels of wine"),
        ("- 'joy'", "joy"),
        ("<think>\nWhat is it?\n</think>\njoy", "joy"),
        ("labels: a history", "labels: a history"),
        ("", ""),
        ('""\n...', ""),
        ("Well, let me see: apples …</think>\nfruit", "fruit"),
        ("<think>apples, pe", ""),
        ("```\njoy\n```", "joy"),
        ("```text\njoy\n```", "joy"),
        ("Rationale: they are all glad.\nLabel: joy", "joy"),
        ("j\x1b[2Joy\ud800", "j[2Joy"),
        ("Here is a label for the excerpts:\n\n**Words of joy**", "Words of joy"),
        ('The label is "words of joy", since they are all glad.', "words of joy"),
        ("Sure! A label would be words of joy.", "words of joy"),
        ("Looking at all of these excerpts, I think that **words of joy** fits them best of all.", "words of joy"),
        ("a well-known brand called “Apple”", "a well-known brand called “Apple"),
    ],
)
def test_a_label_is_freed_from_what_models_put_around_it(answer, label):
    assert label_in(answer) == label


@pytest.mark.parametrize(
    "label", ["", "I'm sorry, but no", "I’m sorry", "I cannot tell", "As an AI model", "<think> well", "x" * 121]
)
def test_what_is_no_label_is_found_out(label):
    assert fault_of(label, 8)
    assert not fault_of("I, me and other first-person words", 8) and not fault_of("x" * 120, 8)


@pytest.mark.parametrize(
    ("answer", "reading"),
    [
        ('{"label": "joy", "confidence": 0.5, "rationale": "why"}', Reading("joy", 0.5, "why")),
        ('It is this:\n```json\n{"label": "joy"}\n```\nI hope it helps.', Reading("joy")),
        ('<think>{"label": "rain"}</think>{"label": "joy", "confidence": 7}', Reading("joy")),
        ('{"label": null}', Reading("")),
        ('{"label": "NONE", "confidence": true}', Reading("NONE")),
        ('{"Label": "joy"}', Reading("joy")),
        ('```json\n{"label": "joy", "confid', Reading("")),
        ("{'label': 'joy'}", Reading("")),
        ("joy", Reading("joy")),
    ],
)
def test_a_label_is_read_from_json_wherever_it_stands(answer, reading):
    assert reading_of(answer, 8) == reading


@pytest.mark.parametrize("label", ["sorry", "Sorry and apologies", "I can't stop feelings", "nonetheless"])
def test_what_sounds_like_a_refusal_may_be_a_label(label):
    assert not fault_of(label, 8) and not Reading(label).nothing


@pytest.mark.parametrize("label", ["NONE", "None of these have anything in common", "NONE (no)", "No common theme"])
def test_what_says_that_there_is_no_pattern_is_no_label(label):
    assert Reading(label).nothing


@pytest.mark.parametrize("label", ["I could not find a pattern", "Unfortunately, I cannot do that", "Sorry, I can't."])
def test_further_refusals_are_found_out(label):
    assert fault_of(label, 8)
