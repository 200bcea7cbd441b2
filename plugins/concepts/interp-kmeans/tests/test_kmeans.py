"""K-means: scikit-learn's centres and clusters, codes that fall with the distance, and rows beyond one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_kmeans.kmeans import KMeans, KMeansSpace
from scipy.spatial.distance import cdist
from sklearn import cluster
from torch import Tensor

test_contract = contract_tests("kmeans")


def planted(n: int = 600, kinds: int = 6, width: int = 8, spread: float = 0.5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows around some centres, and the centres."""
    g = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(kinds, width, generator=g)
    return centres[torch.randint(kinds, (n,), generator=g)] + spread * torch.randn(n, width, generator=g), centres


def space_of(x: Tensor, **parameters: int) -> KMeansSpace:
    return KMeans(**{"concepts": 6, **parameters}).fit(of_rows(x))


@pytest.mark.parametrize(("seed", "starts"), [(0, 1), (3, 1), (0, 4)])
def test_centres_and_clusters_are_those_of_scikit_learn(seed: int, starts: int) -> None:
    x = planted(spread=2.5)[0]
    known = cluster.KMeans(6, n_init=starts, random_state=seed).fit(x.double().numpy())
    space = space_of(x, seed=seed, starts=starts)
    assert np.allclose(space.dictionary, known.cluster_centers_, atol=1e-5)
    assert space.scale == pytest.approx((known.inertia_ / len(x)) ** 0.5, rel=1e-6)
    unseen = planted(spread=2.5, seed=0)[0][:200] * 1.1
    assert (space.encode(unseen).argmax(1).numpy() == known.predict(unseen.double().numpy())).all()


def test_codes_are_one_at_a_centre_and_a_half_at_the_scale() -> None:
    space = KMeansSpace(torch.tensor([[1.0, 2.0], [4.0, -2.0]]), scale=5.0)
    x = torch.tensor([[1.0, 2.0], [1.0, -3.0], [101.0, 2.0]])
    expected = 1 / (1 + cdist(x.numpy(), space.dictionary.numpy()) ** 2 / 25)
    assert np.allclose(space.encode(x), expected, rtol=1e-6)
    assert space.encode(x)[:, 0].tolist() == pytest.approx([1, 0.5, 1 / 401])


def test_the_top_inputs_of_a_concept_are_the_nearest_rows() -> None:
    x = planted(spread=2.5)[0]
    space = space_of(x)
    far = torch.from_numpy(cdist(x.double().numpy(), space.dictionary.double().numpy()))
    assert torch.equal(space.encode(x).topk(20, dim=0).indices, far.topk(20, dim=0, largest=False).indices)


def test_a_far_origin_costs_no_digits() -> None:
    x = torch.tensor([[4096.0, 4096.0], [4096.0, 4096.25]])
    assert torch.allclose(KMeansSpace(x, scale=0.25).encode(x), torch.tensor([[1, 0.5], [0.5, 1]]), atol=1e-6)


def test_codes_follow_the_activations() -> None:
    """The slope of 1 / (1 + r²/s²) is -2 (x - c) / s² times its square."""
    space = KMeansSpace(torch.tensor([[0.0, 0.0]]), scale=2.0)
    x = torch.tensor([[3.0, -1.0]], requires_grad=True)
    space.encode(x).sum().backward()
    assert torch.allclose(x.grad, -2 * x / 4 * (1 / (1 + 10 / 4)) ** 2)
    at_the_centre = torch.zeros(1, 2, requires_grad=True)
    space.encode(at_the_centre).sum().backward()
    assert not at_the_centre.grad.any()


def test_a_row_is_decoded_as_a_mean_of_centres_weighted_by_nearness() -> None:
    space = KMeansSpace(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 6.0]]), scale=3.0)
    x = torch.tensor([[0.5, 1.0], [1.0, 3.0]])
    weight = np.exp(-4 * cdist(x.numpy(), space.dictionary.numpy()) ** 2 / 9)
    expected = weight @ space.dictionary.numpy() / weight.sum(1, keepdims=True)
    assert np.allclose(space(x), expected, atol=1e-5)


def test_codes_of_zero_are_decoded_as_the_mean_of_the_centres_with_a_finite_slope() -> None:
    space = KMeansSpace(torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 6.0]]), scale=3.0)
    codes = torch.zeros(1, 3, requires_grad=True)
    found = space.decode(codes)
    found.sum().backward()
    assert torch.allclose(found, torch.tensor([[1.0, 2.0]])) and bool(torch.isfinite(codes.grad).all())
    assert torch.allclose(space.decode(torch.tensor([[0.0, 0.7, 0.0]])), torch.tensor([[2.0, 0.0]]))


def test_reconstructions_explain_what_the_clusters_do() -> None:
    x, _ = planted()
    space, total = space_of(x), float((x - x.mean(0)).square().sum())
    hard = 1 - space.scale**2 * len(x) / total
    assert 1 - float((space(x) - x).square().sum()) / total == pytest.approx(hard, abs=0.02)


