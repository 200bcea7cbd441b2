"""What a caller may give: texts and targets in the forms people have them, as one of each for every text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interp_core.errors import InputError, TargetError


def as_texts(texts: Any) -> list[str]:
    """One text or several as a list.

    Raises:
        InputError: something that is not a string or a list of strings, such as a table.
    """
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise InputError(
            f"the texts are {type(texts).__name__}; a string or a list of strings was expected (of a table, a column)."
        )
    return [str(t) if isinstance(t, str) else t for t in texts]


def asks_prediction(wanted: Any) -> bool:
    """Whether the predicted class is among the targets, so that the text must be classified first."""
    if isinstance(wanted, list | tuple):
        return any(asks_prediction(want) for want in wanted)
    return wanted is None or (isinstance(wanted, str) and wanted == "predicted")


def per_text(targets: Any, texts: Sequence[str]) -> list[Any]:
    """Classifier targets for each text: the same for all, or one list a text when a list of lists (or 2-D tensor) is
    given.
    """
    rows = targets.tolist() if hasattr(targets, "tolist") else targets
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, list | tuple) for row in rows):
        if len(rows) != len(texts):
            raise TargetError(f"{len(rows)} lists of targets were given for {len(texts)} texts; one each was expected.")
        return list(rows)
    return [rows] * len(texts)


def one_each(targets: Any, texts: Sequence[str]) -> list[Any]:
    """Generator targets for each text: the same for all, or one a text."""
    if isinstance(targets, list | tuple):
        if len(targets) != len(texts):
            raise TargetError(
                f"{len(targets)} continuations were given for {len(texts)} prompts; one each was expected."
            )
        return list(targets)
    return [targets] * len(texts)
