"""Renders a chat with the tokenizer's own template and locates each message in the result."""

from __future__ import annotations

from typing import Any

from interp_core.errors import InputError

MARKS = ("\ue000", "\ue001")  # from the private use area, which ordinary texts do not use


def rendered(tokenizer: Any, messages: list[dict[str, Any]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The chat as the template writes it, and the span of each message, located by marks around its content.

    Raises:
        InputError: a message is empty or holds something other than text, or the template rewrites what messages say.
    """

    def render(first: str, last: str) -> str:
        marked = []
        for message in messages:
            content = _said(message)
            core = content.strip()
            if not core:
                raise InputError(f"a message of {message.get('role', 'nobody')} is empty; leave it out.")
            marked.append({**message, "content": content.replace(core, f"{first}{core}{last}", 1)})
        chat: str = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True)
        return chat

    text, turns = "", []
    for number, piece in enumerate(render(*MARKS).split(MARKS[0])):
        content, mark, rest = piece.partition(MARKS[1])
        if number and mark:
            turns.append((len(text), len(text) + len(content)))
        text += content + rest
    if text != render("", "") or len(turns) != len(messages):
        raise InputError("this tokenizer's template rewrites what messages say, so they cannot be located in the chat.")
    return text, tuple(turns)


def _said(message: dict[str, Any]) -> str:
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
