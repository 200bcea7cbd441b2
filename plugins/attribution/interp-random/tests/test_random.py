"""Random scores know nothing: they pass no check of sense, and are the same draw wherever they are asked for."""

import subprocess
import sys

import interp_core as interp
import pytest
import torch
from interp_core.attribution import ask, explain
from interp_core.plugin import Method
from interp_core.plugin import _registry as registry
from interp_core.testing import (
    Check,
    _check_attribution,
    contract_tests,
    planted_model,
    tiny_classifier,
    tiny_generator,
)
from interp_random.draw import Random

test_contract = contract_tests("random")

SOUND = Method(
    name="sound",
    kind="attribution",
    target="somewhere:Sound",
    summary="what random scores are not",
    source="definition",
    claims=frozenset({"signed", "complete"}),
)
CHECKS_OF_SENSE = [
    c for c in _check_attribution.CHECKS if c.applies(SOUND) and not c.applies(registry.find_method("random"))
]


@pytest.mark.parametrize("check", CHECKS_OF_SENSE, ids=[check.name for check in CHECKS_OF_SENSE])
def test_random_scores_fail_each_check_of_sense(check: Check) -> None:
    with pytest.raises(AssertionError):
        check.run(SOUND, Random())


def test_another_model_gets_the_same_scores() -> None:
    """The sanity check of Adebayo et al. 2018: a method that is not about the model does not see it replaced."""
    one, other = (
        interp.attribute(tiny_classifier(seed), "i feel so happy", by=Random(), targets=0, progress=False)[0].scores
        for seed in (0, 1)
    )
    assert torch.equal(one, other)


def test_a_draw_does_not_depend_on_the_texts_and_targets_beside_it() -> None:
    model = tiny_classifier()
    alone = interp.attribute(model, "the old cat", by=Random(), targets=2, progress=False)[0].scores[0]
    among = interp.attribute(model, ["sad", "the old cat"], by=Random(), targets=[0, 2], progress=False)[1].scores[1]
    assert torch.equal(alone, among)


def test_each_text_and_each_target_has_its_own_draw() -> None:
    found = interp.attribute(
        tiny_generator(), ["i feel so", "the old dog"], by=Random(), max_new_tokens=3, progress=False
    )
    found += interp.attribute(tiny_classifier(), "sad", by=Random(), targets="all", progress=False)
    first = [float(row[0]) for a in found for row in a.scores]
    assert len(set(first)) == sum(len(a.targets) for a in found)


def test_draws_are_uniform_from_minus_one_to_one() -> None:
    """Mean 0, variance 1/3, each quarter of the range as often as the others."""
    question = ask(lambda v: v.sum((1, 2))[:, None].expand(-1, 20), torch.ones(500, 1))
    scores = Random().attribute(question)
    assert scores.shape == (20, 500)
    assert float(scores.mean().abs()) < 4 * (1 / 3 / 10_000) ** 0.5
    quarters = torch.histc(scores, 4, -1, 1) / 10_000
    assert float((quarters - 0.25).abs().max()) < 0.02


def test_another_process_draws_the_same() -> None:
    """Python's own hash of a string is another one in every process."""
    code = (
        "import torch\nfrom interp_core.question import ask\nfrom interp_random.draw import Random\n"
        "print(Random(seed=3).attribute(ask(lambda v: v[:, :, 0], torch.ones(3, 1))).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(Random(seed=3).attribute(ask(lambda v: v[:, :, 0], torch.ones(3, 1))).tolist())


def test_nothing_is_asked_of_the_model_and_nothing_is_estimated() -> None:
    question = ask(lambda v: v[:, :, 0], torch.ones(3, 1))
    found = Random().attribute(question)
    assert question.rows == 0
    assert explain(Random(), question).error is None
    assert torch.equal(explain(Random(), question).scores, found)


def test_it_stands_at_the_floor_of_a_metric() -> None:
    """The planted words are found by insertion only as often as by the random orders that it is compared with."""
    model = planted_model({"happy": (2.0, -2.0), "sad": (-2.0, 2.0)})
    texts = [f"i feel {word} today and the {thing} was old" for word in ("happy", "sad") for thing in ("cat", "dog")]
    told = [
        interp.measure(interp.attribute(model, texts, by=Random(seed), progress=False), model, by="insertion")
        for seed in range(12)
    ]
    assert all(score.chance is not None for score in told)
    gaps = torch.tensor([score.value - (score.chance or 0.0) for score in told])
    assert float(gaps.mean().abs()) < 3 * float(gaps.std()) / 12**0.5
