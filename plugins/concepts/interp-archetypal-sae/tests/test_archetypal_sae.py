"""The archetypal autoencoder: concepts that are mixtures of rows, give or take a little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from interp_archetypal_sae.archetypal import ArchetypalNetwork, ArchetypalSAE
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_sae.frame import Frame
from scipy.optimize import linear_sum_assignment, nnls
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("archetypal-sae", steps=250, learning_rate=0.1, batch_size=64)

METHOD = ArchetypalSAE(concepts=24, active=2, points=400, steps=300, learning_rate=0.1, batch_size=128)
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
    found = ArchetypalSAE(concepts=9, steps=60, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert found.encode(x).dtype == torch.float32
    assert (found(x[:1]) - x[:1]).isfinite().all() and (found(x) - x).square().sum() < x.square().sum()


@pytest.mark.parametrize("active", [0, 6])
def test_more_active_concepts_than_there_are_are_refused(active: int) -> None:
    with pytest.raises(InputError, match=f"active={active} of 5 concepts; 1 to 5"):
        ArchetypalSAE(concepts=5, active=active)


def off_the_hull(point: Tensor, rows: Tensor) -> float:
    """How far a point is from the convex hull of rows: non-negative least squares with the weights' sum held at 1."""
    heavy = 1e3
    system = np.vstack([rows.double().T.numpy(), np.full((1, len(rows)), heavy)])
    weights, _ = nnls(system, np.append(point.double().numpy(), heavy), maxiter=10_000)
    return float(np.linalg.norm(rows.double().T.numpy() @ weights - point.double().numpy()))


@pytest.mark.parametrize("relaxation", [0.0, 0.2])
def test_concepts_are_in_the_hull_of_the_rows_give_or_take_the_relaxation(relaxation: float) -> None:
    x = planted(concepts=6, width=4)[0][:200]
    space = ArchetypalSAE(concepts=6, relaxation=relaxation, steps=100, batch_size=64, learning_rate=0.1).fit(
        of_rows(x)
    )
    centre = space.get_buffer("mean")
    length = float((x - centre).norm(dim=1).mean())
    off = [off_the_hull(row, x - centre) for row in space.dictionary]
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


def test_slack_that_is_too_long_is_shortened_and_no_other() -> None:
    network = ArchetypalNetwork(torch.randn(7, 3), 2, torch.Generator(), 2, 0.5)
    with torch.no_grad():
        network.slack.copy_(torch.tensor([[3.0, 4.0, 0.0], [0.1, 0.0, 0.2]]))
    network.constrain()
    assert torch.allclose(network.slack, torch.tensor([[0.3, 0.4, 0.0], [0.1, 0.0, 0.2]]))


def test_points_are_rows_of_the_data_and_the_centre_stays() -> None:
    x = planted()[0]
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
    few = ArchetypalSAE(concepts=9, points=1024, steps=30, batch_size=8).fit(of_rows(x[:12]))
    assert few(x[:12]).isfinite().all()


def test_a_code_of_one_is_the_archetype_itself() -> None:
    g = torch.Generator().manual_seed(0)
    network = ArchetypalNetwork(torch.randn(7, 3, generator=g), 6, g, 2, 0.1)
    with torch.no_grad():
        network.bias.add_(torch.randn(6, generator=g))
    x = 5 * torch.randn(40, 3, generator=g)
    passed, space = network(FRAME.inside(x)), network.space(FRAME)
    assert torch.allclose(space.encode(x), passed.codes / 3**0.5, atol=1e-5)
    assert torch.allclose(space(x), passed.back / 0.25 + FRAME.centre, atol=1e-4)
    archetype = network.atoms().detach()[2] * 3**0.5 / 0.25
    assert torch.allclose(space.decode(torch.eye(6)[2:3])[0], FRAME.centre + archetype, atol=1e-4)


def test_at_most_so_many_codes_of_a_row_are_kept(space: ConceptSpace) -> None:
    assert int((space.encode(planted()[0]) > 0).sum(1).max()) == 2


@pytest.mark.parametrize("wrong", [{"points": 0}, {"relaxation": -0.1}])
def test_points_and_relaxations_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be at least 1, relaxation"):
        ArchetypalSAE(**wrong)
