"""What the tests of matrix factorisations share: planted rows, and checks that semi-NMF and its relatives must pass.

Only tests import this module. A test file runs the checks, each as a case:

    @pytest.mark.parametrize("check", FAMILY, ids=name_of)
    def test_family(check: Check) -> None:
        check(Factorisation(SemiNMF))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from interp_core.activations import of_rows
from interp_core.concepts import fit_concepts
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from interp_semi_nmf.space import AdditiveSpace


def planted_rows(
    draw_codes: Callable[[torch.Generator], Tensor], concepts: int, width: int, noise: float, seed: int
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "c d"]]:
    """Rows that are sums of planted directions of any sign, and the directions.

    Args:
        draw_codes: gives the codes (n, c), non-negative.
        concepts: number of directions c.
        width: of a row, d.
        noise: standard deviation of what is added to each coordinate.
        seed: of directions, codes and noise.
    """
    g = torch.Generator().manual_seed(seed)
    directions = normalize(torch.randn(concepts, width, generator=g), dim=1)
    codes = draw_codes(g)
    return codes @ directions + noise * torch.randn(len(codes), width, generator=g), directions


def matched_cosines(
    dictionary: Float[Tensor, "c d"], directions: Float[Tensor, "e d"]
) -> tuple[Float[Tensor, " p"], list[int]]:
    """The cosine of each direction with a concept of its own, and which concept that is.

    Pairs are made greedily, the closest first, so that their mean is at most that of the best assignment.
    """
    cosine = normalize(directions, dim=1) @ normalize(dictionary, dim=1).T
    left, cosines, concepts = cosine.clone(), torch.zeros(len(directions)), [0] * len(directions)
    for _ in range(min(cosine.shape)):
        row, column = divmod(int(left.argmax()), left.shape[1])
        cosines[row], concepts[row] = cosine[row, column], column
        left[row], left[:, column] = -2.0, -2.0
    return cosines, concepts


def share_missed(space: AdditiveSpace, rows: Float[Tensor, "n d"]) -> float:
    """The squared error of the reconstruction over the sum of squares."""
    return float((space(rows) - rows).square().sum() / rows.square().sum())


def the_loss_never_rises(method: Any, rows: Float[Tensor, "n d"], steps: int) -> None:
    """Checks the history of a method with a tolerance of 0, which must take more than a number of steps."""
    losses = method.fit(of_rows(rows)).history["loss"]
    assert len(losses) > steps, f"it stopped after {len(losses)} steps"
    rises = [(before, after) for before, after in pairwise(losses) if after > before + 1e-12]
    assert not rises, f"the loss rose from {rises[0][0]} to {rises[0][1]}"


@dataclass(frozen=True)
class Factorisation:
    """A method of the family.

    Args:
        made: its class, with parameters `concepts`, `steps` and `tolerance`.
        signed: whether it takes rows with negative entries.
    """

    made: Callable[..., Any]
    signed: bool = True


Check = Callable[[Factorisation], None]


def activations_of_zero_are_refused(family: Factorisation) -> None:
    """There is nothing to learn from."""
    refused(lambda: family.made(concepts=2).fit(of_rows(torch.zeros(4, 3))), "all 4 rows")


def one_row_is_its_own_concept(family: Factorisation) -> None:
    """Its direction has length 1, its code is the length of the row."""
    row = torch.tensor([[3.0, -4.0 if family.signed else 4.0]])
    space = fit_concepts(of_rows(row), by=family.made(concepts=1))
    assert torch.allclose(space.dictionary, row / 5), f"{space.dictionary} is not {row / 5}"
    assert torch.allclose(space.encode(row), torch.tensor([[5.0]])), f"the code is {space.encode(row)}"


def equal_rows_and_more_concepts_than_dimensions_are_fine(family: Factorisation) -> None:
    """The rows are given back; all directions are finite and of length 1, those without rows too."""
    x = torch.full((20, 3), -2.0 if family.signed else 2.0)
    space = fit_concepts(of_rows(x), by=family.made(concepts=5))
    assert torch.allclose(space(x), x, atol=1e-5), "the rows are not given back"
    assert torch.allclose(space.dictionary.norm(dim=1), torch.ones(5), atol=1e-6), "a direction has another length"


def no_concepts_are_refused(family: Factorisation) -> None:
    """With `concepts=0`."""
    refused(lambda: family.made(concepts=0), "at least 1 concept, ")


def no_steps_are_refused(family: Factorisation) -> None:
    """With `steps=0`."""
    refused(lambda: family.made(steps=0), "at least 1 concept, ")


def a_tolerance_below_zero_is_refused(family: Factorisation) -> None:
    """With `tolerance=-1`."""
    refused(lambda: family.made(tolerance=-1.0), "a tolerance of at least 0")


FAMILY: tuple[Check, ...] = (
    activations_of_zero_are_refused,
    one_row_is_its_own_concept,
    equal_rows_and_more_concepts_than_dimensions_are_fine,
    no_concepts_are_refused,
    no_steps_are_refused,
    a_tolerance_below_zero_is_refused,
)


def name_of(check: Check) -> str:
    """The id of a check as a pytest case."""
    return check.__name__


def refused(call: Callable[[], object], said: str) -> None:
    """Checks that a call is refused with a message that says so."""
    try:
        call()
    except InputError as error:
        assert said in str(error), f"{said!r} is not in {str(error)!r}"
    else:
        raise AssertionError("it was not refused")
