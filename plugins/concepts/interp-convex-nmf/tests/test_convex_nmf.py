"""Convex NMF: directions inside the cone of the rows, an error that never rises, and the published updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from interp_convex_nmf.convex_nmf import Combinations, ConvexNMF
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_semi_nmf.alternating import Sums, sums_over
from interp_semi_nmf.semi_nmf import SemiNMF
from interp_semi_nmf.testing import (
    FAMILY,
    Check,
    Factorisation,
    matched_cosines,
    name_of,
    planted_rows,
    share_missed,
    the_loss_never_rises,
)
from scipy.optimize import nnls as scipy_nnls
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("convex-nmf", rows=100)


@pytest.mark.parametrize("check", FAMILY, ids=name_of)
def test_family(check: Check) -> None:
    check(Factorisation(ConvexNMF))


def planted(noise: float = 0.02, seed: int = 0) -> tuple[Tensor, Tensor]:
    """300 rows that hold one or two of 6 directions."""

    def codes(g: torch.Generator) -> Tensor:
        active = torch.rand(300, 6, generator=g).argsort(1).argsort(1) < torch.randint(1, 3, (300, 1), generator=g)
        return active * (0.2 + torch.rand(300, 6, generator=g))

    return planted_rows(codes, 6, 20, noise, seed)


@pytest.fixture(scope="module")
def space() -> ConceptSpace:
    return fit_concepts(of_rows(planted()[0]), by=ConvexNMF(concepts=6))


def published(x: np.ndarray, weights: np.ndarray, codes: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The multiplicative updates of the paper's section 3.2, for rows in place of columns."""
    y = x @ x.T
    plus, minus = (abs(y) + y) / 2, (abs(y) - y) / 2
    for _ in range(steps):
        up, down = plus @ weights + codes @ (weights.T @ minus @ weights), minus @ weights
        codes = codes * np.sqrt(up / (down + codes @ (weights.T @ plus @ weights) + 1e-12))
        up, down = plus @ codes + minus @ weights @ (codes.T @ codes), minus @ codes
        weights = weights * np.sqrt(up / (down + plus @ weights @ (codes.T @ codes) + 1e-12))
    return weights, codes


def test_it_comes_closer_than_the_published_updates() -> None:
    x = planted(noise=0.1)[0][:120]
    g = np.random.default_rng(0)
    weights, codes = published(x.double().numpy(), g.random((120, 6)), g.random((120, 6)), 300)
    theirs = float(((x.numpy() - codes @ weights.T @ x.numpy()) ** 2).sum() / (x.numpy() ** 2).sum())
    ours = ConvexNMF(concepts=6, tolerance=1e-6).fit(of_rows(x)).history["loss"][-1]
    assert ours < theirs * 1.01


def test_from_a_solution_of_ours_the_published_updates_gain_next_to_nothing() -> None:
    x = planted(noise=0.1)[0][:80].double()
    combined = Combinations(x, normalize(x[:6], dim=1))
    dictionary = combined.directions()
    for _ in range(30):
        dictionary = normalize(combined.improved(sums_over([x], dictionary), dictionary), dim=1)
    codes = np.stack([scipy_nnls(dictionary.T.numpy(), row.numpy())[0] for row in x])
    weights = (combined.weights / x.norm(dim=1)).T.numpy()
    assert np.allclose(weights.T @ x.numpy(), dictionary)
    before = ((x.numpy() - codes @ dictionary.numpy()) ** 2).sum()
    weights, codes = published(x.numpy(), weights, codes, 100)
    assert ((x.numpy() - codes @ weights.T @ x.numpy()) ** 2).sum() > before * 0.995


def test_directions_are_non_negative_sums_of_rows(space: ConceptSpace) -> None:
    x = planted()[0]
    for direction in space.dictionary:
        assert scipy_nnls(x.double().T.numpy(), direction.double().numpy(), maxiter=10_000)[1] < 1e-5
    assert torch.allclose(space.dictionary.norm(dim=1), torch.ones(6), atol=1e-6)


