"""What interpretations share: the rows in which concepts are looked up."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Iterable
from typing import Any

import interp_core as interp
import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace, ConceptSpace, Interpretation
from interp_core.errors import InputError, InterpWarning, UnsupportedError, unknown

from interp_interpreto.attributions._inputs import texts_of
from interp_interpreto.commons import (
    ActivationGranularity,
    GranularityAggregationStrategy,
    check_aggregation,
    units_of,
)
from interp_interpreto.concepts.explainers import ConceptEncoderExplainer
from interp_interpreto.model_wrapping.model_with_split_points import SplitActivations, with_blanks

SOURCES = ("concepts_activations", "latent_activations", "inputs", "vocabulary", "auto")  # of the older style


class ConceptInterpretation:
    """An interpretation with its arguments. Base class.

    Args:
        concept_explainer: the explainer, with concepts learnt.
        activation_granularity: what a row stands for.
        aggregation_strategy: `MEAN`.
        use_vocab: look concepts up in the tokens of the vocabulary, each alone, instead of texts.
        concept_encoding_batch_size: accepted; rows are encoded in batches anyway.
        concept_model_device: accepted; concepts are encoded where they lie.
        **strange: none; what is given is refused with the nearest name.

    Raises:
        InputError: the explainer has no concepts yet, or an argument cannot be used.
    """

    def __init__(
        self,
        *,
        concept_explainer: ConceptEncoderExplainer,
        activation_granularity: Any,
        aggregation_strategy: Any = GranularityAggregationStrategy.MEAN,
        use_vocab: bool = False,
        concept_encoding_batch_size: int = 1024,
        concept_model_device: Any = None,
        **strange: Any,
    ) -> None:
        del concept_encoding_batch_size, concept_model_device
        if strange:
            known = [name for name in inspect.signature(type(self)).parameters if name != "shared"]
            raise InputError(unknown(f"argument of {type(self).__name__}", next(iter(strange)), known))
        check_aggregation(aggregation_strategy, ("mean",))
        self.explainer = concept_explainer
        self.space: ConceptSpace = concept_explainer.concept_model
        self.units = units_of(activation_granularity, ActivationGranularity)
        self.use_vocab = use_vocab

    @classmethod
    def older(cls, explainer: ConceptEncoderExplainer, arguments: dict[str, Any]) -> Any:
        """The interpretation from arguments in the older style.

        Args:
            explainer: the explainer.
            arguments: `granularity` and `source`, or the present ones.

        Raises:
            InputError: an argument is unknown.
        """
        given = dict(arguments)
        if "granularity" in given:
            given["activation_granularity"] = given.pop("granularity")
        source = given.pop("source", "auto")
        source = getattr(source, "value", source)
        if source not in SOURCES:
            raise InputError(unknown("source", source, SOURCES))
        if source == "vocabulary":
            given["use_vocab"] = True
        explainer.check_layer(given.pop("split_point", None))
        return cls(concept_explainer=explainer, **given)

    def asked(self, concepts_indices: Any) -> list[int]:
        """The numbers of the concepts.

        Raises:
            InputError: one is none of them.
        """
        if isinstance(concepts_indices, str) and concepts_indices == "all":
            return list(range(self.space.concepts))
        if isinstance(concepts_indices, torch.Tensor):
            concepts_indices = concepts_indices.reshape(-1).tolist()
        given = concepts_indices if isinstance(concepts_indices, Iterable) else [concepts_indices]
        listed = [i.__index__() if hasattr(i, "__index__") and not isinstance(i, bool) else -1 for i in given]
        if any(not 0 <= i < self.space.concepts for i in listed):
            raise InputError(
                f"concepts_indices is {concepts_indices!r}; numbers from 0 to {self.space.concepts - 1}, or 'all', "
                "were expected."
            )
        return listed

    def words_of(
        self, by: Any, concepts_indices: Any, inputs: Any, latent_activations: Any, concepts_activations: Any
    ) -> Interpretation:
        """The interpretation by a method of interp, of the concepts that were asked for."""
        chosen = self.asked(concepts_indices)
        space, rows = self._rows(inputs, latent_activations, concepts_activations)
        return interp.interpret(space, rows, by=by, concepts=list(dict.fromkeys(chosen)))

    def _rows(self, inputs: Any, latent: Any, codes: Any) -> tuple[ConceptSpace, Activations]:
        """The rows in which concepts are looked up, and the space that encodes them."""
        splitter, split = self.explainer.splitter, self.explainer.split
        if self.use_vocab:
            return self.space, self._vocabulary()
        if codes is not None:
            if inputs is None:
                raise InputError("concepts_activations need inputs, the texts that their rows are of.")
            given = splitter.rows(torch.as_tensor(codes), split, inputs, self.units)
            identity = torch.eye(given.width)
            return AffineSpace(identity, identity), self._blank(dataclasses.replace(given, layer="given"))
        if isinstance(latent, SplitActivations):
            own = latent.whole(split.path)
            if own is None:  # its entry was changed, so that only the rows are left
                rows = splitter.get_split_activations(latent, split.path)
                return self._rows(inputs, rows, codes)
            if own.granularity != self.units:
                raise InputError(
                    f"the activations are of granularity {own.granularity!r}, and {self.units!r} was asked for; name "
                    "the same for both."
                )
            if inputs is not None and list(own.texts) != texts_of(inputs, splitter.tokenizer):
                raise InputError("the activations are of other texts than inputs; give those that they were read from.")
            return self.space, self._blank(own)
        if inputs is None:
            raise InputError("there is nothing to look concepts up in; give inputs, the texts.")
        texts = texts_of(inputs, splitter.tokenizer)
        if latent is not None:
            return self.space, self._blank(splitter.rows(latent, split, texts, self.units))
        return self.space, self._blank(split.activations(texts, granularity=self.units, progress=False))

    def _blank(self, activations: Activations) -> Activations:
        """Words with the blank before them where the model's tokens have it."""
        return with_blanks(activations, self.explainer.splitter.tokenizer) if self.units == "word" else activations

    def _vocabulary(self) -> Activations:
        """The rows of the tokens of the vocabulary, each a text of its own; without those that no text becomes."""
        tokenizer = self.explainer.splitter.tokenizer
        special = set(tokenizer.all_special_ids)
        texts = {i: tokenizer.decode([i]) for i in sorted(tokenizer.get_vocab().values()) if i not in special}
        texts = {i: text for i, text in texts.items() if text.strip()}
        alone = tokenizer(list(texts.values()), add_special_tokens=False)["input_ids"]
        words = [text for (i, text), ids in zip(texts.items(), alone, strict=True) if ids == [i]]
        if not words:
            raise InputError("no token of the vocabulary is what a text of its own becomes; give inputs instead.")
        if len(words) < len(texts):
            left = (
                f"{len(texts) - len(words):,} of {len(texts):,} tokens are pieces of words that no text becomes alone"
            )
            warnings.warn(f"{left}; they are left out.", InterpWarning, stacklevel=4)
        units = self.units if self.units == "cls" else "sample"
        rows = self.explainer.split.activations(words, granularity=units, progress=False)
        return dataclasses.replace(rows, units=tuple((interp.Unit(word, 0, len(word)),) for word in words))


def check_unique(use_unique_words: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `top-inputs` for `use_unique_words` and `unique_words_kwargs`.

    Raises:
        UnsupportedError: sequences of several words are asked for.
        InputError: an argument is unknown.
    """
    known = ("n", "count_min_threshold", "lemmatize", "words_to_ignore")
    for name in kwargs:
        if name not in known:
            raise InputError(unknown("argument in unique_words_kwargs", name, known))
    if int(use_unique_words) > 1 or kwargs.get("n", 1) != 1:
        raise UnsupportedError("sequences of several words are not counted; use single ones, use_unique_words=True.")
    return {"min_count": kwargs.get("count_min_threshold", 1), "lemmatize": kwargs.get("lemmatize", False)}
