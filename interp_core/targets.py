"""What is explained: from a head's logits to one score a target.

The task stops here. Nothing after this module knows whether a score came from a classifier or from a generator.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from interp_core.errors import TargetError
from jaxtyping import Float
from torch import Tensor

Head = Literal["single-label", "multi-label", "regression", "causal", "other"]
Space = Literal["logit", "probability", "log-probability"]
SPACES: tuple[Space, ...] = ("logit", "probability", "log-probability")
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Target:
    """One number of the output that is explained.

    Attributes:
        label: what a reader sees, such as `"joy"`, `"joy - love"` or the token that is generated.
        index: the class, or the vocabulary id of the token.
        position: for generation, which token of the input is explained: the score is read where it is predicted.
        against: the class or id whose score is taken off (a contrast).
        function: for an output of one's own, from logits (p, …) to scores (p).
    """

    label: str
    index: int = -1
    position: int | None = None
    against: int | None = None
    function: Function | None = None


@dataclass(frozen=True)
class Contrast:
    """Ask why `chosen` rather than `other`; names or numbers of classes, or two next tokens."""

    chosen: int | str
    other: int | str


def contrast(chosen: int | str, other: int | str) -> Contrast:
    """A target whose score is score(chosen) - score(other)."""
    return Contrast(chosen, other)


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
    def positions(self) -> tuple[int, ...]:
        """Where in the sequence the logits are needed; empty for heads that give one row a text."""
        return tuple(sorted({t.position - 1 for t in self.targets if t.position is not None}))

    def __call__(self, logits: Float[Tensor, "p *m v"]) -> Float[Tensor, "p k"]:
        """The scores, in the order of the targets.

        Args:
            logits: (p, v) of a classifier, or (p, m, v) at `positions` of a generator.
        """
        if not self.positions:
            return self._scores(logits, self.targets)
        columns = []
        for target in self.targets:
            row = self.positions.index((target.position or 0) - 1)
            columns.append(self._scores(logits[:, row], (target,)))
        return torch.cat(columns, dim=1)

    def _scores(self, logits: Tensor, targets: Sequence[Target]) -> Tensor:
        spread = to_space(logits.float(), self.space, self.head)
        columns = []
        for target in targets:
            if target.function is not None:
                columns.append(target.function(logits.float()).reshape(len(logits)))
            elif target.against is None:
                columns.append(spread[:, target.index])
            else:
                columns.append(spread[:, target.index] - spread[:, target.against])
        return torch.stack(columns, dim=1)


def to_space(logits: Float[Tensor, "*b v"], space: Space, head: Head) -> Float[Tensor, "*b v"]:
    """Logits in another score space: softmax over classes or vocabulary, sigmoid for multi-label heads."""
    if space == "logit" or head == "regression":
        return logits
    if head == "multi-label":
        return torch.nn.functional.logsigmoid(logits) if space == "log-probability" else logits.sigmoid()
    return logits.log_softmax(-1) if space == "log-probability" else logits.softmax(-1)


def check_space(space: str, head: Head) -> Space:
    """The score space to use: what was asked for, or logit for classifiers and log-probability for generators.

    Raises:
        TargetError: an unknown space, or a probability of a regression.
    """
    if space == "auto":
        return "log-probability" if head == "causal" else "logit"
    if space not in SPACES:
        raise TargetError(f"score {space!r} is unknown; it is one of {', '.join(SPACES)}.")
    if head == "regression" and space != "logit":
        raise TargetError(f"score={space!r} was asked for, but a regression has no probabilities; use score='logit'.")
    return space


def class_targets(
    asked: Any, labels: Sequence[str], head: Head, logits: Float[Tensor, " v"] | None
) -> tuple[Target, ...]:
    """The targets a caller means, for a classifier.

    Args:
        asked: None or `"predicted"`, `"all"`, a class by name or number, a `Contrast`, a `Target`, a function of the
            logits, or a list of these.
        labels: the names of the classes.
        head: kind of classifier.
        logits: those of the intact text, needed for the predicted class alone.

    Raises:
        TargetError: a class that is not there.
    """
    if asked is None or (isinstance(asked, str) and asked == "predicted" and "predicted" not in labels):
        return tuple(Target(labels[i], i) for i in predicted(logits, head))
    if isinstance(asked, str) and asked == "all" and "all" not in labels:
        return tuple(Target(label, i) for i, label in enumerate(labels))
    several = asked.tolist() if hasattr(asked, "tolist") else asked
    if isinstance(several, Sequence) and not isinstance(several, str):
        found = tuple(t for one in several for t in class_targets(one, labels, head, logits))
        if not found:
            raise TargetError("the list of targets is empty; name at least one class.")
        return found
    return (_class_target(several, labels),)


def _class_target(asked: Any, labels: Sequence[str]) -> Target:
    if isinstance(asked, Target):
        if asked.function is None:
            class_index(asked.index, labels)
        return asked
    if isinstance(asked, Contrast):
        chosen, other = class_index(asked.chosen, labels), class_index(asked.other, labels)
        if chosen == other:
            raise TargetError(f"the contrast of {labels[chosen]!r} with itself is always 0; name two classes.")
        return Target(f"{labels[chosen]} - {labels[other]}", chosen, against=other)
    if callable(asked):
        return Target(getattr(asked, "__name__", "function"), function=asked)
    index = class_index(asked, labels)
    return Target(labels[index], index)


def class_index(asked: Any, labels: Sequence[str]) -> int:
    """The number of a class given by name or number.

    Raises:
        TargetError: there is no such class; the message lists those that are.
    """
    named = f"this classifier has {len(labels)} label{'s' * (len(labels) != 1)} ({', '.join(labels[:20])})"
    if isinstance(asked, str):
        if asked in labels:
            return list(labels).index(asked)
        near = difflib.get_close_matches(asked, labels, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TargetError(f"target {asked!r} is not a label: {named}.{hint}")
    if isinstance(asked, bool) or not hasattr(asked, "__index__"):
        raise TargetError(f"target {asked!r} is neither a class name nor a number: {named}.")
    index = int(asked.__index__())
    if not 0 <= index < len(labels):
        raise TargetError(f"target {index} is out of range: {named}.")
    return index


def predicted(logits: Float[Tensor, " v"] | None, head: Head) -> list[int]:
    """The classes a classifier answers: the best one; of a multi-label head all above one half, or else the best."""
    if logits is None:
        raise TargetError("the predicted class needs the logits of the text; name the targets instead.")
    if head == "multi-label":
        above: list[int] = torch.nonzero(logits > 0).flatten().tolist()
        return above or [int(logits.argmax())]
    return [0] if head == "regression" else [int(logits.argmax())]
