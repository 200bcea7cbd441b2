from __future__ import annotations

import pytest
from interp_llm_labels.answers import fault_of, label_in


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
