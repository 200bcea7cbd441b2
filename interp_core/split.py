"""A model split above a layer: read what it holds there, and go on from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from interp_core import wanted
from interp_core.activations import Activations
from interp_core.errors import LayerError
from interp_core.evaluate import Evaluator
from interp_core.granularity import Granularity, pool
from interp_core.hooks import module_at
from interp_core.model import TextModel
from interp_core.probing import Probe
from interp_core.rows import Entry, Request, block_of, whole_text
from interp_core.text import Encoded
from jaxtyping import Float, Int
from torch import Tensor


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

    def activations(self, texts: Iterable[str], **options: Any) -> Activations:
        """What the layer holds for each unit of each text; see `interp_core.layers.Layers` for the options.

        With `to="folder"` the rows are written to disk as they are read, and `folder` is the store.
        """
        from interp_core.reading import read

        return read([self], texts, [options.pop("to", None)], **options)[0]

    @cached_property
    def width(self) -> int:
        """The width d of what the layer gives."""
        return int(self.sample.shape[-1])

    @cached_property
    def sample(self) -> Float[Tensor, "t d"]:
        """What the layer holds for a short text, to tell whether it is the same layer of the same model."""
        return self.states(Evaluator(self.model), [self.model.encoder("one two three four")])[0].float().cpu()

    def states(self, evaluator: Evaluator, encoded: Sequence[Encoded]) -> list[Float[Tensor, "t d"]]:
        """The layer's output for each token of each text; the pass stops there."""
        self.probe.runs_once  # noqa: B018 - refuses a layer that does not
        asked = [Request(torch.tensor([len(e)]), whole_text(e), read=self.path, stop=True) for e in encoded]
        return [answer.hidden[0] for answer in evaluator.run(asked)]

    def resume(self, states: Float[Tensor, "p t d"], encoded: Encoded) -> Float[Tensor, "p *m v"]:
        """The logits of the model that goes on from these states, as if the layer had given them.

        Blocks below the layer do not run where that has been shown to change nothing.
        """
        mask = torch.ones(len(states), len(encoded), dtype=torch.bool)
        block = block_of(encoded, mask, states.to(self.model.device, self.model.dtype))
        request = Request(torch.full((len(states),), len(encoded)), lambda _: block, entry=self.entry)
        return Evaluator(self.model).forward([block], request).logits

    def resumed(
        self, evaluator: Evaluator, states: Sequence[Float[Tensor, "t d"]], encoded: Sequence[Encoded]
    ) -> list[Float[Tensor, "*m v"]]:
        """The logits of several texts as if the layer had given these states; texts share passes.

        Returns:
            For each text (v), or (t, v) where the head answers at each token; on the CPU, float32.
        """
        asked = [
            Request(
                torch.tensor([len(e)]),
                whole_text(e, s[None].to(self.model.device, self.model.dtype)),
                entry=self.entry,
                logits=True,
            )
            for s, e in zip(states, encoded, strict=True)
        ]
        found = [answer.logits[0].float().cpu() for answer in evaluator.run(asked)]
        return [f[: len(e)] if f.ndim == 2 else f for f, e in zip(found, encoded, strict=True)]

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

    def predicted(self, logits: Float[Tensor, " v"]) -> Tensor:
        """The class of a text; of a multi-label head True for each class it has."""
        found = torch.tensor(wanted.predicted(logits, self.model.head))
        return torch.zeros(len(logits), dtype=torch.bool).index_fill_(0, found, True) if self.several else found[0]

    @property
    def several(self) -> bool:
        """Whether a text can have several classes."""
        return self.model.head == "multi-label"

    def pooled(self, encoded: Encoded, hidden: Float[Tensor, "t d"], granularity: Granularity) -> Float[Tensor, "u d"]:
        """From a row for each token to a row for each unit."""
        if granularity == "cls":
            where = self.position(len(encoded))
            return hidden[where][None]
        assert encoded.unit_of is not None
        return pool(hidden.float(), encoded.unit_of.to(hidden.device), len(encoded.units))
