"""Where concepts are most active: one row a text, from codes that come batch by batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from jaxtyping import Bool, Float, Int
from torch import Tensor

ENTRIES = 2**22  # codes held at a time


class ActiveRows(NamedTuple):
    """Rows of each concept, no two of one text, the largest code first; -inf where there are no more texts."""

    codes: Float[Tensor, "m c"]
    rows: Int[Tensor, "m c"]
    peak: Float[Tensor, " c"]  # the largest code in the corpus

    def of(self, concept: int) -> list[tuple[int, float]]:
        """The rows of one concept with their codes."""
        pairs = zip(self.rows[:, concept].tolist(), self.codes[:, concept].tolist(), strict=True)
        return [(row, code) for row, code in pairs if code > -torch.inf]


def active_rows(
    space: ConceptSpace, activations: Activations, count: int, among: Bool[Tensor, " t"] | None = None
) -> ActiveRows:
    """The rows where each concept is most active, in as many texts as are asked for.

    Args:
        space: the c concepts.
        activations: the corpus of t texts.
        count: rows for each concept, at most.
        among: True for the texts that are chosen from; all by default.
    """
    codes, rows, texts = torch.empty(0, space.concepts), *torch.empty(2, 0, space.concepts, dtype=torch.long)
    peak = torch.full((space.concepts,), -torch.inf)
    size = max(1, ENTRIES // space.concepts)
    with torch.no_grad():
        for first, part in zip(range(0, len(activations), size), activations.batches(size), strict=True):
            new = space.encode(part).float().cpu()
            peak = torch.maximum(peak, new.amax(0))
            text_of = activations.text_of[first : first + size]
            kept = torch.arange(len(new)) if among is None else among[text_of].nonzero().flatten()
            shape = len(kept), space.concepts
            codes = torch.cat([codes, new[kept]])
            rows = torch.cat([rows, (first + kept)[:, None].expand(shape)])
            texts = torch.cat([texts, text_of[kept][:, None].expand(shape)])
            codes, rows, texts = _first(codes, rows, texts, count)
    return ActiveRows(codes, rows, peak)


def _first(
    codes: Float[Tensor, "n c"], rows: Int[Tensor, "n c"], texts: Int[Tensor, "n c"], count: int
) -> tuple[Float[Tensor, "m c"], Int[Tensor, "m c"], Int[Tensor, "m c"]]:
    """The largest codes of each concept, no two of one text."""
    found = []
    for _ in range(min(count, len(codes))):
        largest, at = codes.max(dim=0)
        row, text = rows.gather(0, at[None])[0], texts.gather(0, at[None])[0]
        found.append((largest, row, text))
        codes = codes.masked_fill(texts == text, -torch.inf)
    if not found:
        return codes, rows, texts
    largest, row, text = (torch.stack(column) for column in zip(*found, strict=True))
    return largest, row, text
