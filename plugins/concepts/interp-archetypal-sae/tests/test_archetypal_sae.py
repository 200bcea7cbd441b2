"""The archetypal autoencoder: concepts that are mixtures of rows, up to a small deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from interp_archetypal_sae.archetypal import ArchetypalNetwork, ArchetypalSAE
from interp_core.activations import of_rows
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_sae.testing import (
    FAMILY,
    K_SPARSE,
    SCALING,
    Check,
    Trained,
    directions_have_length_one,
    name_of,
    planted_rows,
    space_is_the_network,
)
from scipy.optimize import nnls
from torch import Tensor

CHECKS = [check for check in (*FAMILY, *K_SPARSE) if check is not directions_have_length_one]

test_contract = contract_tests("archetypal-sae", steps=150, learning_rate=0.03, batch_size=64, points=50)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained(ArchetypalSAE(concepts=20, k=2, points=400, steps=100, learning_rate=0.05, batch_size=128))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


def distance_from_hull(point: Tensor, rows: Tensor) -> float:
    """The distance of a point from the convex hull of rows: non-negative least squares with weights that sum to 1."""
    heavy = 1e3
    system = np.vstack([rows.double().T.numpy(), np.full((1, len(rows)), heavy)])
    weights, _ = nnls(system, np.append(point.double().numpy(), heavy), maxiter=10_000)
    return float(np.linalg.norm(rows.double().T.numpy() @ weights - point.double().numpy()))


@pytest.mark.parametrize("relaxation", [0.0, 0.2])
def test_concepts_are_in_the_hull_of_the_rows_up_to_the_relaxation(relaxation: float) -> None:
    x = planted_rows(concepts=6, width=4, rows=200)[0]
    method = ArchetypalSAE(concepts=6, relaxation=relaxation, steps=60, batch_size=64, learning_rate=0.05)
    space = method.fit(of_rows(x))
    centre = space.get_buffer("mean")
    length = float((x - centre).norm(dim=1).mean())
    off = [distance_from_hull(row, x - centre) for row in space.dictionary]
    assert max(off) <= relaxation * length + 1e-3 * length


def test_mixtures_are_of_points_with_weights_that_add_up() -> None:
    points = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    network = ArchetypalNetwork(points, 4, torch.Generator().manual_seed(1), 2, 0.1)
    weights = network.logits.detach().exp()
    expected = (weights / weights.sum(1, keepdim=True)) @ points
    assert torch.allclose(network.atoms(), expected, atol=1e-6)
    with torch.no_grad():
        network.slack[1, 2] = 0.25
    assert (network.atoms() - expected)[1, 2].item() == pytest.approx(0.25, abs=1e-6)
    assert torch.cdist(expected, points).argmin(1).tolist() == [0, 1, 2, 3]  # each starts from a point of its own


def test_only_deviations_that_are_too_long_are_shortened() -> None:
    network = ArchetypalNetwork(torch.randn(7, 3), 2, torch.Generator(), 2, 0.5)
    with torch.no_grad():
        network.slack.copy_(torch.tensor([[3.0, 4.0, 0.0], [0.1, 0.0, 0.2]]))
    network.constrain()
    assert torch.allclose(network.slack, torch.tensor([[0.3, 0.4, 0.0], [0.1, 0.0, 0.2]]))


def test_points_are_rows_of_the_data_and_the_centre_stays() -> None:
    sample = torch.randn(300, 16, generator=torch.Generator().manual_seed(0))
    network = ArchetypalSAE(concepts=20, points=50).network(sample, torch.Generator().manual_seed(0))
    assert tuple(network.points.shape) == (50, 16)
    assert (
        float(torch.cdist(4 * network.points, sample, compute_mode="donot_use_mm_for_euclid_dist").min(1).values.max())
        < 1e-4
    )
    assert len(network.points.unique(dim=0)) == 50
    assert len(ArchetypalSAE(concepts=60, points=50).network(sample, torch.Generator()).points) == 60
    assert "mean" not in dict(network.named_parameters())
    x = planted_rows(rows=12)[0]
    few = ArchetypalSAE(concepts=9, points=1024, steps=30, batch_size=8).fit(of_rows(x))
    assert few(x).isfinite().all()


def test_a_code_of_one_is_the_archetype_itself() -> None:
    g = torch.Generator().manual_seed(0)
    network = ArchetypalNetwork(torch.randn(7, 3, generator=g), 6, g, 2, 0.1)
    with torch.no_grad():
        network.bias.add_(torch.randn(6, generator=g))
    space_is_the_network(network, unit=3**-0.5)
    archetype = network.atoms().detach()[2] * 3**0.5 / SCALING.scale
    code_of_one = network.space(SCALING).decode(torch.eye(6)[2:3])[0]
    assert torch.allclose(code_of_one, SCALING.centre + archetype, atol=1e-4)


def test_at_most_k_codes_of_a_row_are_kept(trained: Trained) -> None:
    assert int((trained.codes > 0).sum(1).max()) == 2


@pytest.mark.parametrize("wrong", [{"points": 0}, {"relaxation": -0.1}])
def test_points_and_relaxations_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be at least 1, relaxation"):
        ArchetypalSAE(**wrong)
