"""Where the files of a sparse autoencoder are, and what is in them. Nothing is unpickled."""

from __future__ import annotations

import glob
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from interp_core.errors import InputError
from safetensors import SafetensorError, safe_open
from torch import Tensor

FORMATS = {  # the file of weights, then what describes them
    "saelens": ("sae_weights.safetensors", "cfg.json"),
    "dictionary-learning": ("ae.safetensors", "config.json"),
    "sparsify": ("sae.safetensors", "cfg.json"),
    "gemma-scope": ("params.npz",),
    "gemma-scope-2": ("params.safetensors", "config.json"),
}
PICKLE = "ae.pt"
CONVERT = (
    "import torch; from safetensors.torch import save_file; "
    "weights = torch.load('ae.pt', map_location='cpu', weights_only=True); "
    "save_file({name: weight.contiguous() for name, weight in weights.items()}, 'ae.safetensors')"
)
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def locate(path: str, subfolder: str, form: str, revision: str | None) -> tuple[str, Path]:
    """The format of an autoencoder, and the folder its files are in; what is on the hub is downloaded.

    Args:
        path: a folder, a file of weights, or a hub id.
        subfolder: of the folder or of the repository.
        form: one of `FORMATS`, or `auto`.
        revision: of the repository.

    Raises:
        InputError: nothing is there, nothing that can be read, or files of several formats.
    """
    if not path:
        raise InputError(
            "pretrained-sae was given no path; say path=… with a folder, or a hub id such as "
            "'google/gemma-scope-2b-pt-res'."
        )
    place = Path(path) / subfolder
    if place.is_file():
        if place.name == PICKLE:
            raise _pickled(place.parent)
        named = next((name for name, files in FORMATS.items() if files[0] == place.name), "")
        if not named:
            raise InputError(f"{str(place)!r} is not a file of weights that can be read. {_expected('auto')}")
        return _format(place.parent, named if form == "auto" else form), place.parent
    if not Path(path).exists() and HUB_ID.fullmatch(path):
        place = _downloaded(path, subfolder, form, revision)
    if not place.is_dir():
        raise InputError(
            f"there is no folder {str(place)!r} and no such file; give a folder, or a hub id 'owner/name'."
        )
    return _format(place, form), place


def weights_in(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or npz file, by name.

    Raises:
        InputError: it holds something else.
    """
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{str(file)!r} is damaged or no file of tensors: {error}") from error


def settings_in(file: Path) -> dict[str, Any]:
    """What a JSON file says.

    Raises:
        InputError: it is not there, or no JSON object.
    """
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file.name} is missing beside the weights in {str(file.parent)!r}.") from None
    except ValueError as error:
        raise InputError(f"{str(file)!r} is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise InputError(f"{str(file)!r} holds a {type(said).__name__}; an object of settings was expected.")
    return said


def _format(folder: Path, form: str) -> str:
    here = [name for name, files in FORMATS.items() if (folder / files[0]).is_file() and form in ("auto", name)]
    if len(here) == 1:
        return here[0]
    if here:
        raise InputError(f"{str(folder)!r} holds files of several formats; say format= one of {', '.join(here)}.")
    if (folder / PICKLE).is_file() and form in ("auto", "dictionary-learning"):
        raise _pickled(folder)
    held = [str(file.relative_to(folder)) for depth in ("*/", "*/*/", "*/*/*/") for file in folder.glob(f"{depth}*.*")]
    raise InputError(
        f"{str(folder)!r} holds no sparse autoencoder that can be read. {_elsewhere(sorted(held))}{_expected(form)}"
    )


def _pickled(folder: object) -> InputError:
    return InputError(
        f'{PICKLE} in {str(folder)!r} is a pickle, which is never opened; convert it there with: python -c "{CONVERT}"'
    )


def _elsewhere(held: Iterable[str]) -> str:
    """Which folders hold weights, where there are several autoencoders."""
    weights = {files[0] for files in FORMATS.values()}
    places = [str(file.parent) for file in map(PurePosixPath, held) if file.name in weights]
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"There are some in {', '.join(places[:3])}{more}: say subfolder=…. " if places else ""


def _expected(form: str) -> str:
    told = "; ".join(f"{name}: {' and '.join(files)}" for name, files in FORMATS.items() if form in ("auto", name))
    return f"Expected are, for {told}."


def _downloaded(path: str, subfolder: str, form: str, revision: str | None) -> Path:
    from huggingface_hub import list_repo_files, snapshot_download

    wanted = [files for name, files in FORMATS.items() if form in ("auto", name)]
    inside = f"{subfolder.strip('/')}/".lstrip("/")
    try:
        patterns = [glob.escape(f"{inside}{file}") for files in wanted for file in files]
        place = Path(snapshot_download(path, revision=revision, allow_patterns=patterns)) / subfolder
        if any((place / files[0]).is_file() for files in wanted):
            return place
        held = list_repo_files(path, revision=revision)
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise InputError(f"there is no folder {path!r}, and the hub gave nothing of that id: {first}") from error
    if f"{inside}{PICKLE}" in held and form in ("auto", "dictionary-learning"):
        raise _pickled(f"{path}/{inside}".rstrip("/"))
    raise InputError(
        f"{path!r} on the hub has nothing to read in {subfolder or 'its top folder'!r}. "
        f"{_elsewhere(held)}{_expected(form)}"
    )
