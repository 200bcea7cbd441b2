"""Concept activation vectors against scikit-learn's normals."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from interp_cav.cav import CAV
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError, UnsupportedError
from interp_core.testing import contract_tests
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

test_contract = contract_tests("cav")


def rows(n: int = 300, width: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows off the origin, with dimensions of unequal scales, and three classes of unequal sizes."""
    g = torch.Generator().manual_seed(seed)
    label = (torch.rand(n, generator=g) ** 2 * 3).long()
    x = torch.randn(3, width, generator=g)[label] + torch.randn(n, width, generator=g)
    return (x + 3) * torch.logspace(-1, 1, width), label


def test_vectors_are_unit_normals_and_codes_distances_from_the_plane() -> None:
    x, label = rows()
    space = CAV().fit(of_rows(x, labels=label))
    for i in range(3):
        peer = make_pipeline(StandardScaler(), LogisticRegression()).fit(x.double().numpy(), label.numpy() == i)
        weight = peer[1].coef_[0] / peer[0].scale_
        expected = peer.decision_function(x.double().numpy()) / np.linalg.norm(weight)
        assert np.allclose(space.dictionary[i].numpy(), weight / np.linalg.norm(weight), atol=1e-5)
        assert np.allclose(space.encode(x)[:, i].numpy(), expected, atol=1e-4)


def test_random_rows_are_drawn_by_the_seed() -> None:
    x, label = rows()
    one, same, other = (CAV(against="random", seed=s).fit(of_rows(x, labels=label)).dictionary for s in (0, 0, 1))
    rest = CAV().fit(of_rows(x, labels=label)).dictionary
    assert torch.equal(one, same) and not torch.allclose(one, other, atol=1e-4)
    assert not torch.allclose(one, rest, atol=1e-4)


def test_a_plane_against_random_rows_lies_halfway_where_that_against_a_large_rest_does_not() -> None:
    g = torch.Generator().manual_seed(0)
    having = torch.arange(2000) < 100
    x = torch.randn(2000, 1, generator=g) + 2 * having[:, None]
    half = {a: CAV(against=a).fit(of_rows(x, labels=having[:, None])) for a in ("rest", "random")}
    plane = {a: float(-space.encode(torch.zeros(1, 1))) for a, space in half.items()}
    assert plane["random"] == pytest.approx(1, abs=0.2) and plane["rest"] > 1.7


def test_random_rows_are_all_there_are_where_the_class_is_the_larger_part() -> None:
    x, label = rows()
    held = of_rows(x, labels=(label < 2)[:, None])
    assert torch.allclose(CAV(against="random").fit(held).dictionary, CAV().fit(held).dictionary, atol=1e-5)


def test_codes_of_zero_decode_to_a_point_on_all_planes() -> None:
    x, label = rows()
    space = CAV().fit(of_rows(x, labels=label))
    point = space.decode(torch.zeros(1, 3))
    assert torch.allclose(space.encode(point), torch.zeros(1, 3), atol=1e-4)
    away, span = point[0] - x.mean(0), torch.linalg.qr(space.encoder.T).Q
    assert torch.allclose(span @ (span.T @ away), away, atol=1e-3)


def test_concepts_are_called_like_their_classes_and_saved(tmp_path: Path) -> None:
    x, label = rows()
    space = CAV().fit(of_rows(x, labels=label, class_names=("a", "b", "c")))
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert loaded.names == ["a", "b", "c"] and torch.equal(loaded.encode(x), space.encode(x))


def test_a_classifier_that_was_stopped_says_so_and_prints_nothing() -> None:
    x, label = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes = CAV(steps=1).fit(of_rows(x, labels=label)).notes
    assert notes == ("The classifiers of class 0, class 1, class 2 did not settle within 1 steps; allow more.",)
    assert CAV().fit(of_rows(x, labels=label)).notes == ()


def test_what_cannot_be_is_refused() -> None:
    x, _ = rows()
    with pytest.raises(InputError, match="against 'all' is unknown; it is one of rest, random"):
        CAV(against="all")
    with pytest.raises(InputError, match="kind 'tree' is unknown"):
        CAV(kind="tree")
    with pytest.raises(InputError, match="all 4 rows of 'given' are equal"):
        CAV().fit(of_rows(torch.ones(4, 2), labels=torch.tensor([0, 1, 0, 1])))
    with pytest.raises(InputError, match="1 of 1 rows have 'class 0'"):
        CAV().fit(of_rows(x[:1], labels=torch.tensor([0])))
    with pytest.raises(UnsupportedError, match="needs labels"):
        fit_concepts(of_rows(x), by="cav")


def test_fewer_dimensions_than_classes_are_enough() -> None:
    x, label = rows()
    space = CAV(kind="ridge").fit(of_rows(x[:, :2], labels=label))
    assert tuple(space.encode(x[:, :2]).shape) == (300, 3) and torch.isfinite(space(x[:, :2])).all()


def test_neither_rows_nor_random_states_are_touched() -> None:
    x, label = rows()
    before, state, numpy_state = x.clone(), torch.get_rng_state(), np.random.get_state()[2]
    CAV(against="random").fit(of_rows(x, labels=label))
    assert torch.equal(x, before) and torch.equal(state, torch.get_rng_state())
    assert numpy_state == np.random.get_state()[2]
