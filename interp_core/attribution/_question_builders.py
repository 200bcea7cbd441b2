"""Questions about a model, built from the embeddings of a text or its hidden states at a layer, and their runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from interp_core.attribution._dropping import fixed_tokens, merge_note, shorter_rows, tokens_left
from interp_core.attribution._question import Question
from interp_core.attribution._removal import Absence, Removal, absence, removed
from interp_core.errors import UnsupportedError
from interp_core.model import (
    GENERATORS,
    BatchRunner,
    GeneratorRows,
    Injection,
    Internals,
    ModelOutput,
    ModelRequest,
    Readout,
    Side,
    TextRows,
    WrappedModel,
    pieces_of,
    text_rows,
)
from interp_core.text import NO_UNIT, DividedText, Encoded, groups_of
from jaxtyping import Bool, Float, Int
from torch import Tensor

GRADIENTS = 16_384  # tokens whose gradients are in memory, or as many as a batch has

Ask = Callable[[ModelRequest], ModelOutput]  # how a request reaches the batch runner
Insert = Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p t w"]]


@dataclass
class ModelRunner:
    """The runner of a question about one text and a model.

    Attributes:
        batch_runner: calls the model.
        encoded: the text.
        readout: maps logits to scores.
        injection: where the features enter the model.
        insert: maps features (p, f, d) to the values (p, t, w) that enter the model, of width w.
        x: (f, d) the features of the unchanged text.
        absent: what replaces a removed unit.
        owners: (f) the unit of each feature, -1 for a feature that is never removed.
        ask: sends a request to the batch runner, possibly in passes shared with other texts; if None, each request has
            passes of its own.
        reference: (t, w) the states that closed gates let through, where the features are gates.

    Examples:
        >>> from interp_core.attribution import Options, Session
        >>> from interp_core.testing import planted_model
        >>> session = Session(planted_model({"happy": (3.0, -1.0)}), Options(progress=False))
        >>> (prepared,) = session.prepare(["so happy"], 0, "word")
        >>> runner = session.alone(prepared).runner
        >>> type(runner).__name__, runner.x.shape  # [CLS] so happy [SEP], embeddings of width 2
        ('ModelRunner', torch.Size([4, 2]))
        >>> runner.masked(torch.tensor([[True, True], [True, False]]))
        tensor([[3.], [0.]])
    """

    batch_runner: BatchRunner
    encoded: Encoded
    readout: Readout
    injection: Injection
    insert: Insert
    x: Tensor
    absent: Absence
    owners: Tensor
    ask: Ask | None = None
    reference: Tensor | None = None

    def _output(self, request: ModelRequest) -> ModelOutput:
        return self.batch_runner.run([request])[0] if self.ask is None else self.ask(request)

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """Score p variants of the features; differentiable if `x` requires a gradient."""
        if x.requires_grad and torch.is_grad_enabled():
            return self._differentiable(x)
        return self._scores(len(x), lambda rows: self._rows_of(x[rows.to(x.device)]), injection=self.injection)

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        """Score p variants in which the units that are not kept are removed."""
        if self.absent.mode == "features":
            base, owners = self.absent.baseline, self.owners
            build = lambda rows: self._without(keep[rows], removed(keep[rows], self.x, base, owners))  # noqa: E731
            return self._scores(len(keep), build, injection=self.injection, stays=self._tokens_that_stay(keep))
        stays = self._stays(keep)
        if self.absent.mode == "attention":
            for side in (stays[:, : self.encoded.source], stays[:, self.encoded.source :]):
                side[:, :1] |= ~side.any(dim=1, keepdim=True)  # a model must see a token: the first one stays
            return self._scores(len(keep), lambda rows: self._rows_of(None, len(rows), attention=stays[rows]))
        left = tokens_left(self.encoded, self.readout, stays | fixed_tokens(self.encoded, self.readout, self.owners))
        pad_id = self.batch_runner.model.pad_id
        build = lambda rows: shorter_rows(self.encoded, self.readout, left[rows], pad_id)  # noqa: E731
        return self._scores(len(keep), build, left.sum(1))

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """Give the model's own decision for p variants, see `Question.decides`.

        Raises:
            TargetError: the head is a regression, which makes no decision.
        """
        return replace(self, readout=self.readout.deciding()).masked(keep).long()

    def moved(self, x: Float[Tensor, "f d"]) -> ModelRunner:
        """Make a runner for other features, with the same baseline.

        Raises:
            UnsupportedError: units are removed by `"drop"` or `"attention"`, which do not use features.
        """
        if self.absent.mode != "features":
            raise UnsupportedError(
                f"removal={self.absent.name!r} does not use features; choose 'mask', 'mean' or 'zero'."
            )
        return replace(self, x=x)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """Yield the gradients of all scores with respect to the features, one variant at a time."""
        tokens = max(self.batch_runner.budget, GRADIENTS // max(1, len(self.readout.targets)))
        most = tokens // max(1, len(self.encoded) * self.batch_runner.in_flight)
        for piece in pieces_of(len(x), most):  # so many are in memory, with those of all texts in flight
            yield from self._gradients_of(x[piece])

    def _gradients_of(self, x: Float[Tensor, "p f d"]) -> list[Tensor]:
        def build(rows: Tensor) -> TextRows:
            leaf = x[rows.to(x.device)].detach().clone().requires_grad_()
            variants = self._rows_of(leaf)
            variants.leaf = leaf
            return variants

        lengths = torch.full((len(x),), len(self.encoded))
        return self._output(ModelRequest(lengths, build, self.readout, self.injection, gradients=True)).gradients

    def _scores(
        self,
        count: int,
        build: Callable[[Tensor], TextRows],
        lengths: Tensor | None = None,
        injection: Injection | None = None,
        stays: Tensor | None = None,
    ) -> Tensor:
        if not count:
            return torch.zeros(0, len(self.readout.targets))
        lengths = torch.full((count,), len(self.encoded)) if lengths is None else lengths
        whole = partial(self._rows_of, self.x[None])
        request = ModelRequest(lengths, build, self.readout, injection, whole=whole, stays=stays)
        return torch.stack(self._output(request).scores)

    def _rows_of(self, x: Tensor | None, count: int = 0, attention: Tensor | None = None) -> TextRows:
        """A row for each variant of the features, or `count` rows of the text as it is."""
        values = None if x is None else self.insert(x)
        p = count if x is None else len(x)
        mask = torch.ones(p, len(self.encoded), dtype=torch.bool) if attention is None else attention
        variants = replace(text_rows(self.encoded, mask, values), reference=self.reference)
        if self.readout.gathers:
            return GeneratorRows(**vars(variants), positions=self.readout.positions)
        return variants

    def _stays(self, keep: Bool[Tensor, "p u"]) -> Bool[Tensor, "p f"]:
        return torch.cat([keep, keep.new_ones(len(keep), 1)], dim=1)[:, self.owners.cpu()]

    def _tokens_that_stay(self, keep: Bool[Tensor, "p u"]) -> Bool[Tensor, "p t"] | None:
        """Which tokens are as in the text, for a causal model where the features are their embeddings."""
        model = self.batch_runner.model
        causal = model.head == "causal" and self.injection is model.embeddings.injection
        return self._stays(keep).cpu() if causal and len(self.owners) == len(self.encoded) else None

    def _without(self, keep: Bool[Tensor, "p u"], x: Float[Tensor, "p f d"]) -> TextRows:
        """Rows with these features, in which the model does not read the ids of the units that are removed either."""
        rows = self._rows_of(x)
        if len(self.owners) == len(self.encoded):
            rows.ids = self.absent.ids(self.encoded, self._stays(keep).cpu())
        return rows

    def _differentiable(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """Scores with their graph, in passes of this text alone that keep to the token budget."""
        request = ModelRequest(torch.zeros(0, dtype=torch.long), self._rows_of, self.readout, self.injection)
        parts = [torch.zeros(0, len(self.readout.targets), device=x.device)]
        self.batch_runner.check_gradients()
        rows = self.batch_runner.rows_a_pass(len(self.encoded))
        for piece in pieces_of(len(x), max(1, rows // self.batch_runner.in_flight)):
            parts.append(self.readout(self.batch_runner.forward([self._rows_of(x[piece])], request).logits))
        return torch.cat(parts)


def about_text(
    batch_runner: BatchRunner,
    encoded: DividedText,
    readout: Readout,
    removal: Removal,
    *,
    ask: Ask | None = None,
    max_rows: int | None = None,
    intact: Float[Tensor, " k"] | None = None,
    slopes: Float[Tensor, "k f d"] | None = None,
) -> Question:
    """A question whose features are the token embeddings of a text (f = t).

    Args:
        batch_runner: calls the model.
        encoded: the text in units.
        readout: maps logits to the scores of the targets.
        removal: what replaces an absent unit.
        ask: sends requests to the batch runner; in passes of their own by default.
        max_rows: the maximum number of model rows.
        intact: (k) the scores of the unchanged text, if they are known.
        slopes: (k, f, d) the gradients at the unchanged text, if they are known.
    """
    model = batch_runner.model
    x = model.embed(encoded.ids, encoded.source)
    absent = absence(model, encoded, x, removal, bool(readout.positions) and not readout.gathers)
    return _question(
        batch_runner,
        encoded,
        readout,
        (model.embeddings.injection, x, absent),
        ask=ask,
        max_rows=max_rows,
        intact=intact,
        slopes=slopes,
        spread=model.embeddings.spread,
        background=model.embeddings.some,
    )


def about_layer(
    batch_runner: BatchRunner,
    encoded: DividedText,
    readout: Readout,
    layer: tuple[Injection, Tensor, Absence],
    *,
    ask: Ask | None = None,
    max_rows: int | None = None,
    intact: Float[Tensor, " k"] | None = None,
) -> Question:
    """A question whose features are the hidden states of a text at a layer (f = t).

    Args:
        batch_runner: calls the model.
        encoded: the text in units.
        readout: maps logits to the scores of the targets.
        layer: where the states enter, the states (t, d) of this text, and what replaces absent ones.
        ask: sends requests to the batch runner; in passes of their own by default.
        max_rows: the maximum number of model rows.
        intact: (k) the scores of the unchanged text, if they are known.
    """
    return _question(batch_runner, encoded, readout, layer, ask=ask, max_rows=max_rows, intact=intact)


def _question(
    batch_runner: BatchRunner,
    encoded: DividedText,
    readout: Readout,
    features: tuple[Injection, Tensor, Absence],
    *,
    ask: Ask | None,
    **more: Any,
) -> Question:
    injection, x, absent = features
    side = batch_runner.model.side_of(injection.path)
    owners = encoded.unit_of[inside(side, encoded)]
    runner = ModelRunner(batch_runner, encoded, readout, injection, lambda v: v, x, absent, owners, ask)
    applicable = _applicable(encoded, readout) & _with_features(owners, len(encoded.units))
    notes = _notes(encoded) + _ids_note(batch_runner.model, absent)
    if absent.mode == "drop":
        fixed = fixed_tokens(encoded, readout, encoded.unit_of)
        applicable &= ~torch.isin(torch.arange(len(encoded.units)), encoded.unit_of[fixed])
        notes += merge_note(batch_runner.model, encoded, fixed)
    return Question(
        runner,
        x=x,
        baseline=absent.baseline,
        unit_of=owners,
        units=encoded.units,
        targets=readout.targets,
        text=encoded.text,
        applicable=applicable,
        # a shorter sequence is not a point in the space of features, so there is no gradient towards it
        offers=frozenset({"gradients"} if absent.mode == "features" else ()),
        removal=absent.name,
        notes=notes,
        internals=Internals(batch_runner, encoded, readout, injection),
        groups=partial(groups_of, encoded),
        **more,
    )


def inside(side: Side, encoded: DividedText) -> slice:
    """The tokens that pass through a module on this side of the model."""
    if side == "both" or not encoded.source:
        return slice(None)
    return slice(encoded.source) if side == "source" else slice(encoded.source, None)


def _with_features(owners: Int[Tensor, " f"], units: int) -> Bool[Tensor, " u"]:
    return torch.bincount(owners[owners != NO_UNIT], minlength=units) > 0


def _applicable(encoded: DividedText, readout: Readout) -> Bool[Tensor, "k u"]:
    """Which units can matter to which targets: for a generated token, those that begin before it."""
    if readout.head not in GENERATORS:
        return torch.ones(len(readout.targets), len(encoded.units), dtype=torch.bool)
    inside = encoded.unit_of != NO_UNIT
    first = torch.full((len(encoded.units),), len(encoded))
    first.scatter_reduce_(0, encoded.unit_of[inside], inside.nonzero().flatten(), "amin")
    last = torch.tensor([max(t.positions, default=len(encoded)) for t in readout.targets])
    return first < last[:, None]


def _ids_note(model: WrappedModel, absent: Absence) -> tuple[str, ...]:
    if absent.stand_in is None:
        return ()
    token = model.tokenizer.convert_ids_to_tokens(absent.stand_in)
    return (
        "The model reads token ids below its embeddings too (per-layer embeddings). There a removed word is read as "
        f"{token!r}; gradients do not see that part, so that their sum may differ from the effect of removal.",
    )


def _notes(encoded: DividedText) -> tuple[str, ...]:
    if not encoded.cut:
        return ()
    total = len(encoded) + encoded.cut
    return (f"The text was cut to {len(encoded)} of {total} tokens, the most that the model takes.",)
