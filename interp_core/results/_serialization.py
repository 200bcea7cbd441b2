"""Results on disk and back: safetensors files whose header carries the rest as JSON, or JSON alone. Nothing is pickled.

This file knows formats only. Which class reads a kind of value is named by an entry point of the group
`interp.values`, `kind = "module:Class"`, and imported when a file of that kind is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from interp_core.errors import InputError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

HEADER = "interp"
VALUES = "interp.values"
SUFFIXES = (".json", ".safetensors")
STORE = "store.json"  # what a folder of activations says of itself


def save_tensors(path: str | Path, kind: str, tensors: dict[str, Tensor], data: dict[str, Any]) -> Path:
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
    header = json.dumps({"kind": kind, "data": data})
    save_file(solid, partial, metadata={HEADER: header})  # one entry: several would come in random order
    return partial.replace(target)


def read_header(file: Any) -> dict[str, Any]:
    """The kind and the JSON values in the header of an opened safetensors file; empty if we did not write it."""
    try:
        return dict(json.loads((file.metadata() or {})[HEADER]))
    except (KeyError, ValueError, TypeError):
        return {}


def load_tensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and JSON values of a file that `save_tensors` wrote; the tensors are mapped from disk, not copied.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = read_header(file)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is not a safetensors file: {error}") from error
    if header.get("kind") != kind:
        raise InputError(f"{str(path)!r} holds {header.get('kind', 'no interp value')!r}; {kind!r} was expected.")
    return tensors, header["data"]


def save_json(path: str | Path, kind: str, data: dict[str, Any]) -> Path:
    """Write JSON values as one file, whole or not at all.

    Args:
        path: the file; its folder is made if it is not there.
        kind: what the file holds, checked when it is read.
        data: JSON values.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    partial.write_text(json.dumps({"kind": kind, **data}, ensure_ascii=False), encoding="utf-8")
    return partial.replace(target)


def load_json(path: str | Path, kind: str) -> dict[str, Any]:
    """The JSON values of a file that `save_json` wrote.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    data = _json(Path(path))
    if data.get("kind") != kind:
        raise InputError(f"{str(path)!r} holds {data.get('kind', 'no interp value')!r}; {kind!r} was expected.")
    return {name: value for name, value in data.items() if name != "kind"}


def save(results: Any, folder: str | Path) -> list[Path]:
    """Write each result to a numbered file in an empty or new folder, in order.

    Args:
        results: one result, or several, among them lists of results.
        folder: where they go.

    Returns:
        The files.

    Raises:
        InputError: the folder holds something already, which would be taken for results of the same run, or something
            that cannot be saved.
    """
    where = Path(folder)
    if where.is_dir() and any(where.iterdir()):
        raise InputError(
            f"the folder {str(folder)!r} is not empty; results of two runs must not be mixed. Name another."
        )
    several = results if isinstance(results, list | tuple) else [results]
    flat = [one for result in several for one in (result if isinstance(result, Sequence) else [result])]
    strange = [type(one).__name__ for one in flat if not callable(getattr(one, "save", None))]
    if strange:
        raise InputError(f"{', '.join(sorted(set(strange)))} cannot be saved; give results.")
    where.mkdir(parents=True, exist_ok=True)
    stems = [f"{number:04d}-{type(one).__name__.lower()}" for number, one in enumerate(flat)]
    return [
        one.save(where / f"{stem}{getattr(one, 'SUFFIX', '.safetensors')}")
        for stem, one in zip(stems, flat, strict=True)
    ]


def load_results(*paths: str | Path) -> list[Any]:
    """All results of files, or of folders of them in the order of their names.

    Raises:
        InputError: there are none, or something that the toolkit did not write.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        folder = path.is_dir() and not (path / STORE).is_file()
        files += sorted(f for f in path.iterdir() if f.suffix in SUFFIXES) if folder else [path]
    if not files:
        raise InputError("there are no results in the given folders; interp.save(results, folder) writes some.")
    return [load_result(file) for file in files]


def load_result(path: str | Path) -> Any:
    """Any one result that was saved, or a store of activations.

    Raises:
        InputError: no such file, or nothing that the toolkit wrote.
    """
    file = Path(path)
    if (file / STORE).is_file():
        return _reader("activations", file).load(file)
    if not file.is_file():
        raise InputError(f"there is no file {str(path)!r}.")
    kind = _json(file).get("kind") if file.suffix == ".json" else _kind(file)
    try:
        return _reader(str(kind or ""), file).load(file)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{file.name} is damaged: {type(error).__name__}: {error}.") from error


def _reader(kind: str, file: Path) -> Any:
    known = {entry.name: entry for entry in entry_points(group=VALUES)}
    if kind not in known:
        raise InputError(f"{str(file)!r} holds {kind or 'no result'!r}; results are {', '.join(sorted(known))}.")
    return known[kind].load()


def _kind(file: Path) -> str:
    try:
        with safe_open(file, framework="pt") as opened:
            return str(read_header(opened).get("kind", ""))
    except SafetensorError as error:
        raise InputError(f"{str(file)!r} is not a safetensors file: {error}") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{str(file)!r} holds no result: {type(error).__name__}: {error}") from error
