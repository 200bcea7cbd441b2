"""A model split above a layer: read what it holds there, and go on from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from interp_core.activations import Activations
from interp_core.errors import InputError, LayerError, ModelError
from interp_core.evaluate import Evaluator
from interp_core.granularity import Granularity, divide, pool
from interp_core.hooks import module_at
from interp_core.model import TextModel
from interp_core.probing import Probe
from interp_core.provenance import Cost, made_by
from interp_core.rows import Answer, Entry, Request, block_of, whole_text
from interp_core.text import Encoded
from interp_core.wanted import predicted
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

TEXTS_AT_A_TIME = 256


class SplitModel:
    """A `TextModel` and a module path; made by `model.split(layer)`.

    Attributes:
        model: the model.
        path: the module whose output is read and replaced.
    """

    def __init__(self, model: TextModel, path: str) -> None:
        module_at(model.model, path)
        self.model, self.path = model, path
        self.probe = Probe(model, path)

    def __repr__(self) -> str:
        return f"SplitModel({self.model.name}, {self.path!r})"

    def activations(
        self,
        texts: Sequence[str],
        *,
        granularity: Granularity = "token",
        predictions: bool = False,
        labels: Sequence[int] | None = None,
        progress: bool = True,
    ) -> Activations:
        """What the layer holds for each unit of each text. The pass stops at the layer unless predictions are wanted.

        Args:
            texts: the corpus: a list, or a column of a `datasets.Dataset`.
            granularity: what a row stands for: the mean over the tokens of each unit, or for `"cls"` the one position
                that the classifier reads.
            predictions: also keep the class that the model gives to each text; of a multi-label head, which ones.
            labels: the class that each text is said to have, kept beside.
            progress: show a bar on a terminal or notebook.

        Raises:
            InputError: an empty corpus or text, labels of another length, predictions of a model that has no classes.
            LayerError: the layer runs twice in a pass, or has no row for each token.
        """
        corpus = _corpus(texts)
        if labels is not None and len(labels) != len(corpus):
            raise InputError(f"{len(labels)} labels were given for {len(corpus)} texts.")
        if predictions and (not self.model.labels or self.model.head == "regression"):
            raise InputError(f"{self.model.name} is no classifier, so it predicts no classes; leave predictions=False.")
        encoded = [divide(self.model.encoder(text), granularity) for text in corpus]
        evaluator = Evaluator(self.model, Cost())
        rows: list[Tensor] = []
        classes: list[Tensor] = []
        with evaluator.cost.timed():
            for text, answer in self._read(evaluator, encoded, not predictions, progress):
                rows.append(self._pooled(text, answer.hidden[0], granularity).float().cpu())
                classes += [self._predicted(answer.logits[0].float().cpu())] if predictions else []
        settings = {"granularity": _granularity_name(granularity), "layer": self.path}
        return Activations(
            values=_finite(torch.cat(rows), self),
            text_of=torch.cat([torch.full((len(r),), i) for i, r in enumerate(rows)]),
            unit_of=torch.cat([torch.arange(len(r)) for r in rows]),
            texts=tuple(corpus),
            units=tuple(e.units for e in encoded),
            layer=self.path,
            granularity=_granularity_name(granularity),
            made_by=made_by("activations", evaluator.cost, self.model.name, settings),
            predictions=torch.stack(classes) if classes else None,
            labels=None if labels is None else torch.as_tensor(list(labels), dtype=torch.long),
            class_names=self.model.labels,
            notes=_cut_note(encoded),
        )

    def states(self, evaluator: Evaluator, encoded: Sequence[Encoded]) -> list[Float[Tensor, "t d"]]:
        """The layer's output for each token of each text; the pass stops there."""
        return [answer.hidden[0] for _, answer in self._read(evaluator, encoded, True, False)]

    def resume(self, states: Float[Tensor, "p t d"], encoded: Encoded) -> Float[Tensor, "p *m v"]:
        """The logits of the model that goes on from these states, as if the layer had given them.

        Blocks below the layer do not run where that has been shown to change nothing.
        """
        mask = torch.ones(len(states), len(encoded), dtype=torch.bool)
        block = block_of(encoded, mask, states.to(self.model.device, self.model.dtype))
        request = Request(torch.full((len(states),), len(encoded)), lambda _: block, entry=self.entry)
        return Evaluator(self.model).forward([block], request).logits

    @property
    def entry(self) -> Entry:
        """Where states enter: past the blocks below where that is proven equal, else by replacing the output."""
        return self.probe.entry

    @property
    def head_reads_one_row(self) -> bool:
        """True when the answer depends on the layer through one position alone, so that `cls` rows say all there is."""
        return self.probe.head_reads_one_row

    def position(self, length: int) -> int:
        """Which token of a text the classifier reads, found by trying; without a classifier, the class token.

        Raises:
            LayerError: the model has no such position, or reads several.
        """
        if self.model.labels:
            return self.model.read_position % length
        if self.model.encoder.cls_position is None:
            raise LayerError(f"{self.model.name} has no class token, so granularity 'cls' means nothing; use 'sample'.")
        return self.model.encoder.cls_position % length

    def row_of(self, encoded: Encoded, granularity: str) -> Int[Tensor, " t"]:
        """The row, among those of this text, that each token takes part in; -1 for none."""
        if granularity == "cls":
            return torch.full((len(encoded),), -1).index_fill_(0, torch.tensor([self.position(len(encoded))]), 0)
        assert encoded.unit_of is not None
        return encoded.unit_of

    def _read(
        self, evaluator: Evaluator, encoded: Sequence[Encoded], stop: bool, progress: bool
    ) -> Iterator[tuple[Encoded, Answer]]:
        self.probe.runs_once  # noqa: B018 - refuses a layer that does not
        bar = tqdm(total=len(encoded), desc="activations", unit="text", disable=None if progress else True, leave=False)
        with bar:
            for start in range(0, len(encoded), TEXTS_AT_A_TIME):
                part = encoded[start : start + TEXTS_AT_A_TIME]
                requests = [Request(torch.tensor([len(e)]), whole_text(e), read=self.path, stop=stop) for e in part]
                yield from zip(part, evaluator.run(requests), strict=True)
                bar.update(len(part))

    def _predicted(self, logits: Float[Tensor, " v"]) -> Tensor:
        """The class of a text; of a multi-label head True for each class it has."""
        found = torch.tensor(predicted(logits, self.model.head))
        return torch.zeros(len(logits), dtype=torch.bool).index_fill_(0, found, True) if self.several else found[0]

    @property
    def several(self) -> bool:
        """Whether a text can have several classes."""
        return self.model.head == "multi-label"

    def _pooled(self, encoded: Encoded, hidden: Float[Tensor, "t d"], granularity: Granularity) -> Float[Tensor, "u d"]:
        if granularity == "cls":
            where = self.position(len(encoded))
            return hidden[where][None]
        assert encoded.unit_of is not None
        return pool(hidden.float(), encoded.unit_of.to(hidden.device), len(encoded.units))


