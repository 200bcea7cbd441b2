"""The calls of interpreto, in its two generations, on the methods of interp: only import lines change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import lazy_loader
from interp_core.plugin import Method, hookimpl

if TYPE_CHECKING:
    from interp_interpreto.attributions import (
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
    from interp_interpreto.commons import Granularity
    from interp_interpreto.model_wrapping import ModelWithSplitPoints
    from interp_interpreto.visualizations import AttributionVisualization, plot_attributions, plot_concepts

__all__ = [
    "AttributionVisualization",
    "GradientShap",
    "Granularity",
    "IntegratedGradients",
    "KernelShap",
    "Lime",
    "ModelWithSplitPoints",
    "Occlusion",
    "Saliency",
    "SmoothGrad",
    "Sobol",
    "SquareGrad",
    "VarGrad",
    "plot_attributions",
    "plot_concepts",
]


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package calls those of others."""
    return ()


__getattr__, __dir__, _ = lazy_loader.attach(  # finding methods must not import torch
    __name__,
    submodules=["attributions", "commons", "concepts", "model_wrapping", "visualizations"],
    submod_attrs={
        "attributions": [
            "GradientShap",
            "IntegratedGradients",
            "KernelShap",
            "Lime",
            "Occlusion",
            "Saliency",
            "SmoothGrad",
            "Sobol",
            "SquareGrad",
            "VarGrad",
        ],
        "commons": ["Granularity"],
        "model_wrapping": ["ModelWithSplitPoints"],
        "visualizations": ["AttributionVisualization", "plot_attributions", "plot_concepts"],
    },
)
