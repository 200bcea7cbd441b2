"""The verbs on the command line, from activations to steering, each from what the one before has saved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from interp_core.cli import main
from interp_core.plugin import methods
from interp_core.results import load_result
from interp_core.testing import tiny_tagger
from interp_core.text import read_column
from saved_models import saved

pytestmark = [pytest.mark.slow, pytest.mark.current]

Kept = dict[str, Path]


def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def told(*arguments: object, stdin: str | bytes | None = None) -> str:
    """What a command prints when it goes well."""
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.stdout


def refused(*arguments: object, code: int = 1, stdin: str | bytes | None = None) -> str:
    """What a command prints on standard error when it is refused: one line, but for a wrong usage."""
    result = run(*arguments, stdin=stdin)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert (result.exit_code, result.stdout) == (code, "")
    assert code == 2 or (result.stderr.startswith("interp: ") and result.stderr.count("\n") == 1)
    return result.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "texts.csv"
    words = ("happy", "sad", "angry", "glad", "calm")
    rows = [f"i feel so {word} {when}" for word in words for when in ("today", "and tired")]
    file.write_text("text,label\n" + "".join(f"{row},{i % 3}\n" for i, row in enumerate(rows)))
    return file


@pytest.fixture(scope="module")
def kept(tiny: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """What the chain of commands has saved: the space, its words, and the rows of both."""
    folder = tmp_path_factory.mktemp("kept")
    places = {name: folder / name for name in ("rows", "space", "words", "why")}
    told("activations", "--model", tiny, "--layer", 0, "--data", data, "--labels", "label", "--to", places["rows"])
    told("fit", places["rows"], "--concepts", 3, "--set", "seed=1", "--save", places["space"])
    told("interpret", places["space"], places["rows"], "--set", "top=2", "--save", places["words"])
    told("attribute", "--model", tiny, "--by", "occlusion", "--data", data, "--limit", 3, "--save", places["why"])
    return places


@pytest.fixture(scope="module")
def python(tiny: Path, data: Path) -> dict[str, Any]:
    """The same in Python."""
    model = interp.load(tiny)
    split = model.split(0)
    labels = [int(label) for label in read_column(data, "label")]
    rows = split.activations(read_column(data), granularity="cls", predictions=True, labels=labels, progress=False)
    space = interp.fit_concepts(rows, by="semi-nmf", concepts=3, seed=1, progress=False)
    return {"model": model, "split": split, "rows": rows, "space": space}


# The chain, beside the verbs of Python


def test_activations_are_stored_and_read_again(kept: Kept, python: dict[str, Any]) -> None:
    rows, expected = load_result(kept["rows"]), python["rows"]
    assert torch.equal(rows.matrix(), expected.matrix()) and rows.granularity == "cls"
    assert torch.equal(rows.labels, expected.labels) and torch.equal(rows.predictions, expected.predictions)
    assert rows.class_names == python["model"].labels


def test_the_same_command_goes_on_from_what_is_stored(kept: Kept, tiny: Path, data: Path) -> None:
    asked = ("activations", "--model", tiny, "--layer", 0, "--data", data, "--labels", "label", "--to", kept["rows"])
    before = {file: file.stat().st_mtime_ns for file in kept["rows"].glob("*.safetensors")}
    said = told(*asked)
    assert said.startswith(
        "10 rows of width 16, 'cls' of 10 texts at 'bert.encoder.layer.0' of tiny\nlabels: LABEL_0 4"
    )
    assert {file: file.stat().st_mtime_ns for file in kept["rows"].glob("*.safetensors")} == before != {}
    assert json.loads(told(*asked, "--json"))["rows"] == 10
    assert "granularity" in refused(*asked, "--granularity", "word")


def test_a_space_is_learnt_with_the_parameters_that_were_set(kept: Kept, python: dict[str, Any]) -> None:
    (space,) = interp.load_results(kept["space"])
    assert torch.equal(space.dictionary, python["space"].dictionary)
    assert space.made_by.parameters["seed"] == 1


def test_a_saved_space_is_put_into_words(kept: Kept, python: dict[str, Any]) -> None:
    expected = interp.interpret(python["space"], python["rows"], by="top-inputs", top=2)
    (words,) = interp.load_results(kept["words"])
    assert words.concepts == expected.concepts
    said = told("interpret", kept["space"], kept["rows"], "--concept", 1, "--set", "top-inputs.top=2")
    doubt = f"  ({expected[1].note})" if expected[1].note else ""
    assert said == f"   1  {expected[1].label}{doubt}\n"


def test_how_much_concepts_matter_is_that_of_python(kept: Kept, tiny: Path, python: dict[str, Any]) -> None:
    asked = ("importance", kept["space"], kept["rows"], "--model", tiny, "--by", "occlusion", "--targets", "predicted")
    expected = interp.importance(
        python["split"], python["space"], python["rows"], by="occlusion", targets="predicted", progress=False
    )
    found = json.loads(told(*asked, "--json"))
    assert torch.allclose(torch.tensor(found["per_text"]), expected.per_text, atol=1e-6)
    assert told(*asked) == f"{expected.summary()}\n"
    label = interp.load_results(kept["words"])[0][0].label
    assert f"concept 0 ({label}) " in told(*asked, kept["words"])


def test_the_effect_of_a_change_is_that_of_python(kept: Kept, tiny: Path, python: dict[str, Any]) -> None:
    label = interp.load_results(kept["words"])[0][2].label
    change = ("--ablate", 0, "--scale", "concept 1=2", "--add", f"{label}=-0.5")
    asked = ("effect", kept["space"], kept["rows"], kept["words"], "--model", tiny, *change)
    made = interp.Change(ablate=[0], scale={1: 2.0}, add={2: -0.5})
    expected = interp.effect(python["split"], python["space"], python["rows"], made, progress=False)
    found = json.loads(told(*asked, "--json"))
    assert torch.allclose(torch.tensor(found["per_text"]), expected.per_text, atol=1e-6)
    head, *lines = told(*asked).splitlines()
    assert (
        head.startswith("ablate concept 0 (") and f"add concept 2 ({label}) by -0.5: mean change of the logit" in head
    )
    assert [line.split()[0] for line in lines] == list(expected.targets)
    assert [float(line.split()[1]) for line in lines] == [round(mean, 3) for mean in expected.mean.tolist()]


def test_what_is_measured_follows_from_the_metric(
    kept: Kept, tiny: Path, python: dict[str, Any], tmp_path: Path
) -> None:
    metrics = ("--by", "explained-variance", "--by", "stability", "--by", "loss-recovered", "--set", "stability.runs=2")
    asked = ("measure", kept["space"], kept["rows"], kept["words"], *metrics, "--model", tiny, "--save", tmp_path / "s")
    found = json.loads(told(*asked, "--json"))["scores"]
    given = (python["space"], python["rows"])
    expected = [
        interp.measure(*given, by="explained-variance"),
        interp.measure(*given, by="stability", runs=2),
        interp.measure(*given, python["split"], by="loss-recovered"),
    ]
    assert [score["value"] for score in found] == pytest.approx([score.value for score in expected], abs=1e-6)
    assert [score.name for score in interp.load_results(tmp_path / "s")] == [score.name for score in expected]


def test_saved_attributions_are_measured_with_the_model(kept: Kept, tiny: Path, python: dict[str, Any]) -> None:
    asked = ("measure", kept["why"], "--by", "comprehensiveness", "--set", "bins=[50]", "--no-chance")
    assert "asks the model again; name it with --model PATH" in refused(*asked, code=2)
    why = interp.load_results(kept["why"])
    expected = interp.measure(why, python["model"], by="comprehensiveness", bins=[50], chance=False, progress=False)
    assert told(*asked, "--model", tiny) == f"{expected.summary()}\n"


def test_steering_a_classifier_shows_its_probabilities(kept: Kept, tiny: Path, python: dict[str, Any]) -> None:
    asked = ("steer", "--model", tiny, "--space", kept["space"], "--concept", 1, "--strength", 3, "so sad")
    found = json.loads(told(*asked, "--json"))
    model, ids = python["model"], python["model"].encoder("so sad").ids[None]
    with interp.intervene(python["split"], python["space"], add={1: 3.0}):
        steered = model.logits(ids)[0].softmax(-1)
    for how, expected in (("without", model.logits(ids)[0].softmax(-1)), ("with", steered)):
        assert list(found["texts"][0][how].values()) == pytest.approx(expected.tolist(), abs=1e-6)
    head, _, text, *lines = told(*asked).splitlines()
    assert head.startswith("concept 1 +3; its code is at most ") and text == "so sad"
    before, after = (found["texts"][0][how]["LABEL_0"] for how in ("without", "with"))
    assert lines[0].split() == ["LABEL_0", f"{before:.3f}", "→", f"{after:.3f}"]


def test_steering_a_generator_shows_how_it_goes_on(tiny_lm: Path, data: Path, tmp_path: Path) -> None:
    rows, space = tmp_path / "rows", tmp_path / "space"
    told("activations", "--model", tiny_lm, "--layer", 1, "--data", data, "--to", rows)
    told("fit", rows, "--by", "pca", "--concepts", 2, "--save", space)
    asked = ("steer", "--model", tiny_lm, "--space", space, "--concept", 0, "--strength", 50, "--max-new-tokens", 4)
    found = json.loads(told(*asked, "--positions", "generated", "--json", "-", stdin="i feel so\n\nso sad\n"))
    model, (learnt,) = interp.load(tiny_lm), interp.load_results(space)
    assert [one["text"] for one in found["texts"]] == ["i feel so", "so sad"]
    for one in found["texts"]:
        ids = torch.tensor([model.encoder.prompt_ids(one["text"])])
        options = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": model.pad_id}
        plain = model.model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        with interp.intervene(model.split(1), learnt, add={0: 50.0}, positions="generated"):
            steered = model.model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        for how, expected in (("without", plain), ("with", steered)):
            assert one[how].split() == model.tokenizer.decode(expected[0, ids.shape[1] :]).split()
    lines = told(*asked, "i feel so").splitlines()
    assert [line.split(":")[0].strip() for line in lines[3:]] == ["without", "with"]
    changed = ("effect", rows, space, "--model", tiny_lm, "--ablate", 0)
    assert "name the next tokens that are meant" in refused(*changed)
    found = json.loads(told(*changed, "--contrast", "happy", "sad", "--json"))
    assert found["targets"] == ["happy - sad"] and len(found["per_text"]) == 10


def test_a_saved_space_is_described_and_not_learnt_again(
    kept: Kept, tiny: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit_concepts(*_: object, **__: object) -> None:
        raise AssertionError("a space was learnt")

    monkeypatch.setattr("interp_core.concepts.fit_concepts", fit_concepts)
    asked = ("concepts", "--model", tiny, "--data", data, "--space", kept["space"])
    told(*asked, "--save", tmp_path / "kept", "--set", "top-inputs.top=1")
    rows, space, words, *_ = interp.load_results(tmp_path / "kept")
    assert rows.layer == space.layer == "bert.encoder.layer.0" and rows.granularity == "cls"
    assert torch.equal(space.dictionary, interp.load_results(kept["space"])[0].dictionary)
    assert {len(one.words) for one in words} <= {0, 1}
    assert "concepts is for a space that is learnt" in refused(*asked, "--concepts", 4)


def test_how_much_concepts_matter_is_told_with_their_words(kept: Kept, tiny: Path, data: Path) -> None:
    asked = ("concepts", "--model", tiny, "--data", data, "--space", kept["space"])
    importance = json.loads(told(*asked, "--json"))["importance"]
    assert list(importance) == ["LABEL_0", "LABEL_1", "LABEL_2"] and {len(row) for row in importance.values()} == {3}
    said = told(*asked)
    best = max(range(3), key=importance["LABEL_1"].__getitem__)
    assert f"LABEL_1: concept {best} {importance['LABEL_1'][best]:.3f}" in said
    assert "importance" in json.loads(told(*asked, "--json", "--importance-by", "none"))


def test_results_are_written_as_tables(kept: Kept, tiny: Path, data: Path, tmp_path: Path) -> None:
    space, rows, words = kept["space"], kept["rows"], kept["words"]
    for name, command in {
        "attribute": ("attribute", "--model", tiny, "--by", "occlusion", "--data", data, "--labels", "label"),
        "interpret": ("interpret", space, rows),
        "importance": ("importance", space, rows, words, "--model", tiny),
        "effect": ("effect", space, rows, "--model", tiny, "--ablate", 0),
    }.items():
        told(*command, "--csv", tmp_path / f"{name}.csv")
        head, *lines = (tmp_path / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert {"attribute": "right", "interpret": "strength", "importance": "target", "effect": "target"}[name] in head
        assert len(lines) > 2
    assert "is a file and not a folder" in refused("interpret", space, rows, "--csv", data / "table.csv")


def test_a_pair_is_steered_as_the_pair_that_it_is(kept: Kept, tiny: Path, tmp_path: Path) -> None:
    """With its token types, and not as one text: what it says without is what `attribute` says."""
    file = tmp_path / "pairs.csv"
    file.write_text("one,two\nthe cat was sad,so happy today\n")
    asked = ("--data", file, "--column", "one", "--column", "two", "--json")
    steered = json.loads(
        told("steer", "--model", tiny, "--space", kept["space"], "--concept", 0, "--strength", 1, *asked)
    )
    (said,) = steered["texts"]
    model = interp.load(tiny)
    (why,) = interp.attribute(
        model,
        [("the cat was sad", "so happy today")],
        by="occlusion",
        targets="all",
        score="probability",
        progress=False,
    )
    assert list(said["without"].values()) == pytest.approx(why.intact.tolist(), abs=1e-5)
    assert said["text"] == why.text


def test_a_text_that_is_too_long_is_steered_with_a_note(kept: Kept, tiny: Path) -> None:
    result = run("steer", "--model", tiny, "--space", kept["space"], "--concept", 0, "--strength", 1, "so sad " * 60)
    assert result.exit_code == 0 and "cut off" in result.stderr


# Wrong inputs


def test_labels_of_another_space_are_refused(kept: Kept, tiny: Path, data: Path, tmp_path: Path) -> None:
    rows, space = tmp_path / "rows", tmp_path / "space"
    told("activations", "--model", tiny, "--layer", 1, "--data", data, "--to", rows)
    told("fit", rows, "--concepts", 3, "--save", space)
    said = refused("importance", space, rows, kept["words"], "--model", tiny)
    assert "of layer 'bert.encoder.layer.0', and the space of layer 'bert.encoder.layer.1'" in said


def test_a_concept_is_named_once(kept: Kept, tiny: Path) -> None:
    asked = ("effect", kept["space"], kept["rows"], "--model", tiny)
    assert "concept 0 is named twice" in refused(*asked, "--scale", "0=2", "--scale", "concept 0=3")
    assert "concept 1 is named twice" in refused(*asked, "--ablate", 1, "--ablate", "concept 1")
    steer = ("steer", "--model", tiny, "--space", kept["space"], "--strength", 1, "so sad")
    assert "concept 0 is named twice" in refused(*steer, "--concept", 0, "--concept", 0)


def test_a_misspelt_label_is_none_of_the_models(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("text,label,topic\nso happy,LABEL_0,cats\nso sad,LABEL_9,dogs\n")
    asked = ("activations", "--model", tiny, "--data", file, "--to", tmp_path / "rows")
    said = refused(*asked, "--labels", "label")
    assert "the label 'LABEL_9' of text 1 is not a class of the model" in said and "Did you mean" in said
    assert "classes of their own and not the model's: cats, dogs" in run(*asked, "--labels", "topic").stderr


def test_numbers_are_whole_and_places_are_two(kept: Kept, tiny: Path, data: Path, tmp_path: Path) -> None:
    assert "'²'" in refused("effect", kept["space"], kept["rows"], "--model", tiny, "--ablate", "²")
    assert "--1" in refused("activations", "--model", tiny, "--layer=--1", "--data", data, "--to", tmp_path / "rows")
    same = ("concepts", "--model", tiny, "--data", data, "--to", tmp_path / "one", "--save", tmp_path / "one")
    assert "name one folder" in refused(*same, code=2)
    assert "is a file and not a folder" in refused("concepts", "--model", tiny, "--data", data, "--to", data / "x")
    assert "--limit is for the file" in refused("attribute", "--model", tiny, "--limit", 1, "so sad", code=2)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fit {space} --save {new}", "needs activations, and none was given; `interp activations` saves some"),
        ("fit {rows} --by semi-nmff --save {new}", "Did you mean 'semi-nmf'?"),
        ("fit {rows} --set seeds=1 --save {new}", "Did you mean 'seed'?"),
        ("fit {rows} --set ica.seed=1 --save {new}", "name the method or metric, such as semi-nmf.seed=1"),
        ("fit {rows} --by cav --concepts 3 --save {new}", "cav has no use for --concepts"),
        ("fit {rows} --save {rows}", "is not empty"),
        ("fit {new} --save {new}2", "there is no file"),
        ("interpret {rows}", "needs one concept space, and none was given; `interp fit` saves some"),
        ("interpret {rows} {space} {space}", "needs one concept space, and 2 of them were given; give one"),
        ("interpret {rows} {space} --concept 9", "[9]"),
        ("interpret {rows} {space} --by lime", "'attribution'"),
        ("interpret {rows} {space} --html a.txt", "does not end in .html"),
        ("importance {rows} {space} --by limme --model m", "Did you mean 'lime'?"),
        ("importance {rows} {space} --model {new}", "is not a folder with a model"),
        ("importance {rows} {space} --model {tiny} --targets nothing", "nothing"),
        ("effect {rows} {space} --model m --ablate 9", "there is no concept '9'; give a number from 0 to 2"),
        ("effect {rows} {space} {words} --model m --ablate nothing", "there is no concept 'nothing'"),
        ("effect {rows} {space} --model m --ablate 0 --scale 0=2", "twice"),
        ("measure {rows} {space} --by explained-varianc", "Did you mean 'explained-variance'?"),
        ("measure {rows} --by explained-variance", "needs one concept space"),
        ("measure {rows} {space} --by insertion --model m", "needs attributions"),
        ("measure {why} --by plausibility-iou-f1 --model m", "compares with what people marked in each text"),
        ("measure {rows} {space} --by planted-mcc", "compares with the planted space"),
        ("attribute --model m --measure mse so", "mse measures concepts; a metric of 'attribution' is needed here"),
        ("attribute --model m --measure plausibility-iou-f1 so", "compares with what people marked"),
        ("steer --model m --space {rows} --concept 0 --strength 1 so", "needs one concept space"),
        ("steer --model m --space {space} --concept joy --strength 1 so", "there is no concept 'joy'"),
        ("activations --model m --data no.csv --to {new}", "there is no file 'no.csv'"),
        ("activations --model {tiny} --layer 7 --data {data} --to {new}", "layer 7 is out of range"),
        ("activations --model {tiny} --data {data} --device moon --to {new}", "cannot run on 'moon'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    kept: Kept, tiny: Path, data: Path, tmp_path: Path, command: str, said: str
) -> None:
    places = {**kept, "tiny": tiny, "data": data, "new": tmp_path / "new"}
    assert said in refused(*(word.format(**places) for word in command.split()))


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "--save", "a"],
        ["fit", "rows"],
        ["interpret"],
        ["importance", "rows"],
        ["effect", "rows", "--model", "m"],
        ["effect", "rows", "--model", "m", "--scale", "3"],
        ["measure", "rows"],
        ["measure", "rows", "--by", "insertion"],
        ["steer", "--model", "m", "--space", "s", "--concept", "0", "--strength", "1"],
        ["activations", "--model", "m", "--data", "-", "--labels", "label", "--to", "a"],
        ["activations", "--model", "m", "--data", "a.csv"],
        ["attribute", "--model", "m", "--dtype", "int3", "so sad"],
        ["attribute", "--model", "m", "-", "-"],
        ["attribute", "--model", "m", "-", "--data", "-"],
    ],
    ids=" ".join,
)
def test_a_wrong_usage_ends_with_two(command: list[str]) -> None:
    assert "Usage:" in refused(*command, code=2, stdin="so sad\n")


# What all commands share


def test_texts_come_from_standard_input_where_a_dash_says_so(tiny: Path) -> None:
    asked = ("attribute", "--model", tiny, "--by", "occlusion", "--json")
    piped = b"\xef\xbb\xbfso sad\r\n\n a good\xe2\x80\xa8day \n"
    for place in (("-",), ("--data", "-")):
        found = json.loads(told(*asked, *place, stdin=piped))["attributions"]
        assert [one["text"] for one in found] == ["so sad", " a good\u2028day "]
    found = json.loads(told(*asked, "first", "-", "last", stdin="so sad"))["attributions"]
    assert [one["text"] for one in found] == ["first", "so sad", "last"]
    found = json.loads(told(*asked, "--data", "-", "--limit", 1, stdin="so\nsad\n"))["attributions"]
    assert [one["text"] for one in found] == ["so"]
    assert "holds no text" in refused(*asked, "-", stdin="\n \n")
    assert "cannot be read as UTF-8" in refused(*asked, "-", stdin=b"caf\xe9\n")


def test_a_quiet_command_says_nothing_but_its_result(tiny: Path, data: Path, tmp_path: Path) -> None:
    """In a process of its own, where progress and warnings would go to the same standard error."""
    code = "from interp_core.cli import main; main()"
    words = ["fit", "rows", "--concepts", "2", "--save", "space", "--html", "page.html"]
    told("activations", "--model", tiny, "--layer", 0, "--data", data, "--to", tmp_path / "rows")
    options: dict[str, Any] = {"capture_output": True, "text": True, "cwd": tmp_path, "check": True}
    loud = subprocess.run([sys.executable, "-c", code, *words], **options)
    assert "Kept the results in space" in loud.stderr and "Wrote page.html" in loud.stderr
    words[5] = "again"
    quiet = subprocess.run([sys.executable, "-c", code, *words, "--quiet"], **options)
    assert (quiet.stderr, quiet.stdout) == ("", loud.stdout)
    done = run("attribute", "--model", tiny, "--by", "occlusion", "--save", tmp_path / "why", "--quiet", "so sad")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == told("attribute", "--model", tiny, "--by", "occlusion", "so sad")


def test_what_readers_should_know_is_one_line_unless_it_is_quiet(
    tiny: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    def told_of(*_: object, **__: object) -> Any:
        warnings.warn("something to know.", interp.InterpWarning, stacklevel=1)
        return interp.load_results(tmp_path / "space")[0]

    told("activations", "--model", tiny, "--layer", 0, "--data", data, "--to", tmp_path / "rows")
    told("fit", tmp_path / "rows", "--concepts", 2, "--save", tmp_path / "space")
    monkeypatch.setattr("interp_core.concepts.fit_concepts", told_of)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = run("fit", tmp_path / "rows", "--save", tmp_path / "a")
        assert said.stderr.splitlines()[0] == "interp: note: something to know."
        assert run("fit", tmp_path / "rows", "--save", tmp_path / "b", "--quiet").stderr == ""


def test_a_parameter_is_set_for_each_part_by_its_name(tiny: Path, data: Path) -> None:
    asked = ("attribute", "--model", tiny, "--by", "lime", "--measure", "comprehensiveness", "--json", "so sad today")
    pairs = ("--set", "samples=20", "--set", "lime.seed=3", "--set", "comprehensiveness.bins=[50]")
    found = json.loads(told(*asked, *pairs))
    parameters = found["attributions"][0]["made_by"]["parameters"]
    assert (parameters["samples"], parameters["seed"]) == (20, 3)
    assert found["scores"][0]["made_by"]["parameters"]["bins"] == [50]
    assert "Did you mean 'bins'?" in refused(*asked, "--set", "comprehensiveness.bin=[50]")
    assert "Did you mean 'comprehensiveness'?" in refused(*asked, "--set", "comprehensivenes.bins=[50]")
    asked = ("concepts", "--model", tiny, "--layer", 0, "--data", data, "--concepts", 3, "--importance-by", "lime")
    pairs = ("--set", "top-inputs.top=1", "--set", "lime.samples=8", "--set", "sparsity-ratio.threshold=0.5")
    assert "Did you mean 'samples'?" in refused(*asked, "--set", "lime.sample=8")
    assert len(json.loads(told(*asked, *pairs, "--json"))["concepts"][0]["words"]) <= 1


def test_a_model_is_loaded_in_the_number_format_that_was_named(tiny: Path) -> None:
    asked = ("attribute", "--model", tiny, "--by", "occlusion", "--device", "cpu", "--json", "so sad today")
    whole, half = (
        json.loads(told(*asked, "--dtype", dtype))["attributions"][0]["scores"] for dtype in ("float32", "bfloat16")
    )
    assert whole != half
    assert torch.allclose(torch.tensor(whole), torch.tensor(half), atol=0.05)


def test_one_class_is_held_against_another(tiny: Path) -> None:
    asked = ("attribute", "--model", tiny, "--by", "occlusion", "--json", "so sad today", "--contrast")
    found = json.loads(told(*asked, "LABEL_1", "LABEL_0"))["attributions"][0]
    expected = interp.attribute(
        interp.load(tiny), "so sad today", by="occlusion", targets=interp.contrast("LABEL_1", "LABEL_0"), progress=False
    )[0]
    assert found["targets"] == ["LABEL_1 - LABEL_0"]
    assert torch.allclose(torch.tensor(found["scores"]), expected.scores, atol=1e-6)


def test_parquet_and_folders_are_read_with_classes_by_name(tiny: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    mood = datasets.ClassLabel(names=["LABEL_2", "LABEL_0"])
    features = datasets.Features(text=datasets.Value("string"), mood=mood)
    rows = datasets.Dataset.from_dict({"text": ["so sad", "so happy"], "mood": [0, 1]}, features=features)
    (tmp_path / "set").mkdir()
    rows.to_parquet(tmp_path / "set" / "train.parquet")
    for place in (tmp_path / "set" / "train.parquet", tmp_path / "set"):
        asked = ("attribute", "--model", tiny, "--by", "occlusion", "--data", place, "--labels", "mood", "--json")
        found = json.loads(told(*asked))["attributions"]
        assert [one["text"] for one in found] == ["so sad", "so happy"]
        assert [one["label"] for one in found] == ["LABEL_2", "LABEL_0"]


def test_a_model_that_neither_generates_nor_classifies_is_not_steered(kept: Kept, tmp_path: Path) -> None:
    tagger = saved(tiny_tagger(), tmp_path / "tagger")
    asked = ("steer", "--model", tagger, "--space", kept["space"], "--concept", 0, "--strength", 1, "so sad")
    assert "neither generates nor classifies" in refused(*asked)


# Completion


def completed(*words: str) -> list[str]:
    """What a shell would offer for the last of some words."""
    shell = ShellComplete(main, {}, "interp", "_INTERP_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_a_shell_completes_the_names_of_methods_where_one_is_named() -> None:
    def named(kind: Any, start: str = "", measures: str = "") -> list[str]:
        return [m.name for m in methods(kind) if m.name.startswith(start) and measures in ("", m.measures)]

    assert completed("show", "li") == completed("check", "li") == named(None, "li") != []
    assert completed("attribute", "--by", "") == completed("benchmark", "--by", "") == named("attribution")
    assert completed("attribute", "--measure", "") == completed("benchmark", "--measure", "")
    assert completed("attribute", "--measure", "") == named("metric", measures="attribution")
    assert completed("fit", "rows", "--by", "s") == completed("concepts", "--by", "s") == named("concepts", "s")
    assert completed("interpret", "--by", "") == completed("concepts", "--words-by", "") == named("interpretation")
    assert completed("importance", "--by", "l") == named("attribution", "l")
    assert completed("concepts", "--importance-by", "n") == ["none"]
    assert completed("measure", "--by", "") == named("metric")
    assert completed("demo", "--llm", "") == named("llm")
    assert "activations" in completed("a") and "attribute" in completed("a")


def test_a_shell_is_told_what_each_method_does() -> None:
    shell = ShellComplete(main, {}, "interp", "_INTERP_COMPLETE")
    (item,) = shell.get_completions(["show"], "lime")
    assert item.help == next(m.summary for m in methods() if m.name == "lime")
