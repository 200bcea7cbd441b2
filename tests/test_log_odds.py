"""Log-odds: log p - log(1 - p) of a whole target, in closed form, where other spaces saturate."""

from __future__ import annotations

import interp_core as interp
import pytest
import torch
from interp_core.errors import TargetError
from interp_core.model import Readout, Target, readout_of
from interp_core.testing import planted_model, tiny_classifier, tiny_filler, tiny_generator
from torch import Tensor


def log_odds_of(logits: Tensor, *places: tuple[int, int]) -> Tensor:
    """In 64 bits, from the product of the softmax at pairs of row and class."""
    shares = logits.double().softmax(-1)
    product = torch.stack([shares[:, row, index] for row, index in places]).prod(0)
    return (product / (1 - product)).log()


def span(*places: tuple[int, int]) -> Target:
    return Target("span", parts=tuple(Target("", index, position=row + 1) for row, index in places))


def test_the_log_odds_of_a_class_are_its_logit_less_those_of_all_others() -> None:
    logits = torch.tensor([[1.0, 3.0, -2.0], [0.0, 0.0, 0.0]])
    (first, second) = Readout((Target("b", 1),), "log-odds", "single-label")(logits)[:, 0].tolist()
    assert first == pytest.approx(3 - float(torch.tensor([1.0, -2.0]).logsumexp(0)), abs=1e-6)
    assert second == pytest.approx(-0.6931472, abs=1e-6)  # a third against two thirds
    both = Readout((Target("b - c", 1, against=2),), "log-odds", "single-label")(logits)
    each = Readout((Target("b", 1), Target("c", 2)), "log-odds", "single-label")(logits)
    assert torch.allclose(both[:, 0], each[:, 0] - each[:, 1], atol=1e-6)


def test_the_log_odds_of_two_classes_are_the_difference_of_their_logits() -> None:
    logits = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)) * 9
    assert torch.allclose(
        Readout((Target("b", 1),), "log-odds", "single-label")(logits)[:, 0], logits[:, 1] - logits[:, 0], atol=1e-5
    )


def test_the_log_odds_of_a_multi_label_class_are_its_logit() -> None:
    logits = torch.tensor([[40.0, -90.0, 0.5]])
    targets = tuple(Target(str(i), i) for i in range(3))
    assert torch.equal(Readout(targets, "log-odds", "multi-label")(logits), logits)


@pytest.mark.parametrize("places", [[(0, 2)], [(0, 2), (1, 4)], [(0, 0), (1, 1), (2, 2), (3, 3)]])
def test_the_probability_of_a_span_is_that_of_all_of_its_tokens(places: list[tuple[int, int]]) -> None:
    logits = torch.randn(6, len(places), 7, generator=torch.Generator().manual_seed(1)) * 2
    for head in ("causal", "masked"):
        target = span(*places) if head == "causal" else span(*((row - 1, index) for row, index in places))
        found = Readout((target,), "log-odds", head)(logits)[:, 0]
        assert torch.allclose(found.double(), log_odds_of(logits, *places), atol=1e-5)


@pytest.mark.parametrize("size", [30.0, 60.0, 90.0, 5_000.0, -30.0, -90.0, -5_000.0])
def test_they_and_their_gradients_stay_exact_where_a_probability_is_1_or_0_to_rounding(size: float) -> None:
    """Of two tokens with odds e^size each, log P - log(1 - P) is size - ln 2 near 1, and 2 size near 0."""
    logits = torch.zeros(1, 2, 3)
    logits[:, :, 0], logits[:, :, 2] = size, -torch.inf
    logits.requires_grad_()
    score = Readout((span((0, 0), (1, 0)),), "log-odds", "causal")(logits)
    assert float(score.detach()) == pytest.approx(size - 0.6931472 if size > 0 else 2 * size, rel=1e-5)
    (slope,) = torch.autograd.grad(score.sum(), logits)
    assert torch.isfinite(slope).all()
    assert slope[0, :, 0].tolist() == pytest.approx([0.5, 0.5] if size > 0 else [1.0, 1.0], abs=1e-3)
    likely = Readout((span((0, 0), (1, 0)),), "log-probability", "causal")(logits)
    if size > 0:
        assert float(torch.autograd.grad(likely.sum(), logits)[0].abs().max()) < 1e-12


def test_a_generator_is_explained_in_log_odds_of_each_sentence_or_of_the_whole_answer() -> None:
    model, prompt, answer = tiny_generator(), "i feel so", " happy today"
    asked = {"by": "input-x-gradient", "targets": answer, "progress": False}
    (likely,) = interp.attribute(model, prompt, output="sample", score="log-probability", **asked)
    (odds,) = interp.attribute(model, prompt, output="sample", score="log-odds", **asked)
    assert likely.intact is not None and odds.intact is not None and odds.score_space == "log-odds"
    p = likely.intact.double().exp()
    assert torch.allclose(odds.intact.double(), (p / (1 - p)).log(), atol=1e-5)
    (drawn,) = interp.attribute(model, prompt, output="sample", score="log-odds", **{**asked, "by": "saliency"})
    assert torch.isfinite(drawn.scores).all() and bool(drawn.scores.any())


def test_a_gap_and_a_class_are_explained_in_log_odds() -> None:
    for model, text, target in (
        (tiny_filler(), "so [MASK] today", "happy"),
        (tiny_classifier(), "so happy today", 1),
        (planted_model({"happy": (3.0, -3.0)}), "so happy", 0),
    ):
        asked = {"by": "input-x-gradient", "targets": target, "progress": False}
        (share,) = interp.attribute(model, text, score="probability", **asked)
        (odds,) = interp.attribute(model, text, score="log-odds", **asked)
        assert share.intact is not None and odds.intact is not None
        p = share.intact.double()
        assert torch.allclose(odds.intact.double(), (p / (1 - p)).log(), atol=1e-3)
        assert interp.measure(odds, model, by="insertion", score="log-odds", progress=False).value


def test_what_has_no_odds_is_refused() -> None:
    with pytest.raises(TargetError, match="a contrast of several words has no log-odds"):
        readout_of((Target("", parts=(Target("", 1, 2, against=3),)),), "log-odds", "tokens")
    with pytest.raises(TargetError, match="a regression has no probabilities"):
        readout_of((Target("", 0),), "log-odds", "regression")
    mixed = Target("both", parts=(Target("own", position=1, function=lambda logits: logits[:, 0]), Target("", 1, 2)))
    with pytest.raises(TargetError, match="'own' has no probability"):
        Readout((mixed,), "log-odds", "causal")(torch.zeros(1, 2, 3))


def test_the_odds_of_three_parts_are_those_of_their_product() -> None:
    from interp_core.model import _log_odds

    chances = torch.tensor([0.9, 0.8, 0.7], dtype=torch.float64)
    parts = [(chance.log()[None], (1 - chance).log()[None]) for chance in chances]
    whole = chances.prod()
    assert float(_log_odds.log_odds(parts)) == pytest.approx(float(whole.log() - (1 - whole).log()))
