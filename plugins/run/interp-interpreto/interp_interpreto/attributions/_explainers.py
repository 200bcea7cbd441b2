"""One class for each attribution method, with the parameters that interpreto gives it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

import interp_core as interp
import torch
from interp_core.errors import InputError, InterpWarning, UnsupportedError, unknown
from interp_core.model import CLASSIFIERS, GENERATORS
from interp_core.plugin import resolve
from torch import Tensor

from interp_interpreto._models import on_device, text_model
from interp_interpreto.attributions._inputs import classes_of, continuations_of, texts_of
from interp_interpreto.attributions._output import AttributionOutput, InferenceModes
from interp_interpreto.commons import (
    Granularity,
    GranularityAggregationStrategy,
    check_aggregation,
    units_of,
)

GENERATED = ("max_new_tokens",)  # arguments of a call that are passed on


class DistancesFromMask(Enum):
    """How far a variant of a text is from the text; only the cosine distance is offered.

    Examples:
        >>> from interp_interpreto import Lime
        >>> Lime.distance_functions.COSINE.value
        'cosine'
    """

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    HAMMING = "hamming"


class SobolIndicesOrders(Enum):
    """What an index counts: a unit alone, or with all that it does together with others.

    Examples:
        >>> from interp_interpreto import Sobol
        >>> Sobol.sobol_indices_orders.TOTAL_ORDER.value
        'total'
    """

    FIRST_ORDER = "first"
    TOTAL_ORDER = "total"


class SequenceSamplers(Enum):
    """How points are drawn; only Sobol sequences are offered.

    Examples:
        >>> from interp_interpreto import Sobol
        >>> Sobol.samplers.SOBOL.value
        'sobol'
    """

    SOBOL = "sobol"
    HALTON = "halton"
    LatinHypercube = "latin-hypercube"


class AttributionExplainer:
    """Explains texts by one attribution method; the base class of all explainers, each of which names its method.

    Args:
        model: a model of transformers. It is only called, on the device where it lies; interpreto adds a token to it.
        tokenizer: its tokenizer, which is not changed either.
        batch_size: accepted, without effect; batches are sized by tokens.
        granularity: the granularity of the units.
        granularity_aggregation_strategy: `SUM`: scores of units add up. `MEAN` is read as `SUM`, with a warning.
        inference_mode: the score that is explained.
        device: the device where the model lies; a model elsewhere is not moved but refused.
        input_x_gradient: for explainers that offer both, whether gradients are multiplied by the input.
        baseline: for explainers along a path, where it starts: a number or vector; by default the mask token or the
            mean embedding.
        **parameters: parameters of the method, under interpreto's names or interp's.

    Raises:
        InputError: a parameter is unknown or out of range, or the model is on another device.
        UnsupportedError: a parameter has no counterpart.

    Examples:
        >>> import torch
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import Lime
        >>> tiny = tiny_classifier()
        >>> explainer = Lime(tiny.model, tiny.tokenizer, n_perturbations=50)
        >>> explainer(model_inputs="so happy today", targets=torch.tensor([[0, 1]]))[0].attributions.shape
        torch.Size([2, 3])
    """

    method: ClassVar[str] = ""
    gradients: ClassVar[bool] = False
    plain: ClassVar[str] = ""  # the method without multiplication by the input
    renamed: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, tuple[Any, ...]]] = {}  # parameters that have these values only
    defaults: ClassVar[Mapping[str, Any]] = {}  # where interpreto's default means something else
    baselines: ClassVar[bool] = False

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        batch_size: int = 4,
        granularity: Any = Granularity.WORD,
        *,
        granularity_aggregation_strategy: Any = GranularityAggregationStrategy.SUM,
        inference_mode: Any = InferenceModes.LOGITS,
        device: Any = None,
        input_x_gradient: bool | None = None,
        baseline: Any = None,
        **parameters: Any,
    ) -> None:
        self.model = text_model(model, tokenizer)
        self.tokenizer = self.model.tokenizer
        self.batch_size = batch_size
        on_device(self.model, device)
        self.granularity, self._units = granularity, units_of(granularity, Granularity)
        check_aggregation(granularity_aggregation_strategy, ("mean", "sum"))
        if granularity_aggregation_strategy is GranularityAggregationStrategy.MEAN:
            warnings.warn("MEAN is read as SUM: the scores of a unit's tokens add up.", InterpWarning, stacklevel=2)
        self.granularity_aggregation_strategy = GranularityAggregationStrategy.SUM
        if inference_mode not in list(InferenceModes):
            raise InputError(f"inference_mode is {inference_mode!r}; a member of InferenceModes was expected.")
        self.inference_mode = inference_mode
        self.by = resolve(self._name(input_x_gradient), "attribution", self._translated(parameters))
        self._removal = self._start(baseline)

    def _name(self, input_x_gradient: bool | None) -> str:
        if input_x_gradient is False and self.plain:
            return self.plain
        if input_x_gradient is not None and not self.gradients:
            known = ("granularity", "inference_mode", "device", *self.renamed)
            raise InputError(unknown(f"parameter of {type(self).__name__}", "input_x_gradient", known))
        multiplies = self.plain != self.method
        if input_x_gradient not in (None, multiplies):
            does = "multiplies" if multiplies else "does not multiply"
            raise UnsupportedError(
                f"{type(self).__name__} {does} gradients by the input here; leave input_x_gradient out."
            )
        return self.method

    def _translated(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters under the names that interp has for them."""
        for name, values in self.fixed.items():
            value = parameters.pop(name, values[0])
            if value not in values:
                raise UnsupportedError(f"{type(self).__name__} has {name}={values[0]!r} here; leave it out.")
        if "noise_std" in parameters:
            raise UnsupportedError(
                "noise_std is a width in embedding units, which means something else for each model; say noise=…, in "
                "standard deviations of the coordinates of the model's embeddings."
            )
        given = {name: value.value if isinstance(value, Enum) else value for name, value in parameters.items()}
        renamed = {self.renamed.get(name, name): value for name, value in given.items() if value is not None}
        return {**self.defaults, **renamed}

    def _start(self, baseline: Any) -> Any:
        """The removal that a baseline stands for."""
        if baseline is None:
            return "auto"
        if not self.baselines:
            raise InputError(unknown(f"parameter of {type(self).__name__}", "baseline", tuple(self.renamed)))
        if isinstance(baseline, Tensor):
            return baseline
        if isinstance(baseline, bool) or not isinstance(baseline, int | float):
            raise InputError(f"baseline is {baseline!r}; a number, or a vector as a tensor, was expected.")
        width = self.model.model.get_input_embeddings().weight.shape[1]
        return "zero" if baseline == 0 else torch.full((width,), float(baseline))

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.model.device

    def explain(self, model_inputs: Any, targets: Any = None, **model_kwargs: Any) -> list[AttributionOutput]:
        """Explain texts.

        Args:
            model_inputs: a text, what the tokenizer has made of one or more, or a list of these.
            targets: for a classifier None (the predicted class of each text), a class, or classes for each text as a
                tensor (n) or (n, t) or a list; for a generator None (its own answer) or a continuation for each text.
            **model_kwargs: `max_new_tokens`, for the answer of a generator.

        Returns:
            One output for each text.

        Raises:
            InputError: a text or target cannot be used.
        """
        for name in model_kwargs:
            if name not in GENERATED:
                raise InputError(unknown("argument", name, ("model_inputs", "targets", *GENERATED)))
        texts = texts_of(model_inputs, self.tokenizer)
        if self.model.head in CLASSIFIERS:
            targets = classes_of(targets, len(texts))
        elif self.model.head in GENERATORS:
            targets = continuations_of(targets, self.tokenizer, len(texts))
        explained = interp.attribute(
            self.model,
            texts,
            by=self.by,
            targets=targets,
            granularity=self._units,
            removal=self._removal,
            score=self.inference_mode.value,
            **model_kwargs,
        )
        told = self.granularity, self.granularity_aggregation_strategy, self.inference_mode
        return [AttributionOutput(one, *told) for one in explained]

    def __call__(self, model_inputs: Any, targets: Any = None, **kwargs: Any) -> list[AttributionOutput]:
        return self.explain(model_inputs, targets, **kwargs)


