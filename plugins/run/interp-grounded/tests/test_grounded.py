"""Sources are found where there are some, and seldom where there are none."""

import dataclasses

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, ask, explain
from interp_core.errors import InputError, UnsupportedError
from interp_core.testing import planted_model, tangled_world, tiny_generator
from interp_grounded.grounded import by_others, grounded, holm
from interp_grounded.grounding import Grounding

SEEDS = 250
AT_MOST = 0.08  # of 250 runs: three standard errors above 5 %, were it no less


def sourceless(seed: int, units: int) -> torch.Tensor:
    """A score that no unit explains: products of signs of random sets of units."""
    generator = torch.Generator().manual_seed(seed)
    sets = torch.rand(60, units, generator=generator) < 0.5

    def scores(v: torch.Tensor) -> torch.Tensor:
        return torch.where(sets, 1 - 2 * v[:, None, :, 0], torch.ones(())).prod(-1).sum(1, keepdim=True)

    return ask(scores, torch.ones(units, 1))


def found(name: str, question, **parameters) -> Attribution:
    return explain(interp.method(name, **parameters), question)


@pytest.mark.parametrize(
    ("name", "units"), [("occlusion", 24), ("lime", 12), ("kernel-shap", 12), ("context-cite", 24), ("shapley", 8)]
)
def test_a_world_without_sources_has_some_in_less_than_one_of_twenty_runs(name: str, units: int) -> None:
    few = {} if name == "occlusion" else {"samples": 48}
    wrong = 0
    for seed in range(SEEDS):
        made = found(name, sourceless(seed, units), **(few and {**few, "seed": seed}))
        wrong += bool(grounded(made).sources[0])
    assert wrong <= AT_MOST * SEEDS


@pytest.mark.parametrize("name", ["occlusion", "lime", "kernel-shap", "context-cite", "shapley"])
def test_a_source_among_noise_is_found(name: str) -> None:
    right = 0
    for seed in range(20):
        noise = sourceless(seed, 16).runner.function
        question = ask(lambda v, noise=noise: 0.1 * noise(v) + 12 * v[:, 5], torch.ones(16, 1))
        sources = grounded(found(name, question)).sources[0]
        right += [one.unit for one in sources] == [5]
    assert right >= 18


@pytest.mark.parametrize("units", [3, 6, 32, 200])
@pytest.mark.parametrize("shape", ["normal", "exponential"])
def test_changes_of_other_units_are_no_sources(units: int, shape: str) -> None:
    generator = torch.Generator().manual_seed(units)
    scores = torch.randn(SEEDS * 2, units, generator=generator).double()
    if shape == "exponential":
        scores = scores.sign() * torch.empty_like(scores).exponential_(generator=generator)
    wrong = sum(bool((holm(by_others(row)) <= 0.05).any()) for row in scores)
    assert wrong <= 0.07 * 2 * SEEDS


