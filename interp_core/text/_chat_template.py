"""Rendering of chats with the tokenizer's own template, which locates each message and document in the result."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from interp_core.errors import InputError
from interp_core.text._chat import Chat, said, text_of
from jinja2 import TemplateError

# from the private use areas, which ordinary texts do not use; a number follows the mark that opens, as templates may
# write messages and documents in another order than they are given
_AROUND = {"message": ("\ue000", "\ue001"), "document": ("\ue002", "\ue003"), "title": ("\ue004", "\ue005")}
_OPENS = {opens: kind for kind, (opens, _) in _AROUND.items()}
_CLOSES = {closes: kind for kind, (_, closes) in _AROUND.items()}
_FIRST, _LAST = "\U000f0000", "\U0010ffff"  # stand for the numbers
_MARKS = re.compile(f"([{''.join(_OPENS)}][{_FIRST}-{_LAST}]|[{''.join(_CLOSES)}])")

Span = tuple[int, int]  # characters [start, stop)
Marks = Callable[[str, int], tuple[str, str]]  # of a kind and a number, the marks around it


class Rendered(NamedTuple):
    """A chat as the template writes it, with the spans of its messages and documents, and of all that it was given.

    Messages, their roles and documents are in the order in which the template writes them. A document reaches from its
    title to its text; what the template writes between them was not given. Where titles are written apart, such as in a
    list of them, a document is its text.
    """

    text: str
    turns: tuple[Span, ...]
    roles: tuple[str, ...]
    documents: tuple[Span, ...]
    given: tuple[Span, ...]


def rendered(tokenizer: Any, chat: Chat) -> Rendered:
    """The chat as the template writes it, and the spans of its messages and documents, located by marks around them.

    Raises:
        InputError: a message is empty or holds something other than text, the template rewrites what messages or
            documents say, or it does not write each message and each document once.
    """
    text, spans = _without_marks(_render(tokenizer, chat, _marks))
    turns = spans["message"]
    plain = _render(tokenizer, chat, lambda kind, number: ("", ""))
    if text != plain or _numbers(turns) != [*range(len(chat.messages))]:
        raise InputError(
            "this tokenizer's template rewrites what messages say, repeats one or leaves one out, so they cannot be "
            "located in the chat."
        )
    found, count = spans["document"], len(chat.documents)
    if count and not found:
        raise InputError(
            "this tokenizer's template writes no documents, so the model would not see them; "
            "Chat(…, documents_in='message') writes them before the last message of the user."
        )
    titled = [number for number, title in enumerate(chat.titles) if title]
    if _numbers(found) != [*range(count)] or _numbers(spans["title"]) not in ([], titled):
        written = f"{len(found)} documents where {count} were given"
        if len(found) == count:
            written = f"other {'documents' if _numbers(found) != [*range(count)] else 'titles'} than were given"
        raise InputError(
            f"this tokenizer's template writes {written}, so they cannot be located; use documents_in='message'."
        )
    return Rendered(
        text,
        tuple(span for _, span in turns),
        tuple(str(chat.messages[number].get("role", "nobody")) for number, _ in turns),
        _documents(found, dict(spans["title"])),
        tuple(span for several in spans.values() for _, span in several),
    )


def _documents(texts: list[tuple[int, Span]], titles: dict[int, Span]) -> tuple[Span, ...]:
    """Each document from its title to its text, in order; the texts alone where these would overlap."""
    own = [span for _, span in texts]
    whole = sorted((min(a, titles.get(i, (a, b))[0]), max(b, titles.get(i, (a, b))[1])) for i, (a, b) in texts)
    return tuple(own if any(one[1] > other[0] for one, other in pairwise(whole)) else whole)


def _numbers(spans: list[tuple[int, Span]]) -> list[int]:
    return sorted(number for number, _ in spans)


def _marks(kind: str, number: int) -> tuple[str, str]:
    opens, closes = _AROUND[kind]
    return opens + chr(ord(_FIRST) + number), closes


def _render(tokenizer: Any, chat: Chat, marks: Marks) -> str:
    """The chat as the template writes it, with marks around messages, documents and titles."""
    marked = []
    for number, one in enumerate(chat.with_marks(lambda document: marks("document", document))):
        content = said(one)
        core = content.strip()
        if not core:
            raise InputError(f"a message of {one.get('role', 'nobody')} is empty; leave it out.")
        marked.append({**one, "content": content.replace(core, core.join(marks("message", number)), 1)})
    more: dict[str, Any] = {}
    if chat.documents and chat.documents_in == "template":
        more["documents"] = [_marked(one, number, marks) for number, one in enumerate(chat.documents)]
    try:
        text: str = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True, **more)
    except (TemplateError, TypeError) as error:
        raise InputError(f"this tokenizer's template fails on this chat: {error}.") from error
    return text


def _marked(document: Any, number: int, marks: Marks) -> dict[str, Any]:
    """A document as templates are given it, with marks around its title and text."""
    own = {} if isinstance(document, str) else dict(document)
    if str(own.get("title") or "").strip():
        own["title"] = str(own["title"]).strip().join(marks("title", number))
    return {**own, "text": text_of(document).strip().join(marks("document", number))}


def _without_marks(marked: str) -> tuple[str, dict[str, list[tuple[int, Span]]]]:
    """A text without its marks, and of each kind the numbers and spans that these were around, in order."""
    text = ""
    spans: dict[str, list[tuple[int, Span]]] = {kind: [] for kind in _OPENS.values()}
    starts: dict[str, tuple[int, int]] = {}
    for place, piece in enumerate(_MARKS.split(marked)):
        if place % 2 == 0:
            text += piece
        elif piece[0] in _OPENS:
            starts[_OPENS[piece[0]]] = ord(piece[1]) - ord(_FIRST), len(text)
        else:
            kind = _CLOSES[piece]
            number, start = starts.pop(kind, (-1, len(text)))
            spans[kind].append((number, (start, len(text))))
    return text, spans
