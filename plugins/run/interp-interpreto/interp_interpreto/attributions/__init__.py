"""Explainers of texts, as interpreto has them: made with a model and its tokenizer, called with texts and targets."""

from interp_interpreto.attributions._explainers import (
    AttributionExplainer,
    GradientShap,
    IntegratedGradients,
    KernelShap,
    Lime,
    Occlusion,
    Saliency,
    SmoothGrad,
    Sobol,
    SquareGrad,
    VarGrad,
)
from interp_interpreto.attributions._output import AttributionOutput, InferenceModes, ModelTask

__all__ = [
    "AttributionExplainer",
    "AttributionOutput",
    "GradientShap",
    "InferenceModes",
    "IntegratedGradients",
    "KernelShap",
    "Lime",
    "ModelTask",
    "Occlusion",
    "Saliency",
    "SmoothGrad",
    "Sobol",
    "SquareGrad",
    "VarGrad",
]
