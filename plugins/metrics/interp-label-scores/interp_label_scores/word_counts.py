"""The simplest embedding of texts: how often each word occurs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def word_counts(texts: Sequence[str]) -> Float[Tensor, "n v"]:
    """How often each of all v words of these texts occurs in each: a baseline for embeddings that understand words.

    Examples:
        >>> from interp_label_scores.word_counts import word_counts
        >>> word_counts(["rain and rain", "sun"])
        tensor([[1., 2., 0.],
                [0., 0., 1.]])
    """
    counts = [Counter(re.findall(r"\w+", text.casefold())) for text in texts]
    words = sorted(set().union(*counts))
    return torch.tensor([[float(count[word]) for word in words] for count in counts]).reshape(len(texts), len(words))
