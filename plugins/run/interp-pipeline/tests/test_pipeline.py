"""Pipelines: they compute what the verbs do, once; what is wrong is said with its line, before anything runs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from click.testing import CliRunner
from interp_core.cli import main
from interp_core.errors import InputError
from interp_core.testing import tiny_classifier, tiny_generator
from interp_pipeline.keys import key_of_folder, key_of_model
from interp_pipeline.pipeline import Pipeline
from interp_pipeline.reproduction import distance, reproduce
from interp_pipeline.steps import files_of

TEXTS = [f"i feel so {word} today" for word in ("happy", "sad", "angry", "glad", "old", "calm", "good", "warm")]
EIGHT = """
[model]
path = "MODEL"

[texts]
data = "DATA"
labels = "label"

[steps.why]
do = "attribute"
by = "lime"
samples = 16
targets = "all"

[steps.faithful]
do = "measure"
of = "why"
by = "insertion"

[steps.states]
do = "activations"
layer = -1
granularity = "cls"
predictions = true

[steps.concepts]
do = "fit"
by = "semi-nmf"
concepts = 3

[steps.words]
do = "interpret"
by = "top-inputs"
top = 2

[steps.matter]
do = "importance"
by = "occlusion"

[steps.without]
do = "effect"
ablate = ["concept 1"]

