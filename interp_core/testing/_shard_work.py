"""A function of a shard, in a file that imports little, since each worker of an executor imports it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4


def noted(folder: Path, shard: int) -> int:
    """Work on a shard that leaves a file for each call, and refuses shard 7."""
    if shard == 7:
        raise ArithmeticError("shard 7 cannot be worked on")
    (folder / f"{shard}-{uuid4()}").touch()
    return 10 * shard