def _corpus(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise InputError("a corpus is a list of texts; one string was given. Put it into a list.")
    if isinstance(texts, dict) or hasattr(texts, "columns"):
        raise InputError(
            f"the corpus is {type(texts).__name__}; a list of texts was expected, such as one column of it."
        )
    corpus = list(texts)
    if not corpus:
        raise InputError("the corpus is empty; give at least one text.")
    empty = [i for i, text in enumerate(corpus) if not isinstance(text, str) or not text.strip()]
    if empty:
        raise InputError(
            f"{len(empty)} of {len(corpus)} texts are empty or no strings, the first at {empty[0]}. Leave them out."
        )
    return corpus


def _granularity_name(granularity: Granularity) -> str:
    return granularity if isinstance(granularity, str) else getattr(granularity, "__name__", "spans")


def _cut_note(encoded: Sequence[Encoded]) -> tuple[str, ...]:
    cut = [e for e in encoded if e.cut]
    if not cut:
        return ()
    return (f"{len(cut)} of {len(encoded)} texts were cut to the {len(cut[0])} tokens that the model takes.",)


def _finite(values: Tensor, split: SplitModel) -> Tensor:
    if not torch.isfinite(values).all():
        raise ModelError(f"{split.path!r} holds NaN or infinity for this corpus.{split.model.non_finite()}")
    return values
