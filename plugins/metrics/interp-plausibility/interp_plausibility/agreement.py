"""Average precision, token F1 and IOU F1 of attributions against what people marked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Bool, Float
from torch import Tensor

from interp_plausibility.rationales import for_each_target, marked_units, runs

Agreement = Callable[[Float[Tensor, " a"], Bool[Tensor, " a"]], float]


@dataclass(frozen=True)
class AveragePrecision:
    """Plausibility AUPRC: the average precision of the attributions in finding the units that people marked.

    It is Σ (R_n - R_{n-1}) P_n, with recall and precision of the units down to each attribution, highest first with its
    sign; equal attributions enter together. A unit is marked when more than half of its characters are. Only units that
    are applicable to the target count; a target with no marked unit among them is left out.

    The value is above 0 and up to 1, and higher is better. Explain the class that people gave reasons for, which need
    not be the one the model predicts. Agreement with people is not faithfulness to the model. No row of the model is
    needed.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad"], by="occlusion", targets="class 0")
        >>> rationales = [[(0, 5)]]  # "happy" is marked
        >>> interp.measure(found, model, rationales, by="plausibility-auprc").value
        1.0

    Source:
        DeYoung et al. 2020, arXiv:1911.03429, section 4.1, area under the curve of precision over recall. Points of the
        curve are not joined by straight lines, which are too optimistic (Davis, Goadrich 2006).
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = "average precision of the signed attributions in finding the units that people marked"

    def measure(self, attribution: Attribution, question: Question, rationale: Any) -> Score:
        """Measure one average precision for each target to which a marked unit is applicable.

        Args:
            attribution: the attribution of one text.
            question: the question it answers.
            rationale: what people marked in the text: a list of character spans [start, stop).

        Returns:
            The mean over these targets, with `values` for each.
        """
        return _score(self, attribution, question, rationale, average_precision)


@dataclass(frozen=True)
class _Chosen:
    """How many of the best units are compared."""

    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise InputError(f"share is {self.share}; a share of the units above 0 and up to 1 is needed, or None.")

    @property
    def _best(self) -> str:
        count = "as many as people marked" if self.share is None else f"{self.share:.0%}, rounded up"
        return f"units with the highest signed attributions ({count})"

    def chosen(self, scores: Float[Tensor, " a"], marked: Bool[Tensor, " a"]) -> Bool[Tensor, " a"]:
        """The best units; of equal ones those that come first in the text."""
        count = int(marked.sum()) if self.share is None else math.ceil(self.share * len(scores) - 1e-9)
        found = torch.zeros_like(marked)
        found[scores.argsort(descending=True, stable=True)[:count]] = True
        return found


@dataclass(frozen=True)
class TokenF1(_Chosen):
    """Plausibility token F1: the F1 of the units of highest attribution against those that people marked.

    It is 2 |best and marked| / (|best| + |marked|) for each text; `AveragePrecision` says which units are marked and
    count. The value is from 0 to 1, and higher is better. No row of the model is needed.

    Args:
        share: share of the units that are the best, above 0 and up to 1, rounded up, such as the share that people mark
            on average; None for as many as they marked in this text, so that precision, recall and F1 are equal.

    Raises:
        InputError: `share` is not above 0 and up to 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad"], by="occlusion", targets="class 0")
        >>> rationales = [[(0, 5)]]  # "happy" is marked
        >>> interp.measure(found, model, rationales, by="plausibility-token-f1").value
        1.0

    Source:
        DeYoung et al. 2020, arXiv:1911.03429, section 4.1, token F1, as the mean over texts; on units of any
        granularity.
    """

    higher_is_better: ClassVar[bool] = True

    @property
    def definition(self) -> str:
        """The number in words, with its parameters."""
        return f"F1 of the {self._best} against those that people marked"

    def measure(self, attribution: Attribution, question: Question, rationale: Any) -> Score:
        """Measure one F1 for each target to which a marked unit is applicable; see `AveragePrecision.measure`.

        Returns:
            The mean over these targets, with `values` for each.
        """
        return _score(self, attribution, question, rationale, lambda s, m: token_f1(self.chosen(s, m), m))


