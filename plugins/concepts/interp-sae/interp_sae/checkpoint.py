"""The state of a training in one safetensors file: weights, Adam's moments, and the place in the order of the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from interp_core.errors import InputError
from interp_core.results import load_tensors, save_tensors
from torch import Tensor

FILE = "training.safetensors"
OPTIMISER = "Adam, one learning rate"  # in 0.1 `learning_rate` was an angle, and directions had a rate of their own


class TrainingState(TypedDict):
    """All that a training needs to be resumed with the same bits.

    Attributes:
        settings: hyperparameters and what was trained on, as JSON values; a training with others does not resume it.
        network: parameters and buffers, by name.
        optimiser: Adam's state of each parameter, by its number.
        input_scaling: the fields of `InputScaling`.
        shuffle: state of the generator at the start of the current pass over the activations.
        step: steps that are done.
        position: batches of the current pass that are done.
        history: of the space.
    """

    settings: dict[str, Any]
    network: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]
    input_scaling: dict[str, Tensor]
    shuffle: Tensor
    step: int
    position: int
    history: dict[str, list[float]]


def save_checkpoint(folder: str | Path, state: TrainingState) -> None:
    """Writes a state into a folder, whole or not at all, in place of the one that is there."""
    tensors = {f"network.{name}": value for name, value in state["network"].items()}
    tensors |= {f"adam.{i}.{name}": value for i, kept in state["optimiser"].items() for name, value in kept.items()}
    tensors |= {f"input_scaling.{name}": value for name, value in state["input_scaling"].items()}
    data = {
        "optimiser": OPTIMISER,
        "settings": state["settings"],
        "step": state["step"],
        "position": state["position"],
        "history": state["history"],
    }
    save_tensors(Path(folder) / FILE, "training", {**tensors, "shuffle": state["shuffle"]}, data)


def load_checkpoint(folder: str | Path) -> TrainingState | None:
    """Reads the state in a folder; None if it holds none.

    Raises:
        InputError: the file is not a checkpoint, or it was written when `learning_rate` meant something else.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    mapped, data = load_tensors(path, "training")
    if data.get("optimiser") != OPTIMISER:
        raise InputError(
            f"the checkpoint in {str(folder)!r} was written by interp-sae 0.1, whose learning_rate was an angle, not "
            "Adam's, so that its training cannot be resumed. Name another folder to train anew, or finish it with 0.1: "
            "spaces that 0.1 saved are read."
        )
    tensors = {name: value.clone() for name, value in mapped.items()}
    optimiser: dict[int, dict[str, Tensor]] = {}
    for name, value in _group(tensors, "adam").items():
        index, _, moment = name.partition(".")
        optimiser.setdefault(int(index), {})[moment] = value
    return TrainingState(
        settings=data["settings"],
        network=_group(tensors, "network"),
        optimiser=optimiser,
        input_scaling=_group(tensors, "input_scaling"),
        shuffle=tensors["shuffle"],
        step=data["step"],
        position=data["position"],
        history=data["history"],
    )


def _group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix and a dot, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