class Lime(AttributionExplainer):
    """LIME, by `interp-lime`, with the arguments of `AttributionExplainer`.

    `n_perturbations` is `samples`; `kernel_width` is in units of cosine distance.
    """

    method = "lime"
    renamed: ClassVar[Mapping[str, str]] = {"n_perturbations": "samples"}
    distance_functions = DistancesFromMask
    fixed: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "perturb_probability": (0.5,),
        "distance_function": (DistancesFromMask.COSINE,),
    }


class KernelShap(AttributionExplainer):
    """Kernel SHAP, by `interp-kernel-shap`, with the arguments of `AttributionExplainer`.

    `n_perturbations` is `samples`.
    """

    method = "kernel-shap"
    renamed: ClassVar[Mapping[str, str]] = {"n_perturbations": "samples"}


class Occlusion(AttributionExplainer):
    """Occlusion, by `interp-occlusion`, with the arguments of `AttributionExplainer`."""

    method = "occlusion"


class Sobol(AttributionExplainer):
    """Sobol indices, of first order by default, by `interp-sobol`, with the arguments of `AttributionExplainer`.

    `n_token_perturbations` is `samples`, and `sobol_indices_order` is `order`.
    """

    method = "sobol"
    sobol_indices_orders = SobolIndicesOrders
    samplers = SequenceSamplers
    fixed: ClassVar[Mapping[str, tuple[Any, ...]]] = {"sampler": (SequenceSamplers.SOBOL,)}
    defaults: ClassVar[Mapping[str, Any]] = {"order": "first"}
    renamed: ClassVar[Mapping[str, str]] = {"n_token_perturbations": "samples", "sobol_indices_order": "order"}


