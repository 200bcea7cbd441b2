"""Chats, with the documents that they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interp_core.errors import InputError, unknown

Message = Mapping[str, Any]
Document = str | Mapping[str, Any]  # its text, or its title and its text
PLACES = ("template", "message")
BLANK_LINE = "\n\n"


@dataclass(frozen=True)
class Chat:
    """A chat, with the documents that the model answers from, as in retrieval-augmented generation.

    A chat can be given wherever a text is expected.

    Args:
        messages: the messages, each a mapping with its `role` and its `content`, a string.
        documents: the documents, each a string, or a mapping with its `text` and optionally its `title`.
        documents_in: `"template"` to pass the documents to the chat template of the tokenizer, for models that were
            trained to read them there; `"message"` to write them before the content of the last message of the user,
            separated by blank lines.

    Raises:
        InputError: there are no messages; a message or document has another form or no text; or `documents_in` is
            neither of the two.

    Examples:
        >>> chat = interp.Chat(
        ...     [{"role": "user", "content": "Where is the cat?"}],
        ...     documents=["The cat is in the red house.", "The dog is on the road."],
        ...     documents_in="message",
        ... )
        >>> print(chat.written[0]["content"])
        The cat is in the red house.
        <BLANKLINE>
        The dog is on the road.
        <BLANKLINE>
        Where is the cat?
    """

    messages: Sequence[Message]
    documents: Sequence[Document] = ()
    documents_in: str = field(default="template", kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.messages, Mapping | str) or not _all_mappings(self.messages):
            raise InputError("the messages of a chat are a list of mappings, each with its role and its content.")
        object.__setattr__(self, "messages", tuple(dict(message) for message in self.messages))
        if isinstance(self.documents, str | Mapping):
            raise InputError("documents is one document; a list of them was expected.")
        if not isinstance(self.documents, Iterable) or isinstance(self.documents, bytes):
            raise InputError(f"documents is {type(self.documents).__name__}; a list of documents was expected.")
        documents = tuple(dict(one) if isinstance(one, Mapping) else one for one in self.documents)
        object.__setattr__(self, "documents", documents)
        for number, document in enumerate(documents):
            _check(document, number)
        if self.documents_in not in PLACES:
            raise InputError(unknown("documents_in", self.documents_in, PLACES))
        if documents and self.documents_in == "message" and self._asks() is None:
            raise InputError("documents_in='message' needs a message of the user, and this chat has none.")

    @property
    def written(self) -> list[dict[str, Any]]:
        """The messages as they are passed to the template: with the documents, if these are in a message."""
        return self.with_marks()

    def with_marks(self, marks: Callable[[int], tuple[str, str]] = lambda number: ("", "")) -> list[dict[str, Any]]:
        """Mark each document that is in a message, in the messages that are passed to the template.

        Args:
            marks: a function from the number of a document to the strings before and after it.

        Returns:
            The messages.
        """
        messages = [dict(message) for message in self.messages]
        at = self._asks()
        if self.documents and self.documents_in == "message" and at is not None:
            parts = [_in_a_message(document).join(marks(number)) for number, document in enumerate(self.documents)]
            messages[at]["content"] = BLANK_LINE.join([*parts, said(messages[at])])
        return messages

    @property
    def titles(self) -> tuple[str, ...]:
        """The title of each document; empty for a document without one."""
        return tuple("" if isinstance(one, str) else str(one.get("title") or "").strip() for one in self.documents)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, from which `Chat(**values)` makes the chat again."""
        return {
            "messages": [dict(message) for message in self.messages],
            "documents": [one if isinstance(one, str) else dict(one) for one in self.documents],
            "documents_in": self.documents_in,
        }

    def _asks(self) -> int | None:
        """The number of the last message of the user."""
        return max((i for i, message in enumerate(self.messages) if message.get("role") == "user"), default=None)


def said(message: Message) -> str:
    """What a message says: a string, or the only part of a list of parts, if that is a text.

    Raises:
        InputError: it is something else.
    """
    content = message.get("content", "")
    if isinstance(content, list | tuple) and len(content) == 1 and isinstance(content[0], dict):
        content = content[0].get("text") if content[0].get("type") == "text" else content
    if isinstance(content, str):
        return content
    held = type(content).__name__
    if isinstance(content, list | tuple):
        kinds = [str(part.get("type")) if isinstance(part, dict) else type(part).__name__ for part in content]
        held = f"{len(content)} parts ({', '.join(kinds)})"
    raise InputError(f"the content of a message of {message.get('role', 'nobody')} is {held}; give one string.")


def text_of(document: Document) -> str:
    """The text of a document, without its title."""
    return document if isinstance(document, str) else str(document["text"])


def _in_a_message(document: Document) -> str:
    title = "" if isinstance(document, str) else str(document.get("title") or "").strip()
    return f"{title}\n{text_of(document).strip()}".strip()


def _all_mappings(messages: Any) -> bool:
    return isinstance(messages, Sequence) and bool(messages) and all(isinstance(one, Mapping) for one in messages)


def _check(document: Any, number: int) -> None:
    text = document.get("text") if isinstance(document, Mapping) else document
    if not isinstance(text, str):
        what = "has no 'text' that is a string" if isinstance(document, Mapping) else f"is {type(document).__name__}"
        raise InputError(f"document {number} {what}; a string, or a mapping with 'title' and 'text', was expected.")
    if not text.strip():
        raise InputError(f"document {number} is empty; leave it out.")
