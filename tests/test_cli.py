"""The command line: what it prints for people and for programs, and one line for whatever goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from interp_core.attribution import Attribution
from interp_core.cli import _main, main, parameters
from interp_core.concepts import ConceptSpace
from interp_core.metrics import Benchmark
from interp_core.plugin import _registry as registry
from interp_core.results import load_result
from interp_core.testing import tiny_classifier, tiny_generator

pytestmark = [pytest.mark.slow, pytest.mark.current]

TEXT = "i feel so angry about love today"
WORDS = TEXT.split()


def interp(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


def told(*arguments: object) -> str:
    """What a command prints when it goes well."""
    result = interp(*arguments)
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.stdout


def refused(*arguments: object) -> str:
    """The one line that a command prints when it goes wrong."""
    result = interp(*arguments)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("interp: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of random weights, in a folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    made = tiny_classifier()
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of random weights, in a folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny-lm"
    made = tiny_generator()
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little corpus in a file."""
    file = tmp_path_factory.mktemp("data") / "texts.csv"
    rows = [f"i feel so {word} {when}" for word in ("happy", "sad", "angry", "glad") for when in ("today", "and tired")]
    file.write_text("text,label\n" + "".join(f"{row},0\n" for row in rows))
    return file


@pytest.fixture
def emotion(shared: Path) -> Path:
    return shared / "models" / "emotion-tiny"


# Looking around


def test_list_shows_each_installed_method_under_its_kind() -> None:
    lines = told("list").splitlines()
    methods = registry.methods()
    assert [line for line in lines if not line.startswith(" ")] == list(dict.fromkeys(m.kind for m in methods))
    assert [line.split()[0] for line in lines if line.startswith(" ")] == [m.name for m in methods]


def test_list_of_one_kind_leaves_the_others_out() -> None:
    found = json.loads(told("list", "--kind", "metric", "--json"))["methods"]
    assert {m["kind"] for m in found} == {"metric"}


def test_list_for_programs_has_the_whole_declaration() -> None:
    lime = next(m for m in json.loads(told("list", "--json"))["methods"] if m["name"] == "lime")
    assert lime["package"] == "interp-lime"
    assert lime["claims"] == ["exact-when-small", "seeded", "signed"]
    assert lime["target"] == "interp_lime.lime:Lime"


def test_list_with_nothing_installed_says_what_to_install() -> None:
    with registry.only():
        assert "Install a package" in told("list")


def test_show_gives_parameters_and_source() -> None:
    said = told("show", "lime")
    assert "lime (attribution)" in said
    assert "seed=0" in said
    assert "arXiv:1602.04938" in said


def test_show_for_programs_has_the_parameters_with_their_defaults() -> None:
    from interp_lime.lime import Lime

    said = json.loads(told("show", "lime", "--json"))
    assert said["parameters"]["samples"] == Lime().samples
    assert said["parameters"]["seed"] == 0


@pytest.mark.parametrize("command", ["show", "check"])
def test_an_unknown_method_is_refused_with_the_installed_ones_and_no_guess(command: str) -> None:
    said = refused(command, "anchors")
    assert "No installed method is called 'anchors'." in said and "`interp list` shows" in said
    assert "pip install" not in said and len(said) < 120  # dozens of names are no help
    assert "Did you mean 'occlusion'?" in refused(command, "oclusion")


def test_check_of_a_sound_method_keeps_all_and_says_so() -> None:
    lines = told("check", "occlusion").splitlines()
    kept = [line for line in lines if line.startswith("kept")]
    assert len(kept) == len(lines) - 1 >= 6
    assert lines[-1] == f"occlusion: {len(kept)} of {len(kept)} promises kept."


def test_check_of_a_method_that_breaks_a_promise_says_which_and_how_to_mend_it() -> None:
    result = interp("check", "lime", "--set", "samples=2")
    assert result.exit_code == 1
    assert "BROKEN the planted word is first" in result.stdout
    assert "How to mend it:" in result.stdout


