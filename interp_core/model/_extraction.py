"""Reading the activations of layers for a corpus, a few texts at a time, into memory or onto disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations, Store, cut_notes, remaining
from interp_core.errors import InputError, ModelError
from interp_core.model._forward import BatchRunner
from interp_core.model._layer import Layer
from interp_core.model._requests import ModelRequest, whole_text
from interp_core.results import Cost, executor_of, made_by
from interp_core.text import DividedText, Granularity, Item, Text, batched_by_size, divide, one_by_one, with_labels
from torch import Tensor
from tqdm.auto import tqdm

TEXTS_AT_A_TIME, NUMBERS_AT_A_TIME = 256, 2**26  # held on the device of the model at once, at most
_Labelled = tuple[DividedText, Any]  # a text and its label, or None
TEXTS_A_SHARD, NUMBERS_A_SHARD = 1024, 2**24  # of a shard, 64 MB; its last text may go past that


def read(
    layers: Sequence[Layer],
    texts: Text | Iterable[Text],
    folders: Sequence[str | Path | None],
    *,
    granularity: Granularity,
    predictions: bool,
    labels: Iterable[Any] | None,
    class_names: Sequence[str] | None,
    executor: Any,
    progress: bool,
) -> list[Activations]:
    """The activations of several layers of one model, each in memory or in its folder; see `SplitModel.activations`."""
    reader = _Reader(
        tuple(layers),
        granularity,
        predictions,
        tuple(layers[0].model.labels if class_names is None or not len(class_names) else map(str, class_names)),
    )
    corpus, total = one_by_one(texts, all(folder is not None for folder in folders))
    if isinstance(labels, Sized) and total is not None and len(labels) != total:
        raise InputError(f"{len(labels)} labels were given for {total} texts.")
    items = with_labels(corpus, labels, reader.class_names)
    quiet = None if progress else True
    bar_of = tqdm(total=total, desc="activations", unit="text", disable=quiet, leave=False)
    with torch.inference_mode(False), torch.no_grad(), bar_of as bar:  # rows that gradients may be taken at later
        if folders[0] is None:
            return reader.into_memory(items, bar, executor)
        places = [Path(str(folder)).expanduser() for folder in folders]
        return reader.onto_disk(items, bar, places, labels is not None, executor)


@dataclass(frozen=True, eq=False)
class _Part:
    """The activations of some texts.

    Attributes:
        encoded: the texts.
        values: the rows (n, d) of each layer.
        rows: columns with a value for each row.
        texts: columns with a value for each text.
    """

    encoded: list[DividedText]
    values: list[Tensor]
    rows: dict[str, Tensor]
    texts: dict[str, Tensor]

    @classmethod
    def joined(cls, parts: Sequence[_Part]) -> _Part:
        """Several parts as one."""
        before = list(accumulate((len(p.encoded) for p in parts), initial=0))
        rows = _concatenated([p.rows | {"text_of": p.rows["text_of"] + b} for p, b in zip(parts, before, strict=False)])
        values = [torch.cat(of_layer) for of_layer in zip(*(p.values for p in parts), strict=True)]
        return cls([e for p in parts for e in p.encoded], values, rows, _concatenated([p.texts for p in parts]))


@dataclass(frozen=True, eq=False)
class _Reader:
    layers: tuple[Layer, ...]
    granularity: Granularity
    predictions: bool
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        model = self.layers[0].model
        if self.predictions and (not model.labels or model.head == "regression"):
            raise InputError(f"{model.name} is not a classifier, so it predicts no classes; leave predictions=False.")
        if self.predictions and self.class_names != model.labels:
            raise InputError(
                f"class_names is {', '.join(self.class_names[:5])}, but the classes of the model are "
                f"{', '.join(model.labels[:5])}, so its predictions would be misread. Leave predictions=False."
            )
        for layer in self.layers:
            layer.capabilities.runs_once  # noqa: B018 - raises for a layer that does not

    @property
    def name(self) -> str:
        """The name of the granularity."""
        return self.granularity if isinstance(self.granularity, str) else "spans"

    def into_memory(self, items: Iterator[Item], bar: Any, executor: Any) -> list[Activations]:
        """Read the whole corpus into memory."""
        batch_runner = BatchRunner(self.layers[0].model, Cost())
        encoded = ((self._encoded(text), label) for text, label in items)
        with batch_runner.cost.timed():
            if executor is None:
                part = self._read(list(encoded), batch_runner, bar)
            else:
                parts = []
                for one, counted in self._elsewhere(encoded, executor, bar):
                    parts.append(one)
                    batch_runner.cost.add(counted)
                part = _Part.joined(parts)
        return [
            Activations(
                values=values,
                **part.rows,
                texts=tuple(e.text for e in part.encoded),
                units=tuple(e.units for e in part.encoded),
                layer=layer.path,
                granularity=self.name,
                made_by=made_by("activations", batch_runner.cost, layer.model.name, self._asked(layer)),
                **part.texts,
                class_names=self.class_names,
                notes=cut_notes(sum(e.cut > 0 for e in part.encoded), len(part.encoded), layer.model.max_tokens),
            )
            for layer, values in zip(self.layers, part.values, strict=True)
        ]

    def onto_disk(
        self, items: Iterator[Item], bar: Any, folders: list[Path], labelled: bool, executor: Any
    ) -> list[Activations]:
        """Read the whole corpus, and write each shard to disk before the next one is read."""
        stores = [self._store(layer, folder, labelled) for layer, folder in zip(self.layers, folders, strict=True)]
        shards, left = remaining(stores, items, self._spans)
        encoded = ((self._encoded(text), label) for text, label in left)
        number = shards
        for number, (part, cost) in enumerate(self._elsewhere(encoded, executor, bar), shards + 1):
            self._write(stores, number - 1, part, cost)
        for store in stores:
            store.finish(number)
        return [Activations.load(folder) for folder in folders]

    def _elsewhere(self, encoded: Iterator[_Labelled], executor: Any, bar: Any) -> Iterator[tuple[_Part, Cost]]:
        """The parts of the corpus, each of a shard, and what they cost; read where the executor has them read."""
        groups = batched_by_size(encoded, lambda e: len(e[0].units), self._rows_a_shard, TEXTS_A_SHARD)
        for part, cost in executor_of(executor).map(self, groups):
            bar.update(len(part.encoded))
            yield part, cost

    def __call__(self, group: Sequence[_Labelled]) -> tuple[_Part, Cost]:
        """The activations of the texts of a shard, and what they cost."""
        batch_runner = BatchRunner(self.layers[0].model, Cost())
        with torch.inference_mode(False), torch.no_grad():
            return self._read(group, batch_runner, None), batch_runner.cost

    def _write(self, stores: list[Store], number: int, part: _Part, cost: Cost) -> None:
        spans = torch.tensor([(u.start, u.stop) for e in part.encoded for u in e.units])
        counted = {k: v for k, v in dataclasses.asdict(cost).items() if k != "seconds"}
        for store, values in zip(stores, part.values, strict=True):
            if store.has(number):  # only the store of another layer lacks this shard
                continue
            columns = {"values": values, "spans": spans, **part.rows, **part.texts}
            store.write(
                number,
                columns,
                [e.text for e in part.encoded],
                {"cost": counted, "cut": sum(e.cut > 0 for e in part.encoded)},
            )

    def _read(self, items: Sequence[_Labelled], batch_runner: BatchRunner, bar: Any) -> _Part:
        parts = []
        tokens = NUMBERS_AT_A_TIME // sum(layer.width for layer in self.layers)
        for some in batched_by_size(iter(items), lambda item: len(item[0]), tokens, TEXTS_AT_A_TIME):
            parts.append(self._part([e for e, _ in some], [label for _, label in some], batch_runner))
            if bar is not None:
                bar.update(len(some))
        return _Part.joined(parts)

    def _part(self, encoded: list[DividedText], labels: list[Any], batch_runner: BatchRunner) -> _Part:
        paths = tuple(layer.path for layer in self.layers)
        stop = not self.predictions
        outputs = batch_runner.run(
            [ModelRequest(torch.tensor([len(e)]), whole_text(e), read=paths, stop=stop) for e in encoded]
        )
        widths = [layer.width for layer in self.layers]
        hidden = [torch.split(output.hidden[0], widths, dim=-1) for output in outputs]
        values = [self._rows(one, encoded, [h[i] for h in hidden]) for i, one in enumerate(self.layers)]
        counts = torch.tensor([len(e.units) for e in encoded])
        rows = {
            "text_of": torch.arange(len(encoded)).repeat_interleave(counts),
            "unit_of": torch.cat([torch.arange(n) for n in counts.tolist()]),
        }
        texts = {} if labels[0] is None else {"labels": torch.stack(labels)}
        if self.predictions:
            classes = [self.layers[0].predicted(output.logits[0].float().cpu()) for output in outputs]
            texts["predictions"] = torch.stack(classes)
        return _Part(encoded, values, rows, texts)

    def _rows(self, layer: Layer, encoded: list[DividedText], hidden: list[Tensor]) -> Tensor:
        values = layer.pooled(encoded, hidden, self.granularity).float().cpu()
        if not torch.isfinite(values).all():
            raise ModelError(f"{layer.path!r} holds NaN or infinity for this corpus.{layer.model.non_finite()}")
        return values

    def _spans(self, text: Text) -> tuple[tuple[int, int], ...] | None:
        if not callable(self.granularity):
            return None
        return tuple((unit.start, unit.stop) for unit in self._encoded(text).units)

    def _encoded(self, text: Text) -> DividedText:
        return divide(self.layers[0].model.encoder(text), self.granularity)

    @property
    def _rows_a_shard(self) -> int:
        return NUMBERS_A_SHARD // max(layer.width for layer in self.layers)

    def _asked(self, layer: Layer) -> dict[str, Any]:
        return {"granularity": self.name, "layer": layer.path}

    def _store(self, layer: Layer, folder: Path, labelled: bool) -> Store:
        settings = {
            **self._asked(layer),
            "model": layer.model.name,
            "width": layer.width,
            "class_names": list(self.class_names),
            "predictions": self.predictions,
            "labels": labelled,
            "max_tokens": layer.model.max_tokens,
            "tokens_per_batch": layer.model.budget_asked,
            **layer.model.how_it_runs,
            "dtype": str(layer.model.dtype),
            "rows_a_shard": self._rows_a_shard,
            "texts_a_shard": TEXTS_A_SHARD,
            "made_by": made_by("activations", Cost(), layer.model.name, self._asked(layer)).to_json(),
        }
        logits = layer.model.logits(layer.model.some_ids())[0].flatten() if self.predictions else torch.zeros(0)
        return Store(folder, settings, torch.cat([layer.sample.mean(0), logits.float()]).tolist())


def _concatenated(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
