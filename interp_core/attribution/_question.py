"""One question: units a person can read, targets, features, a baseline, and one function from features to scores.

Tokens, a hidden layer, or the concepts of a text are three ways to build a `Question` (see `builders`); a method sees
no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from interp_core.attribution._function_runner import FunctionRunner, Runner
from interp_core.errors import BudgetError, InputError
from interp_core.model import Internals, Target
from interp_core.text import NO_UNIT, Unit
from jaxtyping import Bool, Float, Int
from torch import Tensor

Offer = str


@dataclass
class _Memory:
    """What has been evaluated for a question: scores and decisions by the units kept, and how many rows that took."""

    scores: dict[bytes, Tensor] = field(default_factory=dict)
    decisions: dict[bytes, Tensor] = field(default_factory=dict)
    rows: int = 0


class Question:
    """Why does the model give these scores to these units? Whole when it is made, and read-only from then on.

    Args:
        runner: what computes the scores.
        x: the features (f, d), float32, on the device where they are computed.
        baseline: what stands for an absent feature (f, d).
        unit_of: the unit of each feature (f), -1 for one that is never removed.
        units: u units, at least one.
        targets: k targets.
        text: the text that the units are pieces of.
        applicable: (k, u) False where a unit cannot matter to a target, such as text after the token that is explained;
            all True by default.
        offers: what a method may ask for beside the scores: `gradients`.
        removal: how an absent unit is made absent, for the record.
        notes: what a reader of an answer should know.
        background: (r, d) vectors that a feature might as well have been, such as embeddings from the vocabulary; None
            where only the baseline is known.
        internals: what goes on inside the model, for methods that need it; None without a model.
        spread: the size of noise of share 1: the standard deviation of a coordinate over the model's embeddings; at a
            layer, or without a model, over the features themselves (the default).
        max_rows: the most rows of the model that may be evaluated for this question; None for no limit.
        intact: (k) the scores of the intact text, where a pass has been made already.

    Attributes:
        rows: how many rows of the model have been evaluated, repeats not counted.

    Raises:
        InputError: there are no units.
    """

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
        spread: float | None = None,
        max_rows: int | None = None,
        intact: Float[Tensor, " k"] | None = None,
    ) -> None:
        if not units:
            raise InputError("a question needs at least one unit.")
        every = torch.ones(len(targets), len(units), dtype=torch.bool)
        self.runner = runner
        self.x, self.baseline, self.unit_of = x, baseline, unit_of
        self.units, self.targets, self.text = tuple(units), tuple(targets), text
        self.applicable = every if applicable is None else applicable
        self.offers, self.removal, self.notes = offers, removal, notes
        self.background, self.internals = background, internals
        self.spread = _spread(x, baseline) if spread is None else spread
        self.max_rows = max_rows
        known = {} if intact is None else {self._end(True): intact.detach().float().cpu()}
        self._memory = _Memory(known)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_memory" in vars(self):
            raise AttributeError(
                f"a Question is read-only, so {name!r} cannot be set; ask question.replace({name}=…), "
                "question.with_budget(max_rows) for another limit, or question.moved(x) for other features."
            )
        super().__setattr__(name, value)

    @property
    def rows(self) -> int:
        """How many rows of the model have been evaluated for this question, repeats not counted."""
        return self._memory.rows

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """The scores of p variants of the features; differentiable where `x` requires a gradient."""
        self._spend(len(x))
        return self.runner.at(x.to(self.x.device))

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        """The scores of p variants in which the units not kept are removed. No variant is evaluated twice.

        Returns:
            On the CPU, float32, detached.
        """
        if keep.shape[1] != len(self.units):
            raise InputError(f"keep has {keep.shape[1]} columns; this question has {len(self.units)} units.")
        return self._once(self._memory.scores, keep, self.runner.masked)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """For each of p variants the slopes of all scores; streamed, so that memory does not grow with p."""
        self._spend(len(x))
        return self.runner.gradients(x.to(self.x.device))

    def references(self, count: int, generator: torch.Generator) -> Float[Tensor, "p f d"]:
        """Inputs with random vectors of the background in place of the features of units; the baseline where there is
        no background.
        """
        if self.background is None:
            return self.baseline.expand(count, -1, -1)
        drawn = torch.randint(len(self.background), (count, len(self.x)), generator=generator)
        outside = (self.unit_of == NO_UNIT).to(self.x.device)[:, None]
        return torch.where(outside, self.x, self.background.to(self.x)[drawn.to(self.x.device)])

    def afford(self, draws: int, rows_each: int = 1) -> int:
        """How many draws of so many rows each the budget has room for, at most `draws`; two rows are kept for the ends.

        Raises:
            BudgetError: not even one.
        """
        if self.max_rows is None:
            return draws
        ends = sum(self._end(kept) not in self._memory.scores for kept in (True, False))
        room = (self.max_rows - self.rows - ends) // max(1, rows_each)
        if room < 1:
            self._spend(rows_each + ends)
        return min(draws, room)

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """What the model would answer for p variants, whatever the targets: for each of them the class, tag or token
        that it chooses there; of a class of several 1 or 0, of a span 1 where all of its tokens would be chosen.

        Raises:
            TargetError: a regression decides nothing.
        """
        return self._once(self._memory.decisions, keep, self.runner.decides).long()

    def replace(self, **changes: Any) -> Question:
        """The same question with other parts, by the names of the arguments; nothing is known of its scores.

        Raises:
            TypeError: something that is no part of a question.
        """
        parts = {name: value for name, value in vars(self).items() if name != "_memory"}
        return type(self)(**{**parts, **changes})

    def moved(self, x: Float[Tensor, "f d"]) -> Question:
        """The same question about other features; what is removed becomes the same baseline.

        It has no `internals`, since these look at the text as it is and would not see the move.
        """
        return self._with(runner=self.runner.moved(x), x=x, internals=None, _memory=_Memory(rows=self.rows))

    def with_budget(self, max_rows: int | None) -> Question:
        """The same question with a limit on rows of which none is spent; what is known is not evaluated again."""
        known = self._memory
        return self._with(max_rows=max_rows, _memory=_Memory(known.scores, known.decisions))

    def _with(self, **changes: Any) -> Question:
        other = object.__new__(type(self))
        vars(other).update({**vars(self), **changes})
        return other

    def pool(self, scores: Float[Tensor, "k f"]) -> Float[Tensor, "k u"]:
        """Scores of features added up to scores of units."""
        inside = self.unit_of != NO_UNIT
        total = scores.new_zeros(scores.shape[0], len(self.units))
        where = self.unit_of[inside].to(scores.device)
        return total.index_add_(1, where, scores[:, inside.to(scores.device)])

    def intact(self) -> Float[Tensor, " k"]:
        """The scores of the text as it is."""
        return self.masked(torch.ones(1, len(self.units), dtype=torch.bool))[0]

    def emptied(self) -> Float[Tensor, " k"]:
        """The scores with every unit removed."""
        return self.masked(torch.zeros(1, len(self.units), dtype=torch.bool))[0]

    def _once(self, known: dict[bytes, Tensor], keep: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
        """What `work` gives for each variant, each evaluated once for all calls."""
        keys = [row.tobytes() for row in keep.cpu().numpy()]
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            self._spend(len(new))
            known.update(zip(new, work(keep[list(new.values())]).detach().float().cpu(), strict=True))
        return torch.stack([known[key] for key in keys]) if keys else torch.zeros(0, len(self.targets))

    def _end(self, kept: bool) -> bytes:
        return torch.full((len(self.units),), kept).numpy().tobytes()

    def _spend(self, rows: int) -> None:
        if self.max_rows is not None and self.rows + rows > self.max_rows:
            raise BudgetError(
                f"{self.rows + rows} rows of the model would be needed for this text and max_rows is {self.max_rows}; "
                "raise it, lower `samples` or `steps`, or take larger units."
            )
        self._memory.rows += rows


def _spread(x: Float[Tensor, "f d"], baseline: Float[Tensor, "f d"]) -> float:
    found = float((x - x.mean(0)).square().mean().sqrt()) if len(x) > 1 else 0.0
    return found or float((x - baseline).square().mean().sqrt())


def ask(
    function: Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p k"]],
    x: Float[Tensor, "f d"],
    baseline: Float[Tensor, "f d"] | None = None,
    names: Sequence[str] | None = None,
) -> Question:
    """A question about a plain function: each feature is a unit, each column of scores a target.

    Args:
        function: from features (p, f, d) to scores (p, k), differentiable.
        x: the features.
        baseline: what stands for an absent feature; zeros by default.
        names: the words of the units.
    """
    absent = torch.zeros_like(x) if baseline is None else baseline
    words = list(names) if names is not None else [f"x{i}" for i in range(len(x))]
    starts = [sum(len(w) + 1 for w in words[:i]) for i in range(len(words))]
    units = [Unit(word, start, start + len(word)) for word, start in zip(words, starts, strict=True)]
    owners = torch.arange(len(x))
    with torch.no_grad():
        count = function(x[None]).shape[1]
    targets = [Target(f"y{k}", k) for k in range(count)]
    runner = FunctionRunner(function, x, absent, owners)
    return Question(runner, x=x, baseline=absent, unit_of=owners, units=units, targets=targets, text=" ".join(words))
