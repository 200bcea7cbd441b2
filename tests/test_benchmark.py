"""A benchmark names the method to trust, says when there is none, and loses nothing when a method fails."""

import csv
import dataclasses
import math
from dataclasses import dataclass

import interp_core as interp
import pytest
import torch
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics import Row, Score
from interp_core.statistics import interval_of_mean
from interp_core.statistics._intervals import t_quantile
from interp_core.testing import planted_model
from scipy import stats

pytestmark = pytest.mark.slow

TEXTS = [f"i was {a} and {b} today" for a in ("so", "very") for b in ("happy", "sad", "angry", "glad")]
WORTH = {"happy": (3.0, -1.0), "sad": (-2.0, 2.0), "angry": (-1.0, 1.5), "glad": (1.0, 0.0), "and": (0.2, 0.1)}


@dataclass(frozen=True)
class Places:
    """A method that looks at nothing but where a word stands."""

    def attribute(self, question: interp.Question) -> torch.Tensor:
        return torch.arange(len(question.units)).float().flip(0).expand(len(question.targets), -1)


@dataclass(frozen=True)
class Broken:
    def attribute(self, question: interp.Question) -> torch.Tensor:
        return torch.full((len(question.targets), len(question.units)), torch.nan)


def made(**options: object) -> interp.Benchmark:
    methods = {"places": Places(), "occlusion": "occlusion", "broken": Broken()}
    given = {"methods": methods, "metrics": ["insertion", "deletion"], "progress": False, **options}
    return interp.benchmark(planted_model(WORTH), TEXTS, **given)  # type: ignore[arg-type]


def test_the_method_that_finds_the_words_is_trusted() -> None:
    found = made()
    assert found.trusted is not None and found.trusted.method == "occlusion"
    assert "trust occlusion" in found.verdict


def test_when_none_beats_chance_that_is_said() -> None:
    found = made(methods={"places": Places()})
    assert found.trusted is None and "trust none" in found.verdict


def test_few_texts_are_not_enough() -> None:
    few = interp.benchmark(
        planted_model(WORTH), TEXTS[:3], methods=["occlusion"], metrics=["insertion"], progress=False
    )
    assert few.trusted is None and "too few" in few.verdict


def test_a_failure_is_kept_and_the_others_go_on() -> None:
    broken = next(row for row in made().rows if row.method == "broken")
    assert "NaN" in broken.failures[""] and broken.scores == {}