class Saliency(AttributionExplainer):
    """Input times gradient, signed, by `interp-input-x-gradient`; with `input_x_gradient=False`, by `interp-saliency`.

    The other arguments are those of `AttributionExplainer`.
    """

    method, plain, gradients = "input-x-gradient", "saliency", True


class IntegratedGradients(AttributionExplainer):
    """Integrated gradients, by `interp-integrated-gradients`, with the arguments of `AttributionExplainer`.

    `n_perturbations` is `steps`.
    """

    method, baselines, gradients = "integrated-gradients", True, True
    renamed: ClassVar[Mapping[str, str]] = {"n_perturbations": "steps"}


class GradientShap(AttributionExplainer):
    """GradientSHAP, by `interp-gradient-shap`, with the arguments of `AttributionExplainer`.

    `n_perturbations` is `samples`.
    """

    method, baselines, gradients = "gradient-shap", True, True
    renamed: ClassVar[Mapping[str, str]] = {"n_perturbations": "samples"}


class SmoothGrad(AttributionExplainer):
    """SmoothGrad times input, by `interp-smooth-grad`, with the arguments of `AttributionExplainer`.

    `n_perturbations` is `samples`.
    """

    method, gradients = "smooth-grad", True
    renamed: ClassVar[Mapping[str, str]] = {"n_perturbations": "samples"}


class SquareGrad(AttributionExplainer):
    """SquareGrad, of gradients alone, by `interp-square-grad`, with the arguments of `AttributionExplainer`.

    `n_perturbations` is `samples`.
    """

    method, plain, gradients = "square-grad", "square-grad", True
    renamed: ClassVar[Mapping[str, str]] = {"n_perturbations": "samples"}


class VarGrad(AttributionExplainer):
    """VarGrad, of gradients alone, by `interp-var-grad`, with the arguments of `AttributionExplainer`.

    `n_perturbations` is `samples`.
    """

    method, plain, gradients = "var-grad", "var-grad", True
    renamed: ClassVar[Mapping[str, str]] = {"n_perturbations": "samples"}
