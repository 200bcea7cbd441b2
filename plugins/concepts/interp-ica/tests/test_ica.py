"""ICA: scikit-learn's numbers, a planted mixing, an order and a sign."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace, ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_ica.ica import ICA
from sklearn.decomposition import FastICA
from torch import Tensor

test_contract = contract_tests("ica")


def planted(rows: int = 3000, sources: int = 5, width: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows made of independent skewed sources, off the origin, and the mixing matrix (width, sources)."""
    g = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, sources, generator=g)
    active = torch.empty(rows, sources).exponential_(generator=g)
    return active @ mixing.T + torch.randn(width, generator=g), mixing


@pytest.fixture(scope="module")
def space() -> AffineSpace:
    return ICA(concepts=5).fit(of_rows(planted()[0]))


def amari(product: Tensor) -> float:
    """Distance of a square matrix from a scaled permutation, 0 to 1 (Amari, Cichocki, Yang 1996)."""
    size = product.abs().double()
    n = len(size)
    rows = (size / size.amax(1, keepdim=True)).sum(1) - 1
    columns = (size / size.amax(0, keepdim=True)).sum(0) - 1
    return float((rows.sum() + columns.sum()) / (2 * n * (n - 1)))


def test_a_planted_mixing_is_undone(space: AffineSpace) -> None:
    mixing = planted()[1]
    assert amari(space.encoder @ mixing) < 0.05
    assert amari(torch.randn(5, 12, generator=torch.Generator().manual_seed(1)) @ mixing) > 0.2


def test_codes_and_reconstructions_are_those_of_scikit_learn(space: AffineSpace) -> None:
    x = planted()[0]
    peer = FastICA(5, whiten="unit-variance", whiten_solver="eigh", max_iter=400, tol=1e-4, random_state=0)
    theirs = peer.fit(x.double().numpy()).transform(x.double().numpy())
    agreement = theirs.T @ space.encode(x).double().numpy() / len(x)
    match, sign = np.abs(agreement).argmax(0), np.sign(agreement[np.abs(agreement).argmax(0), range(5)])
    assert sorted(match) == list(range(5))
    assert np.allclose(theirs[:, match] * sign, space.encode(x).numpy(), atol=1e-4)
    assert np.allclose(peer.inverse_transform(theirs), space(x).numpy(), atol=1e-4)


def test_all_that_the_components_span_is_given_back(space: AffineSpace) -> None:
    x = planted()[0]
    assert torch.allclose(space(x), x, atol=1e-4)


def test_the_batches_rows_are_read_in_do_not_matter(space: AffineSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Activations.batches
    monkeypatch.setattr(Activations, "batches", lambda self, rows=700, **k: whole(self, min(rows, 700), **k))
    assert torch.allclose(ICA(concepts=5).fit(of_rows(planted()[0])).encoder, space.encoder, atol=1e-5)


def test_components_are_skewed_to_the_positive_side_and_ordered_by_variance(space: AffineSpace) -> None:
    codes = space.encode(planted()[0])
    assert (codes**3).mean(0).min() > 0
    given = torch.stack([(codes[:, [j]] * space.dictionary[j]).var(0).sum() for j in range(5)])
    assert torch.equal(given, given.sort(descending=True).values)


def test_codes_have_variance_one_and_are_uncorrelated(space: AffineSpace) -> None:
    assert torch.allclose(space.encode(planted()[0]).T.cov(correction=0), torch.eye(5), atol=1e-3)


def test_encoding_is_differentiable(space: AffineSpace) -> None:
    x = planted()[0][:1].requires_grad_()
    space.encode(x)[0, 2].backward()
    assert torch.allclose(x.grad[0], space.encoder[2])


def test_more_components_than_directions_are_refused_with_numbers() -> None:
    x = planted(sources=3)[0]
    with pytest.raises(InputError, match=r"asked for 4 concepts, .* span 3 of 12 directions; ask for at most 3"):
        ICA(concepts=4).fit(of_rows(x))
    with pytest.raises(InputError, match="span 0 of 2"):
        ICA(concepts=1).fit(of_rows(torch.ones(5, 2)))
    with pytest.raises(InputError, match=r"the 1 rows .* span 0 of 3"):
        ICA(concepts=1).fit(of_rows(torch.randn(1, 3)))


def test_a_run_that_was_stopped_says_so_and_prints_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopped = ICA(concepts=5, steps=1, tolerance=1e-12).fit(of_rows(planted()[0]))
    assert stopped.notes == ("FastICA did not settle within 1 steps; allow more.",)


def test_a_run_that_settled_has_no_notes(space: AffineSpace) -> None:
    assert space.notes == ()


def test_few_wide_rows_are_fitted_too() -> None:
    x = planted(rows=40, sources=6, width=60)[0]
    wide = fit_concepts(of_rows(x), by=ICA(concepts=6))
    assert torch.allclose(wide(x), x, atol=1e-3)


def test_a_space_is_the_same_after_saving(space: AffineSpace, tmp_path: Path) -> None:
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    x = planted(seed=3)[0]
    assert torch.equal(loaded.encode(x), space.encode(x)) and torch.equal(loaded(x), space(x))


def test_global_random_states_are_left_alone() -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()
    ICA(concepts=2).fit(of_rows(planted()[0]))
    assert torch.equal(before, torch.get_rng_state()) and str(numpy_before) == str(np.random.get_state())


def test_components_of_a_real_layer_are_those_of_scikit_learn(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    split = real_model("emotion-minilm").split(-1)
    held = split.activations(real_texts("emotion")[:60], granularity="word", progress=False)
    peer = FastICA(4, whiten="unit-variance", whiten_solver="eigh", max_iter=400, tol=1e-4, random_state=0)
    theirs = torch.from_numpy(peer.fit_transform(held.matrix().double().numpy()))
    codes = fit_concepts(held, by="ica", concepts=4).encode(held.matrix()).double()
    assert torch.allclose((theirs.T @ codes / len(held)).abs().amax(0), torch.ones(4).double(), atol=1e-3)