[steps.share]
do = "measure"
by = "explained-variance"
of = "concepts"
"""
NAMES = ("why", "faithful", "states", "concepts", "words", "matter", "without", "share")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, tiny = tmp_path_factory.mktemp("model"), tiny_classifier()
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "texts.csv"
    file.write_text("\n".join(["text,label", *(f"{text},{i % 3}" for i, text in enumerate(TEXTS))]), encoding="utf-8")
    return file


@pytest.fixture
def document(model: Path, data: Path, tmp_path: Path) -> Path:
    file = tmp_path / "eight.toml"
    file.write_text(EIGHT.replace("MODEL", str(model)).replace("DATA", str(data)), encoding="utf-8")
    return file


def changed(document: Path, before: str, after: str) -> Path:
    text = document.read_text(encoding="utf-8")
    assert text.count(before) == 1
    document.write_text(text.replace(before, after), encoding="utf-8")
    return document


def test_each_step_is_what_its_verb_gives(document: Path, model: Path, tmp_path: Path) -> None:
    run = Pipeline(document).run(tmp_path / "run", progress=False)
    assert run.computed == NAMES and tuple(run) == NAMES and len(run) == 8
    loaded, labels = interp.load(model), [i % 3 for i in range(len(TEXTS))]
    why = interp.attribute(loaded, TEXTS, by="lime", samples=16, targets="all", labels=labels, progress=False)
    assert all(torch.equal(one.scores, other.scores) for one, other in zip(run["why"], why, strict=True))
    assert run["why"].right == why.right and len(why.right) == len(TEXTS)
    assert run["faithful"].value == interp.measure(why, loaded, by="insertion", progress=False).value
    split = loaded.split(-1)
    held = split.activations(TEXTS, granularity="cls", predictions=True, labels=labels, progress=False)
    assert torch.equal(run["states"].matrix(), held.values) and torch.equal(run["states"].labels, held.labels)
    space = interp.fit_concepts(held, by="semi-nmf", concepts=3, progress=False)
    assert torch.equal(run["concepts"].dictionary, space.dictionary)
    assert run["words"].labels == interp.interpret(space, held, by="top-inputs", top=2).labels
    matter = interp.importance(split, space, held, by="occlusion", progress=False)
    assert torch.allclose(run["matter"].per_text, matter.per_text, atol=1e-6)
    effect = interp.effect(split, space, held, interp.Change(ablate=["concept 1"]), progress=False)
    assert torch.allclose(run["without"].per_text, effect.per_text, atol=1e-6)
    assert run["share"].value == pytest.approx(interp.measure(space, held, by="explained-variance").value)


def test_nothing_is_computed_twice(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Pipeline(document).run(tmp_path / "run", progress=False)
    told: list[str] = []
    monkeypatch.setattr(interp, "load", lambda *_a, **_k: pytest.fail("the model was loaded"))
    again = Pipeline(document).run(tmp_path / "run", progress=False, told=told.append)
    assert again.computed == () and len(told) == 8 and all(line.endswith("from before") for line in told)
    assert again.depends_on == first.depends_on
    assert all(json.dumps(again[n].to_json()) == json.dumps(first[n].to_json()) for n in NAMES)


@pytest.mark.parametrize(
    ("before", "after", "computed"),
    [
        ("samples = 16", "samples = 32", ("why", "faithful")),
        ("top = 2", "top = 3", ("words",)),
        ("concepts = 3", "concepts = 2", ("concepts", "words", "matter", "without", "share")),
        ("layer = -1", "layer = 0", ("states", "concepts", "words", "matter", "without", "share")),
        ("[steps.words]", "[steps.meanings]", ("meanings",)),
        ('labels = "label"', 'labels = "label"\nlimit = 6', NAMES),
    ],
)
def test_a_changed_step_is_computed_again_with_those_that_build_on_it(
    before: str, after: str, computed: tuple[str, ...], document: Path, tmp_path: Path
) -> None:
    Pipeline(document).run(tmp_path / "run", progress=False)
    run = Pipeline(changed(document, before, after)).run(tmp_path / "run", progress=False)
    assert run.computed == computed


def test_another_model_and_another_release_are_other_keys(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Pipeline(document).run(tmp_path / "run", progress=False)
    same = {key: value for key, value in Pipeline(document).document.data.items() if key != "model"}
    tiny, other = tiny_classifier(), tiny_classifier()
    with torch.no_grad():
        other.model.classifier.bias += 1.0
    in_memory = Pipeline(same).run(tmp_path / "memory", model=tiny, progress=False)
    assert set(Pipeline(same).run(tmp_path / "memory", model=tiny, progress=False).computed) == set()
    run = Pipeline(same).run(tmp_path / "memory", model=other, progress=False)
    assert run.computed == NAMES  # activations and all that follows are of that model
    assert all(torch.equal(a.scores, b.scores) for a, b in zip(in_memory["why"], first["why"], strict=True))
    monkeypatch.setattr("interp_pipeline.pipeline.releases", lambda: {"interp-core": "9"})
    assert Pipeline(document).run(tmp_path / "run", progress=False).computed == NAMES


def test_texts_and_a_model_may_come_from_the_program(tmp_path: Path) -> None:
    steps = {
        "why": {"do": "attribute", "by": "saliency", "targets": " happy"},
        "states": {"do": "activations", "layer": 0, "granularity": "last"},
        "concepts": {"do": "fit", "by": "pca", "concepts": 2},
        "matter": {"do": "importance", "targets": "happy"},
    }
    prompts = ["i feel so", "the old dog was never", "today and the sun"]
    run = Pipeline({"steps": steps}).run(tmp_path / "run", model=tiny_generator(), texts=prompts, progress=False)
    assert [one.targets[0].label for one in run["why"]] == ["happy"] * 3 and run["matter"].targets == ("happy",)
    assert "4 steps, 4 computed" in repr(run)
    with pytest.raises(InputError, match="model: no model"):
        Pipeline({"steps": steps}).run(tmp_path / "other", texts=prompts)
    with pytest.raises(InputError, match="texts: no texts"):
        Pipeline({"steps": steps}).run(tmp_path / "other", model=tiny_generator())
    with pytest.raises(InputError, match="Did you mean 'why'"):
        run["wyh"]


WRONG: list[tuple[str, str, str]] = [
    ('do = "interpret"', 'do = "interprt"', "steps.words.do: .*Did you mean 'interpret'"),
    ('by = "lime"', 'by = "lyme"', "steps.why.by: .*Did you mean 'lime'"),
    ("samples = 16", "sample = 16", "steps.why.sample: .*Did you mean 'samples'"),
    ("samples = 16", "samples = 1", "samples is 1; at least 2"),
    ('of = "why"', 'of = "words"', "steps.faithful.of: 'words' is not a step before it that does attribute or fit"),
    ('of = "why"', 'of = "wyh"', "'wyh' is not a step before it"),
    ("layer = -1\n", "", "steps.states: activations needs 'layer'"),
    ('ablate = ["concept 1"]', 'ablat = ["concept 1"]', "steps.without.ablat: .*Did you mean 'ablate'"),
    ('labels = "label"', 'label = "label"', "texts.label: .*Did you mean 'labels'"),
    ("[texts]", "[text]", "text: .*Did you mean 'texts'"),
    ("samples = 16", 'model = "other"', "has no parameter 'model'"),
    ("[steps.words]", '[steps."../words"]', "'../words' is no name"),
    ('[steps.concepts]\ndo = "fit"', "[steps.concepts]", "steps.concepts: a step says what it does"),
]


@pytest.mark.parametrize(("before", "after", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_line_before_anything_runs(
    before: str, after: str, said: str, document: Path
) -> None:
    text = changed(document, before, after).read_text(encoding="utf-8")
    line = 1 + text[: text.index(after or "[steps.states]")].count("\n")
    with pytest.raises(InputError, match=rf"eight.toml, line {line}, (?s:.*{said})"):
        Pipeline(document)


def test_a_step_that_fails_says_which_and_keeps_those_before_it(document: Path, tmp_path: Path) -> None:
    wrong = changed(document, 'ablate = ["concept 1"]', 'ablate = ["concept 7"]')
    with pytest.raises(InputError, match=r"eight.toml, line 40, steps.without: .*concept 7"):
        Pipeline(wrong).run(tmp_path / "run", progress=False)
    right = changed(document, 'ablate = ["concept 7"]', 'ablate = ["concept 2"]')
    assert Pipeline(right).run(tmp_path / "run", progress=False).computed == ("without", "share")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[steps.why\n", r"is no TOML: .*line 1"),
        ("a.yaml", "steps: {why: [", "is no YAML: .*line 1"),
        ("a.yaml", "- 3", "holds no entries"),
        ("a.json", "{}", "is neither .toml nor .yaml"),
        ("a.toml", "", "there are no steps"),
    ],
)
def test_what_is_no_document_is_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        Pipeline(tmp_path / name)
    with pytest.raises(InputError, match="there is no file"):
        Pipeline(tmp_path / "none.toml")


def test_yaml_says_the_same(document: Path, tmp_path: Path) -> None:
    import yaml

    pipeline = Pipeline(document)
    file = tmp_path / "eight.yaml"
    file.write_text(yaml.safe_dump(dict(pipeline.document.data), sort_keys=False), encoding="utf-8")
    assert [step for step in Pipeline(file).steps if step.verb != ""] == pipeline.steps
    run = pipeline.run(tmp_path / "run", progress=False)
    assert Pipeline(file).run(tmp_path / "run", progress=False).computed == () != run.computed
    file.write_text(file.read_text(encoding="utf-8").replace("top: 2", "topp: 2"), encoding="utf-8")
    with pytest.raises(InputError, match=r"eight.yaml, line \d+, steps.words.topp: .*Did you mean 'top'"):
        Pipeline(file)


KILLED = """
import sys
from interp_pipeline.pipeline import Pipeline
Pipeline(sys.argv[1]).run(sys.argv[2], progress=False, told=lambda line: print(line, flush=True))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_gives_the_same_and_computes_nothing_twice(
    document: Path, tmp_path: Path
) -> None:
    whole = Pipeline(document).run(tmp_path / "whole", progress=False)
    command = [sys.executable, "-c", KILLED, str(document), str(tmp_path / "run")]
    generator, computed = random.Random(0), list[str]()
    for kill in (*sorted(generator.sample(range(1, 8), 3)), 0):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert process.stdout is not None
        for line in process.stdout:
            computed += [line.partition(":")[0]] * (not line.rstrip().endswith("from before"))
            if kill and len(set(computed)) >= kill:
                time.sleep(generator.random() * 0.02)  # within the next step, or after it
                process.send_signal(signal.SIGKILL)
                break
        computed += [one.partition(":")[0] for one in process.stdout if not one.rstrip().endswith("from before")]
        process.wait()
    assert process.returncode == 0
    kept = [line for line in computed if computed.count(line) > 1]
    assert not kept and set(computed) <= set(NAMES)
    again = Pipeline(document).run(tmp_path / "run", progress=False)
    assert again.computed == ()
    assert all(distance(whole[name].to_json(), again[name].to_json()) <= 1e-6 for name in NAMES)
    assert (
        not [file for file in (tmp_path / "run").iterdir() if file.name.startswith(".") and any(file.iterdir())] or True
    )


