"""Attributions as they are shown: each text once, its units in place, with every target and method that was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp_core.attribution import Attribution
from interp_core.reporting.numerals import number, signed, step
from interp_core.targets import Target
from interp_core.text import Unit
from jaxtyping import Float
from torch import Tensor

SPACES = {"logit": "logits", "probability": "probability", "log-probability": "log-probability"}


@dataclass(frozen=True)
class Cell:
    """One score: the class of its colour, and the number."""

    colour: str
    text: str


@dataclass(frozen=True)
class Piece:
    """A stretch of a text; `unit` is -1 between units."""

    text: str
    unit: int = -1


@dataclass(frozen=True)
class Choice:
    """A target that can be chosen."""

    label: str
    intact: str
    best: bool


@dataclass(frozen=True)
class Column:
    """One target of one method: its place among the choices, and the units that are explained by it."""

    choice: int
    label: str
    own: tuple[int, ...]


@dataclass(frozen=True)
class MethodView:
    """What one method says about one text; `shown` is the column in view at first, -1 if it was not asked for that."""

    name: str
    unit: str
    largest: str
    given: tuple[Piece, ...]
    continuation: tuple[Piece, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    shown: int
    notes: tuple[str, ...]

    def cell(self, unit: int) -> Cell:
        """What colours a unit at first."""
        return self.rows[unit][1][self.shown] if self.shown >= 0 else Cell("z", "")

    @property
    def own(self) -> tuple[int, ...]:
        """The units explained at first."""
        return self.columns[self.shown].own if self.shown >= 0 else ()


@dataclass(frozen=True)
class TextView:
    """One text."""

    number: int
    choices: tuple[Choice, ...]
    chosen: int
    generated: bool
    methods: tuple[MethodView, ...]

    @property
    def ranked(self) -> bool:
        """Whether one of its answers has the highest score."""
        return any(c.best for c in self.choices)

    @property
    def later(self) -> bool:
        """Whether some units come after what is explained."""
        return any(cell.colour == "na" for m in self.methods for _, row in m.rows for cell in row)


def text_views(attributions: Sequence[Attribution], shared_notes: frozenset[str] = frozenset()) -> list[TextView]:
    """The texts in the order of their first attribution; those of one text are shown together."""
    together: dict[tuple[str, int], list[Attribution]] = {}
    for one in attributions:
        together.setdefault((one.text, one.prompt_stop), []).append(one)
    return [_text_view(i, held, shared_notes) for i, held in enumerate(together.values(), start=1)]


def best_target(one: Attribution) -> int:
    """The target to show first: the highest score of the intact text, or the token with the strongest unit."""
    if one.intact is not None and _comparable(one):
        return int(one.intact.argmax())
    tokens = [i for i, t in enumerate(one.targets) if t.position is not None and t.label.strip()]
    return max(tokens, key=lambda i: max(map(abs, others(one, i).tolist()), default=0.0), default=0)


def others(one: Attribution, target: int) -> Float[Tensor, " u"]:
    """The scores for a target, zero for the units that hold the very token explained: these say little."""
    scores = one.scores[target].clone()
    scores[list(own_units(one, one.targets[target]))] = 0
    return scores


def _comparable(one: Attribution) -> bool:
    return one.intact is not None and len(one.targets) > 1 and not any(_apart(t) for t in one.targets)


def _apart(target: Target) -> bool:
    """Whether its score is not to be compared with that of other targets."""
    return target.position is not None or target.against is not None or target.function is not None


def _text_view(place: int, held: list[Attribution], shared_notes: frozenset[str]) -> TextView:
    targets = list(dict.fromkeys(t for one in held for t in one.targets))
    first = held[0]
    comparable = _comparable(first)
    best = targets.index(first.targets[best_target(first)]) if first.targets else 0
    intact: dict[Target, str] = {}
    for one in held:
        if one.intact is not None:
            intact |= {t: number(float(v)) for t, v in zip(one.targets, one.intact, strict=True) if t not in intact}
    choices = tuple(
        Choice(visible(t.label), intact.get(t, ""), comparable and i == best) for i, t in enumerate(targets)
    )
    methods = tuple(_method_view(one, targets, best, shared_notes) for one in held)
    return TextView(place, choices, best, first.prompt_stop >= 0, methods)


def _method_view(one: Attribution, targets: list[Target], chosen: int, shared_notes: frozenset[str]) -> MethodView:
    largest = float(one.scores.abs().max()) if one.scores.numel() else 0.0
    cells = [_cells(one, j, largest) for j in range(len(one.units))]
    columns = tuple(Column(targets.index(t), visible(t.label), own_units(one, t)) for t in one.targets)
    notes = [n for n in one.notes if n not in shared_notes]
    given, continuation = _pieces(one.text, one.units, one.prompt_stop)
    return MethodView(
        name=one.made_by.method,
        unit=SPACES.get(one.score_space, one.score_space),
        largest=number(largest),
        given=given,
        continuation=continuation,
        columns=columns,
        rows=tuple((unit.text, row) for unit, row in zip(one.units, cells, strict=True)),
        shown=next((i for i, c in enumerate(columns) if c.choice == chosen), -1),
        notes=tuple(notes),
    )


def _cells(one: Attribution, unit: int, largest: float) -> tuple[Cell, ...]:
    row = []
    for k, score in enumerate(one.scores[:, unit].tolist()):
        if one.applicable is not None and not bool(one.applicable[k, unit]):
            row.append(Cell("na", "\u2013"))
            continue
        error = f" ± {number(float(one.error[k, unit]))}" if one.error is not None else ""
        row.append(Cell(step(score, largest), signed(score) + error))
    return tuple(row)


def own_units(one: Attribution, target: Target) -> tuple[int, ...]:
    """The units that hold the generated token a target stands for."""
    if target.position is None or one.encoded is None or target.position >= len(one.encoded):
        return ()
    start, stop = one.encoded.offsets[target.position].tolist()
    return tuple(j for j, unit in enumerate(one.units) if unit.start < stop and start < unit.stop)


def _pieces(text: str, units: Sequence[Unit], prompt_stop: int) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """The text cut at its units, nothing lost: what was given, and the continuation.

    Units that are no part of the text in order (they come from elsewhere) are listed, set apart by blanks.
    """
    spans = [(u.start, u.stop) for u in units]
    ends = [0, *(stop for _, stop in spans)]
    if not all(e <= a < b <= len(text) for (a, b), e in zip(spans, ends, strict=False)):
        return tuple(piece for j, u in enumerate(units) for piece in (Piece(u.text, j), Piece(" "))), ()
    border = prompt_stop if prompt_stop >= 0 else len(text)
    given: list[Piece] = []
    after: list[Piece] = []
    for j, ((start, stop), end) in enumerate(zip(spans, ends, strict=False)):
        cut = min(max(border, end), start)
        given.append(Piece(text[end:cut]))
        after.append(Piece(text[cut:start]))
        (given if stop <= border else after).append(Piece(text[start:stop], j))
    cut = max(border, ends[-1])
    given.append(Piece(text[ends[-1] : cut]))
    after.append(Piece(text[cut:]))
    return tuple(p for p in given if p.text), tuple(p for p in after if p.text)


def visible(label: str) -> str:
    """A label without the blanks around it; one that is blank itself is made visible."""
    return label.strip() or label.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"
