"""interp: why a language model answered as it did, what it has learnt, and how far to trust both.

Every public name is resolved on first use (PEP 562), so `import interp_core` imports neither torch nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from interp_core.activations import Activations
    from interp_core.attribution import Attribution, Question, at, attribute, contrast
    from interp_core.concepts import (
        Change,
        ConceptCard,
        ConceptCards,
        ConceptModel,
        ConceptSpace,
        Effect,
        Example,
        Importance,
        Interpretation,
        LabelledConcept,
        concept_cards,
        effect,
        fit_concepts,
        importance,
        interpret,
        intervene,
    )
    from interp_core.errors import InterpError, InterpWarning
    from interp_core.metrics import Benchmark, Score, benchmark, measure
    from interp_core.model import SplitModel, Target, TextModel, load
    from interp_core.plugin import Method, hookimpl, method, methods, register
    from interp_core.reporting import ClassConcepts, plot_attributions, plot_concepts, report
    from interp_core.results import MadeBy, load_results, save
    from interp_core.text import Chat, Unit

__all__ = [
    "Activations",
    "Attribution",
    "Benchmark",
    "Change",
    "Chat",
    "ClassConcepts",
    "ConceptCard",
    "ConceptCards",
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
    "concept_cards",
    "contrast",
    "effect",
    "fit_concepts",
    "hookimpl",
    "importance",
    "interpret",
    "intervene",
    "load",
    "load_results",
    "measure",
    "method",
    "methods",
    "plot_attributions",
    "plot_concepts",
    "register",
    "report",
    "save",
]

_resolve, _dir, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "activations": ["Activations"],
        "attribution": ["Attribution", "Question", "at", "attribute", "contrast"],
        "concepts": [
            "Change",
            "ConceptCard",
            "ConceptCards",
            "ConceptModel",
            "ConceptSpace",
            "Effect",
            "Example",
            "Importance",
            "Interpretation",
            "LabelledConcept",
            "concept_cards",
            "effect",
            "fit_concepts",
            "importance",
            "interpret",
            "intervene",
        ],
        "errors": ["InterpError", "InterpWarning"],
        "metrics": ["Benchmark", "Score", "benchmark", "measure"],
        "model": ["SplitModel", "Target", "TextModel", "load"],
        "plugin": ["Method", "hookimpl", "method", "methods", "register"],
        "reporting": ["ClassConcepts", "plot_attributions", "plot_concepts", "report"],
        "results": ["MadeBy", "load_results", "save"],
        "text": ["Chat", "Unit"],
    },
)


def __getattr__(name: str) -> Any:
    """The public name, imported on first use; also one that an installed package brings, such as `Pipeline`."""
    if name == "errors":  # the only module that is meant to be named in full, as in `except interp.errors.InputError`
        return import_module("interp_core.errors")
    if name in __all__ or name.startswith("__"):
        return _resolve(name)
    from interp_core.plugin import packaged

    return packaged(name, __all__)


def __dir__() -> list[str]:
    from interp_core.plugin import names

    return sorted({*_dir(), *names()})
