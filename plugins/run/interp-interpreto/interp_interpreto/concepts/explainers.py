"""An explainer of concepts: learns a space from activations, and says how its concepts move the model's answers."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import interp_core as interp
import torch
from interp_core.attribution import Options, Question
from interp_core.concepts import ConceptSpace, concept_questions
from interp_core.errors import InputError, InterpWarning, UnsupportedError
from interp_core.model import CLASSIFIERS, SplitModel
from interp_core.plugin import resolve
from jaxtyping import Float
from torch import Tensor

from interp_interpreto.attributions._inputs import chosen_targets, texts_of
from interp_interpreto.commons import (
    ActivationGranularity,
    GranularityAggregationStrategy,
    check_aggregation,
    units_of,
)
from interp_interpreto.model_wrapping.model_with_split_points import ModelWithSplitPoints

TRAINING = {"lr": "learning_rate", "batch_size": "batch_size"}  # arguments of `fit` that are parameters here


class ConceptEncoderExplainer:
    """Learns concepts by one method. Base class of all explainers, which say which method it is.

    Args:
        model_with_split_points: the split model.
        nb_concepts: how many concepts; for methods that are told.
        split_point: the layer, if the model is split at several.
        device: where to learn, for methods that can choose.
        **kwargs: further parameters of the method, under interp's names.

    Attributes:
        splitter: the split model.
        space: the concepts, once they are learnt.

    Raises:
        InputError: a parameter is unknown or out of range, or no layer is named.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import ModelWithSplitPoints
        >>> from interp_interpreto.concepts import PCAConcepts
        >>> tiny = tiny_classifier()
        >>> split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])
        >>> activations = split.get_activations(["so happy", "a sad dog"], split.activation_granularities.WORD)
        >>> explainer = PCAConcepts(split, nb_concepts=2)
        >>> explainer.fit(activations)
        >>> explainer.encode_activations(activations).shape
        torch.Size([5, 2])
    """

    method: ClassVar[str] = ""
    counted: ClassVar[bool] = True
    placed: ClassVar[bool] = False  # whether the method can learn elsewhere than on the CPU

    def __init__(
        self,
        model_with_split_points: Any,
        *,
        nb_concepts: int | None = None,
        split_point: Any = None,
        device: Any = "cpu",
        **kwargs: Any,
    ) -> None:
        if not isinstance(model_with_split_points, ModelWithSplitPoints):
            raise InputError(
                f"{type(self).__name__} was given {type(model_with_split_points).__name__}; a ModelWithSplitPoints was "
                "expected."
            )
        if self.counted and nb_concepts is None:
            raise InputError(f"{type(self).__name__} needs nb_concepts, the number of concepts.")
        self.splitter: ModelWithSplitPoints = model_with_split_points
        self.split: SplitModel = model_with_split_points.at(split_point)
        self._parameters = {**({"concepts": nb_concepts} if self.counted else {}), **kwargs}
        self._parameters |= self._place(device)
        resolve(self.method, "concepts", self._parameters)  # so that a mistake is met here, before anything is read
        self.space: ConceptSpace | None = None

    def _place(self, device: Any) -> dict[str, str]:
        """The parameter that says where to learn, for methods that can choose.

        Raises:
            InputError: there is no such device.
        """
        try:
            place = str(torch.device(device))
        except (RuntimeError, TypeError) as error:
            raise InputError(f"device is {device!r}; one such as 'cpu' or 'cuda' was expected.") from error
        return {"device": place} if self.placed else {}

    @property
    def model_with_split_points(self) -> ModelWithSplitPoints:
        """The split model."""
        return self.splitter

    def check_layer(self, split_point: Any) -> None:
        """Refuse a layer other than the one that the concepts are of.

        Args:
            split_point: the layer, by path or number; None for the explainer's own.

        Raises:
            InputError: it is another.
        """
        if split_point is not None and self.splitter.at(split_point) is not self.split:
            raise InputError(f"the concepts are of {self.split.path!r}, not of {split_point!r}; leave split_point out.")

    @property
    def split_point(self) -> str:
        """The module path of the layer."""
        return self.split.path

    @property
    def is_fitted(self) -> bool:
        """Whether concepts are learnt, or there is nothing to learn."""
        return self.space is not None or not self.counted

    @property
    def concept_model(self) -> ConceptSpace:
        """The space of concepts, as interp has it.

        Raises:
            InputError: none is learnt yet.
        """
        if self.space is None and not self.counted:  # there is nothing to learn
            self.fit(self.split.activations(["a"], granularity="token", progress=False).matrix())
        if self.space is None:
            raise InputError(f"{type(self).__name__} has no concepts yet; call fit(activations) first.")
        return self.space

    def fit(self, activations: Any, **kwargs: Any) -> None:
        """Learn the concepts.

        Args:
            activations: what `get_activations` returned, a dict that was made of it, or a tensor (n, d).
            **kwargs: `lr`, `batch_size`, `nb_epochs` and `device` for autoencoders, or parameters of the method.

        Raises:
            InputError: there are no rows of the layer, or a parameter is unknown.
        """
        rows = self.splitter.rows(activations, self.split)
        given = {TRAINING.get(name, name): value for name, value in kwargs.items() if value is not None}
        if given.pop("overwrite", True) is False and self.space is not None:
            raise InputError(f"{type(self).__name__} has concepts already; make another explainer, or overwrite=True.")
        if "nb_epochs" in given:
            made: Any = resolve(self.method, "concepts", self._parameters)
            if not hasattr(made, "batch_size"):
                raise InputError(f"{type(self).__name__} does not learn in epochs; leave nb_epochs out.")
            batch = given.get("batch_size", made.batch_size)
            given["steps"] = given.pop("nb_epochs") * math.ceil(len(rows) / batch)
        if "device" in given:
            given |= self._place(given.pop("device"))
        self.space = interp.fit_concepts(rows, by=self.method, progress=False, **{**self._parameters, **given})

    def encode_activations(self, activations: Any) -> Float[Tensor, "n c"]:
        """The codes (n, c) of activations; gradients pass.

        Args:
            activations: rows (n, d), or what `get_activations` returned.
        """
        return self.concept_model.encode(self.splitter.get_split_activations(activations, self.split_point).float())

    activations_to_concepts = encode_activations

    def interpret(self, interpretation_method: Any, concepts_indices: Any = "all", **kwargs: Any) -> dict[int, Any]:
        """Put concepts into words, in the older style: the method as a class, its arguments with those of the call.

        Args:
            interpretation_method: `TopKInputs` or `LLMLabels`.
            concepts_indices: the numbers of the concepts, or `"all"`.
            **kwargs: `inputs`, `latent_activations` and `concepts_activations`, and the arguments of the method.

        Returns:
            What the method gives, by concept.

        Raises:
            InputError: the arguments do not fit the method.
        """
        if not hasattr(interpretation_method, "older"):
            raise InputError(f"{interpretation_method!r} was given; TopKInputs or LLMLabels was expected.")
        called = {name: kwargs.pop(name, None) for name in ("inputs", "latent_activations", "concepts_activations")}
        found: dict[int, Any] = interpretation_method.older(self, kwargs).interpret(concepts_indices, **called)
        return found


class ConceptAutoEncoderExplainer(ConceptEncoderExplainer):
    """An explainer whose concepts give activations back.

    Examples:
        >>> from interp_interpreto.concepts import ConceptAutoEncoderExplainer, SemiNMFConcepts
        >>> issubclass(SemiNMFConcepts, ConceptAutoEncoderExplainer)
        True
    """

    def decode_concepts(self, concepts: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """The activations (n, d) that codes stand for; gradients pass.

        Args:
            concepts: codes (n, c).
        """
        return self.concept_model.decode(concepts)

    concepts_to_activations = decode_concepts

    def get_dictionary(self) -> Float[Tensor, "c d"]:
        """The direction of each concept (c, d)."""
        dictionary: Tensor = self.concept_model.dictionary
        return dictionary.detach()

    def concept_output_gradient(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        split_point: Any = None,
        activation_granularity: Any = ActivationGranularity.TOKEN,
        aggregation_strategy: Any = GranularityAggregationStrategy.MEAN,
        concepts_x_gradients: bool = True,
        normalization: bool = True,
        tqdm_bar: bool = False,
        batch_size: int | None = None,
    ) -> list[Float[Tensor, "t g c"]]:
        """How the scores of classes change with the code of each concept, in each row of each text.

        Args:
            inputs: the texts.
            targets: classes by number; all of them by default. For a generator the next tokens.
            split_point: the layer; the explainer's own.
            activation_granularity: what a row stands for.
            aggregation_strategy: `MEAN`.
            concepts_x_gradients: multiply by the codes.
            normalization: divide by the sum of the sizes over the rows and concepts of a text, for each target; a text
                whose gradients are all 0 keeps them.
            tqdm_bar: show a progress bar.
            batch_size: accepted; batches are sized by tokens.

        Returns:
            For each text (t, g, c): t targets, g rows, c concepts.

        Raises:
            InputError: a text, class or granularity cannot be used.
            UnsupportedError: targets are left out for a model without classes.
        """
        del batch_size
        check_aggregation(aggregation_strategy, ("mean",))
        self.check_layer(split_point)
        if targets is None and self.splitter.model.head not in CLASSIFIERS:
            raise UnsupportedError(
                f"{self.splitter.model.name} has no classes; give the next tokens that are explained as targets."
            )
        units = units_of(activation_granularity, ActivationGranularity)
        texts = texts_of(inputs, self.splitter.tokenizer)
        activations = self.split.activations(texts, granularity=units, progress=tqdm_bar)
        chosen = "all" if targets is None else chosen_targets(targets)
        options = Options(progress=tqdm_bar)
        questions = concept_questions(self.split, self.concept_model, activations, chosen, options)

        def gradients(question: Question) -> Tensor:
            slopes = next(question.gradients(question.x[None]))  # (t, c, g)
            weighted = slopes * question.x if concepts_x_gradients else slopes
            if normalization:
                total = weighted.abs().sum((1, 2), keepdim=True)
                weighted = weighted / torch.where(total > 0, total, 1.0)
            return weighted.transpose(1, 2).cpu()

        found = questions.each(gradients, "gradients")
        if not any(bool(one.any()) for one in found):
            for note in questions.zero_note(torch.zeros(1)):
                warnings.warn(note, InterpWarning, stacklevel=2)
        return found
