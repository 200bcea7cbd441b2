"""Renders a chat with the tokenizer's own template and locates each message and document in the result."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from interp_core.errors import InputError
from interp_core.text._chat import Chat, said, text_of
from jinja2 import TemplateError

MARKS = ("\ue000", "\ue001")  # from the private use area, which ordinary texts do not use: around a message,
IN_DOCUMENT = ("\ue002", "\ue003")  # around the text of a document,
IN_TITLE = ("\ue004", "\ue005")  # and around its title
_OPENS = {MARKS[0]: "message", IN_DOCUMENT[0]: "document", IN_TITLE[0]: "title"}
_CLOSES = {MARKS[1]: "message", IN_DOCUMENT[1]: "document", IN_TITLE[1]: "title"}

Span = tuple[int, int]  # characters [start, stop)


class Rendered(NamedTuple):
    """A chat as the template writes it, with the spans of its messages and documents, and of all that it was given.

    A document reaches from its title to its text; what the template writes between them was not given.
    """

    text: str
    turns: tuple[Span, ...]
    documents: tuple[Span, ...]
    given: tuple[Span, ...]


def rendered(tokenizer: Any, chat: Chat) -> Rendered:
    """The chat as the template writes it, and the spans of its messages and documents, located by marks around them.

    Raises:
        InputError: a message is empty or holds something other than text, the template rewrites what messages or
            documents say, or it does not write the documents.
    """
    text, spans = _without_marks(_render(tokenizer, chat, MARKS, IN_DOCUMENT, IN_TITLE))
    turns = spans["message"]
    plain = _render(tokenizer, chat)
    if text != plain or len(turns) != len(chat.messages):
        raise InputError("this tokenizer's template rewrites what messages say, so they cannot be located in the chat.")
    found, count = spans["document"], len(chat.documents)
    if count and not found:
        raise InputError(
            "this tokenizer's template writes no documents, so the model would not see them; "
            "Chat(…, documents_in='message') writes them before the last message of the user."
        )
    titled = [number for number, title in enumerate(chat.titles) if title]
    if len(found) != count or len(spans["title"]) not in (0, len(titled)):
        raise InputError(
            f"this tokenizer's template writes {len(found)} documents where {count} were given, so they cannot be "
            "located; use documents_in='message'."
        )
    documents = list(found)
    for number, (start, stop) in zip(titled, spans["title"], strict=False):  # none if titles are not written
        documents[number] = min(start, found[number][0]), max(stop, found[number][1])
    return Rendered(text, tuple(turns), tuple(documents), tuple(span for several in spans.values() for span in several))


def _render(
    tokenizer: Any,
    chat: Chat,
    message: tuple[str, str] = ("", ""),
    document: tuple[str, str] = ("", ""),
    title: tuple[str, str] = ("", ""),
) -> str:
    """The chat as the template writes it, with pairs of marks around messages, documents and titles."""
    marked = []
    for one in chat.with_marks(*document):
        content = said(one)
        core = content.strip()
        if not core:
            raise InputError(f"a message of {one.get('role', 'nobody')} is empty; leave it out.")
        marked.append({**one, "content": content.replace(core, core.join(message), 1)})
    more: dict[str, Any] = {}
    if chat.documents and chat.documents_in == "template":
        more["documents"] = [_marked(one, document, title) for one in chat.documents]
    try:
        text: str = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True, **more)
    except (TemplateError, TypeError) as error:
        raise InputError(f"this tokenizer's template fails on this chat: {error}.") from error
    return text


def _marked(document: Any, text: tuple[str, str], title: tuple[str, str]) -> dict[str, Any]:
    """A document as templates are given it, with marks around its title and text."""
    own = {} if isinstance(document, str) else dict(document)
    if str(own.get("title") or "").strip():
        own["title"] = str(own["title"]).strip().join(title)
    return {**own, "text": text_of(document).strip().join(text)}


def _without_marks(marked: str) -> tuple[str, dict[str, list[Span]]]:
    """A text without its marks, and the spans that these were around, of each kind in order."""
    text = ""
    spans: dict[str, list[Span]] = {kind: [] for kind in _OPENS.values()}
    starts: dict[str, int] = {}
    for piece in re.split(f"([{''.join((*_OPENS, *_CLOSES))}])", marked):
        if piece in _OPENS:
            starts[_OPENS[piece]] = len(text)
        elif piece in _CLOSES:
            kind = _CLOSES[piece]
            spans[kind].append((starts.pop(kind, len(text)), len(text)))
        else:
            text += piece
    return text, spans
