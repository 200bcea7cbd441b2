"""Concept spaces: learning concepts from activations, interpreting them, measuring their importance and effect,
changing them while a model runs, and the values that hold the results."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.concepts._activity import Activity, Sampled, activity
    from interp_core.concepts._card_contents import concept_cards
    from interp_core.concepts._cards import ConceptCard, ConceptCards
    from interp_core.concepts._compatibility import check_fits, check_layer
    from interp_core.concepts._concept_model import ConceptModel
    from interp_core.concepts._effect import Effect, effect
    from interp_core.concepts._fit import fit_concepts
    from interp_core.concepts._importance import Importance, importance
    from interp_core.concepts._interpret import interpret
    from interp_core.concepts._interpretation import Example, Interpretation, LabelledConcept
    from interp_core.concepts._intervention import Change, intervene
    from interp_core.concepts._questions import concept_questions
    from interp_core.concepts._space import AffineSpace, ConceptSpace
    from interp_core.concepts._strongest import Strongest, numbered, with_rows

__all__ = [
    "Activity",
    "AffineSpace",
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
    "Sampled",
    "Strongest",
    "activity",
    "check_fits",
    "check_layer",
    "concept_cards",
    "concept_questions",
    "effect",
    "fit_concepts",
    "importance",
    "interpret",
    "intervene",
    "numbered",
    "with_rows",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_activity": ["Activity", "Sampled", "activity"],
        "_card_contents": ["concept_cards"],
        "_cards": ["ConceptCard", "ConceptCards"],
        "_compatibility": ["check_fits", "check_layer"],
        "_concept_model": ["ConceptModel"],
        "_effect": ["Effect", "effect"],
        "_fit": ["fit_concepts"],
        "_importance": ["Importance", "importance"],
        "_interpret": ["interpret"],
        "_interpretation": ["Example", "Interpretation", "LabelledConcept"],
        "_intervention": ["Change", "intervene"],
        "_questions": ["concept_questions"],
        "_space": ["AffineSpace", "ConceptSpace"],
        "_strongest": ["Strongest", "numbered", "with_rows"],
    },
)
