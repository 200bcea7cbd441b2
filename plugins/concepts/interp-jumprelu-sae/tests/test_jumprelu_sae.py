"""The JumpReLU autoencoder: the paper's estimates of slopes, and a penalty that exists."""

from __future__ import annotations

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests, dictionary_world
from interp_jumprelu_sae.jumprelu import JumpReLUNetwork, JumpReLUSAE, above, jump
from interp_sae.frame import Frame
from interp_sae.network import Pass
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("jumprelu-sae", steps=250, learning_rate=0.15, batch_size=64, penalty=0.03)

METHOD = JumpReLUSAE(concepts=24, penalty=0.03, steps=350, learning_rate=0.15, batch_size=128)
FRAME = Frame(torch.tensor([1.0, -2.0, 7.0]), torch.tensor(0.25), torch.tensor(1.0))


def planted(concepts: int = 24, width: int = 16, active: int = 2) -> tuple[Tensor, Tensor]:
    """Rows that hold `active` of more directions than there are dimensions, off the origin, and the directions."""
    g = torch.Generator().manual_seed(0)
    directions = normalize(torch.randn(concepts, width, generator=g), dim=1)
    held = torch.rand(2000, concepts, generator=g).argsort(1).argsort(1) < active
    codes = held * (0.5 + torch.rand(2000, concepts, generator=g))
    return codes @ directions + torch.randn(width, generator=g), directions


def matched(one: Tensor, other: Tensor) -> float:
    cosine = (normalize(one, dim=1) @ normalize(other, dim=1).T).abs()
    return float(cosine[linear_sum_assignment(-cosine.numpy())].mean())


@pytest.fixture(scope="module")
def space() -> ConceptSpace:
    return fit_concepts(of_rows(planted()[0]), by=METHOD)


def test_more_planted_directions_than_dimensions_are_found(space: ConceptSpace) -> None:
    random = torch.randn(24, 16, generator=torch.Generator().manual_seed(1))
    assert matched(space.dictionary, planted()[1]) > 0.8 > 0.7 > matched(random, planted()[1])


def test_directions_have_length_one(space: ConceptSpace) -> None:
    assert torch.allclose(space.dictionary.norm(dim=1), torch.ones(24), atol=1e-6)


def test_ten_times_the_activations_light_the_same_concepts(space: ConceptSpace) -> None:
    x = planted()[0]
    bigger = fit_concepts(of_rows(10 * x), by=METHOD)
    assert ((space.encode(x) > 0) == (bigger.encode(10 * x) > 0)).float().mean() > 0.97


def test_a_row_is_encoded_alone_as_among_others(space: ConceptSpace) -> None:
    x = planted()[0][:100]
    alone = torch.cat([space.encode(row[None]) for row in x])
    assert torch.allclose(space.encode(x), alone, atol=1e-6, rtol=0)


def test_half_precision_and_more_concepts_than_dimensions_are_fine() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    found = JumpReLUSAE(concepts=9, steps=60, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert found.encode(x).dtype == torch.float32
    assert (found(x[:1]) - x[:1]).isfinite().all() and (found(x) - x).square().sum() < x.square().sum()


READ = torch.tensor([[0.9, 0.3, -2.0], [1.2, 0.55, 0.1], [2.0, 0.7, 0.45]])
THRESHOLD = torch.tensor([1.0, 0.5, 0.4])


def test_what_is_read_above_its_threshold_is_the_code() -> None:
    expected = torch.tensor([[0.0, 0.0, 0.0], [1.2, 0.55, 0.0], [2.0, 0.7, 0.45]])
    assert torch.equal(jump(READ, THRESHOLD, 0.5), expected)
    assert torch.equal(above(READ, THRESHOLD, 0.5), (expected > 0).float())


def test_the_slope_of_codes_by_thresholds_is_the_papers_estimate() -> None:
    """-θ/ε K((z - θ)/ε) for each z, with K = 1 within ½: of a weighted sum of codes, by hand."""
    threshold, weight = THRESHOLD.clone().requires_grad_(), torch.arange(1.0, 10.0).view(3, 3)
    (weight * jump(READ, threshold, 0.5)).sum().backward()
    near = {0: (0, 1), 1: (0, 1, 2), 2: (2,)}  # rows within 0.25 of each threshold
    expected = [-float(THRESHOLD[j]) / 0.5 * float(sum(weight[i, j] for i in rows)) for j, rows in near.items()]
    assert threshold.grad.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_slope_of_the_count_by_thresholds_is_the_papers_estimate() -> None:
    """-1/ε K((z - θ)/ε) for each z."""
    threshold = THRESHOLD.clone().requires_grad_()
    above(READ, threshold, 0.5).sum().backward()
    assert threshold.grad.tolist() == pytest.approx([-2 / 0.5, -3 / 0.5, -1 / 0.5], rel=1e-5)


def test_the_slope_of_codes_by_what_is_read_is_one_above_the_threshold() -> None:
    read = READ.clone().requires_grad_()
    jump(read, THRESHOLD, 0.5).sum().backward()
    assert torch.equal(read.grad, (READ > THRESHOLD).float())


def test_the_penalty_is_how_many_concepts_a_row_has() -> None:
    network = JumpReLUNetwork(3, 3, torch.Generator(), 0.5)
    with torch.no_grad():
        network.log_threshold.copy_(THRESHOLD.log())
    assert network.penalty(READ, Pass(READ, READ, READ)).item() == pytest.approx((0 + 2 + 3) / 3)


def test_a_greater_penalty_raises_thresholds_and_leaves_fewer_codes() -> None:
    x = dictionary_world()[0]
    spaces = [
        fit_concepts(x, by=JumpReLUSAE(concepts=5, steps=200, batch_size=64, learning_rate=0.1, penalty=p))
        for p in (1e-6, 0.03, 0.3)
    ]
    counts = [float((s.encode(x.values) > 0).sum(1).float().mean()) for s in spaces]
    levels = [float(s.get_buffer("threshold").mean()) for s in spaces]
    assert counts[0] > counts[1] + 0.2 > counts[2] + 0.4 and levels[0] < levels[1] < levels[2]


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = JumpReLUNetwork(6, 3, g, 0.5)
    with torch.no_grad():
        network.log_threshold.add_(torch.rand(6, generator=g) + 1)
        network.bias.add_(torch.randn(6, generator=g))
    x = 8 * torch.randn(40, 3, generator=g)
    passed, space = network(FRAME.inside(x)), network.space(FRAME)
    assert 0 < int((passed.codes > 0).sum()) < int((passed.read > 0).sum())
    assert torch.allclose(space.encode(x), passed.codes / 0.25, atol=1e-5)
    assert torch.allclose(space(x), passed.back / 0.25 + FRAME.centre, atol=1e-4)


@pytest.mark.parametrize(("wrong", "message"), [({"bandwidth": 0.0}, "bandwidth=0"), ({"penalty": 0.0}, "penalty=0")])
def test_thresholds_that_would_not_learn_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        JumpReLUSAE(**wrong)
