from __future__ import annotations

import json

import pytest
from interp_llm.reading import json_in, spoken


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("fruit", "fruit"),
        ("<think>apples?\npears?</think>\n\nfruit\n", "fruit"),
        ("apples? pears?\n</think>\n\nfruit", "fruit"),
        ("<think></think>fruit", "fruit"),
        ("<THINK>a</THINK> fruit", "fruit"),
        ("<thinking>a</thinking> fruit", "fruit"),
        ("<think>one</think> fruit <think>two</think> salad", "fruit  salad"),
        ("<think>one <think>two</think> three</think> fruit", "fruit"),
        ("a </think> b </think> fruit", "fruit"),
        ("<think>apples, pea", ""),
        ("Well.\n<think>apples, pea", ""),
        ("<think>one</think>\n<think>two", ""),
        ("apples </think>", ""),
        ("", ""),
        ("the tag <think> in logs", "the tag <think> in logs"),
    ],
)
def test_thoughts_are_not_said(answer, said):
    assert spoken(answer) == said


LABEL = {"label": "fruit", "confidence": 0.9}
BARE = json.dumps(LABEL)


@pytest.mark.parametrize(
    "answer",
    [
        BARE,
        f"```json\n{BARE}\n```",
        f"```\n{BARE}\n```",
        f"```JSON\n{BARE}",
        f"Sure! Here it is: {BARE} I hope this helps.",
        f"Of the {{excerpts}} in [1] and [2, 3], all say: {BARE}",
        f'<think>maybe {{"label": "something much longer that was dropped again", "confidence": 0.1}}</think>{BARE}',
        f'no such thing as {{"label": }}, so {BARE}',
        json.dumps(LABEL, indent=2),
    ],
)
def test_json_is_found_wherever_it_stands(answer):
    assert json_in(answer) == LABEL


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('["yes", "no"]', ["yes", "no"]),
        ("{}", {}),
        ("[]", []),
        ('{"a": "}{][ \\" ```"}', {"a": '}{][ " ```'}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('{"a": "\\ud83d\\ude00 \\ud83d"}', {"a": "😀 \ud83d"}),
        ('[1] {"a": [1, 2]} [3]', {"a": [1, 2]}),
    ],
)
def test_objects_and_arrays_are_read(answer, found):
    assert json_in(answer) == found


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "fruit",
        '"fruit"',
        "12",
        '{"label": "fruit", "words": ["apple", "pear"]',
        '{"label": "fruit", "words": ["apple", "pe',
        '{"label": {"text": "fruit"}, "confidence": }',
        "{'label': 'fruit'}",
        '{"confidence": NaN}',
        '<think>{"label": "fruit"}',
        "[" * 100_000,
        '[{"a":' * 20_000,
        f'{{"n": {"9" * 5000}}}',
    ],
)
def test_what_is_broken_or_cut_off_is_nothing(answer):
    assert json_in(answer) is None
