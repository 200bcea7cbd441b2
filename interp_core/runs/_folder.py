"""The folder of a run: what it was asked, and whether it is complete. A run that asks the same goes on with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.results import STORE, reading, write_text

SAME = 1e-3  # the largest relative difference between samples of the same model, in single precision
ROUNDINGS = 2  # in half precision, in units of its resolution
NOT_COMPARED = {"complete", "texts", "rows", "shards", "sample", "made_by", "kind", "told"}


def read_manifest(folder: str | Path, kind: str) -> dict[str, Any]:
    """The settings and progress that a folder records about itself.

    Args:
        folder: the folder.
        kind: what it must hold, such as `"run"`.

    Returns:
        JSON values by name.

    Raises:
        InputError: the folder holds something else.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from interp_core.runs import Folder, read_manifest
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = Folder(Path(place), "run", {"model": "bert"}, [0.5]).begin(lambda number: False)
        ...     read_manifest(place, "run")["model"]
        'bert'
    """
    named = {"store": "store of activations"}.get(kind, kind)
    try:
        manifest = json.loads((Path(folder) / STORE).read_text(encoding="utf-8"))
        if manifest["kind"] != kind:
            raise KeyError("kind")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(folder)!r} is not a {named}: {type(error).__name__}: {error}.") from error
    return dict(manifest)


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder that a run writes its shards to.

    Attributes:
        folder: the folder.
        kind: what it holds: `"store"` or `"run"`.
        settings: JSON values; the folder is gone on with only by a run with the same settings. `model` is named in
            messages, `dtype` says how exact the sample is.
        sample: numbers that the model gives for a fixed text, by which the folder knows its weights.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from interp_core.runs import Folder
        >>> with tempfile.TemporaryDirectory() as place:
        ...     begun = Folder(Path(place), "run", {"model": "bert", "method": "lime"}, [0.5])
        ...     _ = begun.begin(lambda number: False)
        ...     Folder(Path(place), "run", {"model": "bert", "method": "rise"}, [0.5]).begin(lambda number: False)
        Traceback (most recent call last):
        ...
        interp_core.errors.InputError: the store '...' was begun with method 'lime', now it is 'rise'; use the same
        settings, or name another folder.
    """

    folder: Path
    kind: str
    settings: dict[str, Any]
    sample: Sequence[float]

    def begin(self, has: Callable[[int], bool]) -> int:
        """Create the folder, or open it to resume a run.

        Args:
            has: whether a shard, by its number, has been written.

        Returns:
            How many shards have been written, from the first on.

        Raises:
            InputError: the folder holds something else, or a run of other settings or another model, or a complete run
                that lacks a shard.
        """
        if not (self.folder / STORE).is_file():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise InputError(f"{str(self.folder)!r} exists and holds no store; name another folder.")
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write({"complete": False})
            return 0
        with reading(self.folder):
            return self._resumed(read_manifest(self.folder, self.kind), has)

    def _resumed(self, manifest: dict[str, Any], has: Callable[[int], bool]) -> int:
        settings = json.loads(json.dumps(self.settings))
        for name in sorted((manifest.keys() | settings.keys()) - NOT_COMPARED):
            if manifest.get(name) != settings.get(name):
                raise InputError(
                    f"the store {str(self.folder)!r} was begun with {name} {manifest.get(name)!r}, now it is "
                    f"{settings.get(name)!r}; use the same settings, or name another folder."
                )
        before, now = torch.tensor(manifest["sample"]), torch.tensor(self.sample)
        if len(before) != len(now) or float((before - now).norm()) > self._same * float(before.norm()):
            raise InputError(
                f"the store {str(self.folder)!r} was begun with other weights of {self.settings['model']}; "
                "name another folder."
            )
        shards = 0
        while has(shards):
            shards += 1
        if manifest["complete"] and shards != manifest["shards"]:
            raise InputError(
                f"the store {str(self.folder)!r} was complete, and shard {shards} is missing now; name another folder."
            )
        return shards

    @property
    def _same(self) -> float:
        """The largest relative difference between samples of the same model, by its number format."""
        kind = getattr(torch, str(self.settings.get("dtype", "")).removeprefix("torch."), torch.float32)
        return max(SAME, ROUNDINGS * torch.finfo(kind).eps)

    @property
    def complete(self) -> bool:
        """Whether the run has finished.

        Raises:
            InputError: the folder holds no run of this kind.
        """
        with reading(self.folder):
            return bool(read_manifest(self.folder, self.kind)["complete"])

    def write(self, progress: dict[str, Any]) -> None:
        """Write the settings with what is known of the run now.

        Args:
            progress: JSON values, `complete` among them.
        """
        data = {"kind": self.kind, **self.settings, "sample": list(self.sample), **progress}
        write_text(self.folder / STORE, json.dumps(data, ensure_ascii=False, indent=1))
