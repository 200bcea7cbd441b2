"""The matching pursuit autoencoder: a plain loop, and a residual that falls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests, dictionary_world
from interp_matching_pursuit_sae.matching_pursuit import (
    MatchingPursuitNetwork,
    MatchingPursuitSAE,
    MatchingPursuitSpace,
    pursue,
)
from interp_sae.frame import Frame
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("matching-pursuit-sae", steps=160, learning_rate=0.15, batch_size=64)

METHOD = MatchingPursuitSAE(concepts=24, active=2, steps=300, learning_rate=0.1, batch_size=128)
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
    assert matched(space.dictionary, planted()[1]) > 0.9 > 0.7 > matched(random, planted()[1])


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
    found = MatchingPursuitSAE(concepts=9, steps=60, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert found.encode(x).dtype == torch.float32
    assert (found(x[:1]) - x[:1]).isfinite().all() and (found(x) - x).square().sum() < x.square().sum()


@pytest.mark.parametrize("active", [0, 6])
def test_more_active_concepts_than_there_are_are_refused(active: int) -> None:
    with pytest.raises(InputError, match=f"active={active} of 5 concepts; 1 to 5"):
        MatchingPursuitSAE(concepts=5, active=active)


def dictionary(concepts: int = 8, width: int = 5, seed: int = 0) -> Tensor:
    return normalize(torch.randn(concepts, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def loop(row: np.ndarray, directions: np.ndarray, steps: int) -> np.ndarray:
    codes, left = np.zeros(len(directions)), row.copy()
    for _ in range(steps):
        fits = directions @ left
        best = int(fits.argmax())
        if fits[best] <= 0:
            break
        codes[best] += fits[best]
        left -= fits[best] * directions[best]
    return codes


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_codes_are_those_of_a_plain_loop(steps: int) -> None:
    d, x = dictionary().double(), torch.randn(60, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = np.stack([loop(row, d.numpy(), steps) for row in x.numpy()])
    assert np.allclose(pursue(x, d, steps).numpy(), expected, atol=1e-12)
    space = MatchingPursuitSpace(d, torch.ones(5), steps)
    assert np.allclose(space.encode((x + 1).float()).numpy(), expected, atol=1e-5)


def test_what_is_left_gets_shorter_with_each_concept_taken() -> None:
    d, x = dictionary(), torch.randn(60, 5, generator=torch.Generator().manual_seed(1))
    left = torch.stack([(x - pursue(x, d, steps) @ d).norm(dim=1) for steps in range(6)])
    assert (left.diff(dim=0) <= 1e-6).all() and (left[-1] < 0.8 * left[0]).float().mean() > 0.9


def test_a_row_that_no_direction_fits_has_no_codes() -> None:
    assert not pursue(torch.tensor([[-1.0, -1.0]]), torch.eye(2), 3).any()


def test_it_is_not_orthogonal_matching_pursuit() -> None:
    """Codes that were found before are not found again when another is added."""
    d = normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), dim=1)
    codes = pursue(torch.tensor([[2.0, 1.0]]), d, 2)
    first = 3 / 2**0.5
    assert torch.allclose(codes, torch.tensor([[0.5, first]]), atol=1e-6)


def test_slopes_of_the_dictionary_pass_through_every_step() -> None:
    d, x = dictionary().double(), torch.randn(1, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def left(directions: Tensor) -> Tensor:
        return (x - pursue(x, directions, 3) @ directions).square().sum()

    assert torch.autograd.gradcheck(left, d.clone().requires_grad_())


def test_the_dictionary_reads_and_writes_and_nothing_else_is_trained() -> None:
    network = MatchingPursuitNetwork(6, 3, torch.Generator(), 2)
    assert {name for name, _ in network.named_parameters()} == {"dictionary", "mean"}


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = MatchingPursuitNetwork(6, 3, g, 2)
    with torch.no_grad():
        network.mean.add_(torch.randn(3, generator=g))
    x = 5 * torch.randn(40, 3, generator=g)
    inside = FRAME.inside(x)
    passed, space = network(inside), network.space(FRAME)
    assert torch.allclose(passed.read, (inside - network.mean) @ network.dictionary.T, atol=1e-6)
    assert torch.allclose(space.encode(x), passed.codes / 0.25, atol=1e-4)
    assert torch.allclose(space(x), passed.back / 0.25 + FRAME.centre, atol=1e-4)


def test_dead_concepts_are_revived_and_training_goes_on_after_an_interruption(tmp_path: Path) -> None:
    x = dictionary_world()[0]
    method = MatchingPursuitSAE(concepts=9, active=1, steps=60, batch_size=64, patience=5, checkpoint=str(tmp_path))
    first = method.fit(x)
    assert torch.equal(method.fit(x).dictionary, first.dictionary)
