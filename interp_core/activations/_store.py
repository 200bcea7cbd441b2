"""The store that activations are written to shard by shard, so that an interrupted run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from interp_core.activations._shards import Shards, shard_file
from interp_core.errors import InputError
from interp_core.results import Folder, save_tensors
from interp_core.text import Item, joined_parts, parts_of
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Store:
    """A folder that activations are written to, one shard at a time; a shard is written whole or not at all.

    `SplitModel.activations(to=…)` writes one, and `Activations.load` reads it.

    Attributes:
        folder: the folder.
        settings: JSON values; a store is resumed only by a run with the same settings. `layer`, `granularity`,
            `class_names`, `max_tokens` and `made_by` are read when the store is loaded, `model` is named in messages.
        sample: the activations of a fixed text, by which a store recognises its model.

    Examples:
        >>> import tempfile
        >>> from interp_core.activations import Activations
        >>> from interp_core.testing import tiny_classifier
        >>> split = tiny_classifier().split(-1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stored = split.activations(["so happy", "sad"], to=folder, progress=False)
        ...     Activations.load(folder).matrix().shape
        torch.Size([3, 16])
    """

    folder: Path
    settings: dict[str, Any]
    sample: Sequence[float]

    def begin(self) -> int:
        """Create the store, or open it to resume a run.

        Returns:
            The number of shards that have been written.

        Raises:
            InputError: the folder holds something else, a store with other settings or of another model, or a complete
                store that lacks a shard.
        """
        return self._run.begin(self.has)

    @property
    def _run(self) -> Folder:
        return Folder(self.folder, "store", self.settings, self.sample)

    @property
    def complete(self) -> bool:
        """Whether the store holds all texts.

        Raises:
            InputError: the folder is not a store.
        """
        return self._run.complete

    def held(self, shards: int) -> Iterator[tuple[str, tuple[tuple[int, int], ...], Tensor | None]]:
        """Yield the texts in the first `shards` shards, each with the spans of its units and its label or None."""
        if not shards:
            return
        stored = Shards(self.folder, shards)
        labels = stored.column("labels")
        for i in range(int(stored.text_starts[-1])):
            yield *stored.about(i), None if labels is None else labels[i]

    def check(self, number: int, there: Any, given: Item, spans: Any) -> None:
        """Compare a stored text with the one given now.

        Args:
            number: the number of the text.
            there: the text, spans of units and label in the store, as `held` yields them.
            given: the text given now and its label.
            spans: the spans of its units; None if they follow from the settings.

        Raises:
            InputError: the text, its units or its label differ.
        """
        text, units, label = there
        for name, one, other in (
            ("text", parts_of(text), parts_of(given[0])),
            ("the units of text", units, units if spans is None else spans),
            ("the label of text", _plain(label), _plain(given[1])),
        ):
            if one != other:
                raise InputError(
                    f"{name} {number} of the store {str(self.folder)!r} is {str(one)[:60]!r}, now it is "
                    f"{str(other)[:60]!r}; give the same texts in the same order, or name another folder."
                )

    def has(self, number: int) -> bool:
        """Say whether a shard has been written."""
        return shard_file(self.folder, number).is_file()

    def write(self, number: int, tensors: dict[str, Tensor], texts: Sequence[str], said: dict[str, Any]) -> None:
        """Write one shard.

        Args:
            number: the number of the shard.
            tensors: for r rows, `values` (r, d), `text_of` (r) within the shard, `unit_of` (r) and `spans` (r, 2); and
                the `predictions` and `labels` of the texts, if there are any.
            texts: the texts.
            said: the `cost` of the shard by name, and the number of texts that were `cut`.
        """
        coded = [text.encode("utf-8") for text in texts]
        columns = {
            "texts": torch.frombuffer(bytearray(b"".join(coded)), dtype=torch.uint8),
            "text_stops": torch.tensor([len(part) for part in coded]).cumsum(0),
        }
        parts = joined_parts(texts)
        save_tensors(shard_file(self.folder, number), "shard", {**tensors, **columns}, {**said, "parts": parts})

    def finish(self, shards: int) -> None:
        """Mark the store as complete, with this number of shards.

        Raises:
            InputError: there are no shards, or one is missing or damaged.
        """
        if not shards:
            raise InputError("the corpus is empty; give at least one text.")
        stored = Shards(self.folder, shards)
        counts = {"shards": shards, "texts": int(stored.text_starts[-1]), "rows": int(stored.row_starts[-1])}
        self._run.write({"complete": True, **counts})


def remaining(stores: Sequence[Store], items: Iterator[Item], spans_of: Any) -> tuple[int, Iterator[Item]]:
    """Open the stores of a run, compare their texts with those given, and skip the shards that all of them hold.

    Args:
        stores: one store for each layer; one may hold more shards than another.
        items: all texts from the first, each with its label or None.
        spans_of: a function from a text to the spans of its units, or to None if they follow from the settings.

    Returns:
        The number of shards that every store holds, and the texts after these shards, each with its label.

    Raises:
        InputError: a store cannot be resumed, see `Store.begin`; it holds other texts than those given; or it is
            complete and more texts are given.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from interp_core.activations import Store, remaining
        >>> shard = {"values": torch.ones(1, 2), "text_of": torch.tensor([0]), "unit_of": torch.tensor([0])}
        >>> shard["spans"] = torch.tensor([[0, 5]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(Path(folder), settings={"layer": "h.0"}, sample=[0.5])
        ...     store.begin()
        ...     store.write(0, shard, ["happy"], {"cost": {}, "cut": 0})
        ...     shards, items = remaining([store], iter([("happy", None), ("sad", None)]), lambda text: None)
        ...     shards, list(items)
        0
        (1, [('sad', None)])
    """
    counts = [store.begin() for store in stores]
    shards = min(counts)
    first = int(Shards(stores[0].folder, shards).text_starts[-1]) if shards else 0
    stored_texts = zip_longest(*(store.held(count) for store, count in zip(stores, counts, strict=True)))
    left = []
    for i, copies in enumerate(stored_texts):  # one from each store, None where a store holds fewer texts
        item = next(items, None)
        if item is None:
            raise InputError(f"{str(stores[0].folder)!r} holds more texts than the {i} given; give the same texts.")
        for store, stored in zip(stores, copies, strict=True):
            if stored is not None:
                store.check(i, stored, item, spans_of(item[0]))
        left += [item] if i >= first else []
    more = next(items, None)
    if more is not None and any(store.complete for store in stores):
        raise InputError(
            f"the store {str(stores[0].folder)!r} is complete and more texts were given; name another folder."
        )
    return shards, chain(left, [] if more is None else [more], items)


def _plain(label: Tensor | None) -> Any:
    return None if label is None else label.tolist()
