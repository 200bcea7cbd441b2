"""The gated autoencoder: gates, sizes, and what each learns from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests, dictionary_world
from interp_gated_sae.gated import GatedNetwork, GatedSAE
from interp_sae.frame import Frame
from interp_sae.network import Pass
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("gated-sae", steps=160, learning_rate=0.15, batch_size=64)

SHORT: Any = {"steps": 200, "learning_rate": 0.1, "batch_size": 64}
METHOD = GatedSAE(concepts=24, penalty=0.5, steps=350, learning_rate=0.15, batch_size=128)
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
    found = GatedSAE(concepts=9, steps=60, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert found.encode(x).dtype == torch.float32
    assert (found(x[:1]) - x[:1]).isfinite().all() and (found(x) - x).square().sum() < x.square().sum()


def network(seed: int = 0) -> GatedNetwork:
    g = torch.Generator().manual_seed(seed)
    made = GatedNetwork(6, 3, g)
    with torch.no_grad():
        for parameter in (made.bias, made.log_scale, made.size_bias, made.mean):
            parameter.add_(torch.randn(parameter.shape, generator=g))
    return made


def rows(seed: int = 1) -> Tensor:
    return 2 * torch.randn(40, 3, generator=torch.Generator().manual_seed(seed))


def test_a_code_is_its_size_where_its_gate_is_open() -> None:
    made, x = network(), rows()
    seen = (x - made.mean) @ made.encoder.T
    gate = seen + made.bias > 0
    size = torch.relu(made.log_scale.exp() * seen + made.size_bias)
    passed = made(x)
    assert 0 < int((gate & (size > 0)).sum()) < int(gate.sum())
    assert torch.allclose(passed.codes, gate * size, atol=1e-6)


def test_gates_learn_from_a_reconstruction_of_their_own_that_moves_no_direction() -> None:
    made, x = network(), rows()
    passed = made(x)
    by_gates = passed.read.relu() @ made.dictionary + made.mean
    own = (x - by_gates).square().mean()
    assert made.error(x, passed).item() == pytest.approx(
        (x - passed.back).square().mean().item() + own.item(), rel=1e-5
    )
    (slope,) = torch.autograd.grad(made.error(x, passed), made.dictionary, retain_graph=True)
    (alone,) = torch.autograd.grad((x - passed.back).square().mean(), made.dictionary, retain_graph=True)
    assert torch.allclose(slope, alone, atol=1e-6)
    (bias,) = torch.autograd.grad(made.error(x, passed), made.mean, retain_graph=True)
    (bias_alone,) = torch.autograd.grad((x - passed.back).square().mean(), made.mean, retain_graph=True)
    (through_gates,) = torch.autograd.grad(
        (x - passed.read.relu() @ made.dictionary - made.mean.detach()).square().mean(), made.mean
    )
    assert torch.allclose(bias, bias_alone + through_gates, atol=1e-5)


def test_no_slope_of_the_codes_passes_through_a_gate() -> None:
    made = network()
    made(rows()).codes.sum().backward()
    assert made.bias.grad is None or not made.bias.grad.abs().max() > 1e-4
    assert made.size_bias.grad.any() and made.log_scale.grad.any()


def test_the_penalty_is_what_gates_read() -> None:
    read = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 6.0]])
    found = GatedNetwork(3, 4, torch.Generator()).penalty(torch.zeros(2, 4), Pass(read, read * 0, torch.zeros(2, 4)))
    assert found.item() == pytest.approx((4 + 6) / 2 / 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_space_is_the_network_in_the_units_of_the_activations(seed: int) -> None:
    made, x = network(seed), FRAME.centre + rows(seed) / 0.25
    passed, found = made(FRAME.inside(x)), made.space(FRAME)
    assert torch.allclose(found.encode(x), passed.codes / 0.25, atol=1e-4)
    assert torch.allclose(found(x), passed.back / 0.25 + FRAME.centre, atol=1e-4)


def test_a_greater_penalty_leaves_fewer_codes() -> None:
    x = dictionary_world()[0]
    counts = [
        float((fit_concepts(x, by=GatedSAE(concepts=5, penalty=p, **SHORT)).encode(x.values) > 0).sum(1).float().mean())
        for p in (0.01, 2.0)
    ]
    assert counts[0] > counts[1] + 0.5


def test_a_penalty_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="penalty=0"):
        GatedSAE(penalty=0.0)
