"""The rows where each concept is strongest, without duplicates, from codes that come batch by batch."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from numbers import Integral
from typing import NamedTuple

import torch
from interp_core.errors import InputError
from jaxtyping import Float, Int
from torch import Tensor


class Strongest(NamedTuple):
    """The m rows with the largest codes for each concept, as found by `with_rows`.

    Where fewer than m rows have codes above `above`, the remaining values equal `above`.

    Attributes:
        values: (m, c) the codes, largest first.
        rows: (m, c) the numbers of the rows.
        keys: (m, c) the keys of the rows; a key occurs at most once for each concept.
        above: only codes above this count.

    Examples:
        >>> from interp_core.concepts import Strongest
        >>> found = Strongest(torch.tensor([[2.0], [0.0]]), torch.tensor([[7], [0]]), torch.tensor([[0], [0]]))
        >>> found.entries
        [[(7, 2.0)]]
    """

    values: Float[Tensor, "m c"]
    rows: Int[Tensor, "m c"]
    keys: Int[Tensor, "m c"]
    above: float = 0.0

    @property
    def entries(self) -> list[list[tuple[int, float]]]:
        """Pairs of row and code above `above`, for each concept."""
        columns = zip(self.rows.T.tolist(), self.values.T.tolist(), strict=True)
        return [[(row, value) for row, value in zip(*pair, strict=True) if value > self.above] for pair in columns]


def _strongest(of: Strongest, top: int) -> Strongest:
    """The largest codes of each concept, no two of one key; where fewer are above `above` the rest is that."""
    left = of.values.clamp(min=of.above)
    found = []
    for _ in range(min(top, len(left))):
        value, at = left.max(dim=0)
        row, key = of.rows.gather(0, at[None]), of.keys.gather(0, at[None])
        found.append((value, row[0], key[0]))
        left = left.masked_fill(of.keys == key, of.above)
    if not found:
        return of
    values, rows, keys = (torch.stack(column) for column in zip(*found, strict=True))
    return Strongest(values, rows, keys, of.above)


def with_rows(
    known: Strongest | None,
    codes: Float[Tensor, "b c"],
    first: int,
    keys: Int[Tensor, " b"],
    top: int,
    *,
    above: float = 0.0,
) -> Strongest:
    """Update the strongest rows of each concept with a further batch.

    Args:
        known: the result for the batches before; None for the first batch.
        codes: (b, c) the codes of the batch.
        first: the number of the first row of the batch.
        keys: (b) the keys of the rows; of rows with the same key, only the one with the largest code is kept.
        top: the number of rows kept for each concept, at least 1.
        above: only codes above this are kept; minus infinity for all.

    Returns:
        The strongest rows so far.

    Raises:
        InputError: a code is not finite, or `top` is not a whole number of at least 1.

    Examples:
        >>> from interp_core.concepts import with_rows
        >>> found = with_rows(None, torch.tensor([[1.0], [3.0], [2.0]]), 0, torch.tensor([5, 5, 6]), top=2)
        >>> with_rows(found, torch.tensor([[4.0]]), 3, torch.tensor([6]), top=2).entries
        [[(3, 4.0), (1, 3.0)]]
    """
    check_whole("top", top, 1)
    check_finite(codes, first)
    shape = codes.shape
    rows = torch.arange(first, first + len(codes))[:, None].expand(shape)
    new = _strongest(Strongest(codes, rows, keys[:, None].expand(shape), above), top)
    if known is None:
        return new
    values, rows, keys = (torch.cat(pair) for pair in zip(known[:3], new[:3], strict=True))
    return _strongest(Strongest(values, rows, keys, above), top)


def check_whole(name: str, value: object, least: int) -> None:
    """Check that an argument is a whole number of at least so many.

    Args:
        name: of the argument.
        value: what was given.
        least: the smallest that it may be.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InputError(f"{name} is {value!r}; a whole number of at least {least} is needed.")


def check_finite(codes: Float[Tensor, "b c"], first: int) -> None:
    """Check that codes are finite numbers.

    Args:
        codes: (b, c) the codes of some rows.
        first: the number of the first of them.

    Raises:
        InputError: one is not; the row and the concept are named.
    """
    strange = ~codes.isfinite()
    if bool(strange.any()):
        row, concept = strange.nonzero()[0].tolist()
        raise InputError(
            f"the code of concept {concept} in row {first + row} is {float(codes[row, concept])}, not a finite number; "
            "leave such rows out of the activations."
        )


def numbered(texts: Iterable[str]) -> Int[Tensor, " n"]:
    """Number texts, equal ones alike; only digests of the texts are kept in memory.

    Args:
        texts: the texts.

    Returns:
        (n) the numbers, from 0, in order of first occurrence.

    Examples:
        >>> from interp_core.concepts import numbered
        >>> numbered(["sun", "rain", "sun"])
        tensor([0, 1, 0])
    """
    known: dict[bytes, int] = {}
    digests = (blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts)
    return torch.frombuffer(array("q", (known.setdefault(digest, len(known)) for digest in digests)), dtype=torch.long)
