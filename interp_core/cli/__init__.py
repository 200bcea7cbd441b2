"""The command line. Packages add their own commands with entry points of the group `interp.commands`."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.cli._main import main
    from interp_core.cli._methods import MethodName, parameters
    from interp_core.cli._options import load_model, shared_options
    from interp_core.cli._results import check_destinations, echo_json, write_results

__all__ = [
    "MethodName",
    "check_destinations",
    "echo_json",
    "load_model",
    "main",
    "parameters",
    "shared_options",
    "write_results",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_main": ["main"],
        "_methods": ["MethodName", "parameters"],
        "_options": ["load_model", "shared_options"],
        "_results": ["check_destinations", "echo_json", "write_results"],
    },
)