def test_directions_are_of_the_drawn_rows_alone() -> None:
    """Of one drawn row for each concept, they are those rows."""
    x = planted()[0]
    directions = ConvexNMF(concepts=6, rows=6, steps=3).fit(of_rows(x)).dictionary
    assert torch.allclose((directions @ normalize(x, dim=1).T).amax(1), torch.ones(6), atol=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_never_rises(seed: int) -> None:
    method = ConvexNMF(concepts=9, rows=60, tolerance=0.0, steps=7, seed=seed)
    the_loss_never_rises(method, planted(noise=0.3, seed=seed)[0], 5)


def test_planted_directions_are_found(space: ConceptSpace) -> None:
    assert float(matched_cosines(space.dictionary, planted()[1])[0].min()) > 0.95


def test_semi_nmf_is_free_to_come_closer() -> None:
    x = of_rows(planted(noise=0.3)[0])
    convex, semi = (
        m.fit(x).history["loss"][-1] for m in (ConvexNMF(6, 100, tolerance=1e-3), SemiNMF(6, tolerance=1e-3))
    )
    assert semi < convex < 2 * semi


def test_a_combination_at_its_best_stays_as_it_is() -> None:
    rows = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    combined = Combinations(rows, rows / 5)
    assert torch.allclose(combined.improved(sums_over([rows], rows / 5), rows / 5), rows / 5, atol=1e-7)


def test_a_combination_of_which_nothing_would_be_left_stays_as_it_is() -> None:
    row = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    combined = Combinations(row, row)
    best = combined.improved(Sums(torch.ones(1, 1, dtype=torch.float64), -5 * row, 25.0), row)
    assert torch.equal(best, row) and torch.equal(combined.directions(), row)


def test_rows_that_are_not_drawn_are_learnt_from() -> None:
    """The same rows to combine, two sets of rows to come close to."""
    x = planted()[0]
    rows = x[:40].double()
    turned = Combinations(rows, normalize(rows[:3], dim=1))
    start = turned.directions()
    one = turned.improved(sums_over([x[40:].double()], start), start)
    other = Combinations(rows, normalize(rows[:3], dim=1)).improved(sums_over([rows], start), start)
    assert not torch.allclose(normalize(one, dim=1), normalize(other, dim=1), atol=1e-2)


def test_rows_that_cancel_out_and_rows_of_zero_are_fine() -> None:
    row = torch.tensor([1.0, 2.0, -2.0])
    x = torch.stack([row, -row, row, -row, 0 * row])
    for concepts in (1, 2):
        space = fit_concepts(of_rows(x), by=ConvexNMF(concepts=concepts))
        assert torch.allclose((space.dictionary @ row).abs(), torch.full((concepts,), 3.0), atol=1e-4)
    assert torch.allclose(space(x), x, atol=1e-4)


def test_a_concept_without_rows_is_the_row_nearest_to_its_centre() -> None:
    rows = torch.tensor([[2.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    centres = normalize(torch.tensor([[1.0, 0.1], [1.0, 0.2], [0.0, 1.0]], dtype=torch.float64), dim=1)
    directions = Combinations(rows, centres).directions()
    assert torch.equal(directions, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64))


def test_a_start_weighs_rows_by_their_length() -> None:
    rows = torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    directions = Combinations(rows, torch.tensor([[0.6, 0.8]], dtype=torch.float64)).directions()
    assert torch.allclose(directions, torch.tensor([[0.6, 0.8]], dtype=torch.float64))


def test_drawn_rows_of_zero_are_refused() -> None:
    with pytest.raises(InputError, match="all of the 2 rows drawn are zero"):
        ConvexNMF(concepts=2, rows=2).fit(
            of_rows(torch.eye(200)[:, :3] * (torch.arange(200) == 199)[:, None] + (torch.arange(200) == 199)[:, None])
        )


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 concept, row and step"):
        ConvexNMF(rows=0)


def test_fewer_rows_than_concepts_are_refused() -> None:
    with pytest.raises(InputError, match="9 concepts are to be combined from 8 rows"):
        ConvexNMF(concepts=9, rows=8)


def test_words_of_a_real_model_are_given_back(real_model, real_texts) -> None:
    split = real_model("emotion-minilm").split(-1)
    words = split.activations(real_texts("emotion")[:10], granularity="word", progress=False)
    assert share_missed(fit_concepts(words, by=ConvexNMF(concepts=10)), words.matrix()) < 0.1
