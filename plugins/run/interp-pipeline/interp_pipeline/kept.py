"""Results that are kept in a folder, whole or not at all, and found again by their keys."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from interp_core.attribution import Attributions
from interp_core.results import load_results, reading, save

ABOUT, SHORT = "step.json", 16


@dataclass(frozen=True)
class Kept:
    """The results of a pipeline in one folder.

    Args:
        folder: the folder; made when the first result is kept.
    """

    folder: Path

    def place(self, name: str, key: str) -> Path:
        """Where the result of a step lies; its name is for readers, and the key alone says which it is."""
        return self.folder / f"{name}-{key[:SHORT]}"

    def holds(self, name: str, key: str) -> bool:
        """Whether the result is there, whole."""
        about = self._about(self.place(name, key))
        return about.get("key") == key and all((self.place(name, key) / file).exists() for file in about["files"])

    def load(self, name: str, key: str) -> Any:
        """The result of a step."""
        place = self.place(name, key)
        about = self._about(place)
        with reading(place):
            found = load_results(*(place / file for file in about["files"]))
        if about["kind"] == "attributions":
            return Attributions(found)
        return found[0]

    def _about(self, place: Path) -> dict[str, Any]:
        """What is said of a result; nothing if it is damaged, so that it is computed again."""
        try:
            return dict(json.loads((place / ABOUT).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def keep(self, name: str, key: str, value: Any) -> Any:
        """Keep a result, and return it as it is read back."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self._beside(name, key)
        try:
            files = [file.name for file in save(value, beside / "files")]
            for file in files:
                (beside / "files" / file).replace(beside / file)
            (beside / "files").rmdir()
            self._finish(beside, self.place(name, key), key, value, files)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        return self.load(name, key)

    def keep_store(self, name: str, key: str, store: Path, value: Any) -> Any:
        """Keep a store of activations that has been written to `unfinished`."""
        beside = self._beside(name, key)
        store.replace(beside / "store")
        self._finish(beside, self.place(name, key), key, value, ["store"])
        return self.load(name, key)

    def unfinished(self, name: str, key: str) -> Path:
        """Where activations are written until they are whole, and from which an interrupted run is resumed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".{name}-{key[:SHORT]}"

    def _beside(self, name: str, key: str) -> Path:
        """A new folder to make a result in; what runs that were killed have left of it is removed."""
        prefix = f".{name}-{key[:SHORT]}-"
        for left in self.folder.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        return Path(mkdtemp(prefix=prefix, dir=self.folder))

    def _finish(self, beside: Path, place: Path, key: str, value: Any, files: list[str]) -> None:
        kind = "attributions" if isinstance(value, list) else type(value).__name__.lower()
        about = {"key": key, "kind": kind, "files": files}
        (beside / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        if self.holds(place.name.rpartition("-")[0], key):  # another run was as quick
            shutil.rmtree(beside)
            return
        if place.exists():  # damaged
            shutil.rmtree(place)
        beside.replace(place)
