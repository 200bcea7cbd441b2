"""Concepts named by a language model."""

from __future__ import annotations

import warnings
from enum import Enum
from typing import Any

from interp_core.errors import InputError, InterpWarning, UnsupportedError, unknown
from interp_core.plugin import resolve

from interp_interpreto.commons import ActivationGranularity
from interp_interpreto.concepts.interpretations.interpretation import ConceptInterpretation
from interp_interpreto.model_wrapping.llm_interface import llm_of


class SamplingMethod(Enum):
    """Which rows the language model is shown.

    Examples:
        >>> from interp_interpreto.concepts.interpretations.llm_labels import SAMPLING_METHOD
        >>> SAMPLING_METHOD.TOP.value
        'top'
    """

    TOP = "top"
    QUANTILE = "quantile"
    RANDOM = "random"


SAMPLING_METHOD = SamplingMethod  # as the older generation has it


class LLMLabels(ConceptInterpretation):
    """A language model names each concept from where it is active, by `interp-llm-labels`.

    Args:
        llm_interface: an `LLMInterface`, such as `OpenAILLM`, or what `llm=` of `llm-labels` takes.
        sampling_method: `TOP` or `QUANTILE`.
        k_examples: how many rows are shown at most.
        k_context: units shown on either side of each.
        k_quantile: stretches of the ranking, for `QUANTILE`.
        system_prompt: the instructions; those of `llm-labels` by default.
        activation_granularity: what a row stands for.
        use_unique_words: not offered.
        unique_words_kwargs: not offered.
        **shared: `concept_explainer` and the other arguments of `ConceptInterpretation`.

    Raises:
        InputError: an argument cannot be used.
        UnsupportedError: random rows or unique words are asked for.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import ModelWithSplitPoints
        >>> from interp_interpreto.concepts import LLMLabels, PCAConcepts
        >>> from interp_interpreto.model_wrapping.llm_interface import LLMInterface
        >>> class Shy(LLMInterface):
        ...     def generate(self, prompt):
        ...         return "words"
        >>> tiny, texts = tiny_classifier(), ["so happy", "a sad dog"]
        >>> split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])
        >>> explainer = PCAConcepts(split, nb_concepts=2)
        >>> explainer.fit(split.get_activations(texts, split.activation_granularities.WORD))
        >>> LLMLabels(concept_explainer=explainer, llm_interface=Shy()).interpret("all", inputs=texts)
        {0: 'words', 1: 'words'}
    """

    def __init__(
        self,
        *,
        llm_interface: Any,
        sampling_method: Any = SamplingMethod.TOP,
        k_examples: int = 30,
        k_context: int = 0,
        k_quantile: int = 5,
        system_prompt: str | None = None,
        activation_granularity: Any = ActivationGranularity.TOKEN,
        use_unique_words: bool | int = 0,
        unique_words_kwargs: dict[str, Any] | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(activation_granularity=activation_granularity, **shared)
        if use_unique_words or unique_words_kwargs:
            raise UnsupportedError("LLMLabels shows rows of the texts; leave use_unique_words out, or use TopKInputs.")
        named = getattr(sampling_method, "value", sampling_method)
        known = [member.value for member in SamplingMethod]
        if named not in known:
            raise InputError(unknown("sampling_method", named, known))
        sampling = SamplingMethod(named)
        if sampling is SamplingMethod.RANDOM:
            raise UnsupportedError("random rows say nothing of where a concept is strong; use TOP or QUANTILE.")
        parameters = {"sampling": sampling.value, "examples": k_examples, "context": k_context, "bins": k_quantile}
        if system_prompt is not None:
            parameters["instructions"] = system_prompt
        self.by = resolve("llm-labels", "interpretation", {"llm": llm_of(llm_interface), **parameters})

    def interpret(
        self,
        concepts_indices: Any,
        inputs: Any = None,
        latent_activations: Any = None,
        concepts_activations: Any = None,
    ) -> dict[int, str | None]:
        """A label for each concept.

        Args:
            concepts_indices: the numbers of the concepts, or `"all"`.
            inputs: the texts.
            latent_activations: their activations, so that the model need not run.
            concepts_activations: their codes (n, c).

        Returns:
            By concept its label; None where it is active nowhere, or the language model gave none that can be used.

        Raises:
            InputError: the arguments do not fit each other, or the language model cannot be asked at all.
        """
        given = concepts_indices, inputs, latent_activations, concepts_activations
        words = self.words_of(self.by, *given)
        for note in words.notes:
            if "failed calls" in note or "malformed" in note:
                warnings.warn(note, InterpWarning, stacklevel=2)
        return {concept.concept: concept.label for concept in words}
