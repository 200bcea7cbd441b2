"""Moved to interp_core.activations and interp_core.text; this path goes with 0.3."""

from interp_core.plugin import moved

__getattr__ = moved(__name__, "interp_core.activations", "interp_core.text", grouped="batched_by_size")
