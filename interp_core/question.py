"""One question: units a person can read, targets, features, a baseline, and one function from features to scores.

Tokens, a hidden layer, or the concepts of a text are three ways to build a `Question` (see `builders`); a method sees
no difference.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from interp_core.errors import BudgetError, InputError
from interp_core.functions import FunctionRunner, Runner
from interp_core.targets import Target
from interp_core.text import NO_UNIT, Unit
from jaxtyping import Bool, Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from interp_core.internals import Internals

Offer = str


class Question:
    """Why does the model give these scores to these units?

    Attributes:
        text: what the units are pieces of.
        units: u units.
        targets: k targets.
        x: the features (f, d), float32, on the device where they are computed.
        baseline: what stands for an absent feature (f, d).
        unit_of: the unit of each feature (f), -1 for one that is never removed.
        applicable: (k, u) False where a unit cannot matter to a target, such as text after the token that is explained.
        internals: what goes on inside the model, for methods that need it; None without a model.
        offers: what a method may ask for beside: `gradients`.
        removal: how an absent unit is made absent, for the record.
        background: (r, d) vectors that a feature might as well have been, such as embeddings from the vocabulary; None
            where only the baseline is known.
        spread: the size of noise of share 1: the standard deviation of a coordinate over the model's embeddings; at a
            layer, or without a model, over the features themselves.
        max_rows: the most rows of the model that may be evaluated for this question; None for no limit.
        rows: how many have been, repeats not counted.
    """

    def __init__(
        self,
        runner: Runner,
        x: Float[Tensor, "f d"],
        baseline: Float[Tensor, "f d"],
        unit_of: Int[Tensor, " f"],
        units: Sequence[Unit],
        targets: Sequence[Target],
    ) -> None:
        if not units:
            raise InputError("a question needs at least one unit.")
        self._runner = runner
        self._known: dict[bytes, Tensor] = {}
        self._decided: dict[bytes, Tensor] = {}
        self.x, self.baseline, self.unit_of = x, baseline, unit_of
        self.units, self.targets = tuple(units), tuple(targets)
        self.text = ""
        self.applicable = torch.ones(len(self.targets), len(self.units), dtype=torch.bool)
        self.offers: frozenset[Offer] = frozenset({"gradients"})
        self.removal = "baseline"
        self.notes: tuple[str, ...] = ()
        self.background: Tensor | None = None
        self.internals: Internals | None = None
        self.spread = _spread(x, baseline)
        self.max_rows: int | None = None
        self.rows = 0

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """The scores of p variants of the features; differentiable where `x` requires a gradient."""
        self._spend(len(x))
        return self._runner.at(x.to(self.x.device))

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        """The scores of p variants in which the units not kept are removed. No variant is evaluated twice.

        Returns:
            On the CPU, float32, detached.
        """
        if keep.shape[1] != len(self.units):
            raise InputError(f"keep has {keep.shape[1]} columns; this question has {len(self.units)} units.")
        return self._once(self._known, keep, self._runner.masked)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """For each of p variants the slopes of all scores; streamed, so that memory does not grow with p."""
        self._spend(len(x))
        return self._runner.gradients(x.to(self.x.device))

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
        ends = sum(self._end(kept) not in self._known for kept in (True, False))
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
        return self._once(self._decided, keep, self._runner.decides).long()

    def moved(self, x: Float[Tensor, "f d"]) -> Question:
        """The same question about other features; what is removed becomes the same baseline."""
        found = copy.copy(self)
        found._runner, found.x, found._known, found._decided = self._runner.moved(x), x, {}, {}
        return found

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

    def remember(self, scores: Float[Tensor, " k"]) -> None:
        """Take the scores of the intact text from a pass that has been made already."""
        self._known[self._end(True)] = scores.detach().float().cpu()

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
        self.rows += rows


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
    question = Question(FunctionRunner(function, x, absent, owners), x, absent, owners, units, targets)
    question.text = " ".join(words)
    return question
