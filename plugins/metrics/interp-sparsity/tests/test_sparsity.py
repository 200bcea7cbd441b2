"""Counts of non-zero codes, against codes that can be counted by eye."""

from __future__ import annotations

import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import measure
from interp_core.testing import contract_tests
from interp_sparsity.sparsity import L0, DeadConcepts, Sparsity, SparsityRatio
from jaxtyping import Float
from torch import Tensor

test_sparsity_contract = contract_tests("sparsity")
test_sparsity_ratio_contract = contract_tests("sparsity-ratio")
test_l0_contract = contract_tests("l0")
test_dead_concepts_contract = contract_tests("dead-concepts")

CODES = torch.tensor([[5.0, 0.0, -1.0, 0.0], [0.0, 0.0, 2.0, 0.0], [1.0, 0.0, 3.0, 0.0]])  # 5 of 12


class Given(ConceptSpace):
    """Rows are their own codes."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return values


SPACE = Given(torch.eye(4))


@pytest.mark.parametrize(
    ("metric", "expected"), [(Sparsity(), 5 / 12), (SparsityRatio(), 5 / 48), (L0(), 5 / 3), (DeadConcepts(), 2 / 4)]
)
def test_codes_are_counted(metric: object, expected: float) -> None:
    assert measure(SPACE, of_rows(CODES), by=metric).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", [Sparsity(), SparsityRatio(), L0(), DeadConcepts()])
def test_scaling_the_codes_changes_nothing(metric: object) -> None:
    assert measure(SPACE, of_rows(1e-8 * CODES), by=metric).value == measure(SPACE, of_rows(CODES), by=metric).value


def test_rounding_is_zero_and_the_threshold_says_what_rounding_is() -> None:
    noisy = of_rows(CODES + 4e-6 * (CODES == 0))
    assert measure(SPACE, noisy, by=Sparsity()).value == pytest.approx(5 / 12)
    assert measure(SPACE, noisy, by=Sparsity(threshold=0.0)).value == 1
    assert measure(SPACE, of_rows(CODES), by=Sparsity(threshold=0.3)).value == pytest.approx(3 / 12)


def test_the_counts_do_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Activations, "batches", lambda held: iter(held.matrix().split(2)))
    assert measure(SPACE, of_rows(CODES), by=Sparsity()).value == pytest.approx(5 / 12)
    assert measure(SPACE, of_rows(CODES), by=DeadConcepts()).value == 0.5


def test_codes_of_zero_are_the_sparsest_and_all_dead() -> None:
    zeros = of_rows(torch.zeros(3, 4))
    assert measure(SPACE, zeros, by=Sparsity()).value == 0
    assert measure(SPACE, zeros, by=DeadConcepts()).value == 1


def test_a_threshold_that_is_no_share_is_refused() -> None:
    with pytest.raises(InputError, match=r"threshold 1\.5 is outside"):
        Sparsity(threshold=1.5)
