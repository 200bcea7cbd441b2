"""Concepts in the words where they are most active."""

from __future__ import annotations

from enum import Enum
from typing import Any

from interp_core.errors import InputError
from interp_core.plugin import resolve

from interp_interpreto.commons import ActivationGranularity
from interp_interpreto.concepts.interpretations.interpretation import ConceptInterpretation, check_unique


class InterpretationSources(Enum):
    """Where concepts are looked up, in the older style. What is given decides; only `VOCABULARY` says more.

    Examples:
        >>> from interp_interpreto.concepts import TopKInputs
        >>> TopKInputs.sources.LATENT_ACTIVATIONS.value
        'latent_activations'
    """

    CONCEPTS_ACTIVATIONS = "concepts_activations"
    LATENT_ACTIVATIONS = "latent_activations"
    INPUTS = "inputs"
    VOCABULARY = "vocabulary"
    AUTO = "auto"


class TopKInputs(ConceptInterpretation):
    """The units where a concept is most active, or the words of texts that speak for it, by `interp-top-inputs`.

    Args:
        k: words for each concept, at most.
        use_unique_words: the words of the texts that speak for the concept, in place of units.
        unique_words_kwargs: `count_min_threshold`, `lemmatize` and `words_to_ignore`.
        activation_granularity: what a row stands for.
        **shared: `concept_explainer` and the other arguments of `ConceptInterpretation`.

    Raises:
        InputError: an argument cannot be used.
        UnsupportedError: sequences of several words are asked for.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import ModelWithSplitPoints
        >>> from interp_interpreto.concepts import PCAConcepts, TopKInputs
        >>> tiny, texts = tiny_classifier(), ["so happy", "a sad dog"]
        >>> split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])
        >>> explainer = PCAConcepts(split, nb_concepts=2)
        >>> explainer.fit(split.get_activations(texts, split.activation_granularities.WORD))
        >>> words = TopKInputs(concept_explainer=explainer, k=2).interpret(inputs=texts)
        >>> sorted(words), len(words[0])
        ([0, 1], 2)
    """

    activation_granularities = ActivationGranularity
    granularities = ActivationGranularity
    sources = InterpretationSources

    def __init__(
        self,
        *,
        k: int = 5,
        use_unique_words: bool | int = 0,
        unique_words_kwargs: dict[str, Any] | None = None,
        activation_granularity: Any = ActivationGranularity.WORD,
        **shared: Any,
    ) -> None:
        super().__init__(activation_granularity=activation_granularity, **shared)
        kwargs = unique_words_kwargs or {}
        if kwargs and not use_unique_words:
            raise InputError("unique_words_kwargs are for use_unique_words=True; say so, or leave them out.")
        self.k, self.ignored = k, {word.lower() for word in kwargs.get("words_to_ignore") or ()}
        parameters: dict[str, Any] = {"source": "units"}
        if use_unique_words:
            parameters = {"source": "unique-words", **check_unique(use_unique_words, kwargs)}
        self.by = resolve("top-inputs", "interpretation", {**parameters, "top": k + len(self.ignored)})

    def interpret(
        self,
        concepts_indices: Any = "all",
        inputs: Any = None,
        latent_activations: Any = None,
        concepts_activations: Any = None,
    ) -> dict[int, dict[str, float]]:
        """Words and how strongly they speak for each concept.

        Args:
            concepts_indices: the numbers of the concepts, or `"all"`.
            inputs: the texts.
            latent_activations: their activations, so that the model need not run.
            concepts_activations: their codes (n, c).

        Returns:
            By concept a dict from word to strength, strongest first; empty where no word speaks for it.

        Raises:
            InputError: the arguments do not fit each other.
        """
        given = concepts_indices, inputs, latent_activations, concepts_activations
        words = self.words_of(self.by, *given)
        kept = {c.concept: [pair for pair in c.words if pair[0].strip().lower() not in self.ignored] for c in words}
        return {concept: dict(pairs[: self.k]) for concept, pairs in kept.items()}
