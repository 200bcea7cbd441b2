"""The calls of interpreto, in its two generations, on the methods of interp: only import lines change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from interp_core.plugin import Method, hookimpl

_WHERE = {
    "attributions": (
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
    ),
    "commons": ("Granularity", "GranularityAggregationStrategy"),
    "model_wrapping": ("ModelWithSplitPoints",),
    "visualizations": ("plot_attributions", "plot_concepts"),
}


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package calls those of others."""
    return ()


def __getattr__(name: str) -> Any:
    """The name where interpreto has it, imported on first use: finding methods must not import torch."""
    from importlib import import_module

    for module, names in _WHERE.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
