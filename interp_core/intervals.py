"""Moved to interp_core.statistics; this path goes with 0.3."""

from interp_core.plugin import moved

__getattr__ = moved(__name__, "interp_core.statistics")
