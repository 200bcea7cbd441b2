"""What is explained: from a head's logits to one score a target.

The task stops here. Nothing after this module knows whether a score came from a classifier or from a generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from interp_core.errors import TargetError
from interp_core.model._heads import GENERATORS, VOCABULARY, Head
from jaxtyping import Float
from torch import Tensor

Space = Literal["logit", "probability", "log-probability", "entropy"]
SPACES: tuple[Space, ...] = ("logit", "probability", "log-probability", "entropy")
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Target:
    """One number of the output that is explained.

    Attributes:
        label: what a reader sees, such as `"joy"`, `"joy - love"` or the token that is generated.
        index: the class, or the vocabulary id of the token.
        position: where an answer for each token is given, which token of the input is explained; the score is read
            where it is predicted. Of an extracted answer 0 for its start, 1 for its stop.
        against: the class or id whose score is taken off (a contrast).
        function: for an output of one's own, from logits (p, …) to scores (p).
        parts: for a span of several tokens, their targets: log-probabilities, logits and entropies add up,
            probabilities multiply.
    """

    label: str
    index: int = -1
    position: int | None = None
    against: int | None = None
    function: Function | None = None
    parts: tuple[Target, ...] = ()

    @property
    def positions(self) -> tuple[int, ...]:
        """The tokens that are explained."""
        own = () if self.position is None else (self.position,)
        return (*own, *(position for part in self.parts for position in part.positions))


@dataclass(frozen=True)
class Readout:
    """From logits to the scores of the targets of one text.

    Attributes:
        targets: k targets.
        space: the score space.
        head: how the logits are read.
    """

    targets: tuple[Target, ...]
    space: Space
    head: Head

    @property
    def gathers(self) -> bool:
        """Whether only the states at `positions` reach the vocabulary head."""
        return self.head in VOCABULARY

    @property
    def positions(self) -> tuple[int, ...]:
        """Where in the sequence the logits are needed; empty for heads that give one row a text."""
        return tuple(sorted({position - self.before for t in self.targets for position in t.positions}))

    def __call__(self, logits: Float[Tensor, "p *m v"]) -> Float[Tensor, "p k"]:
        """The scores, in the order of the targets.

        Args:
            logits: (p, v) of a classifier; (p, m, v) with a row for each of `positions` at least where the head
                gathers, and for each token otherwise.
        """
        logits = logits.float()
        spread = to_space(logits, self.space, self.head)
        return torch.stack([self._score(logits, spread, target) for target in self.targets], dim=1)

    def deciding(self) -> Readout:
        """The same targets with the model's own decision in place of each score: the class or token it would choose;
        of a class of several 1 or 0, and of a span 1 where all of its tokens would be chosen.

        Raises:
            TargetError: a regression decides nothing.
        """
        if self.head == "regression":
            raise TargetError("a regression decides nothing, so no decision can flip.")
        return replace(self, targets=tuple(self._decision(t) for t in self.targets))

    def _decision(self, target: Target) -> Target:
        if target.parts:
            parts = tuple(self._decision(part) for part in target.parts)
            return Target(target.label, parts=tuple(replace(p, function=_chosen(p.index)) for p in parts))
        if self.head == "multi-label":
            return replace(target, function=lambda logits: (logits[:, target.index] > 0).float())
        return replace(target, function=lambda logits: logits.argmax(-1).float())

    @property
    def before(self) -> int:
        """How many tokens before the one it is about a score is read."""
        return 1 if self.head in GENERATORS else 0

    def _score(self, logits: Tensor, spread: Tensor, target: Target) -> Tensor:
        if target.parts:
            several = torch.stack([self._score(logits, spread, part) for part in target.parts])
            decides = all(part.function is not None for part in target.parts)
            return several.prod(0) if self.space == "probability" or decides else several.sum(0)
        if target.position is not None:
            where = target.position - self.before
            row = self.positions.index(where) if self.gathers else where
            logits, spread = logits[:, row], spread[:, row]
        if target.function is not None:
            found = target.function(logits)
            if found.numel() != len(logits):
                raise TargetError(
                    f"the function {target.label!r} gave {tuple(found.shape)} for logits {tuple(logits.shape)}; one "
                    "number for each row was expected."
                )
            return found.reshape(len(logits))
        if target.against is None:
            return spread[:, target.index]
        return spread[:, target.index] - spread[:, target.against]


def _chosen(index: int) -> Function:
    return lambda logits: (logits.argmax(-1) == index).float()


def to_space(logits: Float[Tensor, "*b v"], space: Space, head: Head) -> Float[Tensor, "*b v"]:
    """Logits in another score space: softmax over classes, tags, tokens or vocabulary; sigmoid for multi-label heads.

    The entropy (nats) is that of the whole distribution, the same for each class; of a multi-label head that of each.
    """
    if space == "logit" or head == "regression":
        return logits
    if head == "multi-label":
        yes, no = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
        if space == "entropy":
            return -(yes.exp() * yes + no.exp() * no)
        return yes if space == "log-probability" else yes.exp()
    log = logits.log_softmax(-1)
    if space == "entropy":
        finite = log.masked_fill(log == -torch.inf, 0)  # padding, of an answer extracted from the text
        return -(log.exp() * finite).sum(-1, keepdim=True).expand_as(log)
    return log if space == "log-probability" else log.exp()


def readout_of(targets: tuple[Target, ...], score: str, head: Head) -> Readout:
    """How these targets are read in a score space.

    Raises:
        TargetError: what this head or these targets do not have in that space.
    """
    space = check_space(score, head)
    if space == "entropy" and any(t.against is not None for t in targets):
        raise TargetError("the entropy is of the whole distribution, so two classes have no contrast in it.")
    if space in ("entropy", "probability") and any(part.against is not None for t in targets for part in t.parts):
        raise TargetError(f"a contrast of several words has no {space}; use score='logit' or 'log-probability'.")
    if space == "entropy" and head == "single-label" and not any(t.function for t in targets):
        targets = (Target("entropy", 0),)
    return Readout(targets, space, head)


def check_space(space: str, head: Head) -> Space:
    """The score space to use: what was asked for, or log-probability where a token is the answer and logit elsewhere.

    Raises:
        TargetError: an unknown space, or a probability of a regression.
    """
    if space == "auto":
        return "log-probability" if head in VOCABULARY else "logit"
    if space not in SPACES:
        raise TargetError(f"score {space!r} is unknown; it is one of {', '.join(SPACES)}.")
    if head == "regression" and space != "logit":
        raise TargetError(f"score={space!r} was asked for, but a regression has no probabilities; use score='logit'.")
    return space


def predicted(logits: Float[Tensor, " v"] | None, head: Head) -> list[int]:
    """The classes a classifier answers: the best one; of a multi-label head all above one half, or else the best; the
    greatest output of a regression.
    """
    if logits is None:
        raise TargetError("the predicted class needs the logits of the text; name the targets instead.")
    if head == "multi-label":
        above: list[int] = torch.nonzero(logits > 0).flatten().tolist()
        return above or [int(logits.argmax())]
    return [int(logits.argmax())]
