"""What a caller may give: texts and targets in the forms people have them, as one of each for every text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interp_core.errors import InputError, TargetError

Message = Mapping[str, Any]
Text = str | tuple[str, str] | Sequence[Message]  # a text, a pair such as question and context, or a chat


def as_texts(texts: Any) -> list[Text]:
    """One text or several as a list; a list of messages is one text.

    Raises:
        InputError: something that is not a string or a list of strings, such as a table.
    """
    if isinstance(texts, str) or _is_chat(texts):
        return [texts]
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise InputError(
            f"the texts are {type(texts).__name__}; a string or a list of strings was expected (of a table, a column)."
        )
    return [str(t) if isinstance(t, str) else t for t in texts]


def _is_chat(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(m, Mapping) and "content" in m for m in given)


def asks_prediction(wanted: Any) -> bool:
    """Whether the predicted class is among the targets, so that the text must be classified first."""
    if isinstance(wanted, list | tuple):
        return any(asks_prediction(want) for want in wanted)
    return wanted is None or (isinstance(wanted, str) and wanted == "predicted")


def per_text(targets: Any, texts: Sequence[Any]) -> list[Any]:
    """Classifier targets for each text: the same for all, or one list a text when a list of lists (or 2-D tensor) is
    given.
    """
    rows = targets.tolist() if hasattr(targets, "tolist") else targets
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, list | tuple) for row in rows):
        if len(rows) != len(texts):
            raise TargetError(f"{len(rows)} lists of targets were given for {len(texts)} texts; one each was expected.")
        return list(rows)
    return [rows] * len(texts)


def one_each(targets: Any, texts: Sequence[Any]) -> list[Any]:
    """Targets other than classes for each text: a list holds one for each, anything else is for all of them."""
    if isinstance(targets, list):
        if len(targets) != len(texts):
            raise TargetError(
                f"{len(targets)} targets were given in a list for {len(texts)} texts; one each was expected. "
                "Several for every text are a tuple."
            )
        return list(targets)
    return [targets] * len(texts)
