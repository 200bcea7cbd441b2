"""Dictionary learning: scikit-learn's dictionary, exact codes, and planted directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError, ModelError
from interp_core.testing import contract_tests
from interp_dictionary_learning.dictionary_learning import DictionaryLearning, LassoSpace
from interp_dictionary_learning.lasso import lasso
from interp_dictionary_learning.online import improved, learnt
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.linear_model import Lasso
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("dictionary-learning", steps=20)


def planted(concepts: int = 8, width: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows off the origin that hold one or two of the directions, with either sign, and the directions."""
    g = torch.Generator().manual_seed(seed)
    directions = normalize(torch.randn(concepts, width, generator=g), dim=1)
    codes = torch.randn(600, concepts, generator=g) * (torch.rand(600, concepts, generator=g) < 0.2)
    return codes @ directions + 0.02 * torch.randn(600, width, generator=g) + 3, directions


def space_of(x: Tensor, **parameters: Any) -> LassoSpace:
    return DictionaryLearning(**{"concepts": 8, "steps": 30, **parameters}).fit(of_rows(x))


@pytest.fixture(scope="module")
def space() -> LassoSpace:
    return space_of(planted()[0], penalty=0.3, steps=100, batch_size=64)


def exact(space: LassoSpace, x: Tensor) -> np.ndarray:
    """scikit-learn's codes, solved to the last digits: its penalty is that of the lasso over the width."""
    peer = Lasso(space.penalty / space.width, fit_intercept=False, tol=1e-13, max_iter=1_000_000)
    rest = (x.double() - space.mean.double()).numpy()
    return peer.fit(np.asfortranarray(space.dictionary.double().numpy().T), rest.T).coef_.reshape(len(x), -1)


def test_codes_are_those_of_scikit_learn(space: LassoSpace) -> None:
    x = torch.cat([planted(seed=0)[0][:40], 3 + torch.randn(40, 20, generator=torch.Generator().manual_seed(1))])
    expected = exact(space, x)
    assert (
        np.allclose(space.encode(x), expected, atol=1e-5) and ((space.encode(x).numpy() != 0) == (expected != 0)).all()
    )
    assert np.allclose(space(x), expected @ space.dictionary.numpy() + space.mean.numpy(), atol=1e-5)


@pytest.mark.parametrize(("size", "steps"), [(100, 12), (20, 25)])
def test_the_dictionary_is_that_of_scikit_learn(size: int, steps: int) -> None:
    """On the same batches, from the same start; (20, 25) goes beyond as many steps as a batch has rows."""
    x = planted()[0]
    mean, spread = x.double().mean(0), float((x.double() - x.double().mean(0)).square().sum(1).mean()) ** 0.5
    g = torch.Generator().manual_seed(5)
    parts = [part for _ in range(2) for part in of_rows(x).batches(size, generator=g)][:steps]
    batches = [(part.double() - mean) / spread for part in parts]
    _, lengths, axes = torch.linalg.svd(batches[0], full_matrices=False)
    start = (lengths[:, None] * axes)[:3].numpy()
    peer = MiniBatchDictionaryLearning(3, alpha=0.1, fit_algorithm="lars", dict_init=start, random_state=0)
    for part in batches:
        peer.partial_fit(part.numpy())
    space = space_of(x, concepts=3, penalty=0.1, batch_size=size, steps=steps, seed=5)
    sign = np.sign((space.dictionary.numpy() * peer.components_).sum(1, keepdims=True))
    assert np.allclose(space.dictionary, sign * peer.components_, atol=1e-5)
    assert space.penalty == pytest.approx(0.1 * spread, rel=1e-9) and np.allclose(space.mean, mean, atol=1e-6)


