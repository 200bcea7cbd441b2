"""Texts cut into segments for display: units, gaps that targets are about, and the text between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from interp_core.attribution import Attribution
from interp_core.model import Target


@dataclass(frozen=True)
class Piece:
    """A segment of a text.

    Attributes:
        text: the characters.
        unit: the number of the unit; -1 between units.
        gap: between units, the name of the gap, if a target is about the characters there.
    """

    text: str
    unit: int = -1
    gap: str = ""

    @property
    def outside(self) -> bool:
        """Whether it is visible text without a score."""
        return self.unit < 0 and bool(self.text.strip())


def pieces_of(one: Attribution) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """The whole text, cut at its units: the pieces of the prompt, and those of the continuation.

    If the units are not consecutive parts of the text, they are listed with blanks between them instead.
    """
    text, spans = one.text, [(u.start, u.stop) for u in one.units]
    ends = [0, *(stop for _, stop in spans)]
    if not all(e <= a < b <= len(text) for (a, b), e in zip(spans, ends, strict=False)):
        return tuple(piece for j, u in enumerate(one.units) for piece in (Piece(u.text, j), Piece(" "))), ()
    gaps = sorted({span for target in one.targets for span in _gaps(one, target)})
    border = one.prompt_stop if one.prompt_stop >= 0 else len(text)
    prompt: list[Piece] = []
    continuation: list[Piece] = []
    for j, ((start, stop), end) in enumerate(zip(spans, ends, strict=False)):
        cut = min(max(border, end), start)
        prompt += _between(text, (end, cut), gaps)
        continuation += _between(text, (cut, start), gaps)
        (prompt if stop <= border else continuation).append(Piece(text[start:stop], j))
    cut = max(border, ends[-1])
    prompt += _between(text, (ends[-1], cut), gaps)
    continuation += _between(text, (cut, len(text)), gaps)
    return tuple(p for p in prompt if p.text), tuple(p for p in continuation if p.text)


def places_of(one: Attribution, target: Target) -> tuple[str, ...]:
    """What a target is about: the numbers of the units that contain its tokens, and the names of gaps."""
    units = (str(j) for j in own_units(one, target))
    return (*units, *(_name(span) for span in _gaps(one, target)))


def own_units(one: Attribution, target: Target) -> tuple[int, ...]:
    """The units that contain the tokens that a target is about."""
    spans = _spans(one, target)
    return tuple(j for j, u in enumerate(one.units) if any(u.start < stop and start < u.stop for start, stop in spans))


def _gaps(one: Attribution, target: Target) -> list[tuple[int, int]]:
    """The spans that a target is about and that are not in a unit."""
    return [(a, b) for a, b in _spans(one, target) if not any(u.start < b and a < u.stop for u in one.units)]


def _spans(one: Attribution, target: Target) -> list[tuple[int, int]]:
    """The spans of the tokens that a target is about."""
    if one.encoded is None:
        return []
    offsets = one.encoded.offsets.tolist()
    spans = [offsets[i] for i in _tokens(target) if 0 <= i < len(offsets)]
    return [(start, stop) for start, stop in spans if start < stop]


def _tokens(target: Target) -> Iterable[int]:
    """The tokens that a target is about. For an extracted answer, those from its start to its stop."""
    if [(part.label, part.position) for part in target.parts] == [("start", 0), ("stop", 1)]:
        return range(target.parts[0].index, target.parts[1].index + 1)
    return target.positions


def _between(text: str, span: tuple[int, int], gaps: Sequence[tuple[int, int]]) -> list[Piece]:
    """The text between two units, with gaps as separate pieces."""
    first, last = span
    inside = {(a, b) for a, b in gaps if first <= a and b <= last}
    borders = sorted({first, last, *(edge for gap in inside for edge in gap)})
    return [Piece(text[a:b], gap=_name((a, b)) if (a, b) in inside else "") for a, b in pairwise(borders)]


def _name(gap: tuple[int, int]) -> str:
    return f"at{gap[0]}"
