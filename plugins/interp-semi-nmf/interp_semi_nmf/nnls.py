"""Non-negative least squares for many rows at once, each solved exactly and by itself."""

from __future__ import annotations

import torch
from interp_core.errors import ModelError
from jaxtyping import Bool, Float
from torch import Tensor

RIDGE = 1e-9  # on a diagonal of ones: makes the solution unique when concepts repeat or outnumber the width
TOLERANCE = 1e-10  # of the largest target of a row: what counts as negative
FULL_EXCHANGES = 3
LIMIT = 10_000
ENTRIES = 2**24  # of the systems held at a time


def nnls(gram: Float[Tensor, "c c"], target: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """The z >= 0 that minimises ‖x - z D‖², for each row x, by its sufficient numbers; differentiable in them.

    Args:
        gram: D Dᵀ in float64, its diagonal near 1.
        target: x Dᵀ, a row for each x, in float64.

    Raises:
        ModelError: no solution was found within 10,000 exchanges.

    Source: Kim, Park 2011, SIAM J. Sci. Comput. 33(6), block principal pivoting, with a ridge of 1e-9 so that the
    answer is unique. Rows share no information: a row gets the same answer whatever its neighbours are.
    """
    system = gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    parts = target.split(max(1, ENTRIES // len(gram) ** 2))
    return torch.cat([_solved(system, part, _support(system.detach(), part.detach())) for part in parts])


def _support(system: Float[Tensor, "c c"], target: Float[Tensor, "n c"]) -> Bool[Tensor, "n c"]:
    """Which codes are positive in the solution of each row."""
    n, c = target.shape
    positive = target > 0
    slack = -TOLERANCE * target.abs().amax(1, keepdim=True)
    fewest = torch.full((n,), c + 1, device=target.device)
    left = torch.full((n,), FULL_EXCHANGES, device=target.device)
    todo = torch.arange(n, device=target.device)
    for _ in range(LIMIT):
        inside = positive[todo]
        codes = _solved(system, target[todo], inside, clamped=False)
        slope = codes @ system - target[todo]
        wrong = torch.where(inside, codes, slope) < slack[todo]
        count = wrong.sum(1)
        better = count < fewest[todo]
        fewest[todo] = torch.minimum(fewest[todo], count)
        left[todo] = torch.where(better, FULL_EXCHANGES, left[todo] - 1)
        whole = (left[todo] >= 0)[:, None]
        positive[todo] = inside ^ (wrong & (whole | _last(wrong)))
        todo = todo[count > 0]
        if not len(todo):
            return positive
    raise ModelError(
        f"non-negative least squares found no solution for {len(todo)} of {n} rows; please report the dictionary."
    )


def _last(wrong: Bool[Tensor, "n c"]) -> Bool[Tensor, "n c"]:
    """Only the last True of each row: exchanging it alone ends in finitely many steps (Murty's rule)."""
    return wrong & (wrong.flip(1).cumsum(1).flip(1) == 1)


def _solved(
    system: Float[Tensor, "c c"], target: Float[Tensor, "n c"], inside: Bool[Tensor, "n c"], clamped: bool = True
) -> Float[Tensor, "n c"]:
    """Least squares in the codes `inside`; the others are zero."""
    ones = torch.eye(len(system), dtype=system.dtype, device=system.device)
    lower = torch.linalg.cholesky(torch.where(inside[:, :, None] & inside[:, None, :], system, ones))
    codes = torch.cholesky_solve((target * inside)[:, :, None], lower)[:, :, 0] * inside
    return codes.clamp(min=0) if clamped else codes