def test_the_rest_of_an_epoch_counts_for_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 4 batches of 10 rows one of a single row: of the sums of squares it adds a tenth of what a batch adds."""
    seen: list[tuple[Tensor, Tensor]] = []

    def kept(dictionary: Tensor, moment: Tensor, cross: Tensor, *_: Any) -> Tensor:
        seen.append((moment, cross))
        return dictionary

    monkeypatch.setattr("interp_dictionary_learning.online.improved", kept)
    parts = list(torch.randn(41, 4, generator=torch.Generator().manual_seed(0)).double().split(10))
    dictionary = learnt(parts, 3, 0.1, torch.Generator())
    codes = lasso(dictionary @ dictionary.T, parts[4] @ dictionary.T, 0.1)
    for before, after, added in zip(seen[3], seen[4], (codes.T @ codes, codes.T @ parts[4]), strict=True):
        assert torch.allclose(after, (41 / 42) * before + added / 10, atol=1e-12)


def test_one_odd_row_at_the_end_of_an_epoch_does_not_turn_the_dictionary() -> None:
    """A direction is learnt from batches of rows along it; then comes a single row across."""
    g = torch.Generator().manual_seed(0)
    along = torch.tensor([[1.0, 0.0]]).double() * torch.randn(64, 1, generator=g, dtype=torch.float64)
    (found,) = learnt([along] * 5 + [torch.tensor([[1.0, 1.0]]).double()], 1, 0.01, g)
    assert 0 < float(found[1] / found[0]) < 0.02


def test_full_batches_count_the_same_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond as many steps as a batch has rows the weights go on without a jump, a part of a batch as a part."""
    seen: list[float] = []

    def kept(dictionary: Tensor, moment: Tensor, *_: Any) -> Tensor:
        seen.append(float(moment))
        return dictionary

    monkeypatch.setattr("interp_dictionary_learning.online.improved", kept)
    monkeypatch.setattr("interp_dictionary_learning.online.lasso", lambda _, cross, __: torch.ones_like(cross))
    x = torch.ones(4, 1).double()
    learnt([x, x, x, x, x, x[:2]], 1, 0.1, torch.Generator())
    expected, value = [], 0.0
    for rows, theta in ((4, 4), (4, 8), (4, 12), (4, 16), (4, 17), (2, 17.5)):
        value = (theta + 1 - rows) / (theta + 1) * value + rows / 4
        expected.append(value)
    assert seen == pytest.approx(expected, abs=1e-12)


def test_a_direction_that_is_not_used_becomes_a_row() -> None:
    """And the others are least squares for the codes, not longer than 1."""
    g = torch.Generator().manual_seed(0)
    x = torch.tensor([[0.3, 0.4, 0.0], [0.3, 0.4, 0.0]]).double()
    moment, cross = torch.diag(torch.tensor([0.5, 2.0, 0.0])).double(), torch.eye(3).double()
    better = improved(torch.eye(3).double(), moment, cross, x, g)
    assert torch.allclose(better[:2], torch.tensor([[1.0, 0, 0], [0, 0.5, 0]]).double())
    assert 0 < float((better[2] - x[0]).norm()) < 0.02


@pytest.mark.parametrize("concepts", [5, 40])
def test_codes_fulfil_the_conditions_of_the_optimum(concepts: int) -> None:
    """The slope of the error is the penalty where a code is not zero, against its sign, and no greater elsewhere."""
    g = torch.Generator().manual_seed(1)
    dictionary = normalize(torch.randn(concepts, 15, generator=g, dtype=torch.float64), dim=1)
    x = torch.randn(200, 15, generator=g, dtype=torch.float64)
    codes = lasso(dictionary @ dictionary.T, x @ dictionary.T, 0.4)
    slope = (x - codes @ dictionary) @ dictionary.T
    assert (slope - 0.4 * codes.sign())[codes != 0].abs().max() < 1e-6 and slope.abs().max() < 0.4 + 1e-6
    assert (codes > 0).any() and (codes < 0).any() and (codes == 0).any()


def test_orthogonal_directions_are_soft_thresholds() -> None:
    space = LassoSpace(torch.eye(3), torch.tensor([1.0, 1.0, 1.0]), penalty=0.5)
    codes = space.encode(torch.tensor([[3.0, 0.75, -1.0], [1.0, 1.0, 1.25]]))
    assert torch.allclose(codes, torch.tensor([[1.5, 0.0, -1.5], [0.0, 0.0, 0.0]]), atol=1e-6)


def test_codes_follow_the_activations(space: LassoSpace) -> None:
    """A small step of the row, held against the slopes, where no code comes or goes."""
    x, step = planted(seed=0)[0][:20].double(), 1e-4 * torch.randn(20, 20, generator=torch.Generator().manual_seed(0))
    jacobian = torch.autograd.functional.jacobian(lambda v: space.encode(v).sum(0), x).permute(1, 0, 2)  # (n, c, d)
    expected = (space.encode(x + step) - space.encode(x - step)) / 2
    kept = ((space.encode(x + step) != 0) == (space.encode(x - step) != 0)).all(1)
    assert kept.sum() > 15 and expected[kept].abs().max() > 1e-5
    assert torch.allclose(torch.einsum("ncd,nd->nc", jacobian, step.double())[kept], expected[kept], atol=1e-9)


