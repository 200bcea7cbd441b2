"""How alike the concepts are that a method finds when it learns again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Float
from torch import Tensor

from interp_stability.matching import cosines, matched


@dataclass(frozen=True)
class Stability:
    """Stability: the mean cosine of each concept with its match in spaces that the same method learns again.

    Concepts of two spaces are matched one to one so that the sum of cosines is largest; where one space has more
    concepts, those without a match count as 0.

    The value is at most 1, and higher is better: 1 when the same directions are found each time, in whatever order,
    near 0 when none is. A method that always finds the same is not right for that, so read it beside a metric of fit.
    The cost is that of learning the space, `runs` times.

    Args:
        runs: how often the space is learnt again, at least 1. Each run has its own seed: the method's, plus 1, 2, …
        halves: learn each run from a random half of the texts, not from all. A method without a seed learns the same
            from the same rows, so that only `halves=True` says anything.
        signed: whether opposite directions are different. `"auto"`: they are where no code is negative; otherwise signs
            are arbitrary, as with PCA and ICA, and the absolute value of a cosine counts. The chance level follows the
            same rule as the space: see `like`.
        seed: random seed of the halves.

    Raises:
        InputError: `runs` is below 1, or `signed` is unknown.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="pca", concepts=5)
        >>> interp.measure(space, activations, by="stability", halves=True, chance=False).value > 0.9
        True

    Source:
        The stability of Fel et al. 2023, arXiv:2306.07304, with cosines as in Fel et al. 2025, arXiv:2502.12892.
        Departs from them in that runs are compared with the space that is measured, not with each other, and in the
        signs.
    """

    higher_is_better: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = "mean over concepts of the cosine with the match in a space learnt again"

    runs: int = 3
    halves: bool = False
    signed: bool | Literal["auto"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise InputError(f"stability was asked for {self.runs} runs; at least 1 is needed.")
        if self.signed not in ("auto", True, False):
            raise InputError(f"signed {self.signed!r} is unknown; it is True, False or 'auto'.")

    def like(self, space: ConceptSpace, activations: Activations) -> Stability:
        """The same metric with `signed` decided by this space, so that the chance level follows the same rule."""
        if self.signed != "auto":
            return self
        return dataclasses.replace(self, signed=_never_negative(space, activations))

    def measure(self, space: ConceptSpace, activations: Activations, method: Any) -> Score:
        """Measure one mean cosine for each run.

        Returns:
            The mean over runs, with `values` for each.

        Raises:
            InputError: `halves` of fewer than two texts.
        """
        signed = bool(self.like(space, activations).signed)
        generator = torch.Generator().manual_seed(self.seed)
        found = []
        for run in range(1, self.runs + 1):
            again = dataclasses.replace(method, seed=method.seed + run) if hasattr(method, "seed") else method
            rows = _half(activations, generator) if self.halves else activations
            with torch.enable_grad():
                learnt = again.fit(rows).to("cpu")
            found.append(alike(space.dictionary, learnt.dictionary, signed))
        values = torch.tensor(found)
        fixed = not (self.halves or hasattr(method, "seed"))
        notes = (f"{type(method).__name__} has no seed: on the same rows it learns the same; measure halves=True.",)
        return Score(float(values.double().mean()), self.higher_is_better, values, notes=notes * fixed)


def alike(one: Float[Tensor, "a d"], other: Float[Tensor, "b d"], signed: bool) -> float:
    """The mean cosine of matched directions; those that are left over count as 0."""
    cosine = cosines(one, other)
    gain = cosine if signed else cosine.abs()
    return float(gain[matched(gain)].sum()) / max(gain.shape)


def _never_negative(space: ConceptSpace, activations: Activations) -> bool:
    with torch.no_grad():
        return all(bool((space.encode(part) >= 0).all()) for part in activations.batches())


def _half(activations: Activations, generator: torch.Generator) -> Activations:
    count = len(activations.texts)
    if count < 2:
        raise InputError(f"{count} text has no halves; give more texts, or measure with halves=False.")
    return activations.select(torch.randperm(count, generator=generator) < (count + 1) // 2)
