"""Builds questions about a model: from the embeddings of a text, or from its hidden states at a layer."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.attribution._model_runner import Ask, ModelRunner
from interp_core.attribution._question import Question
from interp_core.attribution._removal import Absence, Removal, absence
from interp_core.model import GENERATORS, BatchRunner, Injection, Internals, Readout, Side
from interp_core.text import NO_UNIT, DividedText
from jaxtyping import Bool, Float, Int
from torch import Tensor


def about_text(
    batch_runner: BatchRunner,
    encoded: DividedText,
    readout: Readout,
    removal: Removal,
    *,
    ask: Ask | None = None,
    max_rows: int | None = None,
    intact: Float[Tensor, " k"] | None = None,
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
    """
    model = batch_runner.model
    x = model.embed(encoded.ids, encoded.source)
    absent = absence(model, encoded, x, removal, bool(readout.positions))
    return _question(
        batch_runner,
        encoded,
        readout,
        (model.embeddings.injection, x, absent),
        ask=ask,
        max_rows=max_rows,
        intact=intact,
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
    return Question(
        runner,
        x=x,
        baseline=absent.baseline,
        unit_of=owners,
        units=encoded.units,
        targets=readout.targets,
        text=encoded.text,
        applicable=_applicable(encoded, readout) & _with_features(owners, len(encoded.units)),
        # a shorter sequence is not a point in the space of features, so there is no gradient towards it
        offers=frozenset({"gradients"} if absent.mode == "features" else ()),
        removal=absent.name,
        notes=_notes(encoded),
        internals=Internals(batch_runner, encoded, readout, injection),
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
    first = [int((encoded.unit_of == u).nonzero()[0]) for u in range(len(encoded.units))]
    if readout.head not in GENERATORS:
        return torch.ones(len(readout.targets), len(first), dtype=torch.bool)
    rows = [[start < max(t.positions, default=len(encoded)) for start in first] for t in readout.targets]
    return torch.tensor(rows, dtype=torch.bool)


def _notes(encoded: DividedText) -> tuple[str, ...]:
    if not encoded.cut:
        return ()
    total = len(encoded) + encoded.cut
    return (f"The text was cut to {len(encoded)} of {total} tokens, the most that the model takes.",)
