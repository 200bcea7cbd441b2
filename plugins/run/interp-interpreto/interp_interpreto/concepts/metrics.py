"""How far to trust concepts."""

from __future__ import annotations

from itertools import combinations
from typing import Any, ClassVar

import interp_core as interp
import torch
from interp_core.errors import InputError
from interp_stability.matching import cosines, matched
from torch import Tensor

from interp_interpreto.concepts.explainers import ConceptEncoderExplainer


class _OfActivations:
    """A metric of an explainer on activations.

    Args:
        concept_explainer: the explainer, with concepts learnt.
    """

    method: ClassVar[str] = ""

    def __init__(self, concept_explainer: ConceptEncoderExplainer, **parameters: Any) -> None:
        self.explainer, self.parameters = concept_explainer, parameters

    def compute(self, latent_activations: Any) -> float:
        """The number.

        Args:
            latent_activations: what `get_activations` returned, a dict that was made of it, or a tensor (n, d).

        Raises:
            InputError: the explainer has no concepts yet, or the activations are of another layer.
        """
        explainer = self.explainer
        rows = explainer.splitter.rows(latent_activations, explainer.split)
        by = self.method
        return interp.measure(explainer.concept_model, rows, by=by, chance=False, **self.parameters).value


class FID(_OfActivations):
    """The Wasserstein distance of each dimension, on average: what interpreto calls FID.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import ModelWithSplitPoints
        >>> from interp_interpreto.concepts import NeuronsAsConcepts
        >>> from interp_interpreto.concepts.metrics import FID
        >>> tiny = tiny_classifier()
        >>> split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])
        >>> activations = split.get_activations(["so happy", "sad"], split.activation_granularities.WORD)
        >>> explainer = NeuronsAsConcepts(split)
        >>> explainer.fit(activations)
        >>> FID(explainer).compute(activations)
        0.0
    """

    method = "fid"


class MSE(_OfActivations):
    """The mean square of what the reconstruction misses; interpreto's is a Euclidean norm. See `FID`."""

    method = "mse"


class Sparsity(_OfActivations):
    """The share of codes that are not zero. See `FID`."""

    method = "sparsity"


class SparsityRatio(_OfActivations):
    """The share of codes that are not zero, over the number of concepts. See `FID`."""

    method = "sparsity-ratio"


class Stability:
    """How alike the concepts of several explainers are.

    Args:
        *concept_explainers: two or more explainers, or dictionaries (c, d).

    Raises:
        InputError: there are fewer than two, or their layers differ in width.

    Examples:
        >>> from interp_interpreto.concepts.metrics import Stability
        >>> Stability(torch.eye(3), torch.eye(3)[[2, 0, 1]]).compute()
        1.0
    """

    def __init__(self, *concept_explainers: Any) -> None:
        if len(concept_explainers) < 2:
            raise InputError(f"{len(concept_explainers)} explainers were given; at least two are compared.")
        self.dictionaries = [one if isinstance(one, Tensor) else one.get_dictionary() for one in concept_explainers]
        if len({one.shape[1] for one in self.dictionaries}) > 1:
            raise InputError(f"the dictionaries have widths {[one.shape[1] for one in self.dictionaries]}.")

    def compute(self) -> float:
        """The cosine of each concept with its match in another, on average over pairs of explainers: 1 for the same.

        Concepts are matched one to one so that the sum of cosines is greatest; those without a match count as 0.
        """
        return float(torch.tensor([_likeness(a, b) for a, b in combinations(self.dictionaries, 2)]).mean())


def _likeness(one: Tensor, other: Tensor) -> float:
    alike = cosines(one, other)
    return float(alike[matched(alike)].sum() / max(alike.shape))
