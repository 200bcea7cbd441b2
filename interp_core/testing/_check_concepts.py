"""Checks of concept methods."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.plugin import Claim, Method
from interp_core.testing._calls import CONCEPTS, observed, small_rows, with_other_parameters
from interp_core.testing._check import Applies, Check
from interp_core.testing._planted_worlds import dictionary_world, on_disk
from interp_core.testing._untidy_worlds import untidy_rows
from torch import Tensor


def _fitted(instance: Any, activations: Activations) -> ConceptSpace:
    small = dataclasses.replace(instance, concepts=5) if hasattr(instance, "concepts") else instance
    return fit_concepts(activations, by=small)


def _learnt(method: Method, instance: Any) -> ConceptSpace:
    """What a method learns from the planted world: learnt once for all checks, and a copy for each."""
    key = (type(instance), repr(instance))
    if key not in _known:
        _known.clear()
        _known[key] = _fitted(instance, _world(method)[0])
    return copy.deepcopy(_known[key])


_known: dict[tuple[type, str], ConceptSpace] = {}  # of the method that was checked last


def _world(method: Method, seed: int = 0, rows: int = 800) -> tuple[Activations, ConceptSpace]:
    return dictionary_world(seed, rows, nonnegative="nonnegative" in method.needs)


def space_has_its_shapes(method: Method, instance: Any) -> None:
    """Unseen rows are encoded, each by itself, and twice with the same codes."""
    space = _learnt(method, instance)
    unseen = _world(method, seed=9, rows=50)[0].matrix()
    codes = space.encode(unseen)
    assert tuple(codes.shape) == (50, space.concepts), f"encoding 50 rows gave {tuple(codes.shape)}"
    alone = torch.cat([space.encode(row[None]) for row in unseen])
    worst = float((alone - codes).abs().max()) / max(1.0, float(codes.abs().max()))
    assert worst < 1e-6, f"rows encoded alone differ by {worst:.2g}; encode each row by itself"
    assert torch.equal(space.encode(unseen), codes), "encoding the same rows twice gave different codes"


def planted_dictionary_is_found(method: Method, instance: Any) -> None:
    """Each planted direction has a learnt one with a high absolute cosine."""
    _, truth = _world(method)
    space = _learnt(method, instance)
    cosine = (
        torch.nn.functional.normalize(truth.dictionary, dim=1)
        @ torch.nn.functional.normalize(space.dictionary, dim=1).T
    )
    best = float(cosine.abs().max(dim=1).values.mean())
    assert best > 0.9, f"the mean cosine with the planted directions is {best:.2f}"


def space_beats_the_mean(method: Method, instance: Any) -> None:
    """The reconstruction has a smaller error than the mean row."""
    activations, _ = _world(method)
    values = activations.matrix()
    rest = (_learnt(method, instance)(values) - values).square().sum()
    assert float(rest) < float((values - values.mean(0)).square().sum()), "the reconstruction is worse than the mean"


def codes_can_be_differentiated(method: Method, instance: Any) -> None:
    """Gradients flow from the codes back to the activations, as attribution to concepts needs."""
    activations, _ = _world(method)
    space = _learnt(method, instance)
    rows = activations.matrix()[:64].clone().requires_grad_()
    space.encode(rows).square().sum().backward()
    assert rows.grad is not None and bool(torch.isfinite(rows.grad).all()), "a gradient is missing, NaN or infinite"
    assert bool(rows.grad.any()), "every gradient is zero; encode with torch operations and without no_grad"


def codes_are_nonnegative(method: Method, instance: Any) -> None:
    """No code is below 0."""
    activations, _ = _world(method)
    lowest = float(_learnt(method, instance).encode(activations.matrix()).min())
    assert lowest >= 0, f"a code is {lowest}"


def space_survives_saving(method: Method, instance: Any) -> None:
    """A space that was saved and loaded gives bitwise equal codes and reconstructions, also of other parameters."""
    _survives_saving(_learnt(method, instance), _world(method)[0].matrix(), instance)
    moved, space = with_other_parameters(method, instance)
    if isinstance(space, ConceptSpace):
        _survives_saving(space, small_rows(method).matrix(), moved)


def _survives_saving(space: ConceptSpace, rows: Tensor, learnt_by: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loaded = ConceptSpace.load(space.save(Path(folder) / "space.safetensors"))
    assert torch.equal(loaded.encode(rows), space.encode(rows)), f"codes differ after loading ({learnt_by})"
    assert torch.equal(loaded(rows), space(rows)), f"reconstructions differ after loading ({learnt_by})"
    assert loaded.names == space.names and loaded.notes == space.notes, "names or notes differ after loading"
    assert _plain(loaded) == _plain(space), f"after loading it has {_plain(loaded)} in place of {_plain(space)}"


def _plain(space: ConceptSpace) -> dict[str, Any]:
    """What a space holds that is neither a tensor nor known to all spaces."""
    plain = (bool, int, float, str, type(None), tuple, list)
    every = {*vars(ConceptSpace(torch.zeros(1, 1)))}
    return {name: value for name, value in vars(space).items() if name not in every and isinstance(value, plain)}


def same_seed_same_space(method: Method, instance: Any) -> None:
    """The same seed gives the same dictionary."""
    one, two = _small(method, instance), observed(method, instance).result
    assert torch.equal(one.dictionary, two.dictionary), "the same seed gave another dictionary"


def _small(method: Method, instance: Any) -> ConceptSpace:
    """What a method learns from few and untidy rows; it is the space that `observed` has learnt once more."""
    small = dataclasses.replace(instance, concepts=CONCEPTS) if hasattr(instance, "concepts") else instance
    return fit_concepts(small_rows(method), by=small)


def number_is_as_asked(method: Method, instance: Any) -> None:
    """It learns as many concepts as it is asked for, and each has a name."""
    for space, asked in ((_learnt(method, instance), 5), (observed(method, instance).result, CONCEPTS)):
        expected = asked if hasattr(instance, "concepts") else space.concepts
        assert space.concepts == expected, f"{asked} concepts were asked for, and {space.concepts} were learnt"
        assert len(space.names) == space.concepts, f"{space.concepts} concepts have {len(space.names)} names"


def untidy_rows_are_encoded(method: Method, instance: Any) -> None:
    """Rows as those of a transformer have finite codes and reconstructions, each row by itself."""
    space, rows = observed(method, instance).result, small_rows(method).matrix()
    codes = space.encode(rows)
    assert bool(torch.isfinite(codes).all() and torch.isfinite(space(rows)).all()), "a code or row is not finite"
    worst = float((space.encode(rows[7:8]) - codes[7:8]).abs().max()) / max(1.0, float(codes.abs().max()))
    assert worst < 1e-4, f"a row encoded alone differs by {worst:.2g}; encode each row by itself"


def other_rows_give_another_space(method: Method, instance: Any) -> None:
    """What is learnt depends on the activations."""
    one, other = _learnt(method, instance).dictionary, observed(method, instance).result.dictionary
    same = [i for i, (row, also) in enumerate(zip(one, other, strict=False)) if torch.equal(row, also) and row.any()]
    assert not same, f"other activations gave the same direction to concept {same[0]}"


def directions_lead_to_their_class(method: Method, instance: Any) -> None:
    """A step along the direction of a class, as long as the classes are apart, leads at least a tenth of the way."""
    activations, planted = untidy_rows(rows=120)
    space = observed(method, instance).result
    if space.concepts != len(planted):
        return
    rows, labels = activations.matrix(), activations.labels
    assert labels is not None
    for c, way in enumerate(planted):
        apart = rows[labels == c].mean(0) - rows[labels != c].mean(0)
        step = torch.nn.functional.normalize(space.dictionary[c], dim=0) * apart.norm()
        share = float(step @ way / (apart @ way))
        assert share > 0.1, (
            f"a step of {float(apart.norm()):.2g} along the direction of class {c} leads {share:.1%} of the way to it"
        )


def encoding_leaves_the_rows(method: Method, instance: Any) -> None:
    """Rows and codes are not changed by encoding and decoding them."""
    space, rows = _learnt(method, instance), _world(method, seed=9, rows=50)[0].matrix()
    given = rows.clone()
    codes = space.encode(given)
    kept = codes.clone()
    space.decode(codes)
    assert torch.equal(given, rows), "encode wrote into the rows that it was only lent"
    assert torch.equal(codes, kept), "decode wrote into the codes that it was only lent"


class _SmallBatches(Activations):
    """Activations that are read in small batches, so that a method must read several."""

    @classmethod
    def of(cls, activations: Activations) -> _SmallBatches:
        return cls(**{f.name: getattr(activations, f.name) for f in dataclasses.fields(activations)})

    def batches(self, rows: int = 100, *, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        return super().batches(rows, generator=generator)


def store_gives_the_same_space(method: Method, instance: Any) -> None:
    """A store on disk, read in small batches, gives the same dictionary as activations in memory."""
    activations, _ = _world(method)
    with tempfile.TemporaryDirectory() as folder:
        space = _fitted(instance, _SmallBatches.of(on_disk(activations, Path(folder) / "store")))
    worst = float((space.dictionary - _learnt(method, instance).dictionary).abs().max())
    assert worst < 1e-4, f"the dictionaries differ by {worst:.2g}"


def _of(claim: Claim | None = None) -> Applies:
    return lambda method: method.kind == "concepts" and (claim is None or claim in method.claims)


CHECKS = (
    Check("each row is encoded by itself", "Encode (n, d) -> (n, c), each row by itself.", _of(), space_has_its_shapes),
    Check(
        "the planted dictionary is found",
        "Reach a mean cosine above 0.9 on dictionary_world(), or drop the claim 'recovers'.",
        _of("recovers"),
        planted_dictionary_is_found,
    ),
    Check(
        "it beats the mean", "Reconstruct better, or drop the claim 'decodes'.", _of("decodes"), space_beats_the_mean
    ),
    Check(
        "a store gives the same space",
        "Read rows by batches(), sample() or matrix(), never by .values.",
        _of(),
        store_gives_the_same_space,
    ),
    Check(
        "it learns as many concepts as asked for",
        "Use the field `concepts` as it is; give each concept a name, or leave the names alone.",
        _of(),
        number_is_as_asked,
    ),
    Check(
        "untidy rows are encoded",
        "Do not divide a dimension by its own spread, and encode each row by itself.",
        _of(),
        untidy_rows_are_encoded,
    ),
    Check(
        "other activations give another space",
        "Learn from the activations.",
        lambda method: _of()(method) and bool(method.needs & {"labels"} or method.claims & {"recovers", "seeded"}),
        other_rows_give_another_space,
    ),
    Check(
        "a direction leads to its class",
        "Scale all dimensions by one number, not each by its own spread; use the labels.",
        lambda method: _of()(method) and "labels" in method.needs,
        directions_lead_to_their_class,
    ),
    Check(
        "encoding leaves the rows as they were",
        "Encode and decode without in-place operations on the argument.",
        _of(),
        encoding_leaves_the_rows,
    ),
    Check(
        "codes can be differentiated",
        "Encode with torch, and without no_grad.",
        _of(),
        codes_can_be_differentiated,
    ),
    Check(
        "codes are not negative",
        "Encode to codes of at least 0, or drop the claim 'nonnegative'.",
        _of("nonnegative"),
        codes_are_nonnegative,
    ),
    Check(
        "it survives saving",
        "Register tensors as buffers named like the constructor's arguments; return its other arguments from config().",
        _of(),
        space_survives_saving,
    ),
    Check(
        "the same seed gives the same space",
        "Draw from a generator seeded by `seed`.",
        _of(),
        same_seed_same_space,
    ),
)
