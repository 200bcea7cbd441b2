"""PCA: scikit-learn's numbers from streamed moments, whatever the batches, the origin and the unit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import Activations, directions, moments, of_rows, orient_by_skewness
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_pca.pca import PCA
from sklearn import decomposition
from torch import Tensor

test_contract = contract_tests("pca")


def rows(n: int = 300, width: int = 12, seed: int = 0) -> Tensor:
    """Skewed rows off the origin, of a different spread along each direction."""
    g = torch.Generator().manual_seed(seed)
    hidden = torch.empty(n, width).exponential_(generator=g) * torch.linspace(1, 4, width)
    return hidden @ torch.linalg.qr(torch.randn(width, width, generator=g)).Q + 3


def peer(x: Tensor, **parameters: Any) -> decomposition.PCA:
    return decomposition.PCA(svd_solver="full", **parameters).fit(x.double().numpy())


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n", [300, 9])
def test_components_codes_and_variances_are_those_of_scikit_learn(n: int, whiten: bool) -> None:
    x = rows(n)
    space, known = PCA(concepts=5, whiten=whiten).fit(of_rows(x)), peer(x, n_components=5, whiten=whiten)
    unit = torch.nn.functional.normalize(space.dictionary, dim=1).double().numpy()
    sign = np.sign((unit * known.components_).sum(1))
    assert np.allclose(unit, sign[:, None] * known.components_, atol=1e-5)
    assert np.allclose(space.encode(x).numpy(), sign * known.transform(x.double().numpy()), atol=1e-5, rtol=1e-5)
    assert np.allclose(space.history["explained variance"], known.explained_variance_ratio_, rtol=1e-9)
    assert np.allclose(space(x), known.inverse_transform(known.transform(x.double().numpy())), atol=1e-5)


def test_explained_variance_is_top_eigenvalues_over_their_sum() -> None:
    x = rows()
    values = np.linalg.eigvalsh(np.cov(x.double().numpy().T))[::-1]
    space = PCA(concepts=4).fit(of_rows(x))
    rest = (space(x) - x).double().square().sum() / (x.double() - x.double().mean(0)).square().sum()
    assert sum(space.history["explained variance"]) == pytest.approx(values[:4].sum() / values.sum(), rel=1e-9)
    assert 1 - float(rest) == pytest.approx(values[:4].sum() / values.sum(), abs=1e-6)


def test_whitened_codes_have_variance_one() -> None:
    codes = PCA(concepts=5, whiten=True).fit(of_rows(rows())).encode(rows())
    assert torch.allclose(codes.T.cov(), torch.eye(5), atol=1e-5)


def test_strong_activities_are_positive() -> None:
    x = rows()
    space = PCA(concepts=12).fit(of_rows(x))
    assert (space.encode(x).double() ** 3).sum(0).min() > 0
    assert torch.allclose(PCA(concepts=12).fit(of_rows(-x)).dictionary, -space.dictionary, atol=1e-6)


def test_moments_do_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    x = of_rows(rows())
    mean, covariance = moments(x)
    whole, turned = Activations.batches, orient_by_skewness(x, torch.eye(12).double(), mean)
    monkeypatch.setattr(Activations, "batches", lambda self, rows=7, **k: whole(self, min(rows, 7), **k))
    again = moments(x)
    assert torch.allclose(again[0], mean, rtol=1e-12) and torch.allclose(again[1], covariance, rtol=1e-10)
    assert torch.equal(orient_by_skewness(x, torch.eye(12).double(), mean), turned)


def test_moments_are_those_of_numpy() -> None:
    x = rows().double().numpy()
    mean, covariance = moments(of_rows(rows()))
    origin, squares = moments(of_rows(rows()), centred=False)
    assert np.allclose(mean, x.mean(0), rtol=1e-12) and np.allclose(covariance, np.cov(x.T, bias=True), rtol=1e-9)
    assert not origin.any() and np.allclose(squares, x.T @ x / len(x), rtol=1e-12)


def test_a_far_origin_costs_no_digits() -> None:
    """Rows whose numbers are exact in float32 around 4096."""
    x = (torch.randn(200, 4, generator=torch.Generator().manual_seed(0)) * 64).round() / 64
    assert torch.allclose(moments(of_rows(x + 4096))[1], moments(of_rows(x))[1], rtol=0, atol=1e-13)


def test_directions_are_eigenvectors_greatest_first() -> None:
    squares = torch.diag(torch.tensor([1.0, 5.0, 3.0], dtype=torch.float64))
    values, found = directions(squares, 2, "pca", of_rows(torch.zeros(4, 3)))
    assert values.tolist() == [5, 3, 1] and found.abs().tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("x", "rank"),
    [(torch.full((5, 3), 0.1), 0), (torch.randn(1, 3), 0), (rows(3), 2), (rows()[:, :1].expand(-1, 4), 1)],
)
def test_more_concepts_than_directions_are_refused_with_numbers(x: Tensor, rank: int) -> None:
    PCA(concepts=rank).fit(of_rows(x)) if rank else None
    with pytest.raises(InputError, match=rf"pca was asked for {rank + 1} .* {len(x)} rows .* span {rank} of"):
        PCA(concepts=rank + 1).fit(of_rows(x))


def test_a_faint_direction_counts_as_long_as_float32_can_tell_it() -> None:
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    assert PCA(concepts=2).fit(of_rows(x * torch.tensor([1, 1e-4]))).dictionary.abs()[1, 1] == pytest.approx(
        1, abs=1e-6
    )
    with pytest.raises(InputError, match="span 1 of 2"):
        PCA(concepts=2).fit(of_rows(x * torch.tensor([1, 1e-8])))


def test_no_concepts_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 concept"):
        PCA(concepts=0)


def test_a_space_is_the_same_after_saving(tmp_path: Path) -> None:
    space = fit_concepts(of_rows(rows()), by=PCA(concepts=3))
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert torch.equal(loaded(rows(seed=1)), space(rows(seed=1))) and loaded.history == space.history


def test_real_activations_agree_with_scikit_learn(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    split = real_model("emotion-minilm").split(-1)
    held = split.activations(real_texts("emotion")[:60], granularity="word", progress=False)
    space, known = fit_concepts(held, by="pca", concepts=10), peer(held.matrix(), n_components=10)
    assert np.allclose(space.history["explained variance"], known.explained_variance_ratio_, rtol=1e-6)
    assert np.allclose(np.abs((space.dictionary.numpy() * known.components_).sum(1)), 1, atol=1e-5)
