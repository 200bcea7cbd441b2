"""The command line before and after it computes: what cannot work is refused first, what was computed is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from interp_core.attribution import attribute
from interp_core.cli import _concepts, _explain, main
from interp_core.testing import tiny_classifier

pytestmark = [pytest.mark.slow, pytest.mark.current]

TEXT = "i feel so angry about love today"
Run = Any


def interp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "texts.txt"
    file.write_text("".join(f"i feel so {word} today\n" for word in ("happy", "sad", "angry", "glad", "old", "calm")))
    return file


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model may be loaded: whatever is refused is refused before that."""

    def load(path: str, *_options: object) -> None:
        raise AssertionError(f"{path} was loaded")

    monkeypatch.setattr(_explain, "load_model", load)
    monkeypatch.setattr(_concepts, "load_model", load)


def refused(*arguments: object) -> str:
    result = interp(*arguments)
    assert result.exit_code != 0 and isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.stdout == ""
    return result.stderr


COMMANDS: dict[str, list[str]] = {
    "attribute": ["attribute", "--model", "m", TEXT],
    "benchmark": ["benchmark", "--model", "m", "--by", "lime", "--measure", "insertion", TEXT],
    "concepts": ["concepts", "--model", "m"],
}


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("command", COMMANDS)
def test_where_results_go_is_asked_before_a_model_is_loaded(command: str, tmp_path: Path, data: Path) -> None:
    line = [*COMMANDS[command], *(["--data", str(data)] if command == "concepts" else [])]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.json").write_text("{}", encoding="utf-8")
    assert "does not end in .html or .htm" in refused(*line, "--html", tmp_path / "page.txt")
    assert "is not empty; results of two runs" in refused(*line, "--save", tmp_path / "full")
    inside = tmp_path / "full" / "kept.json" / "page.html"
    assert "kept.json' is a file and not a folder" in refused(*line, "--html", inside)
    if command == "benchmark":
        assert "is a file and not a folder" in refused(*line, "--csv", inside.with_suffix(".csv"))


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("attribute", ["--by", "lime", "--set", "samples=abc"], "samples is 'abc'; a whole number was expected"),
        ("attribute", ["--by", "lime", "--set", "samples=2.5"], "samples is 2.5; a whole number was expected"),
        ("attribute", ["--by", "lime", "--set", "samples=1"], "samples is 1; at least 2"),
        ("attribute", ["--measure", "insertionn"], "Did you mean 'insertion'?"),
        ("benchmark", ["--set", "lime.samples=abc"], "samples is 'abc'; a whole number was expected"),
        ("concepts", ["--concepts", "0"], "'semi-nmf': concepts is 0; a whole number of at least 1 is needed"),
        ("concepts", ["--set", "seed=x"], "seed is 'x'; a whole number was expected"),
        ("concepts", ["--by", "cav", "--concepts", "3"], "cav has no use for --concepts"),
        ("concepts", ["--words-by", "llm-labels", "--min-count", "3"], "llm-labels has no use for --min-count"),
        ("concepts", ["--words-by", "llm-labels"], "OPENAI_API_KEY is empty; put the key into it"),
        ("concepts", ["--importance-by", "limme"], "Did you mean 'lime'?"),
    ],
)
def test_what_a_method_cannot_be_made_with_is_refused_before_a_model_is_loaded(
    command: str, options: list[str], said: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    line = [*COMMANDS[command], *(["--data", str(data)] if command == "concepts" else [])]
    assert said in refused(*line, *options)


def test_importance_that_is_asked_for_and_cannot_be_is_refused(tiny_lm: Path, data: Path) -> None:
    said = refused("concepts", "--model", tiny_lm, "--data", data, "--importance-by", "lime")
    assert "has no classes that concepts could matter to" in said


def test_the_demonstration_is_refused_before_it_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "name the model with --llm" in refused("demo", "--llm-set", "base_url=http://localhost:1/v1")
    assert "does not end in .html" in refused("demo", "--html", tmp_path / "page.pdf")
    assert "OPENAI_API_KEY is empty" in refused("demo", "--llm", "openai", "--html", tmp_path / "page.html")
    unreachable = refused("demo", "--llm", "openai", "--llm-set", "base_url=localhost:1/v1")
    assert "is not a web address" in unreachable


def test_what_was_computed_is_printed_even_if_it_cannot_be_kept(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("interp_core.results._serialization.save_file", full)
    result = interp("attribute", "--model", tiny, "--by", "occlusion", "--save", tmp_path / "kept", TEXT)
    assert result.exit_code == 1 and "No space left" in result.stderr
    assert "\n'LABEL_" in result.stdout
    assert not (tmp_path / "kept").exists()


def test_json_has_null_in_place_of_infinity_and_says_so(tiny: Path) -> None:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    result = interp("attribute", "--model", tiny, "--by", "lime", "--set", "samples=4", "--json", TEXT)
    [row] = json.loads(result.stdout, parse_constant=refuse)["attributions"]
    assert row["error"] == [[None] * len(TEXT.split())]
    assert "Numbers that are infinite or undefined are written as null." in row["notes"]


def test_the_column_of_classes_says_which_texts_are_right(tiny: Path, tmp_path: Path) -> None:
    table, texts = tmp_path / "texts.csv", ["so happy", "never sad", "calm"]
    answers = [one.answer for one in attribute(tiny_classifier(), texts, by="occlusion", progress=False)]
    table.write_text(
        "text,label,name\n" + "".join(f"{t},{i % 2},{a}\n" for i, (t, a) in enumerate(zip(texts, answers, strict=True)))
    )
    line = ("attribute", "--model", tiny, "--by", "occlusion", "--data", table, "--labels")
    assert "\n3 of 3 right\n" in interp(*line, "name").stdout
    numbers = sum(answer == f"LABEL_{i % 2}" for i, answer in enumerate(answers))
    shown = interp(*line, "label").stdout
    assert f"\n{numbers} of 3 right\n" in shown and "The model says" in shown
    told = json.loads(interp(*line, "name", "--json").stdout)["attributions"]
    assert [(one["answer"], one["label"]) for one in told] == [(answer, answer) for answer in answers]
    for wrong in ([TEXT], ["--pair", "a", "b"]):
        assert "--labels names a column of the file of texts" in refused(*line, "name", *wrong)
    assert "--labels names a column" in refused("attribute", "--model", tiny, "--labels", "name", TEXT)


def test_scores_without_a_direction_are_printed_without_signs(tiny: Path) -> None:
    sizes = interp("attribute", "--model", tiny, "--by", "saliency", "--targets", "0", TEXT).stdout
    assert "\nmatters most to 'LABEL_0': " in sizes and "+" not in sizes
    signs = interp("attribute", "--model", tiny, "--by", "occlusion", "--targets", "0", TEXT).stdout
    assert "\n'LABEL_0': " in signs and "+" in signs + "+" * ("-" in signs)
    told = json.loads(interp("attribute", "--model", tiny, "--by", "saliency", "--json", TEXT).stdout)
    assert told["attributions"][0]["directed"] is False


def test_a_file_that_is_no_result_is_refused_in_words(tiny: Path, tmp_path: Path) -> None:
    said = refused("report", tiny / "config.json", "--html", tmp_path / "page.html")
    assert "config.json' was not written by interp; results are activations" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lime", "a method called 'lime' is in the package interp-lime"),
        ("torch", "a module called 'torch' is installed"),
        ("json", "a module called 'json' is installed"),
        ("sae-of-mine", ""),
    ],
)
def test_a_new_plugin_takes_no_name_that_is_taken(name: str, said: str, tmp_path: Path) -> None:
    result = interp("new-plugin", name, "--into", tmp_path)
    assert (said in result.stderr and not list(tmp_path.iterdir())) if said else result.exit_code == 0


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    assert "Did you mean 'attribute'?" in refused("atribute")


def test_a_reader_who_has_seen_enough_ends_a_listing_quietly() -> None:
    command = f"{sys.executable} -c 'from interp_core.cli import main; main()' list --json | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == "" and len(done.stdout) == 10


def test_the_checks_of_a_method_print_nothing_of_another_library(capfd: pytest.CaptureFixture[str]) -> None:
    result = interp("check", "input-x-gradient")
    assert result.exit_code == 0 and result.stderr == "" and capfd.readouterr().err == ""