def test_a_row_is_encoded_alone_as_among_others(space: LassoSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    x = planted(seed=0)[0] * 1.3
    whole = space.encode(x)
    alone = torch.cat([space.encode(row[None]) for row in x[:40]])
    assert torch.allclose(whole[:40], alone, atol=1e-6)
    monkeypatch.setattr("interp_dictionary_learning.lasso.ENTRIES", 64)
    monkeypatch.setattr("interp_dictionary_learning.dictionary_learning.ROWS", 100)
    assert torch.allclose(space.encode(x), whole, atol=1e-6)


def test_repeated_and_empty_directions_are_no_obstacle() -> None:
    row = torch.tensor([[0.6, 0.8]])
    codes = LassoSpace(torch.cat([row, row, 0 * row]), torch.zeros(2), penalty=1.0).encode(5 * row)
    assert codes.tolist() == [pytest.approx([2, 2, 0], abs=1e-4)]


def test_a_row_is_no_further_from_its_reconstruction_than_from_the_mean() -> None:
    x = planted()[0]
    space = space_of(x, penalty=0.6)
    assert ((space(x) - x).square().sum(1) <= (x - space.mean).square().sum(1) + 1e-5).all()


def test_planted_directions_are_found(space: LassoSpace) -> None:
    cosine = (normalize(space.dictionary, dim=1) @ planted()[1].T).abs()
    rows, columns = linear_sum_assignment(-cosine.numpy())
    assert float(cosine[rows, columns].mean()) > 0.95


def test_more_concepts_than_dimensions_are_learnt() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(300, 4, generator=g) * (torch.rand(300, 4, generator=g) < 0.3)
    wide = space_of(x, concepts=9)
    assert wide.dictionary.norm(dim=1).max() <= 1 + 1e-6
    assert float((wide(x) - x).square().sum() / (x - x.mean(0)).square().sum()) < 0.1


def test_a_higher_penalty_leaves_fewer_codes() -> None:
    x = planted()[0]
    held = [int((space_of(x, penalty=p).encode(x) != 0).sum()) for p in (0.02, 0.1, 0.3, 0.6)]
    assert all(more > fewer for more, fewer in pairwise(held))


def test_the_unit_changes_the_codes_alone() -> None:
    x = planted()[0]
    one, other = space_of(x), space_of(1000 * x)
    assert torch.allclose(one.dictionary, other.dictionary, atol=1e-4)
    assert torch.allclose(1000 * one.encode(x), other.encode(1000 * x), atol=0.1)


def test_directions_point_where_the_rows_are_strong() -> None:
    x = planted()[0].abs() ** 2
    space = space_of(x)
    assert (((x - x.mean(0)) @ space.dictionary.T).double() ** 3).sum(0).min() > 0


def test_steps_are_batches_of_shuffled_rows_that_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def watched(rows: Iterable[Tensor], *rest: Any) -> Tensor:
        seen.extend(rows)
        return learnt(seen, *rest)

    monkeypatch.setattr("interp_dictionary_learning.dictionary_learning.learnt", watched)
    space_of(planted()[0], steps=5, batch_size=250)
    assert [len(part) for part in seen] == [250, 250, 100, 250, 250]
    assert torch.cat(seen[:3]).unique(dim=0).shape[0] == 600 and not torch.equal(seen[0], seen[3])


def test_a_lasso_without_solution_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_dictionary_learning.lasso.LIMIT", 1)
    monkeypatch.setattr("interp_dictionary_learning.lasso.SWEEPS", 0)
    with pytest.raises(ModelError, match="no solution for 1 of 2 rows"):
        lasso(torch.eye(2).double(), torch.tensor([[3.0, 0.0], [0.1, 0.1]]).double(), 1.0)


@pytest.mark.parametrize("x", [torch.full((6, 3), 0.1), torch.zeros(6, 3), torch.randn(1, 3)])
def test_rows_that_are_all_equal_are_refused(x: Tensor) -> None:
    with pytest.raises(InputError, match=rf"all {len(x)} rows of 'given' are equal"):
        space_of(x, concepts=1)


def test_parameters_without_meaning_are_refused() -> None:
    for wrong in ({"concepts": 0}, {"steps": 0}, {"batch_size": 0}, {"penalty": 0.0}):
        with pytest.raises(InputError, match="a positive penalty are needed"):
            DictionaryLearning(**wrong)


def test_the_seed_alone_decides_and_global_random_states_are_left_alone() -> None:
    x = planted()[0]
    before, numpy_before = torch.get_rng_state(), np.random.get_state()
    one, same, other = (space_of(x, seed=s).dictionary for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    assert torch.equal(before, torch.get_rng_state()) and str(numpy_before) == str(np.random.get_state())


def test_a_space_is_the_same_after_saving(space: LassoSpace, tmp_path: Path) -> None:
    x = planted()[0]
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert torch.equal(loaded.encode(x), space.encode(x)) and torch.equal(loaded(x), space(x))


def test_a_real_layer_is_explained_by_few_codes_a_row(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    split = real_model("emotion-minilm").split(3)
    held: Activations = split.activations(real_texts("emotion")[:40], granularity="word", progress=False)
    x = held.matrix()
    space = fit_concepts(held, by=DictionaryLearning(concepts=30, steps=15))
    explained = 1 - float((space(x) - x).square().sum() / (x - x.mean(0)).square().sum())
    assert explained > 0.4 and float((space.encode(x) != 0).float().sum(1).mean()) < 10
    assert np.allclose(space.encode(x[:20]), exact(space, x[:20]), atol=1e-4)
