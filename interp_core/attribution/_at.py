"""Targets of a tagger: the tag at one place in the text."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution._contrast import Contrast
from interp_core.plugin import named_options


@dataclass(frozen=True)
class At:
    """A target of a tagger, as made by `at`: the tag at one place in the text.

    Attributes:
        where: a word or phrase (its first occurrence in the text), or a character span [start, stop).
        label: a tag by name or number, a `Contrast` of two tags, or None for the predicted tag.

    Examples:
        >>> from interp_core.attribution import At
        >>> interp.at("Paris", "LOC") == At(where="Paris", label="LOC")
        True
    """

    where: str | tuple[int, int]
    label: int | str | Contrast | None = None


@named_options
def at(where: str | tuple[int, int], label: int | str | Contrast | None = None) -> At:
    """Name a target of a tagger (token classifier): the tag at one place in the text.

    Args:
        where: a word or phrase (its first occurrence in the text), or a character span [start, stop). A place that
            spans several words is a single target.
        label: a tag by name or number, a `contrast` of two tags, or None for the predicted tag.

    Returns:
        A value for `targets=` of `attribute`.

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