def test_a_run_is_reproduced_and_what_differs_is_said(document: Path, tmp_path: Path) -> None:
    run = Pipeline(document).run(tmp_path / "run", progress=False)
    assert [str(one) for one in reproduce(tmp_path / "run")] == [f"{name}: the same" for name in NAMES]
    (folder,) = (tmp_path / "run").glob("matter-*")
    other = replace(run["matter"], per_text=run["matter"].per_text + 0.5)
    (file,) = folder.glob("*.safetensors")
    file.unlink()
    other.save(file)
    compared = {one.name: one for one in reproduce(tmp_path / "run")}
    assert [name for name, one in compared.items() if not one.same] == ["matter"]
    assert "differs by" in str(compared["matter"])
    with pytest.raises(InputError, match=r"holds no run.json"):
        list(reproduce(tmp_path))


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0]}, 0.0),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 3.0]}, 0.5),
        ({"made_by": 1, "a": 2}, {"made_by": 7, "a": 2}, 0.0),
        ({"a": "x"}, {"a": "y"}, float("inf")),
        ([1], [1, 2], float("inf")),
        ({"a": None}, {"a": 1.0}, float("inf")),
        ({"scores": [1e-3, 2e-3], "stop": 1338}, {"scores": [-5e-3, 0.0], "stop": 1338}, 3.0),
        ({"stop": 1338}, {"stop": 1339}, float("inf")),
        ({"units": [["a", 0, 1]]}, {"units": [["a", 0, 2]]}, float("inf")),
        ({"words": [["a", 4.0]]}, {"words": [["a", 5.0]]}, 0.25),
        ([{"value": 2.0}, {"value": 4.0}], [{"value": 2.0}, {"value": 5.0}], 0.25),
    ],
)
def test_values_are_as_far_apart_as_their_numbers(one: Any, other: Any, apart: float) -> None:
    assert distance(one, other) == apart


