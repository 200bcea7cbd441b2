"""Whether the embedding of a label is nearer to texts on which its concept is active than to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation
from interp_core.errors import InputError, InterpError, ModelError
from interp_core.metrics import Score
from interp_core.model import SplitModel, TextModel
from jaxtyping import Float

from interp_label_scores.sampling import FEWEST, Sampling, check_settings
from interp_label_scores.scoring import Case, Outcome, drawn_cases, total
from interp_label_scores.word_counts import word_counts


@dataclass(frozen=True)
class EmbeddingMatch:
    """The probability that a label's embedding is nearer, by the cosine, to an excerpt on which its concept is active
    than to one on which it is not (AUROC), mean over concepts. 1 if it always is, 0.5 at chance; ties count half.

    No language model is asked, so it is cheap and exactly repeatable; but it is no better than the embedder. Excerpts
    are drawn as for `detection`, none from a text that the labeller was shown. `Score.chance` is what labels permuted
    across concepts get.

    Args:
        embedder: a function from a list of n texts to n vectors (n, d), such as `SentenceTransformer(…).encode`; or a
            `SplitModel`, or a `TextModel` for its last layer, whose states are averaged over the tokens of each text.
        examples: how many active excerpts a concept is scored on, and how many others.
        context: units on either side that belong to an excerpt, within the text.
        bins: stretches of the ranking of the codes of active rows that active excerpts come from.
        seed: of the draws and the permutation.
        permuted: whether permuted labels are scored too.
        threshold: as for `detection`: a concept is active above this share of its largest code.

    Raises:
        InputError: a value of another type, or a number out of range.

    Source: Paulo et al. 2024, arXiv:2410.13928, embedding scoring.
    """

    CHECKED_WITH: ClassVar[dict[str, Any]] = {"embedder": word_counts}
    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = (
        "mean over concepts of the AUROC with which the cosine of the embeddings of label and excerpt tells whether a "
        "concept is active"
    )

    embedder: Any = None
    examples: int = 50
    context: int = 16
    bins: int = 10
    seed: int = 0
    permuted: bool = True
    threshold: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, examples=FEWEST)

    def ready(self) -> None:
        """Called before anything is computed.

        Raises:
            InputError: there is no embedder, or it is not one.
        """
        _embedding(self.embedder)

    def measure(self, interpretation: Interpretation, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all labels; `values` has one for each concept, NaN for one without a score.

        Raises:
            InputError: the activations do not fit, there is no embedder, or it is not one.
            UnsupportedError: there are no labels, or too few excerpts for all of them.
            ModelError: the embedder fails, or does not give one finite vector for each text.
        """
        embed = _embedding(self.embedder)
        sampling = Sampling(self.examples, self.examples, self.context, self.bins, self.seed, self.threshold)
        cases, without, notes = drawn_cases(sampling, interpretation, space, activations, permuted=self.permuted)
        texts = [e.plain for case in cases if case.own for e in (*case.drawn.active, *case.drawn.inactive)]
        wordings = list(dict.fromkeys([*(case.label for case in cases), *texts]))
        place = {wording: i for i, wording in enumerate(wordings)}
        vectors = _directions(embed, wordings)
        outcomes = [Outcome(self._of(case, place, vectors)) for case in cases]
        return total(interpretation, cases, outcomes, without, notes=notes)

    def _of(self, case: Case, place: dict[str, int], vectors: Float[np.ndarray, "m d"]) -> float:
        near = [
            vectors[[place[e.plain] for e in excerpts]] @ vectors[place[case.label]]
            for excerpts in (case.drawn.active, case.drawn.inactive)
        ]
        return auroc(*near)


def auroc(above: Float[np.ndarray, " p"], below: Float[np.ndarray, " q"]) -> float:
    """The share of pairs in which the first number is the larger one; equal ones count half."""
    pairs = np.sign(np.round(above[:, None] - below, 12))  # what differs by rounding alone is equal
    return float((1 + pairs).mean() / 2)


def _embedding(embedder: Any) -> Callable[[list[str]], Any]:
    if isinstance(embedder, TextModel):
        embedder = embedder.split(-1)
    if isinstance(embedder, SplitModel):
        split = embedder
        return lambda texts: split.activations(texts, granularity="sample", progress=False).matrix()
    if callable(embedder) and not isinstance(embedder, type):
        found: Callable[[list[str]], Any] = embedder
        return found
    raise InputError(
        f"embedder is {embedder!r}; a function from a list of texts to vectors (n, d), a TextModel or a SplitModel was "
        "expected, such as embedder=SentenceTransformer(…).encode or embedder=interp.load(…)."
    )


def _directions(embed: Callable[[list[str]], Any], texts: Sequence[str]) -> Float[np.ndarray, "m d"]:
    """The embeddings at length one; one that is zero stays so.

    Raises:
        ModelError: the embedder fails, or they are not one finite vector for each text.
    """
    if not texts:
        return np.zeros((0, 1))
    try:
        vectors: np.ndarray = torch.as_tensor(embed(list(texts))).detach().double().cpu().numpy()
    except InterpError:
        raise
    except Exception as error:  # a function of the user's may raise anything, and return anything
        raise ModelError(
            f"the embedder failed on {len(texts)} texts ({type(error).__name__}: {error}); a function from a list of "
            "texts to vectors (n, d) was expected, such as SentenceTransformer(…).encode."
        ) from error
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise ModelError(
            f"the embedder gave numbers of shape {tuple(vectors.shape)} for {len(texts)} texts; finite vectors "
            f"({len(texts)}, d) were expected."
        )
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: np.ndarray = vectors / np.where(length > 0, length, 1)
    return directions
