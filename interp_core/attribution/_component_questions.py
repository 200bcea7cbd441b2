"""Questions about the components of a model, whose features are gates between a component and its reference."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from interp_core.attribution._component_text import ComponentText, positions_sites
from interp_core.attribution._question import Question
from interp_core.attribution._question_builders import Ask, ModelRunner
from interp_core.attribution._removal import Absence
from interp_core.model import (
    GENERATORS,
    BatchRunner,
    GatesInjection,
    GeneratorRows,
    Readout,
    WrappedModel,
    check_all_closed,
    layer_site,
    read_sites,
    sites_of,
    text_rows,
)
from jaxtyping import Bool, Float
from torch import Tensor

REFERENCE = "reference"  # how results name the removal


@dataclass(frozen=True)
class Components:
    """The components of a model, given to methods that need `"components"` as `question.components`.

    Attributes:
        batch_runner: calls the model.
        encoded: the text with its components.
        readout: maps logits to the scores of the targets.
        injection: where the gates enter the model; its `sites` name the components.
        reference: (t, w) the states of all sites in the reference run, side by side.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> class Sites:
        ...     def attribute(self, question):
        ...         question.note(", ".join(site.path for site in question.components.injection.sites))
        ...         return torch.ones(len(question.targets), len(question.units))
        >>> about = {"over": "mlps", "reference": "so sad", "progress": False}
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # the note is a warning too
        ...     (one,) = interp.attribute(tiny_classifier(), "so happy", by=Sites(), **about)
        >>> one.notes[0]
        'bert.encoder.layer.0, bert.encoder.layer.0.output.dense, bert.encoder.layer.1.output.dense'
    """

    batch_runner: BatchRunner
    encoded: ComponentText
    readout: Readout
    injection: GatesInjection
    reference: Float[Tensor, "t w"]


@dataclass(frozen=True)
class _Insert:
    """Maps gates (p, f, 1) to one for each token and channel (p, t, c).

    Gates stay between 0 and 1: what noise puts beyond is moved to the border, where the slope is that at the border.
    """

    encoded: ComponentText
    channels: int

    def __call__(self, gates: Float[Tensor, "p f 1"]) -> Float[Tensor, "p t c"]:
        p, t = len(gates), len(self.encoded)
        bounded = gates + (gates.clamp(0, 1) - gates).detach()
        if self.encoded.over == "positions":
            each = bounded.reshape(p, t, 1)
        elif self.encoded.over == "heads-by-position":
            each = bounded.reshape(p, self.channels, t).transpose(1, 2)
        else:
            each = bounded.reshape(p, 1, self.channels).expand(p, t, self.channels)
        free = self.encoded.free
        return each.masked_fill(free.to(each.device)[:, None], 1.0) if bool(free.any()) else each


def about_components(
    batch_runner: BatchRunner,
    encoded: ComponentText,
    readout: Readout,
    *,
    ask: Ask | None = None,
    max_rows: int | None = None,
    intact: Float[Tensor, " k"] | None = None,
) -> Question:
    """Build a question whose features are gates (f, 1), one for each component: 1 for the text, 0 for the reference.

    Args:
        batch_runner: calls the model.
        encoded: the text with its components.
        readout: maps logits to the scores of the targets.
        ask: sends requests to the batch runner; by default each request has passes of its own.
        max_rows: the maximum number of model rows.
        intact: (k) the scores of the unchanged text, if they are known.

    Returns:
        The question.

    Raises:
        InputError: the units are concepts of a space that was not saved.
        UnsupportedError: with all gates closed, the model does not give the scores of the reference.
        LayerError: a component has no state for each token.

    Examples:
        >>> from interp_core.attribution import about_components
        >>> from interp_core.model import BatchRunner
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> about = {"over": "heads", "reference": "so sad", "progress": False}
        >>> (one,) = interp.attribute(model, "so happy", by="shapley", **about)
        >>> from interp_core.model import readout_of
        >>> question = about_components(BatchRunner(model), one.encoded, readout_of(one.targets, "logit", model.head))
        >>> len(question.units), question.x.shape
        (5, torch.Size([5, 1]))
    """
    encoded.check()
    model, count = batch_runner.model, len(encoded.units)
    injection = gates_of(model, encoded)
    channels = max(one.stop for one in injection.channels)
    reference = _reference(batch_runner, encoded, readout, injection)
    x = torch.ones(count, 1, device=model.device)
    absent = Absence(REFERENCE, "features", torch.zeros_like(x))
    runner = ModelRunner(
        batch_runner,
        encoded,
        readout,
        injection,
        _Insert(encoded, channels),
        x,
        absent,
        torch.arange(count),
        ask,
        reference,
    )
    return Question(
        runner,
        x=x,
        baseline=absent.baseline,
        unit_of=torch.arange(count),
        units=encoded.units,
        targets=readout.targets,
        text=encoded.text,
        applicable=_applicable(encoded, readout),
        offers=frozenset({"gradients", "components"}),
        removal=REFERENCE,
        notes=_notes(encoded),
        components=Components(batch_runner, encoded, readout, injection, reference),
        max_rows=max_rows,
        intact=intact,
    )


def gates_of(model: WrappedModel, encoded: ComponentText) -> GatesInjection:
    """Where the gates enter; the same for all texts, so that these share passes."""
    key = ("gates", encoded.over, encoded.layer)
    tried: dict[Any, Any] = model.tried
    made, space = tried.get(key, (None, None))
    if made is None or space is not encoded.space:  # of spaces at a layer, the last one is kept
        made = _gates(model, encoded)
        if not encoded.layer:  # at one layer, what goes on beside it is not closed, and need not be
            check_all_closed(model, made)
        tried[key] = (made, encoded.space)
    injection: GatesInjection = made
    return injection


def _gates(model: WrappedModel, encoded: ComponentText) -> GatesInjection:
    path = model.embeddings.paths[0]
    if encoded.over == "positions":
        sites = positions_sites(model, encoded.layer)
        return GatesInjection(model.model, path, sites, (slice(0, 1),) * len(sites), model.layout)
    if encoded.over == "concepts":
        names = tuple(unit.text for unit in encoded.units)
        site = layer_site(model, encoded.layer, names)
        mixes = ((0, _MixOfConcepts(copy.deepcopy(encoded.space).to(model.device).float())),)
        return GatesInjection(model.model, path, (site,), (slice(0, len(names)),), model.layout, mixes)
    sites = sites_of(model, encoded.over.removesuffix("-by-position"))
    stops = list(accumulate(len(site.names) for site in sites))
    channels = tuple(slice(stop - len(site.names), stop) for site, stop in zip(sites, stops, strict=True))
    return GatesInjection(model.model, path, sites, channels, model.layout)


@dataclass(frozen=True, eq=False)
class _MixOfConcepts:
    """Gates on the codes of concepts; the last one is on what the space does not explain."""

    space: Any

    def __call__(self, gates: Tensor, live: Tensor, reference: Tensor) -> Tensor:
        reference = reference.float().expand(live.shape)
        p, t, d = live.shape
        codes, others = (self.space.encode(states.float().reshape(p * t, d)) for states in (live, reference))
        rest, others_rest = live.float() - self._decoded(codes, live), reference - self._decoded(others, live)
        mixed = torch.lerp(others, codes, gates[..., :-1].reshape(p * t, -1).float())
        whole = self._decoded(mixed, live) + torch.lerp(others_rest, rest, gates[..., -1:].float())
        closed = (gates == 0).all(-1, keepdim=True)
        opened = (gates == 1).all(-1, keepdim=True)
        return torch.where(opened, live.float(), torch.where(closed, reference, whole)).to(live.dtype)

    def _decoded(self, codes: Tensor, like: Tensor) -> Tensor:
        decoded: Tensor = self.space.decode(codes)
        return decoded.reshape(like.shape)


def _reference(
    batch_runner: BatchRunner, encoded: ComponentText, readout: Readout, injection: GatesInjection
) -> Float[Tensor, "t w"]:
    """The states of all sites in the reference run, side by side, at the tokens of the text."""
    if encoded.reference == "zero" and encoded.other is None:
        return torch.zeros(len(encoded), injection.width, device=batch_runner.model.device)
    whole = encoded if encoded.other is None else encoded.other
    rows = text_rows(whole, torch.ones(1, len(whole), dtype=torch.bool))
    if readout.gathers:
        rows = GeneratorRows(**vars(rows), positions=(len(whole) - 1,))
    states = read_sites(batch_runner, rows, injection)
    if encoded.other is None:
        sides = [slice(None)] if not encoded.source else [slice(encoded.source), slice(encoded.source, None)]
        return torch.cat([states[side].mean(0, keepdim=True).expand_as(states[side]) for side in sides])
    partner = encoded.partner if encoded.partner is not None else torch.arange(len(encoded))
    return states[partner.clamp(min=0).to(states.device)]


def _applicable(encoded: ComponentText, readout: Readout) -> Bool[Tensor, "k u"]:
    """Which components can matter to which targets: positions only where they come before the token."""
    every = torch.ones(len(readout.targets), len(encoded.units), dtype=torch.bool)
    if encoded.over not in ("positions", "heads-by-position") or readout.head not in GENERATORS:
        return every
    t = len(encoded)
    last = torch.tensor([max(target.positions, default=t) for target in readout.targets])
    before = torch.arange(t) < last[:, None]
    return before.repeat(1, len(encoded.units) // t)


def _notes(encoded: ComponentText) -> tuple[str, ...]:
    other, free = encoded.other, int(encoded.free.sum())
    if other is not None and torch.equal(other.ids, encoded.ids):
        return ("The reference is the text itself, so that a closed gate changes nothing.",)
    if not free:
        return ()
    return (
        f"The reference has another length: {free} of {len(encoded)} tokens have no counterpart in it and stay as they "
        "are, so that with every gate closed the run is not quite that of the reference.",
    )
