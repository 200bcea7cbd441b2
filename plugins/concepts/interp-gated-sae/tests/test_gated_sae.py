"""The gated autoencoder: gates, magnitudes, and what each learns from."""

from __future__ import annotations

import pytest
import torch
from interp_core.concepts import fit_concepts
from interp_core.testing import contract_tests, dictionary_world
from interp_gated_sae.gated import GatedNetwork, GatedSAE
from interp_sae.network import ForwardPass
from interp_sae.testing import FAMILY, PENALISED, Check, Trained, mean_l0, name_of, space_is_the_network
from torch import Tensor

test_contract = contract_tests("gated-sae", steps=80, learning_rate=0.08, batch_size=64)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained(GatedSAE(concepts=20, penalty=0.5, steps=80, learning_rate=0.08, batch_size=128))


@pytest.mark.parametrize("check", [*FAMILY, *PENALISED], ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


def random_network(seed: int = 0) -> GatedNetwork:
    g = torch.Generator().manual_seed(seed)
    network = GatedNetwork(6, 3, g)
    with torch.no_grad():
        for parameter in (network.bias, network.log_scale, network.size_bias, network.mean):
            parameter.add_(torch.randn(parameter.shape, generator=g))
    return network


def scaled_rows(seed: int = 1) -> Tensor:
    return 2 * torch.randn(40, 3, generator=torch.Generator().manual_seed(seed))


def test_a_code_is_its_magnitude_where_its_gate_is_open() -> None:
    network, x = random_network(), scaled_rows()
    read = (x - network.mean) @ network.encoder.T
    gate = read + network.bias > 0
    magnitude = torch.relu(network.log_scale.exp() * read + network.size_bias)
    output = network(x)
    assert 0 < int((gate & (magnitude > 0)).sum()) < int(gate.sum())
    assert torch.allclose(output.codes, gate * magnitude, atol=1e-6)


def test_gates_learn_from_a_reconstruction_of_their_own_that_moves_no_direction() -> None:
    network, x = random_network(), scaled_rows()
    output = network(x)
    error = (x - output.reconstruction).square().mean()
    of_gates = (x - output.pre_activations.relu() @ network.dictionary - network.mean).square().mean()
    loss = network.reconstruction_loss(x, output)
    assert loss.item() == pytest.approx(error.item() + of_gates.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, network.dictionary, retain_graph=True)
    (alone,) = torch.autograd.grad(error, network.dictionary, retain_graph=True)
    assert torch.allclose(gradient, alone, atol=1e-6)
    (gradient,) = torch.autograd.grad(loss, network.mean, retain_graph=True)
    (alone,) = torch.autograd.grad(error, network.mean, retain_graph=True)
    (through_gates,) = torch.autograd.grad(
        (x - output.pre_activations.relu() @ network.dictionary - network.mean.detach()).square().mean(), network.mean
    )
    assert torch.allclose(gradient, alone + through_gates, atol=1e-5)


def test_no_gradient_of_the_codes_passes_through_a_gate() -> None:
    network = random_network()
    network(scaled_rows()).codes.sum().backward()
    assert network.bias.grad is None or not network.bias.grad.abs().max() > 1e-4
    assert network.size_bias.grad.any() and network.log_scale.grad.any()


def test_the_penalty_is_the_sum_of_what_gates_read() -> None:
    read = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 6.0]])
    output = ForwardPass(read, read * 0, torch.zeros(2, 4))
    penalty = GatedNetwork(3, 4, torch.Generator()).penalty(torch.zeros(2, 4), output)
    assert penalty.item() == pytest.approx((4 + 6) / 2 / 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_space_is_the_network_in_the_units_of_the_activations(seed: int) -> None:
    space_is_the_network(random_network(seed), size=8.0)


def test_a_greater_penalty_leaves_fewer_codes() -> None:
    x = dictionary_world()[0]
    quick = {"concepts": 5, "steps": 80, "learning_rate": 0.05, "batch_size": 64}
    counts = [mean_l0(fit_concepts(x, by=GatedSAE(penalty=p, **quick)), x.values) for p in (0.01, 2.0)]
    assert counts[0] > counts[1] + 0.5
