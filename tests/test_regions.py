"""Which part of a text is explained: regions, documents of chats, and what units belong to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Options, Session, ask
from interp_core.attribution._question_checks import check_parts
from interp_core.errors import InputError
from interp_core.model import TextModel
from interp_core.testing import tiny_classifier, tiny_generator, tiny_translator
from interp_core.text import as_texts, divide, groups_of, one_by_one, paragraph_spans, region_of

TEMPLATE = (
    "{% for d in documents or [] %}doc : {{ d.title }} says {{ d.text }} {% endfor %}"
    "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}so"
)
MESSAGES = [{"role": "system", "content": "never angry"}, {"role": "user", "content": "is the cat sad"}]
DOCUMENTS = ["the cat is happy. never sad", {"title": "the dog", "text": "the dog was calm"}]
TEXTS = ["the cat is happy. never sad", "the dog says the dog was calm"]
ANSWER = " cat is good . the dog is calm ."


def asking(template: str = TEMPLATE) -> TextModel:
    tiny = tiny_generator(n_positions=128)
    tiny.tokenizer.chat_template, tiny.tokenizer.model_max_length = template, 128
    return TextModel(tiny.model, tiny.tokenizer)


def chat(where: str = "template") -> interp.Chat:
    return interp.Chat(MESSAGES, DOCUMENTS, documents_in=where)


def explained(text: Any, model: TextModel | None = None, **options: Any) -> interp.Attribution:
    asked = {"by": "input-x-gradient", "targets": ANSWER, "output": "sentence", "progress": False, **options}
    (found,) = interp.attribute(model or asking(), text, **asked)
    return found


# Regions


@pytest.mark.parametrize(
    ("units", "granularity", "expected"),
    [
        ("documents", "sentence", ["the cat is happy.", "never sad", TEXTS[1]]),
        ("documents", "sample", TEXTS),
        (None, "document", TEXTS),
        ("messages", "sentence", ["never angry", "is the cat sad"]),
        ("user", "word", ["is", "the", "cat", "sad"]),
        ("user", "token", ["is", "the", "cat", "sad"]),
        (None, "message", ["never angry", "is the cat sad", ANSWER.strip()]),
        ("prompt", "message", ["never angry", "is the cat sad"]),
        ("prompt", "paragraph", [*TEXTS, "never angry", "is the cat sad"]),
    ],
)
def test_units_are_cut_out_of_a_part_of_a_chat(units: Any, granularity: str, expected: list[str]) -> None:
    found = explained(chat(), units=units, granularity=granularity)
    assert found.words == expected
    assert found.made_by.settings.get("units") == units


def test_what_is_outside_stays_as_it_is() -> None:
    model = asking()
    session = Session(model, Options(units="documents", output="sentence", removal="mask", progress=False))
    (prepared,) = session.prepare([chat()], ANSWER, "document")
    encoded, targets = prepared.encoded, prepared.readout.targets
    emptied = encoded.ids.clone()
    for start, stop in encoded.documents:
        inside = (encoded.offsets[:, 0] >= start) & (encoded.offsets[:, 1] <= stop)
        emptied[inside & ~encoded.special] = model.tokenizer.mask_token_id
    assert int((emptied != encoded.ids).sum()) == 13  # not "says", which the template writes
    with torch.no_grad():
        likely = model.model(emptied[None]).logits[0].log_softmax(-1)
    places = [part.positions[0] for part in targets[0].parts]
    expected = sum(float(likely[place - 1, encoded.ids[place]]) for place in places)
    assert float(session.alone(prepared).emptied()[0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("given", [[(0, 7), (4, 14)], lambda text: [(4, text.index("so") + 2), (0, 7)]])
def test_spans_are_cut_at_the_edges_of_a_region(given: Any) -> None:
    encoded = tiny_classifier().encoder("the cat was so happy today when it was warm")
    assert region_of(encoded, [(4, 14), (0, 7)]) == [(0, 14)]
    for granularity in ("sentence", "sample", lambda text: [(0, len(text))], [(0, 20)]):
        divided = divide(encoded, granularity, units=[(4, 11), (15, 20)])
        assert [unit.text for unit in divided.units] == ["cat was", "happy"]
        assert divided.unit_of.tolist()[1:6] == [-1, 0, 0, -1, 1]
    words = [unit.text for unit in divide(encoded, "word", units=given).units]
    assert words[:3] == ["the", "cat", "was"] and "happy" not in words
    shared = divide(encoded, "word", units=[(5, 8)])  # a token is removed as a whole
    assert [unit.text for unit in shared.units] == ["cat"]


def test_a_granularity_is_also_a_list_of_pairs() -> None:
    model = tiny_classifier()
    asked: dict[str, Any] = {"targets": 0, "output": "token"}
    found = explained("so happy today", model, granularity=[(0, 8), (9, 14)], **asked)
    assert found.words == ["so happy", "today"] and found.made_by.settings["granularity"] == "spans"
    rows = model.split(0).activations(["so happy today"], granularity=[(0, 8)], progress=False)
    assert len(rows) == 1 and rows.granularity == "spans"
    with pytest.raises(InputError, match=r"granularity is \[3\]; a list of pairs of characters"):
        explained("so happy today", model, granularity=lambda _: [3], **asked)
    with pytest.raises(InputError, match="leaves the text of 14 characters"):
        explained("so happy today", model, granularity=[(0, 15)], **asked)


@pytest.mark.parametrize(
    ("text", "units", "granularity", "message"),
    [
        (chat(), "tool", "word", "no message of this chat has this role; its roles are system, user"),
        (chat(), "documnts", "word", "Did you mean 'documents'"),
        (MESSAGES, "documents", "word", r"this text has none; give interp.Chat\(messages, documents="),
        (MESSAGES, None, "document", "granularity 'document': this text has none"),
        ("so sad", "user", "word", "is for chats, and this text is none"),
        ("so sad", "document", "word", "Did you mean 'documents'"),
        (chat(), [(0, 500)], "word", r"span \(0, 500\) is empty or leaves the text of \d+ characters"),
        (chat(), [(3, 3)], "word", "is empty"),
        (chat(), lambda _: (0, 3), "word", r"units is \(0, 3\); a list of pairs"),
        (chat(), lambda _: [(0.5, 3)], "word", "a list of pairs of characters"),
        (chat(), [(0, 5)], "word", r"no unit in units=\[\(0, 5\)\] that could be removed"),
        (chat(), "user", "document", "no unit in units='user'"),
    ],
)
def test_a_part_that_is_not_there_is_refused_in_words(text: Any, units: Any, granularity: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        explained(text, units=units, granularity=granularity)


def test_a_benchmark_and_a_layer_keep_to_the_part() -> None:
    model, only = asking(), {"units": "documents", "granularity": "document"}
    asked: dict[str, Any] = {"targets": ANSWER, "output": "sample", "progress": False, **only}
    compared = interp.benchmark(model, chat(), methods="input-x-gradient", metrics="insertion", **asked)
    assert not compared.rows[0].failures
    found = explained(chat(), model, layer=0, **only)
    assert found.words == TEXTS and bool(found.scores.any())
    with pytest.raises(InputError, match="units= is about the words of a text"):
        explained(chat(), model, over="heads", reference="zero", units="documents")


# Chats with documents


def test_documents_in_a_message_stand_before_the_last_of_the_user() -> None:
    encoded = asking().encoder(chat("message"))
    assert "user : the cat is happy. never sad\n\nthe dog\nthe dog was calm\n\nis the cat sad so" in encoded.text
    second = "the dog\nthe dog was calm"
    assert [encoded.text[a:b] for a, b in encoded.documents] == [TEXTS[0], second]
    assert encoded.roles == ("system", "user")
    assert [unit.text for unit in divide(encoded, "message").units][1].endswith("is the cat sad")
    assert [unit.text for unit in divide(encoded, "sample", "user").units] == [TEXTS[0], second, "is the cat sad"]


def test_a_template_that_writes_no_documents_is_refused_with_the_way_out() -> None:
    model = asking("{% for m in messages %}{{ m.content }} {% endfor %}")
    with pytest.raises(InputError, match=r"writes no documents.*documents_in='message'"):
        explained(chat(), model)
    assert explained(chat("message"), model, granularity="document").words[0] == TEXTS[0]


SAID = "{% for m in messages %}{{ m.content }} {% endfor %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for d in documents %}{{ d.text }} {{ d.text }} {% endfor %}" + SAID, "writes 4 documents where 2"),
        ("{{ documents[0].text }} " + SAID, "writes 1 documents where 2"),
        ("{{ documents | length }} " + SAID, "writes no documents"),
        ("{{ raise_exception('no system') }}", "fails on this chat: no system"),
    ],
)
def test_documents_that_cannot_be_found_again_are_refused(template: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        asking(template).encoder(chat())


@pytest.mark.parametrize(
    ("messages", "documents", "more", "message"),
    [
        ([], (), {}, "the messages of a chat are a list of mappings"),
        (MESSAGES, "one", {}, "documents is one document"),
        (MESSAGES, ["so", " "], {}, "document 1 is empty"),
        (MESSAGES, [{"title": "so"}], {}, "document 0 has no 'text'"),
        (MESSAGES, ["so"], {"documents_in": "prompt"}, "it is one of template, message"),
        (MESSAGES[:1], ["so"], {"documents_in": "message"}, "needs a message of the user"),
    ],
)
def test_a_chat_is_checked_when_it_is_made(messages: Any, documents: Any, more: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        interp.Chat(messages, documents, **more)


def test_a_chat_without_documents_is_its_messages_and_one_chat_is_one_text() -> None:
    encoder = asking().encoder
    plain, whole = encoder(MESSAGES), encoder(interp.Chat(MESSAGES))
    assert plain.text == whole.text and plain.ids.tolist() == whole.ids.tolist()
    assert plain.text.given == MESSAGES and plain.roles == whole.roles  # type: ignore[attr-defined]
    assert as_texts(chat()) == [chat()] and one_by_one(chat(), streams=True)[1] == 1


def test_a_saved_result_gives_the_chat_back_and_is_measured_as_before(tmp_path: Path) -> None:
    model = asking()
    found = explained(chat("message"), model, granularity="sentence", units="documents")
    loaded = interp.Attribution.load(found.save(tmp_path / "found.safetensors"))
    assert loaded.text == found.text and loaded.text.given == chat("message")  # type: ignore[attr-defined]
    assert loaded.encoded is not None and found.encoded is not None
    assert loaded.encoded.documents == found.encoded.documents and loaded.encoded.roles == ("system", "user")
    again = explained(loaded.text, model, granularity="sentence", units="documents")
    assert torch.equal(again.scores, found.scores)
    before, after = (interp.measure(one, model, by="insertion", progress=False) for one in (found, loaded))
    assert before.value == after.value
    rows = model.split(0).activations([chat("message")], granularity="document", progress=False)
    held = interp.Activations.load(rows.save(tmp_path / "rows.safetensors")).texts[0]
    assert held.given == chat("message")  # type: ignore[attr-defined]


# Groups


def test_units_know_their_document_or_message_or_paragraph() -> None:
    model = asking()
    text = model.encoder.with_continuation(chat(), ANSWER)
    assert groups_of(divide(text, "sentence", "documents")).tolist() == [0, 0, 1]
    assert groups_of(divide(text, "sentence")).tolist() == [0, 0, 1, 2, 3, 4, 4]
    assert groups_of(divide(text, "message")).tolist() == [0, 1, 2]
    paragraphs = "so sad. never happy\n\n the cat\nis calm.\n \n\nso"
    spans = [paragraphs[a:b] for a, b in paragraph_spans(paragraphs)]
    assert spans == ["so sad. never happy", "the cat\nis calm.", "so"]
    assert groups_of(divide(model.encoder(paragraphs), "sentence")).tolist() == [0, 0, 1, 2]
    assert groups_of(divide(model.encoder("so sad"), "word")).tolist() == [0, 0]
    one = interp.Chat([{"role": "user", "content": "so sad\n\nnever happy today"}])
    assert groups_of(divide(model.encoder(one), "word")).tolist() == [0, 0, 1, 1, 1]
    translated = tiny_translator().encoder.with_continuation("so sad", "the day was good")
    assert groups_of(divide(translated, "word")).tolist() == [0, 0, 1, 1, 1, 1]


def test_a_question_holds_the_groups_of_its_units() -> None:
    session = Session(asking(), Options(units="documents", progress=False))
    (prepared,) = session.prepare([chat()], ANSWER, "sentence")
    assert session.alone(prepared).groups.tolist() == [0, 0, 1]
    plain = ask(lambda v: v.sum(1), torch.ones(3, 1))
    assert plain.groups.tolist() == [0, 1, 2]
    assert plain.replace(groups=torch.tensor([0, 0, 1])).groups.tolist() == [0, 0, 1]
    with pytest.raises(InputError, match="groups is bool"):
        check_parts(SimpleNamespace(**{**vars(plain), "_grouping": torch.zeros(3).bool()}), None)


def test_turn_is_called_message_now() -> None:
    with pytest.warns(DeprecationWarning, match="granularity 'turn' is called 'message'"):
        assert explained(MESSAGES, granularity="turn").words[0] == "never angry"
