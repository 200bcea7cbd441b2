"""The shards of a run in its folder, read on access."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from interp_core.errors import FolderError, InputError
from interp_core.results._folder import read_manifest
from interp_core.results._packing import Packed, State
from interp_core.results._serialization import load_tensors, read_header, reading, save_tensors
from safetensors import SafetensorError, safe_open

KIND = "run shard"
IN_MEMORY = 4  # shards


@dataclass(frozen=True, eq=False)
class StoredShards:
    """The shards of a run, each a file in the folder of the run.

    Attributes:
        folder: the folder of the run.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from interp_core.results import StoredShards, packed
        >>> with tempfile.TemporaryDirectory() as place:
        ...     shards = StoredShards(Path(place))
        ...     shards.write(0, packed([({"scores": torch.ones(2)}, {})]), {"digest": "abc", "items": 1})
        ...     shards.told(0)["digest"], shards.read(0)[0][0]["scores"]
        ('abc', tensor([1., 1.]))
    """

    folder: Path

    def file(self, number: int) -> Path:
        """Name the file of a shard; each thousand shards share a subfolder, since large folders are slow."""
        return self.folder / f"shards-{number // 1000:05d}" / f"{number:08d}.safetensors"

    def has(self, number: int) -> bool:
        """Say whether a shard has been written."""
        return self.file(number).is_file()

    def write(self, number: int, state: State, told: dict[str, Any]) -> None:
        """Write a shard, atomically.

        Args:
            number: the number of the shard.
            state: the packed state.
            told: JSON values about the shard: its `digest`, the number of its `items`, and what the run adds.
        """
        tensors, data = state
        save_tensors(self.file(number), KIND, tensors, {"told": told, "packed": data})

    def told(self, number: int) -> dict[str, Any]:
        """Read the JSON values about a shard.

        Raises:
            FolderError: the shard is missing or damaged.
        """
        path = self.file(number)
        try:
            with reading(path), safe_open(path, framework="pt") as file:
                return dict(read_header(file)["data"]["told"])
        except (SafetensorError, OSError, InputError) as error:
            raise _damaged(path, error) from error

    @cached_property
    def read(self) -> Any:
        """A function from the number of a shard to its states, a `Packed`; the last few are cached."""

        def states(number: int) -> Packed:
            path = self.file(number)
            try:
                with reading(path):
                    tensors, data = load_tensors(path, KIND)
                    return Packed({name: tensor.clone() for name, tensor in tensors.items()}, data["packed"])
            except (OSError, InputError) as error:
                raise _damaged(path, error) from error

        return lru_cache(maxsize=IN_MEMORY)(states)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the folder: the settings and progress of its run.

        Raises:
            FolderError: the folder holds no run, or an incomplete one.
        """
        manifest = read_manifest(self.folder, "run")
        if not manifest["complete"]:
            raise FolderError(f"the run in {str(self.folder)!r} is not complete; the same call resumes it.")
        return manifest

    @property
    def count(self) -> int:
        """The number of shards."""
        return int(self.manifest["shards"])

    @cached_property
    def starts(self) -> list[int]:
        """The number of the first value of each shard, followed by the total number of values."""
        return list(accumulate(self.manifest["told"]["values"], initial=0))

    def shard_of(self, value: int) -> int:
        """Find the shard that holds a value, given the number of the value among all."""
        return bisect_right(self.starts, value) - 1

    def states(self) -> Iterator[Packed]:
        """Yield the states of each shard, one shard in memory at a time."""
        for number in range(self.count):
            yield self.read(number)


def _damaged(path: Path, error: Exception) -> FolderError:
    return FolderError(
        f"the shard {path.name!r} is missing or damaged; the call that made the run works on it again. {error}"
    )
