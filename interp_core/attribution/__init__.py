"""Feature attribution: the verb `attribute`, the `Attribution` that it returns, the `Question` that a method sees, and
the ways to build one."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.attribution._ask import ask
    from interp_core.attribution._at import At, at
    from interp_core.attribution._attribute import attribute
    from interp_core.attribution._attribution import Attribution
    from interp_core.attribution._attributions import Attributions
    from interp_core.attribution._component_questions import REFERENCE, Components, about_components
    from interp_core.attribution._component_text import ComponentText
    from interp_core.attribution._continuation import continued, next_token_targets
    from interp_core.attribution._contrast import Contrast, contrast
    from interp_core.attribution._function_runner import FunctionRunner, Runner
    from interp_core.attribution._method_call import explain, missing_share, name_of, run_method
    from interp_core.attribution._options import Options
    from interp_core.attribution._prepared_text import PreparedText
    from interp_core.attribution._question import Question
    from interp_core.attribution._question_builders import Ask, ModelRunner
    from interp_core.attribution._removal import Absence, Removal, absence
    from interp_core.attribution._session import Session, session_of
    from interp_core.attribution._stored_attributions import StoredAttributions
    from interp_core.attribution._targets import TargetResolver, class_targets

__all__ = [
    "REFERENCE",
    "Absence",
    "Ask",
    "At",
    "Attribution",
    "Attributions",
    "ComponentText",
    "Components",
    "Contrast",
    "FunctionRunner",
    "ModelRunner",
    "Options",
    "PreparedText",
    "Question",
    "Removal",
    "Runner",
    "Session",
    "StoredAttributions",
    "TargetResolver",
    "about_components",
    "absence",
    "ask",
    "at",
    "attribute",
    "class_targets",
    "continued",
    "contrast",
    "explain",
    "missing_share",
    "name_of",
    "next_token_targets",
    "run_method",
    "session_of",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_ask": ["ask"],
        "_at": ["At", "at"],
        "_attribute": ["attribute"],
        "_attribution": ["Attribution"],
        "_attributions": ["Attributions"],
        "_component_questions": ["REFERENCE", "Components", "about_components"],
        "_component_text": ["ComponentText"],
        "_continuation": ["continued", "next_token_targets"],
        "_contrast": ["Contrast", "contrast"],
        "_function_runner": ["FunctionRunner", "Runner"],
        "_method_call": ["explain", "missing_share", "name_of", "run_method"],
        "_options": ["Options"],
        "_prepared_text": ["PreparedText"],
        "_question": ["Question"],
        "_question_builders": ["Ask", "ModelRunner"],
        "_removal": ["Absence", "Removal", "absence"],
        "_session": ["Session", "session_of"],
        "_stored_attributions": ["StoredAttributions"],
        "_targets": ["TargetResolver", "class_targets"],
    },
)
