"""A chat and its documents on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
from click.testing import CliRunner, Result
from interp_core.cli import main
from interp_core.testing import tiny_generator

TEMPLATE = (
    "{% for d in documents or [] %}doc : {{ d.text }} {% endfor %}"
    "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}so"
)
MESSAGES = [{"role": "system", "content": "never angry"}, {"role": "user", "content": "is the cat sad"}]
DOCUMENTS = ["the cat is sad. the dog was calm.", "never sad"]
ANSWER = " the cat is sad . the dog is calm ."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a template, a chat and two documents."""
    folder = tmp_path_factory.mktemp("chat")
    tiny = tiny_generator(n_positions=128)
    tiny.tokenizer.chat_template, tiny.tokenizer.model_max_length = TEMPLATE, 128
    tiny.model.save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    (folder / "chat.json").write_text(json.dumps(MESSAGES))
    for number, document in enumerate(DOCUMENTS):
        (folder / f"{number}.txt").write_text(f"{document}\n")
    return folder


def asked(folder: Path, *arguments: object) -> Result:
    fixed = [
        "attribute",
        "--model",
        folder / "model",
        "--by",
        "input-x-gradient",
        "--targets",
        ANSWER,
        "--json",
        "--quiet",
    ]
    return CliRunner().invoke(main, [str(one) for one in (*fixed, *arguments)])


def told(folder: Path, *arguments: object) -> dict[str, Any]:
    result = asked(folder, *arguments)
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    (found,) = json.loads(result.stdout)["attributions"]
    return dict(found)


def test_a_chat_is_asked_which_sentence_of_which_document(folder: Path) -> None:
    files = [folder / "0.txt", folder / "1.txt"]  # as a shell writes docs/*.txt out
    sources = ["--units", "documents", "--granularity", "sentence", "--output", "sentence"]
    found = told(folder, "--chat", folder / "chat.json", "--documents", *files, *sources)
    assert [unit[0] for unit in found["units"]] == ["the cat is sad.", "the dog was calm.", "never sad"]
    (expected,) = interp.attribute(
        interp.load(str(folder / "model")),
        interp.Chat(MESSAGES, [f"{document}\n" for document in DOCUMENTS]),
        by="input-x-gradient",
        targets=ANSWER,
        units="documents",
        granularity="sentence",
        output="sentence",
        progress=False,
    )
    assert found["targets"] == [target.label for target in expected.targets]
    for own, row in zip(found["scores"], expected.scores.tolist(), strict=True):
        assert own == pytest.approx(row, abs=1e-4)


def test_documents_may_stand_in_the_file_of_the_chat_and_in_a_message(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps({"messages": MESSAGES, "documents": DOCUMENTS[:1]}))
    more = ["--documents", folder / "1.txt", "--documents-in", "message", "--granularity", "document"]
    found = told(folder, "--chat", whole, *more)
    assert [unit[0] for unit in found["units"]] == DOCUMENTS
    assert "user : the cat is sad. the dog was calm.\n\nnever sad\n\nis the cat sad so" in found["text"]


def test_a_chat_alone_is_explained_by_role(folder: Path) -> None:
    found = told(folder, "--chat", folder / "chat.json", "--units", "user")
    assert [unit[0] for unit in found["units"]] == ["is", "the", "cat", "sad"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--documents", "0.txt"], "--documents is of a chat; give its messages as --chat FILE"),
        (["--documents-in", "message"], "--documents-in is of a chat"),
        (["--chat", "chat.json", "missing.txt"], "missing.txt cannot be read (No such file or directory); with --chat"),
        (["--chat", "0.txt"], "0.txt is no JSON"),
        (["--chat", "other.json"], "other.json holds role, content; a list of messages was expected"),
        (["--chat", "string.json"], "the documents of string.json are str; a list of documents was expected"),
        (["--chat", "mapping.json"], "the documents of mapping.json are dict; a list"),
        (["--chat", "null.json"], "the documents of null.json are NoneType; a list"),
        (["--chat", "chat.json", "--pair", "a", "b"], "leave out --data and --pair"),
        (["--chat", "chat.json", "--units", "documents"], "this text has none"),
    ],
)
def test_what_cannot_be_read_is_said(
    folder: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "other.json").write_text(json.dumps(MESSAGES[0]))
    for name, documents in (("string", "never"), ("mapping", {"a": "never"}), ("null", None)):
        (folder / f"{name}.json").write_text(json.dumps({"messages": MESSAGES, "documents": documents}))
    result = asked(folder, *arguments)
    assert result.exit_code != 0 and message in " ".join(result.stderr.split())
