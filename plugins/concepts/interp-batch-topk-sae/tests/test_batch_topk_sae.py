"""The batch top-k autoencoder: so many codes on average, and the threshold that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interp_batch_topk_sae.batch_topk import BatchTopKNetwork, BatchTopKSAE
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_sae.frame import Frame
from interp_sae.network import Pass
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("batch-topk-sae", steps=160, learning_rate=0.15, batch_size=64)

METHOD = BatchTopKSAE(concepts=24, active=2, steps=300, learning_rate=0.1, batch_size=128)
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
    assert ((space.encode(x) > 0) == (bigger.encode(10 * x) > 0)).float().mean() > 0.98


def test_a_row_is_encoded_alone_as_among_others(space: ConceptSpace) -> None:
    x = planted()[0][:100]
    alone = torch.cat([space.encode(row[None]) for row in x])
    assert torch.allclose(space.encode(x), alone, atol=1e-6, rtol=0)


def test_half_precision_and_more_concepts_than_dimensions_are_fine() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    found = BatchTopKSAE(concepts=9, steps=60, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert found.encode(x).dtype == torch.float32
    assert (found(x[:1]) - x[:1]).isfinite().all() and (found(x) - x).square().sum() < x.square().sum()


@pytest.mark.parametrize("active", [0, 6])
def test_more_active_concepts_than_there_are_are_refused(active: int) -> None:
    with pytest.raises(InputError, match=f"active={active} of 5 concepts; 1 to 5"):
        BatchTopKSAE(concepts=5, active=active)


def test_so_many_codes_are_kept_for_each_row_on_average_wherever_they_are() -> None:
    read = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) + torch.arange(50)[:, None] / 20
    codes = BatchTopKNetwork(9, 3, torch.Generator(), 4).activate(read)
    assert int((codes > 0).sum()) == 200
    assert len((codes > 0).sum(1).unique()) > 3
    assert float(codes[codes > 0].min()) > float(read[codes == 0].max())


def test_codes_below_zero_are_not_kept() -> None:
    codes = BatchTopKNetwork(3, 3, torch.Generator(), 2).activate(torch.tensor([[-1.0, 2.0, -0.5]]))
    assert torch.equal(codes, torch.tensor([[0.0, 2.0, 0.0]]))


def test_rows_have_about_so_many_codes_once_it_is_trained(space: ConceptSpace) -> None:
    counts = (space.encode(planted()[0]) > 0).sum(1).float()
    assert float(counts.mean()) == pytest.approx(2, abs=0.2) and float(counts.std()) > 0


def test_the_threshold_is_the_mean_of_the_smallest_codes_kept() -> None:
    network = BatchTopKNetwork(3, 3, torch.Generator(), 1)
    smallest = torch.rand(150, generator=torch.Generator().manual_seed(0)) + 0.5
    expected = 0.0
    for i, low in enumerate(smallest.tolist()):
        codes = torch.tensor([[0.0, low, 2.0], [0.0, 3.0, 0.0]])
        network.watch(Pass(codes, codes, codes))
        expected += (low - expected) / min(i + 1, 100)
        if i == 49:
            assert float(network.threshold) == pytest.approx(float(smallest[:50].mean()), rel=1e-5)
    assert float(network.threshold) == pytest.approx(expected, rel=1e-5)
    network.watch(Pass(torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 3)))
    assert float(network.threshold) == pytest.approx(expected, rel=1e-5)


def test_the_threshold_is_saved_and_decides(space: ConceptSpace, tmp_path: Path) -> None:
    level = float(space.get_buffer("threshold")[0])
    codes = space.encode(planted()[0])
    assert level > 0 and float(codes[codes > 0].min()) > level
    again = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert float(again.get_buffer("threshold")[3]) == level
    assert torch.equal(again.encode(planted()[0]), codes)


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = BatchTopKNetwork(6, 3, g, 2)
    network.threshold.fill_(0.4)
    x = 5 * torch.randn(40, 3, generator=g)
    read = network(FRAME.inside(x)).read
    expected = torch.where(read > 0.4, read, 0.0) / 0.25
    assert torch.allclose(network.space(FRAME).encode(x), expected, atol=1e-5)


def test_a_row_holds_half_the_root_of_the_concepts_unless_told_otherwise() -> None:
    given = [BatchTopKSAE(concepts=256), BatchTopKSAE(concepts=5), BatchTopKSAE(concepts=1), BatchTopKSAE(active=7)]
    assert [method.held for method in given] == [8, 1, 1, 7]
