"""Areas of curves that are known, and the right order above the random one."""

import itertools

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.results import MadeBy
from interp_core.statistics import interval_of_mean
from interp_core.testing import contract_tests, planted_model, tiny_generator
from interp_insertion_deletion.curves import Deletion, Insertion, area, variants

test_contract = contract_tests("insertion")
test_contract_of_deletion = contract_tests("deletion")


def attribution(question: Question, scores: torch.Tensor) -> Attribution:
    return Attribution(question.text, question.units, question.targets, scores, MadeBy("given"))


def test_a_constant_score_has_its_own_value_as_area() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] * 0 + 0.37, torch.ones(6, 1))
    for metric in (Insertion(), Deletion()):
        assert metric.measure(attribution(question, torch.rand(1, 6)), question).value == pytest.approx(0.37)


def test_a_step_has_the_area_of_a_step() -> None:
    """The score jumps to 1 as the second of four units comes back: a trapezoid is half open there."""
    question = ask(lambda v: (v[:, 1] > 0.5).float(), torch.ones(4, 1))
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    assert Insertion().measure(attribution(question, scores), question).value == pytest.approx(1 - 1.5 / 4)
    assert Deletion().measure(attribution(question, scores), question).value == pytest.approx(1.5 / 4)
    assert [c.tolist() for c in Insertion().measure(attribution(question, scores), question).curves] == [
        [0, 0, 1, 1, 1]
    ]


def test_a_measure_keeps_the_curve_of_each_text_and_target(tmp_path) -> None:
    model = planted_model({"happy": (2.0, -2.0), "sad": (-2.0, 2.0)})
    explained = interp.attribute(model, ["so happy", "sad", "so"], by="occlusion", targets="all", progress=False)
    score = interp.measure(explained, model, by="deletion", chance=False, progress=False)
    assert [len(curve) for curve in score.curves] == [3, 3, 2, 2, 2, 2]
    assert torch.allclose(torch.stack([area(curve) for curve in score.curves]), score.values)
    kept = interp.Score.load(score.save(tmp_path / "score.json")).curves
    assert all(torch.equal(a, b) for a, b in zip(kept, score.curves, strict=True))
    assert score.chance_curves == ()
    beside = interp.measure(explained, model, by="deletion", progress=False)
    areas = torch.stack([area(curve) for curve in beside.chance_curves])  # an area is linear in its curve
    assert float(areas.mean()) == pytest.approx(beside.chance, abs=1e-5)
    kept = interp.Score.load(beside.save(tmp_path / "score.json")).chance_curves
    assert all(torch.equal(a, b) for a, b in zip(kept, beside.chance_curves, strict=True))


def test_of_all_orders_the_true_one_is_the_best() -> None:
    weight = torch.tensor([2.0, -1.0, 0.5, 1.2, -0.3])
    question = ask(lambda v: torch.sigmoid(v[:, :, 0] @ weight)[:, None], torch.ones(5, 1))
    found = {}
    for order in itertools.permutations(range(5)):
        scores = torch.zeros(1, 5)
        scores[0, list(order)] = torch.arange(5.0, 0, -1)
        made = attribution(question, scores)
        found[order] = [metric.measure(made, question).value for metric in (Insertion(), Deletion())]
    truth = tuple(weight.argsort(descending=True).tolist())
    assert found[truth][0] == max(value[0] for value in found.values())
    assert found[truth][1] == min(value[1] for value in found.values())


def test_units_that_come_after_the_target_are_never_removed() -> None:
    keep = variants(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False]), insert=True)
    assert keep.tolist() == [[False, False, True], [False, True, True], [True, True, True]]


def test_one_point_has_its_height_as_area() -> None:
    assert float(area(torch.tensor([0.25]))) == 0.25


def test_on_a_planted_model_the_true_ranking_beats_the_random_floor() -> None:
    model = planted_model({"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0)})
    moods = ["happy but bad", "glad and never sad", "calm or glad", "bad but not sad", "happy and good"]
    texts = [f"i feel so {mood} today when the cat was old" for mood in moods]
    found = interp.attribute(model, texts, by="occlusion", targets=0, progress=False)
    high, low = (interp.measure(found, model, by=name, progress=False) for name in ("insertion", "deletion"))
    assert high.chance is not None and low.chance is not None and high.interval is not None
    assert high.value > high.chance + 0.05 and low.value < low.chance - 0.05
    assert high.interval[0] <= high.value <= high.interval[1]
    few = interp.measure(found[:4], model, by="insertion", progress=False)
    assert few.interval is None
    assert "probability" in str(high.made_by.settings["score"]) and high.made_by.settings["removal"] == "mask"


def test_generation_is_measured_token_by_token() -> None:
    model = tiny_generator()
    found = interp.attribute(model, ["i feel so", "the dog"], by="lime", max_new_tokens=3, progress=False)
    score = interp.measure(found, model, by="insertion", progress=False)
    assert score.values is not None and len(score.values) == sum(len(a.targets) for a in found)
    assert 0 <= score.value <= 1


@pytest.mark.parametrize("texts", [5, 8, 30])
def test_the_interval_holds_the_mean_as_often_as_it_says(texts: int) -> None:
    generator = torch.Generator().manual_seed(texts)
    held = 0
    for _ in range(1000):
        interval = interval_of_mean(torch.randn(texts, generator=generator) + 3.0)
        assert interval is not None
        held += interval[0] <= 3.0 <= interval[1]
    assert 930 <= held <= 970
