"""Agreement with what people marked, against scikit-learn, sets written out, and people."""

from collections.abc import Callable, Sequence
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.testing import contract_tests, planted_model, tiny_classifier, tiny_generator
from interp_plausibility.agreement import AveragePrecision, IouF1, TokenF1, average_precision, iou_f1, token_f1
from interp_plausibility.rationales import marked_units, runs
from sklearn.metrics import average_precision_score, f1_score

test_contract_of_auprc = contract_tests("plausibility-auprc")
test_contract_of_token_f1 = contract_tests("plausibility-token-f1")
test_contract_of_iou_f1 = contract_tests("plausibility-iou-f1")

QUIET: dict[str, Any] = {"progress": False}
NAMES = ("plausibility-auprc", "plausibility-token-f1", "plausibility-iou-f1")
METRICS = (AveragePrecision(), TokenF1(), IouF1())


def question_of(units: int, targets: int = 1) -> Question:
    """Units `x0`, `x1`, … of two characters each, with a space between them."""
    return ask(lambda v: v.sum((1, 2))[:, None].expand(-1, targets), torch.ones(units, 1))


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


def spans(question: Question, units: Sequence[int]) -> list[tuple[int, int]]:
    return [(question.units[i].start, question.units[i].stop) for i in units]


def drawn(seed: int, units: int, levels: int = 1000) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores, of which some are equal where there are few levels, and marks."""
    generator = torch.Generator().manual_seed(seed)
    marked = torch.rand(units, generator=generator) < 0.4
    marked[int(torch.randint(units, (1,), generator=generator))] = True
    return torch.randint(-levels, levels, (units,), generator=generator).float(), marked


@pytest.mark.parametrize("levels", [1000, 2])
def test_average_precision_is_that_of_scikit_learn(levels: int) -> None:
    for seed in range(50):
        scores, marked = drawn(seed, 1 + seed % 13, levels)
        expected = average_precision_score(marked.numpy(), scores.numpy())
        assert average_precision(scores, marked) == pytest.approx(expected)


@pytest.mark.parametrize("share", [None, 0.3])
def test_token_f1_is_that_of_scikit_learn(share: float | None) -> None:
    for seed in range(50):
        scores, marked = drawn(seed, 1 + seed % 13)
        chosen = TokenF1(share=share).chosen(scores, marked)
        assert token_f1(chosen, marked) == pytest.approx(f1_score(marked.numpy(), chosen.numpy()))


def pieces(flags: torch.Tensor) -> list[set[int]]:
    found: list[set[int]] = []
    for i, flag in enumerate(flags.tolist()):
        if flag and found and i - 1 in found[-1]:
            found[-1].add(i)
        elif flag:
            found.append({i})
    return found


@pytest.mark.parametrize("overlap", [0.5, 0.6, 1.0])
def test_iou_f1_is_that_of_sets_of_units(overlap: float) -> None:
    """Precision and recall from best matches, as in the code of the paper, for one text."""
    values = set()
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        chosen, marked = (torch.rand(12, generator=generator) < 0.5 for _ in range(2))
        chosen[3] = marked[4] = True
        found, truth = pieces(chosen), pieces(marked)
        best = [max(len(p & t) / len(p | t) for t in truth) for p in found]
        hits = sum(value >= overlap for value in best)
        precision, recall = hits / len(found), hits / len(truth)
        expected = 2 * precision * recall / (precision + recall) if hits else 0.0
        assert iou_f1(chosen, marked, overlap) == pytest.approx(expected)
        values.add(round(expected, 6))
    assert len(values) > 5 and max(values) <= 1


def test_runs_are_units_that_follow_one_another() -> None:
    assert runs(torch.tensor([True, True, False, True, False, False, True, True])) == [
        range(2),
        range(3, 4),
        range(6, 8),
    ]
    assert runs(torch.zeros(3, dtype=torch.bool)) == []
    for seed in range(20):
        flags = torch.rand(9, generator=torch.Generator().manual_seed(seed)) < 0.5
        assert [set(run) for run in runs(flags)] == pieces(flags)


def test_a_perfect_order_agrees_wholly_and_its_opposite_hardly() -> None:
    question = question_of(6)
    marks = spans(question, [1, 2])
    right, wrong = ([float(i in (1, 2)) * way for i in range(6)] for way in (1, -1))
    for metric in METRICS:
        assert metric.measure(attribution(question, right), question, marks).value == pytest.approx(1)
    values = [metric.measure(attribution(question, wrong), question, marks).value for metric in METRICS]
    assert values == pytest.approx([2 / 6, 0, 0])  # of four equal ones first, then the two marked ones


def test_signs_count_so_that_what_speaks_against_the_class_comes_last() -> None:
    question = question_of(3)
    marks = spans(question, [0])
    for metric in METRICS:
        assert metric.measure(attribution(question, [1.0, -9.0, 0.0]), question, marks).value == 1
        assert metric.measure(attribution(question, [-9.0, 1.0, 0.0]), question, marks).value < 0.5


def test_of_equal_scores_the_first_in_the_text_are_chosen() -> None:
    chosen = TokenF1().chosen(torch.zeros(40), torch.arange(40) < 3)
    assert chosen.nonzero().flatten().tolist() == [0, 1, 2]


@pytest.mark.parametrize(("share", "count"), [(0.3, 3), (0.31, 4), (0.01, 1), (1.0, 10), (None, 2)])
def test_the_best_are_as_many_as_are_marked_or_a_share_rounded_up(share: float | None, count: int) -> None:
    scores, marked = torch.arange(10.0), torch.arange(10) < 2
    for metric in (TokenF1(share=share), IouF1(share=share)):
        chosen = metric.chosen(scores, marked)
        assert chosen.nonzero().flatten().tolist() == list(range(10 - count, 10))


def test_a_share_is_not_rounded_up_by_an_error_of_rounding() -> None:
    assert 0.07 * 100 > 7
    assert int(TokenF1(share=0.07).chosen(torch.arange(100.0), torch.arange(100) < 2).sum()) == 7


def test_a_unit_is_marked_when_more_than_half_of_its_characters_are() -> None:
    made = Attribution("what a lovely day", *_units("what a lovely day"), torch.zeros(1, 4), MadeBy("given"))
    assert marked_units(made, [(0, 3)]).tolist() == [True, False, False, False]
    assert marked_units(made, [(0, 2)]).tolist() == [False] * 4  # one half is not most
    assert marked_units(made, [(0, 1), (1, 3), (0, 2), (10, 17)]).tolist() == [True, False, False, True]  # 3 of 6
    assert marked_units(made, [(9, 17)]).tolist() == [False, False, True, True]
    assert marked_units(made, ((5, 6),)).tolist() == [False, True, False, False]
    assert not marked_units(made, []).any()


def _units(text: str) -> tuple[Any, Any]:
    question = ask(lambda v: v.sum((1, 2))[:, None], torch.ones(len(text.split()), 1), names=text.split())
    return question.units, question.targets


def test_units_that_cannot_matter_are_left_out_and_so_are_targets_without_marks() -> None:
    question = question_of(4, targets=3)
    able = [[True, False, False, False], [True, True, True, False], [True, True, True, True]]
    question = question.replace(applicable=torch.tensor(able))
    marks = spans(question, [1, 3])
    scores = torch.tensor([[0.0, 0, 0, 0], [3.0, 2, 1, 9], [3.0, 2, 1, 9]])
    found = AveragePrecision().measure(attribution(question, scores), question, marks)
    assert found.values is not None and found.values.tolist() == pytest.approx([1 / 2, (1 + 2 / 3) / 2])
    assert TokenF1().measure(attribution(question, scores), question, marks).values.tolist() == [0.0, 0.5]
    assert IouF1().measure(attribution(question, scores), question, marks).values.tolist() == [0.0, 0.5]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("rationale", "told"),
    [
        ([], "is marked; leave such texts out"),
        ((1, 2), "list of characters"),
        ("day", "list of characters"),
        (None, "list of characters"),
        ([(0, 1, 2)], "list of characters"),
        ([(3, 3)], r"\(3, 3\) is empty or leaves the 8 characters of 'x0 x1 x2'"),
        ([(-1, 3)], "is empty or leaves"),
        ([(0, 9)], "is empty or leaves"),
    ],
)
def test_rationales_that_cannot_be_are_refused(metric: Any, rationale: Any, told: str) -> None:
    question = question_of(3)
    with pytest.raises(InputError, match=told):
        metric.measure(attribution(question, [1, 2, 3]), question, rationale)


@pytest.mark.parametrize("make", [TokenF1, IouF1])
@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_shares_that_make_no_sense_are_refused(make: Any, share: float) -> None:
    with pytest.raises(InputError, match="above 0 and up to 1"):
        make(share=share)


@pytest.mark.parametrize("overlap", [0.4, 1.1])
def test_overlaps_that_could_hit_twice_or_never_are_refused(overlap: float) -> None:
    with pytest.raises(InputError, match=r"from 0\.5 to 1"):
        IouF1(overlap=overlap)


def test_the_definition_says_how_many_units_and_how_much_overlap() -> None:
    assert "as many as people marked" in TokenF1().definition and "25%" in TokenF1(share=0.25).definition
    assert "at least 0.7" in IouF1(overlap=0.7).definition and "10%" in IouF1(share=0.1).definition


WORTH = {"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0)}


def test_the_words_that_a_model_counts_are_found_where_people_marked_them() -> None:
    model = planted_model(WORTH)
    moods = ["happy", "glad", "happy and glad", "happy or glad but never sad", "glad"]
    texts = [f"i was {mood} today and the cat was old" for mood in moods]
    marks = [[(t.index(w), t.index(w) + len(w)) for w in ("happy", "glad") if w in t] for t in texts]
    found = interp.attribute(model, texts, by="occlusion", targets=0, **QUIET)
    for name in NAMES:
        score = interp.measure(found, model, marks, by=name, **QUIET)
        assert score.value == pytest.approx(1) and score.chance is not None and score.chance < 0.6
        assert score.margin is not None and score.margin[0] > 0.2


def test_classes_and_generated_tokens_are_measured_each() -> None:
    classifier, generator = tiny_classifier(), tiny_generator()
    texts, marks = ["i feel so happy", "the dog was old"], [[(0, 6)], [(4, 7)]]
    found = interp.attribute(classifier, texts, by="occlusion", targets="all", **QUIET)
    tokens = interp.attribute(generator, texts, by="occlusion", max_new_tokens=3, **QUIET)
    for name in NAMES:
        for model, made, count in ((classifier, found, 6), (generator, tokens, sum(len(a.targets) for a in tokens))):
            score = interp.measure(made, model, marks, by=name, **QUIET)
            assert score.values is not None and len(score.values) == count
            assert 0 <= score.value <= 1


def test_a_benchmark_hands_the_marks_to_those_who_compare_with_them() -> None:
    model = planted_model(WORTH)
    texts = [f"i was {mood} and the cat was old" for mood in ("happy", "glad", "happy", "glad", "happy")]
    marks = [[(6, 6 + len(text.split()[2]))] for text in texts]
    metrics = ["plausibility-auprc", "insertion"]
    table = interp.benchmark(
        model, texts, methods=["occlusion", "random"], metrics=metrics, labels=marks, targets=0, **QUIET
    )
    best, random = table.rows
    assert best.scores["plausibility-auprc"].value == pytest.approx(1) and not best.failures
    assert random.scores["plausibility-auprc"].value < 0.9


def test_on_tweets_attributions_find_what_people_marked_better_than_random_ones(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("tweet-tiny")
    columns = [
        real_texts("tweet_sentiment", column=name)
        for name in ("text", "label", "rationale", "rationale_start", "rationale_end")
    ]
    rows = [(t, k, r, (int(a), int(b))) for t, k, r, a, b in zip(*columns, strict=True) if k != "neutral"]
    kept = [row for row in rows if row[0][slice(*row[3])] == row[2]][:40]
    found = interp.attribute(model, [t for t, *_ in kept], by="occlusion", targets=[[k] for _, k, *_ in kept], **QUIET)
    for name in NAMES:
        score = interp.measure(found, model, [[span] for *_, span in kept], by=name, **QUIET)
        assert score.margin is not None and score.margin[0] > 0.05
