"""How faithful attributions are."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import interp_core as interp
from interp_core.errors import InputError, InterpWarning
from interp_core.metrics import Score
from jaxtyping import Float
from torch import Tensor

from interp_interpreto._models import on_device, text_model
from interp_interpreto.attributions._output import AttributionOutput


class _Curve:
    """A metric that is the area under a curve.

    Args:
        model: the model that was explained.
        tokenizer: its tokenizer.
        batch_size: accepted; batches are sized by tokens.
        device: where the model lies.
        n_perturbations: has no effect, with a warning where it is given: a curve has a point for each number of units.
        max_percentage_perturbed: 1, since an area over a part of the units cannot be compared between texts.
    """

    method: ClassVar[str] = ""

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        batch_size: int = 4,
        *,
        device: Any = None,
        n_perturbations: int | None = None,
        max_percentage_perturbed: float = 1.0,
    ) -> None:
        del batch_size
        if n_perturbations is not None:
            told = "n_perturbations has no effect: a curve has a point for each number of units, from none to all."
            warnings.warn(told, InterpWarning, stacklevel=2)
        self.model = text_model(model, tokenizer)
        on_device(self.model, device)
        if max_percentage_perturbed != 1.0:
            raise InputError(
                f"max_percentage_perturbed is {max_percentage_perturbed}; curves go from no unit to all, leave it out."
            )

    def evaluate(self, attributions_outputs: Any) -> tuple[float, list[list[Float[Tensor, " p"]]]]:
        """The area under the curve, and the curves.

        Args:
            attributions_outputs: what an explainer returned.

        Returns:
            The mean area over texts, each the mean over its targets; and for each text and target its curve of
            probabilities (p), from no unit put back or taken out to all.

        Raises:
            InputError: there is nothing to measure.
        """
        outputs = _listed(attributions_outputs)
        explained = [one.attribution if isinstance(one, AttributionOutput) else one for one in outputs]
        score: Score = interp.measure(explained, self.model, by=self.method, chance=False, progress=False)
        curves = iter(score.curves)
        return score.value, [list(islice(curves, len(one.targets))) for one in explained]

    def __call__(self, attributions_outputs: Any) -> tuple[float, list[list[Float[Tensor, " p"]]]]:
        return self.evaluate(attributions_outputs)


def _listed(outputs: Any) -> list[Any]:
    single = isinstance(outputs, AttributionOutput) or not isinstance(outputs, Iterable)
    listed = [outputs] if single else list(outputs)
    if not listed:
        raise InputError("there are no attributions to measure.")
    return listed


class Insertion(_Curve):
    """The area under the probability as units come back, highest score first; higher is better.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import Occlusion
        >>> from interp_interpreto.attributions.metrics import Insertion
        >>> tiny = tiny_classifier()
        >>> outputs = Occlusion(tiny.model, tiny.tokenizer)("so happy today", targets=torch.tensor([[0, 2]]))
        >>> auc, details = Insertion(tiny.model, tiny.tokenizer).evaluate(outputs)
        >>> 0 < auc < 1, len(details), len(details[0]), details[0][0].shape
        (True, 1, 2, torch.Size([4]))
    """

    method = "insertion"


class Deletion(_Curve):
    """The area under the probability as units leave, highest score first; lower is better. See `Insertion`."""

    method = "deletion"
