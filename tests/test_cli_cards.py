"""Cards on the command line take whatever was saved of a space; and places are refused before anything is computed."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import click
import interp_core as interp
import pytest
from click.testing import CliRunner
from interp_core.cli import check_destinations, main, shared_options
from interp_core.concepts import Change, Interpretation
from interp_core.errors import InputError
from interp_core.results import load_result

pytestmark = [pytest.mark.slow, pytest.mark.current]
TEXTS = [f"i feel so {word} {when}" for word in ("happy", "sad", "angry", "calm") for when in ("today", "and tired")]


def told(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert isinstance(result.exception, SystemExit) and result.exit_code == 1 and not result.stdout, result.output
    assert result.stderr.startswith("interp: ") and result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "texts.csv"
    file.write_text("text,label\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate(TEXTS)))
    return file


def learnt(model: Path, data: Path, at: Path, *options: object) -> tuple[Path, Path]:
    """The rows of a model and a space, saved by commands."""
    rows, space = at / "rows", at / "space"
    told("activations", "--model", model, "--layer", 0, "--data", data, "--to", rows, *options)
    told("fit", rows, "--concepts", 3, "--set", "seed=1", "--save", space)
    return rows, space


def test_cards_take_tokens_effects_importance_and_scores(tiny_lm: Path, data: Path, tmp_path: Path) -> None:
    rows, space = learnt(tiny_lm, data, tmp_path)
    token, model = ("--targets", "happy"), ("--model", tiny_lm)
    told("interpret", space, rows, "--save", tmp_path / "words")
    told("interpret", space, rows, "--by", "token-change", *model, "--set", "texts=6", "--save", tmp_path / "tokens")
    told("effect", space, rows, *model, *token, "--ablate", 0, "--save", tmp_path / "first")
    told("effect", space, rows, *model, *token, "--scale", "2=3", "--save", tmp_path / "second")
    told("importance", space, rows, *model, *token, "--save", tmp_path / "importance")
    given = [tmp_path / name for name in ("words", "first", "second", "importance")]
    found = json.loads(told("cards", space, rows, *given, "--tokens", tmp_path / "tokens", "--json"))["cards"]
    split = interp.load(tiny_lm).split(0)
    here, learned = interp.load_results(rows)[0], interp.load_results(space)[0]
    options: dict[str, Any] = {"targets": "happy", "progress": False}
    changes = {0: Change(ablate=[0]), 2: Change(scale={2: 3.0})}
    effects = {i: interp.effect(split, learned, here, change, **options) for i, change in changes.items()}
    tokens = interp.interpret(learned, here, by="token-change", model=split, texts=6)
    words = interp.interpret(learned, here)
    importance = interp.importance(split, learned, here, **options)
    cards = interp.concept_cards(learned, here, words, tokens=tokens, effects=effects, importance=importance)
    assert found == cards.to_json()["cards"]
    assert any(card["raised"] for card in found) and [bool(card["effect"]) for card in found] == [True, False, True]
    message = refused("cards", space, rows, tmp_path / "first", tmp_path / "first")
    assert "two effects of changing concept 0" in message
    assert "needs one interpretation" in refused("cards", space, rows, "--tokens", tmp_path / "first")
    assert "names no class" in refused("cards", space, rows, tmp_path / "words", tmp_path / "tokens")


def test_labels_of_several_classes_stand_on_one_card(tiny: Path, data: Path, tmp_path: Path) -> None:
    rows, space = learnt(tiny, data, tmp_path, "--labels", "label", "--no-predictions")
    names = interp.load(tiny).labels[:2]
    for name in names:
        told("interpret", space, rows, "--set", "top=2", "--class", name, "--save", tmp_path / f"in-{name}")
    told("interpret", space, rows, "--set", "top=2", "--class", 0, "--save", tmp_path / "by-number")
    assert load_words(tmp_path / "by-number").concepts == load_words(tmp_path / f"in-{names[0]}").concepts
    given = [tmp_path / f"in-{name}" for name in names]
    (first, *_) = json.loads(told("cards", space, rows, *given, "--json"))["cards"]
    assert list(first["by_class"]) == list(names)
    for name in names:
        words = load_words(tmp_path / f"in-{name}")
        assert words.made_by.settings["class"] == name and first["by_class"][name]["label"] == words[0].label
        assert {example.text for one in words for example in one.examples} <= set(TEXTS[list(names).index(name) :: 2])
    assert "2 interpretations of the class" in refused("cards", space, rows, given[0], tmp_path / "by-number")
    other = tmp_path / "other"
    told("fit", rows, "--concepts", 3, "--by", "pca", "--save", other)
    assert "of another space" in refused("cards", other, rows, given[0])


def load_words(folder: Path) -> Interpretation:
    words = load_result(next(folder.iterdir()))
    assert isinstance(words, Interpretation)
    return words


# Places


SAVING = {  # the commands that write, with what they need besides
    "attribute": ["--model", "none", "a text"],
    "benchmark": ["--model", "none", "--by", "occlusion", "--measure", "insertion", "a text"],
    "fit": ["none", "--save", "kept"],
    "interpret": ["none"],
    "cards": ["none"],
    "importance": ["none", "--model", "none"],
    "effect": ["none", "--model", "none", "--ablate", "0"],
    "measure": ["none", "--by", "sparsity-ratio"],
    "concepts": ["--model", "none", "--data", "none.csv"],
    "activations": ["--model", "none", "--data", "none.csv", "--to", "rows"],
    "report": ["none"],
    "lens": ["none", "a text"],
    "run": ["none.toml"],
    "demo": [],
}
WRONG = {"--html": "page.txt", "--csv": "table.xlsx", "--save": "kept.json", "--to": "rows.safetensors"}


def command_of(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


def option_of(command: str) -> list[str]:
    known = [option for one in command_of(command).params for option in one.opts]
    return [option for option in WRONG if option in known]


def test_every_command_that_writes_is_tried() -> None:
    names = main.list_commands(click.Context(main))
    assert {name for name in names if option_of(name)} <= set(SAVING)
    assert {option for name in SAVING for option in option_of(name)} == set(WRONG)


@pytest.mark.parametrize("command", SAVING)
def test_a_name_that_does_not_fit_is_refused_before_anything_is_read(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for option in option_of(command):
        message = refused(command, *SAVING[command], option, WRONG[option])
        assert repr(WRONG[option]) in message and "name it" in message
        assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_may_be_named_like_a_file(tmp_path: Path) -> None:
    for name in ("kept.json", "rows.csv"):
        with pytest.raises(InputError, match=f"name it '{Path(name).stem}'"):
            check_destinations(folder=tmp_path / name)
        (tmp_path / name).mkdir()
        check_destinations(folder=tmp_path / name, store=tmp_path / name)
    check_destinations(folder=tmp_path / "run-1.2", store=tmp_path / "v0.5", table=tmp_path / "A.CSV")


def test_an_option_that_is_not_shared_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="'quiet'"):
        shared_options("quite")


def test_the_lens_has_the_options_of_other_commands() -> None:
    lens = importlib.import_module("interp_logit_lens.command").lens
    other = command_of("interpret")
    for name in ("device", "dtype", "table", "folder", "plain", "quiet"):
        one, same = (
            [str(p.opts) + str(vars(p).get("help")) for p in command.params if p.name == name]
            for command in (lens, other)
        )
        assert one == same != []
