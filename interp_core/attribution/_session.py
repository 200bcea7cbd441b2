"""From texts and what a caller wants to know about them to questions, many of them in flight together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from interp_core.attribution._options import Options
from interp_core.attribution._question import Question
from interp_core.attribution._question_builders import Ask, about_layer, about_text, inside
from interp_core.attribution._removal import Absence, absence, removal_name
from interp_core.attribution._targets import TargetResolver
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import (
    BatchRunner,
    Layer,
    ModelRequest,
    Readout,
    RequestBatcher,
    Space,
    WrappedModel,
    readout_of,
    whole_text,
)
from interp_core.results import Cost
from interp_core.text import DividedText, Granularity, Text, divide
from torch import Tensor
from tqdm.auto import tqdm

T = TypeVar("T")
MOST_IN_FLIGHT = 48
TEXTS_AT_A_TIME = 256  # whose hidden states are held at once


@dataclass(frozen=True, eq=False)
class PreparedText:
    """One text ready to be asked about: in units, with its targets, the score space, and the intact scores if known."""

    encoded: DividedText
    readout: Readout
    removal: str
    intact: Tensor | None = None

    @property
    def space(self) -> Space:
        return self.readout.space


class Session:
    """One run over texts of one model: what it costs is counted, and texts share passes."""

    def __init__(self, model: WrappedModel, options: Options | None = None) -> None:
        if isinstance(model, Layer):
            raise InputError("a TextModel was expected; for a layer of a split model, give its .model and layer=….")
        if not isinstance(model, WrappedModel):
            raise InputError(f"the model is {type(model).__name__}; wrap it first: interp.TextModel(model, tokenizer).")
        self.model, self.options = model, options or Options()
        self.cost = Cost()
        self.batch_runner = BatchRunner(model, self.cost)
        asked = self.options.layer
        self.layer = None if asked is None else Layer(model, model.layer_path(asked))

    def settings(self, granularity: Granularity) -> dict[str, Any]:
        """What was asked, for the record."""
        name = granularity if isinstance(granularity, str) else "spans"
        layer = self.layer.path if self.layer else "embeddings"
        limit = {} if self.options.max_rows is None else {"max_rows": self.options.max_rows}
        return {"granularity": name, "layer": layer, **limit}

    def prepare(self, texts: Sequence[Text], targets: Any, granularity: Granularity) -> list[PreparedText]:
        """Texts in units with their targets.

        Raises:
            InputError: no texts, or a text or target that cannot be used.
        """
        if not texts:
            raise InputError("there are no texts to explain; give at least one.")
        with self.cost.timed():
            asked = TargetResolver(self.model, self.batch_runner, self.options).resolve(texts, targets)
        prepared = []
        for encoded, found, logits in asked:
            readout = readout_of(found, self.options.score, self.model.head)
            intact = readout(logits[None])[0] if logits is not None else None
            prepared.append(PreparedText(divide(encoded, granularity), readout, self.removal_name(readout), intact))
        return prepared

    def each(
        self, prepared: Sequence[PreparedText], works: Sequence[Callable[[Question], T]], description: str
    ) -> list[T]:
        """What each of `works` gives for the question of its text, in order; what they ask of the model is put
        together.
        """

        def job(item: PreparedText, work: Callable[[Question], T], states: tuple[Tensor, Tensor] | None, ask: Ask) -> T:
            return work(self.question(item, states, ask))

        if self.layer is None:
            jobs = [partial(job, p, work, None) for p, work in zip(prepared, works, strict=True)]
            return self.run(jobs, description, longest_of(prepared))
        results: list[T] = []
        for start in range(0, len(prepared), TEXTS_AT_A_TIME):
            part = prepared[start : start + TEXTS_AT_A_TIME]
            several = zip(part, works[start : start + TEXTS_AT_A_TIME], self._states(self.layer, part), strict=True)
            results += self.run([partial(job, *one) for one in several], description, longest_of(part))
        return results

    def alone(self, prepared: PreparedText) -> Question:
        """The question about one text whose requests wait for no other."""
        return self.question(prepared, None if self.layer is None else self._states(self.layer, [prepared])[0])

    def _states(self, layer: Layer, prepared: Sequence[PreparedText]) -> list[tuple[Tensor, Tensor]]:
        """The hidden states of each text, and of it with every unit removed."""
        states = layer.states(self.batch_runner, [p.encoded for p in prepared])
        return list(zip(states, self._emptied_states(layer, prepared), strict=True))

    def run(self, jobs: Sequence[Callable[[Ask], T]], description: str, longest: int) -> list[T]:
        """The results of jobs that share passes; one alone runs on this thread.

        Args:
            jobs: each takes the way its requests reach the evaluator.
            description: for the progress bar.
            longest: the number of tokens of the longest text.
        """
        width = max(1, min(MOST_IN_FLIGHT, len(jobs), self.model.tokens_per_batch // max(1, longest)))
        quiet = None if self.options.progress else True
        self.batch_runner.in_flight = width
        bar = tqdm(total=len(jobs), desc=description, unit="text", disable=quiet, leave=False)
        results = []
        with bar, self.cost.timed():
            for result in self._results(jobs, width):
                results.append(result)
                bar.update()
        return results

    def _results(self, jobs: Sequence[Callable[[Ask], T]], width: int) -> Iterator[T]:
        if width == 1:
            return (job(lambda request: self.batch_runner.run([request])[0]) for job in jobs)
        batcher = RequestBatcher(self.batch_runner.run)
        return batcher.each([partial(job, batcher.ask) for job in jobs], width)

    def question(
        self,
        prepared: PreparedText,
        states: tuple[Tensor, Tensor] | None = None,
        ask: Ask | None = None,
    ) -> Question:
        """The question about one text.

        Args:
            prepared: the text.
            states: for a layer, the hidden states of the text and those of the text with every unit removed.
            ask: how requests reach the evaluator; alone by default.
        """
        limits: Any = {"ask": ask, "max_rows": self.options.max_rows, "intact": prepared.intact}
        if states is None or self.layer is None:
            return about_text(self.batch_runner, prepared.encoded, prepared.readout, self.options.removal, **limits)
        x, empty = (s.to(torch.promote_types(s.dtype, torch.float32)) for s in states)
        side = inside(self.model.side_of(self.layer.path), prepared.encoded)
        outside = (prepared.encoded.unit_of[side] < 0)[:, None].to(x.device)
        absent = Absence(f"{prepared.removal} at the input", "features", torch.where(outside, x, empty))
        place = (self.layer.injection, x, absent)
        return about_layer(self.batch_runner, prepared.encoded, prepared.readout, place, **limits)

    def removal_name(self, readout: Readout) -> str:
        """What an absent unit is, for the record."""
        name = removal_name(self.model, self.options.removal, bool(readout.positions))
        if name == "attention" and readout.head == "span":
            raise UnsupportedError("removal='attention' hides the answer from a head that points at it; use 'mask'.")
        return name

    def _emptied_states(self, layer: Layer, prepared: Sequence[PreparedText]) -> list[Tensor]:
        """The hidden states of each text with all of its units removed at the input."""
        requests = []
        for item in prepared:
            x = self.model.embed(item.encoded.ids, item.encoded.source)
            absent = absence(self.model, item.encoded, x, self.options.removal)
            if absent.mode != "features":
                raise UnsupportedError(
                    f"removal={absent.name!r} takes tokens away, which a layer cannot; use 'mask', 'mean' or 'zero'."
                )
            values = absent.baseline[None].to(self.model.dtype)
            requests.append(
                ModelRequest(
                    torch.tensor([len(item.encoded)]),
                    whole_text(item.encoded, values),
                    injection=self.model.embeddings.injection,
                    read=layer.path,
                    stop=True,
                )
            )
        return [answer.hidden[0] for answer in self.batch_runner.run(requests)]


def longest_of(prepared: Sequence[PreparedText]) -> int:
    """The number of tokens of the longest text."""
    return max(len(p.encoded) for p in prepared)
