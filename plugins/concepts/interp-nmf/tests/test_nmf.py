"""NMF: an error that never rises, planted parts, and scikit-learn's error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import UnsupportedError
from interp_core.testing import contract_tests
from interp_nmf.nmf import NMF, best_parts
from interp_semi_nmf.alternating import Sums, sums_over
from interp_semi_nmf.seeding import centres
from interp_semi_nmf.testing import (
    FAMILY,
    Check,
    Factorisation,
    matched_cosines,
    name_of,
    share_missed,
    the_loss_never_rises,
)
from scipy.optimize import nnls as scipy_nnls
from sklearn import decomposition
from torch import Tensor

test_contract = contract_tests("nmf")


@pytest.mark.parametrize("check", FAMILY, ids=name_of)
def test_family(check: Check) -> None:
    check(Factorisation(NMF, signed=False))


def planted(
    concepts: int = 6, width: int = 30, noise: float = 0.0, seed: int = 0, rows: int = 150
) -> tuple[Tensor, Tensor, Tensor]:
    """Non-negative rows, their codes and their sparse parts."""
    g = torch.Generator().manual_seed(seed)
    parts = torch.rand(concepts, width, generator=g) * (torch.rand(concepts, width, generator=g) < 0.3)
    codes = torch.rand(rows, concepts, generator=g) * (torch.rand(rows, concepts, generator=g) < 0.3)
    return codes @ parts + noise * torch.rand(rows, width, generator=g), codes, parts


@pytest.fixture(scope="module")
def space() -> ConceptSpace:
    return fit_concepts(of_rows(planted()[0]), by=NMF(concepts=6, tolerance=1e-9))


@pytest.fixture(scope="module")
def noisy() -> ConceptSpace:
    """What is learnt from rows that no factors fit exactly, to the end."""
    return fit_concepts(of_rows(planted(noise=0.5)[0]), by=NMF(concepts=6, tolerance=1e-6))


def test_planted_factors_are_found_up_to_permutation_and_scale(space: ConceptSpace) -> None:
    x, codes, parts = planted()
    cosines, concepts = matched_cosines(space.dictionary, parts)
    assert float(cosines.min()) > 0.999
    scaled = codes * parts.norm(dim=1)
    assert float((space.encode(x)[:, concepts] - scaled).norm()) < 0.05 * float(scaled.norm())


def test_nothing_is_negative(space: ConceptSpace) -> None:
    assert float(space.dictionary.min()) >= 0
    assert float(space.encode(torch.randn(50, 30, generator=torch.Generator().manual_seed(0))).min()) >= 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_never_rises(seed: int) -> None:
    x = planted(noise=0.5, seed=seed)[0]
    the_loss_never_rises(NMF(concepts=9, tolerance=0.0, steps=15, seed=seed), x, 10)


def test_the_loss_is_that_of_the_space(noisy: ConceptSpace) -> None:
    assert share_missed(noisy, planted(noise=0.5)[0]) == pytest.approx(noisy.history["loss"][-1], rel=1e-2)


def test_it_comes_as_close_as_scikit_learn(noisy: ConceptSpace) -> None:
    x = planted(noise=0.5)[0]
    peer = decomposition.NMF(6, init="nndsvda", max_iter=1000, tol=1e-6).fit(x.numpy())
    assert float((x - noisy(x)).norm()) < 1.02 * peer.reconstruction_err_


def test_parts_are_the_non_negative_least_squares_of_scipy() -> None:
    """Column by column, for codes of very different sizes."""
    g = torch.Generator().manual_seed(0)
    codes = torch.rand(80, 5, generator=g, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1.0, 10.0, 1e3])
    x = torch.randn(80, 7, generator=g, dtype=torch.float64) + 0.3
    sums = Sums(codes.T @ codes, codes.T @ x, float(x.square().sum()))
    expected = np.stack([scipy_nnls(codes.numpy(), column.numpy())[0] for column in x.T], axis=1)
    assert np.allclose(best_parts(sums, torch.ones(5, 7, dtype=torch.float64)), expected, rtol=1e-5, atol=1e-8)


def test_concepts_of_no_use_keep_their_direction() -> None:
    """One that no row holds, and one that is best left out."""
    codes = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 2.0], [-1.0, -1.0]], dtype=torch.float64)
    dictionary = torch.full((3, 2), 0.5, dtype=torch.float64)
    best = best_parts(Sums(codes.T @ codes, codes.T @ x, 7.0), dictionary)
    assert torch.allclose(best, torch.tensor([[1.0, 2.0], [0.5, 0.5], [0.5, 0.5]], dtype=torch.float64))


def test_the_start_is_improved() -> None:
    x = planted(noise=0.5)[0].double()
    start = centres(x, 6, torch.Generator().manual_seed(0))
    sums = sums_over([x], start)
    assert sums.error(best_parts(sums, start)) < 0.95 * sums.error(start)


def test_negative_activations_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"non-negative.*goes down to -1"):
        fit_concepts(of_rows(torch.tensor([[1.0, -1.0], [2.0, 0.0]])), by="nmf", concepts=1)


def test_rows_after_relu_of_a_real_model_are_given_back(real_model, real_texts) -> None:
    split = real_model("emotion-minilm").split(-1)
    words = split.activations(real_texts("emotion")[:10], granularity="word", progress=False)
    x = words.matrix().clamp(min=0)
    assert share_missed(fit_concepts(of_rows(x), by=NMF(concepts=10)), x) < 0.1
