"""Values on disk: what 0.1 wrote is read, every kind can be saved, and what is no result is refused.

`fixtures/saved-0.1` was written by the release 0.1 before its modules were moved and renamed: a file of each kind, a
store, the space of each concept method, and in `codes.safetensors` what each of these gave for some rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.concepts import AffineSpace, ConceptSpace
from interp_core.errors import InputError
from interp_core.results import load_result, load_tensors
from interp_core.testing import dictionary_world
from safetensors import safe_open
from safetensors.torch import load_file

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
    assert torch.equal(space.encode(rows), CODES[file.stem])
    path = space.save(tmp_path / "space.safetensors")
    with safe_open(path, framework="pt") as opened:
        name = json.loads(opened.metadata()["interp"])["data"]["space"]
    package, _, made = name.partition("/")  # a class may move within its package
    assert package.startswith("interp-") and made == type(space).__name__
    assert torch.equal(ConceptSpace.load(path).encode(rows), CODES[file.stem])


def test_a_store_written_by_0_1_is_read_and_gone_on_with() -> None:
    held = load_result(OLD / "store")
    assert isinstance(held, interp.Activations) and held.matrix().shape == (len(held), 16)
    assert held.texts[0] == "i feel so happy today"


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
