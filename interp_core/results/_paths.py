"""Checks of where results may be written, without loading what writes them."""

from __future__ import annotations

from pathlib import Path

from interp_core.errors import InputError


def empty_folder(folder: str | Path) -> Path:
    """Check that results can be saved to a folder.

    Args:
        folder: the folder, which need not exist yet.

    Returns:
        The path of the folder.

    Raises:
        InputError: the folder is not empty, or is a file.

    Examples:
        >>> import tempfile
        >>> from interp_core.results import empty_folder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     empty_folder(f"{folder}/kept").name
        'kept'
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise InputError(f"{str(folder)!r} is a file; results are saved to a folder. Name another.")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(
            f"the folder {str(folder)!r} is not empty; results of two runs must not be mixed. Name another."
        )
    return target


def named_with(path: str | Path, *suffixes: str) -> Path:
    """Check the extension of a file, by which its kind is known when it is read.

    Args:
        path: the file.
        *suffixes: the extensions that it may have, with their dots.

    Returns:
        The path.

    Raises:
        InputError: the file has another extension.

    Examples:
        >>> from interp_core.results import named_with
        >>> named_with("kept/score.json", ".json").name
        'score.json'
        >>> named_with("kept/score.txt", ".json")
        Traceback (most recent call last):
        interp_core.errors.InputError: 'kept/score.txt' does not end in .json, as such a file must; name it
        'score.json'.
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        name = target.with_suffix(suffixes[0]).name if target.name else f"result{suffixes[0]}"
        ending = " or ".join(suffixes)
        raise InputError(f"{str(path)!r} does not end in {ending}, as such a file must; name it {name!r}.")
    return target
