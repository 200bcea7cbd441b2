"""How concepts are put into words."""

from interp_interpreto.concepts.interpretations.llm_labels import SAMPLING_METHOD, LLMLabels, SamplingMethod
from interp_interpreto.concepts.interpretations.topk_inputs import TopKInputs

__all__ = ["SAMPLING_METHOD", "LLMLabels", "SamplingMethod", "TopKInputs"]
