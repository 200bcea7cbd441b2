"""What all results share: provenance and cost, files without pickle, loans to methods, and runs in shards whose folders
are resumed."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.results._described import code_of, described
    from interp_core.results._executor import InThisProcess, executor_of
    from interp_core.results._folder import Folder, place_of_run, read_manifest
    from interp_core.results._json import for_json
    from interp_core.results._lent import lent
    from interp_core.results._packing import Packed, State, packed
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
    from interp_core.results._run import run_shards
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
    from interp_core.results._shard import SHARD_SIZE, Shard, check_shard_size, shards_of
    from interp_core.results._stored import StoredShards
    from interp_core.results._value import Value, counted, quoted

__all__ = [
    "SHARD_SIZE",
    "STORE",
    "Cost",
    "Folder",
    "InThisProcess",
    "MadeBy",
    "Packed",
    "Shard",
    "State",
    "StoredShards",
    "Usage",
    "Value",
    "check_shard_size",
    "circumstances",
    "claims_of",
    "code_of",
    "counted",
    "described",
    "empty_folder",
    "executor_of",
    "for_json",
    "lent",
    "load_json",
    "load_result",
    "load_results",
    "load_tensors",
    "made_again",
    "made_by",
    "named_with",
    "packed",
    "parameters_of",
    "place_of",
    "place_of_run",
    "quoted",
    "read_header",
    "read_manifest",
    "reading",
    "run_shards",
    "save",
    "save_json",
    "save_tensors",
    "shards_of",
    "under_circumstances",
    "write_text",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_described": ["code_of", "described"],
        "_executor": ["InThisProcess", "executor_of"],
        "_folder": ["Folder", "place_of_run", "read_manifest"],
        "_json": ["for_json"],
        "_lent": ["lent"],
        "_packing": ["Packed", "State", "packed"],
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
        "_run": ["run_shards"],
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
        "_shard": ["SHARD_SIZE", "Shard", "check_shard_size", "shards_of"],
        "_stored": ["StoredShards"],
        "_value": ["Value", "counted", "quoted"],
    },
)
