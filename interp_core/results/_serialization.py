"""The file formats of results: safetensors files with JSON in their header, or JSON files. Nothing is pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interp_core.errors import InputError, InterpError
from interp_core.results._json import for_json
from interp_core.results._paths import named_with
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

HEADER = "interp"
DAMAGE = (LookupError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError, SafetensorError)
STORE = "store.json"  # the manifest in a folder of activations


def save_tensors(path: str | Path, kind: str, tensors: dict[str, Tensor], data: dict[str, Any]) -> Path:
    """Write tensors and JSON values to a safetensors file, atomically.

    Args:
        path: the file; its folder is created if necessary.
        kind: what the file holds; checked when the file is read.
        tensors: the tensors, by name.
        data: the JSON values, by name.

    Returns:
        The path of the file.

    Raises:
        InputError: the name of the file does not end in `.safetensors`.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import load_tensors, save_tensors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_tensors(f"{folder}/a.safetensors", "codes", {"codes": torch.eye(2)}, {"layer": "h.0"})
        ...     tensors, data = load_tensors(path, "codes")
        ...     tensors["codes"].shape, data
        (torch.Size([2, 2]), {'layer': 'h.0'})
    """
    target = named_with(path, ".safetensors")
    solid = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    header = json.dumps({"kind": kind, "data": data})
    with _whole(target) as partial:
        save_file(solid, partial, metadata={HEADER: header})  # one entry: several would come in random order
    return target


def read_header(file: Any) -> dict[str, Any]:
    """Read the kind and the JSON values in the header of a safetensors file.

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
    """Read the tensors and JSON values of a file that `save_tensors` wrote.

    Args:
        path: the file.
        kind: the kind that the file must have.

    Returns:
        The tensors by name, memory-mapped from disk; and the JSON values by name.

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
    if not isinstance(header.get("data"), dict):
        raise InputError(f"{str(path)!r} is damaged: its header holds no values. Restore or remake it.")
    return tensors, _Fields(path, header["data"])


def save_json(path: str | Path, kind: str, data: dict[str, Any]) -> Path:
    """Write JSON values to a file, atomically.

    Args:
        path: the file; its folder is created if necessary.
        kind: what the file holds; checked when the file is read.
        data: the JSON values, by name; NaN and infinity become null, see `for_json`.

    Returns:
        The path of the file.

    Raises:
        InputError: the name of the file does not end in `.json`.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import save_json
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_json(f"{folder}/a.json", "score", {"value": 0.5}).read_text()
        '{"kind": "score", "value": 0.5}'
    """
    return write_text(named_with(path, ".json"), json.dumps({"kind": kind, **for_json(data)}, ensure_ascii=False))


def write_text(path: str | Path, text: str) -> Path:
    """Write a text to a file in UTF-8, atomically.

    Args:
        path: the file; its folder is created if necessary.
        text: the text.

    Returns:
        The path of the file.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import write_text
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_text(f"{folder}/a.txt", "so happy").read_text()
        'so happy'
    """
    target = Path(path)
    with _whole(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
    return target


def load_json(path: str | Path, kind: str) -> dict[str, Any]:
    """Read the JSON values of a file that `save_json` wrote.

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
    data = json_in(Path(path))
    if data.get("kind") != kind:
        raise InputError(f"{str(path)!r} holds {data.get('kind', 'no interp value')!r}; {kind!r} was expected.")
    return _Fields(path, {name: value for name, value in data.items() if name != "kind"})


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Open a context that turns errors due to unexpected content of a file into an error that names the file.

    Args:
        path: the file or folder that is read.

    Yields:
        None; the block reads the file.

    Raises:
        InputError: the block failed in a way that unexpected content explains.

    Examples:
        >>> from interp_core.results import reading
        >>> with reading("score.json"):
        ...     {}["value"]
        Traceback (most recent call last):
        ...
        interp_core.errors.InputError: score.json is damaged: KeyError: 'value'. Restore or remake it.
    """
    try:
        yield
    except InterpError:
        raise
    except DAMAGE as error:
        message = f"{Path(path).name} is damaged: {type(error).__name__}: {error}. Restore or remake it."
        raise InputError(message) from error


class _Fields(dict[str, Any]):
    """The values of a file by name; one that is missing is an error that says so."""

    def __init__(self, path: str | Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise InputError(
            f"{Path(self._path).name} is damaged, or was written by another version: it holds no {name!r}. "
            "Restore or remake it."
        )


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Another name to write a file under, which becomes the file when that went well and is removed when it did not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")  # two programs may write the same
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def kind_of(file: Path) -> str:
    """What a safetensors file holds; empty if `save_tensors` did not write it."""
    try:
        with safe_open(file, framework="pt") as opened:
            return str(read_header(opened).get("kind", ""))
    except SafetensorError as error:
        raise InputError(f"{str(file)!r} is not a safetensors file: {error}") from error


def json_in(file: Path) -> dict[str, Any]:
    """The values in a JSON file, which must be an object."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(file)!r} holds no result: {type(error).__name__}: {error}") from error
    if not isinstance(held, dict):
        raise InputError(f"{str(file)!r} holds no result but a JSON {type(held).__name__}.")
    return held
