"""Messages through a tokenizer's own template, and where each of them stands in what it writes."""

from __future__ import annotations

from typing import Any

from interp_core.errors import InputError

MARKS = ("\ue000", "\ue001")  # of private use: no text has them


def rendered(tokenizer: Any, messages: list[dict[str, Any]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The chat as the template writes it, and where each message stands in it: found by marking their ends.

    Raises:
        InputError: an empty message, or a template that rewrites what messages say.
    """

    def render(first: str, last: str) -> str:
        given = []
        for message in messages:
            said = str(message.get("content", ""))
            core = said.strip()
            if not core:
                raise InputError(f"a message of {message.get('role', 'nobody')} is empty; leave it out.")
            given.append({**message, "content": said.replace(core, f"{first}{core}{last}", 1)})
        found: str = tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=True)
        return found

    text, turns = "", []
    for number, piece in enumerate(render(*MARKS).split(MARKS[0])):
        said, mark, rest = piece.partition(MARKS[1])
        if number and mark:
            turns.append((len(text), len(text) + len(said)))
        text += said + rest
    if text != render("", "") or len(turns) != len(messages):
        raise InputError("this tokenizer's template rewrites what messages say, so their words cannot be found in it.")
    return text, tuple(turns)
