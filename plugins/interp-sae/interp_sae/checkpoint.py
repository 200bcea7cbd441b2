"""The state of a training on disk: weights, Adam's moments, and the place in the order of the rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from interp_core import storage
from interp_core.errors import InputError
from interp_core.provenance import parameters_of

if TYPE_CHECKING:
    from interp_sae.training import Run

FILE = "training.safetensors"
FREE = ("device", "checkpoint", "save_every")  # may be others when a training goes on


def store(run: Run) -> None:
    """Write one safetensors file into the folder of the checkpoint, whole or not at all."""
    state = run.optimiser.state_dict()["state"]
    tensors = {f"network.{name}": value for name, value in run.network.state_dict().items()}
    tensors |= {f"adam.{i}.{name}": value for i, kept in state.items() for name, value in kept.items()}
    tensors |= {f"frame.{name}": value for name, value in run.frame._asdict().items()}
    data = {
        "asked": _asked(run),
        "step": run.step,
        "position": run.position,
        "history": run.history,
    }
    storage.save(_path(run), "training", {**tensors, "shuffle": run.shuffle}, data)


def restore(run: Run) -> None:
    """Go on from the checkpoint, if the method names a folder and one is there.

    Raises:
        InputError: the checkpoint is of other hyperparameters or other activations.
    """
    if run.method.checkpoint is None or not _path(run).is_file():
        return
    tensors, data = storage.load(_path(run), "training")
    _check(run, tensors, data["asked"])
    run.network.load_state_dict(_part(tensors, "network"))
    kept: dict[int, dict[str, Any]] = {}
    for name, value in _part(tensors, "adam").items():
        index, _, which = name.partition(".")
        kept.setdefault(int(index), {})[which] = value.clone()
    run.optimiser.load_state_dict({"state": kept, "param_groups": run.optimiser.state_dict()["param_groups"]})
    run.frame = type(run.frame)(**_part(tensors, "frame"))
    run.shuffle = tensors["shuffle"].clone()
    run.generator.set_state(run.shuffle)
    run.step, run.position, run.history = data["step"], data["position"], data["history"]


def _path(run: Run) -> Path:
    return Path(str(run.method.checkpoint)) / FILE


def _asked(run: Run) -> dict[str, Any]:
    asked = {name: value for name, value in parameters_of(run.method).items() if name not in FREE}
    size = {"rows": len(run.activations), "width": run.activations.width, "layer": run.activations.layer}
    return {"method": type(run.method).__name__, **asked, **size}


def _check(run: Run, tensors: dict[str, torch.Tensor], before: dict[str, Any]) -> None:
    now = _asked(run)
    names = sorted({*now, *before})
    other = [
        f"{name} {before.get(name)!r}, now {now.get(name)!r}" for name in names if before.get(name) != now.get(name)
    ]
    if not other and not torch.allclose(tensors["frame.centre"], run.frame.centre, rtol=1e-4, atol=1e-6):
        other = ["other values in the rows"]
    if other:
        raise InputError(
            f"the checkpoint in {str(run.method.checkpoint)!r} is of another training ({'; '.join(other)}); "
            "name another folder, or train as before."
        )


def _part(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
