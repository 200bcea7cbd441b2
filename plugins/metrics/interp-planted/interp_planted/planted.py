"""A learnt dictionary beside the planted one that made the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from interp_stability.matching import cosines, matched
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PlantedMCC:
    """Planted MCC: the mean |cosine| of each planted feature with the concept matched to it.

    Features and concepts are matched one to one so that the sum is largest. A feature without a match counts as 0. A
    concept that is zero in every row is dead and matched to nothing.

    The value is from 0 to 1, and higher is better: 1 where every planted direction is found. It needs the planted
    space, and with `form="features"` one encoding of the activations.

    Args:
        form: what the mean is over. `"features"`: all planted features. `"concepts"`: the matched pairs, so that a
            dictionary smaller than the world is judged by what it could find; dead concepts are matched as well.

    Raises:
        InputError: `form` is unknown.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, planted = dictionary_world()
        >>> interp.measure(planted, activations, planted, by="planted-mcc", chance=False).value > 0.999
        True

    Source:
        O'Neill et al. 2024, arXiv:2411.13117 (mean correlation coefficient). `"concepts"` is the number of
        SynthSAEBench and SAELens. With as many concepts as features, none of them dead, both forms are equal.
    """

    higher_is_better: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = "mean over planted features of the |cosine| with the concept matched to each"

    form: str = "features"

    def __post_init__(self) -> None:
        _check_form(self.form)

    def measure(self, space: ConceptSpace, activations: Activations, truth: ConceptSpace) -> Score:
        """Measure the mean |cosine| of matches.

        Returns:
            One number for all features.

        Raises:
            InputError: the planted space has another width.
        """
        if self.form == "concepts":
            _check_width(space, truth)
            cosine = cosines(space.dictionary, truth.dictionary).abs()
            return Score(float(cosine[matched(cosine)].mean()), self.higher_is_better)
        cosine = counted(space, activations, truth).live().cosine.abs()
        return Score(float(cosine[matched(cosine)].sum()) / truth.concepts, self.higher_is_better)


@dataclass(frozen=True)
class PlantedF1:
    """Planted F1: how well the concept matched to a planted feature tells in which rows the feature is active.

    Features and concepts are matched as for `PlantedMCC`. A feature is active where its planted code is above 0, a
    concept where its code is above the threshold, or, if the two directions are opposite, below the negative threshold.
    The F1 of a pair is 2 rows of both / (rows of the feature + rows of the concept). A feature without a match counts
    as 0; one that is active in no row does not count.

    The value is the mean over features, from 0 to 1, and higher is better. It needs the planted space and one encoding
    of the activations.

    Args:
        threshold: code above which a concept counts as active, in units of the codes; at least 0. 0 suits methods whose
            codes are zero where the concept is absent, such as sparse autoencoders; those of others are a little above
            zero where there is noise.
        form: what the mean is over. `"features"`: planted features, as above. `"concepts"`: all concepts, each with the
            feature its direction is closest to (several may share one; features that none is close to do not count). A
            concept is then active where its code is beyond the threshold on either side; a dead one has 0.

    Raises:
        InputError: `threshold` is below 0, or `form` is unknown.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, planted = dictionary_world()
        >>> interp.measure(planted, activations, planted, by="planted-f1", chance=False).value > 0.999
        True

    Source:
        SynthSAEBench (latents as classifiers of features). `"concepts"` is its number and that of SAELens.
    """

    higher_is_better: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = "mean over planted features of the F1 of the matched concept's activity"

    threshold: float = 0.0
    form: str = "features"

    def __post_init__(self) -> None:
        _check_form(self.form)
        if not self.threshold >= 0:
            raise InputError(f"threshold {self.threshold} is below 0.")

    def measure(self, space: ConceptSpace, activations: Activations, truth: ConceptSpace) -> Score:
        """Measure the mean F1 of matches.

        Returns:
            One number for all features.

        Raises:
            InputError: the planted space has another width, or no planted feature is active in any row.
        """
        found = counted(space, activations, truth, self.threshold)
        active = found.features > 0
        if not active.any():
            raise InputError(f"none of {truth.concepts} planted features is active in any of {len(activations)} rows.")
        if self.form == "concepts":
            return Score(_mean_over_concepts(found), self.higher_is_better)
        found = found.live()
        concepts, features = matched(found.cosine.abs())
        way = (found.cosine[concepts, features] < 0).long()  # 0: above zero, 1: below
        both = found.both[way, concepts, features].double()
        scores = torch.zeros(truth.concepts, dtype=torch.float64)
        # 0 / 0 where neither is ever active: such a feature does not count
        scores[features] = 2 * both / (found.features[features] + found.concepts[way, concepts])
        return Score(float(scores[active].mean()), self.higher_is_better)


@dataclass(frozen=True)
class PlantedUniqueness:
    """Planted uniqueness: the share of planted features that are the closest feature of some concept.

    Each concept points to the feature with which it has the largest |cosine|; if many point to the same feature, others
    are left out. Dead concepts point to nothing, as for `PlantedMCC`.

    The value is from 0 to 1, and higher is better. How close concepts are does not matter, so read it beside
    `PlantedMCC`. It needs the planted space and one encoding of the activations.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, planted = dictionary_world()
        >>> interp.measure(planted, activations, planted, by="planted-uniqueness", chance=False).value > 0.999
        True

    Source:
        SynthSAEBench. Departs from SAELens in that the number of features pointed to is divided by the number of
        features, not of concepts, so that a small dictionary is not called unique.
    """

    higher_is_better: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = "share of planted features that are the closest (by |cosine|) to some concept"

    def measure(self, space: ConceptSpace, activations: Activations, truth: ConceptSpace) -> Score:
        """Measure the share of features that are closest to a concept.

        Returns:
            One number for all features.

        Raises:
            InputError: the planted space has another width.
        """
        closest = counted(space, activations, truth).live().cosine.abs().argmax(dim=1)
        return Score(len(closest.unique()) / truth.concepts, self.higher_is_better)


class Counted(NamedTuple):
    """Concepts beside planted features.

    Attributes:
        cosine: of their directions.
        both: rows in which a concept is above the threshold, and below its negative, and the feature is active.
        concepts: rows in which a concept is above the threshold, and below its negative.
        features: rows in which a feature is active.
    """

    cosine: Float[Tensor, "c k"]
    both: Int[Tensor, "2 c k"]
    concepts: Int[Tensor, "2 c"]
    features: Int[Tensor, " k"]

    def live(self) -> Counted:
        """The concepts that are active in some row."""
        live = self.concepts.sum(dim=0) > 0
        return Counted(self.cosine[live], self.both[:, live], self.concepts[:, live], self.features)


def _mean_over_concepts(found: Counted) -> float:
    """The mean F1 of concepts with the feature closest to each; 0 of one that never shares a row with its own."""
    closest = found.cosine.abs().argmax(dim=1, keepdim=True)
    both = found.both.sum(dim=0).gather(1, closest)[:, 0].double()
    rows = found.features[closest[:, 0]] + found.concepts.sum(dim=0)
    return float((2 * both / rows.clamp(min=1)).mean())


def _check_form(form: str) -> None:
    if form not in ("features", "concepts"):
        raise InputError(f"form {form!r}; 'features' or 'concepts' was expected: what the mean is over.")


def _check_width(space: ConceptSpace, truth: ConceptSpace) -> None:
    if truth.width != space.width:
        raise InputError(f"the planted space has width {truth.width}, the learnt one {space.width}.")


def counted(space: ConceptSpace, activations: Activations, truth: ConceptSpace, threshold: float = 0.0) -> Counted:
    """Count the rows in which concepts and features are active, a batch at a time.

    Raises:
        InputError: the planted space has another width.
    """
    _check_width(space, truth)
    both = torch.zeros(2, space.concepts, truth.concepts, dtype=torch.long)
    concepts = torch.zeros(2, space.concepts, dtype=torch.long)
    features = torch.zeros(truth.concepts, dtype=torch.long)
    with torch.no_grad():
        for part in activations.batches():
            codes = space.encode(part)
            held = torch.stack([codes > threshold, codes < -threshold])
            planted = truth.encode(part) > 0
            both += (held.float().mT @ planted.float()).long()
            concepts += held.sum(dim=1)
            features += planted.sum(dim=0)
    return Counted(cosines(space.dictionary, truth.dictionary), both, concepts, features)
