"""Attributions as they are shown: each text once, its units in place, with every target and method that was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp_core.attribution import Attribution
from interp_core.model import Target
from interp_core.reporting._formatting import number, signed, step, whole
from interp_core.reporting._text_segments import Piece, own_units, pieces_of, places_of
from jaxtyping import Float
from torch import Tensor

SPACES = {"logit": "logits", "entropy": "nats of entropy"}


@dataclass(frozen=True)
class Cell:
    """One score: the class of its colour, and the number."""

    colour: str
    text: str


@dataclass(frozen=True)
class Choice:
    """A target that can be chosen."""

    label: str
    intact: str
    best: bool


@dataclass(frozen=True)
class Column:
    """One target of one method: its place among the choices, and the units and gaps of the text that it is about."""

    choice: int
    label: str
    own: tuple[str, ...]


@dataclass(frozen=True)
class MethodView:
    """What one method says about one text.

    Attributes:
        scale: the strongest score, its unit, and how sure the numbers are.
        sure: `error` where they come with a standard error, `exact` where nothing was left to chance.
        effort: what the text took, and what it was allowed to take.
        shown: the column in view at first; -1 if the method was not asked for that.
    """

    name: str
    scale: str
    sure: str
    effort: str
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
    def own(self) -> tuple[str, ...]:
        """The units and gaps that are asked about at first."""
        return self.columns[self.shown].own if self.shown >= 0 else ()


@dataclass(frozen=True)
class TextView:
    """One text."""

    number: int
    choices: tuple[Choice, ...]
    chosen: int
    generated: bool
    spans: bool
    methods: tuple[MethodView, ...]

    @property
    def ranked(self) -> bool:
        """Whether one of its answers has the highest score."""
        return any(c.best for c in self.choices)

    @property
    def later(self) -> bool:
        """Whether some units come after what is explained."""
        return any(cell.colour == "na" for m in self.methods for _, row in m.rows for cell in row)

    @property
    def outside(self) -> bool:
        """Whether some of the text is in no unit."""
        return any(piece.outside for m in self.methods for piece in (*m.given, *m.continuation))


def text_views(attributions: Sequence[Attribution], shared_notes: frozenset[str] = frozenset()) -> list[TextView]:
    """The texts in the order of their first attribution; those of one text are shown together."""
    together: dict[tuple[object, ...], list[Attribution]] = {}
    for one in attributions:
        borders = one.encoded.borders if one.encoded else ()
        together.setdefault((one.text, one.prompt_stop, borders), []).append(one)
    return [_text_view(i, held, shared_notes) for i, held in enumerate(together.values(), start=1)]


def best_target(one: Attribution) -> int:
    """The target to show first: the highest score of the intact text, or the token with the strongest unit."""
    if one.intact is not None and _comparable(one):
        return int(one.intact.argmax())
    tokens = [i for i, t in enumerate(one.targets) if t.positions and t.label.strip()]
    return max(tokens, key=lambda i: max(map(abs, others(one, i).tolist()), default=0.0), default=0)


def others(one: Attribution, target: int) -> Float[Tensor, " u"]:
    """The scores for a target, zero for the units of a continuation that hold the very token explained: these say
    little.
    """
    scores = one.scores[target].clone()
    if one.prompt_stop >= 0:
        scores[list(own_units(one, one.targets[target]))] = 0
    return scores


def _comparable(one: Attribution) -> bool:
    """Whether the targets are answers to one question, of which one has the highest score."""
    alike = len({t.positions for t in one.targets}) == 1 < len(one.targets)
    return one.intact is not None and alike and all(t.against is None and t.function is None for t in one.targets)


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
    return TextView(place, choices, best, first.prompt_stop >= 0, all(t.parts for t in targets), methods)


def _method_view(one: Attribution, targets: list[Target], chosen: int, shared_notes: frozenset[str]) -> MethodView:
    largest = float(one.scores.abs().max()) if one.scores.numel() else 0.0
    cells = [_cells(one, j, largest) for j in range(len(one.units))]
    columns = tuple(Column(targets.index(t), visible(t.label), places_of(one, t)) for t in one.targets)
    notes = [n for n in one.notes if n not in shared_notes]
    given, continuation = pieces_of(one)
    return MethodView(
        name=one.made_by.method,
        scale=_scale(one, largest),
        sure="" if one.error is None else "exact" if one.exact else "error",
        effort=_effort(one),
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
        error = f" ± {number(float(one.error[k, unit]))}" if one.error is not None and not one.exact else ""
        row.append(Cell(step(score, largest), signed(score) + error))
    return tuple(row)


def _scale(one: Attribution, largest: float) -> str:
    said = [f"strongest colour: {number(largest)}", SPACES.get(one.score_space, one.score_space)]
    if one.exact:
        said.append("exact, nothing is left to chance")
    elif one.error is not None:
        said.append(f"± standard error, {number(float(one.error.max()))} at most")
    return ", ".join(said)


def _effort(one: Attribution) -> str:
    """What the text took of the model, and the bounds that were set."""
    most, tolerance = one.made_by.settings.get("max_rows"), one.made_by.parameters.get("tolerance")
    said = [f"{whole(one.rows)} row{'s' * (one.rows != 1)} of the model for this text"] if one.rows else []
    said += [f"{whole(most)} were allowed"] if isinstance(most, int) else []
    if one.error is not None and isinstance(tolerance, int | float):
        said.append(f"a standard error of {number(tolerance)} was enough (tolerance)")
    return "; ".join(said)


def visible(label: str) -> str:
    """A label without the blanks around it; one that is blank itself is made visible."""
    return label.strip() or label.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"
