"""The synthetic world of the conformance kit: what was planted is what can be counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.testing import synthetic_world
from interp_core.testing._synthetic_features import SyntheticSpace

World = tuple[Activations, SyntheticSpace]


@pytest.fixture(scope="module")
def world() -> World:
    return synthetic_world(rows=20_000, features=96, width=32, active=8.0)


def test_rows_are_their_codes_times_the_directions_but_for_noise(world: World) -> None:
    activations, truth = world
    left = activations.matrix() - truth(activations.matrix())
    assert float(left.square().mean().sqrt()) == pytest.approx(0.01, rel=0.05)


def test_codes_are_known_in_any_order_and_alone(world: World) -> None:
    activations, truth = world
    x = activations.matrix()[:300]
    codes = truth.encode(x)
    assert torch.equal(truth.encode(x.flip(0)), codes.flip(0))
    assert torch.equal(torch.cat([truth.encode(row[None]) for row in x[:20]]), codes[:20])


def test_rows_of_another_world_are_refused(world: World) -> None:
    strange = torch.cat([world[0].matrix()[:3], torch.zeros(2, 32)])
    with pytest.raises(InputError, match="2 of 5 rows are not of this world"):
        world[1].encode(strange)


def test_features_fire_as_often_as_zipf_says(world: World) -> None:
    _, truth = world
    ranks = torch.arange(1, 97).double()
    expected = (8 * ranks**-0.5 / (ranks**-0.5).sum()).clamp(max=0.4)
    assert torch.allclose(truth.probability.double(), expected, rtol=1e-5)
    often = (truth.encode(world[0].matrix()) > 0).double().mean(0)
    free = truth.parent < 0
    deviation = (truth.probability * (1 - truth.probability) / 20_000).sqrt()
    assert ((often - truth.probability).abs()[free] < 4 * deviation[free]).all()
    assert float(often.sum()) == pytest.approx(8, rel=0.1)


def test_a_child_fires_only_where_its_parent_does(world: World) -> None:
    activations, truth = world
    active = truth.encode(activations.matrix()) > 0
    children = (truth.parent >= 0).nonzero().flatten()
    assert len(children) == 62  # two thirds of 96, less 2 roots
    assert not (active[:, children] & ~active[:, truth.parent[children]]).any()
    assert (truth.probability[truth.parent[children]] > truth.probability[children]).all()
    assert int(torch.bincount(truth.parent[children]).max()) == 4


def test_features_without_parents_fire_together_or_apart(world: World) -> None:
    activations, truth = world
    free = (truth.parent < 0).nonzero().flatten()
    active = (truth.encode(activations.matrix()) > 0).double()[:, free]
    correlation = torch.corrcoef(active.T).fill_diagonal_(0)
    alone = 4 / 20_000**0.5  # four standard errors of features that have nothing to do with one another
    assert float(correlation.max()) > alone and float(correlation.min()) < -alone


def test_directions_have_length_one_and_are_nearly_as_far_apart_as_can_be(world: World) -> None:
    """The squared cosines of 96 directions in 32 dimensions add up to at least 96² / 32 (Welch 1974)."""
    unit = world[1].dictionary
    assert torch.allclose(unit.norm(dim=1), torch.ones(96), atol=1e-5)
    assert float((unit @ unit.T).square().sum()) == pytest.approx(96**2 / 32, rel=0.02)


def test_codes_vary_from_row_to_row_and_from_feature_to_feature(world: World) -> None:
    codes = world[1].encode(world[0].matrix())
    active = codes > 0
    mean = codes.sum(0) / active.sum(0)
    assert float(codes[active].min()) > 0 and float(mean.max()) > 2 * float(mean.min())
    spread = codes[:, 0][active[:, 0]].std() / mean[0]
    assert float(spread) == pytest.approx(0.3, rel=0.1)


def test_more_rows_begin_with_the_same_ones_and_another_part_has_others() -> None:
    given = {"features": 40, "width": 16, "active": 4.0}
    few, truth = synthetic_world(rows=50, **given)
    many, _ = synthetic_world(rows=5000, **given)
    other, same = synthetic_world(rows=50, part=1, **given)
    assert torch.equal(many.matrix()[:50], few.matrix()) and len(many) == 5000
    assert not torch.equal(other.matrix(), few.matrix()) and torch.equal(same.dictionary, truth.dictionary)
    assert not torch.equal(synthetic_world(1, 50, **given)[1].dictionary, truth.dictionary)


def test_the_planted_space_is_the_same_after_saving(world: World, tmp_path: Path) -> None:
    again = ConceptSpace.load(world[1].save(tmp_path / "truth.safetensors"))
    x = world[0].matrix()[:100]
    assert torch.equal(again.encode(x), world[1].encode(x))
