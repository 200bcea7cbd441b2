"""What an explainer returns for one text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from interp_core.attribution import Attribution
from jaxtyping import Float, Int
from torch import Tensor

from interp_interpreto.commons import Granularity, GranularityAggregationStrategy


class InferenceModes(Enum):
    """The score that is explained, by the name that `interp.attribute` gives it.

    Examples:
        >>> from interp_interpreto.attributions import InferenceModes
        >>> InferenceModes.SOFTMAX.value
        'probability'
    """

    LOGITS = "logit"
    SOFTMAX = "probability"
    LOG_SOFTMAX = "log-probability"


class ModelTask(Enum):
    """Whether classes or tokens are explained.

    Examples:
        >>> from interp_interpreto.attributions import ModelTask
        >>> ModelTask.GENERATION.value
        'generation'
    """

    CLASSIFICATION = "classification"
    GENERATION = "generation"


@dataclass(frozen=True, repr=False)
class AttributionOutput:
    """An attribution under the names of interpreto; `attribution` is the value that interp works with.

    Attributes:
        attribution: the attribution of one text.
        granularity: what its units are.
        granularity_aggregation_strategy: how units of several tokens got their scores.
        inference_mode: the score that is explained.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import Occlusion
        >>> tiny = tiny_classifier()
        >>> (output,) = Occlusion(tiny.model, tiny.tokenizer)("so happy", targets=torch.tensor([[0, 2]]))
        >>> output.attributions.shape, output.elements, output.targets
        (torch.Size([2, 2]), ['so', 'happy'], tensor([0, 2]))
    """

    attribution: Attribution
    granularity: Granularity = Granularity.WORD
    granularity_aggregation_strategy: GranularityAggregationStrategy = GranularityAggregationStrategy.SUM
    inference_mode: InferenceModes = InferenceModes.LOGITS

    @property
    def attributions(self) -> Float[Tensor, "t l"]:
        """The score of each of l units for each of t targets."""
        return self.attribution.scores

    @property
    def elements(self) -> list[str]:
        """The l units as written."""
        return self.attribution.words

    @property
    def targets(self) -> Int[Tensor, " t"]:
        """The classes, or the ids of the tokens, that are explained."""
        return torch.tensor([target.index for target in self.attribution.targets])

    @property
    def model_task(self) -> ModelTask:
        """Whether classes or tokens are explained."""
        of_tokens = any(target.positions for target in self.attribution.targets)
        return ModelTask.GENERATION if of_tokens else ModelTask.CLASSIFICATION

    @property
    def classes(self) -> Int[Tensor, " t"] | None:
        """The classes that are explained; None for tokens."""
        return self.targets if self.model_task is ModelTask.CLASSIFICATION else None

    @property
    def model_inputs_to_explain(self) -> dict[str, Any]:
        """The token ids that the model received, `input_ids` (1, n)."""
        encoded = self.attribution.encoded
        return {} if encoded is None else {"input_ids": torch.as_tensor(encoded.ids)[None]}

    def __repr__(self) -> str:
        return f"AttributionOutput({self.attribution!r})"

    def __str__(self) -> str:
        return str(self.attribution)

    def _repr_html_(self) -> str:
        shown: str = self.attribution._repr_html_()
        return shown
