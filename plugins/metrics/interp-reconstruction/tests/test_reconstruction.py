"""Errors and distances of reconstructions, against closed forms and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import measure
from interp_core.testing import contract_tests
from interp_reconstruction.distances import FID, FrechetDistance, Wasserstein1D, frechet, wasserstein
from interp_reconstruction.errors import MSE, ExplainedVariance
from jaxtyping import Float
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance
from torch import Tensor

test_mse_contract = contract_tests("mse")
test_explained_variance_contract = contract_tests("explained-variance")
test_frechet_distance_contract = contract_tests("frechet-distance")
test_wasserstein_1d_contract = contract_tests("wasserstein-1d")
test_fid_contract = contract_tests("fid")

X = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.arange(1.0, 7)) + 2
METRICS = [MSE(), ExplainedVariance(), FrechetDistance(), Wasserstein1D()]


class Affine(ConceptSpace):
    """Codes are the rows; the reconstruction is scale times a row plus shift."""

    def __init__(self, width: int, scale: float = 1.0, shift: Tensor | float = 0.0) -> None:
        super().__init__(torch.eye(width))
        self.scale, self.shift = scale, shift

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return values

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return self.scale * codes + self.shift


def value(metric: Any, x: Tensor, scale: float = 1.0, shift: Tensor | float = 0.0) -> float:
    return measure(Affine(x.shape[1], scale, shift), of_rows(x), by=metric).value


def test_explained_variance_of_two_rows_is_as_on_paper() -> None:
    """X = [[2,0],[0,4]] and x̂ = [[2,1],[0,3]]: 1 - 2/10."""
    x, shift = torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    assert value(ExplainedVariance(), x, shift=shift) == pytest.approx(0.8, abs=1e-12)
    assert value(MSE(), x, shift=shift) == pytest.approx(2 / 4, abs=1e-12)


def test_the_mean_explains_nothing() -> None:
    assert value(ExplainedVariance(), X, scale=0.0, shift=X.mean(0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 50.0])
def test_explained_variance_does_not_change_with_the_unit(scale: float) -> None:
    assert value(ExplainedVariance(), scale * X, 0.7) == pytest.approx(value(ExplainedVariance(), X, 0.7), abs=1e-6)


def test_a_far_origin_costs_no_digits() -> None:
    x = X.double().add(1000).float()
    expected = 1 - (0.5**2 * len(x) * 6) / (x.double() - x.double().mean(0)).square().sum()
    assert value(ExplainedVariance(), x, shift=0.5) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("rows", [[[3.0, 1.0]] * 4, [[0.1, 0.7]] * 3, [[5.0, 2.0]]])
def test_equal_rows_have_no_variance_to_explain(rows: list[list[float]]) -> None:
    with pytest.raises(InputError, match=f"all {len(rows)} rows of 'given' are equal"):
        ExplainedVariance().measure(Affine(2), of_rows(torch.tensor(rows)))


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_space_has_the_best_value(metric: Any) -> None:
    assert value(metric, X) == pytest.approx(1 if metric == ExplainedVariance() else 0, abs=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_batches_change_nothing(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = value(metric, X, 0.6, 0.3)
    monkeypatch.setattr(Activations, "batches", lambda self, rows=7: iter(self.matrix().split(rows)))
    monkeypatch.setattr("interp_reconstruction.distances.HELD", 2 * 300 * 4)
    assert value(metric, X, 0.6, 0.3) == pytest.approx(whole, abs=1e-10)


def test_a_shift_is_its_squared_length_away() -> None:
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, 0.25])
    assert value(FrechetDistance(), X, shift=shift) == pytest.approx(float(shift.square().sum()), rel=1e-5)
    assert value(Wasserstein1D(), X, shift=shift) == pytest.approx(float(shift.abs().mean()), rel=1e-5)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_scaling_has_a_closed_form(scale: float) -> None:
    x = X.double()
    expected = (scale - 1) ** 2 * (x.var(0, correction=0).sum() + x.mean(0).square().sum())
    assert value(FrechetDistance(), X, scale) == pytest.approx(float(expected), rel=1e-5)


def test_the_frechet_distance_is_that_of_scipys_matrix_root() -> None:
    other = torch.randn(200, 6, generator=torch.Generator().manual_seed(1)) @ torch.randn(
        6, 6, generator=torch.Generator().manual_seed(2)
    )
    a, b = X.double().numpy(), other.double().numpy()
    s, t = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert frechet(X, other) == pytest.approx(expected, rel=1e-8)


def test_the_frechet_distance_is_sound_where_covariances_are_singular() -> None:
    """On a line each: the distance of two normal distributions at right angles is the sum of their variances."""
    t = torch.linspace(-1, 1, 101)
    one, other = torch.stack([t, 0 * t, 0 * t], 1), torch.stack([0 * t, 2 * t, 0 * t], 1)
    assert frechet(one, other) == pytest.approx(float(5 * t.double().var(correction=0)), rel=1e-6)


def test_the_wasserstein_distance_is_that_of_scipy() -> None:
    other = torch.randn(300, 6, generator=torch.Generator().manual_seed(1)) ** 3
    expected = np.mean([wasserstein_distance(X[:, j].numpy(), other[:, j].numpy()) for j in range(6)])
    assert wasserstein(X, other) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("entries", "widths"), [(1, [1] * 6), (4 * 300, [2, 2, 2]), (8 * 300, [4, 2])])
def test_the_wasserstein_distance_holds_so_many_dimensions_at_a_time(
    entries: int, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    space, rows, seen = Affine(6, 0.6, 0.3), of_rows(X), []
    whole = Wasserstein1D().measure(space, rows).value

    def watched(one: Tensor, other: Tensor) -> float:
        seen.append((tuple(one.shape), tuple(other.shape)))
        return wasserstein(one, other)

    monkeypatch.setattr("interp_reconstruction.distances.HELD", entries)
    monkeypatch.setattr("interp_reconstruction.distances.wasserstein", watched)
    monkeypatch.setattr(Activations, "matrix", lambda self: pytest.fail("all rows at once"))
    assert Wasserstein1D().measure(space, rows).value == pytest.approx(whole, rel=1e-12)
    assert seen == [((300, k), (300, k)) for k in widths]


def test_distances_of_distributions_do_not_see_which_row_is_which() -> None:
    assert frechet(X, X.flip(0)) == pytest.approx(0, abs=1e-9) and wasserstein(X, X.flip(0)) == 0


def test_fid_is_the_wasserstein_distance_by_another_name() -> None:
    assert value(FID(), X, 0.6, 0.3) == value(Wasserstein1D(), X, 0.6, 0.3)
    assert value(FID(), X, 0.6, 0.3) != pytest.approx(value(FrechetDistance(), X, 0.6, 0.3), rel=0.1)
