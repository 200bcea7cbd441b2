"""Error handling text by text: an error says which text it is about, and a run may go on without that text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from interp_core.errors import InputError, InterpError
from interp_core.text import Text

T = TypeVar("T")
ON_ERROR = ("raise", "skip")


class Attempts:
    """Calls functions about the texts of a run.

    Args:
        texts: the texts.
        on_error: `"raise"`, or `"skip"`, to go on without a text for which a call fails.
        first: the number of the first text in a longer run; None where these are all texts.

    Attributes:
        failed: the error of each text that failed, by the number of the text.

    Raises:
        InputError: `on_error` is neither of the two.
    """

    def __init__(self, texts: Sequence[Text] = (), on_error: str = "raise", first: int | None = None) -> None:
        if on_error not in ON_ERROR:
            raise InputError(f"on_error is {on_error!r}; it is 'raise' or 'skip'.")
        self.texts, self.on_error, self.first = texts, on_error, first
        self.failed: dict[int, InterpError] = {}

    def of(self, number: int, function: Callable[..., T], *arguments: Any) -> T | None:
        """What a function about one text returns; None if it fails and texts that fail are skipped.

        Raises:
            InterpError: the function failed. Where there are several texts, the message says which one it is.
        """
        try:
            return function(*arguments)
        except InterpError as error:
            if len(self.texts) < 2 and self.first is None:
                raise
            named = type(error)(f"text {number + (self.first or 0)} ({_beginning(self.texts[number])}): {error}")
            if self.on_error == "raise":
                raise type(error)(f"{named} To go on without such texts: on_error='skip'.") from error
            self.failed[number] = named
            return None

    def check(self) -> None:
        """Raise the first error if all texts failed, and there are no others."""
        if len(self.failed) == len(self.texts) and (self.first is None or self.on_error == "raise"):
            raise self.failed[min(self.failed)]

    @property
    def skipped(self) -> dict[str, str]:
        """The messages by the numbers of the texts, in order."""
        return {str(number + (self.first or 0)): str(self.failed[number]) for number in sorted(self.failed)}


def _beginning(text: Any, length: int = 40) -> str:
    whole = text if isinstance(text, str) else str(text)
    return repr(whole if len(whole) <= length else whole[: length - 1] + "…")
