"""The three ways to build a question about a model: from a text, from a hidden layer, from the concepts of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from interp_core.evaluate import Evaluator
from interp_core.heads import GENERATORS
from interp_core.internals import Internals
from interp_core.question import Question
from interp_core.removal import Absence, Removal, absence
from interp_core.rows import Answer, Entry, Request, Side
from interp_core.runner import ModelRunner
from interp_core.targets import Readout
from interp_core.text import NO_UNIT, Encoded, Unit
from jaxtyping import Bool, Float, Int
from torch import Tensor

Insert = Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p t w"]]


def about_text(
    evaluator: Evaluator,
    encoded: Encoded,
    readout: Readout,
    removal: Removal,
    ask: Callable[[Request], Answer] | None = None,
) -> Question:
    """A question whose features are the token embeddings of a text (f = t)."""
    model = evaluator.model
    x = model.embed(encoded.ids, encoded.source)
    absent = absence(model, encoded, x, removal, bool(readout.positions))
    question = _question(evaluator, encoded, readout, (model.embeddings.entry, x, absent), ask)
    question.spread, question.background = model.embeddings.spread, model.embeddings.some
    return question


def about_layer(
    evaluator: Evaluator,
    encoded: Encoded,
    readout: Readout,
    layer: tuple[Entry, Tensor, Absence],
    ask: Callable[[Request], Answer] | None = None,
) -> Question:
    """A question whose features are the hidden states of a text at a layer (f = t).

    Args:
        evaluator: where the model is called.
        encoded: the text in units.
        readout: the targets.
        layer: where the states enter, what they are for this text (t, d), and what stands for absent ones.
        ask: how requests reach the evaluator.
    """
    return _question(evaluator, encoded, readout, layer, ask)


def about_concepts(
    evaluator: Evaluator,
    encoded: Encoded,
    readout: Readout,
    concepts: ConceptInput,
    ask: Callable[[Request], Answer] | None = None,
) -> Question:
    """A question whose features are the concepts of a text: x is (c, r), what each concept is worth in each of r rows.

    The score is that of `context + decode(codes) - decode(codes of the text)`: what the concepts do not explain stays
    as it is, so importance measures concepts and not reconstruction error. An absent concept is 0.
    """
    codes = concepts.codes
    units = _named_units(concepts.names)
    absent = Absence("zero", "features", torch.zeros_like(codes))
    runner = ModelRunner(
        evaluator,
        encoded,
        readout,
        concepts.entry,
        concepts.insert,
        codes,
        absent,
        torch.arange(len(codes)),
        _asker(evaluator, ask),
    )
    question = Question(runner, codes, absent.baseline, runner.owners, units, readout.targets)
    question.text = encoded.text
    question.removal = "zero"
    question.internals = Internals(evaluator, encoded, readout, concepts.entry)
    return question


@dataclass(frozen=True, eq=False)
class ConceptInput:
    """The concepts of one text, ready to be put back into the model.

    Attributes:
        entry: where the hidden states enter.
        codes: (c, r) the activation of each concept in each row of the text.
        context: (t, d) the hidden states of the text.
        row_of: (t) which row each token takes part in, -1 for none.
        decode: from codes (n, c) to activations (n, d).
        names: the names of the concepts.
    """

    entry: Entry
    codes: Float[Tensor, "c r"]
    context: Float[Tensor, "t d"]
    row_of: Tensor
    decode: Callable[[Tensor], Tensor]
    names: Sequence[str]

    def insert(self, codes: Float[Tensor, "p c r"]) -> Float[Tensor, "p t d"]:
        """The hidden states with the concepts at these values."""
        p, c, r = codes.shape
        change = self.decode(codes.transpose(1, 2).reshape(p * r, c)) - self.decode(self.codes.T).repeat(p, 1)
        moved = torch.cat([change.reshape(p, r, change.shape[1]), change.new_zeros(p, 1, change.shape[1])], dim=1)
        return self.context + moved[:, self.row_of.to(moved.device)]


def _question(
    evaluator: Evaluator,
    encoded: Encoded,
    readout: Readout,
    features: tuple[Entry, Tensor, Absence],
    ask: Callable[[Request], Answer] | None,
) -> Question:
    entry, x, absent = features
    assert encoded.unit_of is not None
    side = evaluator.model.side_of(entry.path)
    owners = encoded.unit_of[inside(side, encoded)]
    runner = ModelRunner(
        evaluator,
        encoded,
        readout,
        entry,
        lambda v: v,
        x,
        absent,
        owners,
        _asker(evaluator, ask),
    )
    question = Question(runner, x, absent.baseline, owners, encoded.units, readout.targets)
    question.text, question.removal = encoded.text, absent.name
    question.internals = Internals(evaluator, encoded, readout, entry)
    question.applicable = _applicable(encoded, readout) & _with_features(owners, len(encoded.units))
    if absent.mode != "features":  # taking tokens away is no point in the space of features, so no path leads there
        question.offers = frozenset()
    question.notes = _notes(encoded)
    return question


def _asker(evaluator: Evaluator, ask: Callable[[Request], Answer] | None) -> Callable[[Request], Answer]:
    return ask if ask is not None else lambda request: evaluator.run([request])[0]


def inside(side: Side, encoded: Encoded) -> slice:
    """The tokens that pass through one of two stacks."""
    if side == "both" or not encoded.source:
        return slice(None)
    return slice(encoded.source) if side == "source" else slice(encoded.source, None)


def _with_features(owners: Int[Tensor, " f"], units: int) -> Bool[Tensor, " u"]:
    return torch.bincount(owners[owners != NO_UNIT], minlength=units) > 0


def _applicable(encoded: Encoded, readout: Readout) -> Bool[Tensor, "k u"]:
    """A unit matters to a token that is generated only if one of its own tokens comes before it."""
    assert encoded.unit_of is not None
    first = [int((encoded.unit_of == u).nonzero()[0]) for u in range(len(encoded.units))]
    if readout.head not in GENERATORS:
        return torch.ones(len(readout.targets), len(first), dtype=torch.bool)
    rows = [[start < max(t.positions, default=len(encoded)) for start in first] for t in readout.targets]
    return torch.tensor(rows, dtype=torch.bool)


def _notes(encoded: Encoded) -> tuple[str, ...]:
    if not encoded.cut:
        return ()
    total = len(encoded) + encoded.cut
    return (f"The text was cut to {len(encoded)} of {total} tokens, all that the model takes; the rest was not seen.",)


def _named_units(names: Sequence[str]) -> list[Unit]:
    starts = accumulate((len(name) + 1 for name in names), initial=0)
    return [Unit(name, start, start + len(name)) for name, start in zip(names, starts, strict=False)]
