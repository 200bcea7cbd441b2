"""A run of a model over texts: prepares them, builds their questions and lets several texts share passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

import torch
from interp_core.attribution._attempts import Attempts
from interp_core.attribution._component_questions import REFERENCE, about_components
from interp_core.attribution._component_text import ComponentText, check_references, component_text
from interp_core.attribution._options import Options
from interp_core.attribution._prediction import LateReadout, slopes_request
from interp_core.attribution._prepared_text import PreparedText
from interp_core.attribution._question import Question
from interp_core.attribution._question_builders import Ask, about_layer, about_text, inside
from interp_core.attribution._question_checks import check_budget
from interp_core.attribution._removal import Absence, absence, removal_name, stand_in
from interp_core.attribution._targets import ResolvedText, TargetResolver
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import (
    GENERATORS,
    BatchRunner,
    Layer,
    ModelRequest,
    Readout,
    RequestBatcher,
    ServedModel,
    WrappedModel,
    readout_of,
    whole_text,
)
from interp_core.results import Cost
from interp_core.text import DividedText, Encoded, Granularity, Text, as_texts, divide
from torch import Tensor
from tqdm.auto import tqdm

T = TypeVar("T")
MOST_IN_FLIGHT = 48
BATCHES_IN_FLIGHT = 4  # more texts than one batch holds, so that rows of like lengths meet
TEXTS_AT_A_TIME = 256  # the hidden states of this many texts are in memory together


class Session:
    """A run of a model over texts, which share forward passes and whose cost is counted.

    Args:
        model: the model.
        options: the options of the run; the defaults of `Options` if None.
        pointwise: whether questions need only the scores and gradients at the unchanged text, which then take one pass.

    Attributes:
        cost: the passes, rows, tokens and seconds that the run has taken.
        batch_runner: calls the model.
        layer: the layer that is explained; None for the embeddings.
        attempts: the errors of the texts that were prepared last.
        predicted: the texts whose targets were known only after their question was asked, by the number of the text.
        pointwise: as given.

    Raises:
        InputError: the model is not a `TextModel`, or has no layer `options.layer`.

    Examples:
        >>> from interp_core.attribution import Options, Session, run_method
        >>> from interp_core.testing import planted_model
        >>> session = Session(planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)}), Options(progress=False))
        >>> prepared = session.prepare(["so happy", "never sad"], 0, "word")
        >>> occlusion = interp.method("occlusion")
        >>> scores = session.each(prepared, [lambda question: run_method(occlusion, question)[0]] * 2, "occlusion")
        >>> torch.cat(scores)
        tensor([[ 0.,  3.],
                [ 0., -2.]])
        >>> session.cost.forwards  # the variants of both texts were evaluated in one pass
        1
    """

    takes: ClassVar[Any] = WrappedModel
    batches: ClassVar[Any] = BatchRunner  # what calls the model
    resolves: ClassVar[Any] = TargetResolver

    def __init__(self, model: Any, options: Options | None = None, *, pointwise: bool = False) -> None:
        if isinstance(model, Layer):
            raise InputError("a TextModel was expected; for a layer of a split model, give its .model and layer=….")
        if not isinstance(model, self.takes):
            raise InputError(
                f"the model is {type(model).__name__}; a TextModel was expected, as interp.load(path) or "
                "interp.TextModel(model, tokenizer) gives it."
            )
        self.model: WrappedModel = model
        self.options = options or Options()
        check_budget(self.options.max_rows)
        self.cost = Cost()
        self.batch_runner: BatchRunner = self.batches(model, self.cost)
        self.attempts = Attempts()
        self.predicted: dict[int, PreparedText] = {}
        self.pointwise = pointwise
        layer = None if self.options.over is not None else self.options.layer
        self.layer = None if layer is None else Layer(model, model.layer_path(layer))

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked of a service during the run, as results record it; empty for local models."""
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes that concern all texts of the run."""
        return ()

    def settings(self, granularity: Granularity) -> dict[str, Any]:
        """The settings of the run, as results record them: granularity, layer, and options that are not the default."""
        name = granularity if isinstance(granularity, str) else "spans"
        layer = self.layer.path if self.layer else "embeddings"
        limit = {} if self.options.max_rows is None else {"max_rows": self.options.max_rows}
        cut, skipped = self.options.truncation, self.attempts.skipped
        truncation = {} if cut == Options().truncation else {"truncation": cut}
        units = self.options.units
        region = {} if units is None else {"units": units if isinstance(units, str) else "spans"}
        more = {**region, **limit, **truncation, **({"skipped": skipped} if skipped else {})}
        words = {} if self.options.over is not None else {"granularity": name, "layer": layer}
        return {**words, **more, **getattr(self.model, "how_it_runs", {}), **self.asked}

    def prepare(
        self,
        texts: Sequence[Text],
        targets: Any,
        granularity: Granularity,
        *,
        answers: bool = False,
        readout: LateReadout | None = None,
        first: int | None = None,
    ) -> list[PreparedText]:
        """Tokenise texts, divide them into units and find their targets.

        Args:
            texts: the texts, at least one.
            targets: what to explain, as in `attribute`.
            granularity: the units, see `interp_core.text.divide`.
            answers: also compute the answer of a classifier where the targets do not need it.
            readout: finds the targets together with their gradients, once the question is asked.
            first: the number of the first text, if these are part of a longer run: errors name texts by their number
                there, and all of these may be skipped.

        Returns:
            One prepared text for each text that is not skipped (see `Options.on_error`), in order.

        Raises:
            InputError: there are no texts, or a text, target or option cannot be used.
            UnsupportedError: the head of the model, or the removal, is not supported.
        """
        if not texts:
            raise InputError("there are no texts to explain; give at least one.")
        if self.options.over is not None:
            check_references(self.options.reference, len(texts))
        with self.cost.timed():
            self.attempts = Attempts(texts, self.options.on_error, first)
            resolver = self.resolves(self.model, self.batch_runner, self.options, self.attempts)
            resolved = resolver.resolve(texts, targets, answers=answers) if readout is None else resolver.later(texts)
        prepared = []
        for number, one in enumerate(resolved):
            item = None if one is None else self.attempts.of(number, self._prepared, number, one, granularity, readout)
            prepared += [] if item is None else [item]
        self.attempts.check()
        return prepared

    def _prepared(
        self, number: int, resolved: ResolvedText, granularity: Granularity, readout: Readout | None
    ) -> PreparedText:
        encoded, targets, logits = resolved
        readout = readout or readout_of(targets, self.options.score, self.model.head)
        intact = readout(logits[None])[0] if logits is not None else None
        divided = self._divided(encoded, granularity, number)
        if not divided.units:
            part = "" if self.options.units is None else f" in units={self.options.units!r}"
            raise InputError(
                f"the text has no unit{part} that could be removed: all of its tokens are special ones, such as "
                f"{self.model.tokenizer.mask_token or self.model.tokenizer.eos_token}, or in none of the spans."
            )
        removal = REFERENCE if isinstance(divided, ComponentText) else self.removal_name(readout)
        return PreparedText(divided, readout, removal, intact, number, logits)

    def _divided(self, encoded: Encoded, granularity: Granularity, number: int) -> DividedText:
        """The text in units: pieces of it, or components of the model."""
        options = self.options
        if options.over is None:
            return divide(encoded, granularity, options.units)
        references = as_texts(options.reference)
        reference = references[number if len(references) > 1 else 0]
        return component_text(self.model, encoded, options.over, reference, layer=options.layer, align=options.align)

    def each(
        self, prepared: Sequence[PreparedText], works: Sequence[Callable[[Question], T]], description: str
    ) -> list[T]:
        """Apply a function to the question of each text, with passes shared between texts.

        Args:
            prepared: the texts.
            works: one function for each text; these may run on threads, so they must not change shared state.
            description: the label of the progress bar.

        Returns:
            What each function returns, in order; None for a text that is skipped, see `Options.on_error`.

        Raises:
            UnsupportedError: a layer is explained, and the removal does not use features.
            ModelError: the model returned NaN or infinity, or a single row does not fit into memory.
        """

        def job(item: PreparedText, work: Callable[[Question], T], states: Any, ask: Ask) -> T:
            return cast(T, self.attempts.of(item.number, lambda: work(self.question(item, states, ask))))

        if not prepared:
            return []
        if self.layer is None:
            jobs = [partial(job, p, work, None) for p, work in zip(prepared, works, strict=True)]
            return self.run(jobs, description, max(len(p.encoded) for p in prepared))
        results: list[T] = []
        for start in range(0, len(prepared), TEXTS_AT_A_TIME):
            part = prepared[start : start + TEXTS_AT_A_TIME]
            several = zip(part, works[start : start + TEXTS_AT_A_TIME], self._states(self.layer, part), strict=True)
            results += self.run([partial(job, *one) for one in several], description, max(len(p.encoded) for p in part))
        return results

    def alone(self, prepared: PreparedText) -> Question:
        """Build the question about one text for use outside of `each`; its requests do not wait for other texts.

        Args:
            prepared: the text.

        Raises:
            UnsupportedError: a layer is explained, and the removal does not use features.
        """
        return self.question(prepared)

    def _states(self, layer: Layer, prepared: Sequence[PreparedText]) -> list[tuple[Tensor, Tensor]]:
        """The hidden states of each text, and those of the text with every unit removed."""
        states = layer.states(self.batch_runner, [p.encoded for p in prepared])
        return list(zip(states, self._emptied_states(layer, prepared), strict=True))

    def run(self, jobs: Sequence[Callable[[Ask], T]], description: str, longest: int) -> list[T]:
        """Run jobs that share passes; if only one fits at a time, they run on the calling thread.

        Args:
            jobs: functions of an `Ask`, through which each sends its requests.
            description: the label of the progress bar.
            longest: the number of tokens of the longest text.

        Returns:
            What each job returns, in order.

        Raises:
            ModelError: the model returned NaN or infinity, or a single row does not fit into memory.
        """
        budget = self.model.tokens_per_batch
        tokens, most = BATCHES_IN_FLIGHT * budget, MOST_IN_FLIGHT * max(1, min(16, budget // 1024))
        width = max(1, min(most, len(jobs), tokens // max(1, longest)))
        self.batch_runner.in_flight = width
        bar = tqdm(
            total=len(jobs), desc=description, unit="text", disable=not self.options.progress or None, leave=False
        )
        with bar, self.cost.timed():
            results = []
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
        """Build the question about one text.

        Args:
            prepared: the text.
            states: (t, d) each, if a layer is explained: the hidden states of the text, and those of the text with
                every unit removed; read from the model by default.
            ask: sends requests to the batch runner; in passes of their own by default.
        """
        slopes = None
        if isinstance(prepared.readout, LateReadout) or self._pointwise(prepared):
            prepared, slopes = self._with_slopes(prepared, ask)
        known: Any = {"ask": ask, "max_rows": self.options.max_rows, "intact": prepared.intact}
        if isinstance(prepared.encoded, ComponentText):
            return about_components(self.batch_runner, prepared.encoded, prepared.readout, **known)
        if self.layer is None:
            return about_text(
                self.batch_runner, prepared.encoded, prepared.readout, self.options.removal, **known, slopes=slopes
            )
        if states is None:
            states = self._states(self.layer, [prepared])[0]
        x, empty = (s.to(torch.promote_types(s.dtype, torch.float32)) for s in states)
        side = inside(self.model.side_of(self.layer.path), prepared.encoded)
        outside = (prepared.encoded.unit_of[side] < 0)[:, None].to(x.device)
        known_as = stand_in(self.model, prepared.removal)
        absent = Absence(f"{prepared.removal} at the input", "features", torch.where(outside, x, empty), known_as)
        place = (self.layer.injection, x, absent)
        return about_layer(self.batch_runner, prepared.encoded, prepared.readout, place, **known)

    def with_prediction(self, prepared: PreparedText, asked: PreparedText) -> PreparedText:
        """The text with the target that was found when an equal text was asked about, if any."""
        own = self.predicted.get(asked.number)
        return prepared if own is None else replace(own, encoded=prepared.encoded, number=prepared.number)

    def _pointwise(self, prepared: PreparedText) -> bool:
        """Whether the scores of a text are asked for together with their slopes, and not before."""
        embeddings = self.layer is None and prepared.removal not in ("drop", "attention")
        embeddings &= not isinstance(prepared.encoded, ComponentText)
        return self.pointwise and embeddings and prepared.intact is None and self.model.head in GENERATORS

    def _with_slopes(self, prepared: PreparedText, ask: Ask | None) -> tuple[PreparedText, Tensor]:
        """The text with its targets and their scores, and their slopes (k, t, d) at its embeddings."""
        readout = prepared.readout
        request = slopes_request(self.model, prepared.encoded, readout)
        output = self.batch_runner.run([request])[0] if ask is None else ask(request)
        if not isinstance(readout, LateReadout):
            return replace(prepared, intact=output.scores[0]), output.gradients[0]
        logits = output.logits[0].float().cpu()
        known = readout.known(logits)
        own = replace(prepared, readout=known, intact=known(logits[None])[0], logits=logits)
        self.predicted[prepared.number] = own
        return own, output.gradients[0]

    def removal_name(self, readout: Readout) -> str:
        """Name the removal for a text with these targets, as results record it.

        Args:
            readout: the targets.

        Returns:
            The name, never `"auto"`.

        Raises:
            InputError: the removal is unknown.
            UnsupportedError: `"drop"` for a tagger or an extracted answer, or `"attention"` for the latter.
        """
        name = removal_name(self.model, self.options.removal, bool(readout.positions) and not readout.gathers)
        if name == "attention" and readout.head == "span":
            raise UnsupportedError("removal='attention' hides the answer from a head that points at it; use 'mask'.")
        return name

    def _emptied_states(self, layer: Layer, prepared: Sequence[PreparedText]) -> list[Tensor]:
        """The hidden states of each text with every unit removed at the input."""
        requests = []
        for item in prepared:
            x = self.model.embed(item.encoded.ids, item.encoded.source)
            absent = absence(self.model, item.encoded, x, self.options.removal)
            if absent.mode != "features":
                raise UnsupportedError(
                    f"removal={absent.name!r} takes tokens away, which a layer cannot; use 'mask', 'mean' or 'zero'."
                )
            values = absent.baseline[None].to(self.model.dtype)
            emptied = replace(item.encoded, ids=absent.ids(item.encoded, (item.encoded.unit_of < 0)[None])[0])
            requests.append(
                ModelRequest(
                    torch.tensor([len(item.encoded)]),
                    whole_text(emptied, values),
                    injection=self.model.embeddings.injection,
                    read=layer.path,
                    stop=True,
                )
            )
        return [output.hidden[0] for output in self.batch_runner.run(requests)]


def session_of(model: Any, options: Options | None = None, *, pointwise: bool = False) -> Session:
    """Start a run of a model over texts: a `Session`, or for a `ServedModel` its own kind of run.

    Args:
        model: the model.
        options: the options of the run; the defaults of `Options` if None.
        pointwise: whether questions need only the scores and gradients at the unchanged text, see `Session`.

    Returns:
        The run.

    Raises:
        InputError: the model is neither a `TextModel` nor a `ServedModel`, or has no layer `options.layer`.
        UnsupportedError: a served model does not offer what the options ask for.

    Examples:
        >>> from interp_core.attribution import Options, session_of
        >>> from interp_core.testing import planted_model
        >>> session_of(planted_model({"happy": (3.0, -1.0)}), Options(progress=False)).cost.rows
        0
    """
    if not isinstance(model, WrappedModel) and isinstance(model, ServedModel):
        return cast(Session, model.session(options or Options()))
    return Session(model, options, pointwise=pointwise)
