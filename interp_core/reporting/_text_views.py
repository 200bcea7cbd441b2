"""The view of attributions: each text once, with its units in place, and with all targets and methods."""

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
    """One score: the CSS class of its colour, and the number."""

    colour: str
    text: str


@dataclass(frozen=True)
class Choice:
    """A target that can be selected."""

    label: str
    intact: str
    best: bool


@dataclass(frozen=True)
class Column:
    """One target of one method: its index among the choices, and the units and gaps that it is about."""

    choice: int
    label: str
    own: tuple[str, ...]


@dataclass(frozen=True)
class MethodView:
    """The attribution of one text by one method.

    Attributes:
        about: the text, and what is scored in its place; empty where its own units are.
        sized: what has scores that say only how much a unit matters, the method or entropies; empty if signs say what
            speaks for and against the answer.
        scale: the largest absolute score, its unit, and the precision of the numbers.
        sure: `error` if there are standard errors, `exact` if the method samples but evaluated everything, else empty.
        effort: the rows that the text took, and the limits that were set.
        given: the text up to the continuation.
        shown: the column shown at first; -1 if the method was not asked about that target.
    """

    name: str
    about: str
    sized: str
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
        """The score of a unit that is shown at first."""
        return self.rows[unit][1][self.shown] if self.shown >= 0 else Cell("z", "")

    @property
    def own(self) -> tuple[str, ...]:
        """The units and gaps that the target shown at first is about."""
        return self.columns[self.shown].own if self.shown >= 0 else ()


@dataclass(frozen=True)
class TextView:
    """One text; `told` is what the model says to it, beside the true class."""

    number: int
    told: str
    choices: tuple[Choice, ...]
    chosen: int
    generated: bool
    spans: bool
    methods: tuple[MethodView, ...]

    @property
    def directed(self) -> bool:
        """Whether some of its methods say what speaks for and against the answer."""
        return not all(m.sized for m in self.methods)

    @property
    def sized(self) -> bool:
        """Whether some of its methods say only how much a unit matters."""
        return any(m.sized for m in self.methods)

    @property
    def ranked(self) -> bool:
        """Whether one of the targets is marked as the one with the highest score."""
        return any(c.best for c in self.choices)

    @property
    def several(self) -> bool:
        """Whether there is a choice of answers."""
        return len(self.choices) > 1

    @property
    def later(self) -> bool:
        """Whether some units come after a token that is explained."""
        return any(cell.colour == "na" for m in self.methods for _, row in m.rows for cell in row)

    @property
    def outside(self) -> bool:
        """Whether some of the text is not in a unit."""
        return any(piece.outside for m in self.methods for piece in (*m.given, *m.continuation))


def text_views(attributions: Sequence[Attribution], shared_notes: frozenset[str] = frozenset()) -> list[TextView]:
    """The texts in the order of their first attribution. Attributions of the same text are shown together."""
    return [_text_view(i, held, shared_notes) for i, held in enumerate(texts_of(attributions), start=1)]


def texts_of(attributions: Sequence[Attribution]) -> list[list[Attribution]]:
    """The attributions of each text, in the order of the first of each."""
    by_text: dict[tuple[object, ...], list[Attribution]] = {}
    for one in attributions:
        borders = one.encoded.borders if one.encoded else ()
        by_text.setdefault((one.text, one.prompt_stop, borders), []).append(one)
    return list(by_text.values())


def best_target(one: Attribution) -> int:
    """The target to show first: the one with the highest score of the intact text, or with the strongest unit."""
    if one.intact is not None and comparable(one):
        return int(one.intact.argmax())
    tokens = [i for i, t in enumerate(one.targets) if t.positions and t.label.strip()]
    return max(tokens, key=lambda i: max(map(abs, others(one, i).tolist()), default=0.0), default=0)


def others(one: Attribution, target: int) -> Float[Tensor, " u"]:
    """The scores for a target (u), with zero for units of a continuation that contain the explained token itself.

    The rest of a word says little about why its last token was generated.
    """
    scores = one.scores[target].clone()
    if one.prompt_stop >= 0:
        scores[list(own_units(one, one.targets[target]))] = 0
    return scores


