"""Readouts, which map the logits of a head to one score for each target.

This is the last module that depends on the task: scores look the same for a classifier and for a generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from interp_core.errors import TargetError, UnsupportedError, unknown
from interp_core.model._heads import GENERATORS, VOCABULARY, Head
from interp_core.model._log_odds import Shares, log_odds, shares
from jaxtyping import Bool, Float
from torch import Tensor

Space = Literal["logit", "probability", "log-probability", "log-odds", "entropy"]
SPACES: tuple[Space, ...] = ("logit", "probability", "log-probability", "log-odds", "entropy")
Function = Callable[[Tensor], Tensor]
Classes = str | tuple[str, ...]  # the class of a text; its classes, of a multi-label head


@dataclass(frozen=True)
class Target:
    """A target of an explanation: one number of the model's output.

    Attributes:
        label: the name that a reader sees, such as `"joy"`, `"joy - love"` or the generated token.
        index: the number of the class, or the vocabulary id of the token; -1 if neither defines the target.
        position: for heads with a prediction at each token, the position of the explained token in the sequence; its
            score is read where it is predicted. For extractive question answering, 0 for the start and 1 for the stop
            of the answer. None for a target of the whole text.
        against: the class or id whose score is subtracted (a contrast), or None.
        function: for a score of your own, a function from logits (p, …) to scores (p).
        parts: for a span of several tokens, the target of each. Logits, log-probabilities and entropies are summed,
            probabilities are multiplied; log-odds are those of the product of the probabilities.

    Examples:
        >>> from interp_core.model import Target
        >>> span = Target("New York", parts=(Target("New", 7, position=2), Target("York", 8, position=3)))
        >>> span.positions
        (2, 3)
    """

    label: str
    index: int = -1
    position: int | None = None
    against: int | None = None
    function: Function | None = None
    parts: tuple[Target, ...] = ()

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions of the tokens that are explained; empty for a target of the whole text."""
        own = () if self.position is None else (self.position,)
        return (*own, *(position for part in self.parts for position in part.positions))


@dataclass(frozen=True)
class Readout:
    """The map from the logits of one text to the scores of its targets, as made by `readout_of`.

    Attributes:
        targets: the k targets.
        space: the score space; entropies are in nats.
        head: the type of head that the logits come from.

    Examples:
        The second of two classes, and its difference to the first, as probabilities and as logits:

        >>> from interp_core.model import Readout, Target
        >>> targets = Target("joy", 1), Target("joy - love", 1, against=0)
        >>> Readout(targets, "probability", "single-label")(torch.tensor([[0.0, 0.0]]))
        tensor([[0.5000, 0.0000]])
        >>> Readout(targets, "logit", "single-label")(torch.tensor([[1.0, 3.0], [2.0, 2.0]]))
        tensor([[3., 2.],
                [2., 0.]])
    """

    targets: tuple[Target, ...]
    space: Space
    head: Head

    @property
    def alone(self) -> bool:
        """Whether there is a single target, so that one backward pass gives all gradients."""
        return len(self.targets) == 1

    @property
    def gathers(self) -> bool:
        """Whether logits are computed only at `positions`, as for heads over the vocabulary."""
        return self.head in VOCABULARY

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions at which logits are read, in ascending order; empty for heads with one prediction a text."""
        return tuple(sorted({position - self.before for t in self.targets for position in t.positions}))

    def __call__(self, logits: Float[Tensor, "p *m v"]) -> Float[Tensor, "p k"]:
        """The scores of p rows.

        Args:
            logits: (p, v) for a classifier, (p, 2, t) for extractive question answering, else (p, m, v). Where
                `gathers` is True, m is the number of `positions` (further rows are ignored), else of tokens.

        Returns:
            The scores, in the order of the targets.

        Raises:
            TargetError: the function of a target does not return one number for each row.
        """
        logits = logits.float()
        scaled = to_space(logits, self.space, self.head)
        return torch.stack([self._score(logits, scaled, target) for target in self.targets], dim=1)

    def deciding(self) -> Readout:
        """Make a readout of the model's decisions instead of scores.

        Returns:
            A readout that gives for each target the class or token that the model would choose; for a class of a
            multi-label head, 1 if it would be predicted, else 0; for a span, 1 if all its tokens would be, else 0.

        Raises:
            TargetError: the head is a regression, which makes no decision.
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
        """The number of positions before its token at which a score is read: 1 for generators, else 0."""
        return 1 if self.head in GENERATORS else 0

    def _score(self, logits: Tensor, scaled: Tensor, target: Target) -> Tensor:
        if target.parts:
            decides = all(part.function is not None for part in target.parts)
            if self.space == "log-odds" and not decides:
                return log_odds([self._shares(logits, part) for part in target.parts])
            several = torch.stack([self._score(logits, scaled, part) for part in target.parts])
            return several.prod(0) if self.space == "probability" or decides else several.sum(0)
        logits, scaled = self._at(logits, target), self._at(scaled, target)
        if target.function is not None:
            try:
                scores = target.function(logits)
            except (IndexError, RuntimeError, TypeError, ValueError) as error:
                raise TargetError(
                    f"the function {target.label!r} failed: {error}; it gets logits {tuple(logits.shape)}, a row for "
                    "each variant of the text, and returns one number for each row."
                ) from error
            if not isinstance(scores, Tensor):
                raise TargetError(f"the function {target.label!r} gave {type(scores).__name__}; a tensor was expected.")
            if scores.numel() != len(logits):
                raise TargetError(
                    f"the function {target.label!r} gave {tuple(scores.shape)} for logits {tuple(logits.shape)}; one "
                    "number for each row was expected."
                )
            return scores.reshape(len(logits))
        if self.space == "log-odds" and self.head != "multi-label":
            sides = [target.index] if target.against is None else [target.index, target.against]
            odds = [log_odds([shares(logits, side)]) for side in sides]
            return odds[0] if target.against is None else odds[0] - odds[1]
        if target.against is None:
            return scaled[:, target.index]
        return scaled[:, target.index] - scaled[:, target.against]

    def _at(self, values: Tensor, target: Target) -> Tensor:
        """Of values at each position those that a target is read from."""
        if target.position is None:
            return values
        position = target.position - self.before
        return values[:, self.positions.index(position) if self.gathers else position]

    def _shares(self, logits: Tensor, part: Target) -> Shares:
        """The shares of one part of a target.

        Raises:
            TargetError: the part is a function, which has no probability.
        """
        if part.function is not None:
            raise TargetError(f"the function {part.label!r} has no probability, so score='log-odds' has no meaning.")
        return shares(self._at(logits, part), part.index)