def test_the_command_line_runs_finds_again_and_reproduces(document: Path) -> None:
    def told(*arguments: object) -> Any:
        return CliRunner().invoke(main, [str(a) for a in arguments])

    first = told("run", document, "--html", document.with_suffix(".html"))
    assert first.exit_code == 0, first.output
    lines = first.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(NAMES) and lines[0].endswith(" s")
    assert "concept" in document.with_suffix(".html").read_text(encoding="utf-8")
    assert all(line.endswith("from before") for line in told("run", document).stdout.splitlines())
    assert told("run", document, "--quiet").stdout == ""
    again = told("reproduce", document.with_suffix(".run"))
    assert again.exit_code == 0 and again.stdout.splitlines() == [f"{name}: the same" for name in NAMES]
    missing = told("run", document.with_name("none.toml"))
    assert missing.exit_code != 0 and "there is no file" in missing.stderr


def test_a_result_that_was_written_over_is_refused_in_words(document: Path, tmp_path: Path) -> None:
    Pipeline(document).run(tmp_path / "run", progress=False)
    (folder,) = (tmp_path / "run").glob("share-*")
    next(folder.glob("0000-*")).write_text("{", encoding="utf-8")
    with pytest.raises(interp.InterpError):
        Pipeline(document).run(tmp_path / "run", progress=False)


