"""How a caller says what is to be explained, and the targets of a classifier that are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interp_core.errors import TargetError
from interp_core.model import Head, Target, predicted
from interp_core.text import class_index
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class At:
    """A target of a tagger: the tag of one place in the text. Made by `at`.

    Attributes:
        where: a word (its first occurrence in the text), or characters [start, stop).
        label: a tag by name or number, a `Contrast` of two tags, or None for the tag that the model gives.

    Examples:
        >>> from interp_core.attribution import At
        >>> interp.at("Paris", "LOC") == At(where="Paris", label="LOC")
        True
    """

    where: str | tuple[int, int]
    label: int | str | Contrast | None = None


@dataclass(frozen=True)
class Contrast:
    """A target that is a difference: why `chosen` rather than `other`? Made by `contrast`.

    Attributes:
        chosen: a class, a tag or a next token, by name or number; its score counts positively.
        other: what it is compared with; its score is subtracted.

    Examples:
        >>> from interp_core.attribution import Contrast
        >>> interp.contrast("joy", "love") == Contrast(chosen="joy", other="love")
        True
    """

    chosen: int | str
    other: int | str


def contrast(chosen: int | str, other: int | str) -> Contrast:
    """A target whose score is score(chosen) - score(other).

    Args:
        chosen: a class, a tag or a next token, by name or number.
        other: what it is compared with.

    Returns:
        A value for `targets=`.

    Examples:
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (attribution,) = interp.attribute(
        ...     model, "so happy", by="occlusion", targets=interp.contrast(0, "class 1"), progress=False
        ... )
        >>> attribution.targets[0].label, attribution.scores.tolist()
        ('class 0 - class 1', [[0.0, 4.0]])
    """
    return Contrast(chosen, other)


def at(where: str | tuple[int, int], label: int | str | Contrast | None = None) -> At:
    """A target of a model that labels tokens: the tag of one place in the text.

    Args:
        where: a word (its first occurrence in the text), or characters [start, stop). Several words are one target.
        label: a tag by name or number, a `contrast` of two tags, or None for the tag that the model gives.

    Returns:
        A value for `targets=`.

    Examples:
        >>> from interp_core.testing import tiny_tagger
        >>> targets = interp.at("sun", "LOC"), interp.at("sun", interp.contrast("LOC", "PER"))
        >>> (attribution,) = interp.attribute(
        ...     tiny_tagger(), "the sun was warm", by="occlusion", targets=targets, progress=False
        ... )
        >>> [target.label for target in attribution.targets]
        ['sun: LOC', 'sun: LOC - PER']
    """
    return At(where, label)


def class_targets(
    asked: Any, labels: Sequence[str], head: Head, logits: Float[Tensor, " v"] | None
) -> tuple[Target, ...]:
    """The targets of a classifier that a caller means.

    Args:
        asked: None or `"predicted"`, `"all"`, a class by name or number, a `Contrast`, a `Target`, a function of the
            logits, or a list of these.
        labels: the names of the v classes.
        head: the type of the classifier's head.
        logits: (v) the logits of the unchanged text; needed only for the predicted class.

    Returns:
        The targets, in order. The predicted classes of a multi-label head may be several.

    Raises:
        TargetError: a class that does not exist, a contrast of a class with itself, an empty list, or the predicted
            class without logits.

    Examples:
        >>> from interp_core.attribution import class_targets
        >>> labels = ("sad", "calm", "glad")
        >>> (target,) = class_targets(None, labels, "single-label", torch.tensor([0.5, 2.0, -1.0]))
        >>> target.label
        'calm'
        >>> targets = class_targets(["glad", interp.contrast(2, 0)], labels, "single-label", None)
        >>> [t.label for t in targets]
        ['glad', 'glad - sad']
    """
    if asked is None or (isinstance(asked, str) and asked == "predicted" and "predicted" not in labels):
        return tuple(Target(labels[i], i) for i in predicted(logits, head))
    if isinstance(asked, str) and asked == "all" and "all" not in labels:
        return tuple(Target(label, i) for i, label in enumerate(labels))
    several = asked.tolist() if hasattr(asked, "tolist") else asked
    if isinstance(several, Sequence) and not isinstance(several, str):
        targets = tuple(t for one in several for t in class_targets(one, labels, head, logits))
        if not targets:
            raise TargetError("the list of targets is empty; name at least one class.")
        return targets
    return (_class_target(several, labels),)


def _class_target(target_spec: Any, labels: Sequence[str]) -> Target:
    if isinstance(target_spec, Target):
        if target_spec.function is None:
            class_index(target_spec.index, labels)
        return target_spec
    if isinstance(target_spec, Contrast):
        chosen, other = class_index(target_spec.chosen, labels), class_index(target_spec.other, labels)
        if chosen == other:
            raise TargetError(f"the contrast of {labels[chosen]!r} with itself is always 0; name two classes.")
        return Target(f"{labels[chosen]} - {labels[other]}", chosen, against=other)
    if callable(target_spec):
        return Target(getattr(target_spec, "__name__", "function"), function=target_spec)
    index = class_index(target_spec, labels)
    return Target(labels[index], index)