def test_the_chance_of_one_unit_is_what_it_says() -> None:
    """Of many exponential sizes, the share of others above a score is close to the probability said of it."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.empty(4000).exponential_(generator=generator).double() * torch.tensor([1.0, -1.0]).repeat(2000)
    scores[0] = 4.0
    assert float(by_others(scores)[0]) == pytest.approx(float(torch.exp(torch.tensor(-4.0))) / 2, rel=0.2)
    assert float(by_others(scores)[1]) == 1.0


def test_holm_is_the_step_down_adjustment() -> None:
    p = torch.tensor([0.01, 0.04, 0.03, 0.5]).double()
    assert holm(p).tolist() == pytest.approx([0.04, 0.09, 0.09, 0.5])


def test_two_copies_are_both_sources_for_methods_that_draw_subsets() -> None:
    question = ask(
        lambda v: 8 * v[:, [2, 11], 0].amax(1, keepdim=True), torch.ones(16, 1), names=[f"fact {i}" for i in range(16)]
    )
    for name in ("kernel-shap", "context-cite", "lime"):
        assert {one.unit for one in grounded(found(name, question)).sources[0]} == {2, 11}
    alone = grounded(found("occlusion", question))
    assert alone.sources == ((),) and any("leaving one out does not see" in note for note in alone.notes)


def test_a_unit_that_speaks_against_a_target_is_no_source() -> None:
    question = ask(lambda v: torch.cat([v[:, 0], -v[:, 0]], 1), torch.ones(6, 1))
    sources = grounded(found("occlusion", question)).sources
    assert [one.unit for one in sources[0]] == [0] and sources[1] == ()


def test_intervals_are_those_of_the_errors() -> None:
    question = tangled_world(3, units=14, targets=1)
    made = found("lime", question)
    lifted = dataclasses.replace(made, scores=made.scores + 50 * torch.eye(14)[:1])
    (one,) = grounded(lifted).sources[0]
    half = 1.959964 * float(made.error[0, 0])
    assert one.interval == pytest.approx((one.score - half, one.score + half)) and one.p < 1e-3
    exact = grounded(dataclasses.replace(lifted, error=torch.zeros_like(made.scores)))
    assert exact.sources[0][0].interval is None


def test_a_score_that_its_error_explains_is_no_source() -> None:
    scores = torch.zeros(1, 9)
    scores[0, 4] = 3.0
    question = tangled_world(units=9, targets=1)
    made = dataclasses.replace(found("lime", question, samples=40), scores=scores)
    for error, count in ((0.5, 1), (2.0, 0), (float("inf"), 0)):
        assert len(grounded(dataclasses.replace(made, error=torch.full((1, 9), error))).sources[0]) == count


def test_a_single_unit_is_compared_with_nothing() -> None:
    question = ask(lambda v: v[:, 0], torch.ones(1, 1))
    assert grounded(found("occlusion", question)).sources == ((),)


def test_words_of_the_answer_are_no_sources() -> None:
    (why,) = interp.attribute(
        tiny_generator(), "i feel so happy and", by="occlusion", targets=" the cat was", progress=False
    )
    scores = torch.where(why.applicable, 0.01, 0.0) * torch.rand(why.scores.shape)
    last = int(why.applicable[-1].nonzero()[-1])
    scores[-1, last] = 100.0
    assert why.units[last].start >= why.prompt_stop
    assert grounded(dataclasses.replace(why, scores=scores)).sources[-1] == ()
    scores[-1, 1] = 100.0
    assert [one.unit for one in grounded(dataclasses.replace(why, scores=scores)).sources[-1]] == [1]


def test_scores_without_signs_are_refused() -> None:
    model = planted_model({"happy": (3.0, -1.0)})
    saliency = interp.attribute(model, "so happy", by="saliency", targets=0, progress=False)
    entropy = interp.attribute(model, "so happy", by="occlusion", score="entropy", progress=False)
    for made in (saliency, entropy):
        with pytest.raises(UnsupportedError, match="claims signed"):
            grounded(made)


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_attribution_or_level_is_refused() -> None:
    with pytest.raises(InputError, match="an Attribution or a list"):
        grounded("so happy")
    for level in (5, 0, "a", None, [0.05], float("nan")):
        with pytest.raises(InputError, match="level is"):
            grounded([], level=level)


def test_a_grounding_is_a_value(tmp_path) -> None:
    model = planted_model({"happy": (3.0, -1.0)})
    (why,) = interp.attribute(model, "the cat was so happy", by="occlusion", targets=[0, 1], progress=False)
    value = interp.grounded(why, level=0.01)
    why = dataclasses.replace(why, targets=(dataclasses.replace(why.targets[0], label="<b>"), why.targets[1]))
    assert "<td" in interp.grounded(why)._repr_html_() and "<b>" not in interp.grounded(why)._repr_html_()
    again = Grounding.load(value.save(tmp_path / "sources.json"))
    (loaded,) = interp.load_results(tmp_path / "sources.json")
    assert again.to_json() == loaded.to_json() == value.to_json()
    assert (again.sources, again.level, again.targets) == (value.sources, 0.01, ("class 0", "class 1"))
    table = value.to_dataframe()
    assert table["source"].tolist() == ["happy", "no source beyond chance"]
    assert table["score"].tolist()[0] == 3.0 and "no source beyond chance" in value._repr_html_()
    assert repr(value) == "Grounding(sources for 1 of 2 targets, by occlusion on _BagOfWords)"
    several = interp.grounded(interp.attribute(model, ["so happy", "sad"], by="occlusion", progress=False))
    assert [type(one) for one in several] == [Grounding, Grounding]
