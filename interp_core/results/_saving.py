"""Lists of results in folders: saved all or none, and loaded whatever their kinds.

The class that reads a kind of value is named by an entry point of the group `interp.values`, `kind = "module:Class"`,
and imported when a file of that kind is read.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from interp_core.errors import InputError
from interp_core.plugin import named_options
from interp_core.results._paths import empty_folder
from interp_core.results._serialization import STORE, json_in, kind_of, reading

VALUES = "interp.values"
SUFFIXES = (".json", ".safetensors")
RESULTS = ("result.json", "result.safetensors")  # of a run that has one result, in its folder


@named_options
def save(results: Any, folder: str | Path) -> list[Path]:
    """Write each result to a numbered file in a new or empty folder, all of them or none.

    Args:
        results: one result or several; lists of results count as several.
        folder: the folder; created if necessary.

    Returns:
        The paths of the files, in the order of the results.

    Raises:
        InputError: there are no results, the folder is not empty, or something is not a result.
        UnsupportedError: a concept space is a view, made by `only`.

    Examples:
        >>> import tempfile
        >>> from interp_core.testing import tiny_classifier
        >>> activations = tiny_classifier().split(-1).activations(["so happy"], progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [file.name for file in interp.save([activations, interp.Score(0.5, True)], folder)]
        ['0000-activations.safetensors', '0001-score.json']
    """
    if not isinstance(folder, str | Path):
        raise InputError(f"the folder is {type(folder).__name__}; a path was expected: interp.save(results, folder).")
    target = empty_folder(folder)
    items = results if isinstance(results, list | tuple) else [results]
    flat = [result for item in items for result in (item if isinstance(item, Sequence) else [item])]
    unknown = [type(result).__name__ for result in flat if not callable(getattr(result, "save", None))]
    if unknown:
        raise InputError(f"{', '.join(sorted(set(unknown)))} cannot be saved; give results.")
    if not flat:
        raise InputError("there are no results to save; give at least one.")
    new, digits = not target.exists(), max(4, len(str(len(flat) - 1)))
    target.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".saving-", dir=target) as beside:
            written = [
                result.save(Path(beside) / f"{number:0{digits}}-{type(result).__name__.lower()}{_suffix(result)}")
                for number, result in enumerate(flat)
            ]
            return [file.replace(target / file.name) for file in written]
    except BaseException:
        if new:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _suffix(result: Any) -> str:
    return str(getattr(result, "SUFFIX", ".safetensors"))


def load_results(*paths: str | Path | Sequence[str | Path]) -> list[Any]:
    """Load saved results of any kind.

    Args:
        *paths: files that hold a result; stores of activations and folders of runs; folders of files, which are read in
            the order of their numbers; or lists of these, such as the one that `save` returns.

    Returns:
        The results, in order.

    Raises:
        InputError: there are no results, or a file is missing, is damaged or does not hold a result.
        BrokenPluginError: the package of a concept space no longer has its class.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = interp.save([interp.Score(0.5, True), interp.Score(0.25, True)], folder)
        ...     [score.value for score in interp.load_results(folder)]
        [0.5, 0.25]
    """
    if not paths:
        raise InputError("load_results needs the files or folders to read; interp.save(results, folder) writes some.")
    files: list[Path] = []
    several = [[some] if isinstance(some, str | Path) else some for some in paths]
    for one in several:
        if not isinstance(one, Sequence) or not all(isinstance(path, str | Path) for path in one):
            raise InputError(f"{one!r} is no path; the files or folders to read were expected.")
    for path in (Path(one) for some in several for one in some):
        folder = path.is_dir() and not (path / STORE).is_file()
        files += sorted((f for f in path.iterdir() if f.suffix in SUFFIXES), key=_number) if folder else [path]
    if not files:
        named = ", ".join(repr(str(path)) for path in paths)
        raise InputError(f"there are no results in {named}; interp.save(results, folder) writes some.")
    return [load_result(file) for file in files]


def _number(file: Path) -> tuple[int, str]:
    """The number that a name begins with, which 0.1 wrote with four digits; and the name."""
    number = file.name.partition("-")[0]
    return (int(number) if number.isdecimal() else 0, file.name)


def load_result(path: str | Path) -> Any:
    """Load one saved result of any kind.

    Args:
        path: the file, a store of activations, or the folder of a run.

    Returns:
        The result, such as an `Attribution`, a `ConceptSpace` or a `Score`.

    Raises:
        InputError: the file does not exist, is damaged or does not hold a result; or a store or run is incomplete.
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
        with reading(file / STORE):
            manifest = json_in(file / STORE)
            if manifest["kind"] != "run":
                return _reader("activations", file).load(file)
            if manifest["holds"] == "attributions":
                return _reader("attributions", file).load(file)
        results = [result for name in RESULTS if (result := file / name).is_file()]
        if not results:
            raise InputError(f"the run in {str(path)!r} is not complete; the same call resumes it.")
        return load_result(results[0])
    if not file.is_file():
        raise InputError(f"there is no file {str(path)!r}.")
    kind = json_in(file).get("kind") if file.suffix == ".json" else kind_of(file)
    with reading(file):
        return _reader(str(kind or ""), file).load(file)


def _reader(kind: str, file: Path) -> Any:
    known = {entry.name: entry for entry in entry_points(group=VALUES)}
    if kind not in known:
        held = f"holds {kind!r}" if kind else "was not written by interp"
        raise InputError(f"{str(file)!r} {held}; results are {', '.join(sorted(known))}.")
    return known[kind].load()
