"""Least squares in some of the unknowns, others in each row."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

INVERTIBLE = 1e5  # condition number up to which the inverse of a system keeps enough digits
ENTRIES = {"cpu": 2**18}  # of a tensor held at a time: as many as stay in the cache of a processor
MANY_ENTRIES = 2**24  # elsewhere


class LeastSquares:
    """Solves ½ z S zᵀ - z tᵀ for its least value in some of the unknowns of each row; the others are zero.

    Of two systems the smaller is solved: that of the unknowns inside, or, in the inverse of S, that of those outside,
    as S⁻¹ tᵀ less what makes them zero. Rows with about as many unknowns are solved together.

    Args:
        system: S, positive definite.

    Attributes:
        entries: how many numbers a tensor should have at most, for speed and memory.
    """

    def __init__(self, system: Float[Tensor, "c c"]) -> None:
        self.system = system
        self.entries = ENTRIES.get(system.device.type, MANY_ENTRIES)

    def solve(self, target: Float[Tensor, "n c"], inside: Bool[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """The best values `inside`, for each row t."""
        many = inside.sum(1) * 2 > len(self.system)
        if not many.any() or self.inverse is None:
            return self._compact(self.system, target, inside)
        free = target[many] @ self.inverse
        rest = free - self._compact(self.inverse, free, ~inside[many]) @ self.inverse
        few = self._compact(self.system, target[~many], inside[~many])
        return torch.zeros_like(target).index_put((many,), rest * inside[many]).index_put((~many,), few)

    @cached_property
    def inverse(self) -> Float[Tensor, "c c"] | None:
        """The inverse of S; None where it would keep too few digits."""
        sizes = torch.linalg.eigvalsh(self.system.detach())
        with torch.enable_grad():  # the first caller may need no gradient, and a later one may
            return torch.linalg.inv(self.system) if bool(sizes[-1] < INVERTIBLE * sizes[0]) else None

    def _compact(
        self, system: Float[Tensor, "c c"], target: Float[Tensor, "n c"], inside: Bool[Tensor, "n c"]
    ) -> Float[Tensor, "n c"]:
        """Systems as large as the most unknowns of some rows of about the same number."""
        size, order = inside.sum(1).sort(descending=True)
        solved, start = [target[:0]], 0
        while start < len(order):
            width = max(1, int(size[start]))
            part = order[start : start + max(1, self.entries // width**2)]
            on, at = (t[:, :width] for t in inside[part].sort(dim=1, descending=True, stable=True))
            small = system[at[:, :, None], at[:, None, :]]
            small = torch.where(on[:, :, None] & on[:, None, :], small, torch.eye(width).to(small))
            right = torch.where(on, target[part].gather(1, at), 0)[:, :, None]
            values = torch.cholesky_solve(right, torch.linalg.cholesky(small))[:, :, 0]
            solved.append(torch.zeros_like(target[part]).scatter(1, at, values))
            start += len(part)
        return torch.cat(solved)[order.argsort()]
