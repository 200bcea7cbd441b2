"""The lasso for many rows at once, each solved exactly and by itself."""

from __future__ import annotations

import torch
from interp_core.errors import ModelError
from jaxtyping import Bool, Float
from torch import Tensor

RIDGE = 1e-9  # on a diagonal of at most ones: makes the solution unique when concepts repeat or outnumber the width
TOLERANCE = 1e-10  # of the largest target of a row: what counts as a broken condition
SWEEPS = 3  # of coordinate descent between two looks at the conditions
LIMIT = 5000  # looks
ENTRIES = 2**23  # of the systems held at a time


def lasso(gram: Float[Tensor, "c c"], target: Float[Tensor, "n c"], penalty: float) -> Float[Tensor, "n c"]:
    """The z that minimises ½‖x - z D‖² + penalty Σ|z|, for each row x, by its sufficient numbers; differentiable.

    Coordinate descent finds which codes are not zero, and their signs; the codes are then the solution of the linear
    equations that hold for them, G z = x Dᵀ - penalty sign(z), through which slopes flow. Until these signs are right,
    it goes on from the point where the first of them would change on the way to that solution.

    Args:
        gram: D Dᵀ in float64, its diagonal at most 1.
        target: x Dᵀ, a row for each x, in float64.
        penalty: above 0, in the units of the activations.

    Raises:
        ModelError: no solution was found within 15,000 sweeps.

    Source:
        Friedman et al. 2010, J. Stat. Software 33(1), section 2.1 (coordinate descent); Lee et al. 2006, NIPS,
        algorithm 1 (the way to the solution for given signs); Tibshirani 2013, arXiv:1206.0313, equation 2 (the
        conditions that are held against each solution). A ridge of 1e-9 makes the answer unique. Rows share no
        information.
    """
    system = gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return _solved(system, target, _signs(system.detach(), target.detach(), penalty), penalty)


def _signs(system: Float[Tensor, "c c"], target: Float[Tensor, "n c"], penalty: float) -> Float[Tensor, "n c"]:
    """The sign of each code in the solution of each row, and 0 where it is zero."""
    signs, codes = torch.zeros_like(target), torch.zeros_like(target)
    todo = torch.arange(len(target), device=target.device)
    for _ in range(LIMIT):
        codes = _swept(system, target[todo], codes, penalty)
        found = codes.sign()
        exact = _solved(system, target[todo], found, penalty)
        right = _optimal(system, target[todo], exact, found, penalty)
        signs[todo[right]] = found[right]
        todo, codes = todo[~right], _toward(codes, exact)[~right]
        if not len(todo):
            return signs
    raise ModelError(
        f"the lasso found no solution for {len(todo)} of {len(target)} rows; please report the dictionary."
    )


def _swept(
    system: Float[Tensor, "c c"], target: Float[Tensor, "n c"], codes: Float[Tensor, "n c"], penalty: float
) -> Float[Tensor, "n c"]:
    """Each code in turn at its best for what the others are, several times over."""
    rest, z = (target - codes @ system).T.contiguous(), codes.T.contiguous()
    for _ in range(SWEEPS):
        for j, row in enumerate(system):
            best = torch.nn.functional.softshrink(rest[j] + row[j] * z[j], penalty) / row[j]
            rest.addr_(row, z[j] - best)
            z[j] = best
    return z.T.contiguous()


def _optimal(
    system: Float[Tensor, "c c"],
    target: Float[Tensor, "n c"],
    codes: Float[Tensor, "n c"],
    signs: Float[Tensor, "n c"],
    penalty: float,
) -> Bool[Tensor, " n"]:
    """Whether codes that were solved for these signs have them, and no other code wants to be there."""
    slack = TOLERANCE * target.abs().amax(1, keepdim=True)
    rest = (target - codes @ system).abs()
    return ((codes * signs >= -slack) & (rest <= penalty + slack)).all(1)


def _toward(codes: Float[Tensor, "n c"], exact: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """As far on the straight way to `exact` as no code changes its sign; the first that would is zero."""
    reach = torch.where(codes * exact < 0, codes / (codes - exact), 1.0)
    share = reach.amin(1, keepdim=True)
    return torch.where((reach == share) & (share < 1), 0.0, codes + share * (exact - codes))


def _solved(
    system: Float[Tensor, "c c"], target: Float[Tensor, "n c"], signs: Float[Tensor, "n c"], penalty: float
) -> Float[Tensor, "n c"]:
    """The codes of these signs for which the slope is zero; the others are zero."""
    most = max(1, int((signs != 0).sum(1).amax())) if len(signs) else 1
    rows = max(1, ENTRIES // most**2)
    parts = zip(target.split(rows), signs.split(rows), strict=True)
    return torch.cat([_solved_part(system, *part, penalty, most) for part in parts])


def _solved_part(
    system: Float[Tensor, "c c"], target: Float[Tensor, "n c"], signs: Float[Tensor, "n c"], penalty: float, most: int
) -> Float[Tensor, "n c"]:
    """`_solved` for so few rows that their systems, of `most` codes at most, fit into memory."""
    where = signs.abs().argsort(dim=1, descending=True, stable=True)[:, :most]
    inside = signs.gather(1, where) != 0
    ones = torch.eye(most, dtype=system.dtype, device=system.device)
    held = inside[:, :, None] & inside[:, None, :]
    lower = torch.linalg.cholesky(torch.where(held, system[where[:, :, None], where[:, None, :]], ones))
    wanted = (target - penalty * signs).gather(1, where) * inside
    found = torch.cholesky_solve(wanted[:, :, None], lower)[:, :, 0] * inside
    return torch.zeros_like(target).scatter(1, where, found)
