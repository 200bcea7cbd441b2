"""Reading what layers hold for a corpus, some texts at a time, into memory or onto disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.corpus import Item, one_by_one, with_labels
from interp_core.errors import InputError, ModelError
from interp_core.evaluate import Evaluator
from interp_core.granularity import Granularity, divide
from interp_core.provenance import Cost, made_by
from interp_core.rows import Request, whole_text
from interp_core.shards import cut_notes
from interp_core.split import SplitModel
from interp_core.store import Store, grouped, remaining
from interp_core.text import Encoded
from torch import Tensor
from tqdm.auto import tqdm

TEXTS_AT_A_TIME, NUMBERS_AT_A_TIME = 256, 2**26  # whose states are held at once, where the model is
TEXTS_A_SHARD, NUMBERS_A_SHARD = 1024, 2**24  # the rows of a shard are 64 MB and what its last text adds


def read(
    splits: Sequence[SplitModel],
    texts: Iterable[str],
    folders: Sequence[str | Path | None],
    *,
    granularity: Granularity = "token",
    predictions: bool = False,
    **options: Any,
) -> list[Activations]:
    """What several layers of one model hold, each in memory or in its folder; see `Layers.activations`."""
    labels, names, progress = (
        options.pop("labels", None),
        options.pop("class_names", None),
        options.pop("progress", True),
    )
    if options:
        raise InputError(f"activations has no option {sorted(options)[0]!r}.")
    reader = _Reader(tuple(splits), granularity, predictions, tuple(names or splits[0].model.labels))
    corpus, total = one_by_one(texts, all(folder is not None for folder in folders))
    if labels is not None and total is not None and hasattr(labels, "__len__") and len(labels) != total:
        raise InputError(f"{len(labels)} labels were given for {total} texts.")
    items = with_labels(corpus, labels, reader.class_names)
    quiet = None if progress else True
    with tqdm(total=total, desc="activations", unit="text", disable=quiet, leave=False) as bar:
        if folders[0] is None:
            return reader.into_memory(items, bar)
        return reader.onto_disk(items, bar, [Path(str(folder)) for folder in folders], labels is not None)


@dataclass(frozen=True, eq=False)
class _Part:
    """What was read of some texts: the values of each layer, and columns with an entry for each row or text."""

    encoded: list[Encoded]
    values: list[Tensor]
    rows: dict[str, Tensor]
    texts: dict[str, Tensor]

    @classmethod
    def joined(cls, parts: Sequence[_Part]) -> _Part:
        """Several parts as one."""
        before = list(accumulate((len(p.encoded) for p in parts), initial=0))
        rows = _joined([p.rows | {"text_of": p.rows["text_of"] + b} for p, b in zip(parts, before, strict=False)])
        values = [torch.cat(of_layer) for of_layer in zip(*(p.values for p in parts), strict=True)]
        return cls([e for p in parts for e in p.encoded], values, rows, _joined([p.texts for p in parts]))


@dataclass(frozen=True, eq=False)
class _Reader:
    splits: tuple[SplitModel, ...]
    granularity: Granularity
    predictions: bool
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        model = self.splits[0].model
        if self.predictions and (not model.labels or model.head == "regression"):
            raise InputError(f"{model.name} is no classifier, so it predicts no classes; leave predictions=False.")
        if self.predictions and self.class_names != model.labels:
            raise InputError(
                f"the classes are called {', '.join(self.class_names[:5])}, those of the model "
                f"{', '.join(model.labels[:5])}; its predictions would be read as others. Leave predictions=False."
            )
        for split in self.splits:
            split.probe.runs_once  # noqa: B018 - refuses a layer that does not

    @property
    def name(self) -> str:
        """What a row stands for."""
        wanted = self.granularity
        return wanted if isinstance(wanted, str) else getattr(wanted, "__name__", "spans")

    def into_memory(self, items: Iterator[Item], bar: Any) -> list[Activations]:
        """All of it, in memory."""
        evaluator = Evaluator(self.splits[0].model, Cost())
        encoded = [(self._encoded(text), label) for text, label in items]
        with evaluator.cost.timed():
            found = self._read(encoded, evaluator, bar)
        return [
            Activations(
                values=values,
                **found.rows,
                texts=tuple(e.text for e in found.encoded),
                units=tuple(e.units for e in found.encoded),
                layer=split.path,
                granularity=self.name,
                made_by=made_by("activations", evaluator.cost, split.model.name, self._asked(split)),
                **found.texts,
                class_names=self.class_names,
                notes=cut_notes(sum(e.cut > 0 for e in found.encoded), len(found.encoded), split.model.max_tokens),
            )
            for split, values in zip(self.splits, found.values, strict=True)
        ]

    def onto_disk(self, items: Iterator[Item], bar: Any, folders: list[Path], labelled: bool) -> list[Activations]:
        """All of it, each shard on disk before the next is read."""
        stores = [self._store(split, folder, labelled) for split, folder in zip(self.splits, folders, strict=True)]
        there, left = remaining(stores, items, self._spans)
        encoded = ((self._encoded(text), label) for text, label in left)
        number = there
        groups = grouped(encoded, lambda e: len(e[0].units), self._rows_a_shard, TEXTS_A_SHARD)
        for number, group in enumerate(groups, there + 1):
            evaluator = Evaluator(self.splits[0].model, Cost())
            self._write(stores, number - 1, self._read(group, evaluator, bar), evaluator.cost)
        for store in stores:
            store.finish(number)
        return [Activations.load(folder) for folder in folders]

    def _write(self, stores: list[Store], number: int, found: _Part, cost: Cost) -> None:
        spans = torch.tensor([(u.start, u.stop) for e in found.encoded for u in e.units])
        counted = {k: v for k, v in dataclasses.asdict(cost).items() if k != "seconds"}
        for store, values in zip(stores, found.values, strict=True):
            if store.has(number):  # another layer of the run is behind
                continue
            columns = {"values": values, "spans": spans, **found.rows, **found.texts}
            store.write(
                number,
                columns,
                [e.text for e in found.encoded],
                {"cost": counted, "cut": sum(e.cut > 0 for e in found.encoded)},
            )

    def _read(self, items: Sequence[tuple[Encoded, Any]], evaluator: Evaluator, bar: Any) -> _Part:
        parts = []
        tokens = NUMBERS_AT_A_TIME // sum(split.width for split in self.splits)
        for some in grouped(iter(items), lambda item: len(item[0]), tokens, TEXTS_AT_A_TIME):
            parts.append(self._part([e for e, _ in some], [label for _, label in some], evaluator))
            bar.update(len(some))
        return _Part.joined(parts)

    def _part(self, encoded: list[Encoded], labels: list[Any], evaluator: Evaluator) -> _Part:
        paths = tuple(split.path for split in self.splits)
        stop = not self.predictions
        answers = evaluator.run(
            [Request(torch.tensor([len(e)]), whole_text(e), read=paths, stop=stop) for e in encoded]
        )
        widths = [split.width for split in self.splits]
        hidden = [torch.split(answer.hidden[0], widths, dim=-1) for answer in answers]
        values = [self._rows(i, encoded, [h[i] for h in hidden]) for i in range(len(paths))]
        counts = torch.tensor([len(e.units) for e in encoded])
        rows = {
            "text_of": torch.arange(len(encoded)).repeat_interleave(counts),
            "unit_of": torch.cat([torch.arange(n) for n in counts.tolist()]),
        }
        texts = {} if labels[0] is None else {"labels": torch.stack(labels)}
        if self.predictions:
            classes = [self.splits[0].predicted(answer.logits[0].float().cpu()) for answer in answers]
            texts["predictions"] = torch.stack(classes)
        return _Part(encoded, values, rows, texts)

    def _rows(self, layer: int, encoded: list[Encoded], hidden: list[Tensor]) -> Tensor:
        split = self.splits[layer]
        pooled = [split.pooled(e, h, self.granularity) for e, h in zip(encoded, hidden, strict=True)]
        values = torch.cat(pooled).float().cpu()
        if not torch.isfinite(values).all():
            raise ModelError(f"{split.path!r} holds NaN or infinity for this corpus.{split.model.non_finite()}")
        return values

    def _spans(self, text: str) -> tuple[tuple[int, int], ...] | None:
        if not callable(self.granularity):
            return None
        return tuple((unit.start, unit.stop) for unit in self._encoded(text).units)

    def _encoded(self, text: str) -> Encoded:
        return divide(self.splits[0].model.encoder(text), self.granularity)

    @property
    def _rows_a_shard(self) -> int:
        return NUMBERS_A_SHARD // max(split.width for split in self.splits)

    def _asked(self, split: SplitModel) -> dict[str, Any]:
        return {"granularity": self.name, "layer": split.path}

    def _store(self, split: SplitModel, folder: Path, labelled: bool) -> Store:
        settings = {
            **self._asked(split),
            "model": split.model.name,
            "width": split.width,
            "class_names": list(self.class_names),
            "predictions": self.predictions,
            "labels": labelled,
            "max_tokens": split.model.max_tokens,
            "tokens_per_batch": split.model.tokens_per_batch,
            "dtype": str(split.model.dtype),
            "rows_a_shard": self._rows_a_shard,
            "texts_a_shard": TEXTS_A_SHARD,
            "made_by": made_by("activations", Cost(), split.model.name, self._asked(split)).to_json(),
        }
        answers = split.model.logits(split.model.some_ids())[0].flatten() if self.predictions else torch.zeros(0)
        return Store(folder, settings, torch.cat([split.sample.mean(0), answers.float()]).tolist())


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
