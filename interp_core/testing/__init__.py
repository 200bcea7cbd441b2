"""The conformance kit: a promise is a check, on planted worlds with known answers. Nothing is downloaded.

`test_contract = contract_tests("lime")` is the contract test of a plugin; `interp check lime` is the same without
pytest.
"""

from interp_core.testing.contract import Check, Outcome, contract_tests, run_checks
from interp_core.testing.models import (
    planted_model,
    state_of,
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
)
from interp_core.testing.worlds import (
    PlantedSpace,
    TopicLLM,
    dictionary_world,
    linear_world,
    tangled_world,
    topic_world,
)

__all__ = [
    "Check",
    "Outcome",
    "PlantedSpace",
    "TopicLLM",
    "contract_tests",
    "dictionary_world",
    "linear_world",
    "planted_model",
    "run_checks",
    "state_of",
    "tangled_world",
    "tiny_classifier",
    "tiny_extractor",
    "tiny_filler",
    "tiny_generator",
    "tiny_llama",
    "tiny_tagger",
    "tiny_translator",
    "topic_world",
]