def test_the_csv_has_a_line_for_each_method_and_metric(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = made()
    path = tmp_path / "table.csv"
    found.to_csv(path)
    lines = list(csv.DictReader(path.open()))
    assert [(line["method"], line["metric"]) for line in lines] == [
        (row.method, metric) for row in found.rows for metric in ("insertion", "deletion")
    ]
    own = next(line for line in lines if line["method"] == "occlusion" and line["metric"] == "insertion")
    score = found.rows[1].scores["insertion"]
    assert float(own["value"]) == pytest.approx(score.value) and own["beats chance"] == "True"
    assert int(own["rows"]) == found.rows[1].cost.rows > 0


def test_saving_keeps_everything(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = made()
    again = interp.Benchmark.load(found.save(tmp_path / "b.json"))
    assert again.to_csv() == found.to_csv() and again.verdict == found.verdict


def test_many_comparisons_need_more_evidence_each() -> None:
    margins = torch.tensor([0.1, 0.2, 0.15, -0.02, 0.12, 0.03])
    score = Score(1.0, True, margins=margins)
    rows = tuple(Row(f"m{i}", scores={"a": score}) for i in range(200))
    assert interp.Benchmark(rows[:1], ("a",), "", 6).beats_chance(rows[0], "a")
    assert not interp.Benchmark(rows, ("a",), "", 6).beats_chance(rows[0], "a")


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("degrees", [1, 2, 4, 5, 29, 1000])
def test_the_quantile_is_that_of_students_t(level: float, degrees: int) -> None:
    assert t_quantile(level, degrees) == pytest.approx(stats.t.ppf(0.5 + level / 2, degrees), rel=1e-6)


def test_an_interval_is_that_of_scipy() -> None:
    values = torch.randn(17, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = stats.t.interval(0.95, 16, loc=float(values.mean()), scale=float(values.std()) / 17**0.5)
    assert interval_of_mean(values) == pytest.approx(expected, rel=1e-6)


def test_names_must_differ_and_there_must_be_some() -> None:
    for methods, said in (([], "no methods were given"), (["occlusion", "occlusion"], "names occur twice")):
        with pytest.raises(InputError, match=said):
            made(methods=methods)
    assert [row.method for row in made(methods="occlusion").rows] == ["occlusion"]


def test_steadiness_alone_is_no_reason_to_trust() -> None:
    found = made(methods={"places": Places()}, metrics=["max-sensitivity"])
    assert found.trusted is None and "None of these metrics says" in found.verdict


def test_what_cannot_be_measured_is_said_before_or_instead_of_a_verdict() -> None:
    with pytest.raises(InputError, match="give labels="):
        made(metrics=["insertion", "plausibility-auprc"])
    with pytest.raises(UnsupportedError, match="measures concepts"):
        made(metrics=["mse"])
    assert "Nothing could be measured" in made(methods={"broken": Broken()}).verdict


def test_a_metric_that_asks_again_asks_as_before() -> None:
    model = planted_model(WORTH)
    why = interp.attribute(model, TEXTS, by="occlusion", progress=False)
    with pytest.raises(InputError, match="asked before"):
        interp.measure(why, model, by="max-sensitivity", removal="zero", progress=False)


class Share:
    """A metric that needs no model: whether the first unit has a score above 0."""

    higher_is_better = True

    def __init__(self) -> None:
        self.seen: list[float] = []

    def measure(self, attribution: interp.Attribution, question: interp.Question) -> Score:
        self.seen.append(float(attribution.scores[0, 0] > 0))
        return Score(self.seen[-1], True)


class Place(Share):
    """Where the unit with the greatest score stands, from 0 to 1."""

    def measure(self, attribution: interp.Attribution, question: interp.Question) -> Score:
        return Score(float(attribution.scores[0].argmax()) / (len(attribution.units) - 1), True)


def explained(count: int) -> tuple[interp.TextModel, list[interp.Attribution]]:
    model = planted_model(WORTH)
    texts = [f"i was {i} times {word} today" for i in range(10) for word in ("happy", "sad", "angry", "glad")]
    return model, interp.attribute(model, texts[:count], by="occlusion", progress=False)


def test_random_orders_depend_on_the_text_and_not_on_its_place() -> None:
    model, several = explained(24)
    one, back = (interp.measure(a, model, by="comprehensiveness", progress=False) for a in (several, several[::-1]))
    assert one.chance == pytest.approx(back.chance, abs=1e-6) and torch.allclose(one.margins, back.margins.flip(0))


@pytest.mark.parametrize(("texts", "orders"), [(1, 30), (6, 5), (40, 4)])
def test_each_text_has_four_random_orders_at_least_and_all_together_thirty(texts: int, orders: int) -> None:
    model, several = explained(texts)
    metric = Share()
    score = interp.measure(several, model, by=metric, progress=False)
    assert score.made_by.settings["random orders"] == orders and len(metric.seen) == texts * (1 + orders)


def test_the_error_of_the_chance_level_is_that_of_the_mean_of_its_draws() -> None:
    model, several = explained(40)
    metric = Share()
    score = interp.measure(several, model, by=metric, progress=False)
    assert score.chance == pytest.approx((sum(metric.seen) - score.value * 40) / 160)
    assert abs(score.chance - 0.5) < 3 * score.chance_error
    assert score.chance_error == pytest.approx((0.25 / 160) ** 0.5, rel=0.15)
    assert f"(random: {score.chance:.3f} ± {score.chance_error:.3f})" in str(score)


def test_without_a_chance_level_no_random_order_is_asked_and_no_method_trusted() -> None:
    model, several = explained(8)
    metric = Share()
    score = interp.measure(several, model, by=metric, chance=False, progress=False)
    assert len(metric.seen) == 8 and (score.chance, score.chance_error, score.margins) == (None, None, None)
    found = made(chance=False)
    assert found.trusted is None and "leave out chance=False" in found.verdict
    with_it, without = (interp.measure(several, model, by="insertion", chance=c, progress=False) for c in (True, False))
    assert without.value == pytest.approx(with_it.value) and without.made_by.cost.rows < with_it.made_by.cost.rows


def test_random_methods_are_rarely_told_from_random_orders() -> None:
    model, several = explained(30)
    missed = 0
    for seed in range(10):
        g = torch.Generator().manual_seed(seed)
        drawn = [dataclasses.replace(a, scores=torch.randn(a.scores.shape, generator=g)) for a in several]
        low, high = interp.measure(drawn, model, by=Place(), progress=False).margin
        missed += not low < 0 < high
    assert missed <= 2


def versus(*margins: torch.Tensor) -> interp.Benchmark:
    """A benchmark of methods with these margins over chance, text by text, in one metric."""
    rows = [Row(f"m{i}", scores={"a": Score(float(m.mean()), True, margins=m)}) for i, m in enumerate(margins)]
    return interp.Benchmark(tuple(rows), ("a",), "bert", len(margins[0]))


def test_methods_that_these_texts_cannot_tell_apart_are_named_beside_the_winner() -> None:
    g = torch.Generator().manual_seed(0)
    texts, noise = torch.randn(30, generator=g), 0.1 * torch.randn(30, generator=g)
    found = versus(5 + texts, 4.99 + texts + noise - noise.mean(), 4 + texts + noise)
    assert found.trusted is found.rows[0] and [row.method for row in found.ties] == ["m1"]
    assert "trust m0" in found.verdict and "These 30 texts cannot tell it from m1;" in found.verdict
    assert "m2" not in found.verdict  # although its margins vary ten times as much as they differ
    alone = versus(5 + texts, 4 + texts + noise)
    assert alone.ties == () and "cannot tell" not in alone.verdict
    assert interp.Benchmark((), ("a",), "bert", 6).ties == ()


def test_equal_methods_are_told_apart_in_at_most_5_of_100_benchmarks() -> None:
    g = torch.Generator().manual_seed(0)
    told = [versus(*(3 + torch.randn(6, 20, generator=g))) for _ in range(100)]
    rate = sum(len(found.ties) < 5 for found in told) / 100
    assert rate <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 100)


@dataclass(frozen=True)
class Changes:
    """A metric whose curves are as long as scores are positive."""

    higher_is_better: bool = True

    def measure(self, attribution, question):
        curves = tuple(row[row > 0] for row in attribution.scores)
        return Score(0.0, True, torch.zeros(len(curves)), curves=curves)


def test_random_curves_of_other_steps_are_left_out_and_the_metric_measures() -> None:
    model = planted_model(WORTH)
    found = interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)
    score = interp.measure(found, model, by=Changes(), progress=False)
    assert len(score.curves) == 2 * len(TEXTS) and score.chance_curves == ()
