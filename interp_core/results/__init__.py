"""What all results share: how they were made and what that cost, files without pickle, and loans to methods."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.results._lent import lent
    from interp_core.results._provenance import Cost, MadeBy, made_again, made_by, parameters_of
    from interp_core.results._serialization import (
        STORE,
        load_json,
        load_result,
        load_results,
        load_tensors,
        read_header,
        reading,
        save,
        save_json,
        save_tensors,
    )

__all__ = [
    "STORE",
    "Cost",
    "MadeBy",
    "lent",
    "load_json",
    "load_result",
    "load_results",
    "load_tensors",
    "made_again",
    "made_by",
    "parameters_of",
    "read_header",
    "reading",
    "save",
    "save_json",
    "save_tensors",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_lent": ["lent"],
        "_provenance": ["Cost", "MadeBy", "made_again", "made_by", "parameters_of"],
        "_serialization": [
            "STORE",
            "load_json",
            "load_result",
            "load_results",
            "load_tensors",
            "read_header",
            "reading",
            "save",
            "save_json",
            "save_tensors",
        ],
    },
)
