"""Non-negative least squares for many rows at once, each solved exactly and by itself."""

from __future__ import annotations

import torch
from interp_core.errors import ModelError
from jaxtyping import Bool, Float
from torch import Tensor

from interp_semi_nmf.least_squares import LeastSquares

RIDGE = 1e-9  # on a diagonal of ones: makes the solution unique when concepts repeat or outnumber the width
TOLERANCE = 1e-10  # of the largest target of a row: what counts as negative
FULL_EXCHANGES = 3
LIMIT = 10_000
SWEEPS = 5  # of coordinate descent, to guess which codes are positive
MANY = 64  # rows, from which on a guess costs less than the exchanges it saves


def nnls(
    gram: Float[Tensor, "c c"], target: Float[Tensor, "n c"], guess: Bool[Tensor, "n c"] | None = None
) -> Float[Tensor, "n c"]:
    """The z >= 0 that minimises ‖x - z D‖², for each row x, by its sufficient numbers; differentiable in them.

    Args:
        gram: D Dᵀ in float64, its diagonal near 1.
        target: x Dᵀ, a row for each x, in float64.
        guess: which codes may be positive; it saves time and changes nothing.

    Raises:
        ModelError: no solution was found within 10,000 exchanges.

    Source:
        Kim, Park 2011, SIAM J. Sci. Comput. 33(6), block principal pivoting, with a ridge of 1e-9 so that the answer is
        unique. Rows share no information: a row gets the same answer whatever its neighbours are. Departs from it in
        that coordinate descent guesses which codes are positive, so that few exchanges are left to make.
    """
    squares = LeastSquares(gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    parts = target.split(max(1, squares.entries // len(gram)))
    guesses = [None] * len(parts) if guess is None else guess.split(len(parts[0]))
    return torch.cat([_solution(squares, part, start) for part, start in zip(parts, guesses, strict=True)])


def nearly(gram: Float[Tensor, "c c"], target: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """Codes near those of `nnls`, by a few sweeps of coordinate descent."""
    return _descended(gram, target, torch.zeros_like(target))


def _solution(
    squares: LeastSquares, target: Float[Tensor, "n c"], guess: Bool[Tensor, "n c"] | None
) -> Float[Tensor, "n c"]:
    with torch.no_grad():
        if guess is None:
            guess = _guess(squares, target) > 0
        codes, positive = _pivoted(squares, target, guess)
    if torch.is_grad_enabled() and (target.requires_grad or squares.system.requires_grad):
        codes = squares.solve(target, positive)
    return codes.clamp(min=0)


def _guess(squares: LeastSquares, target: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    if len(target) < MANY:
        return target
    codes = torch.zeros_like(target) if squares.inverse is None else target @ squares.inverse
    return _descended(squares.system, target, codes.clamp(min=0))


def _descended(
    system: Float[Tensor, "c c"], target: Float[Tensor, "n c"], codes: Float[Tensor, "n c"]
) -> Float[Tensor, "n c"]:
    """Each code in turn at its best for what the others are, several times over."""
    target, codes = target.T.contiguous(), codes.T.contiguous()  # (c, n)
    for _ in range(SWEEPS):
        for j, row in enumerate(system):
            codes[j] = (codes[j] + (target[j] - row @ codes) / row[j]).clamp_(min=0)
    return codes.T


def _pivoted(
    squares: LeastSquares, target: Float[Tensor, "n c"], guess: Bool[Tensor, "n c"]
) -> tuple[Float[Tensor, "n c"], Bool[Tensor, "n c"]]:
    """The solution of each row, and which of its codes are positive."""
    n, c = target.shape
    solution, positive = torch.zeros_like(target), guess.clone()
    slack = -TOLERANCE * target.abs().amax(1, keepdim=True)
    fewest = torch.full((n,), c + 1, device=target.device)
    left = torch.full((n,), FULL_EXCHANGES, device=target.device)
    todo = torch.arange(n, device=target.device)
    for _ in range(LIMIT):
        inside = positive[todo]
        codes = squares.solve(target[todo], inside)
        wrong = torch.where(inside, codes, codes @ squares.system - target[todo]) < slack[todo]
        count = wrong.sum(1)
        solution[todo] = codes
        better = count < fewest[todo]
        fewest[todo] = torch.minimum(fewest[todo], count)
        left[todo] = torch.where(better, FULL_EXCHANGES, left[todo] - 1)
        whole = (left[todo] >= 0)[:, None]
        positive[todo] = inside ^ (wrong & (whole | _last(wrong)))
        todo = todo[count > 0]
        if not len(todo):
            return solution, positive
    raise ModelError(
        f"non-negative least squares found no solution for {len(todo)} of {n} rows; please report the dictionary."
    )


def _last(wrong: Bool[Tensor, "n c"]) -> Bool[Tensor, "n c"]:
    """Only the last True of each row: exchanging it alone ends in finitely many steps (Murty's rule)."""
    return wrong & (wrong.flip(1).cumsum(1).flip(1) == 1)
