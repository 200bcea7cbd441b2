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
    """Embedding match: the AUROC with which the cosine of label and excerpt embeddings tells active excerpts.

    It is the probability that the embedding of the label is nearer to an excerpt on which its concept is active than to
    one on which it is not; ties count half. Excerpts are drawn as for `detection`, none from a text that the labeller
    was shown.

    The value is the mean over concepts, from 0 to 1, and higher is better; 0.5 at chance. `Score.chance` is the value
    with labels permuted across concepts. No language model is asked, so it is cheap and exactly repeatable, but it is
    only as good as the embedder. The cost is one embedding of each label and excerpt.

    Args:
        embedder: a function from a list of n texts to n vectors (n, d), such as `SentenceTransformer(…).encode`; or a
            `SplitModel`, or a `TextModel` for its last layer, whose states are averaged over the tokens of each text.
            There is no default.
        examples: number of active excerpts for each concept, and of others; at least 3.
        context: number of units on either side that belong to an excerpt, within the text; at least 0.
        bins: number of parts of the ranking of the codes of active rows that active excerpts come from, at least 1.
        seed: random seed of the draws and the permutation.
        permuted: score permuted labels too.
        threshold: share of the largest code of a concept, at least 0 and below 1, above which it is active.

    Raises:
        InputError: a value has another type, or a number is out of range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.concepts import Interpretation, LabelledConcept
        >>> from interp_core.testing import topic_world
        >>> from interp_label_scores.word_counts import word_counts
        >>> activations, space = topic_world()  # each concept is one of three topics
        >>> said = ("sun, rain, warm or cold", "cat, dog, tree or house", "happy, glad, calm or good")
        >>> labels = Interpretation(tuple(LabelledConcept(i, label) for i, label in enumerate(said)))
        >>> interp.measure(labels, space, activations, by="embedding-match", embedder=word_counts).value > 0.9
        True

    Source:
        Paulo et al. 2024, arXiv:2410.13928, embedding scoring.
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
        """Check, before anything is computed, that there is an embedder.

        Raises:
            InputError: there is no embedder, or it is not one.
        """
        _embedding(self.embedder)

    def measure(self, interpretation: Interpretation, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the AUROC of each label.

        Returns:
            One number for all labels; `values` has one for each concept, NaN for one without a score.

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
