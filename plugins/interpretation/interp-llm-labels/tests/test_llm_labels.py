from __future__ import annotations

import re
import warnings
from dataclasses import replace

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, interpret
from interp_core.errors import InputError, InterpWarning, LLMError
from interp_core.testing import contract_tests
from interp_core.text import Unit
from interp_llm.scripted import Scripted as DryRun
from interp_llm_labels.labels import LLMLabels
from interp_llm_labels.prompts import MARKED

test_contract = contract_tests("llm-labels")


class Identity(ConceptSpace):
    """Concept i is column i of the activations."""

    def encode(self, values):
        return values


class Scripted:
    """Gives its answers in turn, raises those that are errors, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def generate(self, messages):
        self.asked.append(messages)
        answer = self.answers[len(self.asked) - 1] if self.answers else "a label"
        if isinstance(answer, Exception):
            raise answer
        return answer


class Together(Scripted):
    def generate_all(self, conversations):
        self.asked.append(conversations)
        return self.answers


def columns(*values, words=None):
    """A corpus of one-unit texts where concept i is as active as the i-th list says, and their space."""
    rows = torch.tensor(values, dtype=torch.float32).T
    return Identity(torch.eye(len(values))), of_rows(rows, words)


def in_units(text, spans, active):
    """One text in units, and the one concept that is active on some of them."""
    units = tuple(Unit(text[a:b], a, b) for a, b in spans)
    rows = of_rows(torch.tensor([[active.get(i, 0.0)] for i in range(len(units))]))
    numbers = torch.arange(len(units))
    corpus = replace(rows, texts=(text,), units=(units,), text_of=torch.zeros_like(numbers), unit_of=numbers)
    return Identity(torch.eye(1)), corpus


def words_of(text):
    return [m.span() for m in re.finditer(r"\w+|[^\w\s]+", text)]


def shown(llm, call=0):
    """The excerpts of a prompt as (strength, line)."""
    lines = llm.asked[call][1]["content"].split("\n")
    return [tuple(line.split(" | ", 1)) for line in lines]


def test_top_sampling_shows_the_strongest_rows_in_order():
    llm = Scripted("numbers")
    space, corpus = columns([5.0, 3.0, 0.0, 4.0, -9.0, 1.0], words=["five", "three", "zero", "four", "minus", "one"])
    found = LLMLabels(llm=llm, examples=3).interpret(space, corpus)[0]
    examples = [(e.text, e.start, e.stop, e.value) for e in found.examples]
    assert examples == [("five", 0, 4, 5.0), ("four", 0, 4, 4.0), ("three", 0, 5, 3.0)]
    assert [line for _, line in shown(llm)] == ["five", "four", "three"]
    assert found.label == "numbers"


def test_rows_that_are_not_positive_are_never_shown():
    llm = Scripted()
    LLMLabels(llm=llm).interpret(*columns([2.0, 0.0, -3.0, 1.0]))
    assert [line for _, line in shown(llm)] == ["row 0", "row 3"]


def test_strengths_run_from_0_to_10_where_the_concept_is_strongest():
    llm = Scripted()
    LLMLabels(llm=llm).interpret(*columns([8.0, 4.0, 2.0, 0.1]))
    assert [float(strength) for strength, _ in shown(llm)] == [10, 5, 2.5, 0.12]


def test_strengths_are_told_by_the_whole_corpus_not_by_what_was_drawn():
    llm = Scripted()
    method = LLMLabels(llm=llm, sampling="quantile", examples=1, bins=1, seed=1)
    found = method.interpret(*columns([10.0, 7.0, 5.0, 3.0]))[0]
    assert found.examples[0].value < 10
    assert float(shown(llm)[0][0]) == found.examples[0].value


@pytest.mark.parametrize("sampling", ["top", "quantile"])
def test_no_example_is_shown_twice_and_its_strongest_row_counts(sampling):
    llm = Scripted()
    words = ["sun", "rain", "sun", "rain", "snow", "sun"]
    found = LLMLabels(llm=llm, sampling=sampling).interpret(*columns([1.0, 2.0, 3.0, 1.0, 0.5, 2.0], words=words))[0]
    assert [(e.text, e.value) for e in found.examples] == [("sun", 3.0), ("rain", 2.0), ("snow", 0.5)]
    assert [line for _, line in shown(llm)] == ["sun", "rain", "snow"]


def test_quantile_sampling_takes_as_many_from_each_stretch_of_the_ranking():
    strength = [float(i) ** 3 for i in (*range(1, 21), 0, 0, 0, -2)]  # cubed: stretches of rank, not of strength
    space, corpus = columns(strength)
    for seed in range(20):
        found = LLMLabels(llm=Scripted(), sampling="quantile", examples=10, seed=seed).interpret(space, corpus)[0]
        ranks = [20 - round(e.value ** (1 / 3)) for e in found.examples]
        assert [sum(rank // 4 == stretch for rank in ranks) for stretch in range(5)] == [2] * 5
        assert ranks == sorted(set(ranks)) and min(e.value for e in found.examples) > 0


def test_quantile_sampling_gives_what_does_not_divide_to_the_strongest():
    method = LLMLabels(llm=Scripted(), sampling="quantile", examples=7, bins=3)
    found = method.interpret(*columns([float(i) for i in range(1, 31)]))[0]
    assert [sum((30 - e.value) // 10 == stretch for e in found.examples) for stretch in range(3)] == [3, 2, 2]


def test_quantile_sampling_follows_its_seed_and_nothing_else():
    space, corpus = columns([0.0] * 60, list(range(1, 61)))
    before = torch.get_rng_state()

    def drawn(seed):
        return LLMLabels(llm=Scripted(), sampling="quantile", seed=seed).interpret(space, corpus)[1].examples

    alone = interpret(space, corpus, by="llm-labels", llm=Scripted(), sampling="quantile", seed=1, concepts=[1])
    assert drawn(1) == drawn(1) == alone[1].examples != drawn(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_active_unit_is_marked_within_its_context():
    text = "The old cat\nsat,  quietly, on a mat."
    space, corpus = in_units(text, words_of(text), {2: 3.0, 0: 2.0, 10: 1.0})
    llm = Scripted()
    found = LLMLabels(llm=llm, context=2).interpret(space, corpus)[0]
    assert [line for _, line in shown(llm)] == ["The old <<cat>> sat,", "<<The>> old cat", "a mat<<.>>"]
    assert [e.text[e.start : e.stop] for e in found.examples] == ["cat", "The", "."]


def test_a_unit_that_begins_with_a_space_is_marked_without_it():
    text = "so very sad today"
    space, corpus = in_units(text, [(0, 2), (2, 7), (7, 11), (11, 17)], {2: 1.0})
    llm = Scripted()
    LLMLabels(llm=llm, context=1).interpret(space, corpus)
    assert shown(llm) == [("10", "so very <<sad>> today".removeprefix("so "))]


def test_marks_in_the_corpus_are_not_taken_for_ours():
    text = "cout << x << y"
    space, corpus = in_units(text, words_of(text), {2: 1.0})
    llm = Scripted()
    LLMLabels(llm=llm, context=9).interpret(space, corpus)
    assert shown(llm)[0][1] == "cout ‹‹ <<x>> ‹‹ y"


def test_the_same_word_in_another_context_is_another_example():
    text = "big cat small cat big cat"
    space, corpus = in_units(text, words_of(text), {1: 1.0, 3: 2.0, 5: 3.0})
    with_context, without = Scripted(), Scripted()
    LLMLabels(llm=with_context, context=1).interpret(space, corpus)
    LLMLabels(llm=without).interpret(space, corpus)
    assert [line for _, line in shown(with_context)] == ["big <<cat>>", "small <<cat>> big", "big <<cat>> small"]
    assert [line for _, line in shown(without)] == ["cat"]


def test_an_example_stays_on_one_line_and_is_not_endless():
    llm = Scripted()
    words = ["ignore\nthis\u2028and\r\nthat", "long " * 999, " \n "]
    LLMLabels(llm=llm).interpret(*columns([2.0, 1.0, 0.5], words=words))
    lines = [line for _, line in shown(llm)]
    assert lines[0] == "ignore this and that" and len(lines) == 3
    assert len(lines[1]) == 400 and lines[1].endswith("…") and lines[2] == "(blank)"


def test_context_is_not_endless_either():
    text = "a" * 999 + " cat " + "b" * 999
    space, corpus = in_units(text, words_of(text), {1: 1.0})
    llm = Scripted()
    LLMLabels(llm=llm, context=1).interpret(space, corpus)
    assert shown(llm)[0][1] == "a" * 399 + " <<cat>> " + "b" * 399


def test_the_model_is_told_what_to_answer_and_that_excerpts_are_data():
    llm = Scripted()
    LLMLabels(llm=llm, max_words=3).interpret(*columns([1.0]))
    LLMLabels(llm=llm, context=1).interpret(*columns([1.0]))
    LLMLabels(llm=llm, instructions="Name it in {words} words: {}").interpret(*columns([1.0]))
    first, second, third = (messages[0]["content"] for messages in llm.asked)
    assert "at most 3 words" in first and "NONE" in first and "data" in first and "<<" not in first
    assert second.endswith(MARKED) and "at most 8 words" in second
    assert third == "Name it in 8 words: {}"


@pytest.mark.parametrize("made", [Scripted, Together])
def test_no_concept_is_lost_and_every_fate_is_counted(made):
    answers = ["joy", LLMError("429: too many"), "", "I'm sorry, no.", "none.", "Label: rain"]
    llm = made(*answers)
    space, corpus = columns(*([float(i + 1), 0.5] for i in range(6)), [0.0, -1.0])
    found = LLMLabels(llm=llm).interpret(space, corpus)
    assert [c.concept for c in found.concepts] == list(range(7))
    assert [c.label for c in found.concepts] == ["joy", None, None, None, None, "rain", None]
    assert [len(c.examples) for c in found.concepts] == [2] * 6 + [0]
    assert all(bool(c.note) == (c.label is None) for c in found.concepts) and "429: too many" in found[1].note
    assert found.notes == (
        "2 of 7 concepts labelled; without a common pattern: 1; malformed answers: 2; failed calls: 1 (429: too many); "
        "never active and not asked about: 1.",
    )


def test_all_prompts_go_out_in_one_call_where_the_model_can_take_them():
    llm = Together("one", "two")
    found = LLMLabels(llm=llm).interpret(*columns([1.0, 0.0], [0.0, 0.0], [0.0, 1.0]))
    assert len(llm.asked) == 1 and [m[1]["content"] for m in llm.asked[0]] == ["10 | row 0", "10 | row 1"]
    assert [c.label for c in found.concepts] == ["one", None, "two"]


def test_an_error_of_any_kind_costs_one_label_only():
    found = LLMLabels(llm=Scripted(RuntimeError("line is dead"), "two")).interpret(*columns([1.0, 0.0], [0.0, 1.0]))
    assert found[0].label is None and "RuntimeError: line is dead" in found[0].note and found[1].label == "two"


def test_what_would_fail_every_call_is_raised(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        interpret(*columns([1.0]), by="llm-labels")
    with pytest.raises(InputError, match="no key"):
        LLMLabels(llm=Scripted(InputError("no key"))).interpret(*columns([1.0]))
    with pytest.raises(LLMError, match="1 answers to 2 conversations"):
        LLMLabels(llm=Together("one")).interpret(*columns([1.0, 0.0], [0.0, 1.0]))


def test_words_are_the_strongest_units_shown():
    found = LLMLabels(llm=Scripted(), top=2).interpret(*columns([1.0, 3.0, 2.0], words=["a", "b", "c"]))[0]
    assert found.words == (("b", 3.0), ("c", 2.0))


@pytest.mark.parametrize("wrong", [{"sampling": "best"}, {"examples": 0}, {"context": -1}, {"bins": 0}, {"top": -1}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        LLMLabels(**wrong)


def test_random_sampling_shows_any_active_row_with_the_same_chance():
    space, corpus = columns([float(i) for i in range(1, 11)] + [0.0])
    drawn = [
        LLMLabels(llm=Scripted(), sampling="random", examples=5, seed=seed).interpret(space, corpus)[0].examples
        for seed in range(200)
    ]
    values = [[e.value for e in one] for one in drawn]
    assert all(len(one) == 5 and one == sorted(one, reverse=True) for one in values)
    counts = [sum(value in one for one in values) for value in range(1, 11)]
    assert max(abs(count - 100) for count in counts) < 36  # 200 draws, a half each: five standard errors
    assert any({9, 10} <= set(one) for one in values) and any(not {9, 10} & set(one) for one in values)  # no stretches


def test_contrasting_rows_are_where_the_concept_is_not_active_and_count_as_shown():
    space, corpus = columns([3.0, 0.0, -1.0, 2.0, 0.0, 0.0], words=["a", "b", "c", "d", "b", "e"])
    llm = Scripted()
    (found,) = LLMLabels(llm=llm, contrast=3).interpret(space, corpus).concepts
    active, contrast = llm.asked[0][1]["content"].split("\n\n")
    assert active == "10 | a\n6.7 | d" and sorted(contrast.split("\n")) == ["b", "c", "e"]
    assert "not active" in llm.asked[0][0]["content"]
    assert found.shown[:2] == found.examples and sorted(e.text for e in found.shown[2:]) == ["b", "c", "e"]
    assert all(e.value <= 0 for e in found.shown[2:])


def test_strengths_can_be_left_out():
    llm = Scripted()
    LLMLabels(llm=llm, strengths=False).interpret(*columns([3.0, 1.0], words=["a", "b"]))
    assert llm.asked[0][1]["content"] == "a\nb" and "strength" not in llm.asked[0][0]["content"]


def test_a_reason_and_a_confidence_are_asked_for_as_json_and_kept():
    llm = Scripted('```json\n{"label": "Joy.", "confidence": 0.8, "rationale": "All are glad."}\n```', '{"label": 3}')
    found = LLMLabels(llm=llm, rationale=True).interpret(*columns([3.0, 0.0], [0.0, 1.0]))
    assert (found[0].label, found[0].confidence, found[0].rationale) == ("Joy", 0.8, "All are glad.")
    assert found[1].label is None and "malformed" in found[1].note
    assert "JSON" in llm.asked[0][0]["content"]


def test_a_template_is_what_is_asked_and_runs_in_a_sandbox():
    llm = Scripted()
    given = {
        "instructions": "{{ words }} words{% if strengths %}!{% endif %}",
        "excerpts": "{{ active[0].text }} {{ active|length }}",
    }
    LLMLabels(llm=llm, **given).interpret(*columns([3.0, 1.0], words=["a", "b"]))
    assert [m["content"] for m in llm.asked[0]] == ["8 words!", "a 2"]
    with pytest.raises(InputError, match="not valid Jinja"):
        LLMLabels(excerpts="{% for %}")
    for template in ("{{ colour }}", "{{ active.__class__.__mro__ }}", "{{ active.append(1) }}"):
        with pytest.raises(InputError, match="cannot be filled"):
            LLMLabels(llm=llm, excerpts=template).interpret(*columns([1.0]))


def test_a_refusal_and_a_thought_that_broke_off_are_said_as_such():
    llm = Scripted(LLMError("the server refused: refused by the content filter."), "<think>joy or", "joy?</think>Rain")
    found = LLMLabels(llm=llm).interpret(*columns([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]))
    assert found[0].note == "refused by the content filter" and "refused by the content filter: 1" in found.notes[0]
    assert "broke off within a thought" in found[1].note and found[2].label == "Rain"


def test_a_run_that_is_repeated_asks_only_for_what_has_no_answer(tmp_path):
    space, corpus = columns([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0])
    first, second = Scripted("one", LLMError("busy"), "three"), Scripted("two")
    LLMLabels(llm=first, cache=str(tmp_path)).interpret(space, corpus)
    found = LLMLabels(llm=second, cache=str(tmp_path)).interpret(space, corpus)
    assert [c.label for c in found.concepts] == ["one", "two", "three"] and len(second.asked) == 1
    assert (found.usage.conversations, found.usage.cached, found.usage.failed) == (3, 2, 0)


def test_memory_is_bounded_by_what_is_shown_and_batches_change_nothing(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(3, 200, generator=draw)
    words = [f"w{i % 150}" for i in range(200)]
    for sampling in ("top", "quantile", "random"):
        made = LLMLabels(llm=Scripted(), sampling=sampling, examples=6, contrast=2)
        whole = made.interpret(*columns(*values.tolist(), words=words)).concepts
        with monkeypatch.context() as patched:
            patched.setattr("interp_llm_labels.examples.ENTRIES", 3 * 7)
            patched.setattr("interp_core.concepts._activity.ENTRIES", 3 * 7)
            assert made.interpret(*columns(*values.tolist(), words=words)).concepts == whole


def test_strengths_are_told_by_the_whole_corpus_where_few_of_many_rows_are_drawn(monkeypatch):
    monkeypatch.setattr("interp_llm_labels.examples.DRAWN", 3)
    for seed in range(8):
        llm = Scripted()
        made = LLMLabels(llm=llm, sampling="random", examples=1, seed=seed)
        (example,) = made.interpret(*columns([float(i) for i in range(1, 11)]))[0].examples
        assert float(shown(llm)[0][0]) == example.value


def test_a_client_that_takes_a_schema_gets_that_of_the_answer():
    class Structured(Scripted):
        def generate_all(self, conversations, schema=None):
            self.asked.append(schema)
            return ['{"label": "joy", "rationale": "", "confidence": 1}'] * len(conversations)

    asked = []
    for rationale in (True, False):
        llm = Structured()
        assert LLMLabels(llm=llm, rationale=rationale).interpret(*columns([1.0]))[0].label == "joy"
        asked += llm.asked
    assert set(asked[0]["properties"]) == {"label", "rationale", "confidence"} and asked[1] is None


def test_what_is_not_active_reads_unlike_what_is():
    space, corpus = columns([3.0, 2.0, 0.0, 0.0, -1.0], words=["so", "a", "so", "b", "a"])
    llm = Scripted()
    LLMLabels(llm=llm, contrast=4).interpret(space, corpus)
    assert llm.asked[0][1]["content"].split("\n\n")[1] == "b"


def test_few_examples_still_come_from_the_whole_ranking():
    for examples, bins in ((3, 5), (3, 50)):
        method = LLMLabels(llm=Scripted(), sampling="quantile", examples=examples, bins=bins)
        found = method.interpret(*columns([float(i) for i in range(1, 100)]))[0].examples
        assert [int((99 - e.value) // 33) for e in found] == [0, 1, 2]


def test_an_answer_that_was_cut_off_is_no_label():
    llm = Scripted('{"rationale": "all of these excerpts mention', '[{"label": "fruit"}]')
    found = LLMLabels(llm=llm, rationale=True).interpret(*columns([1.0, 0.0], [0.0, 1.0]))
    assert [c.label for c in found.concepts] == [None, None] and all("no JSON object" in c.note for c in found)


def test_a_row_that_is_not_finite_is_named():
    rows = torch.tensor([[1.0], [torch.nan], [2.0]])
    for sampling in ("top", "quantile", "random"):
        with pytest.raises(InputError, match="row 1"):
            LLMLabels(llm=Scripted(), sampling=sampling).interpret(Identity(torch.eye(1)), of_rows(rows))


def test_a_dry_run_shows_what_would_be_asked_and_warns_of_nothing():
    space, corpus = columns([1.0, 0.0], [0.0, 2.0], words=["apple", "iron"])
    dry = DryRun(prices=(1.0, 4.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        words = interpret(space, corpus, by="llm-labels", llm=dry)
    assert words.notes[0] == "0 of 2 concepts labelled; not asked about in a dry run: 2."
    assert words.notes[1].startswith("The first prompt reads: One direction") and "10 | apple" in words.notes[1]
    assert [c.note for c in words] == ["a dry run: nothing was asked"] * 2 and words.usage == dry.usage()
    assert "2 conversations (a dry run, nothing asked)" in words.summary() and "failed" not in words.summary()
    with pytest.warns(InterpWarning, match="none of 2 concepts got a label"):  # calls that fail are another thing
        interpret(space, corpus, by="llm-labels", llm=Scripted(LLMError("busy"), LLMError("busy")))


def test_labels_that_are_all_in_the_cache_need_no_key(tmp_path, monkeypatch):
    space, corpus = columns([1.0, 0.0], [0.0, 2.0], words=["apple", "iron"])
    keyless = []

    class Keyed(Scripted):
        model = "keyed"

        def ready(self):
            if keyless:
                raise InputError("there is no key")

    method = LLMLabels(llm=Keyed("fruit", "metal"), cache=str(tmp_path))
    first = interpret(space, corpus, by=method)
    keyless.append(True)
    again = interpret(space, corpus, by=replace(method, llm=Keyed()))
    assert again.labels == first.labels == {0: "fruit", 1: "metal"} and again.usage.cached == 2
    with pytest.raises(InputError, match="there is no key"):
        interpret(space, corpus, by=replace(method, llm=Keyed(), max_words=3))
    space.encode = lambda values: pytest.fail("was encoded")
    with pytest.raises(InputError, match="there is no key"):
        interpret(space, corpus, by=replace(method, llm=Keyed(), cache=None))
