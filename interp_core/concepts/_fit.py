"""The verb `fit_concepts`: concepts learnt from activations."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError, ModelError, UnsupportedError
from interp_core.plugin import declaration_of, resolve
from interp_core.results import Cost, made_by


def fit_concepts(activations: Activations, *, by: Any, **parameters: Any) -> ConceptSpace:
    """Learn concepts from activations.

    Args:
        activations: what `split.activations` gave.
        by: the name of a method of kind `concepts`, or an instance.
        **parameters: parameters of the method when `by` is a name, such as `concepts=20`.

    Returns:
        The space: frozen, float32, on the CPU, with its provenance.

    Raises:
        InputError: more concepts than rows, or parameters the method does not have.
        UnsupportedError: the method needs what the activations do not offer (non-negative values, labels).
    """
    method = resolve(by, "concepts", parameters, fit_concepts)
    _check(method, activations)
    cost = Cost()
    with cost.timed():
        space = method.fit(activations)
    if not isinstance(space, ConceptSpace):
        raise ModelError(f"{type(method).__name__}.fit gave {type(space).__name__}; a ConceptSpace was expected.")
    space = space.to("cpu").requires_grad_(False).eval()
    if space.width != activations.width or not torch.isfinite(space.dictionary).all():
        raise ModelError(
            f"{type(method).__name__} gave a dictionary {tuple(space.dictionary.shape)} "
            "that is not finite or of another width."
        )
    model = activations.made_by.model
    settings = {"rows": len(activations), "granularity": activations.granularity, "layer": activations.layer}
    space.made_by = made_by(method, cost, model, settings)
    space.layer = activations.layer
    return space


def _check(method: Any, activations: Activations) -> None:
    if not isinstance(activations, Activations):
        raise InputError(
            f"concepts are learnt from Activations; {type(activations).__name__} was given. Make some of rows from "
            "elsewhere with interp_core.activations.of_rows(rows)."
        )
    declared = declaration_of(method)
    needs = declared.needs if declared else frozenset()
    name = declared.name if declared else type(method).__name__
    rows = len(activations)
    wanted = getattr(method, "concepts", 0)
    if isinstance(wanted, bool | float):
        raise InputError(f"{name} was asked for {wanted} concepts; a whole number was expected.")
    if isinstance(wanted, int) and wanted > rows:
        raise InputError(
            f"{name} was asked for {wanted} concepts of {rows} rows; ask for at most {rows}, or give more texts."
        )
    if isinstance(wanted, int) and hasattr(method, "concepts") and wanted < 1:
        raise InputError(f"{name} was asked for {wanted} concepts; at least 1 is needed.")
    ends = torch.stack([torch.stack(part.aminmax()) for part in activations.batches()])  # NaN where one is
    if not torch.isfinite(ends).all():
        raise InputError(f"{activations.layer!r} holds NaN or infinity; there is nothing to learn from such rows.")
    lowest = float(ends[:, 0].min())
    if "nonnegative" in needs and lowest < 0:
        raise UnsupportedError(
            f"{name} needs non-negative activations; {activations.layer!r} goes down to {lowest:.3g}. "
            "Split after an activation function, or use semi-nmf."
        )
    if "labels" in needs and activations.labels is None:
        raise UnsupportedError(f"{name} needs labels; make the activations with split.activations(…, labels=…).")
