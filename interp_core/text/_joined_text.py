"""Pairs and chats as the single string that a reader sees, which still knows the parts that the model is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp_core.text._chat import Chat


class JoinedText(str):
    """A pair of texts or a chat, possibly with a continuation, as the string that a reader sees.

    It is made by `JoinedText(shown, given)`, of that string and the parts. Encoding it encodes the parts.

    Attributes:
        given: the pair, the messages, or the chat, without a continuation.

    Examples:
        >>> from interp_core.text import JoinedText
        >>> text = JoinedText("is it cold\\nthe night is cold", ("is it cold", "the night is cold"))
        >>> text.startswith("is it"), text.given[0]
        (True, 'is it cold')
    """

    given: Any

    def __new__(cls, shown: str, given: Any) -> JoinedText:
        """The string `shown`, with what it was made of."""
        made = super().__new__(cls, shown)
        if isinstance(given, Chat):
            made.given = given
        else:
            made.given = tuple(given) if all(isinstance(part, str) for part in given) else [dict(m) for m in given]
        return made

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.given)


def parts_of(text: Any) -> Any:
    """Convert the parts of a text to JSON values, so that texts can be compared with those in a file.

    Args:
        text: a string, a pair of strings, a list of messages, a `Chat`, or a `JoinedText` of one of the last three.

    Returns:
        A string unchanged, a `Chat` as a mapping of its parts, otherwise a list of two strings or of messages.

    Examples:
        >>> from interp_core.text import JoinedText, parts_of
        >>> parts_of("so sad"), parts_of(JoinedText("a\\nb", ("a", "b")))
        ('so sad', ['a', 'b'])
    """
    given = getattr(text, "given", text)
    if isinstance(given, str):
        return str(given)
    if isinstance(given, Chat):
        return given.to_json()
    return [dict(part) if isinstance(part, Mapping) else part for part in given]


def joined_parts(texts: Sequence[str]) -> dict[str, Any]:
    """Convert the parts of texts that are pairs or chats to JSON values, for a file.

    Args:
        texts: any texts.

    Returns:
        The parts of each `JoinedText`, by the number of the text; empty if all texts are plain strings.

    Examples:
        >>> from interp_core.text import JoinedText, joined_parts
        >>> joined_parts(["so sad", JoinedText("a\\nb", ("a", "b"))])
        {'1': ['a', 'b']}
    """
    return {str(i): parts_of(text) for i, text in enumerate(texts) if isinstance(text, JoinedText)}


def with_parts(texts: Sequence[str], parts: Mapping[str, Any]) -> list[str]:
    """Restore the texts of a file that are pairs or chats; the inverse of `joined_parts`.

    Args:
        texts: the texts as plain strings.
        parts: the parts, as `joined_parts` returns them.

    Returns:
        The texts.

    Examples:
        >>> from interp_core.text import with_parts
        >>> with_parts(["so sad", "a\\nb"], {"1": ["a", "b"]})[1].given
        ('a', 'b')
    """
    return [JoinedText(text, _given(parts[str(i)])) if str(i) in parts else text for i, text in enumerate(texts)]


def _given(parts: Any) -> Any:
    """What a text was made of, from the JSON values of a file."""
    return Chat(**parts) if isinstance(parts, Mapping) else parts
