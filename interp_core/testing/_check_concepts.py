"""Checks of concept methods."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.plugin import Claim, Method
from interp_core.testing._check import Applies, Check
from interp_core.testing._planted_worlds import dictionary_world, on_disk
from torch import Tensor


def _fitted(instance: Any, activations: Activations) -> ConceptSpace:
    small = dataclasses.replace(instance, concepts=5) if hasattr(instance, "concepts") else instance
    return fit_concepts(activations, by=small)


def _world(method: Method, seed: int = 0, rows: int = 800) -> tuple[Activations, ConceptSpace]:
    return dictionary_world(seed, rows, nonnegative="nonnegative" in method.needs)


def space_has_its_shapes(method: Method, instance: Any) -> None:
    """Many rows, one row, rows that were never seen; each encoded by itself."""
    space = _fitted(instance, _world(method)[0])
    unseen = _world(method, seed=9, rows=50)[0].matrix()
    codes = space.encode(unseen)
    assert tuple(codes.shape) == (50, space.concepts), f"encoding 50 rows gave {tuple(codes.shape)}"
    alone = torch.cat([space.encode(row[None]) for row in unseen])
    worst = float((alone - codes).abs().max()) / max(1.0, float(codes.abs().max()))
    assert worst < 1e-6, f"rows encoded alone differ by {worst:.2g}; encode each row by itself"
    assert torch.equal(space.encode(unseen), codes), "encoding the same rows twice gave different codes"


def planted_dictionary_is_found(method: Method, instance: Any) -> None:
    """Each planted direction has a learnt one that points the same way."""
    activations, truth = _world(method)
    space = _fitted(instance, activations)
    cosine = (
        torch.nn.functional.normalize(truth.dictionary, dim=1)
        @ torch.nn.functional.normalize(space.dictionary, dim=1).T
    )
    found = float(cosine.abs().max(dim=1).values.mean())
    assert found > 0.9, f"the mean cosine with the planted directions is {found:.2f}"


def space_beats_the_mean(method: Method, instance: Any) -> None:
    """It reconstructs better than the mean row does."""
    activations, _ = _world(method)
    values = activations.matrix()
    rest = (_fitted(instance, activations)(values) - values).square().sum()
    assert float(rest) < float((values - values.mean(0)).square().sum()), "the reconstruction is worse than the mean"


def codes_can_be_differentiated(method: Method, instance: Any) -> None:
    """Slopes flow from the codes back to the activations, so that inputs can be asked what lights a concept."""
    activations, _ = _world(method)
    space = _fitted(instance, activations)
    rows = activations.matrix()[:64].clone().requires_grad_()
    space.encode(rows).square().sum().backward()
    assert rows.grad is not None and bool(torch.isfinite(rows.grad).all()), "a slope is missing, NaN or infinite"
    assert bool(rows.grad.any()), "every slope is zero; encode with torch operations and without no_grad"


def codes_are_nonnegative(method: Method, instance: Any) -> None:
    """As claimed."""
    activations, _ = _world(method)
    lowest = float(_fitted(instance, activations).encode(activations.matrix()).min())
    assert lowest >= 0, f"a code is {lowest}"


def space_survives_saving(method: Method, instance: Any) -> None:
    """Save, load, encode again: equal bits."""
    activations, _ = _world(method)
    space = _fitted(instance, activations)
    with tempfile.TemporaryDirectory() as folder:
        again = ConceptSpace.load(space.save(Path(folder) / "space.safetensors"))
    assert torch.equal(again.encode(activations.matrix()), space.encode(activations.matrix())), (
        "codes differ after loading"
    )
    assert torch.equal(again(activations.matrix()), space(activations.matrix())), "reconstructions differ after loading"
    assert again.names == space.names and again.notes == space.notes, "names or notes differ after loading"


def same_seed_same_space(method: Method, instance: Any) -> None:
    """Twice the same; the data and the global random state as they were."""
    activations, _ = _world(method)
    before, state = activations.matrix().clone(), torch.get_rng_state()
    one, two = _fitted(instance, activations), _fitted(instance, activations)
    assert torch.equal(one.dictionary, two.dictionary), "the same seed gave another dictionary"
    assert torch.equal(activations.matrix(), before), "the activations were changed"
    assert torch.equal(torch.get_rng_state(), state), "the global random state was used"


class _InParts(Activations):
    """Activations of which a batch is a small part, so that one batch does not say all."""

    @classmethod
    def of(cls, activations: Activations) -> _InParts:
        return cls(**{f.name: getattr(activations, f.name) for f in dataclasses.fields(activations)})

    def batches(self, rows: int = 100, *, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        return super().batches(rows, generator=generator)


def store_gives_the_same_space(method: Method, instance: Any) -> None:
    """Rows on disk, read in parts, teach what the same rows in memory teach."""
    activations, _ = _world(method)
    with tempfile.TemporaryDirectory() as folder:
        found = _fitted(instance, _InParts.of(on_disk(activations, Path(folder) / "store")))
    worst = float((found.dictionary - _fitted(instance, activations).dictionary).abs().max())
    assert worst < 1e-4, f"the dictionaries differ by {worst:.2g}"


def _of(claim: Claim | None = None) -> Applies:
    return lambda method: method.kind == "concepts" and (claim is None or claim in method.claims)


CHECKS = (
    Check("each row is encoded by itself", "encode (n, d) -> (n, c), row by row.", _of(), space_has_its_shapes),
    Check(
        "the planted dictionary is found",
        "Mean cosine above 0.9 on dictionary_world(), or drop the claim 'recovers'.",
        _of("recovers"),
        planted_dictionary_is_found,
    ),
    Check("it beats the mean", "Or drop the claim 'decodes'.", _of("decodes"), space_beats_the_mean),
    Check(
        "a store gives the same space",
        "Read rows by batches(), sample() or matrix(), never by .values.",
        _of(),
        store_gives_the_same_space,
    ),
    Check(
        "codes can be differentiated",
        "Encode with torch, and without no_grad.",
        _of(),
        codes_can_be_differentiated,
    ),
    Check(
        "codes are not negative",
        "Or drop the claim 'nonnegative'.",
        _of("nonnegative"),
        codes_are_nonnegative,
    ),
    Check(
        "it survives saving",
        "Tensors as buffers named like the constructor's arguments.",
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