def comparable(one: Attribution) -> bool:
    """Whether the targets are alternatives, so that their scores can be compared."""
    alike = len({t.positions for t in one.targets}) == 1 < len(one.targets)
    return one.intact is not None and alike and all(t.against is None and t.function is None for t in one.targets)


def _text_view(place: int, held: list[Attribution], shared_notes: frozenset[str]) -> TextView:
    targets = list(dict.fromkeys(t for one in held for t in one.targets))
    first = held[0]
    marked = comparable(first)
    best = targets.index(first.targets[best_target(first)]) if first.targets else 0
    intact: dict[Target, str] = {}
    for one in held:
        if one.intact is not None:
            intact |= {t: number(float(v)) for t, v in zip(one.targets, one.intact, strict=True) if t not in intact}
    choices = tuple(Choice(visible(t.label), intact.get(t, ""), marked and i == best) for i, t in enumerate(targets))
    methods = tuple(_method_view(one, targets, best, shared_notes) for one in held)
    told = " ".join(next((one.said for one in held if one.said), []))
    return TextView(place, told, choices, best, first.prompt_stop >= 0, all(t.parts for t in targets), methods)


def _method_view(one: Attribution, targets: list[Target], chosen: int, shared_notes: frozenset[str]) -> MethodView:
    largest = float(one.scores.abs().max()) if one.scores.numel() else 0.0
    directed = one.directed
    cells = [_cells(one, j, largest, directed) for j in range(len(one.units))]
    columns = tuple(Column(targets.index(t), visible(t.label), places_of(one, t)) for t in one.targets)
    notes = [n for n in one.notes if n not in shared_notes]
    prompt, continuation = pieces_of(one)
    return MethodView(
        name=one.made_by.method,
        about=" ".join([f"\u201c{visible(one.text)}\u201d", *one.units_line]) if one.units_line else "",
        sized="" if directed else "entropies" if one.score_space == "entropy" else one.made_by.method,
        scale=_scale(one, largest),
        sure="" if one.error is None else "exact" if one.exact else "error",
        effort=effort_of(one),
        given=prompt,
        continuation=continuation,
        columns=columns,
        rows=tuple((unit.text, row) for unit, row in zip(one.units, cells, strict=True)),
        shown=next((i for i, c in enumerate(columns) if c.choice == chosen), -1),
        notes=tuple(notes),
    )


def _cells(one: Attribution, unit: int, largest: float, directed: bool) -> tuple[Cell, ...]:
    row, signs = [], directed or bool((one.scores < 0).any())
    for k, score in enumerate(one.scores[:, unit].tolist()):
        if one.applicable is not None and not bool(one.applicable[k, unit]):
            row.append(Cell("na", "\u2013"))
            continue
        error = f" ± {number(float(one.error[k, unit]))}" if one.error is not None and not one.exact else ""
        row.append(Cell(step(score, largest, directed), (signed(score) if signs else number(score)) + error))
    return tuple(row)


def _scale(one: Attribution, largest: float) -> str:
    parts = [f"strongest colour: {number(largest)}", SPACES.get(one.score_space, one.score_space)]
    if one.exact:
        parts.append("exact, nothing is left to chance")
    elif one.error is not None:
        parts.append(f"± standard error, {number(float(one.error.max()))} at most")
    return ", ".join(parts)


def effort_of(one: Attribution) -> str:
    """The rows that the text took, and the limits that were set."""
    most, tolerance = one.made_by.settings.get("max_rows"), one.made_by.parameters.get("tolerance")
    parts = [f"{whole(one.rows)} row{'s' * (one.rows != 1)} of the model for this text"] if one.rows else []
    parts += [f"{whole(most)} were allowed"] if isinstance(most, int) else []
    if one.error is not None and isinstance(tolerance, int | float):
        parts.append(f"a standard error of {number(tolerance)} was enough (tolerance)")
    return "; ".join(parts)


def visible(label: str) -> str:
    """A label without surrounding blanks. A label of blanks only is made visible."""
    return label.strip() or label.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"
