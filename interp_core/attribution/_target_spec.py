"""What a caller can write as `targets=` beside names and numbers: a contrast, and a place in a text."""

from __future__ import annotations

from dataclasses import dataclass


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