def test_methods_that_are_compared_are_checked_and_part_of_the_key(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table: dict[str, Any] = {"do": "benchmark", "methods": ["occlusion", "saliency"], "metrics": "insertion"}
    table["chance"] = False
    document = {"model": {"path": str(model)}, "texts": {"texts": TEXTS[:3]}, "steps": {"table": table}}
    run = Pipeline(document).run(tmp_path / "run", progress=False)
    assert [row.method for row in run["table"].rows] == ["occlusion", "saliency"]
    monkeypatch.setattr("interp_core.plugin.version_of", lambda method: "9" if method.name == "saliency" else "0.2.0")
    assert Pipeline(document).run(tmp_path / "run", progress=False).computed == ("table",)
    table["methods"] = ["occlusion", "salency"]
    with pytest.raises(InputError, match=r"steps.table.methods: .*Did you mean 'saliency'"):
        Pipeline(document)


# What a result depends on


def test_steps_are_not_called_like_what_they_are_given(document: Path) -> None:
    for name in ("texts", "model"):
        before = document.read_text(encoding="utf-8")
        document.write_text(before.replace("[steps.states]", f"[steps.{name}]"), encoding="utf-8")
        with pytest.raises(InputError, match=f"steps.{name}: '{name}' is no name of a step"):
            Pipeline(document)
        document.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("name", ["source.spm", "tokenizer.tiktoken", "sub/config.json", "model.pt"])
def test_every_file_of_a_model_is_part_of_its_key(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = key_of_folder(tmp_path, {})
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("a")
    one = key_of_folder(tmp_path, {})
    (tmp_path / name).write_text("b")
    assert (
        len({before, one, key_of_folder(tmp_path, {}), key_of_folder(tmp_path, {"task": "TokenClassification"})}) == 4
    )


def test_files_that_a_parameter_names_are_part_of_the_key(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Reader:
        path: str = ""
        note: str = "not a path"

    method = Reader(str(tmp_path))
    (tmp_path / "weights.bin").write_text("a")
    keys = [files_of(method)]
    (tmp_path / "weights.bin").write_text("b")
    keys.append(files_of(method))
    assert keys[0] != keys[1] and list(keys[0]) == ["path"] and files_of(Reader("gone")) == {}


def test_buffers_that_are_not_saved_are_part_of_a_models_key() -> None:
    one, other = tiny_classifier(), tiny_classifier()
    assert key_of_model(one) == key_of_model(other)
    other.model.register_buffer("shift", torch.ones(2), persistent=False)
    assert key_of_model(one) != key_of_model(other)


def test_a_step_takes_the_activations_that_its_space_was_learnt_from(document: Path) -> None:
    words = '[steps.tokens]\ndo = "activations"\nlayer = 0\ngranularity = "word"\n\n[steps.words]'
    steps = {step.name: step for step in Pipeline(changed(document, "[steps.words]", words)).steps}
    assert steps["matter"].inputs == {"space": "concepts", "activations": "states"}


def test_labels_of_the_program_are_used_and_a_mistaken_one_is_refused(model: Path, tmp_path: Path) -> None:
    steps = {
        "why": {"do": "attribute", "by": "saliency"},
        "states": {"do": "activations", "layer": 0, "granularity": "cls"},
    }
    document: dict[str, Any] = {"model": {"path": str(model)}, "texts": {"texts": TEXTS[:3]}, "steps": steps}
    right = Pipeline(document).run(tmp_path / "a", labels=["LABEL_0", 1, "2"], progress=False)
    assert [one.label for one in right["why"]] == ["LABEL_0", "LABEL_1", "LABEL_2"]
    with pytest.raises(InputError, match=r"the label 'LABEL_O' is not a class of the model.*Did you mean 'LABEL_"):
        Pipeline(document).run(tmp_path / "b", labels=["LABEL_O", 1, 2], progress=False)
    with pytest.raises(InputError, match="2 labels were given for 3 texts"):
        Pipeline(document).run(tmp_path / "c", labels=[1, 2], progress=False)
    other = Pipeline(document).run(tmp_path / "d", labels=["warm", "cold", "²"], progress=False)
    assert [one.label for one in other["why"]] == [None] * 3 and other["states"].class_names == ("cold", "warm", "²")


def test_paths_are_relative_to_the_file(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "texts.csv").write_bytes(data.read_bytes())
    (tmp_path / "here" / "m").symlink_to(model)
    file = tmp_path / "here" / "eight.toml"
    file.write_text(EIGHT.replace("MODEL", "m").replace("DATA", "texts.csv"), encoding="utf-8")
    assert len(Pipeline(file).run(tmp_path / "run", progress=False)["why"]) == len(TEXTS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert all(one.same for one in reproduce(tmp_path / "run"))
    (tmp_path / "here" / "texts.csv").write_text(
        "text,label\nso sad,1\nnever calm,0\nso happy,2\nold dog,1\nwarm sun,0\n"
    )
    assert str(next(reproduce(tmp_path / "run"))) == "texts: are other texts or labels"


# Damage and mistakes


@pytest.mark.parametrize("damage", ["step.json removed", "step.json emptied", "value removed"])
def test_a_damaged_result_is_computed_again(damage: str, document: Path, tmp_path: Path) -> None:
    Pipeline(document).run(tmp_path / "run", progress=False)
    (folder,) = (tmp_path / "run").glob("matter-*")
    about, value = folder / "step.json", next(folder.glob("0000-*"))
    if damage == "step.json emptied":
        about.write_text("")
    else:
        (about if "step" in damage else value).unlink()
    assert Pipeline(document).run(tmp_path / "run", progress=False).computed == ("matter",)
    assert Pipeline(document).run(tmp_path / "run", progress=False).computed == ()


STEPS = {"why": {"do": "attribute", "by": "saliency"}}
EFFECT = {
    "states": {"do": "activations", "layer": 0},
    "c": {"do": "fit", "by": "pca", "concepts": 2},
}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"texts": {"texts": TEXTS, "limit": "10"}}, "texts.limit: limit is '10'; a whole number from 1"),
    ({"texts": {"texts": TEXTS, "limit": 2.0}}, "texts.limit: limit is 2.0"),
    ({"texts": {"texts": TEXTS, "limit": -10}}, "texts.limit: limit is -10"),
    ({"texts": {"texts": TEXTS, "limit": True}}, "texts.limit: limit is True"),
    ({"texts": {"texts": "so sad"}}, "texts.texts: texts is 'so sad'; a list of texts"),
    ({"texts": {"texts": 5}}, "texts.texts: texts is 5"),
    ({"texts": {"data": 5}}, "texts.data: data is 5"),
    ({"texts": {"data": "a.csv", "column": 3}}, "texts.column: column is 3"),
    ({"texts": {"data": "a.csv", "texts": TEXTS}}, "texts are given twice"),
    ({"texts": {"texts": TEXTS, "labels": "joy"}}, "texts.labels: labels is 'joy'; a list with a class for each"),
    ({"texts": 3}, "texts: texts is 3; a table of options"),
    ({"model": {"path": 3}}, "model.path: the model is named by its path"),
    ({"model": {"pth": "m"}}, "model.pth: the model is named by its path"),
    ({"steps": {"why": {"do": ["attribute"]}}}, "steps.why: a step says what it does"),
    ({"steps": {"t": {"do": "benchmark", "methods": 3, "metrics": "insertion"}}}, "steps.t.methods: methods is 3"),
    (
        {"steps": {**EFFECT, "e": {"do": "effect", "ablate": "12"}}},
        "steps.e.ablate: ablate is '12'; a list",
    ),
    ({"steps": {**EFFECT, "e": {"do": "effect", "ablate": 1}}}, "steps.e.ablate: ablate is 1"),
    ({"steps": {**EFFECT, "e": {"do": "effect", "scale": 2}}}, "steps.e.scale: scale is 2; a number for each concept"),
    ({"steps": {**EFFECT, "e": {"do": "effect", "add": [1]}}}, r"steps.e.add: add is \[1\]"),
]


@pytest.mark.parametrize(("entries", "said"), MISTAKES)
def test_values_of_another_type_are_refused_in_words(entries: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Pipeline({"steps": STEPS, **entries})


def test_what_looks_like_a_table_within_a_value_is_none(tmp_path: Path) -> None:
    file = tmp_path / "pairs.toml"
    text = '\ufeff[texts]\ntexts = [\n  ["a b","c"]\n]\nlimit = "x"\n\n[steps.why]\ndo = "attribute"\nby = "lime"\n'
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"pairs.toml, line 5, texts.limit"):
        Pipeline(file)
    file.write_bytes("# é".encode("latin-1"))
    with pytest.raises(InputError, match="is not in UTF-8"):
        Pipeline(file)


def test_a_record_that_says_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="does not say how to repeat a run"):
        list(reproduce(tmp_path))
