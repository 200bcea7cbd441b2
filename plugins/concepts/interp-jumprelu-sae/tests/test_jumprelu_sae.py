"""The JumpReLU autoencoder: the paper's estimates of gradients, and a penalty on the number of codes."""

from __future__ import annotations

import pytest
import torch
from interp_core.concepts import fit_concepts
from interp_core.testing import contract_tests, dictionary_world
from interp_jumprelu_sae.jumprelu import JumpReLUNetwork, JumpReLUSAE, heaviside, jumprelu
from interp_sae.network import ForwardPass
from interp_sae.testing import FAMILY, PENALISED, Check, Trained, mean_l0, name_of, refused, space_is_the_network

PRE_ACTIVATIONS = torch.tensor([[0.9, 0.3, -2.0], [1.2, 0.55, 0.1], [2.0, 0.7, 0.45]])
THRESHOLD = torch.tensor([1.0, 0.5, 0.4])

test_contract = contract_tests("jumprelu-sae", steps=120, learning_rate=0.05, batch_size=64, penalty=0.03)


@pytest.fixture(scope="module")
def trained() -> Trained:
    method = JumpReLUSAE(concepts=20, penalty=0.03, bandwidth=1.0, steps=120, learning_rate=0.1, batch_size=128)
    return Trained(method)


@pytest.mark.parametrize("check", [*FAMILY, *PENALISED], ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


@pytest.mark.parametrize("concepts", [4, 20, 128])
def test_a_normal_row_lights_one_concept_at_first(concepts: int) -> None:
    """And thresholds learn from a band as wide as they are high, unless one is given."""
    g = torch.Generator().manual_seed(0)
    network = JumpReLUNetwork(concepts, 8, g, None)
    threshold = network.log_threshold.exp()
    lit = (torch.randn(20_000, concepts, generator=g) > threshold).sum(1).float()
    assert float(lit.mean()) == pytest.approx(1, abs=0.04)
    assert (
        network.bandwidth == pytest.approx(float(threshold[0].detach()))
        and JumpReLUNetwork(4, 8, g, 0.5).bandwidth == 0.5
    )


def test_a_pre_activation_above_its_threshold_is_the_code() -> None:
    expected = torch.tensor([[0.0, 0.0, 0.0], [1.2, 0.55, 0.0], [2.0, 0.7, 0.45]])
    assert torch.equal(jumprelu(PRE_ACTIVATIONS, THRESHOLD, 0.5), expected)
    assert torch.equal(heaviside(PRE_ACTIVATIONS, THRESHOLD, 0.5), (expected > 0).float())


def test_the_gradient_of_codes_in_thresholds_is_the_papers_estimate() -> None:
    """-θ/ε K((z - θ)/ε) for each z, with K = 1 within ½: of a weighted sum of codes, by hand."""
    threshold, weight = THRESHOLD.clone().requires_grad_(), torch.arange(1.0, 10.0).view(3, 3)
    (weight * jumprelu(PRE_ACTIVATIONS, threshold, 0.5)).sum().backward()
    near = {0: (0, 1), 1: (0, 1, 2), 2: (2,)}  # rows within 0.25 of each threshold
    expected = [-float(THRESHOLD[j]) / 0.5 * float(sum(weight[i, j] for i in rows)) for j, rows in near.items()]
    assert threshold.grad.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_of_the_count_in_thresholds_is_the_papers_estimate() -> None:
    """-1/ε K((z - θ)/ε) for each z."""
    threshold = THRESHOLD.clone().requires_grad_()
    heaviside(PRE_ACTIVATIONS, threshold, 0.5).sum().backward()
    assert threshold.grad.tolist() == pytest.approx([-2 / 0.5, -3 / 0.5, -1 / 0.5], rel=1e-5)


def test_the_gradient_of_codes_in_pre_activations_is_one_above_the_threshold() -> None:
    pre_activations = PRE_ACTIVATIONS.clone().requires_grad_()
    jumprelu(pre_activations, THRESHOLD, 0.5).sum().backward()
    assert torch.equal(pre_activations.grad, (PRE_ACTIVATIONS > THRESHOLD).float())


def test_the_penalty_is_how_many_concepts_a_row_has() -> None:
    network = JumpReLUNetwork(3, 3, torch.Generator(), 0.5)
    with torch.no_grad():
        network.log_threshold.copy_(THRESHOLD.log())
    output = ForwardPass(PRE_ACTIVATIONS, PRE_ACTIVATIONS, PRE_ACTIVATIONS)
    assert network.penalty(PRE_ACTIVATIONS, output).item() == pytest.approx((0 + 2 + 3) / 3)


def test_a_greater_penalty_raises_thresholds_and_leaves_fewer_codes() -> None:
    x = dictionary_world()[0]
    quick = {"concepts": 5, "steps": 80, "batch_size": 64, "learning_rate": 0.1}
    spaces = [fit_concepts(x, by=JumpReLUSAE(penalty=p, **quick)) for p in (1e-6, 0.03, 0.3)]
    counts = [mean_l0(space, x.values) for space in spaces]
    levels = [float(space.get_buffer("threshold").mean()) for space in spaces]
    assert counts[0] > counts[1] + 0.1 > counts[2] + 0.2 and levels[0] < levels[1] < levels[2]


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = JumpReLUNetwork(6, 3, g, 0.5)
    with torch.no_grad():
        network.log_threshold.add_(torch.rand(6, generator=g) + 1)
        network.bias.add_(torch.randn(6, generator=g))
    below = network(8 * torch.randn(40, 3, generator=g))
    assert 0 < int((below.codes > 0).sum()) < int((below.pre_activations > 0).sum())
    space_is_the_network(network, size=8.0)


def test_a_bandwidth_with_which_thresholds_would_not_learn_is_refused() -> None:
    refused(JumpReLUSAE, "bandwidth=0.0 must be above 0; thresholds would not learn", bandwidth=0.0)
