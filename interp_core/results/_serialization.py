"""Saves and loads results: safetensors files with JSON in their header, or JSON files. Nothing is pickled.

This file knows only the formats. The class that reads a kind of value is named by an entry point of the group
`interp.values`, `kind = "module:Class"`, and imported when a file of that kind is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from interp_core.errors import InputError
from interp_core.plugin import named_options
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

HEADER = "interp"
VALUES = "interp.values"
SUFFIXES = (".json", ".safetensors")
STORE = "store.json"  # the manifest in a folder of activations


def save_tensors(path: str | Path, kind: str, tensors: dict[str, Tensor], data: dict[str, Any]) -> Path:
    """Write tensors and JSON values to one safetensors file, whole or not at all.

    Args:
        path: the file; its folder is created if necessary.
        kind: what the file holds; checked when the file is read.
        tensors: tensors by name.
        data: JSON values by name.

    Returns:
        The path of the file.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import load_tensors, save_tensors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_tensors(f"{folder}/a.safetensors", "codes", {"codes": torch.eye(2)}, {"layer": "h.0"})
        ...     tensors, data = load_tensors(path, "codes")
        ...     tensors["codes"].shape, data
        (torch.Size([2, 2]), {'layer': 'h.0'})
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    solid = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    header = json.dumps({"kind": kind, "data": data})
    save_file(solid, partial, metadata={HEADER: header})  # one entry: several would come in random order
    return partial.replace(target)


def read_header(file: Any) -> dict[str, Any]:
    """The kind and the JSON values in the header of a safetensors file.

    Args:
        file: the file, opened with `safetensors.safe_open`.

    Returns:
        A dictionary with `kind` and `data`; empty if `save_tensors` did not write the file.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import read_header, save_tensors
        >>> from safetensors import safe_open
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_tensors(f"{folder}/a.safetensors", "codes", {"codes": torch.eye(2)}, {"layer": "h.0"})
        ...     with safe_open(path, framework="pt") as file:
        ...         read_header(file)
        {'kind': 'codes', 'data': {'layer': 'h.0'}}
    """
    try:
        return dict(json.loads((file.metadata() or {})[HEADER]))
    except (KeyError, ValueError, TypeError):
        return {}


def load_tensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and JSON values of a file that `save_tensors` wrote.

    Args:
        path: the file.
        kind: the kind that the file must have.

    Returns:
        The tensors by name, mapped from disk and not copied; and the JSON values by name.

    Raises:
        InputError: there is no such file, or it is not a safetensors file of this kind.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import load_tensors, save_tensors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_tensors(f"{folder}/a.safetensors", "codes", {"codes": torch.eye(2)}, {})
        ...     load_tensors(path, "effect")
        Traceback (most recent call last):
        ...
        interp_core.errors.InputError: ...a.safetensors' holds 'codes'; 'effect' was expected.
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
    """Write JSON values to one file, whole or not at all.

    Args:
        path: the file; its folder is created if necessary.
        kind: what the file holds; checked when the file is read.
        data: JSON values by name.

    Returns:
        The path of the file.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import save_json
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_json(f"{folder}/a.json", "score", {"value": 0.5}).read_text()
        '{"kind": "score", "value": 0.5}'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    partial.write_text(json.dumps({"kind": kind, **data}, ensure_ascii=False), encoding="utf-8")
    return partial.replace(target)


def load_json(path: str | Path, kind: str) -> dict[str, Any]:
    """The JSON values of a file that `save_json` wrote.

    Args:
        path: the file.
        kind: the kind that the file must have.

    Returns:
        The JSON values by name, without the kind.

    Raises:
        InputError: there is no such file, or it is not a JSON file of this kind.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import load_json, save_json
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_json(save_json(f"{folder}/a.json", "score", {"value": 0.5}), "score")
        {'value': 0.5}
    """
    data = _json(Path(path))
    if data.get("kind") != kind:
        raise InputError(f"{str(path)!r} holds {data.get('kind', 'no interp value')!r}; {kind!r} was expected.")
    return {name: value for name, value in data.items() if name != "kind"}


@named_options
def save(results: Any, folder: str | Path) -> list[Path]:
    """Write each result to a numbered file in a new or empty folder.

    Args:
        results: one result or several; lists of results count as several.
        folder: the folder; created if necessary.

    Returns:
        The paths of the files, in the order of the results.

    Raises:
        InputError: the folder is not empty, or something is not a result.
        UnsupportedError: a concept space is a view of some of its concepts.

    Examples:
        >>> import tempfile
        >>> from interp_core.testing import tiny_classifier
        >>> activations = tiny_classifier().split(-1).activations(["so happy"], progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [file.name for file in interp.save([activations, interp.Score(0.5, True)], folder)]
        ['0000-activations.safetensors', '0001-score.json']
    """
    target = Path(folder)
    if target.is_dir() and any(target.iterdir()):
        raise InputError(
            f"the folder {str(folder)!r} is not empty; results of two runs must not be mixed. Name another."
        )
    items = results if isinstance(results, list | tuple) else [results]
    flat = [result for item in items for result in (item if isinstance(item, Sequence) else [item])]
    unknown = [type(result).__name__ for result in flat if not callable(getattr(result, "save", None))]
    if unknown:
        raise InputError(f"{', '.join(sorted(set(unknown)))} cannot be saved; give results.")
    target.mkdir(parents=True, exist_ok=True)
    stems = [f"{number:04d}-{type(result).__name__.lower()}" for number, result in enumerate(flat)]
    return [
        result.save(target / f"{stem}{getattr(result, 'SUFFIX', '.safetensors')}")
        for stem, result in zip(stems, flat, strict=True)
    ]


def load_results(*paths: str | Path) -> list[Any]:
    """Load saved results.

    Args:
        *paths: files that hold a result; stores of activations; or folders of files, read in the order of their names.

    Returns:
        The results, in order.

    Raises:
        InputError: there are no results, or a file is missing or damaged or does not hold a result.
        BrokenPluginError: the package of a concept space no longer has its class.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = interp.save([interp.Score(0.5, True), interp.Score(0.25, True)], folder)
        ...     [score.value for score in interp.load_results(folder)]
        [0.5, 0.25]
    """
    files: list[Path] = []
    for path in map(Path, paths):
        folder = path.is_dir() and not (path / STORE).is_file()
        files += sorted(f for f in path.iterdir() if f.suffix in SUFFIXES) if folder else [path]
    if not files:
        raise InputError("the folders hold no results; interp.save(results, folder) writes some.")
    return [load_result(file) for file in files]


def load_result(path: str | Path) -> Any:
    """Load one saved result of any kind.

    Args:
        path: the file, or a store of activations.

    Returns:
        The result, such as an `Attribution`, a `ConceptSpace` or a `Score`.

    Raises:
        InputError: there is no such file, or it is damaged or does not hold a result; or a store is not complete.
        BrokenPluginError: the package of a concept space no longer has its class.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import load_result
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_result(interp.Score(0.5, True, name="insertion").save(f"{folder}/score.json")).name
        'insertion'
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
