"""Nearness to centres, against distances by hand, nearest centroids and linear discriminants of scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from interp_centroid.centroid import Centroid
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError, UnsupportedError
from interp_core.testing import contract_tests
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid
from torch import Tensor

test_cosine_contract = contract_tests("centroid")
test_squared_l2_contract = contract_tests("centroid", distance="squared-l2")
test_mahalanobis_contract = contract_tests("centroid", distance="mahalanobis")

DISTANCES = ("cosine", "squared-l2", "mahalanobis")


def rows(seed: int = 0, n: int = 400, width: int = 6, centres: int = 0) -> tuple[Tensor, Tensor]:
    """Three overlapping classes of unequal sizes, off the origin, with dimensions that are correlated."""
    g = torch.Generator().manual_seed(centres)
    centre, mixing = torch.randn(3, width, generator=g), torch.randn(width, width, generator=g)
    g = torch.Generator().manual_seed(seed)
    label = (torch.rand(n, generator=g) ** 2 * 3).long()
    return 4 + centre[label] + torch.randn(n, width, generator=g) @ mixing, label


def fitted(distance: str, shrinkage: float = 0.01) -> ConceptSpace:
    x, label = rows()
    return Centroid(distance=distance, shrinkage=shrinkage).fit(of_rows(x, labels=label))


def test_the_greatest_code_is_the_nearest_centroid_of_scikit_learn() -> None:
    x, label = rows()
    unseen = rows(seed=1, n=1000)[0]
    peer = NearestCentroid().fit(x.double().numpy(), label.numpy())
    assert (fitted("squared-l2").encode(unseen).argmax(1).numpy() == peer.predict(unseen.double().numpy())).all()


def test_squared_codes_are_differences_of_squared_distances() -> None:
    x, label = rows()
    mean, centre = x.mean(0), torch.stack([x[label == i].mean(0) for i in range(3)])
    expected = (x - mean).square().sum(1)[:, None] - (x[:, None] - centre).square().sum(2)
    assert torch.allclose(fitted("squared-l2").encode(x), expected, atol=1e-3)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_mahalanobis_is_linear_discriminant_analysis(shrinkage: float) -> None:
    x, label = rows()
    unseen = rows(seed=1)[0]
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(x.double().numpy(), label.numpy())
    decision = fitted("mahalanobis", shrinkage).encode(unseen).numpy() / 2 + np.log(peer.priors_)
    expected = peer.decision_function(unseen.double().numpy())
    assert np.allclose(decision - decision[:, :1], expected - expected[:, :1], atol=1e-3)


def test_mahalanobis_does_not_change_when_activations_are_mixed() -> None:
    x, label = rows()
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(5))
    mixed = Centroid(distance="mahalanobis", shrinkage=0.0).fit(of_rows(x @ mixing, labels=label))
    assert torch.allclose(mixed.encode(x @ mixing), fitted("mahalanobis", 0.0).encode(x), rtol=1e-3, atol=1e-2)


def test_rows_of_several_classes_count_towards_the_covariance_for_each() -> None:
    x, _ = rows()
    having = torch.rand(len(x), 3, generator=torch.Generator().manual_seed(0)) < 0.4
    around = torch.cat([x[having[:, i]] - x[having[:, i]].mean(0) for i in range(3)]).double()
    inverse = torch.linalg.inv(around.T @ around / len(around))
    space = Centroid(distance="mahalanobis", shrinkage=0.0).fit(of_rows(x, labels=having))
    for i in range(3):
        a, b = ((x - m).double() for m in (x.mean(0), x[having[:, i]].mean(0)))
        expected = ((a @ inverse) * a).sum(1) - ((b @ inverse) * b).sum(1)
        assert torch.allclose(space.encode(x)[:, i].double(), expected, atol=1e-3)


def test_cosines_are_those_of_scikit_learn_seen_from_the_mean_row() -> None:
    x, label = rows()
    centre = torch.stack([x[label == i].mean(0) for i in range(3)])
    expected = cosine_similarity((x - x.mean(0)).double().numpy(), (centre - x.mean(0)).double().numpy())
    assert np.allclose(fitted("cosine").encode(x).numpy(), expected, atol=1e-4)


def test_the_cosine_of_the_mean_row_is_zero_and_has_a_slope() -> None:
    space = fitted("cosine")
    mean = space.decode(torch.zeros(1, 3)).requires_grad_()
    codes = space.encode(mean)
    codes.sum().backward()
    assert torch.equal(codes, torch.zeros(1, 3)) and bool(torch.isfinite(mean.grad).all())


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_direction_leads_from_the_mean_row_to_the_centre(distance: str) -> None:
    x, label = rows()
    for i, direction in enumerate(fitted(distance).dictionary):
        away = x[label == i].mean(0) - x.mean(0)
        assert float(torch.cosine_similarity(direction, away, dim=0)) > 0.9999


@pytest.mark.parametrize("distance", ["squared-l2", "mahalanobis"])
def test_a_concept_added_once_raises_its_own_code_by_one(distance: str) -> None:
    space, x = fitted(distance), rows()[0]
    raised = torch.stack([space.encode(x[:1] + d)[0] - space.encode(x[:1])[0] for d in space.dictionary])
    assert torch.allclose(raised.diagonal(), torch.ones(3), atol=1e-4)


def test_directions_of_cosines_are_as_long_as_rows_are_from_the_mean() -> None:
    x, _ = rows()
    expected = float((x - x.mean(0)).square().sum(1).mean().sqrt())
    assert fitted("cosine").dictionary.norm(dim=1).tolist() == pytest.approx([expected] * 3, rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_batches_change_nothing(distance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = rows()
    held = of_rows(x, labels=torch.rand(len(x), 3, generator=torch.Generator().manual_seed(0)) < 0.4)
    whole = Centroid(distance=distance).fit(held).encode(x)
    monkeypatch.setattr(type(held), "batches", lambda self: iter(self.matrix().split(7)))
    assert torch.allclose(Centroid(distance=distance).fit(held).encode(x), whole, atol=1e-4)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_row_is_encoded_alone_as_among_others_and_saving_keeps_it(distance: str, tmp_path: Path) -> None:
    space, x = fitted(distance), rows()[0]
    assert torch.allclose(torch.cat([space.encode(row[None]) for row in x[:20]]), space.encode(x)[:20], atol=1e-5)
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert torch.equal(loaded.encode(x), space.encode(x)) and torch.equal(loaded(x), space(x))
    assert loaded.names == ["class 0", "class 1", "class 2"]


def test_rows_that_do_not_vary_within_classes_are_refused_for_mahalanobis_alone() -> None:
    held = of_rows(torch.eye(3), labels=torch.arange(3))
    with pytest.raises(InputError, match=r"'given' within classes cannot be inverted: its variances go from 0 to"):
        Centroid(distance="mahalanobis").fit(held)
    assert Centroid(distance="squared-l2").fit(held).encode(torch.eye(3)).argmax(1).tolist() == [0, 1, 2]


def test_more_dimensions_than_rows_need_shrinkage() -> None:
    g = torch.Generator().manual_seed(0)
    held = of_rows(torch.randn(10, 30, generator=g), labels=torch.arange(10) % 2)
    with pytest.raises(InputError, match=r"Raise shrinkage \(0\.0\)"):
        Centroid(distance="mahalanobis", shrinkage=0.0).fit(held)
    assert torch.isfinite(Centroid(distance="mahalanobis", shrinkage=0.1).fit(held).encode(held.matrix())).all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_constant_rows_and_single_rows_are_refused(distance: str) -> None:
    with pytest.raises(InputError, match="have equal means"):
        Centroid(distance=distance).fit(of_rows(torch.ones(4, 2), labels=torch.tensor([0, 1, 0, 1])))
    with pytest.raises(InputError, match="each of the 1 rows has 'class 0'"):
        Centroid(distance=distance).fit(of_rows(torch.ones(1, 2), labels=torch.tensor([0])))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="distance 'l1' is unknown; it is one of cosine, squared-l2, mahalanobis"):
        Centroid(distance="l1")
    for shrinkage in (-0.1, 1.1):
        with pytest.raises(InputError, match=rf"shrinkage {shrinkage} is outside \[0, 1\]"):
            Centroid(shrinkage=shrinkage)
    with pytest.raises(UnsupportedError, match="needs labels"):
        fit_concepts(of_rows(torch.eye(3)), by="centroid")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("classes", [2, 6])
def test_rows_like_those_of_a_transformer_are_nearest_to_where_scikit_learn_says(
    classes: int, distance: str, dtype: torch.dtype
) -> None:
    """Some dimensions hardly vary, some a hundred times as much as the others, and all have a common offset."""
    g = torch.Generator().manual_seed(classes)
    scale = torch.ones(48)
    scale[:3], scale[3:6] = 1e-3, 100.0
    label = torch.arange(240) % classes
    x = scale * (torch.randn(240, 48, generator=g) + 3 * torch.randn(48, generator=g)) + 20
    x = (x + 3 * torch.randn(classes, 48, generator=g)[label]).to(dtype)
    codes = Centroid(distance=distance).fit(of_rows(x, labels=label)).encode(x).double()
    own = x.double().numpy()
    if distance == "mahalanobis":
        peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01, priors=np.full(classes, 1 / classes))
        peer.fit(own, label.numpy())
    elif distance == "squared-l2":
        peer = NearestCentroid().fit(own, label.numpy())
    else:
        away = own - own.mean(0)
        centre = np.stack([away[label.numpy() == i].mean(0) for i in range(classes)])
        assert np.allclose(codes.numpy(), cosine_similarity(away, centre), atol=1e-4)
        return
    if distance == "mahalanobis":  # scikit-learn shrinks standardised rows
        assert float((codes.argmax(1) == label).double().mean()) >= peer.score(own, label.numpy()) - 0.05
    else:
        assert (codes.argmax(1).numpy() == peer.predict(own)).mean() > 0.995
