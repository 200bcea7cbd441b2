"""How many rows share a pass: as many as the budget allows, unless padding would cost more than another pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

BUDGET = {"cpu": 4096, "cuda": 65536}  # tokens in a batch, unless the user says otherwise
A_PASS = {"cpu": 64, "cuda": 4096}  # so many tokens run in the time that a pass takes besides its tokens, about


def budget_on(device: torch.device) -> int:
    """The most tokens in a batch on a device, padding included, where the user names none."""
    return BUDGET.get(device.type, BUDGET["cuda"])


def rows_without_padding(lengths: Sequence[int], device: torch.device) -> int:
    """How many of the first rows share a pass; the others are left for the next one.

    They are left where padding them to the longest would cost more tokens than a pass is worth.

    Args:
        lengths: the number of tokens of each row that fits into the batch, at least one row, longest first.
        device: where the model runs.

    Returns:
        At least 1.

    Examples:
        Twenty short rows would be padded to thirty tokens. The one of twenty-eight stays with the long ones.

        >>> from interp_core.model._filling import rows_without_padding
        >>> rows_without_padding([30, 30, 28, *[10] * 20], torch.device("cpu"))
        3
    """
    a_pass = A_PASS.get(device.type, A_PASS["cuda"])
    count = len(lengths)
    while count > 1:
        saved, at = max(((count - i) * (lengths[0] - lengths[i]), i) for i in range(1, count))
        if saved <= a_pass:
            break
        count = at
    return count
