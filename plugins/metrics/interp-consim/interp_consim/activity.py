"""How active each labelled concept is in each text, and what it says about the answers of the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from jaxtyping import Float, Int

SCALE = 10  # of a concept in the text where it is most active


def activity_of(space: ConceptSpace, activations: Activations, concepts: Sequence[int]) -> Float[np.ndarray, "m c"]:
    """The largest code of each concept in each text, on a scale from 0 to 10; a code below 0 counts as 0.

    Args:
        space: of the concepts.
        activations: of m texts.
        concepts: the numbers of the c concepts.
    """
    largest, start = torch.zeros(len(activations.texts), len(concepts)), 0  # what is below 0 leaves them 0
    for rows in activations.batches():
        with torch.no_grad():
            codes = space.encode(rows)[:, list(concepts)].float().cpu().nan_to_num(0.0)
        owners = activations.text_of[start : start + len(rows)]
        largest.scatter_reduce_(0, owners[:, None].expand_as(codes), codes, "amax")
        start += len(rows)
    peak = largest.amax(0)
    scaled: np.ndarray = (SCALE * largest / torch.where(peak > 0, peak, 1.0)).numpy()
    return scaled


def weights_of(
    activity: Float[np.ndarray, "m c"], classes: Int[np.ndarray, " m"], count: int
) -> Float[np.ndarray, "k c"]:
    """By how much more active each concept is, on average, in the texts of each of `count` classes than in the others;
    0 for a class that no text, or every text, has."""
    weights = np.zeros((count, activity.shape[1]))
    for k in range(count):
        own = classes == k
        if own.any() and not own.all():
            weights[k] = activity[own].mean(axis=0) - activity[~own].mean(axis=0)
    return weights