def _chosen(index: int) -> Function:
    return lambda logits: (logits.argmax(-1) == index).float()


def to_space(logits: Float[Tensor, "*b v"], space: Space, head: Head) -> Float[Tensor, "*b v"]:
    """Logits in another score space: softmax over classes, tags, tokens or vocabulary; sigmoid for multi-label heads.

    The entropy (nats) is that of the whole distribution, repeated for each class; for a multi-label head that of each.
    """
    if space in ("logit", "log-odds") or head == "regression":  # log-odds are those of a target, see `log_odds`
        return logits
    if head == "multi-label":
        yes, no = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
        if space == "entropy":
            return -(yes.exp() * yes + no.exp() * no)
        return yes if space == "log-probability" else yes.exp()
    log = logits.log_softmax(-1)
    if space == "entropy":
        finite = log.masked_fill(log == -torch.inf, 0)  # padding, in extractive question answering
        return -(log.exp() * finite).sum(-1, keepdim=True).expand_as(log)
    return log if space == "log-probability" else log.exp()


def readout_of(targets: tuple[Target, ...], score: str, head: Head) -> Readout:
    """Make the readout of targets in a score space, after checking both.

    Args:
        targets: the k targets.
        score: `"logit"`, `"probability"`, `"log-probability"`, `"log-odds"` (log p - log(1 - p), where p is the
            probability of the whole target), `"entropy"` (nats, of the whole distribution), or `"auto"`:
            log-probability where a token of the vocabulary is predicted, else logit.
        head: the type of head.

    Returns:
        The readout. With `"entropy"`, the classes of a single-label head share one target, so k is 1.

    Raises:
        TargetError: the space is unknown, or not defined for a regression or a contrast.

    Examples:
        >>> from interp_core.model import Target, readout_of
        >>> readout = readout_of((Target("negative", 0), Target("positive", 1)), "entropy", "single-label")
        >>> readout(torch.tensor([[0.0, 0.0]]))  # ln 2
        tensor([[0.6931]])
        >>> readout_of((Target("happy", 9, position=3),), "auto", "causal").space
        'log-probability'
    """
    space = check_space(score, head)
    if space == "entropy" and any(t.against is not None for t in targets):
        raise TargetError("the entropy is that of the whole distribution, so two classes have no contrast in it.")
    if space in ("entropy", "probability", "log-odds") and any(
        part.against is not None for t in targets for part in t.parts
    ):
        raise TargetError(f"a contrast of several words has no {space}; use score='logit' or 'log-probability'.")
    if space == "entropy" and head == "single-label" and not any(t.function for t in targets):
        targets = (Target("entropy", 0),)
    return Readout(targets, space, head)


