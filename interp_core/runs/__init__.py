"""Large runs: texts are cut into shards, which an executor works on and a folder keeps, so that it can be resumed."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.runs._described import code_of, described
    from interp_core.runs._executor import InThisProcess, executor_of
    from interp_core.runs._folder import Folder, place_of_run, read_manifest
    from interp_core.runs._packing import Packed, State, packed
    from interp_core.runs._run import run_shards
    from interp_core.runs._shard import SHARD_SIZE, Shard, check_shard_size, shards_of
    from interp_core.runs._stored import StoredShards

__all__ = [
    "SHARD_SIZE",
    "Folder",
    "InThisProcess",
    "Packed",
    "Shard",
    "State",
    "StoredShards",
    "check_shard_size",
    "code_of",
    "described",
    "executor_of",
    "packed",
    "place_of_run",
    "read_manifest",
    "run_shards",
    "shards_of",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_described": ["code_of", "described"],
        "_executor": ["InThisProcess", "executor_of"],
        "_folder": ["Folder", "place_of_run", "read_manifest"],
        "_packing": ["Packed", "State", "packed"],
        "_run": ["run_shards"],
        "_shard": ["SHARD_SIZE", "Shard", "check_shard_size", "shards_of"],
        "_stored": ["StoredShards"],
    },
)
