"""The top-k autoencoder: k codes of each row, and trainings that release 0.1 began."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.errors import InputError
from interp_core.testing import contract_tests, dictionary_world
from interp_sae.testing import FAMILY, K_SPARSE, Check, Trained, name_of, space_is_the_network
from interp_topk_sae.topk import TopKNetwork, TopKSAE

FIXTURE = Path(__file__).parent / "fixtures" / "checkpoint-0.1"

test_contract = contract_tests("topk-sae", steps=80, learning_rate=0.08, batch_size=64)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained(TopKSAE(concepts=20, k=2, steps=150, learning_rate=0.03, batch_size=128))


@pytest.mark.parametrize("check", [*FAMILY, *K_SPARSE], ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


def test_exactly_k_codes_of_each_row_are_kept_the_largest() -> None:
    pre_activations = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) + 0.1
    codes = TopKNetwork(9, 3, torch.Generator(), 4).activate(pre_activations)
    assert torch.equal((codes > 0).sum(1), torch.full((50,), 4))
    for row, kept in zip(pre_activations, codes, strict=True):
        assert sorted(row.tolist())[-4:] == sorted(kept[kept > 0].tolist())


def test_codes_below_zero_are_not_kept() -> None:
    codes = TopKNetwork(3, 3, torch.Generator(), 2).activate(torch.tensor([[-1.0, 2.0, -0.5]]))
    assert torch.equal(codes, torch.tensor([[0.0, 2.0, 0.0]]))


def test_rows_have_k_codes_once_it_is_trained(trained: Trained) -> None:
    counts = (trained.codes > 0).sum(1)
    assert int(counts.max()) == 2 and float(counts.float().mean()) > 1.9


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    network = TopKNetwork(6, 3, torch.Generator().manual_seed(0), 2)
    with torch.no_grad():
        network.bias.add_(torch.randn(6, generator=torch.Generator().manual_seed(0)))
    space_is_the_network(network)


def test_a_row_holds_the_root_of_the_concepts_unless_told_otherwise() -> None:
    assert (TopKSAE(concepts=256).k_in_use, TopKSAE(concepts=5).k_in_use, TopKSAE(k=7).k_in_use) == (16, 2, 7)


def test_nothing_is_learnt_from_rows_that_are_equal() -> None:
    with pytest.raises(InputError, match="the 9 rows of 'given' are all equal"):
        TopKSAE(concepts=2).fit(of_rows(torch.ones(9, 4)))


def test_a_training_of_release_0_1_is_refused_in_words(tmp_path: Path) -> None:
    """Even with the settings it was begun with: its learning rate was an angle."""
    shutil.copy(FIXTURE / "training.safetensors", tmp_path)
    method = TopKSAE(concepts=5, steps=20, k=2, learning_rate=0.03, checkpoint=str(tmp_path), save_every=10)
    with pytest.raises(InputError, match=r"written by interp-sae 0\.1, .* cannot be resumed. Name another folder"):
        method.fit(dictionary_world(rows=200)[0])