def test_check_for_programs_has_one_entry_a_promise() -> None:
    said = json.loads(told("check", "occlusion", "--json"))
    assert said["method"] == "occlusion"
    assert all(check["passed"] and check["mend"] for check in said["checks"])


def test_a_new_plugin_is_written_with_what_to_do_next(tmp_path: Path) -> None:
    said = told("new-plugin", "mine", "--kind", "metric", "--into", tmp_path)
    assert (tmp_path / "interp-mine" / "interp_mine" / "mine.py").is_file()
    assert f"pip install --no-build-isolation --no-deps -e {tmp_path / 'interp-mine'}" in said
    assert "interp check mine" in said


def test_a_new_plugin_is_never_written_over_another(tmp_path: Path) -> None:
    told("new-plugin", "mine", "--into", tmp_path)
    assert "nothing was written" in refused("new-plugin", "mine", "--into", tmp_path)


@pytest.mark.parametrize(
    "arguments", [["new-plugin", "mine", "--kind", "magic"], ["list", "--kind", "magic"], ["nothing"]]
)
def test_what_the_command_line_does_not_know_is_a_usage_error(arguments: list[str]) -> None:
    result = interp(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("command", [[], *([name] for name in sorted(main.commands))])
def test_every_command_explains_itself(command: list[str]) -> None:
    assert "Usage:" in told(*command, "--help")


def test_parameters_are_read_as_json_where_they_are_json() -> None:
    pairs = ("samples=500", "ridge=1e-3", "signed=true", "name=x", "layers=[1, 2]", "url=http://a/?b=c", "empty=")
    expected = {"samples": 500, "ridge": 0.001, "signed": True, "name": "x", "layers": [1, 2]}
    assert parameters(pairs) == {**expected, "url": "http://a/?b=c", "empty": ""}


def test_a_parameter_without_a_value_is_a_usage_error() -> None:
    with pytest.raises(click.BadParameter, match="KEY=VALUE"):
        parameters(("samples",))


# Attributions


def test_attribute_prints_words_with_their_scores(emotion: Path) -> None:
    said = told("attribute", "--model", emotion, "--by", "lime", TEXT)
    text, answer, words = said.splitlines()
    assert text == TEXT and words.startswith("'anger': angry +")
    assert re.fullmatch(r"The model says anger \(\d+%\)\.", answer)


def test_attribute_for_programs_is_json_with_everything_that_made_it(emotion: Path) -> None:
    said = told(
        "attribute", "--model", emotion, "--by", "lime", "--set", "samples=50", "--set", "seed=3", "--json", TEXT
    )
    [found] = json.loads(said)["attributions"]
    assert [text for text, _, _ in found["units"]] == WORDS
    assert [TEXT[start:stop] for _, start, stop in found["units"]] == WORDS
    assert found["targets"] == ["anger"]
    [scores] = found["scores"]
    assert WORDS[max(range(len(WORDS)), key=lambda i: scores[i])] == "angry"
    assert found["made_by"]["parameters"]["samples"] == 50
    assert found["made_by"]["parameters"]["seed"] == 3


def test_attribute_writes_a_report(emotion: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    result = interp("attribute", "--model", emotion, "--by", "lime", TEXT, "--html", page)
    assert result.exit_code == 0, result.output
    assert str(page) in result.stderr
    written = page.read_text(encoding="utf-8")
    assert "</html>" in written
    assert "angry" in written
    assert "1602.04938" in written


def test_json_stays_readable_beside_a_report(emotion: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    said = told("attribute", "--model", emotion, "--by", "occlusion", TEXT, "--html", page, "--json")
    assert len(json.loads(said)["attributions"]) == 1
    assert page.is_file()


def test_attribute_explains_each_text(tiny: Path) -> None:
    said = json.loads(told("attribute", "--model", tiny, "--by", "occlusion", "--json", "so sad", "a good day"))
    assert [a["text"] for a in said["attributions"]] == ["so sad", "a good day"]


def test_attribute_to_all_targets_has_one_row_each(tiny: Path) -> None:
    said = told("attribute", "--model", tiny, "--by", "occlusion", "--targets", "all", "--json", "so sad")
    [found] = json.loads(said)["attributions"]
    assert len(found["targets"]) == len(found["scores"]) == 3


def test_a_target_may_be_given_by_name_or_number(emotion: Path) -> None:
    asked = ("attribute", "--model", emotion, "--by", "occlusion", "--json", TEXT, "--targets")
    [by_name], [by_number] = (json.loads(told(*asked, one))["attributions"] for one in ("love", "2"))
    assert by_name["targets"] == by_number["targets"] == ["love"]
    assert by_name["scores"] == by_number["scores"]


def test_attribute_measures_how_far_to_trust_it(tiny: Path) -> None:
    asked = ("attribute", "--model", tiny, "--by", "occlusion", "--measure", "insertion", "--measure", "deletion")
    assert len(json.loads(told(*asked, "--json", "so sad"))["scores"]) == 2
    assert [line.split()[0] for line in told(*asked, "so sad").splitlines()[-2:]] == ["insertion", "deletion"]


def test_attribute_through_a_layer(emotion: Path) -> None:
    said = told("attribute", "--model", emotion, "--by", "occlusion", "--layer", 1, "--json", TEXT)
    [found] = json.loads(said)["attributions"]
    assert [text for text, _, _ in found["units"]] == WORDS


def test_attribute_explains_a_continuation_of_a_generator(tiny_lm: Path) -> None:
    asked = ("attribute", "--model", tiny_lm, "--by", "occlusion", "--targets", " happy today", "--json", "i feel so")
    [found] = json.loads(told(*asked))["attributions"]
    assert [label.strip() for label in found["targets"]] == ["happy", "today"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "anchors"], "No installed method is called 'anchors'"),
        (["--by", "insertion"], "'metric'"),
        (["--by", "lime", "--set", "n=3"], "no parameter 'n'"),
        (["--by", "lime", "--set", "samples=-3"], "samples is -3"),
        (["--by", "lime", "--targets", "nothing"], "3 labels"),
        (["--by", "lime", "--targets", "7"], "3 labels"),
        (["--by", "lime", "--layer", "9"], "layer 9 is out of range"),
        (["--by", "lime", "--layer", "bert.nothing"], "bert.nothing"),
        (["--by", "lime", "--removal", "nothing"], "removal 'nothing'"),
        (["--by", "lime", "--granularity", "nothing"], "granularity 'nothing'"),
        (["--by", "lime", "--measure", "nothing"], "'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_attribute_cannot_do_it_says_in_one_line(tiny: Path, options: list[str], said: str) -> None:
    assert said in refused("attribute", "--model", tiny, *options, "so sad")


def test_an_empty_text_is_refused_in_one_line(tiny: Path) -> None:
    assert "empty" in refused("attribute", "--model", tiny, "--by", "lime", "")


def test_a_missing_model_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "nowhere" in refused("attribute", "--model", tmp_path / "nowhere", "--by", "lime", "so sad")


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path: Path) -> None:
    assert str(tmp_path) in refused("attribute", "--model", tmp_path, "--by", "lime", "so sad")


def test_a_folder_with_a_broken_model_is_refused_in_one_line(tiny: Path, tmp_path: Path) -> None:
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"these are no weights")
    assert str(tmp_path) in refused("attribute", "--model", tmp_path, "--by", "lime", "so sad")


def test_how_a_question_is_put_can_be_said_on_the_command_line(tiny: Path) -> None:
    asked = ("attribute", "--model", tiny, "--by", "lime", "--score", "probability", "--max-rows", 20, "--json")
    [found] = json.loads(told(*asked, "i feel so sad and so happy and so tired today"))["attributions"]
    assert found["score_space"] == "probability"
    assert found["made_by"]["settings"]["max_rows"] == 20
    assert 0 < found["rows"] <= 20
    assert [len(row) for row in found["error"]] == [len(found["units"])]


def test_what_a_generator_says_can_be_bounded_and_taken_as_one(tiny_lm: Path) -> None:
    asked = ("attribute", "--model", tiny_lm, "--by", "occlusion", "--max-new-tokens", 3, "i feel so")
    [tokens] = json.loads(told(*asked, "--json"))["attributions"]
    [whole] = json.loads(told(*asked, "--json", "--output", "sample"))["attributions"]
    assert len(tokens["targets"]) <= 3 and len(whole["targets"]) == 1


def test_a_long_answer_is_cut_where_its_words_are_printed(tiny_lm: Path) -> None:
    said = " happy today and the cat was never sad or calm but always good"
    asked = ("attribute", "--model", tiny_lm, "--by", "occlusion", "--output", "sample", "--targets", said, "i feel so")
    text, words = told(*asked).splitlines()
    assert text == f"i feel so{said}"
    assert words.startswith("'happy today and the cat was never sad or calm but always go…': ")


@pytest.mark.parametrize("pair", ["removal=mask", "max_rows=9", "layer=1", "by=lime", "targets=all", "model=x"])
def test_an_option_given_as_a_parameter_is_refused_with_what_to_say(tiny: Path, pair: str) -> None:
    said = refused("attribute", "--model", tiny, "--by", "occlusion", "--set", pair, "so sad")
    assert f"say --{pair.replace('_', '-').replace('=', ' ')} in place of --set" in said


def test_texts_may_come_from_a_file_beside_those_of_the_command_line(tiny: Path, data: Path) -> None:
    asked = ("attribute", "--model", tiny, "--by", "occlusion", "--json", "--data", data, "--limit", 2)
    expected = ["i feel so happy today", "i feel so happy and tired"]
    assert [a["text"] for a in json.loads(told(*asked))["attributions"]] == expected
    assert [a["text"] for a in json.loads(told(*asked, "so sad"))["attributions"]] == ["so sad", *expected]


@pytest.mark.parametrize("command", [["attribute"], ["benchmark", "--by", "lime", "--measure", "insertion"]])
def test_no_texts_at_all_are_a_usage_error(tiny: Path, command: list[str]) -> None:
    result = interp(*command, "--model", tiny)
    assert result.exit_code == 2
    assert "--data FILE" in result.stderr


# Benchmarks


@pytest.fixture(scope="module")
def compared(tiny: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What benchmark prints of two methods and two metrics, and the folder of what it wrote."""
    folder = tmp_path_factory.mktemp("compared")
    metrics = ("--measure", "insertion", "--measure", "deletion", "--set", "lime.samples=20")
    asked = ("benchmark", "--model", tiny, "--by", "occlusion", "--by", "lime", *metrics, "--data", data)
    return told(*asked, "--csv", folder / "a.csv", "--html", folder / "a.html", "--save", folder / "kept"), folder


@pytest.fixture(scope="module")
def expected(tiny: Path, data: Path) -> Benchmark:
    """The same in Python."""
    from interp_core.metrics import benchmark
    from interp_core.model import load
    from interp_core.text import read_column
    from interp_lime.lime import Lime

    methods = {"occlusion": "occlusion", "lime": Lime(samples=20)}
    metrics = ["insertion", "deletion"]
    return benchmark(load(tiny), read_column(data), methods=methods, metrics=metrics, progress=False)


def lasting(csv: str) -> list[list[str]]:
    """A table without its seconds."""
    return [line.split(",")[:8] + line.split(",")[9:] for line in csv.splitlines()]


def test_benchmark_prints_an_aligned_table_and_the_verdict(compared: tuple[str, Path], expected: Benchmark) -> None:
    lines = compared[0].splitlines()
    assert lines[-1] == expected.verdict
    assert [line.split()[0] for line in lines[:3]] == ["method", "occlusion", "lime"]
    at = [lines[0].index(word) for word in ("insertion (higher", "deletion (lower", "seconds", "rows")]
    for line, row in zip(lines[1:3], expected.rows, strict=True):
        values = [row.scores[metric] for metric in expected.metrics]
        assert [line[i:].split()[0] for i in at[:2]] == [f"{score.value:.3f}" for score in values]
        assert line[at[3] :] == str(row.cost.rows)
        beats = [expected.beats_chance(row, metric) for metric in expected.metrics]
        assert [" +" in line[i:j] for i, j in pairwise(at[:3])] == beats


def test_benchmark_writes_the_whole_table(compared: tuple[str, Path], expected: Benchmark) -> None:
    assert lasting((compared[1] / "a.csv").read_text()) == lasting(expected.to_csv())


def test_a_saved_benchmark_is_shown_again(compared: tuple[str, Path], expected: Benchmark, tmp_path: Path) -> None:
    _, folder = compared
    [file] = (folder / "kept").iterdir()
    found = load_result(file)
    assert isinstance(found, Benchmark)
    assert lasting(found.to_csv()) == lasting(expected.to_csv())
    told("report", folder / "kept", "--html", tmp_path / "again.html")
    again = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert expected.verdict in again
    assert again == (folder / "a.html").read_text(encoding="utf-8")


def test_benchmark_for_programs_has_every_number(tiny: Path, data: Path, expected: Benchmark) -> None:
    asked = ("benchmark", "--model", tiny, "--by", "occlusion", "--measure", "insertion", "--data", data, "--json")
    said = json.loads(told(*asked))
    assert said["texts"] == 8
    [row] = said["rows"]
    assert row["method"] == "occlusion"
    assert row["cost"]["rows"] == expected.rows[0].cost.rows
    score = row["scores"]["insertion"]
    assert score["value"] == expected.rows[0].scores["insertion"].value
    assert len(score["margins"]) == 8
    assert said["trusted"] == ("occlusion" if score["beats_chance"] else None)


def test_a_method_that_fails_is_told_apart_and_the_others_go_on(tiny: Path, data: Path) -> None:
    asked = ("benchmark", "--model", tiny, "--by", "input-x-gradient", "--by", "occlusion", "--measure", "insertion")
    lines = told(*asked, "--removal", "drop", "--data", data).splitlines()
    assert "failed" in lines[1] and "failed" not in lines[2]
    assert any(line.startswith("input-x-gradient failed: ") for line in lines[3:])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "anchors", "--measure", "insertion"], "No installed method is called 'anchors'"),
        (["--by", "lime", "--measure", "lime"], "'attribution'"),
        (["--by", "lime", "--measure", "insertion", "--set", "samples=20"], "such as lime.samples=20"),
        (["--by", "lime", "--measure", "insertion", "--set", "occlusion.samples=20"], "name the method or metric"),
        (["--by", "lime", "--measure", "insertion", "--set", "lime.n=20"], "no parameter 'n'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_benchmark_cannot_do_it_says_in_one_line(tiny: Path, options: list[str], said: str) -> None:
    assert said in refused("benchmark", "--model", tiny, *options, "so sad")


# Concepts


def test_concepts_of_a_real_model_in_words(shared: Path, emotion: Path, tmp_path: Path) -> None:
    corpus = shared / "data" / "emotion" / "test.csv.gz"
    page, kept = tmp_path / "out.html", tmp_path / "kept"
    asked = ("concepts", "--model", emotion, "--layer", 2, "--data", corpus, "--column", "text", "--limit", 200)
    said = told(*asked, "--by", "semi-nmf", "--concepts", 8, "--html", page, "--save", kept, "--json")
    found = json.loads(said)
    assert [c["concept"] for c in found["concepts"]] == list(range(8))
    assert all(c["label"] or c["note"] for c in found["concepts"])
    assert "</html>" in page.read_text(encoding="utf-8")
    kinds = [type(load_result(file)).__name__ for file in sorted(kept.iterdir())]
    assert kinds[0] == "Activations"
    assert kinds[2:4] == ["Interpretation", "Importance"]
    space = load_result(sorted(kept.iterdir())[1])
    assert isinstance(space, ConceptSpace)
    assert space.concepts == 8

    again = tmp_path / "again.html"
    assert str(again) in told("report", kept, "--html", again)
    assert "</html>" in again.read_text(encoding="utf-8")


def test_concepts_are_learnt_from_a_column_of_labels(tiny: Path, tmp_path: Path) -> None:
    file, store = tmp_path / "labelled.csv", tmp_path / "store"
    lines = [
        f"{word} {day},{'up' if word in ('happy', 'glad') else 'down'}"
        for word in ("happy", "sad", "glad", "calm")
        for day in ("today", "dog", "sun")
    ]
    file.write_text("\n".join(["text,mood", *lines]))
    asked = ("concepts", "--model", tiny, "--layer", 1, "--data", file, "--by", "mean-difference", "--labels", "mood")
    assert told(*asked, "--to", store).startswith("2 concepts of ")
    assert load_result(store).class_names == ("down", "up")


def test_concepts_are_printed_one_a_line(tiny: Path, data: Path) -> None:
    lines = told("concepts", "--model", tiny, "--layer", 1, "--data", data, "--concepts", 3).splitlines()
    assert lines[0].startswith("3 concepts of ")
    assert [line.split()[0] for line in lines[1:4]] == ["0", "1", "2"]


def test_concepts_of_a_generator_have_no_classes_to_matter_to(tiny_lm: Path, data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    told("concepts", "--model", tiny_lm, "--layer", 1, "--data", data, "--concepts", 3, "--save", kept)
    kinds = [type(load_result(file)).__name__ for file in sorted(kept.iterdir())]
    assert "ConceptSpace" in [base.__name__ for f in kept.iterdir() for base in type(load_result(f)).__mro__]
    assert "Importance" not in kinds


def test_importance_can_be_left_out(tiny: Path, data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    asked = ("concepts", "--model", tiny, "--layer", 1, "--data", data, "--concepts", 3, "--save", kept)
    told(*asked, "--importance-by", "none")
    assert not any(file.name.endswith("importance.safetensors") for file in kept.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--column", "nothing"], "its columns are text, label"),
        (["--by", "nothing"], "'nothing'"),
        (["--by", "lime"], "'attribution'"),
        (["--words-by", "nothing"], "'nothing'"),
        (["--importance-by", "nothing"], "'nothing'"),
        (["--layer", "9"], "layer 9 is out of range"),
        (["--concepts", "0"], "concepts"),
        (["--granularity", "nothing"], "granularity 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_concepts_cannot_do_it_says_in_one_line(tiny: Path, data: Path, options: list[str], said: str) -> None:
    assert said in refused("concepts", "--model", tiny, "--layer", 1, "--data", data, "--concepts", 3, *options)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_below_one_is_refused(tiny: Path, data: Path, limit: int) -> None:
    asked = ("concepts", "--model", tiny, "--layer", 1, "--data", data, "--concepts", 3, "--limit", limit)
    assert interp(*asked).exit_code in (1, 2)


def test_a_missing_file_is_refused_in_one_line(tiny: Path, tmp_path: Path) -> None:
    assert "there is no file" in refused("concepts", "--model", tiny, "--data", tmp_path / "nowhere.csv")


MANY = "".join(f"{i},i feel fine\n" for i in range(9))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latin.csv", f"label,text\n{MANY}9,caf\u00e9\n".encode("latin-1")),
        ("short.csv", f"label,text\n{MANY}9\n".encode()),
        ("broken.jsonl", b'{"text": "i feel fine"}\n' * 9 + b"no json\n"),
        ("lists.jsonl", b"[1, 2]\n" * 9),
        ("broken.csv.gz", b"no gzip"),
        ("table.parquet", b"PAR1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(tiny: Path, tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert name in refused("concepts", "--model", tiny, "--layer", 1, "--data", file, "--concepts", 3)


def test_a_file_without_texts_is_refused_in_one_line(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("text,label\n")
    refused("concepts", "--model", tiny, "--layer", 1, "--data", tmp_path / "empty.csv", "--concepts", 3)


# Reports and the demonstration


def test_a_report_of_saved_attributions_and_scores(tiny: Path, tmp_path: Path) -> None:
    kept, page = tmp_path / "kept", tmp_path / "page.html"
    told("attribute", "--model", tiny, "--by", "occlusion", "--measure", "insertion", "--save", kept, "so sad", "a cat")
    files = sorted(kept.iterdir())
    assert [f.suffix for f in files] == [".safetensors", ".safetensors", ".json"]
    first = load_result(files[0])
    assert isinstance(first, Attribution)
    assert first.words == ["so", "sad"]
    assert told("report", *files, "--html", page, "--title", "Two texts").strip() == f"Wrote {page}"
    written = page.read_text(encoding="utf-8")
    assert "Two texts" in written
    assert "insertion" in written


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder / "nowhere.json",
        lambda folder: folder / "nowhere",
        lambda folder: folder,
        lambda folder: written(folder / "broken.json", b"no json"),
        lambda folder: written(folder / "other.json", b'{"a": 1}'),
        lambda folder: written(folder / "broken.safetensors", b"no tensors"),
        lambda folder: written(folder / "text.txt", b"no result"),
    ],
    ids=["missing-file", "missing-folder", "empty-folder", "no-json", "other-json", "no-safetensors", "text"],
)
def test_what_is_no_result_is_refused_in_one_line(tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    refused("report", spoil(tmp_path), "--html", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_a_command_of_a_package_stands_among_the_others_and_is_imported_when_it_is_needed() -> None:
    assert {"demo", "attribute", "concepts", "benchmark", "report", "list", "show", "check"} <= set(
        main.list_commands(click.Context(main))
    )
    said = told("--help")
    assert re.search(r"^  demo +Tell the whole story", said, re.MULTILINE)
    assert "--llm-set" in told("demo", "--help")


def test_a_command_that_cannot_be_imported_is_said_in_one_line_and_takes_no_other_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = EntryPoint("broken", "a_module_that_nobody_has:command", "interp.commands")
    own = _main.entry_points
    monkeypatch.setattr(
        _main, "entry_points", lambda **asked: [broken] if asked.get("name") == "broken" else [*own(**asked), broken]
    )
    assert re.search(r"^  broken +the command 'broken' of broken is", told("--help"), re.MULTILINE)
    assert "is broken: ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in refused("broken")
    assert re.search(r"^broken  broken : the command 'broken' of broken is broken: Module", told("list"), re.MULTILINE)
    assert [row["package"] for row in json.loads(told("list", "--json"))["failures"]] == ["broken"]


def test_a_command_whose_package_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_main, "entry_points", lambda **_asked: [])
    assert refused("demo") == "interp: the command 'demo' is in a separate package: pip install interp-demo.\n"


def test_two_commands_of_one_name_are_said_and_neither_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name, f"a_module_that_nobody_has:{name}", "interp.commands") for name in ("twice", "list")]
    entries.insert(0, EntryPoint("twice", "another_module:twice", "interp.commands"))
    monkeypatch.setattr(
        _main, "entry_points", lambda **asked: [e for e in entries if asked.get("name", e.name) == e.name]
    )
    twice = "the command 'twice' is declared by twice and twice; uninstall all but one, or rename it in its package."
    shadowed = "the command 'list' of list is not reached: interp-core has one of this name; rename it."
    assert refused("twice") == f"interp: {twice}\n"
    assert json.loads(told("list", "--json"))["clashes"] == [shadowed, twice]
    assert all(f"broken  {clash}" in told("list") for clash in (shadowed, twice))
