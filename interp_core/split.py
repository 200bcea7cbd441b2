"""A model split above a layer: read what it holds there, and go on from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.errors import InputError, LayerError, ModelError
from interp_core.evaluate import Evaluator
from interp_core.granularity import Granularity, divide, pool
from interp_core.hooks import ShortEntry, TapEntry, at_rest, module_at, passing_through, tap
from interp_core.model import TextModel
from interp_core.provenance import Cost, made_by
from interp_core.rows import Answer, Block, Entry, Request, whole_text
from interp_core.text import Encoded
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
            predictions: also keep the class that the model gives to each text.
            labels: the class that each text is said to have, kept beside.
            progress: show a bar on a terminal or notebook.

        Raises:
            InputError: an empty corpus or text, labels of another length, predictions of a model that has no classes.
            LayerError: the layer runs twice in a pass, or has no row for each token.
        """
        corpus = _corpus(texts)
        if labels is not None and len(labels) != len(corpus):
            raise InputError(f"{len(labels)} labels were given for {len(corpus)} texts.")
        if predictions and not self.model.labels:
            raise InputError(f"{self.model.name} is no classifier, so it predicts no classes; leave predictions=False.")
        encoded = [divide(self.model.encoder(text), granularity) for text in corpus]
        evaluator = Evaluator(self.model, Cost())
        rows: list[Tensor] = []
        classes: list[Tensor] = []
        with evaluator.cost.timed():
            for text, answer in self._read(evaluator, encoded, not predictions, progress):
                rows.append(self._pooled(text, answer.hidden[0], granularity).float().cpu())
                classes += [answer.logits[0].argmax().cpu()] if predictions else []
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
        ids = encoded.ids.expand(len(states), -1)
        block = Block(ids, torch.ones_like(ids, dtype=torch.bool), states.to(self.model.device, self.model.dtype))
        request = Request(torch.full((len(states),), len(encoded)), lambda _: block, entry=self.entry)
        output, _, _ = Evaluator(self.model).forward([block], request)
        logits: Tensor = output["logits"]
        return logits

    @cached_property
    def entry(self) -> Entry:
        """Where states enter: past the blocks below when that is proven equal on a probe, else by replacing the
        output.
        """
        return self._shortcut() or TapEntry(self.model.model, self.path)

    @cached_property
    def head_reads_one_row(self) -> bool:
        """True when the answer depends on the layer through one position alone, so that `cls` rows say all there is."""
        if not isinstance(self.entry, ShortEntry) or self.model.head in ("causal", "other"):
            return False
        ids, states = self._random_states()
        where = self.position(len(ids[0]))
        whole = self._logits(ids, states)
        alone = self._logits(ids[:, where : where + 1 or None], states[:, where : where + 1 or None])
        return torch.allclose(whole, alone, atol=1e-5, rtol=1e-4)

    def position(self, length: int) -> int:
        """Which token of a text the classifier reads: the class token, or the last token of a decoder.

        Raises:
            LayerError: the model has no such position.
        """
        cls = self.model.encoder.cls_position
        if cls is not None:
            return cls % length
        if self.model.labels:
            return length - 1
        raise LayerError(
            f"{self.model.name} has no class token, so granularity 'cls' means nothing; use 'sample' or 'word'."
        )

    def row_of(self, encoded: Encoded, granularity: str) -> Int[Tensor, " t"]:
        """The row, among those of this text, that each token takes part in; -1 for none."""
        if granularity == "cls":
            return torch.full((len(encoded),), -1).index_fill_(0, torch.tensor([self.position(len(encoded))]), 0)
        assert encoded.unit_of is not None
        return encoded.unit_of

    def _read(
        self, evaluator: Evaluator, encoded: Sequence[Encoded], stop: bool, progress: bool
    ) -> Iterator[tuple[Encoded, Answer]]:
        bar = tqdm(total=len(encoded), desc="activations", unit="text", disable=None if progress else True, leave=False)
        with bar:
            for start in range(0, len(encoded), TEXTS_AT_A_TIME):
                part = encoded[start : start + TEXTS_AT_A_TIME]
                requests = [Request(torch.tensor([len(e)]), whole_text(e), read=self.path, stop=stop) for e in part]
                yield from zip(part, evaluator.run(requests), strict=True)
                bar.update(len(part))

    def _pooled(self, encoded: Encoded, hidden: Float[Tensor, "t d"], granularity: Granularity) -> Float[Tensor, "u d"]:
        if granularity == "cls":
            where = self.position(len(encoded))
            return hidden[where][None]
        assert encoded.unit_of is not None
        return pool(hidden.float(), encoded.unit_of.to(hidden.device), len(encoded.units))

    def _shortcut(self) -> ShortEntry | None:
        """The blocks up to the layer as things to be skipped, if the layer is a block and skipping changes nothing."""
        try:
            blocks = self.model.blocks
        except LayerError:
            return None
        if self.path not in blocks:
            return None
        below = blocks[: blocks.index(self.path) + 1]
        ids, states = self._random_states()
        model = self.model.model
        with torch.no_grad(), at_rest(model):
            with tap(model, self.path, replace=states):
                samples, output = _outputs(model, below, lambda: self.model.forward(ids, torch.ones_like(ids)))
            entry = ShortEntry(self.path, tuple(module_at(model, b) for b in below), tuple(samples))
            with passing_through(entry.modules, entry.outputs, states):
                short = self.model.forward(ids, torch.ones_like(ids))
        same = all(_close(output.get(key), short.get(key)) for key in ("logits", "last_hidden_state"))
        return entry if same else None

    def _random_states(self) -> tuple[Tensor, Tensor]:
        ids = self.model.some_ids()
        with torch.no_grad(), at_rest(self.model.model), tap(self.model.model, self.path, stop=True) as seen:
            self.model.forward(ids, torch.ones_like(ids))
        states = seen.read()
        noise = torch.randn(states.shape, generator=torch.Generator().manual_seed(0))
        return ids, states + noise.to(states) * states.std()

    def _logits(self, ids: Tensor, states: Tensor) -> Tensor:
        with torch.no_grad(), at_rest(self.model.model), self.entry.open(states):
            logits: Tensor = self.model.forward(ids, torch.ones_like(ids))["logits"]
        return logits.float().cpu()


def _outputs(model: Any, paths: Sequence[str], run: Callable[[], Any]) -> tuple[list[Any], Any]:
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        for path in paths:
            hook = module_at(model, path).register_forward_hook(
                lambda _m, _i, out, path=path: found.__setitem__(path, out)
            )
            stack.callback(hook.remove)
        output = run()
    return [found[path] for path in paths], output


def _close(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is None and other is None
    return torch.allclose(one.float(), other.float(), atol=1e-5, rtol=1e-4)


def _corpus(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise InputError("a corpus is a list of texts; one string was given. Put it into a list.")
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