def test_more_rows_than_are_held_at_a_time_are_all_learnt_from() -> None:
    """A start from so few rows that only the others can tell where the centres are."""
    x, centres = planted(n=6000, spread=1.0)
    few, many = space_of(x, rows=60), space_of(x)
    start, _ = KMeans(concepts=6)._started(of_rows(x).sample(60, torch.Generator().manual_seed(0)))
    error = [float(torch.cdist(centres, c.float()).amin(1).max()) for c in (start, few.dictionary, many.dictionary)]
    assert error[0] > 0.3 and max(error[1:]) < 0.15
    assert few.scale == pytest.approx(many.scale, rel=0.02)


def test_learning_goes_on_from_the_sample_in_shuffled_batches_as_in_scikit_learn() -> None:
    """With a small cluster far away, which is left where it is."""
    x = torch.cat([planted(n=8800, width=3, spread=2.0)[0], 50 + planted(n=200, width=3)[0]])
    g = torch.Generator().manual_seed(0)
    start, _ = KMeans(concepts=6)._started(of_rows(x).sample(300, g))
    peer = cluster.MiniBatchKMeans(6, init=start.numpy(), n_init=1, reassignment_ratio=0)
    for part in of_rows(x).batches(generator=g):
        peer.partial_fit(part.double().numpy())
    assert np.allclose(space_of(x, rows=300).dictionary, peer.cluster_centers_, atol=1e-5)


def test_epochs_are_passes_over_all_rows_where_they_are_more_than_one_run_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    fit = cluster.MiniBatchKMeans.partial_fit
    monkeypatch.setattr(cluster.MiniBatchKMeans, "partial_fit", lambda self, x: (seen.append(len(x)), fit(self, x))[1])
    space_of(planted(n=500)[0], rows=500, epochs=3)
    assert seen == []
    space_of(planted(n=500)[0], rows=100, epochs=3)
    assert sum(seen) == 1500


def test_the_seed_alone_decides_and_global_random_states_are_left_alone() -> None:
    x = planted(n=500, spread=2.5)[0]
    before, numpy_before = torch.get_rng_state(), np.random.get_state()
    one, same, other = (space_of(x, rows=100, starts=1, seed=s).dictionary for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    assert torch.equal(before, torch.get_rng_state()) and str(numpy_before) == str(np.random.get_state())


def test_a_run_that_was_stopped_says_so() -> None:
    x = planted(spread=2.5)[0]
    assert space_of(x, steps=1).notes == ("k-means did not settle within 1 steps; allow more.",)
    assert space_of(x).notes == ()


def test_repeated_centres_are_noted() -> None:
    x = torch.tensor([[0.0], [0.0], [5.0], [5.0], [5.0], [5.1]]).repeat(2, 1)
    with pytest.raises(InputError, match="a centre on every one of the 12 rows"):
        KMeans(concepts=5).fit(of_rows(x))
    assert "found 3 clusters of 5" in KMeans(concepts=5)._started(x)[1][0]


@pytest.mark.parametrize("x", [torch.full((6, 3), 0.1), torch.zeros(6, 3), torch.randn(2, 3)])
def test_rows_that_are_all_centres_are_refused(x: Tensor) -> None:
    with pytest.raises(InputError, match=rf"kmeans puts a centre on every one of the {len(x)} rows of 'given' with 2"):
        KMeans(concepts=2).fit(of_rows(x))


def test_parameters_without_meaning_are_refused() -> None:
    for wrong in ({"concepts": 0}, {"starts": 0}, {"steps": 0}, {"epochs": 0}, {"tolerance": -1.0}):
        with pytest.raises(InputError, match="at least 1 concept, start, step and epoch"):
            KMeans(**wrong)
    with pytest.raises(InputError, match="20 concepts need at least as many rows at a time"):
        KMeans(rows=19)


def test_more_clusters_than_dimensions_are_found() -> None:
    x, centres = planted(width=2, spread=0.05)
    assert float(torch.cdist(centres, space_of(x).dictionary).amin(1).max()) < 0.05


def test_a_space_is_the_same_after_saving(tmp_path: Path) -> None:
    x = planted()[0]
    space = fit_concepts(of_rows(x), by=KMeans(concepts=6))
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert loaded.scale == space.scale and torch.equal(loaded.encode(x), space.encode(x))


def test_classes_of_a_real_classifier_are_clusters(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    split = real_model("emotion-minilm").split(-1)
    held = split.activations(real_texts("emotion")[:150], granularity="cls", predictions=True, progress=False)
    found = fit_concepts(held, by="kmeans", concepts=8).encode(held.matrix()).argmax(1)
    purest = sum(int(held.predictions[found == j].bincount().max()) for j in set(found.tolist()))
    assert purest / len(held) > 0.9
