"""From texts and what a caller wants to know about them to questions, many of them in flight together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from interp_core.builders import about_layer, about_text, inside
from interp_core.errors import InputError, UnsupportedError
from interp_core.evaluate import Evaluator
from interp_core.given import Text
from interp_core.granularity import Granularity, divide
from interp_core.model import TextModel
from interp_core.options import Options
from interp_core.provenance import Cost
from interp_core.question import Question
from interp_core.removal import Absence, absence, name_of
from interp_core.rendezvous import Rendezvous
from interp_core.rows import Answer, Request, whole_text
from interp_core.split import SplitModel
from interp_core.targets import Readout, Space, readout_of
from interp_core.tasks import Tasks
from interp_core.text import Encoded
from torch import Tensor
from tqdm.auto import tqdm

T = TypeVar("T")
Ask = Callable[[Request], Answer]
MOST_IN_FLIGHT = 48
TEXTS_AT_A_TIME = 256  # whose hidden states are held at once


@dataclass(frozen=True, eq=False)
class Prepared:
    """One text ready to be asked about: in units, with its targets, the score space, and the intact scores if known."""

    encoded: Encoded
    readout: Readout
    removal: str
    intact: Tensor | None = None

    @property
    def space(self) -> Space:
        return self.readout.space


class Session:
    """One run over texts of one model: what it costs is counted, and texts share passes."""

    def __init__(self, model: TextModel, options: Options | None = None) -> None:
        if isinstance(model, SplitModel):
            raise InputError("a TextModel was expected; for a layer of a split model, give its .model and layer=….")
        if not isinstance(model, TextModel):
            raise InputError(f"the model is {type(model).__name__}; wrap it first: interp.TextModel(model, tokenizer).")
        self.model, self.options = model, options or Options()
        self.cost = Cost()
        self.evaluator = Evaluator(model, self.cost)
        self.split = model.split(self.options.layer) if self.options.layer is not None else None

    def settings(self, granularity: Granularity) -> dict[str, Any]:
        """What was asked, for the record."""
        name = granularity if isinstance(granularity, str) else "spans"
        layer = self.split.path if self.split else "embeddings"
        limit = {} if self.options.max_rows is None else {"max_rows": self.options.max_rows}
        return {"granularity": name, "layer": layer, **limit}

    def prepare(self, texts: Sequence[Text], targets: Any, granularity: Granularity) -> list[Prepared]:
        """Texts in units with their targets.

        Raises:
            InputError: no texts, or a text or target that cannot be used.
        """
        if not texts:
            raise InputError("there are no texts to explain; give at least one.")
        with self.cost.timed():
            asked = Tasks(self.model, self.evaluator, self.options).ask(texts, targets)
        prepared = []
        for encoded, found, logits in asked:
            readout = readout_of(found, self.options.score, self.model.head)
            intact = readout(logits[None])[0] if logits is not None else None
            prepared.append(Prepared(divide(encoded, granularity), readout, self.removal_name(readout), intact))
        return prepared

    def each(self, prepared: Sequence[Prepared], works: Sequence[Callable[[Question], T]], description: str) -> list[T]:
        """What each of `works` gives for the question of its text, in order; what they ask of the model is put
        together.
        """

        def job(item: Prepared, work: Callable[[Question], T], states: tuple[Tensor, Tensor] | None, ask: Ask) -> T:
            return work(self.question(item, states, ask))

        if self.split is None:
            jobs = [partial(job, p, work, None) for p, work in zip(prepared, works, strict=True)]
            return self.run(jobs, description, longest_of(prepared))
        results: list[T] = []
        for start in range(0, len(prepared), TEXTS_AT_A_TIME):
            part = prepared[start : start + TEXTS_AT_A_TIME]
            several = zip(part, works[start : start + TEXTS_AT_A_TIME], self._states(part), strict=True)
            results += self.run([partial(job, *one) for one in several], description, longest_of(part))
        return results

    def alone(self, prepared: Prepared) -> Question:
        """The question about one text whose requests wait for no other."""
        return self.question(prepared, None if self.split is None else self._states([prepared])[0])

    def _states(self, prepared: Sequence[Prepared]) -> list[tuple[Tensor, Tensor]]:
        """The hidden states of each text, and of it with every unit removed."""
        assert self.split is not None
        states = self.split.states(self.evaluator, [p.encoded for p in prepared])
        return list(zip(states, self._emptied_states(prepared), strict=True))

    def run(self, jobs: Sequence[Callable[[Ask], T]], description: str, longest: int) -> list[T]:
        """The results of jobs that share passes; one alone runs on this thread.

        Args:
            jobs: each takes the way its requests reach the evaluator.
            description: for the progress bar.
            longest: the number of tokens of the longest text.
        """
        width = max(1, min(MOST_IN_FLIGHT, len(jobs), self.model.tokens_per_batch // max(1, longest)))
        quiet = None if self.options.progress else True
        self.evaluator.in_flight = width
        bar = tqdm(total=len(jobs), desc=description, unit="text", disable=quiet, leave=False)
        results = []
        with bar, self.cost.timed():
            for result in self._results(jobs, width):
                results.append(result)
                bar.update()
        return results

    def _results(self, jobs: Sequence[Callable[[Ask], T]], width: int) -> Iterator[T]:
        if width == 1:
            return (job(lambda request: self.evaluator.run([request])[0]) for job in jobs)
        meeting = Rendezvous(self.evaluator.run)
        return meeting.each([partial(job, meeting.ask) for job in jobs], width)

    def question(
        self,
        prepared: Prepared,
        states: tuple[Tensor, Tensor] | None = None,
        ask: Ask | None = None,
    ) -> Question:
        """The question about one text.

        Args:
            prepared: the text.
            states: for a layer, the hidden states of the text and those of the text with every unit removed.
            ask: how requests reach the evaluator; alone by default.
        """
        if self.split is None:
            question = about_text(self.evaluator, prepared.encoded, prepared.readout, self.options.removal, ask)
        else:
            assert states is not None and prepared.encoded.unit_of is not None
            x, empty = (s.to(torch.promote_types(s.dtype, torch.float32)) for s in states)
            side = inside(self.model.side_of(self.split.path), prepared.encoded)
            outside = (prepared.encoded.unit_of[side] < 0)[:, None].to(x.device)
            absent = Absence(f"{prepared.removal} at the input", "features", torch.where(outside, x, empty))
            layer = (self.split.entry, x, absent)
            question = about_layer(self.evaluator, prepared.encoded, prepared.readout, layer, ask)
        question.max_rows = self.options.max_rows
        if prepared.intact is not None:
            question.remember(prepared.intact)
        return question

    def removal_name(self, readout: Readout) -> str:
        """What an absent unit is, for the record."""
        name = name_of(self.model, self.options.removal, bool(readout.positions))
        if name == "attention" and readout.head == "span":
            raise UnsupportedError("removal='attention' hides the answer from a head that points at it; use 'mask'.")
        return name

    def _emptied_states(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """The hidden states of each text with all of its units removed at the input."""
        assert self.split is not None
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
                Request(
                    torch.tensor([len(item.encoded)]),
                    whole_text(item.encoded, values),
                    entry=self.model.embeddings.entry,
                    read=self.split.path,
                    stop=True,
                )
            )
        return [answer.hidden[0] for answer in self.evaluator.run(requests)]


def longest_of(prepared: Sequence[Prepared]) -> int:
    """The number of tokens of the longest text."""
    return max(len(p.encoded) for p in prepared)
