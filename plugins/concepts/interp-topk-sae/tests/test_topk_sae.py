"""The top-k autoencoder: exactly so many codes of each row."""

from __future__ import annotations

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_sae.frame import Frame
from interp_topk_sae.topk import TopKNetwork, TopKSAE
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("topk-sae", steps=160, learning_rate=0.15, batch_size=64)

METHOD = TopKSAE(concepts=24, active=2, steps=300, learning_rate=0.1, batch_size=128)
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
    assert ((space.encode(x) > 0) == (bigger.encode(10 * x) > 0)).float().mean() > 0.99


def test_a_row_is_encoded_alone_as_among_others(space: ConceptSpace) -> None:
    x = planted()[0][:100]
    alone = torch.cat([space.encode(row[None]) for row in x])
    assert torch.allclose(space.encode(x), alone, atol=1e-6, rtol=0)


def test_half_precision_and_more_concepts_than_dimensions_are_fine() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    found = TopKSAE(concepts=9, steps=60, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert found.encode(x).dtype == torch.float32
    assert (found(x[:1]) - x[:1]).isfinite().all() and (found(x) - x).square().sum() < x.square().sum()


@pytest.mark.parametrize("active", [0, 6])
def test_more_active_concepts_than_there_are_are_refused(active: int) -> None:
    with pytest.raises(InputError, match=f"active={active} of 5 concepts; 1 to 5"):
        TopKSAE(concepts=5, active=active)


def test_exactly_so_many_codes_of_each_row_are_kept_the_largest() -> None:
    read = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) + 0.1
    codes = TopKNetwork(9, 3, torch.Generator(), 4).activate(read)
    assert torch.equal((codes > 0).sum(1), torch.full((50,), 4))
    for row, kept in zip(read, codes, strict=True):
        assert sorted(row.tolist())[-4:] == sorted(kept[kept > 0].tolist())


def test_codes_below_zero_are_not_kept() -> None:
    codes = TopKNetwork(3, 3, torch.Generator(), 2).activate(torch.tensor([[-1.0, 2.0, -0.5]]))
    assert torch.equal(codes, torch.tensor([[0.0, 2.0, 0.0]]))


def test_rows_have_as_many_codes_once_it_is_trained(space: ConceptSpace) -> None:
    counts = (space.encode(planted()[0]) > 0).sum(1)
    assert int(counts.max()) == 2 and float(counts.float().mean()) > 1.9


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = TopKNetwork(6, 3, g, 2)
    with torch.no_grad():
        network.bias.add_(torch.randn(6, generator=g))
    x = 5 * torch.randn(40, 3, generator=g)
    passed, space = network(FRAME.inside(x)), network.space(FRAME)
    assert torch.allclose(space.encode(x), passed.codes / 0.25, atol=1e-5)
    assert torch.allclose(space(x), passed.back / 0.25 + FRAME.centre, atol=1e-4)


def test_a_row_holds_the_root_of_the_concepts_unless_told_otherwise() -> None:
    assert (TopKSAE(concepts=256).held, TopKSAE(concepts=5).held, TopKSAE(active=7).held) == (16, 2, 7)


def test_nothing_is_learnt_from_rows_that_are_equal() -> None:
    with pytest.raises(InputError, match="the 9 rows of 'given' are all equal"):
        TopKSAE(concepts=2).fit(of_rows(torch.ones(9, 4)))
