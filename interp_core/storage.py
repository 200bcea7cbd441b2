"""Results on disk: one safetensors file whose header carries the rest as JSON. Nothing is pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interp_core.errors import InputError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

HEADER = "interp"


def save(path: str | Path, kind: str, tensors: dict[str, Tensor], data: dict[str, Any]) -> Path:
    """Write tensors and JSON values as one file, whole or not at all.

    Args:
        path: the file; its folder is made if it is not there.
        kind: what the file holds, checked when it is read.
        tensors: by name.
        data: JSON values.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    solid = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    said = json.dumps({"kind": kind, "data": data})
    save_file(solid, partial, metadata={HEADER: said})  # one entry: several would come in random order
    return partial.replace(target)


def said_in(file: Any) -> dict[str, Any]:
    """The kind and the JSON values in the header of an opened safetensors file; empty if `save` did not write it."""
    try:
        return dict(json.loads((file.metadata() or {})[HEADER]))
    except (KeyError, ValueError, TypeError):
        return {}


def load(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and JSON values of a file that `save` wrote; the tensors are mapped from disk, not copied.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = said_in(file)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is not a safetensors file: {error}") from error
    if header.get("kind") != kind:
        raise InputError(f"{str(path)!r} holds {header.get('kind', 'no interp value')!r}; {kind!r} was expected.")
    return tensors, header["data"]
