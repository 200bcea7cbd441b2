"""A target that is the tag of one place in the text."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution._contrast import Contrast
from interp_core.plugin import named_options


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


@named_options
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
