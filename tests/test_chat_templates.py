"""Messages, roles, documents and titles are found in a chat whatever order its template writes them in."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
from interp_core.errors import InputError
from interp_core.testing import tiny_generator
from interp_core.text import Encoded, region_of

SAID = "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}so"
SYSTEM_FIRST = (
    "{% for m in messages if m.role == 'system' %}{{ m.content }} {% endfor %}"
    "{% for m in messages if m.role != 'system' %}{{ m.role }} : {{ m.content }} {% endfor %}so"
)
REVERSED = "{% for d in documents | reverse %}doc : {{ d.title }} says {{ d.text }} {% endfor %}" + SAID
TEXT_FIRST = "{% for d in documents | reverse %}{{ d.text }} says {{ d.title }} . {% endfor %}" + SAID
TITLES_APART = (
    "{% for d in documents %}{{ d.title }} {% endfor %}{% for d in documents %}{{ d.text }} {% endfor %}" + SAID
)
MESSAGES = [
    {"role": "user", "content": "is the cat sad"},
    {"role": "assistant", "content": "never angry"},
    {"role": "system", "content": "be calm"},
    {"role": "user", "content": "is the cat sad"},
]
DOCUMENTS = [
    {"title": "the cat", "text": "the cat is happy. never sad"},
    {"title": "the dog", "text": "the dog was calm"},
    "the day was good",
]
TEXTS = ["the cat is happy. never sad", "the dog was calm", "the day was good"]


def encoded(template: str, messages: Any, documents: Any = ()) -> Encoded:
    tiny = tiny_generator(n_positions=128)
    tiny.tokenizer.chat_template, tiny.tokenizer.model_max_length = template, 128
    return interp.TextModel(tiny.model, tiny.tokenizer).encoder(interp.Chat(messages, documents))


def pieces(text: Encoded, spans: Any) -> list[str]:
    return [str(text.text)[a:b] for a, b in spans]


@pytest.mark.parametrize(("template", "order"), [(SAID, [0, 1, 2, 3]), (SYSTEM_FIRST, [2, 0, 1, 3])])
def test_each_role_has_what_its_messages_say(template: str, order: list[int]) -> None:
    text = encoded(template, MESSAGES)
    for role in ("system", "assistant", "user"):
        own = [message["content"] for message in MESSAGES if message["role"] == role]
        assert pieces(text, region_of(text, role) or []) == own
    assert pieces(text, text.turns) == [MESSAGES[i]["content"] for i in order]
    assert list(text.roles) == [MESSAGES[i]["role"] for i in order]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (REVERSED, [TEXTS[2], f"the dog says {TEXTS[1]}", f"the cat says {TEXTS[0]}"]),
        (TEXT_FIRST, [TEXTS[2], f"{TEXTS[1]} says the dog", f"{TEXTS[0]} says the cat"]),
        (TITLES_APART, TEXTS),
    ],
)
def test_each_document_has_its_own_title(template: str, expected: list[str]) -> None:
    text = encoded(template, MESSAGES, DOCUMENTS)
    assert pieces(text, text.documents) == pieces(text, region_of(text, "documents") or []) == expected
    removable = "".join(pieces(text, text.offsets[~text.special].tolist()))
    given = "".join([*TEXTS, "the cat", "the dog", *(message["content"] for message in MESSAGES)])
    assert sorted(removable.replace(" ", "")) == sorted(given.replace(" ", ""))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0].content }} {{ messages[0].content }} {{ messages[1].content }} so", "rewrites what messages"),
        ("{% for i in [0, 0, 1] %}{{ documents[i].text }} {% endfor %}" + SAID, "writes other documents than were"),
        (
            "{% for d in documents %}{{ documents[0].title if d.title }} {{ d.text }} {% endfor %}" + SAID,
            "writes other titles than were",
        ),
    ],
)
def test_what_is_written_twice_does_not_stand_for_what_is_left_out(template: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encoded(template, MESSAGES[:3], DOCUMENTS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (None, "documents is NoneType; a list of documents was expected"),
        (5, "documents is int; a list of documents was expected"),
        (b"so", "documents is bytes; a list of documents was expected"),
        ([5], "document 0 is int"),
    ],
)
def test_documents_that_are_no_list_are_refused(documents: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        interp.Chat(MESSAGES, documents)
