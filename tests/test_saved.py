"""Values on disk: what 0.1 wrote is read, every kind can be saved, and what is no result is refused.

`fixtures/saved-0.1` was written by the release 0.1 before its modules were moved and renamed: a file of each kind, a
store, the space of each concept method, and in `codes.safetensors` what each of these gave for some rows.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.concepts import AffineSpace, ConceptSpace
from interp_core.errors import InputError
from interp_core.reporting import ClassConcepts
from interp_core.results import Cost, MadeBy, for_json, load_result, load_tensors, made_again, made_by, save_json
from interp_core.testing import dictionary_world, planted_model
from safetensors import safe_open
from safetensors.torch import load_file
from torch.testing import assert_close

OLD = Path(__file__).parent / "fixtures" / "saved-0.1"
VALUES = sorted((OLD / "values").iterdir())
SPACES = sorted((OLD / "spaces").iterdir())
CODES = load_file(OLD / "codes.safetensors")
KINDS = {
    "attribution": interp.Attribution,
    "activations": interp.Activations,
    "affinespace": interp.ConceptSpace,
    "interpretation": interp.Interpretation,
    "importance": interp.Importance,
    "effect": interp.Effect,
    "score": interp.Score,
    "benchmark": interp.Benchmark,
}


def test_there_is_a_file_of_every_kind_that_can_be_saved() -> None:
    assert {file.stem.partition("-")[2] for file in VALUES} == set(KINDS)
    assert len(SPACES) == 24


@pytest.mark.parametrize("file", VALUES, ids=lambda file: file.name)
def test_a_value_written_by_0_1_is_read_and_written_again(file: Path, tmp_path: Path) -> None:
    value = load_result(file)
    assert isinstance(value, KINDS[file.stem.partition("-")[2]])
    assert value.made_by.versions["interp-core"] == "0.1.0" if hasattr(value, "made_by") else True
    [path] = interp.save(value, tmp_path / "again")
    assert path.suffix == file.suffix
    assert same(load_result(path), value)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in all that is saved."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, ConceptSpace):
        return (
            all(map(torch.equal, one.state_dict().values(), other.state_dict().values())) and one.names == other.names
        )
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def test_what_0_1_called_a_floor_is_the_chance_level() -> None:
    [file] = [f for f in VALUES if f.name.startswith("0008-score")]
    old = json.loads(file.read_text(encoding="utf-8"))
    score = interp.Score.load(file)
    assert score.chance == old["floor"] is not None
    assert "chance" in score.to_json() and "floor" not in score.to_json()
    with pytest.warns(DeprecationWarning, match="is called Score.chance"):
        assert score.floor == score.chance


@pytest.mark.parametrize("file", SPACES, ids=lambda file: file.stem)
def test_a_space_written_by_0_1_encodes_as_it_did(file: Path, tmp_path: Path) -> None:
    space = ConceptSpace.load(file)
    rows = CODES["nonnegative rows" if file.stem == "nmf" else "rows"]
    codes = space.encode(rows)
    assert_close(codes, CODES[file.stem])  # the last bits are the processor's
    path = space.save(tmp_path / "space.safetensors")
    with safe_open(path, framework="pt") as opened:
        name = json.loads(opened.metadata()["interp"])["data"]["space"]
    package, _, made = name.partition("/")  # a class may move within its package
    assert package.startswith("interp-") and made == type(space).__name__
    assert torch.equal(ConceptSpace.load(path).encode(rows), codes)


def test_a_store_written_by_0_1_is_read_and_gone_on_with() -> None:
    held = load_result(OLD / "store")
    assert isinstance(held, interp.Activations) and held.matrix().shape == (len(held), 16)
    assert held.texts[0] == "i feel so happy today"


class Touched:
    """A result that is quickly saved."""

    SUFFIX = ".json"

    def save(self, path: Path) -> Path:
        path.touch()
        return path


def test_ten_thousand_results_come_in_order(tmp_path: Path) -> None:
    """Also from a folder of 0.1, which wrote four digits whatever the number."""
    written = interp.save([Touched()] * 10_002, tmp_path / "new")
    assert [file.name for file in written[998:1003]] == [f"{n:05d}-touched.json" for n in range(998, 1003)]
    for number in (999, 1001, 10_000, 10_001):
        interp.Score(float(number), True).save(_made(tmp_path / "old") / f"{number:04d}-score.json")
    assert [score.value for score in interp.load_results(tmp_path / "old")] == [999, 1001, 10_000, 10_001]


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_results_of_a_folder_come_in_order_and_several_folders_together() -> None:
    values = interp.load_results(OLD / "values")
    assert [type(v) for v in values] == [
        KINDS[file.stem.partition("-")[2]] if "space" not in file.stem else type(v)
        for file, v in zip(VALUES, values, strict=True)
    ]
    assert len(interp.load_results(OLD / "values", OLD / "spaces", OLD / "store")) == len(VALUES) + len(SPACES) + 1


class OwnSpace(ConceptSpace):
    """A space of this program."""

    def encode(self, values: torch.Tensor) -> torch.Tensor:
        return values @ self.dictionary.T


def test_a_space_that_a_program_defines_is_read_by_it_and_refused_elsewhere(tmp_path: Path) -> None:
    path = OwnSpace(torch.eye(3)).save(tmp_path / "own.safetensors")
    assert isinstance(ConceptSpace.load(path), OwnSpace)
    tensors, data = load_tensors(path, "concepts")
    assert data["space"] == "program/OwnSpace"
    from interp_core.results import save_tensors

    for name, error in (
        ("program/Unheard", "no installed package declares"),
        ("interp-ica/Unheard", "another version"),
    ):
        with pytest.raises((InputError, interp.InterpError), match=error):
            ConceptSpace.load(
                save_tensors(tmp_path / "other.safetensors", "concepts", tensors, {**data, "space": name})
            )


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    space = AffineSpace(torch.eye(2), torch.eye(2))
    with pytest.raises(InputError, match="int cannot be saved"):
        interp.save([space, 3], tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    interp.save([space, [space]], tmp_path / "kept")
    with pytest.raises(InputError, match="not empty"):
        interp.save(space, tmp_path / "kept")


def test_a_score_is_saved_with_its_values(tmp_path: Path) -> None:
    activations, truth = dictionary_world(rows=60)
    score = interp.measure(truth, activations, by="explained-variance")
    assert same(interp.Score.load(score.save(tmp_path / "score.json")), score)


def test_every_kind_of_result_is_saved_and_loaded_in_one_list(tmp_path: Path) -> None:
    values = interp.load_results(OLD / "values")
    space, words, importance = (
        next(v for v in values if isinstance(v, kind))
        for kind in (ConceptSpace, interp.Interpretation, interp.Importance)
    )
    whole = ClassConcepts(importance.targets[0], space, words, importance)
    bare = ClassConcepts(importance.targets[0], None, None, importance)
    every = [*values, [whole, bare], interp.Score(0.5, None)]
    interp.save(every, tmp_path / "kept")
    again = interp.load_results(tmp_path / "kept")
    assert {type(v) for v in again} == {*map(type, values), ClassConcepts}
    assert same(again, [*values, whole, bare, interp.Score(0.5, None)])


def test_the_concepts_of_a_class_write_nothing_outside_of_a_folder_of_their_own(tmp_path: Path) -> None:
    from interp_core.results import save_tensors

    spoilt = {"../../out.json": torch.zeros(3, dtype=torch.uint8)}
    file = save_tensors(tmp_path / "a" / "b.safetensors", "class-concepts", spoilt, {"class_name": "joy"})
    with pytest.raises(InputError, match="holds no result"):
        load_result(file)
    assert [f.name for f in tmp_path.rglob("out.json")] == []


def test_a_target_that_was_a_function_is_never_taken_for_a_class(tmp_path: Path) -> None:
    """Its number would be -1, which is the last class."""
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})

    def gap(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, 0] - logits[:, 1]

    (asked,) = interp.attribute(model, "so happy", by="occlusion", targets=gap, progress=False)
    loaded = interp.Attribution.load(asked.save(tmp_path / "a.safetensors"))
    assert loaded.targets[0].label == "gap" and torch.equal(loaded.scores, asked.scores)
    with pytest.raises(InputError, match="'gap' is a function of the logits, and files do not keep functions"):
        interp.measure(loaded, model, by="insertion", progress=False)
    given = dataclasses.replace(loaded, targets=(dataclasses.replace(loaded.targets[0], function=gap),))
    measured = [interp.measure(one, model, by="insertion", score="logit", progress=False) for one in (given, asked)]
    assert measured[0].value == measured[1].value
    assert "gap" in interp.report(loaded).html


class Failing(interp.Score):
    """A result that the disk has no room for."""

    def save(self, path: str | Path) -> Path:
        Path(path).write_text("{", encoding="utf-8")
        raise OSError("no space left on device")


def test_what_could_not_be_saved_whole_leaves_nothing_behind(tmp_path: Path) -> None:
    results = [interp.Score(0.5, None), Failing(0.5, None)]
    with pytest.raises(OSError, match="no space"):
        interp.save(results, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(OSError, match="no space"):
        interp.save(results, tmp_path / "old")
    assert list((tmp_path / "old").iterdir()) == []
    with pytest.raises(TypeError):
        save_json(tmp_path / "a.json", "score", {"value": object()})
    assert not list(tmp_path.glob("a.json*"))


def test_nothing_to_save_is_refused_and_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no results to save"):
        interp.save([], tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("unchecked")
def test_swapped_arguments_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder is list; a path was expected: interp.save\(results, folder\)"):
        interp.save(tmp_path, [interp.Score(0.5, True)])  # type: ignore[arg-type]


def test_a_file_must_be_named_as_its_kind_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not end in \.json.*name it 'score.json'"):
        interp.Score(0.5, None).save(tmp_path / "score.txt")
    with pytest.raises(InputError, match=r"does not end in \.safetensors"):
        AffineSpace(torch.eye(2), torch.eye(2)).save(tmp_path / "space.json")
    with pytest.raises(InputError, match=r"does not end in \.html or \.htm"):
        interp.report(interp.Score(0.5, None)).save(tmp_path / "report.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2]", "holds no result but a JSON list"),
        ('{"model_type": "bert"}', "was not written by interp; results are activations, attribution"),
        ('{"kind": "pudding"}', "holds 'pudding'; results are"),
        ('{"kind": "score"}', "is damaged"),
        ("{", "holds no result: JSONDecodeError"),
    ],
)
def test_a_file_of_something_else_is_told_from_a_result(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "other.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        interp.load_results(tmp_path)


def test_no_paths_and_empty_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the files or folders to read"):
        interp.load_results()
    with pytest.raises(InputError, match=f"there are no results in '{tmp_path}'"):
        interp.load_results(tmp_path)


def strict(text: str) -> Any:
    """JSON as others read it."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_json_does_not_have_are_null_and_a_note_says_so(tmp_path: Path) -> None:
    inf, nan = float("inf"), float("nan")
    score = interp.Score(inf, None, values=torch.tensor([1.0, nan]), interval=(-inf, 2.0), notes=("first",))
    data = strict(json.dumps(score.to_json()))
    assert data["value"] is None and data["values"] == [1.0, None] and data["interval"] == [None, 2.0]
    assert data["notes"] == ["first", "Numbers that are infinite or undefined are written as null."]
    file = score.save(tmp_path / "score.json")
    strict(file.read_text(encoding="utf-8"))
    loaded = interp.Score.load(file)
    assert (
        loaded.value != loaded.value
        and loaded.values is not None
        and torch.equal(loaded.values.isnan(), score.values != 1)
    )
    made = MadeBy("mine", parameters={"tolerance": inf}, settings={"deep": [{"x": nan}]})
    assert strict(json.dumps(made.to_json()))["parameters"] == {"tolerance": None}
    nested = {"rows": [{"error": [inf], "notes": []}, {"error": [0.5], "notes": []}]}
    assert [row["notes"] for row in for_json(nested)["rows"]] == [[for_json({"x": nan})["notes"][0]], []]
    assert interp.Score(0.5, None).to_json()["notes"] == []


def test_a_parameter_that_was_an_object_is_not_made_again_from_its_repr() -> None:
    labels = interp.method("llm-labels", llm=interp.method("openai", base_url="http://localhost:1/v1"))
    made = made_by(labels, Cost())
    assert "OpenAI" in made.parameters["llm"]["repr"] and made.parameters["seed"] == 0
    with pytest.raises(InputError, match=r"llm=OpenAI\(.*an object that is not kept"):
        made_again(made, "interpretation")
    assert made_again(made_by(interp.method("llm-labels"), Cost()), "interpretation").llm == "openai"
