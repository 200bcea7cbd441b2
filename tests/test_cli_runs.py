"""Runs in shards on the command line: written to a folder, gone on with, read by the commands after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from interp_core.attribution import StoredAttributions
from interp_core.cli import main
from interp_core.results import load_results
from interp_core.testing import tiny_classifier

pytestmark = [pytest.mark.slow, pytest.mark.current]

TEXTS = [f"i feel so {mood} on day {i}" for i in range(5) for mood in ("happy", "sad", "angry")]


def interp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def told(*arguments: object) -> str:
    result = interp(*arguments)
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.stdout


@pytest.fixture
def asked(tmp_path: Path) -> list[Any]:
    """The arguments of `interp attribute` for a model and texts in files."""
    made = tiny_classifier()
    made.model.save_pretrained(tmp_path / "tiny")
    made.tokenizer.save_pretrained(tmp_path / "tiny")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    return ["--model", tmp_path / "tiny", "--by", "occlusion", "--data", tmp_path / "texts.txt"]


def test_a_folder_is_written_resumed_and_read_by_the_commands_after_it(asked: list[Any], tmp_path: Path) -> None:
    run, page, table = tmp_path / "run", tmp_path / "page.html", tmp_path / "table.csv"
    whole = ["attribute", *asked, "--to", run, "--measure", "insertion", "--html", page, "--csv", table]
    said = told(*whole)
    assert said.startswith("15 texts, by occlusion on tiny") and "insertion" in said
    assert "<mark" in page.read_text() or "word" in page.read_text()
    assert table.read_text().count("\n") == 1 + sum(len(text.split()) for text in TEXTS)
    assert told(*whole[:-4]) == said
    (found,) = load_results(run)
    assert isinstance(found, StoredAttributions) and [one.text for one in found] == TEXTS
    (score,) = load_results(run / "scores" / "insertion")
    again = told("measure", run, "--model", tmp_path / "tiny", "--by", "insertion", "--json")
    assert json.loads(again)["scores"][0]["value"] == pytest.approx(score.value, abs=1e-5)
    told("report", run, "--html", tmp_path / "other.html")
    assert interp("attribute", *asked[:2], "--by", "saliency", *asked[4:], "--to", run).exit_code == 1


def test_workers_are_those_of_an_executor(asked: list[Any], tmp_path: Path) -> None:
    result = interp("attribute", *asked, "--to", tmp_path / "run", "--workers", 2)
    assert result.exit_code == 2 and "--executor processes" in result.stderr
    said = told("attribute", *asked, "--to", tmp_path / "run", "--executor", "processes", "--workers", 1, "--quiet")
    assert said.startswith("15 texts")
    told("activations", *asked[:2], *asked[4:], "--to", tmp_path / "rows", "--executor", "processes", "--workers", 1)
    (rows,) = load_results(tmp_path / "rows")
    assert len(rows.texts) == 15


def test_a_benchmark_is_kept_in_a_folder(asked: list[Any], tmp_path: Path) -> None:
    whole = ["benchmark", *asked, "--measure", "insertion", "--to", tmp_path / "run"]
    assert told(*whole) == told(*whole)
    (found,) = load_results(tmp_path / "run")
    assert found.rows[0].method == "occlusion" and found.texts == 15
