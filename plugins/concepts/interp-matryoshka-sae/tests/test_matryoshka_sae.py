"""The Matryoshka autoencoder: the loss of each nested dictionary."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from interp_batch_topk_sae.batch_topk import BatchTopKSAE
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_matryoshka_sae.matryoshka import MatryoshkaNetwork, MatryoshkaSAE
from interp_sae.network import ForwardPass
from interp_sae.testing import FAMILY, K_SPARSE, SCALING, Check, Trained, mean_l0, name_of

METHOD = MatryoshkaSAE(concepts=20, k=2, steps=200, learning_rate=0.03, batch_size=128)

test_contract = contract_tests("matryoshka-sae", steps=40, learning_rate=0.08, batch_size=64)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained(METHOD, recovery=0.75)


@pytest.mark.parametrize("check", [*FAMILY, *K_SPARSE], ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


def test_the_loss_is_the_mean_of_those_of_the_nested_dictionaries() -> None:
    g = torch.Generator().manual_seed(0)
    network = MatryoshkaNetwork(6, 3, g, 2)
    network.sizes = (1, 3, 6)
    with torch.no_grad():
        network.mean.add_(torch.randn(3, generator=g))
    rows, codes = torch.randn(20, 3, generator=g), torch.rand(20, 6, generator=g)
    output = ForwardPass(codes, codes, network.decode(codes))
    d, mean = network.dictionary.detach(), network.mean.detach()
    each = [(rows - codes[:, :size] @ d[:size] - mean).square().mean() for size in (1, 3, 6)]
    assert network.reconstruction_loss(rows, output).item() == pytest.approx(float(sum(each)) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("concepts", "sizes"), [(256, (16, 32, 64, 128, 256)), (24, (2, 3, 6, 12, 24)), (5, (1, 2, 5)), (1, (1,))]
)
def test_shares_of_the_concepts_are_sizes_of_dictionaries(concepts: int, sizes: tuple[int, ...]) -> None:
    network = MatryoshkaSAE(concepts=concepts).network(torch.zeros(2, 3), torch.Generator())
    assert network.sizes == sizes


def test_the_first_concepts_explain_more_by_themselves_than_those_of_another_autoencoder(trained: Trained) -> None:
    given = {name: getattr(METHOD, name) for name in ("concepts", "k", "learning_rate", "batch_size")}
    other = fit_concepts(of_rows(trained.rows), by=BatchTopKSAE(steps=100, **given))

    def residual(space: ConceptSpace) -> float:
        codes = space.encode(trained.rows)
        codes[:, 5:] = 0
        return float((space.decode(codes) - trained.rows).square().sum())

    assert residual(trained.space) < 0.9 * residual(other)


def test_rows_have_about_k_codes_once_it_is_trained(trained: Trained) -> None:
    assert mean_l0(trained.space, trained.rows) == pytest.approx(2, abs=0.2)


def test_the_threshold_of_the_space_is_in_the_units_of_the_activations() -> None:
    network = MatryoshkaNetwork(6, 3, torch.Generator(), 2)
    network.threshold.fill_(0.4)
    assert torch.allclose(network.space(SCALING).get_buffer("threshold"), torch.full((6,), 1.6))


@pytest.mark.parametrize("prefixes", [(), (0.5,), (0.5, 0.25, 1.0), (0.0, 1.0), (0.5, 2.0)])
def test_prefixes_that_do_not_rise_to_one_are_refused(prefixes: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="must rise from above 0 to 1"):
        replace(METHOD, prefixes=prefixes)


def test_a_list_of_prefixes_is_as_good_as_a_tuple() -> None:
    assert MatryoshkaSAE(prefixes=[0.5, 1.0]) == MatryoshkaSAE(prefixes=(0.5, 1.0))
