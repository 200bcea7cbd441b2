"""The verb `fit_concepts`, which learns concepts from activations."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from interp_core.activations import Activations, names_of
from interp_core.concepts._compatibility import check_rows
from interp_core.concepts._space import ConceptSpace
from interp_core.display import progress_shown
from interp_core.errors import InputError, InterpWarning, ModelError, UnsupportedError
from interp_core.plugin import declaration_of, methods, named_options, resolve
from interp_core.results import Cost, lent, made_by

SAMPLE = 4096  # rows on which the reconstruction is looked at


@named_options
def fit_concepts(activations: Activations, *, by: Any, progress: bool = True, **parameters: Any) -> ConceptSpace:
    """Learn a concept space from activations.

    Args:
        activations: n rows of width d, from `split.activations(texts)` or `interp_core.activations.of_rows(rows)`.
        by: a method of kind `concepts`, by name or as an instance.
        progress: show progress bars in terminals and notebooks.
        **parameters: parameters of the method if `by` is a name, such as `concepts=20`.

    Returns:
        The concept space, in evaluation mode, on the CPU, without gradients, and with its provenance.

    Raises:
        InputError: there are no rows, the method is asked for fewer than one concept or for more concepts than rows, it
            does not have one of the parameters, or the activations contain NaN or infinity.
        UnsupportedError: the method needs labels or non-negative values, and the activations do not have them.
        UnknownMethodError: no installed package declares a method of this name.
        ModelError: the method does not return a space of the width of the activations, or modified them.

    Examples:
        The rows are mixtures of five planted directions, which independent component analysis recovers. A matching
        score of 1 means that each planted code is found.

        >>> from interp_core.testing import dictionary_world
        >>> activations, planted = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="ica", concepts=5)
        >>> space.dictionary.shape
        torch.Size([5, 12])
        >>> interp.measure(space, activations, planted, by="planted-mcc").value > 0.99
        True
    """
    method = resolve(by, "concepts", parameters, fit_concepts)
    _check(method, activations)
    cost = Cost()
    with progress_shown(progress), lent(method, activations) as (rows,), cost.timed():
        space = method.fit(rows)
    if not isinstance(space, ConceptSpace):
        raise ModelError(f"{type(method).__name__}.fit returned {type(space).__name__}; a ConceptSpace was expected.")
    space = space.to("cpu").requires_grad_(False).eval()
    if space.width != activations.width or not torch.isfinite(space.dictionary).all():
        raise ModelError(
            f"{type(method).__name__} gave a dictionary of shape {tuple(space.dictionary.shape)}; finite directions of "
            f"width {activations.width} were expected."
        )
    model = activations.made_by.model
    settings = {"rows": len(activations), "granularity": activations.granularity, "layer": activations.layer}
    space.made_by = made_by(method, cost, model, settings)
    space.layer = activations.layer
    notes = _absent_note(method, activations) + _reconstruction_note(method, space, activations)
    for note in notes:
        warnings.warn(note, InterpWarning, stacklevel=3)
    space.notes += notes
    return space


def _absent_note(method: Any, activations: Activations) -> tuple[str, ...]:
    """A note if a method that learns from labels is given classes that no row has."""
    declared = declaration_of(method)
    if declared is None or "labels" not in declared.needs:
        return ()
    having = activations.membership("labels").any(0).tolist()
    absent = [name for name, some in zip(names_of(activations, len(having)), having, strict=True) if not some]
    if not absent:
        return ()
    return (f"No row has the label {' or '.join(map(repr, absent))}, so that no concept stands for it.",)


def _reconstruction_note(method: Any, space: ConceptSpace, activations: Activations) -> tuple[str, ...]:
    """A note if a space that promises to decode reconstructs its own rows worse than their mean does."""
    declared = declaration_of(method)
    if declared is not None and "decodes" not in declared.claims:
        return ()
    rows = activations.sample(SAMPLE, torch.Generator().manual_seed(0))
    with torch.no_grad():
        missed = (rows - space(rows)).square().sum(dtype=torch.float64)
    about_mean = (rows - rows.mean(0)).square().sum(dtype=torch.float64)
    if not bool(missed > about_mean) or not bool(about_mean > 0):
        return ()
    variance = 1 - float(missed / about_mean)
    return (
        "The concepts reconstruct the rows that they were learnt from worse than the mean of these rows does "
        f"(explained variance {variance:.3g}), so do not rely on them; learn again with other parameters, such as a "
        "smaller learning rate, or more concepts.",
    )


def _check(method: Any, activations: Activations) -> None:
    if not isinstance(activations, Activations):
        raise InputError(
            f"concepts are learnt from Activations; {type(activations).__name__} was given. For rows from elsewhere "
            "use interp_core.activations.of_rows(rows)."
        )
    declared = declaration_of(method)
    needs = declared.needs if declared else frozenset()
    name = declared.name if declared else type(method).__name__
    rows = len(activations)
    check_rows(activations)
    concepts = getattr(method, "concepts", 0)
    if isinstance(concepts, bool | float):
        raise InputError(f"{name} was asked for {concepts} concepts; a whole number was expected.")
    if isinstance(concepts, int) and concepts > rows:
        raise InputError(
            f"{name} was asked for {concepts} concepts of {rows} rows; ask for at most {rows}, or give more texts."
        )
    if isinstance(concepts, int) and hasattr(method, "concepts") and concepts < 1:
        raise InputError(f"{name} was asked for {concepts} concepts; at least 1 is needed.")
    if isinstance(device := getattr(method, "device", "cpu"), str):
        try:
            torch.zeros((), device=device)
        except (RuntimeError, AssertionError) as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{name} cannot compute on device {device!r}: {first}. Give 'cpu' or 'cuda'.") from error
    ranges = torch.stack([torch.stack(part.aminmax()) for part in activations.batches()])  # aminmax passes NaN on
    if not torch.isfinite(ranges).all():
        raise InputError(f"the rows of {activations.layer!r} contain NaN or infinity; concepts need finite values.")
    lowest = float(ranges[:, 0].min())
    if "nonnegative" in needs and lowest < 0:
        others = ", ".join(m.name for m in methods("concepts") if "nonnegative" not in m.needs)
        raise UnsupportedError(
            f"{name} needs non-negative activations; {activations.layer!r} goes down to {lowest:.3g}. "
            f"Split after an activation function, or use a method for any activations: {others or 'none is installed'}."
        )
    if "labels" in needs and activations.labels is None:
        raise UnsupportedError(f"{name} needs labels; make the activations with split.activations(…, labels=…).")
