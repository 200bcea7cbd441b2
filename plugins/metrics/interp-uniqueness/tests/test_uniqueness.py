"""Uniqueness: angles that are known."""

from __future__ import annotations

import math

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError
from interp_core.metrics import measure
from interp_core.testing import contract_tests
from interp_uniqueness.uniqueness import Uniqueness, nearest
from torch import Tensor

test_contract = contract_tests("uniqueness")


def value(dictionary: Tensor, **parameters) -> float:
    rows = torch.ones(4, dictionary.shape[1])
    return measure(AffineSpace(dictionary, dictionary), of_rows(rows), by=Uniqueness(**parameters)).value


def test_directions_at_right_angles_are_unique_whatever_their_length() -> None:
    assert value(torch.diag(torch.tensor([1.0, 5.0, 0.1]))) == pytest.approx(1)


def test_doubles_are_not_unique_and_count_both() -> None:
    assert value(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])) == pytest.approx(1 / 3, abs=1e-7)


def test_the_largest_cosine_counts() -> None:
    """At 0, 30 and 90 degrees: the nearest are at 30, 30 and 60 degrees."""
    angles = torch.deg2rad(torch.tensor([0.0, 30.0, 90.0]))
    expected = 1 - (math.sqrt(3) / 2 + math.sqrt(3) / 2 + 1 / 2) / 3
    assert value(torch.stack([angles.cos(), angles.sin()], dim=1)) == pytest.approx(expected, abs=1e-6)


def test_opposite_directions_are_doubles_unless_signs_matter() -> None:
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert value(opposite) == pytest.approx(0) and value(opposite, absolute=False) == pytest.approx(2)


def test_a_direction_of_no_length_is_like_none() -> None:
    assert value(torch.tensor([[0.0, 0.0], [1.0, 0.0]])) == pytest.approx(1)


def test_random_directions_in_many_dimensions_are_nearly_unique_and_the_floor_is_one() -> None:
    dictionary = torch.randn(5, 2000, generator=torch.Generator().manual_seed(0))
    score = measure(AffineSpace(dictionary, dictionary), of_rows(torch.ones(3, 2000)), by=Uniqueness())
    assert 0.9 < score.value < 1 and score.chance == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("absolute", [True, False])
def test_large_dictionaries_are_compared_in_parts(absolute: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    dictionary = torch.randn(11, 6, generator=torch.Generator().manual_seed(0))
    cosine = torch.nn.functional.cosine_similarity(dictionary[:, None], dictionary[None], dim=2)
    cosine = cosine.abs() if absolute else cosine
    expected = [max(float(c) for j, c in enumerate(row) if j != i) for i, row in enumerate(cosine)]
    monkeypatch.setattr("interp_uniqueness.uniqueness.CONCEPTS", 3)
    assert nearest(dictionary, absolute).tolist() == pytest.approx(expected, abs=1e-6)


def test_one_concept_is_refused() -> None:
    with pytest.raises(InputError, match="one concept"):
        Uniqueness().measure(AffineSpace(torch.eye(3)[:1], torch.eye(3)[:1]), of_rows(torch.eye(3)))
