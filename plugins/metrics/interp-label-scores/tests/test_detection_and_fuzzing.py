"""Detection and fuzzing: judges whose answers are known, in worlds whose truth is planted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace, Example, Interpretation, LabelledConcept
from interp_core.errors import InputError, LLMError, UnsupportedError
from interp_core.metrics import Score
from interp_core.results import MadeBy
from interp_core.statistics import interval_of_mean
from interp_core.testing import contract_tests, tiny_classifier, topic_world
from interp_core.text import Unit
from interp_label_scores.detection import Detection, Fuzzing, balanced_accuracy, verdicts_in
from interp_label_scores.planted_features import Coin, Constant, Oracle, planted_features
from interp_label_scores.scoring import deranged
from interp_label_scores.word_judge import WordJudge
from interp_llm.scripted import Scripted
from sklearn.metrics import balanced_accuracy_score

test_detection_contract = contract_tests("detection")
test_fuzzing_contract = contract_tests("fuzzing")

TOPIC_LABELS = ("sun rain warm cold", "cat dog tree house", "happy glad calm good")
WORLD = planted_features()
BOTH = pytest.mark.parametrize("metric", [Detection, Fuzzing])


def measured(metric: Any, world: Any = WORLD, labels: Interpretation | None = None) -> Score:
    return interp.measure(labels or world.labels, world.space, world.activations, by=metric)


def permuted(score: Score) -> torch.Tensor:
    return score.values - score.margins


@BOTH
def test_an_oracle_with_true_labels_is_right_and_with_permuted_ones_at_chance(metric: Any) -> None:
    score = measured(metric(llm=Oracle(WORLD.words)))
    assert score.value == 1 and int(score.values.isfinite().sum()) == 12 and score.higher_is_better
    low, high = interval_of_mean(permuted(score))
    assert low <= 0.5 <= high and score.chance == pytest.approx(float(permuted(score).mean()), abs=1e-6)
    assert high < 0.62 and score.margin[0] > 0.3


def test_so_it_is_where_a_row_is_a_whole_text() -> None:
    world = planted_features(by_word=False)
    score = measured(Detection(llm=Oracle(world.words)), world)
    low, high = interval_of_mean(permuted(score))
    assert score.value == 1 and low <= 0.5 <= high


@BOTH
@pytest.mark.parametrize("verdict", [0, 1])
def test_a_judge_that_always_says_the_same_has_half(metric: Any, verdict: int) -> None:
    score = measured(metric(llm=Constant(verdict)))
    assert score.value == 0.5 and score.chance == 0.5 and set(score.values.tolist()) == {0.5}


@BOTH
def test_a_judge_that_tosses_a_coin_is_at_chance(metric: Any) -> None:
    score = measured(metric(llm=Coin(), examples=20))
    assert score.interval[0] <= 0.5 <= score.interval[1] and score.interval[1] - score.interval[0] < 0.2


def test_where_a_text_has_one_topic_permuted_labels_are_worse_than_a_coin() -> None:
    """The judge says yes to none of the active texts, and to those of the others that have the topic it was given: a
    half of them, so that its balanced accuracy is a quarter."""
    activations, space = topic_world(texts=600)
    labels = Interpretation(tuple(LabelledConcept(i, label) for i, label in enumerate(TOPIC_LABELS)))
    score = interp.measure(labels, space, activations, by=Detection(llm=WordJudge(), examples=24))
    assert score.value == 1 and score.chance == pytest.approx(0.25, abs=0.09)


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    g = np.random.default_rng(0)
    for _ in range(20):
        truth, said = (g.random(15) < 0.4).tolist(), (g.random(15) < 0.6).tolist()
        if len(set(truth)) == 2:
            assert balanced_accuracy(truth, said) == pytest.approx(balanced_accuracy_score(truth, said))


def test_things_without_a_verdict_are_left_out_and_too_many_leave_no_score() -> None:
    assert balanced_accuracy([True, True, False, False], [True, None, True, None]) == 0.5
    assert balanced_accuracy([True, True, False, False], [True, True, None, None]) is None  # nothing of a sort
    assert balanced_accuracy([True] * 3 + [False] * 3, [True, None, None, True, None, None]) is None  # a third


@pytest.mark.parametrize(
    ("said", "verdicts"),
    [
        ({"verdicts": [1, 0]}, [True, False]),
        ([1, 0], [True, False]),
        ({"verdicts": [True, "No"]}, [True, False]),
        ({"verdicts": ["maybe", 1]}, [None, True]),
        ({"verdicts": [1]}, None),
        ({"answer": [1, 0]}, None),
        ("yes", None),
        (None, None),
    ],
)
def test_verdicts_are_read_and_never_guessed(said: Any, verdicts: Any) -> None:
    assert verdicts_in(said, 2) == verdicts


class Faulty:
    """An oracle that babbles about some labels, and whose line is dead for others."""

    def __init__(self, babbles: str = "", dead: str = "", every: int = 1) -> None:
        self.babbles, self.dead, self.every, self.calls = babbles, dead, every, 0
        self.oracle = Oracle(WORLD.words)

    def generate(self, messages: list[dict[str, str]]) -> str:
        label = messages[-1]["content"].splitlines()[0].removeprefix("Label: ")
        self.calls += label in (self.babbles, self.dead)
        if label == self.babbles and self.calls % self.every == 0:
            return "I would say that most of them are."
        if label == self.dead and self.calls % self.every == 0:
            raise LLMError("the line is dead")
        return f"<think>[0, 0, 0]</think>```json\n{self.oracle.generate(messages)}\n```"


def test_answers_that_fail_or_cannot_be_read_are_counted_and_cost_the_concept_its_score() -> None:
    score = measured(Detection(llm=Faulty("feature 3", "feature 5"), permuted=False))
    assert int(score.values.isfinite().sum()) == 10 and score.value == 1 and score.usage.failed == 4
    assert "10 of 12 concepts have a score" in score.notes[0]
    assert "no verdict on more than half of the excerpts: 2 (concept 3, 5)" in score.notes[0]
    assert "Of 48 answers 4 failed (the line is dead) and 4 could not be read; they are left out." in score.notes


def test_a_concept_with_verdicts_on_half_of_its_excerpts_keeps_its_score() -> None:
    score = measured(Detection(llm=Faulty("feature 3", every=2), permuted=False))
    assert (
        int(score.values.isfinite().sum()) == 12
        and score.value == 1
        and any("2 could not be read" in note for note in score.notes)
    )


def test_without_any_verdict_there_is_an_error_and_no_number() -> None:
    class Silent:
        def generate(self, messages: Any) -> str:
            return "I cannot tell."

    with pytest.raises(LLMError, match=r"none of 12 concepts has a score.*96 could not be read"):
        measured(Detection(llm=Silent()))


@BOTH
def test_nothing_that_the_labeller_was_shown_is_judged(metric: Any) -> None:
    texts = WORLD.activations.texts

    def with_shown(concept: LabelledConcept) -> LabelledConcept:
        first, second = texts[concept.concept : 120 : 2], texts[concept.concept + 1 : 120 : 2]
        shown = [tuple(Example(text, 0, len(text), 1.0) for text in part) for part in (first, second)]
        return replace(concept, examples=shown[0], shown=shown[1])

    labels = Interpretation(tuple(map(with_shown, WORLD.labels)))
    judge = Oracle(WORLD.words)
    score = measured(metric(llm=judge, context=99, permuted=False), labels=labels)
    assert score.value == 1 and len(judge.asked) == 12 * 4
    for label, lines in judge.asked:
        shown = set(texts[int(label.split()[1]) : 120])
        seen = {line.replace("<<", "").replace(">>", "") for line in lines}
        assert seen <= set(texts) and not seen & shown


def test_a_concept_whose_texts_the_labeller_has_all_seen_is_counted_and_not_asked_about() -> None:
    codes = WORLD.activations.matrix()[:, 2]
    held = {int(i) for i in WORLD.activations.text_of[codes > 0]}
    shown = tuple(Example(WORLD.activations.texts[i], 0, 1, 1.0) for i in sorted(held)[2:])  # two are left
    entries = [replace(c, shown=shown) if c.concept == 2 else c for c in WORLD.labels]
    judge = Oracle(WORLD.words)
    score = measured(Detection(llm=judge, permuted=False), labels=Interpretation(tuple(entries)))
    assert int(score.values.isfinite().sum()) == 11 and "feature 2" not in {label for label, _ in judge.asked}
    assert "too few excerpts that the labeller was not shown: 1 (concept 2)" in score.notes[0]


def test_a_concept_without_a_label_is_counted_and_not_asked_about() -> None:
    entries = [replace(c, label=None) if c.concept in (1, 4) else c for c in WORLD.labels]
    score = measured(Detection(llm=Oracle(WORLD.words)), labels=Interpretation(tuple(entries)))
    assert int(score.values.isfinite().sum()) == 10 and "no label: 2 (concept 1, 4)" in score.notes[0]
    with pytest.raises(UnsupportedError, match="no label: 12"):
        measured(Detection(llm=Oracle({})), labels=Interpretation(tuple(replace(c, label=None) for c in WORLD.labels)))


def test_a_single_label_has_no_other_to_be_permuted_with() -> None:
    score = measured(Detection(llm=Oracle(WORLD.words)), labels=Interpretation(WORLD.labels.concepts[:1]))
    assert score.value == 1 and score.chance is None and score.margins is None and score.interval is None


def test_no_concept_keeps_its_label_or_gets_an_equal_one() -> None:
    for seed in range(20):
        assert sorted(deranged(list("abcdef"), seed)) == list("abcdef")
        assert all(one != other for one, other in zip("abcdef", deranged(list("abcdef"), seed), strict=True))
        found = deranged(["Rain", "sun", "rain ", "snow"], seed)
        assert {found[0], found[2]} == {"sun", "snow"} and {found[1], found[3]} == {"Rain", "rain "}
    assert len({tuple(deranged(list("abcdef"), seed)) for seed in range(20)}) > 10
    assert deranged(["a", "a", "a", "b"], 0).count(None) == 2 and deranged(["a"], 0) == [None] and deranged([], 0) == []


def test_without_permuted_labels_half_of_the_conversations_are_saved() -> None:
    both, one = (measured(Detection(llm=Oracle(WORLD.words), permuted=p)) for p in (True, False))
    assert (both.usage.conversations, one.usage.conversations) == (12 * 4 * 2, 12 * 4)
    assert one.chance is None and both.values.equal(one.values)


def test_what_is_asked_depends_on_the_seed_and_on_no_other_concept() -> None:
    def asked(labels: Interpretation, seed: int = 0) -> list[Any]:
        judge = Oracle(WORLD.words)
        measured(Detection(llm=judge, seed=seed, permuted=False), labels=labels)
        return [pair for pair in judge.asked if pair[0] == "feature 7"]

    alone = Interpretation((WORLD.labels[7],))
    assert asked(WORLD.labels) == asked(alone) != asked(alone, seed=1)


def test_answers_on_disk_are_not_asked_for_again(tmp_path: Any) -> None:
    first, again = Oracle(WORLD.words), Oracle(WORLD.words)
    one = measured(Detection(llm=first, cache=str(tmp_path)))
    two = measured(Detection(llm=again, cache=str(tmp_path)))
    assert len(first.asked) == 96 and not again.asked and two.usage.cached == 96 and one.value == two.value


def test_a_score_keeps_its_usage_in_its_file(tmp_path: Any) -> None:
    score = measured(Detection(llm=Oracle(WORLD.words)))
    loaded = Score.load(score.save(tmp_path / "score.json"))
    assert loaded.usage == score.usage and loaded.notes == score.notes and loaded.values.equal(score.values)


def test_a_store_on_disk_is_asked_about_the_same(tmp_path: Any) -> None:
    texts = [f"{a} {b} {c}" for a in ("so", "very") for b in ("happy", "sad", "calm") for c in ("dog", "sun", "today")]
    split = tiny_classifier().split(-1)
    space = AffineSpace(torch.eye(4, split.activations(texts[:1], progress=False).width), torch.eye(4, 16))
    labels = Interpretation(tuple(LabelledConcept(i, f"label {i}") for i in range(4)))
    held = [split.activations(texts, granularity="sample", to=to, progress=False) for to in (None, tmp_path / "store")]
    one, two = (interp.measure(labels, space, rows, by=Detection(llm=Coin())) for rows in held)
    assert one.value == two.value and one.chance == two.chance and one.usage == two.usage


def test_one_unit_is_marked_and_wrong_marks_stand_where_the_concept_is_elsewhere() -> None:
    judge = Oracle(WORLD.words)
    score = measured(Fuzzing(llm=judge, context=99, permuted=False))
    beside = 0
    for label, lines in judge.asked:
        for line in lines:
            assert len(re.findall("<<", line)) == len(re.findall(">>", line)) == 1
            rest = re.sub("<<.*>>", "", line).split()
            beside += any(word in rest for word in WORLD.words[label]) and not re.search(
                rf"<<.{label.split()[1]}x>>", line
            )
    assert beside == 120 and "Of 120 wrong marks 120 are in texts where the concept is active elsewhere." in score.notes


def test_units_in_untidy_texts_are_marked_where_they_stand() -> None:
    """Units begin with the space before them, as tokens do, one is of two words, and one is blank."""
    words = [f"w{i}" for i in range(40)]
    texts = tuple(f"so very {word}  today" for word in words)
    spans = [[(0, 7), (7, len(t) - 7), (len(t) - 7, len(t) - 6), (len(t) - 6, len(t))] for t in texts]
    held = Activations(
        values=torch.tensor([[0.0], [1.0], [-1.0], [0.0]]).repeat(40, 1),
        text_of=torch.arange(160) // 4,
        unit_of=torch.arange(160) % 4,
        texts=texts,
        units=tuple(tuple(Unit(t[a:b], a, b) for a, b in own) for t, own in zip(texts, spans, strict=True)),
        layer="given",
        granularity="word",
        made_by=MadeBy("given"),
    )
    judge = Record()
    labels = Interpretation((LabelledConcept(0, " ".join(words)),))
    space = AffineSpace(torch.eye(1), torch.eye(1))
    assert interp.measure(labels, space, held, by=Fuzzing(llm=WordJudge(), context=1)).value == 1
    interp.measure(labels, space, held, by=Fuzzing(llm=judge, context=1))
    lines = [line.partition(". ")[2] for user in judge.users for line in user.splitlines()[2:]]
    right = [line for line in lines if re.fullmatch(r"so very <<w\d+>>", line)]
    wrong = r"<<so very>> w\d+|w\d+ ?<<\(blank\)>> ?today|<<today>>"
    assert len(right) == 10 and sum(bool(re.fullmatch(wrong, line)) for line in lines) == 10, lines


def test_rows_that_are_not_finite_belong_to_neither_sort() -> None:
    values = WORLD.activations.matrix().clone()
    values[WORLD.activations.text_of < 100] = float("nan")
    held = replace(WORLD.activations, values=values)
    judge = Oracle(WORLD.words)
    score = interp.measure(WORLD.labels, WORLD.space, held, by=Detection(llm=judge, context=99))
    seen = {line for _, lines in judge.asked for line in lines}
    assert score.value == 1 and not seen & set(held.texts[:100])


def test_marks_and_lines_of_the_corpus_are_not_taken_for_ours_and_long_texts_are_cut() -> None:
    words = [f"cout << {i}\n2. >> x{i} {'long ' * 999 * (i == 0)}" for i in range(20)]
    held = of_rows((torch.arange(20) < 10).float()[:, None], words)
    judge = Record()
    labels = Interpretation((LabelledConcept(0, "output"),))
    score = interp.measure(labels, AffineSpace(torch.eye(1), torch.eye(1)), held, by=Fuzzing(llm=judge))
    lines = [line for user in judge.users for line in user.splitlines()[2:]]
    assert len(lines) == 20 and all(re.fullmatch(r"\d\. <<cout ‹‹ \d+ 2\. ›› x\d+[long ]*>>", one) for one in lines), (
        lines
    )
    assert max(map(len, lines)) < 1010 and "1 excerpts were shortened." in score.notes


class Record:
    """Says yes, and keeps what it was asked."""

    def __init__(self) -> None:
        self.users: list[str] = []

    def generate(self, messages: list[dict[str, str]]) -> str:
        self.users.append(messages[-1]["content"])
        return json.dumps([1] * (len(messages[-1]["content"].splitlines()) - 2))


def test_equal_texts_are_judged_once() -> None:
    held = of_rows((torch.arange(40) % 2).float()[:, None], [f"text {i % 10}" for i in range(40)])
    judge = Record()
    interp.measure(
        Interpretation((LabelledConcept(0, "odd"),)),
        AffineSpace(torch.eye(1), torch.eye(1)),
        held,
        by=Detection(llm=judge, per_prompt=3),
    )
    lines = [line.partition(". ")[2] for user in judge.users for line in user.splitlines()[2:]]
    assert sorted(lines) == sorted(f"text {i}" for i in range(10))


def test_the_instructions_are_the_users_and_the_form_of_the_answer_stays() -> None:
    class System(Record):
        def generate(self, messages: list[dict[str, str]]) -> str:
            assert messages[0]["content"].startswith("Be strict.\nReply with JSON") and messages[0]["role"] == "system"
            return super().generate(messages)

    measured(Detection(llm=System(), instructions="Be strict."))


def test_a_judge_that_cannot_be_asked_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        interp.measure(WORLD.labels, WORLD.space, WORLD.activations, by="detection")


def test_concepts_that_the_space_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match=r"concepts \[12\], and the space has 0 to 11"):
        measured(Detection(llm=Constant()), labels=Interpretation((LabelledConcept(12, "x"),)))


@pytest.mark.parametrize(
    "wrong", [{"examples": 2}, {"per_prompt": 0}, {"context": -1}, {"bins": 0}, {"seed": -1}, {"threshold": 1.0}]
)
def test_values_out_of_range_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))}( is |=){next(iter(wrong.values()))}"):
        Fuzzing(**wrong)


def test_active_excerpts_come_one_from_each_tenth_of_the_ranking() -> None:
    codes = torch.cat([torch.arange(1.0, 101.0), torch.zeros(30)])[
        torch.randperm(130, generator=torch.Generator().manual_seed(0))
    ]
    held = of_rows(codes[:, None], [f"text {int(code)}" if code else f"none {i}" for i, code in enumerate(codes)])
    judge = Record()
    labels = Interpretation((LabelledConcept(0, "x"),))
    score = interp.measure(labels, AffineSpace(torch.eye(1), torch.eye(1)), held, by=Detection(llm=judge))
    drawn = sorted(int(code) for user in judge.users for code in re.findall(r"text (\d+)", user))
    assert [(code - 1) // 10 for code in drawn] == list(range(10)) and score.value == 0.5
    assert "Each concept on 10 excerpts where it is active and as many where it is not." in score.notes


DENSE = planted_features(dense=0.3)  # the weakest word has 0.5, the strongest 3 to 3.3


@BOTH
@pytest.mark.parametrize("by_word", [True, False])
def test_dense_codes_have_a_score_above_a_threshold_and_without_one_the_error_names_it(
    metric: Any, by_word: bool
) -> None:
    world = planted_features(dense=0.3, by_word=by_word)
    assert bool((world.activations.matrix() > 0).all())
    with pytest.raises(UnsupportedError, match=r"too few excerpts.*threshold=0\.2"):
        measured(metric(llm=Oracle(world.words)), world)
    score = measured(metric(llm=Oracle(world.words), threshold=0.13), world)
    low, high = interval_of_mean(permuted(score))
    assert score.value == 1 and int(score.values.isfinite().sum()) == 12 and low <= 0.5 <= high and high < 0.65
    assert "A concept counts as active above 0.13 of its largest code." in score.notes


@BOTH
def test_a_threshold_between_noise_and_truth_draws_what_sparse_codes_draw(metric: Any) -> None:
    """A threshold below every code that is not 0 changes nothing, and one above the noise leaves each row its sort."""
    judges = [Oracle(WORLD.words) for _ in range(3)]
    measured(metric(llm=judges[0], examples=40, permuted=False))
    measured(metric(llm=judges[1], examples=40, permuted=False, threshold=0.1))
    dense = measured(metric(llm=judges[2], examples=40, permuted=False, threshold=0.13), DENSE)
    assert judges[0].asked == judges[1].asked and dense.value == 1
    assert not any("counts as active" in note for note in measured(metric(llm=Oracle(WORLD.words))).notes)


def test_a_threshold_parts_rows_at_a_share_of_the_largest_code() -> None:
    codes = torch.arange(1.0, 101.0)
    held = of_rows(codes[:, None], [f"text {int(code)}" for code in codes])
    judge = Record()
    labels = Interpretation((LabelledConcept(0, "x"),))
    method = Detection(llm=judge, examples=50, threshold=0.8)
    score = interp.measure(labels, AffineSpace(torch.eye(1), torch.eye(1)), held, by=method)
    numbers = [int(code) for user in judge.users for code in re.findall(r"text (\d+)", user)]
    assert {n for n in numbers if n > 80} == set(range(81, 101)) and len(numbers) == 40
    assert "Each concept on 20 excerpts where it is active and as many where it is not" in " ".join(score.notes)


def test_a_code_that_is_infinite_does_not_set_the_threshold() -> None:
    values = DENSE.activations.matrix().clone()
    values[5] = float("inf")
    world = replace(DENSE, activations=replace(DENSE.activations, values=values))
    score = measured(Detection(llm=Oracle(WORLD.words), threshold=0.13, permuted=False), world)
    assert score.value > 0.9 and int(score.values.isfinite().sum()) == 12


def test_fuzzing_of_whole_excerpts_says_that_it_is_detection() -> None:
    texts = planted_features(by_word=False)
    oracle = {"llm": Oracle(WORLD.words), "permuted": False}
    for method, world in ((Fuzzing(**oracle), texts), (Fuzzing(**oracle, context=0), WORLD)):
        score = measured(method, world)
        assert score.value == 1 and any("this is detection" in note for note in score.notes)
    for method in (Fuzzing(**oracle), Fuzzing(**oracle, context=1)):
        assert not any("this is detection" in note for note in measured(method).notes)
    assert not any("this is detection" in note for note in measured(Detection(**oracle), texts).notes)


def test_a_dry_run_says_what_it_is_and_what_asking_would_take() -> None:
    dry = Scripted(prices=(1.0, 4.0))
    with pytest.raises(LLMError, match=r"^a dry run: nothing was asked.*96 conversations .*tokens, price") as caught:
        measured(Detection(llm=dry))
    assert str(dry.usage()) in str(caught.value) and len(dry.asked) == 96


def test_a_score_whose_answers_are_all_in_the_cache_needs_no_key(tmp_path: Any) -> None:
    keyless: list[bool] = []

    class Keyed(Oracle):
        def ready(self) -> None:
            if keyless:
                raise InputError("there is no key")

    method = Detection(llm=Keyed(WORLD.words), cache=str(tmp_path), permuted=False)
    first = measured(method)
    keyless.append(True)
    again = measured(method)
    assert again.value == first.value and again.usage.cached == again.usage.conversations == 48
    with pytest.raises(InputError, match="there is no key"):
        measured(replace(method, seed=1))
    with pytest.raises(InputError, match="there is no key"):
        measured(replace(method, cache=None))
