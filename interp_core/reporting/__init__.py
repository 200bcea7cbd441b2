"""What was found, as one page that opens offline: values in, HTML out. No model is ever called here."""

from __future__ import annotations

from interp_core.reporting.contents import ClassConcepts
from interp_core.reporting.document import Report, fragment, report
from interp_core.reporting.plots import plot_attributions, plot_concepts

__all__ = ["ClassConcepts", "Report", "fragment", "plot_attributions", "plot_concepts", "report"]
