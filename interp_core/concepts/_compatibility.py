"""Do a space, activations and a split model fit together?"""

from __future__ import annotations

from interp_core.activations import Activations
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError
from interp_core.model import SplitModel


def check_fits(space: ConceptSpace, activations: Activations) -> None:
    """Refuse activations that are not of the layer and model of a space.

    Raises:
        InputError: another width, layer or model.
    """
    if space.width != activations.width:
        raise InputError(f"the space has width {space.width}, the activations {activations.width}.")
    for what, one, other in (
        ("layer", space.layer, activations.layer),
        ("model", space.made_by.model, activations.made_by.model),
    ):
        if one and other and "given" not in (one, other) and one != other:
            raise InputError(
                f"the space is of {what} {one!r}, the activations are of {other!r}; they must be the same."
            )


def check_space(split: SplitModel, space: ConceptSpace) -> None:
    """Refuse a space that is not of this layer of this model.

    Raises:
        InputError: what does not fit.
    """
    if not isinstance(split, SplitModel) or not isinstance(space, ConceptSpace):
        raise InputError(
            f"a SplitModel, model.split(layer), and a space were expected; {type(split).__name__} and "
            f"{type(space).__name__} were given."
        )
    if space.layer not in ("", "given", split.path):
        raise InputError(f"the space is of {space.layer!r} and the model is split at {split.path!r}.")
    if space.made_by.model not in ("", split.model.name):
        raise InputError(f"the space is of {space.made_by.model}, the model is {split.model.name}.")
    if space.width != split.width:
        raise InputError(f"the space has width {space.width}, {split.path!r} has {split.width}.")


def check_layer(split: SplitModel, activations: Activations) -> None:
    """Refuse activations of a layer other than the one that the model is split at; rows from elsewhere are of any.

    Raises:
        InputError: another layer.
    """
    if activations.layer not in ("given", split.path):
        raise InputError(f"the activations are of {activations.layer!r}, the model is split at {split.path!r}.")


def check_split(split: SplitModel, space: ConceptSpace, activations: Activations) -> None:
    """Refuse a split, a space and activations that are not of one layer of one model.

    Raises:
        InputError: what does not fit.
    """
    if not isinstance(split, SplitModel):
        raise InputError(f"a split model is needed, model.split(layer); {type(split).__name__} was given.")
    if activations.layer != split.path:
        raise InputError(
            f"the activations are of {activations.layer!r} and the model is split at {split.path!r}; "
            "they must be the same."
        )
    made_on = {activations.made_by.model, space.made_by.model} - {""}
    if made_on and made_on != {split.model.name}:
        raise InputError(f"activations and space are of {', '.join(sorted(made_on))}, the model is {split.model.name}.")
    check_fits(space, activations)
