"""Writing activations to disk as they are read, so that a run that was interrupted goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from interp_core.activations._shards import Shards, read_manifest, shard_file
from interp_core.errors import InputError
from interp_core.results import STORE, save_tensors
from interp_core.text import Item
from torch import Tensor

_UNSAID = {"complete", "texts", "rows", "shards", "sample", "made_by"}  # what two runs of one task may differ in
SAME = 1e-3  # of its size: the difference up to which what a layer holds is taken to be of the same model


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
        if not (self.folder / STORE).is_file():
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
        before, now = torch.tensor(said["sample"]), torch.tensor(self.sample)
        if len(before) != len(now) or float((before - now).norm()) > SAME * float(before.norm()):
            raise InputError(
                f"the store {str(self.folder)!r} was begun with other weights of {self.settings['model']}; "
                "name another folder."
            )
        there = 0
        while self.has(there):
            there += 1
        if said["complete"] and there != said["shards"]:
            lost = shard_file(self.folder, there).name
            raise InputError(f"the store {str(self.folder)!r} has lost {lost}; name another folder.")
        return there

    @property
    def complete(self) -> bool:
        """Whether all texts are in it."""
        return bool(read_manifest(self.folder)["complete"])

    def held(self, shards: int) -> Iterator[tuple[str, tuple[tuple[int, int], ...], Tensor | None]]:
        """The texts that are there, each with the spans of its units and its label."""
        if not shards:
            return
        found = Shards(self.folder, shards)
        labels = found.column("labels")
        for i in range(int(found.text_starts[-1])):
            yield *found.about(i), None if labels is None else labels[i]

    def check(self, number: int, there: Any, given: Item, spans: Any) -> None:
        """Refuse another text, other units or another label than the store has.

        Raises:
            InputError: what differs.
        """
        text, units, label = there
        for name, one, other in (
            ("text", text, given[0]),
            ("the units of text", units, units if spans is None else spans),
            ("the label of text", _plain(label), _plain(given[1])),
        ):
            if one != other:
                raise InputError(
                    f"{name} {number} of the store {str(self.folder)!r} is {str(one)[:60]!r}, now it is "
                    f"{str(other)[:60]!r}; give the same texts in the same order, or name another folder."
                )

    def has(self, number: int) -> bool:
        """Whether a shard is there."""
        return shard_file(self.folder, number).is_file()

    def write(self, number: int, tensors: dict[str, Tensor], texts: Sequence[str], said: dict[str, Any]) -> None:
        """One shard."""
        parts = [text.encode("utf-8") for text in texts]
        columns = {
            "texts": torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8),
            "text_stops": torch.tensor([len(part) for part in parts]).cumsum(0),
        }
        save_tensors(shard_file(self.folder, number), "shard", {**tensors, **columns}, said)

    def finish(self, shards: int) -> None:
        """Say that all texts are there."""
        if not shards:
            raise InputError("the corpus is empty; give at least one text.")
        found = Shards(self.folder, shards)
        counts = {"shards": shards, "texts": int(found.text_starts[-1]), "rows": int(found.row_starts[-1])}
        self._say({"complete": True, **counts})

    def _say(self, progress: dict[str, Any]) -> None:
        partial = self.folder / f"{STORE}.part"
        data = {"kind": "store", **self.settings, "sample": list(self.sample), **progress}
        partial.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(self.folder / STORE)


def remaining(stores: Sequence[Store], items: Iterator[Item], spans_of: Any) -> tuple[int, Iterator[Item]]:
    """How many shards all stores hold, and the texts from there on, each with its label.

    Args:
        stores: of one run; one may hold more shards than another.
        items: all texts from the first, each with its label.
        spans_of: from a text to the spans of its units, or None where these follow from the settings.

    Raises:
        InputError: a store holds other texts than those given, or is complete and more are given.
    """
    counts = [store.begin() for store in stores]
    there = min(counts)
    first = int(Shards(stores[0].folder, there).text_starts[-1]) if there else 0
    held = zip_longest(*(store.held(count) for store, count in zip(stores, counts, strict=True)))
    left = []
    for i, several in enumerate(held):
        given = next(items, None)
        if given is None:
            raise InputError(f"{str(stores[0].folder)!r} holds more texts than the {i} given; give the same texts.")
        for store, one in zip(stores, several, strict=True):
            if one is not None:
                store.check(i, one, given, spans_of(given[0]))
        left += [given] if i >= first else []
    more = next(items, None)
    if more is not None and any(store.complete for store in stores):
        raise InputError(
            f"the store {str(stores[0].folder)!r} is complete and more texts were given; name another folder."
        )
    return there, chain(left, [] if more is None else [more], items)


def _plain(label: Tensor | None) -> Any:
    return None if label is None else label.tolist()
