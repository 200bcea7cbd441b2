"""Results on disk and back, whatever their kind: what `interp report` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from interp_core.activations import Activations
from interp_core.attribution import Attribution
from interp_core.comparison import Benchmark
from interp_core.concepts import ConceptSpace
from interp_core.contribution import Importance
from interp_core.effects import Effect
from interp_core.errors import InputError
from interp_core.interpretation import Interpretation
from interp_core.score import Score
from interp_core.shards import MANIFEST
from interp_core.storage import said_in
from safetensors import SafetensorError, safe_open

_LOADERS: dict[str, Any] = {
    "activations": Activations.load,
    "attribution": Attribution.load,
    "concepts": ConceptSpace.load,
    "effect": Effect.load,
    "importance": Importance.load,
}


def save_results(folder: str | Path, results: Iterable[Any]) -> list[Path]:
    """Write each result to a numbered file in an empty or new folder, in order.

    Raises:
        InputError: the folder holds something already, which would be taken for results of the same run.
    """
    where = Path(folder)
    if where.is_dir() and any(where.iterdir()):
        raise InputError(
            f"the folder {str(folder)!r} is not empty; results of two runs must not be mixed. Name another."
        )
    where.mkdir(parents=True, exist_ok=True)
    flat = [one for result in results for one in (result if isinstance(result, Sequence) else [result])]
    written = []
    for number, result in enumerate(flat):
        stem = where / f"{number:04d}-{type(result).__name__.lower()}"
        if isinstance(result, Score):
            path = stem.with_suffix(".json")
            path.write_text(json.dumps({"kind": "score", **result.to_json()}), encoding="utf-8")
            written.append(path)
        elif isinstance(result, Interpretation | Benchmark):
            written.append(result.save(stem.with_suffix(".json")))
        else:
            written.append(result.save(stem.with_suffix(".safetensors")))
    return written


def load_result(path: str | Path) -> Any:
    """Any one result that was saved.

    Raises:
        InputError: no such file, or nothing that the toolkit wrote.
    """
    file = Path(path)
    if (file / MANIFEST).is_file():
        return Activations.load(file)
    if not file.is_file():
        raise InputError(f"there is no file {str(path)!r}.")
    if file.suffix == ".json":
        return _from_json(file)
    try:
        with safe_open(file, framework="pt") as opened:
            kind = said_in(opened).get("kind", "")
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is not a safetensors file: {error}") from error
    if kind not in _LOADERS:
        raise InputError(f"{str(path)!r} holds {kind or 'no result'!r}; results are {', '.join(_LOADERS)}.")
    try:
        return _LOADERS[kind](file)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(file, error) from error


def _from_json(file: Path) -> Any:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        kind = data.pop("kind")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{str(file)!r} holds no result: {type(error).__name__}: {error}") from error
    try:
        if kind == "score":
            return Score.from_json(data)
        return Benchmark.load(file) if kind == "benchmark" else Interpretation.load(file)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> InputError:
    return (
        error
        if isinstance(error, InputError)
        else InputError(f"{file.name} is damaged: {type(error).__name__}: {error}.")
    )
