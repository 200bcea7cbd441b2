"""What all results share: how they were made and what that cost, files without pickle, and loans to methods."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.results._json import for_json
    from interp_core.results._lent import lent
    from interp_core.results._paths import empty_folder, named_with
    from interp_core.results._place import place_of
    from interp_core.results._provenance import (
        Cost,
        MadeBy,
        Usage,
        circumstances,
        claims_of,
        made_again,
        made_by,
        parameters_of,
        under_circumstances,
    )
    from interp_core.results._saving import load_result, load_results, save
    from interp_core.results._serialization import (
        STORE,
        load_json,
        load_tensors,
        read_header,
        reading,
        save_json,
        save_tensors,
        write_text,
    )
    from interp_core.results._value import Value, counted, quoted

__all__ = [
    "STORE",
    "Cost",
    "MadeBy",
    "Usage",
    "Value",
    "circumstances",
    "claims_of",
    "counted",
    "empty_folder",
    "for_json",
    "lent",
    "load_json",
    "load_result",
    "load_results",
    "load_tensors",
    "made_again",
    "made_by",
    "named_with",
    "parameters_of",
    "place_of",
    "quoted",
    "read_header",
    "reading",
    "save",
    "save_json",
    "save_tensors",
    "under_circumstances",
    "write_text",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_json": ["for_json"],
        "_lent": ["lent"],
        "_paths": ["empty_folder", "named_with"],
        "_place": ["place_of"],
        "_provenance": [
            "Cost",
            "MadeBy",
            "Usage",
            "circumstances",
            "claims_of",
            "made_again",
            "made_by",
            "parameters_of",
            "under_circumstances",
        ],
        "_saving": ["load_result", "load_results", "save"],
        "_serialization": [
            "STORE",
            "load_json",
            "load_tensors",
            "read_header",
            "reading",
            "save_json",
            "save_tensors",
            "write_text",
        ],
        "_value": ["Value", "counted", "quoted"],
    },
)
