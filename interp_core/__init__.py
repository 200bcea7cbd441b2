"""interp: why a language model answered as it did, what it has learnt, and how far to trust both.

Every public name is resolved on first use (PEP 562), so `import interp_core` imports neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Activations": "activations",
    "Attribution": "attribution",
    "Benchmark": "comparison",
    "Change": "intervention",
    "ClassConcepts": "reporting",
    "ConceptModel": "lighting",
    "ConceptSpace": "concepts",
    "Effect": "effects",
    "Example": "interpretation",
    "Importance": "contribution",
    "InterpError": "errors",
    "Interpretation": "interpretation",
    "InterpWarning": "errors",
    "LabelledConcept": "interpretation",
    "MadeBy": "provenance",
    "Method": "plugin",
    "Question": "question",
    "Score": "score",
    "SplitModel": "split",
    "Target": "targets",
    "TextModel": "model",
    "Unit": "text",
    "attribute": "attribution",
    "benchmark": "benchmarking",
    "at": "wanted",
    "contrast": "wanted",
    "effect": "effects",
    "fit_concepts": "concepts",
    "hookimpl": "plugin",
    "importance": "contribution",
    "interpret": "interpretation",
    "intervene": "intervention",
    "load": "loading",
    "measure": "metrics",
    "method": "registry",
    "methods": "registry",
    "plot_attributions": "reporting",
    "plot_concepts": "reporting",
    "register": "registry",
    "report": "reporting",
}

__all__ = [
    "Activations",
    "Attribution",
    "Benchmark",
    "Change",
    "ClassConcepts",
    "ConceptModel",
    "ConceptSpace",
    "Effect",
    "Example",
    "Importance",
    "InterpError",
    "InterpWarning",
    "Interpretation",
    "LabelledConcept",
    "MadeBy",
    "Method",
    "Question",
    "Score",
    "SplitModel",
    "Target",
    "TextModel",
    "Unit",
    "at",
    "attribute",
    "benchmark",
    "contrast",
    "effect",
    "fit_concepts",
    "hookimpl",
    "importance",
    "interpret",
    "intervene",
    "load",
    "measure",
    "method",
    "methods",
    "plot_attributions",
    "plot_concepts",
    "register",
    "report",
]

if TYPE_CHECKING:
    from interp_core.activations import Activations
    from interp_core.attribution import Attribution, attribute
    from interp_core.benchmarking import benchmark
    from interp_core.comparison import Benchmark
    from interp_core.concepts import ConceptSpace, fit_concepts
    from interp_core.contribution import Importance, importance
    from interp_core.effects import Effect, effect
    from interp_core.errors import InterpError, InterpWarning
    from interp_core.interpretation import Example, Interpretation, LabelledConcept, interpret
    from interp_core.intervention import Change, intervene
    from interp_core.lighting import ConceptModel
    from interp_core.loading import load
    from interp_core.metrics import measure
    from interp_core.model import TextModel
    from interp_core.plugin import Method, hookimpl
    from interp_core.provenance import MadeBy
    from interp_core.question import Question
    from interp_core.registry import method, methods, register
    from interp_core.reporting import ClassConcepts, plot_attributions, plot_concepts, report
    from interp_core.score import Score
    from interp_core.split import SplitModel
    from interp_core.targets import Target
    from interp_core.text import Unit
    from interp_core.wanted import at, contrast


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'interp_core' has no attribute {name!r}")
    value = getattr(import_module(f"interp_core.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
