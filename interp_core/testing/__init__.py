"""The conformance kit: checks of the promises of methods, on planted worlds with known answers; and tiny models.

`test_contract = contract_tests("lime")` is the contract test of a plugin; `interp check lime` runs the same checks
without pytest.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.testing._check import Check, Outcome
    from interp_core.testing._contract import checks_for, contract_tests, run_checks
    from interp_core.testing._planted_worlds import (
        MixedSpace,
        PlantedSpace,
        TopicLLM,
        dictionary_world,
        linear_world,
        tangled_world,
        topic_world,
    )
    from interp_core.testing._synthetic_features import SyntheticSpace, synthetic_world
    from interp_core.testing._tiny_models import (
        planted_model,
        state_of,
        tiny_classifier,
        tiny_extractor,
        tiny_filler,
        tiny_generator,
        tiny_llama,
        tiny_tagger,
        tiny_translator,
        word_tokenizer,
    )
    from interp_core.testing._untidy_worlds import untidy_rows, untidy_world

__all__ = [
    "Check",
    "MixedSpace",
    "Outcome",
    "PlantedSpace",
    "SyntheticSpace",
    "TopicLLM",
    "checks_for",
    "contract_tests",
    "dictionary_world",
    "linear_world",
    "planted_model",
    "run_checks",
    "state_of",
    "synthetic_world",
    "tangled_world",
    "tiny_classifier",
    "tiny_extractor",
    "tiny_filler",
    "tiny_generator",
    "tiny_llama",
    "tiny_tagger",
    "tiny_translator",
    "topic_world",
    "untidy_rows",
    "untidy_world",
    "word_tokenizer",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_check": ["Check", "Outcome"],
        "_contract": ["checks_for", "contract_tests", "run_checks"],
        "_planted_worlds": [
            "MixedSpace",
            "PlantedSpace",
            "TopicLLM",
            "dictionary_world",
            "linear_world",
            "tangled_world",
            "topic_world",
        ],
        "_synthetic_features": ["SyntheticSpace", "synthetic_world"],
        "_tiny_models": [
            "planted_model",
            "state_of",
            "tiny_classifier",
            "tiny_extractor",
            "tiny_filler",
            "tiny_generator",
            "tiny_llama",
            "tiny_tagger",
            "tiny_translator",
            "word_tokenizer",
        ],
        "_untidy_worlds": ["untidy_rows", "untidy_world"],
    },
)
