"""Writing activations to disk as they are read, so that a run that was interrupted goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from interp_core import storage
from interp_core.corpus import Item
from interp_core.errors import InputError
from interp_core.shards import MANIFEST, Shards, read_manifest, shard_file, texts_of
from torch import Tensor

_UNSAID = {"complete", "texts", "rows", "shards", "sample", "made_by"}  # what two runs of one task may differ in
SAME = 1e-3  # relative difference up to which a model is taken to be the one that began the store


@dataclass(frozen=True, eq=False)
class Store:
    """A folder that activations are written to, shard by shard; a shard is there whole or not at all.

    Attributes:
        folder: the folder.
        settings: what was asked; a store is gone on with only by a run that asks the same.
        sample: what the layer holds for a fixed text, to tell whether it is the same model.
    """

    folder: Path
    settings: dict[str, Any]
    sample: Sequence[float]

    def begin(self) -> int:
        """The number of shards that are there already.

        Raises:
            InputError: the folder holds something else, or a store of another task or model.
        """
        if not (self.folder / MANIFEST).is_file():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise InputError(f"{str(self.folder)!r} is there and holds no store; name another folder.")
            self.folder.mkdir(parents=True, exist_ok=True)
            self._say({"complete": False})
            return 0
        said = read_manifest(self.folder)
        asked = json.loads(json.dumps(self.settings))
        for name in sorted((said.keys() | asked.keys()) - _UNSAID - {"kind"}):
            if said.get(name) != asked.get(name):
                raise InputError(
                    f"the store {str(self.folder)!r} was begun with {name} {said.get(name)!r}, now it is "
                    f"{asked.get(name)!r}; ask the same, or name another folder."
                )
        if not torch.allclose(torch.tensor(said["sample"]), torch.tensor(self.sample), rtol=SAME, atol=SAME):
            raise InputError(
                f"the store {str(self.folder)!r} was begun with other weights of {self.settings['model']}; "
                "name another folder."
            )
        there = 0
        while shard_file(self.folder, there).is_file():
            there += 1
        return there

    @property
    def complete(self) -> bool:
        """Whether all texts are in it."""
        return bool(read_manifest(self.folder)["complete"])

    def remaining(self, there: int, items: Iterator[Item]) -> Iterator[Item]:
        """The texts that the shards that are there do not hold, each with its label.

        Raises:
            InputError: they hold other texts than those given, or the store is complete and more are given.
        """
        for i, text in enumerate(texts_of(Shards(self.folder, there)) if there else ()):
            given = next(items, None)
            if given is None or given[0] != text:
                now = "no such text was given" if given is None else f"{given[0][:60]!r} was given"
                raise InputError(
                    f"text {i} of the store {str(self.folder)!r} is {text[:60]!r}, but {now}; "
                    "give the same texts in the same order, or name another folder."
                )
        more = next(items, None)
        if more is not None and there and self.complete:
            raise InputError(
                f"the store {str(self.folder)!r} is complete and more texts were given; name another folder."
            )
        return items if more is None else chain([more], items)

    def write(self, number: int, tensors: dict[str, Tensor], texts: Sequence[str], said: dict[str, Any]) -> None:
        """One shard."""
        parts = [text.encode("utf-8") for text in texts]
        columns = {
            "texts": torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8),
            "text_stops": torch.tensor([len(part) for part in parts]).cumsum(0),
        }
        storage.save(shard_file(self.folder, number), "shard", {**tensors, **columns}, said)

    def finish(self, shards: int) -> None:
        """Say that all texts are there."""
        found = Shards(self.folder, shards)
        counts = {"shards": shards, "texts": int(found.text_starts[-1]), "rows": int(found.row_starts[-1])}
        self._say({"complete": True, **counts})

    def _say(self, progress: dict[str, Any]) -> None:
        partial = self.folder / f"{MANIFEST}.part"
        data = {"kind": "store", **self.settings, "sample": list(self.sample), **progress}
        partial.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(self.folder / MANIFEST)


def grouped(items: Iterator[Any], rows_of: Any, rows: int, texts: int) -> Iterator[list[Any]]:
    """Items in groups of at most so many texts, each ended by the text that brings it to so many rows."""
    while group := list(islice(items, 1)):
        total = rows_of(group[0])
        while total < rows and len(group) < texts and (more := list(islice(items, 1))):
            group += more
            total += rows_of(more[0])
        yield group
