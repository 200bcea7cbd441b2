"""Soft comprehensiveness and sufficiency: embeddings lose elements at random, by the attributions of their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics import Score
from jaxtyping import Bool, Float
from torch import Tensor

UNDEFINED = "The score does not fall when everything is removed, so there is nothing to compare with: 0."
TINY = 1e-6  # of the score: what differs by rounding alone


@dataclass(frozen=True)
class _Fading:
    """The draws that both soft measures share."""

    samples: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"samples is {self.samples}; at least 1 draw is needed.")

    def _falls(
        self, attribution: Attribution, question: Question, retain: bool
    ) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
        """The mean fall of the score as units fade, and the fall without all of them; at least 0."""
        if "gradients" not in question.offers:
            raise UnsupportedError(
                f"soft metrics remove parts of embeddings, and removal={question.removal!r} removes whole tokens; "
                "use removal='mask', 'mean' or 'zero'."
            )
        intact = question.intact()
        total = intact - question.masked(~question.applicable).diagonal()
        draws = question.afford(self.samples, len(question.targets))
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.rand(draws, *question.x.shape, generator=generator)
        share = importance(attribution.scores, question.applicable)
        stays = (share if retain else 1 - share).masked_fill(~question.applicable, 1.0)
        falls = []
        for k, chance in enumerate(stays):
            of_features = torch.cat([chance, chance.new_ones(1)])[question.unit_of.cpu()]  # -1 reads the added one
            kept = (noise < of_features[:, None]).to(question.x.device)
            scores = question.at(torch.where(kept, question.x, question.baseline))[:, k]
            falls.append((intact[k] - scores.detach().float().cpu()).clamp(min=0).mean())
        exists = total > TINY * intact.abs()
        return torch.stack(falls), total.where(exists, torch.zeros(()))


@dataclass(frozen=True)
class SoftComprehensiveness(_Fading):
    """Soft comprehensiveness: the fall of the score as units are removed in part, in proportion to attributions.

    It is E max(0, m(x) - m(x')) / max(0, m(x) - m(nothing)), where each element of each embedding of x' is that of the
    absent unit with a probability equal to the importance of its unit: its attribution scaled linearly from the lowest
    to the highest onto 0 to 1, or one half where all are equal.

    The value is at least 0, without a unit, and above 1 where some text in between has a lower score than the empty
    one. Higher is better. It is 0 with a note where removing everything does not lower the score. The cost is `samples`
    rows of the model for each target.

    Args:
        samples: number of draws of the elements, at least 1; all targets and attributions see the same draws.
        seed: random seed of the draws.

    Raises:
        InputError: `samples` is below 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> interp.measure(found, model, by="soft-comprehensiveness", chance=False).value >= 0
        True

    Source:
        Zhao, Aletras 2023, arXiv:2305.10496, equations 3 and 5. Departs from it in that elements become those of the
        absent unit, which are zeros, as in the paper, for `removal="zero"`, and in that tokens of no unit and units
        that are not applicable stay whole.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = (
        "mean fall of the score as elements of embeddings are removed with chance importance (signed attributions "
        "scaled from lowest to highest onto 0 to 1), over the fall without all units"
    )

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one ratio for each target.

        Returns:
            The mean over targets, with `values` for each; at least 0.

        Raises:
            UnsupportedError: the removal acts on whole tokens (`"drop"`, `"attention"`), not on embeddings.
        """
        falls, total = self._falls(attribution, question, retain=False)
        return _score(self, (falls / total).where(total > 0, torch.zeros(())), total)


@dataclass(frozen=True)
class SoftSufficiency(_Fading):
    """Soft sufficiency: what is kept of the score as units stay in part, in proportion to their attributions.

    It is 1 - E max(0, m(x) - m(x')) / max(0, m(x) - m(nothing)), where elements of embeddings stay with a probability
    equal to the importance of their unit (see `SoftComprehensiveness`). This is the paper's (S(x') - S(nothing)) / (1 -
    S(nothing)) with S(·) = 1 - max(0, m(x) - m(·)).

    The value is at most 1, without a unit, and below 0 where some text in between has a lower score than the empty one.
    Higher is better. The cost is `samples` rows of the model for each target.

    Args:
        samples: number of draws of the elements, at least 1; all targets and attributions see the same draws.
        seed: random seed of the draws.

    Raises:
        InputError: `samples` is below 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> interp.measure(found, model, by="soft-sufficiency", chance=False).value <= 1
        True

    Source:
        Zhao, Aletras 2023, arXiv:2305.10496, equations 3 and 4; with the departures of `SoftComprehensiveness`.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = (
        "1 - mean fall of the score as elements of embeddings stay with chance importance (signed attributions scaled "
        "from lowest to highest onto 0 to 1), over the fall without all units"
    )

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one number for each target.

        Returns:
            The mean over targets, with `values` for each; at most 1.

        Raises:
            UnsupportedError: the removal acts on whole tokens (`"drop"`, `"attention"`), not on embeddings.
        """
        falls, total = self._falls(attribution, question, retain=True)
        return _score(self, (1 - falls / total).where(total > 0, torch.zeros(())), total)


def importance(scores: Float[Tensor, "k u"], applicable: Bool[Tensor, "k u"]) -> Float[Tensor, "k u"]:
    """Scores scaled onto 0 to 1 among the units that can matter to a target; one half where these are all equal."""
    low = scores.masked_fill(~applicable, torch.inf).amin(dim=1, keepdim=True)
    high = scores.masked_fill(~applicable, -torch.inf).amax(dim=1, keepdim=True)
    return torch.where(high > low, (scores - low) / (high - low), torch.full_like(scores, 0.5))


def _score(metric: SoftComprehensiveness | SoftSufficiency, values: Float[Tensor, " k"], total: Tensor) -> Score:
    notes = (UNDEFINED,) if bool((total <= 0).any()) else ()
    return Score(float(values.mean()), metric.higher_is_better, values, definition=metric.definition, notes=notes)