def check_space(space: str, head: Head) -> Space:
    """The score space; `"auto"` is log-probability where a token of the vocabulary is predicted, else logit.

    Raises:
        TargetError: an unknown space, or one other than logit for a regression.
    """
    if space == "auto":
        return "log-probability" if head in VOCABULARY else "logit"
    if space not in SPACES:
        raise TargetError(unknown("score", space, ("auto", *SPACES)))
    if head == "regression" and space != "logit":
        raise TargetError(f"score={space!r} was asked for, but a regression has no probabilities; use score='logit'.")
    return space


def predicted(logits: Float[Tensor, " v"] | None, head: Head) -> list[int]:
    """Find the predicted classes of a classifier.

    Args:
        logits: (v) the logits of one text, one for each of v classes.
        head: the type of head.

    Returns:
        The number of the class, or output of a regression, with the highest logit. For a multi-label head, the numbers
        of all classes with a probability above 1/2, or of the most probable class if there are none.

    Raises:
        TargetError: there are no logits.

    Examples:
        >>> from interp_core.model import predicted
        >>> logits = torch.tensor([0.1, 2.0, -1.0])
        >>> predicted(logits, "single-label"), predicted(logits, "multi-label")
        ([1], [0, 1])
    """
    if logits is None:
        raise TargetError("the predicted class needs the logits of the text; name the targets instead.")
    if head == "multi-label":
        above: list[int] = torch.nonzero(logits > 0).flatten().tolist()
        return above or [int(logits.argmax())]
    return [int(logits.argmax())]


def answer_of(
    logits: Float[Tensor, " v"], labels: Sequence[str], head: Head
) -> tuple[Classes, float | tuple[float, ...]]:
    """Find the answer of a classifier and its probability.

    Args:
        logits: (v) the logits of the text, one for each of v classes.
        labels: the names of the classes.
        head: `"single-label"` or `"multi-label"`.

    Returns:
        The name of the predicted class and its probability; for a multi-label head, a tuple of each for the classes
        with a probability above 1/2.

    Examples:
        >>> from interp_core.model import answer_of
        >>> answer_of(torch.tensor([0.0, 0.0, 10.0]), ("anger", "fear", "joy"), "single-label")[0]
        'joy'
        >>> answer_of(torch.tensor([0.0, 2.0, 10.0]), ("anger", "fear", "joy"), "multi-label")[0]
        ('fear', 'joy')
    """
    if head == "multi-label":
        given = torch.nonzero(logits > 0).flatten().tolist()
        return tuple(labels[i] for i in given), tuple(logits[given].float().sigmoid().tolist())
    best = int(logits.argmax())
    return labels[best], float(logits.float().softmax(-1)[best])


def logits_of(output: Any, attention: Bool[Tensor, "p t"] | None = None) -> Tensor | None:
    """The logits in a model's output: (p, v), or (p, m, v) for a prediction at each token; None if there are none.

    A module of one's own may return them as they are, as the first of a tuple, or by the name `logits` in a dictionary
    or as an attribute. For extractive question answering they are (p, 2, t), start and stop over the tokens; tokens
    that `attention` (p, t) hides have -inf.
    """
    if isinstance(output, Tensor):
        return output
    if not hasattr(output, "get"):
        first = output[0] if isinstance(output, tuple | list) and output else None
        named = getattr(output, "logits", first)
        return named if isinstance(named, Tensor) else None
    start, stop = output.get("start_logits"), output.get("end_logits")
    if isinstance(start, Tensor) and isinstance(stop, Tensor):
        both = torch.stack([start, stop], dim=1)
        return both if attention is None else both.masked_fill(~attention.to(both.device)[:, None], -torch.inf)
    logits = output.get("logits")
    return logits if isinstance(logits, Tensor) else None


@dataclass(frozen=True)
class ForwardPass:
    """The results of one pass.

    Attributes:
        output: what the model returned.
        logits_or_none: the logits in it, see `logits_of`.
        hidden: the states of the modules that were read, with padding.
        mask: True for the tokens that these states are of.
    """

    output: Any
    logits_or_none: Tensor | None
    hidden: Tensor | None
    mask: Tensor

    @property
    def logits(self) -> Tensor:
        """The logits.

        Raises:
            UnsupportedError: the model returned none.
        """
        if self.logits_or_none is None:
            raise UnsupportedError("this model gives no logits, so there is nothing to explain.")
        return self.logits_or_none

    def hidden_of(self, row: int) -> Tensor | None:
        """The states that were read of one row, without padding."""
        if self.hidden is None:
            return None
        if self._lengths:
            return self.hidden[row, : self._lengths[row]].detach()
        return self.hidden[row][self.mask[row].to(self.hidden.device)].detach()

    @cached_property
    def _lengths(self) -> list[int]:
        """The tokens of each row if all padding is at the right, as a rule."""
        lengths = self.mask.sum(1)
        at_the_left = torch.arange(self.mask.shape[1]) < lengths[:, None].cpu()
        return lengths.tolist() if torch.equal(self.mask.cpu(), at_the_left) else []
