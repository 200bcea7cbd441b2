"""Models that are split, and language models that name concepts."""

from interp_interpreto.commons import ActivationGranularity
from interp_interpreto.model_wrapping.llm_interface import LLMInterface, OpenAILLM, Role
from interp_interpreto.model_wrapping.model_with_split_points import ModelWithSplitPoints

__all__ = ["ActivationGranularity", "LLMInterface", "ModelWithSplitPoints", "OpenAILLM", "Role"]
