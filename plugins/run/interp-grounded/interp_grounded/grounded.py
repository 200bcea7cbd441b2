"""The sources of each sentence of an answer: units whose attribution is beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, overload

import torch
from interp_core.attribution import Attribution, ComponentText
from interp_core.errors import InputError, UnsupportedError
from jaxtyping import Bool, Float
from torch import Tensor

from interp_grounded.grounding import Grounding, Source

ROUNDING = 1e-5  # share of the score, or of 1, below which an attribution is 0
EFFICIENCY = 0.48  # of the median as an estimate of the mean of exponential sizes
SENSES = 1.959964  # standard errors on either side of a score in its interval


@overload
def grounded(attribution: Attribution, *, level: float = ...) -> Grounding: ...
@overload
def grounded(attribution: Sequence[Attribution], *, level: float = ...) -> list[Grounding]: ...
def grounded(attribution: Any, *, level: float = 0.05) -> Grounding | list[Grounding]:
    """The sources of each target, such as a sentence of an answer, or that there is none beyond chance.

    A source is a unit that speaks for the target and passes two tests, corrected for the number of units (Holm):

    - *The draws of a method that samples.* The score must be above 0 by more than its standard error explains, under
      the normal distribution. Scores of exact methods pass.
    - *The other units.* Removing any text changes a score a little. The sizes of such changes are taken to be
      exponentially distributed, with either sign equally likely. Their mean is estimated from the median of the other
      units, so that other sources have no influence if they are fewer than half. The score must be larger than the
      largest of so many changes would be by chance. The error of the estimate is taken into account: among few units, a
      source must stand out more.

    The second test is needed because leave-one-out scores and exact Shapley values have no error at all, and with ever
    more samples every unit is above or below 0 for certain. The exponential distribution has heavier tails than the
    normal, so that the test errs on the side of no source where changes are normal. It does not hold where the tails of
    changes are heavier still, and it finds no sources where they are half of the units or more. A single unit can be
    compared with nothing and is never a source. Random orders of the units, which metrics are compared with, do not
    help here: among few units even the best of them is no rarer than one in the number of units.

    Args:
        attribution: the attribution of one text by a method that claims `signed`, or a list of them. Units of a
            continuation are no sources.
        level: probability with which a target without sources may be given one, above 0 and below 1.

    Returns:
        The sources of each target with their intervals; for a list, a list.

    Raises:
        InputError: `attribution` holds something else, or the level is not between 0 and 1.
        UnsupportedError: the scores do not tell what speaks for a target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0)})
        >>> (why,) = interp.attribute(model, "the old cat was so happy", by="lime", samples=40, progress=False)
        >>> [source.text for source in interp.grounded(why).sources[0]]
        ['happy']

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    if not isinstance(level, Real) or not 0 < level < 1:
        raise InputError(f"level is {level!r}; a number between 0 and 1 was expected, such as 0.05.")
    if isinstance(attribution, Attribution):
        return _grounding(attribution, level)
    if not isinstance(attribution, Sequence) or not all(isinstance(one, Attribution) for one in attribution):
        raise InputError(f"sources are found in an Attribution or a list of them; {attribution!r} was given."[:300])

    return [_grounding(one, level) for one in attribution]


def _grounding(attribution: Attribution, level: float) -> Grounding:
    if isinstance(attribution.encoded, ComponentText):
        raise UnsupportedError("the units are components of the model, which are no sources; explain the text instead.")
    if not attribution.directed:
        raise UnsupportedError(
            f"scores of {attribution.made_by.method} in the space {attribution.score_space!r} do not tell what speaks "
            "for a target; use a method that claims signed, such as occlusion, shapley or context-cite."
        )
    able = torch.ones_like(attribution.scores, dtype=torch.bool)
    if attribution.applicable is not None:
        able = attribution.applicable.clone()
    if attribution.prompt_stop >= 0:
        able &= torch.tensor([unit.start < attribution.prompt_stop for unit in attribution.units])
    return Grounding(
        attribution.text,
        tuple(target.label for target in attribution.targets),
        tuple(_sources(attribution, k, own, level) for k, own in enumerate(able)),
        level,
        attribution.score_space,
        attribution.made_by,
        attribution.notes,
    )


def _sources(attribution: Attribution, k: int, able: Bool[Tensor, " u"], level: float) -> tuple[Source, ...]:
    """The units that one target draws on, highest score first."""
    where = able.nonzero().flatten()
    scores = attribution.scores[k, where].double()
    errors = None if attribution.error is None else attribution.error[k, where].double()
    size = max(1.0, 0.0 if attribution.intact is None else float(attribution.intact[k].abs()))
    scores = scores.where(scores.abs() > ROUNDING * size, 0.0)
    p = holm(torch.maximum(by_others(scores), by_draw(scores, errors)))
    found = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if float(p[i]) > level:
            continue
        unit, score = attribution.units[int(where[i])], float(scores[i])
        half = None if errors is None or not bool(errors.any()) else SENSES * float(errors[i])
        interval = None if half is None else (score - half, score + half)
        found.append(Source(int(where[i]), unit.text, unit.start, unit.stop, score, float(p[i]), interval))
    return tuple(found)


def by_draw(scores: Float[Tensor, " n"], errors: Float[Tensor, " n"] | None) -> Float[Tensor, " n"]:
    """How likely scores as large are drawn where the true ones are 0: normal, with the standard errors given."""
    if errors is None:
        return torch.where(scores > 0, 0.0, 1.0).double()
    ratio = (scores / errors).nan_to_num(nan=0.0)  # 0 / 0: nothing was drawn, and it is 0
    likely: Tensor = torch.special.erfc(ratio / 2**0.5) / 2
    return likely


def by_others(scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """How likely a unit that is no source has a score as large, as far as the others tell.

    Of exponential sizes whose mean is known from n values alone, the next one exceeds x with probability
    (1 + x / (n · mean))^-n; the median is worth about half as many values.
    """
    n = len(scores)
    if n < 2:
        return torch.ones_like(scores)
    others = scores.abs().expand(n, n)[~torch.eye(n, dtype=torch.bool)].reshape(n, n - 1)
    mean, worth = others.quantile(0.5, dim=1) / torch.log(torch.tensor(2.0)), EFFICIENCY * (n - 1)
    likely = (1 + scores.clamp(min=0) / (worth * mean)) ** -worth / 2  # 0 where all others are 0
    return torch.where(scores > 0, likely.nan_to_num(nan=0.0), 1.0)


def holm(p: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The probabilities, adjusted so that one below a level by chance is no likelier than the level."""
    order = p.argsort(stable=True)
    stepped = (p[order] * torch.arange(len(p), 0, -1)).clamp(max=1.0)
    adjusted = torch.empty_like(p)
    adjusted[order] = stepped.cummax(0).values
    return adjusted
