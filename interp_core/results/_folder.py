"""The folder of a run, with its settings and progress; a run with the same settings resumes it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from interp_core.errors import FolderError, InputError
from interp_core.results._serialization import STORE, reading, write_text

SAME = 1e-3  # the largest relative difference between samples of the same model, in single precision
ROUNDINGS = 2  # in half precision, in units of its resolution
OF_MODEL = ("weights", "tokenizer", "labels")  # what is said of it is a digest
FILES = (".json", ".safetensors", ".csv", ".html", ".parquet")
SHOWN = 60  # characters of a setting in a message
NOT_COMPARED = {"complete", "texts", "rows", "shards", "sample", "made_by", "kind", "told"}


def read_manifest(folder: str | Path, kind: str) -> dict[str, Any]:
    """Read the manifest of a folder, which holds the settings and progress of its run.

    Args:
        folder: the folder.
        kind: what the folder must hold, such as `"run"`.

    Returns:
        JSON values by name.

    Raises:
        FolderError: the folder holds something else.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from interp_core.results import Folder, read_manifest
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = Folder(Path(place), "run", {"model": "bert"}, [0.5]).begin()
        ...     read_manifest(place, "run")["model"]
        'bert'
    """
    named = {"store": "store of activations"}.get(kind, kind)
    try:
        manifest = json.loads((Path(folder) / STORE).read_text(encoding="utf-8"))
        if manifest["kind"] != kind:
            raise KeyError("kind")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{str(folder)!r} is not a {named}: {type(error).__name__}: {error}.") from error
    return dict(manifest)


def place_of_run(to: Any) -> Path:
    """Check the path of the folder of a run, as the caller gives it.

    Args:
        to: the path.

    Returns:
        The path.

    Raises:
        InputError: `to` is not a path.

    Examples:
        >>> from interp_core.results import place_of_run
        >>> place_of_run("runs/first").name
        'first'
    """
    if not isinstance(to, str | os.PathLike):
        raise InputError(f"to is {to!r}; the path of a folder was expected.")
    place = Path(to).expanduser().absolute()
    if place.suffix in FILES and not place.is_dir():
        raise InputError(f"{str(place)!r} is named like a file, and a run is kept in a folder; name it {place.stem!r}.")
    return place


@dataclass(frozen=True, eq=False)
class Folder:
    """The folder in which a run writes its shards.

    Attributes:
        folder: the path of the folder.
        kind: what the folder holds: `"store"` or `"run"`.
        settings: JSON values; the folder is resumed only by a run with the same settings. `model` is named in messages,
            and `dtype` determines the tolerance for `sample`.
        sample: outputs of the model for a fixed text, by which the folder recognises its weights.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from interp_core.results import Folder
        >>> with tempfile.TemporaryDirectory() as place:
        ...     begun = Folder(Path(place), "run", {"model": "bert", "method": "lime"}, [0.5])
        ...     _ = begun.begin()
        ...     Folder(Path(place), "run", {"model": "bert", "method": "rise"}, [0.5]).begin()
        Traceback (most recent call last):
        ...
        interp_core.errors.FolderError: '...' was begun with method 'lime', now it is 'rise'; use the same settings, or
        name another folder.
    """

    folder: Path
    kind: str
    settings: dict[str, Any]
    sample: Sequence[float]

    def begin(self, has: Callable[[int], bool] | None = None) -> int:
        """Create the folder, or open it to resume a run.

        Args:
            has: a function from the number of a shard to whether it has been written; None if missing shards are made
                again.

        Returns:
            The number of consecutive shards that have been written, from the first; 0 without `has`.

        Raises:
            FolderError: the folder cannot be written to, or holds something else or a run with other settings or of
                another model; or, with `has`, it is complete but lacks a shard.
        """
        try:
            if not (self.folder / STORE).is_file():
                others = self.folder.exists() and not self.folder.is_dir()
                others = others or any(one.suffix != ".part" for one in self.folder.glob("*"))
                if others:
                    raise FolderError(f"{str(self.folder)!r} exists and holds no run; name another folder.")
                self.folder.mkdir(parents=True, exist_ok=True)
                if self._first():
                    return 0
        except OSError as error:
            raise FolderError(f"{str(self.folder)!r} cannot be written: {error}.") from error
        with reading(self.folder):
            return self._resumed(read_manifest(self.folder, self.kind), has)

    def _first(self) -> bool:
        """Write the settings, unless another program, which begins the same folder, has done so meanwhile."""
        mine = self.folder / f"{STORE}.{threading.get_ident()}.{os.getpid()}.part"
        mine.write_text(self._settings({"complete": False}), encoding="utf-8")
        try:
            os.link(mine, self.folder / STORE)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            mine.replace(self.folder / STORE)
        finally:
            mine.unlink(missing_ok=True)
        return True

    def _resumed(self, manifest: dict[str, Any], has: Callable[[int], bool] | None) -> int:
        settings = json.loads(json.dumps(self.settings))
        place, model = repr(str(self.folder)), settings.get("model")
        for name in sorted((manifest.keys() | settings.keys()) - NOT_COMPARED):
            before, now = manifest.get(name), settings.get(name)
            if before != now and name in OF_MODEL and manifest.get("model") == model:
                raise FolderError(f"{place} was begun with other {name} of {model}; name another folder.")
            if before != now and max(len(repr(before)), len(repr(now))) > SHOWN:
                raise FolderError(f"{place} was begun with another {name}; use the same, or name another folder.")
            if before != now:
                raise FolderError(
                    f"{place} was begun with {name} {before!r}, now it is {now!r}; use the same "
                    "settings, or name another folder."
                )
        sample, own = torch.tensor(manifest["sample"]), torch.tensor(self.sample)
        if len(sample) != len(own) or float((sample - own).norm()) > self._same * float(sample.norm()):
            raise FolderError(f"{place} was begun with other weights of {model}; name another folder.")
        shards = 0
        while has is not None and has(shards):
            shards += 1
        if has is not None and manifest["complete"] and shards != manifest["shards"]:
            raise FolderError(f"{place} was complete, and shard {shards} is missing now; name another folder.")
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
            FolderError: the folder holds no run of this kind.
        """
        return bool(self.manifest["complete"])

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the folder: its settings and progress.

        Raises:
            FolderError: the folder holds no run of this kind.
        """
        with reading(self.folder):
            return read_manifest(self.folder, self.kind)

    def write(self, progress: dict[str, Any]) -> None:
        """Write the manifest: the settings and the progress of the run.

        Args:
            progress: JSON values, including `complete`.
        """
        write_text(self.folder / STORE, self._settings(progress))

    def tidy(self) -> None:
        """Remove files that interrupted programs left incomplete."""
        for part in self.folder.rglob("*.part"):
            with suppress(OSError, ValueError, IndexError):
                if not _runs(int(part.name.split(".")[-2])):
                    part.unlink()

    def _settings(self, progress: dict[str, Any]) -> str:
        data = {"kind": self.kind, **self.settings, "sample": list(self.sample), **progress}
        return json.dumps(data, ensure_ascii=False, indent=1)


def _runs(process: int) -> bool:
    """Whether a process of this number runs here."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
