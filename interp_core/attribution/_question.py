"""The `Question` that a method sees: units, targets, features, a baseline, and a function from features to scores.

The features may be embeddings, hidden states of a layer, or the concepts of a text; to a method they all look alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import Any, ClassVar

import torch
from interp_core.attribution._function_runner import Runner
from interp_core.attribution._question_checks import (
    check_budget,
    check_changes,
    check_count,
    check_features,
    check_keep,
    check_parts,
    described,
    instead,
)
from interp_core.attribution._question_memory import Memory
from interp_core.errors import BudgetError, InputError
from interp_core.model import Internals, Target
from interp_core.text import NO_UNIT, Unit
from jaxtyping import Bool, Float, Int
from torch import Tensor

Offer = str
SHOWN = 60  # characters of the text in a `repr`


class Question:
    """All that an attribution method sees of one text and model; it is read-only.

    Args:
        runner: computes the scores.
        x: (f, d) the features, float32, on the device where the scores are computed.
        baseline: (f, d) what replaces an absent feature.
        unit_of: (f) the unit of each feature, -1 for a feature that is never removed.
        units: the u units, at least one.
        targets: the k targets.
        text: the text that the units are pieces of.
        applicable: (k, u) False where a unit cannot matter to a target, such as text after the token that is explained;
            all True by default.
        offers: what a method may use besides scores, such as `"gradients"`.
        removal: the name of the removal, as results record it.
        notes: what a reader of the result should know.
        background: (r, d) vectors that could have been features, such as the embeddings of the vocabulary; None if only
            the baseline is known.
        internals: access to the inside of the model, for methods that need it; None without a model.
        components: the components of the model, for methods that need them; None unless they are the units.
        groups: (u) the number of the document (else message, else paragraph) that holds each unit, or a function that
            returns these; by default each unit is a group of its own.
        spread: the unit of `noise` and `radius`, a standard deviation. By default that of a coordinate of the features;
            questions about a text use that of the model's embeddings.
        max_rows: the maximum number of model rows that may be evaluated for this question; None for no limit.
        intact: (k) the scores of the unchanged text, if they are known.
        slopes: (k, f, d) the gradients of the scores at the unchanged text, if they are known from a row of the model.

    Attributes:
        rows: the number of model rows evaluated so far; repeated variants are not counted.

    Raises:
        InputError: there are no units, the shapes do not fit together, or `max_rows` is not a number of rows.

    Examples:
        >>> from interp_core.attribution import ask
        >>> question = ask(lambda v: 10 * v.sum(1), torch.tensor([[1.0], [2.0]]), names=["one", "two"])
        >>> question
        Question('one two', units=2, targets=['y0'], rows=0)
        >>> question.intact(), question.emptied()
        (tensor([30.]), tensor([0.]))
        >>> question.masked(torch.tensor([[True, False], [False, False]]))  # the second row is known already
        tensor([[10.],
                [ 0.]])
        >>> question.rows
        3
    """

    lacks: ClassVar[str] = ""  # why it offers no more, as a sentence with a space in front

    def __init__(
        self,
        runner: Runner,
        *,
        x: Float[Tensor, "f d"],
        baseline: Float[Tensor, "f d"],
        unit_of: Int[Tensor, " f"],
        units: Sequence[Unit],
        targets: Sequence[Target],
        text: str = "",
        applicable: Bool[Tensor, "k u"] | None = None,
        offers: frozenset[Offer] = frozenset({"gradients"}),
        removal: str = "baseline",
        notes: tuple[str, ...] = (),
        background: Float[Tensor, "r d"] | None = None,
        internals: Internals | None = None,
        components: Any = None,
        groups: Int[Tensor, " u"] | Callable[[], Int[Tensor, " u"]] | None = None,
        spread: float | None = None,
        max_rows: int | None = None,
        intact: Float[Tensor, " k"] | None = None,
        slopes: Float[Tensor, "k f d"] | None = None,
    ) -> None:
        self.runner = runner
        self.x, self.baseline, self.unit_of = x, baseline, unit_of
        self.units, self.targets, self.text = tuple(units), tuple(targets), text
        self.applicable = torch.ones(len(targets), len(units)).bool() if applicable is None else applicable
        self.offers, self.removal, self.notes = offers, removal, notes
        self.background, self.internals, self.components = background, internals, components
        self._grouping = groups
        check_parts(self, intact)
        check_budget(max_rows)
        self.spread = _spread(x, baseline) if spread is None else spread
        self.max_rows = max_rows
        known = {} if intact is None else {self._end(True): intact.detach().float().cpu()}
        self._memory = Memory(known, slopes=slopes, rows=int(slopes is not None))

    def __setattr__(self, name: str, value: Any) -> None:
        if "_memory" in vars(self):
            raise AttributeError(f"a Question is read-only, so {name!r} cannot be set.{instead(name, _PARTS)}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Question is read-only, so {name!r} cannot be deleted.")

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= SHOWN else f"{self.text[: SHOWN - 1]}…"
        targets = [target.label for target in self.targets[:4]] + ["…"] * (len(self.targets) > 4)
        return f"Question({text!r}, units={len(self.units)}, targets={targets}, rows={self.rows})"

    @property
    def rows(self) -> int:
        """The number of model rows evaluated so far; repeated variants are not counted."""
        return self._memory.rows

    @property
    def groups(self) -> Int[Tensor, " u"]:
        """(u) The number of the document of each unit, else of its message, else of its paragraph."""
        if self._memory.groups is None:
            given = self._grouping() if callable(self._grouping) else self._grouping
            self._memory.groups = torch.arange(len(self.units)) if given is None else given
        return self._memory.groups

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """Score p variants (p, f, d) of the features; differentiable if `x` requires a gradient.

        Returns:
            (p, k) the scores, on the device of the question.

        Raises:
            InputError: `x` is not (p, f, d).
            BudgetError: more than `max_rows` rows would be needed.
        """
        self._check_variants(x)
        self._spend(len(x))
        return self.runner.at(x.to(self.x.device))

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        """Score p variants in which the units that are not kept are removed; no variant is evaluated twice.

        Args:
            keep: (p, u) False for the units that are removed.

        Returns:
            (p, k) the scores, detached, float32, on the CPU.

        Raises:
            InputError: `keep` is not a tensor of booleans with a column for each unit.
            BudgetError: more than `max_rows` rows would be needed.
        """
        return self._once(self._memory.scores, keep, self.runner.masked)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """Compute the gradients of all k scores with respect to the features, for variants `x` (p, f, d) one at a time.

        Yields:
            The gradients (k, f, d), for each of the p variants.

        Raises:
            InputError: `x` is not (p, f, d).
            BudgetError: more than `max_rows` rows would be needed.
        """
        self._check_variants(x)
        known = self._memory.slopes
        if known is not None and len(x) == 1 and torch.equal(x[0].to(self.x.device), self.x):
            return iter([known])
        self._spend(len(x))
        return self.runner.gradients(x.to(self.x.device))

    def references(self, count: int, generator: torch.Generator) -> Float[Tensor, "p f d"]:
        """Draw random inputs, in which the features of units are replaced by vectors of the background.

        Args:
            count: the number p of inputs, at least 0.
            generator: a generator on the CPU, for the random draws.

        Returns:
            (p, f, d) the inputs; copies of the baseline if there is no background.

        Raises:
            InputError: `count` is not a whole number of at least 0, or `generator` is not a `torch.Generator`.
        """
        check_count("count", count, 0)
        if not isinstance(generator, torch.Generator):
            raise InputError(f"generator is {described(generator)}; a torch.Generator on the CPU was expected.")
        if self.background is None:
            return self.baseline.expand(count, -1, -1)
        drawn = torch.randint(len(self.background), (count, len(self.x)), generator=generator)
        outside = (self.unit_of == NO_UNIT).to(self.x.device)[:, None]
        return torch.where(outside, self.x, self.background.to(self.x)[drawn.to(self.x.device)])

    def afford(self, draws: int, rows_each: int = 1) -> int:
        """Count the draws that the budget has room for, after setting aside rows for the intact and the emptied text.

        Args:
            draws: the number of draws that the method would like.
            rows_each: the number of model rows that one draw takes.

        Returns:
            A number from 1 to `draws`.

        Raises:
            InputError: one of the two is not a whole number of at least 1.
            BudgetError: there is no room for a single draw.
        """
        check_count("draws", draws, 1)
        check_count("rows_each", rows_each, 1)
        if self.max_rows is None:
            return draws
        self._memory.lowered = True
        ends = sum(self._end(kept) not in self._memory.scores for kept in (True, False))
        room = (self.max_rows - self.rows - ends) // rows_each
        if room < 1:
            self._spend(rows_each + ends)
        return min(draws, room)

    def note(self, text: str) -> None:
        """Add a note to the attribution, for its readers.

        Args:
            text: a sentence.

        Examples:
            >>> from interp_core.attribution import ask, explain
            >>> class Zero:
            ...     def attribute(self, question):
            ...         question.note("Nothing was asked.")
            ...         return torch.zeros(len(question.targets), len(question.units))
            >>> explain(Zero(), ask(lambda v: 10 * v.sum(1), torch.tensor([[1.0]]))).notes
            ('Nothing was asked.',)
        """
        self._memory.notes.append(text)

    @property
    def noted(self) -> tuple[str, ...]:
        """The notes that the method has added by `note`."""
        return tuple(self._memory.notes)

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """Give the model's own decision for p variants in which the units that are not kept are removed.

        Returns:
            (p, k) for each target, the number of the class, tag or token that the model chooses at its position. For a
            class of a multi-label head, 1 if it is chosen, else 0; for a span, 1 if all its tokens are chosen, else 0.

        Raises:
            InputError: `keep` is not a tensor of booleans with a column for each unit.
            TargetError: the head is a regression, which makes no decision.
            BudgetError: more than `max_rows` rows would be needed.
        """
        return self._once(self._memory.decisions, keep, self.runner.decides).long()

    def replace(self, **changes: Any) -> Question:
        """Copy the question with some parts replaced; the copy remembers neither scores nor rows.

        The runner has its own features, baseline, units, targets and removal. Where one of these is replaced, a runner
        must be given too, so that the scores belong to the question.

        Args:
            **changes: the new parts, by the names of the constructor's arguments.

        Raises:
            InputError: a name is not an argument of the constructor, or the runner is needed and not given.

        Examples:
            >>> from interp_core.attribution import ask
            >>> question = ask(lambda v: 10 * v.sum(1), torch.tensor([[1.0], [2.0]]))
            >>> question.replace(spread=2.0).spread
            2.0
            >>> question.replace(x=torch.zeros(2, 1))
            Traceback (most recent call last):
            interp_core.errors.InputError: the runner of this question computes with its own 'x', so that replacing 'x'
            alone would not change the scores; give `runner=` too, or ask question.moved(x).
        """
        check_changes(changes, _PARTS)
        parts = {name: value for name, value in vars(self).items() if name in _PARTS}
        grouping = {} if "units" in changes else {"groups": self._grouping}  # groups are those of the former units
        return type(self)(**{**parts, **grouping, **changes})

    def moved(self, x: Float[Tensor, "f d"]) -> Question:
        """Ask the same about other features, with the same baseline.

        Args:
            x: (f, d) the features.

        Returns:
            A question whose budget is charged with the rows evaluated so far. It has no `internals`, since these run
            the model on the unchanged text.

        Raises:
            InputError: `x` is not of the shape of the features of this question.
            UnsupportedError: units are removed by `"drop"` or `"attention"`, which do not use features.
        """
        check_features("x", x, tuple(self.x.shape), ", as the features of this question have")
        return self._with(runner=self.runner.moved(x), x=x, internals=None, _memory=Memory(rows=self.rows))

    def with_budget(self, max_rows: int | None) -> Question:
        """Copy the question with a new budget, of which nothing is spent.

        Args:
            max_rows: the maximum number of model rows; None for no limit.

        Returns:
            The copy, which remembers the variants evaluated before and does not evaluate them again.

        Raises:
            InputError: `max_rows` is not a whole number of at least 1.
        """
        check_budget(max_rows)
        memory = self._memory
        return self._with(max_rows=max_rows, _memory=Memory(memory.scores, memory.decisions, memory.slopes))

    def _with(self, **changes: Any) -> Question:
        copy = object.__new__(type(self))
        vars(copy).update({**vars(self), **changes})
        return copy

    def pool(self, scores: Float[Tensor, "k f"]) -> Float[Tensor, "k u"]:
        """Sum the scores of features over each unit.

        Args:
            scores: (k, f) the scores of the features.

        Returns:
            (k, u) the scores of the units.

        Raises:
            InputError: `scores` does not have one column for each feature.
        """
        check_features("scores", scores, ("k", len(self.unit_of)), ", one for each feature")
        inside = self.unit_of != NO_UNIT
        total = scores.new_zeros(scores.shape[0], len(self.units))
        where = self.unit_of[inside].to(scores.device)
        return total.index_add_(1, where, scores[:, inside.to(scores.device)])

    def intact(self) -> Float[Tensor, " k"]:
        """Score the unchanged text (k)."""
        return self.masked(torch.ones(1, len(self.units), dtype=torch.bool))[0]

    def emptied(self) -> Float[Tensor, " k"]:
        """Score the text with every unit removed (k)."""
        return self.masked(torch.zeros(1, len(self.units), dtype=torch.bool))[0]

    def _once(self, known: dict[bytes, Tensor], keep: Tensor, evaluate: Callable[[Tensor], Tensor]) -> Tensor:
        """What `evaluate` gives for each variant; each variant is evaluated only once over all calls."""
        check_keep(keep, len(self.units))
        keys = [row.tobytes() for row in keep.cpu().numpy()]
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            self._spend(len(new))
            known.update(zip(new, evaluate(keep[list(new.values())]).detach().float().cpu(), strict=True))
        return torch.stack([known[key] for key in keys]) if keys else torch.zeros(0, len(self.targets))

    def _check_variants(self, x: Any) -> None:
        check_features("x", x, ("p", *self.x.shape), ", a variant of the features in each row")

    def _end(self, kept: bool) -> bytes:
        return torch.full((len(self.units),), kept).numpy().tobytes()

    def _spend(self, rows: int) -> None:
        if self.max_rows is not None and self.rows + rows > self.max_rows:
            lowered = self._memory.lowered  # samples are as few as can be
            least, lower = (" at least", "") if lowered else ("", " lower `samples` or `steps`,")
            raise BudgetError(
                f"this text needs{least} {self.rows + rows} rows of the model and max_rows is {self.max_rows}; raise "
                f"it,{lower} or choose larger units."
            )
        self._memory.rows += rows


_PARTS = tuple(name for name in signature(Question.__init__).parameters if name != "self")


def _spread(x: Float[Tensor, "f d"], baseline: Float[Tensor, "f d"]) -> float:
    deviation = float((x - x.mean(0)).square().mean().sqrt()) if len(x) > 1 else 0.0
    return deviation or float((x - baseline).square().mean().sqrt())
