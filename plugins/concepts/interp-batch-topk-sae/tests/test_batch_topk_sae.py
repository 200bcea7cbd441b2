"""The batch top-k autoencoder: k codes of a row on average, and the threshold that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interp_batch_topk_sae.batch_topk import BatchTopKNetwork, BatchTopKSAE
from interp_core.concepts import ConceptSpace
from interp_core.testing import contract_tests
from interp_sae.network import ForwardPass
from interp_sae.testing import FAMILY, K_SPARSE, SCALING, Check, Trained, name_of

test_contract = contract_tests("batch-topk-sae", steps=80, learning_rate=0.08, batch_size=64)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained(BatchTopKSAE(concepts=20, k=2, steps=120, learning_rate=0.05, batch_size=128))


@pytest.mark.parametrize("check", [*FAMILY, *K_SPARSE], ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


def test_k_codes_of_a_row_are_kept_on_average_wherever_they_are() -> None:
    rising = torch.arange(50)[:, None] / 20
    pre_activations = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) + rising
    codes = BatchTopKNetwork(9, 3, torch.Generator(), 4).activate(pre_activations)
    assert int((codes > 0).sum()) == 200
    assert len((codes > 0).sum(1).unique()) > 3
    assert float(codes[codes > 0].min()) > float(pre_activations[codes == 0].max())


def test_codes_below_zero_are_not_kept() -> None:
    codes = BatchTopKNetwork(3, 3, torch.Generator(), 2).activate(torch.tensor([[-1.0, 2.0, -0.5]]))
    assert torch.equal(codes, torch.tensor([[0.0, 2.0, 0.0]]))


def test_rows_have_about_k_codes_once_it_is_trained(trained: Trained) -> None:
    counts = (trained.codes > 0).sum(1).float()
    assert float(counts.mean()) == pytest.approx(2, abs=0.2) and float(counts.std()) > 0


def test_the_threshold_is_the_mean_of_the_smallest_codes_kept() -> None:
    network = BatchTopKNetwork(3, 3, torch.Generator(), 1)
    smallest = torch.rand(150, generator=torch.Generator().manual_seed(0)) + 0.5
    expected = 0.0
    for i, low in enumerate(smallest.tolist()):
        codes = torch.tensor([[0.0, low, 2.0], [0.0, 3.0, 0.0]])
        network.update_activity(ForwardPass(codes, codes, codes))
        expected += (low - expected) / min(i + 1, 100)
        if i == 49:
            assert float(network.threshold) == pytest.approx(float(smallest[:50].mean()), rel=1e-5)
    assert float(network.threshold) == pytest.approx(expected, rel=1e-5)
    network.update_activity(ForwardPass(torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 3)))
    assert float(network.threshold) == pytest.approx(expected, rel=1e-5)


def test_the_threshold_is_saved_and_decides(trained: Trained, tmp_path: Path) -> None:
    level, codes = float(trained.space.get_buffer("threshold")[0]), trained.codes
    assert level > 0 and float(codes[codes > 0].min()) > level
    again = ConceptSpace.load(trained.space.save(tmp_path / "space.safetensors"))
    assert float(again.get_buffer("threshold")[3]) == level
    assert torch.equal(again.encode(trained.rows), codes)


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = BatchTopKNetwork(6, 3, g, 2)
    network.threshold.fill_(0.4)
    x = 5 * torch.randn(40, 3, generator=g)
    pre_activations = network(SCALING.apply(x)).pre_activations
    expected = torch.where(pre_activations > 0.4, pre_activations, 0.0) / 0.25
    assert torch.allclose(network.space(SCALING).encode(x), expected, atol=1e-5)


def test_a_row_holds_half_the_root_of_the_concepts_unless_told_otherwise() -> None:
    methods = [BatchTopKSAE(concepts=256), BatchTopKSAE(concepts=5), BatchTopKSAE(concepts=1), BatchTopKSAE(k=7)]
    assert [method.k_in_use for method in methods] == [8, 1, 1, 7]
