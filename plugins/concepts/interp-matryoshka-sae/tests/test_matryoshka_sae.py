"""The Matryoshka autoencoder: the loss of each nested dictionary."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from interp_batch_topk_sae.batch_topk import BatchTopKSAE
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_matryoshka_sae.matryoshka import MatryoshkaNetwork, MatryoshkaSAE
from interp_sae.frame import Frame
from interp_sae.network import Pass
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("matryoshka-sae", steps=160, learning_rate=0.15, batch_size=64)

SHORT: Any = {"steps": 200, "learning_rate": 0.1, "batch_size": 64}
METHOD = MatryoshkaSAE(concepts=24, active=2, steps=300, learning_rate=0.1, batch_size=128)
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
    assert matched(space.dictionary, planted()[1]) > 0.75 > 0.7 > matched(random, planted()[1])


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
    found = MatryoshkaSAE(concepts=9, steps=60, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert found.encode(x).dtype == torch.float32
    assert (found(x[:1]) - x[:1]).isfinite().all() and (found(x) - x).square().sum() < x.square().sum()


def test_the_error_is_the_mean_of_those_of_the_nested_dictionaries() -> None:
    g = torch.Generator().manual_seed(0)
    network = MatryoshkaNetwork(6, 3, g, 2)
    network.sizes = (1, 3, 6)
    with torch.no_grad():
        network.mean.add_(torch.randn(3, generator=g))
    rows, codes = torch.randn(20, 3, generator=g), torch.rand(20, 6, generator=g)
    passed = Pass(codes, codes, network.back(codes))
    d, mean = network.dictionary.detach(), network.mean.detach()
    each = [(rows - codes[:, :size] @ d[:size] - mean).square().mean() for size in (1, 3, 6)]
    assert network.error(rows, passed).item() == pytest.approx(float(sum(each)) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("concepts", "sizes"), [(256, (16, 32, 64, 128, 256)), (24, (2, 3, 6, 12, 24)), (5, (1, 2, 5)), (1, (1,))]
)
def test_shares_of_the_concepts_are_sizes_of_dictionaries(concepts: int, sizes: tuple[int, ...]) -> None:
    network = MatryoshkaSAE(concepts=concepts).network(torch.zeros(2, 3), torch.Generator())
    assert network.sizes == sizes


def test_the_first_concepts_explain_more_by_themselves_than_those_of_another_autoencoder(space: ConceptSpace) -> None:
    x = planted()[0]
    other = fit_concepts(of_rows(x), by=BatchTopKSAE(concepts=24, active=2, **SHORT))

    def left(found: ConceptSpace) -> float:
        codes = found.encode(x)
        codes[:, 6:] = 0
        return float((found.decode(codes) - x).square().sum())

    assert left(space) < 0.9 * left(other)


def test_rows_have_about_so_many_codes_once_it_is_trained(space: ConceptSpace) -> None:
    assert float((space.encode(planted()[0]) > 0).sum(1).float().mean()) == pytest.approx(2, abs=0.2)


def test_the_threshold_of_the_space_is_in_the_units_of_the_activations() -> None:
    network = MatryoshkaNetwork(6, 3, torch.Generator(), 2)
    network.threshold.fill_(0.4)
    assert torch.allclose(network.space(FRAME).get_buffer("threshold"), torch.full((6,), 1.6))


@pytest.mark.parametrize("prefixes", [(), (0.5,), (0.5, 0.25, 1.0), (0.0, 1.0), (0.5, 2.0)])
def test_prefixes_that_do_not_rise_to_one_are_refused(prefixes: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="must rise from above 0 to 1"):
        MatryoshkaSAE(prefixes=prefixes)


def test_a_list_of_prefixes_is_as_good_as_a_tuple() -> None:
    assert MatryoshkaSAE(prefixes=[0.5, 1.0]) == MatryoshkaSAE(prefixes=(0.5, 1.0))
