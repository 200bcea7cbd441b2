"""Pairs and chats as the one string that a reader sees, which still knows what the model is to be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp_core.text._chat import Chat


class JoinedText(str):
    """A pair of texts or a chat as one string, perhaps with its continuation. Encoding it encodes what it was made of.

    Args:
        shown: the characters that a reader sees.
        given: the pair, the messages, or the chat.

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
    """What a text is made of, as JSON values, so that texts can be compared with those in a file.

    Args:
        text: a string, a pair of strings, a list of messages, a `Chat`, or a `JoinedText` of one of the last three.

    Returns:
        A string as it is, a `Chat` as a mapping of its parts, otherwise a list of two strings or of messages.

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
    """What the texts that are pairs or chats were made of, by number, as JSON values for a file.

    Args:
        texts: any texts.

    Returns:
        For each `JoinedText` its parts; empty if all are plain strings.

    Examples:
        >>> from interp_core.text import JoinedText, joined_parts
        >>> joined_parts(["so sad", JoinedText("a\\nb", ("a", "b"))])
        {'1': ['a', 'b']}
    """
    return {str(i): parts_of(text) for i, text in enumerate(texts) if isinstance(text, JoinedText)}


def with_parts(texts: Sequence[str], parts: Mapping[str, Any]) -> list[str]:
    """The texts of a file, those that are pairs or chats with what they were made of; the reverse of `joined_parts`.

    Args:
        texts: the texts as plain strings.
        parts: as `joined_parts` gives them.

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
