"""Contrastive targets: why this class or token rather than that one?"""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.errors import TargetError
from interp_core.plugin import named_options


@dataclass(frozen=True)
class Contrast:
    """A contrastive target, as made by `contrast`: why `chosen` rather than `other`?

    Attributes:
        chosen: a class, a tag or a next token, by name or number.
        other: the class, tag or token whose score is subtracted.

    Examples:
        >>> from interp_core.attribution import Contrast
        >>> interp.contrast("joy", "love") == Contrast(chosen="joy", other="love")
        True
    """

    chosen: int | str
    other: int | str


@named_options
def contrast(chosen: int | str, other: int | str) -> Contrast:
    """Name a contrastive target, whose score is score(chosen) - score(other).

    Args:
        chosen: a class, a tag or a next token, by name or number.
        other: the class, tag or token that it is compared with.

    Returns:
        A value for `targets=` of `attribute`.

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


def check_contrast(chosen: int, other: int, asked: Contrast) -> None:
    """Refuse the contrast of a class, tag or token with itself.

    Raises:
        TargetError: both are the same.
    """
    if chosen == other:
        raise TargetError(f"the contrast of {asked.chosen!r} with itself is always 0; name two.")
