"""Semi-NMF: an error that never rises, exact codes, and a planted dictionary."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_semi_nmf.nnls import nnls
from interp_semi_nmf.seeding import centres
from interp_semi_nmf.semi_nmf import SemiNMF, SemiNMFSpace, best_dictionary, improved, started
from scipy.optimize import linear_sum_assignment
from scipy.optimize import nnls as scipy_nnls
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("semi-nmf")


def planted(
    concepts: int = 8, width: int = 32, active: int = 2, noise: float = 0.02, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Rows that hold `active` of the directions each, and the directions."""
    g = torch.Generator().manual_seed(seed)
    directions = normalize(torch.randn(concepts, width, generator=g), dim=1)
    held = torch.rand(600, concepts, generator=g).argsort(1).argsort(1) < active
    codes = held * torch.empty(600, concepts).exponential_(generator=g)
    return codes @ directions + noise * torch.randn(600, width, generator=g), directions


@pytest.fixture(scope="module")
def space() -> ConceptSpace:
    return fit_concepts(of_rows(planted()[0]), by=SemiNMF(concepts=8))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_error_never_rises(seed: int) -> None:
    x = planted(noise=0.1, seed=seed)[0].double()
    factors = started(x, centres(x, 10, torch.Generator().manual_seed(seed)))
    errors = []
    for _ in range(40):
        factors = improved(x, factors)
        errors.append(float((x - factors.codes.T @ factors.dictionary).square().sum()))
        assert factors.error == pytest.approx(errors[-1], rel=1e-9)
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(errors))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_directions_are_found(seed: int) -> None:
    x, directions = planted(seed=seed)
    found = fit_concepts(of_rows(x), by=SemiNMF(concepts=8, seed=seed)).dictionary
    cosine = found @ directions.T
    rows, columns = linear_sum_assignment(-cosine.numpy())
    assert float(cosine[rows, columns].mean()) > 0.9


def test_codes_are_those_of_scipy(space: ConceptSpace) -> None:
    x = torch.cat([planted(seed=5)[0][:30], torch.randn(30, 32, generator=torch.Generator().manual_seed(0))])
    expected = [scipy_nnls(space.dictionary.double().T.numpy(), row.double().numpy())[0] for row in x]
    assert torch.allclose(space.encode(x).double(), torch.from_numpy(np.stack(expected)), atol=1e-5)


@pytest.mark.parametrize("concepts", [6, 40])
def test_codes_fulfil_the_conditions_of_the_optimum(concepts: int) -> None:
    """Slopes of at least zero, and zero where the code is positive; with more concepts than width too."""
    g = torch.Generator().manual_seed(1)
    dictionary = normalize(torch.randn(concepts, 20, generator=g, dtype=torch.float64), dim=1)
    x = torch.randn(100, 20, generator=g, dtype=torch.float64)
    codes = nnls(dictionary @ dictionary.T, x @ dictionary.T)
    slope = (codes @ dictionary - x) @ dictionary.T
    assert codes.min() >= 0 and slope.min() > -1e-6
    assert (codes * slope).abs().max() < 1e-6


def test_a_row_is_encoded_alone_as_among_others(space: ConceptSpace) -> None:
    x = planted(seed=7, noise=0.3)[0]
    alone = torch.cat([space.encode(row[None]) for row in x[:50]])
    assert torch.allclose(space.encode(x)[:50], alone, atol=1e-6)


def test_repeated_concepts_share_a_code() -> None:
    row = normalize(torch.ones(1, 4), dim=1)
    codes = SemiNMFSpace(torch.cat([row, row])).encode(6 * row)
    assert torch.allclose(codes, torch.full((1, 2), 3.0), atol=1e-4)


def test_codes_follow_the_activations() -> None:
    """The derivative of a code with respect to its row is that of least squares in the active concepts."""
    space = SemiNMFSpace(torch.eye(3)[:2])
    x = torch.tensor([[2.0, -1.0, 5.0]], requires_grad=True)
    space.encode(x)[0, 0].backward()
    assert torch.allclose(x.grad, torch.tensor([[1.0, 0.0, 0.0]]), atol=1e-6)


def test_directions_have_length_one(space: ConceptSpace) -> None:
    assert torch.allclose(space.dictionary.norm(dim=1), torch.ones(8), atol=1e-6)


def test_scaling_the_activations_scales_the_codes_alone(space: ConceptSpace) -> None:
    bigger = fit_concepts(of_rows(10 * planted()[0]), by=SemiNMF(concepts=8))
    x = planted(seed=3)[0]
    assert torch.allclose(bigger.dictionary, space.dictionary, atol=1e-4)
    assert torch.allclose(bigger.encode(10 * x), 10 * space.encode(x), atol=1e-2)


def test_a_concept_that_no_row_holds_keeps_its_direction() -> None:
    dictionary = torch.eye(2, 3, dtype=torch.float64)
    codes = torch.tensor([[1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    x = codes.T @ torch.full((2, 3), 0.5, dtype=torch.float64)
    best = best_dictionary(codes @ codes.T, codes @ x, dictionary)
    assert torch.allclose(best, torch.tensor([[0.5, 0.5, 0.5], [0.0, 1.0, 0.0]], dtype=torch.float64))


def test_too_few_steps_are_said() -> None:
    notes = fit_concepts(of_rows(planted()[0]), by=SemiNMF(concepts=8, steps=1)).notes
    assert any("did not settle within 1 steps" in note for note in notes)


def test_activations_of_zero_are_refused() -> None:
    with pytest.raises(InputError, match="all 4 rows"):
        SemiNMF(concepts=2).fit(of_rows(torch.zeros(4, 3)))


def test_a_space_is_the_same_after_saving(space: ConceptSpace, tmp_path) -> None:
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    x = planted(seed=9)[0]
    assert torch.equal(loaded.dictionary, space.dictionary) and torch.equal(loaded.encode(x), space.encode(x))


def test_the_seed_alone_decides() -> None:
    x, before = of_rows(planted()[0]), torch.get_rng_state()
    one, same = (SemiNMF(concepts=8, seed=3).fit(x).dictionary for _ in range(2))
    assert torch.equal(one, same) and torch.equal(before, torch.get_rng_state())
