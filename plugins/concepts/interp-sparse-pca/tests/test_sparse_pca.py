"""Sparse PCA: scikit-learn's numbers from the covariance alone, and planted zeros."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import AffineSpace, ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_sparse_pca.sparse_pca import SparsePCA
from sklearn.decomposition import SparsePCA as PeerSparsePCA
from torch import Tensor

test_contract = contract_tests("sparse-pca")


def planted(n: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Skewed rows off the origin made of three directions of four dimensions each, and the directions."""
    g = torch.Generator().manual_seed(seed)
    truth = torch.zeros(3, 14)
    for i in range(3):
        truth[i, 4 * i : 4 * i + 4] = torch.tensor([1.0, -2.0, 2.0, 1.0]) * (3 - i)
    hidden = torch.empty(n, 3).exponential_(generator=g)
    return hidden @ truth + 0.1 * torch.randn(n, 14, generator=g) + 2, truth


def space_of(x: Tensor, **parameters: Any) -> AffineSpace:
    return SparsePCA(**{"concepts": 3, **parameters}).fit(of_rows(x))


@pytest.mark.parametrize(("n", "ridge"), [(400, 0.01), (400, 0.5), (40, 0.01)])
def test_directions_and_codes_are_those_of_scikit_learn(n: int, ridge: float) -> None:
    """In units of the spread, since scikit-learn starts otherwise in other units."""
    x, unseen = planted(n)[0], planted(seed=1)[0].double().numpy()
    unit = float((x.double() - x.double().mean(0)).square().sum() / 14) ** 0.5
    peer = PeerSparsePCA(3, alpha=0.2, ridge_alpha=ridge, max_iter=500, tol=1e-10, method="lars", random_state=0)
    peer.fit(x.double().numpy() / unit)
    space = space_of(x, penalty=0.2, ridge=ridge, tolerance=1e-10, steps=500)
    sign = np.sign((space.dictionary.numpy() * peer.components_).sum(1))
    assert np.allclose(space.dictionary, sign[:, None] * peer.components_, atol=1e-5)
    codes = unit * peer.transform(unseen / unit)
    found = torch.from_numpy(unseen).float()
    assert np.allclose(space.encode(found), sign * codes, atol=1e-5, rtol=1e-5)
    assert np.allclose(space(found), unit * peer.inverse_transform(codes / unit), atol=1e-5)


def test_planted_zeros_are_found() -> None:
    x, truth = planted()
    space = space_of(x)
    assert torch.equal(space.dictionary != 0, truth != 0)
    assert (space.dictionary * torch.nn.functional.normalize(truth, dim=1)).sum(1).min() > 0.99


def test_a_higher_penalty_leaves_fewer_dimensions() -> None:
    x = torch.randn(300, 30, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.5, 2, 30)
    touched = [int((space_of(x, penalty=p).dictionary != 0).sum()) for p in (1e-6, 0.1, 0.2, 0.4)]
    assert touched[0] == 90 and all(more > fewer for more, fewer in pairwise(touched))


def test_the_unit_and_the_number_of_rows_change_nothing() -> None:
    x = planted()[0]
    space = space_of(x)
    for other in (1e-4 * x, 1e4 * x, x.repeat(3, 1)):
        assert torch.allclose(space_of(other).dictionary, space.dictionary, atol=1e-4)


def test_the_objective_is_that_of_the_rows_and_never_rises() -> None:
    """In units of the spread: ½‖X - UV‖² + penalty Σ|V| is half the width where nothing is explained."""
    x = planted()[0]
    objective = space_of(x).history["objective"]
    assert all(after <= before * (1 + 1e-9) for before, after in pairwise(objective))
    assert space_of(x, penalty=50.0).history["objective"][-1] == pytest.approx(14 / 2, rel=1e-9)


def test_strong_activities_are_positive() -> None:
    x = planted()[0]
    space = space_of(x)
    assert (space.encode(x).double() ** 3).sum(0).min() > 0
    assert torch.allclose(space_of(-x).dictionary, -space.dictionary, atol=1e-6)


def test_directions_that_are_penalised_away_are_said_and_decode_as_the_mean() -> None:
    x = planted()[0]
    space = space_of(x, penalty=50.0)
    assert space.notes == ("3 of 3 directions are zero; lower the penalty, or ask for fewer.",)
    assert not space.encode(x).any() and torch.allclose(space(x), x.mean(0).expand_as(x), atol=1e-5)


def test_a_run_that_was_stopped_says_so_and_prints_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopped = space_of(planted()[0], steps=1)
    assert stopped.notes == ("sparse-pca did not settle within 1 steps; allow more.",)
    assert len(stopped.history["objective"]) == 1 and space_of(planted()[0]).notes == ()


@pytest.mark.parametrize(("x", "rank"), [(torch.full((5, 3), 0.1), 0), (torch.randn(1, 3), 0), (planted(4)[0], 3)])
def test_more_concepts_than_directions_are_refused_with_numbers(x: Tensor, rank: int) -> None:
    with pytest.raises(InputError, match=rf"sparse-pca was asked for {rank + 1} .* span {rank} of"):
        space_of(x, concepts=rank + 1)


def test_parameters_without_meaning_are_refused() -> None:
    for wrong in ({"concepts": 0}, {"steps": 0}, {"penalty": 0.0}, {"tolerance": -1.0}, {"ridge": 0.0}):
        with pytest.raises(InputError, match="a positive penalty and ridge are needed"):
            SparsePCA(**wrong)


def test_global_random_states_are_left_alone() -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()
    space_of(planted()[0])
    assert torch.equal(before, torch.get_rng_state()) and str(numpy_before) == str(np.random.get_state())


def test_a_space_is_the_same_after_saving(tmp_path: Path) -> None:
    x = planted()[0]
    space = fit_concepts(of_rows(x), by=SparsePCA(concepts=3))
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert torch.equal(loaded(x), space(x)) and loaded.history == space.history


def test_most_entries_are_zero_on_a_real_layer_that_is_still_explained(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    split = real_model("emotion-minilm").split(3)
    x = split.activations(real_texts("emotion")[:40], granularity="word", progress=False).matrix()
    space = space_of(x, concepts=8, steps=30)
    explained = 1 - float((space(x) - x).square().sum() / (x - x.mean(0)).square().sum())
    top = torch.linalg.svdvals(x - x.mean(0)).square()
    assert float((space.dictionary == 0).float().mean()) > 0.4
    assert 0.7 < explained / float(top[:8].sum() / top.sum()) < 1
