"""Results as one HTML page that opens offline, and as fragments and plots for notebooks. No model is called here."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.reporting._contents import ClassConcepts
    from interp_core.reporting._page import Report, fragment, report
    from interp_core.reporting._plots import plot_attributions, plot_concepts

__all__ = [
    "ClassConcepts",
    "Report",
    "fragment",
    "plot_attributions",
    "plot_concepts",
    "report",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_contents": ["ClassConcepts"],
        "_page": ["Report", "fragment", "report"],
        "_plots": ["plot_attributions", "plot_concepts"],
    },
)
