"""The forms in which callers give texts and targets, turned into one entry per text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interp_core.errors import InputError, TargetError

Message = Mapping[str, Any]
Text = str | tuple[str, str] | Sequence[Message]  # a text, a pair such as question and context, or a chat


def as_texts(texts: Any) -> list[Text]:
    """One text or several, as a list.

    Args:
        texts: a string, a chat (a list of messages), or an iterable of texts, each a string, a pair or a chat.

    Returns:
        The texts; what each of them is, is checked when it is encoded.

    Raises:
        InputError: `texts` is a table, or not iterable.

    Examples:
        >>> from interp_core.text import as_texts
        >>> as_texts("so sad")
        ['so sad']
        >>> as_texts([{"role": "user", "content": "Are you sad?"}])
        [[{'role': 'user', 'content': 'Are you sad?'}]]
    """
    if isinstance(texts, str) or _is_chat(texts):
        return [texts]
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise InputError(
            f"the texts are {type(texts).__name__}; a string or a list of strings was expected (of a table, a column)."
        )
    return [str(t) if isinstance(t, str) else t for t in texts]


def _is_chat(texts: Any) -> bool:
    return isinstance(texts, list) and bool(texts) and all(isinstance(m, Mapping) and "content" in m for m in texts)


def asks_prediction(wanted: Any) -> bool:
    """Whether the predicted class is among the targets, so that the text must be classified first.

    Args:
        wanted: targets as a caller gives them; None stands for `"predicted"`.

    Returns:
        True if they are, or contain, None or `"predicted"`.

    Examples:
        >>> from interp_core.text import asks_prediction
        >>> asks_prediction(["joy", "predicted"]), asks_prediction(["joy", "anger"])
        (True, False)
    """
    if isinstance(wanted, list | tuple):
        return any(asks_prediction(target) for target in wanted)
    return wanted is None or (isinstance(wanted, str) and wanted == "predicted")


def per_text(targets: Any, texts: Sequence[Any]) -> list[Any]:
    """The targets of each text, for targets that are classes.

    Args:
        targets: targets for all texts; or one list per text, as a list of lists or a tensor (texts, k).
        texts: the texts.

    Returns:
        One entry per text.

    Raises:
        TargetError: there are not as many lists as texts.

    Examples:
        >>> from interp_core.text import per_text
        >>> texts = ["so happy", "so sad"]
        >>> per_text(["joy", "anger"], texts)
        [['joy', 'anger'], ['joy', 'anger']]
        >>> per_text([["joy"], ["anger"]], texts)
        [['joy'], ['anger']]
    """
    rows = targets.tolist() if hasattr(targets, "tolist") else targets
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, list | tuple) for row in rows):
        if len(rows) != len(texts):
            raise TargetError(f"{len(rows)} lists of targets were given for {len(texts)} texts; one each was expected.")
        return list(rows)
    return [rows] * len(texts)


def one_each(targets: Any, texts: Sequence[Any]) -> list[Any]:
    """The targets of each text, for targets that are not classes, such as continuations.

    Args:
        targets: a list with the targets of each text; anything else, a tuple for example, holds for all texts.
        texts: the texts.

    Returns:
        One entry per text.

    Raises:
        TargetError: the list is not as long as the texts.

    Examples:
        >>> from interp_core.text import one_each
        >>> texts = ["i feel", "the cat is"]
        >>> one_each([" happy", " red"], texts)
        [' happy', ' red']
        >>> one_each((" happy", " sad"), texts)
        [(' happy', ' sad'), (' happy', ' sad')]
    """
    if isinstance(targets, list):
        if len(targets) != len(texts):
            raise TargetError(
                f"{len(targets)} targets were given in a list for {len(texts)} texts; one each was expected. "
                "Use a tuple to give several for every text."
            )
        return list(targets)
    return [targets] * len(texts)