@dataclass(frozen=True)
class IouF1(_Chosen):
    """Plausibility IOU F1: the F1 of runs of the units of highest attribution against runs of marked units.

    A run of the best units is a hit when its intersection over union with some run of marked units, counted in units,
    is at least `overlap`. Marked pieces that touch are one run. The value is from 0 to 1, and higher is better. No row
    of the model is needed.

    Args:
        share: share of the units that are the best, above 0 and up to 1, rounded up; None for as many as people marked
            in this text.
        overlap: least intersection over union of a hit, from 0.5 to 1; from 0.5 on no run hits twice.

    Raises:
        InputError: `share` is not above 0 and up to 1, or `overlap` is not from 0.5 to 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad"], by="occlusion", targets="class 0")
        >>> rationales = [[(0, 5)]]  # "happy" is marked
        >>> interp.measure(found, model, rationales, by="plausibility-iou-f1").value
        1.0

    Source:
        DeYoung et al. 2020, arXiv:1911.03429, section 4.1, partial matches at an intersection over union of 0.5. F1 is
        taken for each text and then the mean, where the code of the paper takes the F1 of mean precision and recall.
    """

    overlap: float = 0.5
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.5 <= self.overlap <= 1:
            raise InputError(f"overlap is {self.overlap}; a share from 0.5 to 1 was expected.")

    @property
    def definition(self) -> str:
        """The number in words, with its parameters."""
        return (
            f"F1 of runs of the {self._best} against runs of those that people marked, where a hit has an intersection "
            f"over union of at least {self.overlap:g}"
        )

    def measure(self, attribution: Attribution, question: Question, rationale: Any) -> Score:
        """Measure one F1 for each target to which a marked unit is applicable; see `AveragePrecision.measure`.

        Returns:
            The mean over these targets, with `values` for each.
        """
        return _score(self, attribution, question, rationale, lambda s, m: iou_f1(self.chosen(s, m), m, self.overlap))


def _score(metric: Any, attribution: Attribution, question: Question, rationale: Any, agreement: Agreement) -> Score:
    marked = marked_units(attribution, rationale)
    targets = for_each_target(question.applicable, marked, attribution.text)
    values = torch.tensor([agreement(attribution.scores[k][able], marked[able]) for k, able in targets])
    return Score(float(values.mean()), metric.higher_is_better, values, definition=metric.definition)


def average_precision(scores: Float[Tensor, " a"], marked: Bool[Tensor, " a"]) -> float:
    """Of at least one marked unit."""
    down, order = scores.sort(descending=True)
    hits = marked[order].double().cumsum(0)
    last = torch.cat([down[1:] != down[:-1], torch.ones(1, dtype=torch.bool)])  # of equal scores
    precision = (hits / torch.arange(1, len(hits) + 1))[last]
    gained = torch.cat([hits.new_zeros(1), hits[last]]).diff()
    return float((gained * precision).sum() / hits[-1])


def token_f1(chosen: Bool[Tensor, " a"], marked: Bool[Tensor, " a"]) -> float:
    """2 |chosen and marked| / (|chosen| + |marked|)."""
    return float(2 * (chosen & marked).sum() / (chosen.sum() + marked.sum()))


def iou_f1(chosen: Bool[Tensor, " a"], marked: Bool[Tensor, " a"], overlap: float) -> float:
    """F1 of runs; a run of chosen units that overlaps enough with one of marked units is a hit."""
    found, truth = runs(chosen), runs(marked)
    hits = sum(max(_shared(one, other) for other in truth) >= overlap - 1e-9 for one in found)
    return 2 * hits / (len(found) + len(truth))


def _shared(one: range, other: range) -> float:
    both = min(one.stop, other.stop) - max(one.start, other.start)  # below 0 where they are apart
    return both / (len(one) + len(other) - both)
