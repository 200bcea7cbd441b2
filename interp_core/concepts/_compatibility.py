"""Checks that a space, activations and a split model belong together."""

from __future__ import annotations

from typing import Any

from interp_core.activations import Activations
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError
from interp_core.model import SplitModel

KINDS: dict[str, tuple[type, str]] = {
    "split": (SplitModel, "a split model, model.split(layer),"),
    "space": (ConceptSpace, "a ConceptSpace, as fit_concepts returns it,"),
    "activations": (Activations, "Activations, as split.activations returns them,"),
}


def check_kinds(**given: Any) -> None:
    """Check that arguments are what their names say, so that swapped ones are found where they come in.

    Raises:
        InputError: one of them is something else.
    """
    for name, value in given.items():
        kind, expected = KINDS[name]
        if not isinstance(value, kind):
            others = ", ".join(f"{n} {type(v).__name__}" for n, v in given.items())
            raise InputError(
                f"{expected} was expected for {name}, and {type(value).__name__} was given; the arguments are {others}."
            )


def check_rows(activations: Activations) -> None:
    """Check that there are rows.

    Raises:
        InputError: there are none.
    """
    if not len(activations):
        of_texts = f"{len(activations.texts)} texts have no units of granularity {activations.granularity!r}"
        raise InputError(f"the activations have no rows: {of_texts if activations.texts else 'there are no texts'}.")


def check_fits(space: ConceptSpace, activations: Activations) -> None:
    """Check that activations come from the layer and model that a space was learnt from.

    Layers and models are compared by name. Rows from elsewhere (layer `"given"`) and spaces without provenance are
    checked by width alone.

    Args:
        space: the concepts.
        activations: the activations to be encoded.

    Raises:
        InputError: the width, layer or model differs, or there are no rows.

    Examples:
        A metric calls it before it encodes anything, so that a mix-up raises an error instead of giving a number.

        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace, check_fits
        >>> space = AffineSpace(torch.eye(3), torch.eye(3))
        >>> check_fits(space, of_rows(torch.ones(5, 3)))
        >>> check_fits(space, of_rows(torch.ones(5, 2)))
        Traceback (most recent call last):
            ...
        interp_core.errors.InputError: the space has width 3, but the activations have width 2.
    """
    check_kinds(space=space, activations=activations)
    check_rows(activations)
    if space.width != activations.width:
        raise InputError(f"the space has width {space.width}, but the activations have width {activations.width}.")
    for what, learnt_from, read_from in (
        ("layer", space.layer, activations.layer),
        ("model", space.made_by.model, activations.made_by.model),
    ):
        if learnt_from and read_from and "given" not in (learnt_from, read_from) and learnt_from != read_from:
            raise InputError(
                f"the space was learnt from {what} {learnt_from!r}, but the activations are of {what} {read_from!r}; "
                "they must be the same."
            )


def check_space(split: SplitModel, space: ConceptSpace) -> None:
    """Check that a space was learnt from the layer and model of a split.

    Raises:
        InputError: layer, model or width differ, or the arguments are not a split model and a space.
    """
    check_kinds(split=split, space=space)
    if space.layer not in ("", "given", split.path):
        raise InputError(f"the space was learnt from {space.layer!r}, but the model is split at {split.path!r}.")
    if space.made_by.model not in ("", split.model.name):
        raise InputError(f"the space was learnt from {space.made_by.model}, but the model is {split.model.name}.")
    if space.width != split.width:
        raise InputError(f"the space has width {space.width}, but {split.path!r} has width {split.width}.")


def check_layer(split: SplitModel, activations: Activations) -> None:
    """Check that activations were read from the layer at which a model is split.

    Rows from elsewhere, made with `of_rows`, are accepted for any layer.

    Args:
        split: the split model.
        activations: the activations.

    Raises:
        InputError: the activations are of another layer.

    Examples:
        >>> from interp_core.concepts import check_layer
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> activations = model.split(0).activations(["so happy"], progress=False)
        >>> check_layer(model.split(0), activations)
        >>> check_layer(model.split(1), activations)
        Traceback (most recent call last):
            ...
        interp_core.errors.InputError: the activations are of 'bert.encoder.layer.0', but the model is split at
        'bert.encoder.layer.1'.
    """
    check_kinds(split=split, activations=activations)
    if activations.layer not in ("given", split.path):
        raise InputError(f"the activations are of {activations.layer!r}, but the model is split at {split.path!r}.")


def check_split(split: SplitModel, space: ConceptSpace, activations: Activations) -> None:
    """Check that a split, a space and activations are of one layer of one model.

    Raises:
        InputError: layer, model or width differ, or `split` is not a split model.
    """
    check_kinds(split=split, space=space, activations=activations)
    if activations.layer != split.path:
        raise InputError(
            f"the activations are of {activations.layer!r}, but the model is split at {split.path!r}; "
            "they must be the same."
        )
    made_on = {activations.made_by.model, space.made_by.model} - {""}
    if made_on and made_on != {split.model.name}:
        raise InputError(
            f"activations and space are of {', '.join(sorted(made_on))}, but the model is {split.model.name}."
        )
    check_fits(space, activations)
