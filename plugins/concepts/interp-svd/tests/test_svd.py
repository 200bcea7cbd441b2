"""Truncated SVD: scikit-learn's numbers, about the origin."""

from __future__ import annotations

from collections.abc import Callable

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_svd.svd import SVD
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

test_contract = contract_tests("svd")


def rows(n: int = 300, width: int = 12, seed: int = 0) -> Tensor:
    """Skewed rows off the origin, of a different spread along each direction."""
    g = torch.Generator().manual_seed(seed)
    hidden = torch.empty(n, width).exponential_(generator=g) * torch.linspace(1, 4, width)
    return hidden @ torch.linalg.qr(torch.randn(width, width, generator=g)).Q + 3


@pytest.mark.parametrize("n", [300, 9])
def test_components_codes_and_singular_values_are_those_of_scikit_learn(n: int) -> None:
    x = rows(n)
    known = TruncatedSVD(5, algorithm="arpack", random_state=0).fit(x.double().numpy())
    space = SVD(concepts=5).fit(of_rows(x))
    sign = np.sign((space.dictionary.numpy() * known.components_).sum(1))
    assert np.allclose(space.dictionary, sign[:, None] * known.components_, atol=1e-5)
    assert np.allclose(space.encode(x), sign * known.transform(x.double().numpy()), atol=1e-5, rtol=1e-5)
    assert np.allclose(space.history["singular values"], known.singular_values_, rtol=1e-7)


def test_no_matrix_of_that_rank_is_nearer() -> None:
    """Eckart and Young: what is missed are the squares of the other singular values."""
    x = rows()
    missed = (SVD(concepts=4).fit(of_rows(x))(x) - x).double().square().sum()
    assert float(missed) == pytest.approx(float(torch.linalg.svdvals(x.double())[4:].square().sum()), rel=1e-5)


def test_zero_is_encoded_and_decoded_as_zero() -> None:
    space = SVD(concepts=4).fit(of_rows(rows()))
    assert not space.encode(torch.zeros(1, 12)).any() and not space.decode(torch.zeros(1, 4)).any()


def test_strong_activities_are_positive() -> None:
    x = rows()
    space = SVD(concepts=12).fit(of_rows(x))
    assert (space.encode(x).double() ** 3).sum(0).min() > 0
    assert torch.allclose(SVD(concepts=12).fit(of_rows(-x)).dictionary, -space.dictionary, atol=1e-6)


def test_one_constant_row_is_one_direction_of_its_length() -> None:
    space = SVD(concepts=1).fit(of_rows(torch.full((1, 4), -2.0)))
    assert torch.allclose(space.dictionary, torch.full((1, 4), -0.5))
    assert space.history["singular values"] == pytest.approx([4.0])


@pytest.mark.parametrize(("x", "rank"), [(torch.zeros(5, 3), 0), (torch.full((5, 3), 0.1), 1), (rows(3), 3)])
def test_more_concepts_than_directions_are_refused_with_numbers(x: Tensor, rank: int) -> None:
    with pytest.raises(InputError, match=rf"svd was asked for {rank + 1} .* about the origin span {rank} of"):
        SVD(concepts=rank + 1).fit(of_rows(x))


def test_no_concepts_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 concept"):
        SVD(concepts=0)


def test_real_activations_agree_with_numpy(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    split = real_model("emotion-minilm").split(-1)
    held = split.activations(real_texts("emotion")[:60], granularity="word", progress=False)
    space = fit_concepts(held, by="svd", concepts=10)
    known = np.linalg.svd(held.matrix().double().numpy(), full_matrices=False)
    assert np.allclose(space.history["singular values"], known.S[:10], rtol=1e-6)
    assert np.allclose(np.abs((space.dictionary.numpy() * known.Vh[:10]).sum(1)), 1, atol=1e-5)
