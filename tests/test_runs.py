"""Runs in shards: streams, folders that are resumed, executors; the same results as without them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import operator
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import Attributions, StoredAttributions
from interp_core.concepts import AffineSpace
from interp_core.errors import FolderError, InputError, InterpWarning, ModelError, TargetError, UnsupportedError
from interp_core.metrics import Score
from interp_core.results import (
    Folder,
    Packed,
    Shard,
    check_shard_size,
    described,
    packed,
    place_of_run,
    run_shards,
    shards_of,
)
from interp_core.testing import planted_model, tiny_classifier, tiny_filler, tiny_generator

WORTHS = {"happy": (3.0, -1.0), "sad": (-2.0, 2.0), "angry": (-1.0, 1.5)}
TEXTS = [f"i was {how} {mood} on day {i}" for i, (how, mood) in enumerate((h, m) for h in "abcde" for m in WORTHS)]


@dataclass(frozen=True)
class Elsewhere:
    """Stands for other processes: work, shards and results travel as bytes, and two shards are drawn ahead."""

    def map(self, work: Any, shards: Any) -> Iterator[Any]:
        sent = pickle.dumps(work)
        copies, waiting = [pickle.loads(sent) for _ in range(2)], []
        for number, shard in enumerate(shards):
            waiting.append((copies[number % 2], pickle.dumps(shard)))
            if len(waiting) == 2:
                worker, given = waiting.pop(0)
                yield pickle.loads(pickle.dumps(worker(pickle.loads(given))))
        for worker, given in waiting:
            yield pickle.loads(pickle.dumps(worker(pickle.loads(given))))


def bytes_of(folder: Path) -> dict[str, str]:
    """A digest of each file in a folder, by its name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def same(one: Any, other: Any) -> None:
    """Two attributions say the same, but for what they cost."""
    assert one.text == other.text and one.units == other.units and one.notes == other.notes
    assert [t.label for t in one.targets] == [t.label for t in other.targets]
    assert torch.allclose(one.scores, other.scores, atol=1e-5) and torch.allclose(one.intact, other.intact, atol=1e-5)
    assert (one.label, one.answer, one.score_space) == (other.label, other.answer, other.score_space)
    assert torch.equal(one.encoded.ids, other.encoded.ids)
    assert (one.error is None) == (other.error is None)


PLACES = ["folder", "elsewhere", "both"]


def placed(where: str, tmp_path: Path) -> dict[str, Any]:
    return ({"to": tmp_path / "run"} if where != "elsewhere" else {}) | (
        {"executor": Elsewhere()} if where != "folder" else {}
    )


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("by", ["occlusion", "lime", "saliency"])
def test_attributions_in_shards_are_those_without(by: str, where: str, tmp_path: Path) -> None:
    model = tiny_classifier()
    labels = [i % 3 for i in range(len(TEXTS))]
    whole = interp.attribute(model, TEXTS, by=by, labels=labels, progress=False)
    found = interp.attribute(
        model, iter(TEXTS), by=by, labels=iter(labels), shard_size=4, progress=False, **placed(where, tmp_path)
    )
    assert len(found) == len(TEXTS) and found.right == whole.right and found.numbers == whole.numbers
    for one, other in zip(whole, found, strict=True):
        same(one, other)
    mine, theirs = whole.columns(), found.columns()
    assert list(mine) == list(theirs)
    for name in mine:
        expected = mine[name] if name not in ("score", "error", "probability") else pytest.approx(mine[name], abs=1e-5)
        assert theirs[name] == expected


@pytest.mark.parametrize(
    ("model", "texts", "targets"),
    [
        (tiny_generator, ["i feel so", "the cat", "so sad and"], [" happy", " dog", " good"]),
        (tiny_generator, ["i feel so", "the cat", "so sad and"], None),
        (tiny_filler, ["so [MASK] today", "a [MASK] dog", "i [MASK]"], ["happy", "sad", "feel"]),
        (tiny_classifier, ["so happy", "sad", "a dog"], [[0], [1, 2], ["LABEL_2"]]),
        (tiny_classifier, ["so happy", "sad", "a dog"], interp.contrast(0, 1)),
    ],
)
def test_each_text_keeps_its_own_targets(model: Callable[[], Any], texts: Any, targets: Any, tmp_path: Path) -> None:
    built = model()
    whole = interp.attribute(built, texts, by="occlusion", targets=targets, progress=False)
    for number, given in enumerate([targets, iter(targets)] if isinstance(targets, list) else [targets]):
        found = interp.attribute(
            built, texts, by="occlusion", targets=given, to=tmp_path / str(number), shard_size=2, progress=False
        )
        for one, other in zip(whole, found, strict=True):
            same(one, other)


@pytest.mark.filterwarnings("ignore::interp_core.errors.InterpWarning")
def test_references_of_each_text_go_with_their_shard(tmp_path: Path) -> None:
    about: dict[str, Any] = {"by": "occlusion", "over": "heads", "progress": False}
    texts, others = ["so happy", "so sad", "a dog"], ["so sad", "so happy", "a cat"]
    whole = interp.attribute(tiny_classifier(), texts, reference=others, **about)
    found = interp.attribute(tiny_classifier(), texts, reference=others, to=tmp_path / "run", shard_size=2, **about)
    assert [one.encoded.reference for one in found] == others
    for one, other in zip(whole, found, strict=True):
        assert torch.allclose(one.scores, other.scores, atol=1e-5)


def test_a_stream_is_read_no_further_than_it_is_worked_on(tmp_path: Path) -> None:
    """An endless corpus: after the first shard that fails, one shard has been read."""
    read = []

    def endless() -> Iterator[str]:
        number = 0
        while True:
            read.append(number)
            yield "" if number == 6 else f"so happy {number}"
            number += 1

    with pytest.raises(InputError, match="text 6 "):
        interp.attribute(
            planted_model(WORTHS), endless(), by="occlusion", to=tmp_path / "run", shard_size=4, progress=False
        )
    assert len(read) == 8
    assert len(list((tmp_path / "run").rglob("*.safetensors"))) == 1  # the first shard is kept


def test_texts_are_worked_on_once_when_a_run_is_resumed(tmp_path: Path) -> None:
    model = planted_model(WORTHS)

    def asked(texts: Any) -> Any:
        return interp.attribute(model, texts, by="occlusion", to=tmp_path / "run", shard_size=4, progress=False)

    def stops_after(count: int) -> Iterator[str]:
        for number, text in enumerate(TEXTS):
            if number == count:
                raise KeyboardInterrupt
            yield text

    with pytest.raises(KeyboardInterrupt):
        asked(stops_after(9))
    before = bytes_of(tmp_path / "run")
    assert sum(name.endswith(".safetensors") for name in before) == 2
    with pytest.raises(InputError, match="is not complete"):
        StoredAttributions.load(tmp_path / "run")
    with pytest.raises(InputError, match="is not complete"):
        interp.load_results(tmp_path / "run")
    calls = []
    passes = model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    resumed = asked(iter(TEXTS))
    passes.remove()
    after = bytes_of(tmp_path / "run")
    assert {name: after[name] for name in before if name.endswith(".safetensors")} == {
        name: digest for name, digest in before.items() if name.endswith(".safetensors")
    }
    whole = interp.attribute(model, TEXTS, by="occlusion", to=tmp_path / "whole", shard_size=4, progress=False)
    assert after == bytes_of(tmp_path / "whole") and len(resumed) == len(whole) == len(TEXTS)
    (loaded,) = interp.load_results(tmp_path / "run")
    assert isinstance(loaded, StoredAttributions) and loaded[-1].text == TEXTS[-1]


WRONG = [
    ({"by": "lime"}, "begun with method 'occlusion', now it is 'lime'"),
    ({"granularity": "token"}, "granularity 'word'"),
    ({"targets": 1}, "targets None, now it is 1"),
    ({"shard_size": 3}, "shard_size 4"),
    ({"labels": [0] * 15}, "beside"),
    ({"texts": [*TEXTS[:5], "other", *TEXTS[6:]]}, "texts 4 to 7"),
    ({"texts": TEXTS[:8]}, "holds more than was given"),
    ({"texts": [*TEXTS, "more"]}, "texts 12 to 15"),
]


@pytest.mark.parametrize(("other", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_folder_is_resumed_by_the_same_run_alone(other: Any, message: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": planted_model(WORTHS), "texts": TEXTS, "by": "occlusion", "shard_size": 4}
    asked |= {"to": tmp_path / "run", "progress": False}
    interp.attribute(**asked)
    before = bytes_of(tmp_path / "run")
    with pytest.raises(InputError, match=message):
        interp.attribute(**{**asked, **other})
    assert bytes_of(tmp_path / "run") == before


def test_a_folder_is_not_resumed_with_other_weights(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"by": "occlusion", "to": tmp_path / "run", "progress": False}
    interp.attribute(tiny_classifier(), TEXTS, **asked)
    other = tiny_classifier()
    with torch.no_grad():
        other.model.classifier.weight += 0.1
    with pytest.raises(InputError, match="other weights"):
        interp.attribute(other, TEXTS, **asked)


def scaled(logits: torch.Tensor, *, factor: float = 1.0) -> torch.Tensor:
    return factor * logits[..., 0]


def factor_of(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda logits: value * logits[..., 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (factor_of(1.0), factor_of(2.0)),
        (functools.partial(scaled, factor=1.0), functools.partial(scaled, factor=2.0)),
        (lambda logits: logits[..., 0], lambda logits: logits[..., 1]),
        (range(1), range(2)),
        (slice(1), slice(2)),
        (Path("a"), Path("b")),
        (operator.itemgetter(1), operator.itemgetter(2)),
        ([1, {"a"}], [1, {"b"}]),
    ],
)
def test_what_differs_is_described_in_another_way(one: Any, other: Any) -> None:
    assert described(one) != described(other) and described(one) == described(one)


def test_what_cannot_be_described_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be told from others"):
        described(object())


def test_spaces_that_keep_other_numbers_of_codes_are_different() -> None:
    one, other = (AffineSpace(torch.eye(2), torch.eye(2)) for _ in range(2))
    other.k = 3  # type: ignore[assignment]
    assert described(one) != described(other)


@pytest.mark.parametrize("changed", ["one word", "labels", "tokenizer"])
def test_a_folder_is_not_resumed_with_another_model(changed: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"by": "occlusion", "to": tmp_path / "run", "progress": False}
    interp.attribute(tiny_classifier(), TEXTS, **asked)
    other = tiny_classifier()
    with torch.no_grad():
        if changed == "one word":
            word = other.tokenizer.convert_tokens_to_ids("happy")
            other.model.get_input_embeddings().weight[word] += 0.1
        elif changed == "labels":
            other.model.config.id2label = {0: "a", 1: "b", 2: "c"}
        else:
            other.tokenizer.add_tokens(["newword"])
    with pytest.raises(FolderError, match=r"other (weights|labels|tokenizer) of"):
        interp.attribute(other, TEXTS, **asked)


def test_iterators_of_classes_name_one_for_each_text(tmp_path: Path) -> None:
    wanted = [i % 3 for i in range(len(TEXTS))]
    found = interp.attribute(
        tiny_classifier(), iter(TEXTS), by="occlusion", targets=iter(wanted), to=tmp_path / "run", shard_size=4,
        progress=False,
    )  # fmt: skip
    assert [[target.index for target in one.targets] for one in found] == [[i] for i in wanted]


def test_targets_that_are_functions_stay_functions_without_a_folder() -> None:
    model = tiny_classifier()
    found = interp.attribute(model, TEXTS[:5], by="occlusion", targets=scaled, executor=Elsewhere(), progress=False)
    assert interp.measure(found, model, by="insertion", progress=False).value == pytest.approx(
        interp.measure(
            interp.attribute(model, TEXTS[:5], by="occlusion", targets=scaled, progress=False),
            model, by="insertion", progress=False,
        ).value, abs=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("after", ["complete", "interrupted"])
@pytest.mark.parametrize("harm", ["cut", "removed", "empty"])
def test_a_shard_that_is_damaged_or_gone_is_worked_on_again(harm: str, after: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"by": "occlusion", "to": tmp_path / "run", "shard_size": 4, "progress": False}
    interp.attribute(planted_model(WORTHS), TEXTS, **asked)
    whole = bytes_of(tmp_path / "run")
    shard = sorted((tmp_path / "run").rglob("*.safetensors"))[1]
    if harm == "removed":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:20] if harm == "cut" else b"")
    if after == "interrupted":
        manifest = json.loads((tmp_path / "run" / "store.json").read_text())
        (tmp_path / "run" / "store.json").write_text(json.dumps({**manifest, "complete": False}))
    else:
        with pytest.raises(FolderError, match="works on it again"):
            list(StoredAttributions.load(tmp_path / "run"))
    interp.attribute(planted_model(WORTHS), TEXTS, **asked)
    assert bytes_of(tmp_path / "run") == whole


def test_what_a_kill_left_of_the_first_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "store.json.123.part").write_text("{")
    found = interp.attribute(planted_model(WORTHS), TEXTS, by="occlusion", to=tmp_path / "run", progress=False)
    assert len(found) == len(TEXTS)


def test_a_benchmark_with_other_options_leaves_the_folder_alone(tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "methods": ["occlusion"],
        "metrics": ["insertion"],
        "to": tmp_path / "run",
        "progress": False,
    }
    interp.benchmark(planted_model(WORTHS), TEXTS, **asked)
    before = bytes_of(tmp_path / "run")
    for other in ({"chance": False}, {"removal": "zero"}, {"shard_size": 5}, {"targets": 1}):
        with pytest.raises(FolderError, match=next(iter(other))):
            interp.benchmark(planted_model(WORTHS), TEXTS, **{**asked, **other})
    assert bytes_of(tmp_path / "run") == before


def test_words_of_another_corpus_or_encoder_are_not_taken_for_these(tmp_path: Path) -> None:
    from interp_core.testing import topic_world

    activations, space = topic_world()
    interp.interpret(space, activations, by="top-inputs", to=tmp_path / "run", progress=False)
    other = dataclasses.replace(activations, values=activations.values.flip(0).contiguous())
    with pytest.raises(FolderError, match="activations"):
        interp.interpret(space, other, by="top-inputs", to=tmp_path / "run", progress=False)
    texts = dataclasses.replace(activations, texts=tuple(f"{text}!" for text in activations.texts))
    with pytest.raises(FolderError, match="activations"):
        interp.interpret(space, texts, by="top-inputs", to=tmp_path / "run", progress=False)
    with pytest.raises(FolderError, match="space"):
        interp.interpret(
            AffineSpace(2 * torch.eye(space.width)[: space.concepts], torch.eye(space.width)[: space.concepts]),
            activations, by="top-inputs", to=tmp_path / "run", progress=False,
        )  # fmt: skip


class Loses(Elsewhere):
    def map(self, work: Any, shards: Any) -> Iterator[Any]:
        *results, _ = super().map(work, shards)
        return iter(results)


class Turns(Elsewhere):
    def map(self, work: Any, shards: Any) -> Iterator[Any]:
        return reversed(list(super().map(work, shards)))


class Doubles(Elsewhere):
    def map(self, work: Any, shards: Any) -> Iterator[Any]:
        return (result for result in super().map(work, shards) for _ in range(2))


@pytest.mark.parametrize("executor", [Loses(), Turns(), Doubles()], ids=lambda one: type(one).__name__)
def test_an_executor_that_loses_doubles_or_mixes_up_results_is_an_error(executor: Any, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"by": "occlusion", "to": tmp_path / "run", "shard_size": 4, "progress": False}
    with pytest.raises(ModelError, match="result"):
        interp.attribute(planted_model(WORTHS), TEXTS, executor=executor, **asked)
    found = interp.attribute(planted_model(WORTHS), TEXTS, **asked)  # goes on with what was right
    assert [one.text for one in found] == TEXTS


def mine(weight: float) -> Any:
    """A method of no package, whose code knows a number."""

    @dataclass(frozen=True)
    class Mine:
        def attribute(self, question: Any) -> torch.Tensor:
            return weight * torch.ones(len(question.targets), len(question.units))

    return Mine()


def test_a_method_of_a_program_whose_code_changed_is_another_one(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"to": tmp_path / "run", "progress": False}
    interp.attribute(planted_model(WORTHS), TEXTS, by=mine(1.0), **asked)
    with pytest.raises(FolderError, match="another program"):
        interp.attribute(planted_model(WORTHS), TEXTS, by=mine(2.0), **asked)
    assert float(interp.attribute(planted_model(WORTHS), TEXTS, by=mine(1.0), **asked)[0].scores.max()) == 1


def test_a_run_that_failed_goes_on_without_the_text_as_its_error_says(tmp_path: Path) -> None:
    texts = [text if number != 9 else "" for number, text in enumerate(TEXTS)]
    asked: dict[str, Any] = {"by": "occlusion", "to": tmp_path / "run", "shard_size": 4, "progress": False}
    with pytest.raises(InputError, match="on_error='skip'"):
        interp.attribute(planted_model(WORTHS), texts, **asked)
    with pytest.warns(InterpWarning, match="1 of 15"):
        found = interp.attribute(planted_model(WORTHS), texts, on_error="skip", **asked)
    assert len(found) == 14


def test_two_programs_that_begin_one_folder_are_told_apart(tmp_path: Path) -> None:
    """Both begin at once; the settings that come second are refused, by whichever of the two."""
    one, other = (Folder(tmp_path / "run", "run", {"model": "m", "method": name}, [1.0]) for name in "ab")
    (tmp_path / "run").mkdir()
    assert one._first() and not other._first()
    with pytest.raises(FolderError, match="method"):
        other.begin()
    assert one.begin() == 0 and [file.name for file in (tmp_path / "run").iterdir()] == ["store.json"]


@pytest.mark.parametrize("executor", [2, Elsewhere, object()])
def test_what_is_no_executor_is_called_so(executor: Any) -> None:
    with pytest.raises(InputError, match="executor is"):
        interp.attribute(planted_model(WORTHS), TEXTS, by="occlusion", executor=executor, progress=False)


def test_columns_of_tables_are_targets_of_each_text() -> None:
    pandas = pytest.importorskip("pandas")
    texts, words = ["i feel so", "the cat"], [" happy", " dog"]
    for targets in (pandas.Series(words), np.array(words, dtype=object)):
        found = interp.attribute(tiny_generator(), texts, by="occlusion", targets=targets, progress=False)
        assert [one.targets[0].label for one in found] == ["happy", "dog"]


def test_a_whole_data_set_is_no_list_of_texts(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"text": TEXTS, "label": [0] * len(TEXTS)})
    with pytest.raises(InputError, match="columns text, label; give one"):
        interp.attribute(planted_model(WORTHS), table, by="occlusion", to=tmp_path / "run", progress=False)
    found = interp.attribute(planted_model(WORTHS), table["text"], by="occlusion", to=tmp_path / "b", progress=False)
    assert [one.text for one in found] == TEXTS


def test_a_folder_of_the_home_is_found_wherever_the_program_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from interp_core.testing import topic_world

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model, split = planted_model(WORTHS), tiny_classifier().split(-1)
    found = interp.attribute(model, TEXTS, by="occlusion", to="~/words", progress=False)
    other = interp.attribute(model, TEXTS, by="occlusion", to="here", progress=False)
    interp.measure(found, model, by="insertion", to="~/score", progress=False)
    rows = split.activations(TEXTS, granularity="cls", to="~/rows", progress=False)
    space = AffineSpace(torch.eye(4, 16), torch.eye(4, 16))
    interp.importance(split, space, rows, to="~/importance", progress=False)
    activations, topics = topic_world()
    interp.interpret(topics, activations, to="~/labels", progress=False)
    interp.benchmark(model, TEXTS[:5], methods=["occlusion"], metrics=["insertion"], to="~/table", progress=False)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert found[3].text == other[3].text == TEXTS[3] and not list((tmp_path / "elsewhere").iterdir())
    for name in ("words", "score", "rows", "importance", "labels", "table"):
        assert interp.load_results(tmp_path / name)


def test_a_page_shows_some_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from interp_core.reporting import _contents

    assert _contents.MOST >= 2000
    monkeypatch.setattr(_contents, "MOST", 20)
    asked: dict[str, Any] = {"by": "occlusion", "progress": False}
    few = interp.attribute(planted_model(WORTHS), TEXTS, to=tmp_path / "few", **asked)
    assert interp.report(few).html == interp.report(few[:]).html
    many = interp.attribute(planted_model(WORTHS), (f"sad {i}" for i in range(21)), to=tmp_path / "many", **asked)
    with pytest.raises(InputError, match="too large; show some"):
        interp.report(many)
    assert interp.report(many[:5]).html == interp.report(list(many[:5])).html


def test_slices_know_which_texts_they_are_of(tmp_path: Path) -> None:
    texts = [text if number != 1 else "" for number, text in enumerate(TEXTS)]
    with pytest.warns(InterpWarning, match="1 of 15"):
        found = interp.attribute(
            planted_model(WORTHS), texts, by="occlusion", on_error="skip", to=tmp_path / "run", progress=False
        )
    assert found[:3].numbers == [0, 2, 3] and found[2:4].numbers == [3, 4]
    assert sorted(set(found[2:4].columns()["text"])) == [3, 4]


def test_interventions_are_not_sent_to_other_processes() -> None:
    split = tiny_classifier().split(-1)
    space = AffineSpace(torch.eye(4, 16), torch.eye(4, 16))
    with (
        interp.intervene(split, space, ablate=[0]),
        pytest.raises(UnsupportedError, match="an intervention on the model is open"),
    ):
        interp.attribute(split.model, TEXTS, by="occlusion", executor=Elsewhere(), progress=False)


def test_targets_of_each_text_are_counted_before_they_are_cut(tmp_path: Path) -> None:
    split, texts = tiny_filler().split(0), ["so [MASK] today", "a [MASK] dog", "i [MASK]"]
    kept = split.activations(texts, granularity="token", progress=False)
    space = AffineSpace(torch.eye(4, kept.width), torch.eye(4, kept.width))
    for targets in (["happy", "sad"], ["happy"] * 5):
        place = tmp_path / str(len(targets))
        with pytest.raises(TargetError, match="targets were given"):
            interp.importance(split, space, kept, by="occlusion", targets=targets, to=place, progress=False)


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "within"):
        with pytest.raises(FolderError, match=r"exists and holds no run|cannot be written"):
            interp.attribute(planted_model(WORTHS), TEXTS, by="occlusion", to=place, progress=False)
    with pytest.raises(InputError, match="a folder was expected"):
        place_of_run(3)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no run"):
        interp.attribute(planted_model(WORTHS), TEXTS, by="occlusion", to=tmp_path, progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("where", PLACES)
def test_texts_that_fail_are_named_and_the_others_are_kept(where: str, tmp_path: Path) -> None:
    """A whole shard of them too."""
    texts: list[Any] = list(TEXTS)
    for number in (1, 4, 5, 6, 7, 13):
        texts[number] = "" if number % 2 else "  "
    with pytest.warns(InterpWarning, match="6 of 15 texts were skipped: text 1 "):
        found = interp.attribute(
            planted_model(WORTHS),
            iter(texts),
            by="occlusion",
            on_error="skip",
            shard_size=4,
            progress=False,
            **placed(where, tmp_path),
        )
    assert found.numbers == [0, 2, 3, 8, 9, 10, 11, 12, 14]
    assert [one.text for one in found] == [TEXTS[number] for number in found.numbers]
    assert sorted(set(found.columns()["text"])) == found.numbers
    skipped = found.skipped if where != "elsewhere" else found[0].made_by.settings["skipped"]
    assert sorted(map(int, skipped)) == [1, 4, 5, 6, 7, 13]


def test_a_run_of_nothing_but_failures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="each of 3 texts was skipped: text 0"):
        interp.attribute(
            planted_model(WORTHS), ["", "", ""], by="occlusion", on_error="skip", to=tmp_path / "run", progress=False
        )
    with pytest.raises(InputError, match="no texts"):
        interp.attribute(planted_model(WORTHS), iter([]), by="occlusion", to=tmp_path / "none", progress=False)


@pytest.mark.parametrize(("count", "message"), [(14, "14 labels"), (16, "more labels|16 labels")])
@pytest.mark.parametrize("kind", [list, iter])
def test_labels_that_are_not_one_for_each_text_are_refused(kind: Any, count: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        interp.attribute(
            tiny_classifier(), iter(TEXTS) if kind is iter else TEXTS, by="occlusion", labels=kind([0] * count),
            to=tmp_path / "run", shard_size=4, progress=False,
        )  # fmt: skip


def test_notes_of_all_shards_are_one_warning(tmp_path: Path) -> None:
    long = [f"{'so happy ' * 40}{i}" for i in range(9)]
    with pytest.warns(InterpWarning, match="^9 of 9 texts: ") as caught:
        interp.attribute(tiny_classifier(), long, by="occlusion", to=tmp_path / "run", shard_size=4, progress=False)
    assert len(caught) == 1


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("metric", ["insertion", "deletion", "infidelity", "max-sensitivity"])
def test_a_score_in_shards_is_that_without(metric: str, where: str, tmp_path: Path) -> None:
    """With texts that are equal, which have other random orders each."""
    model = tiny_classifier()
    found = interp.attribute(model, [*TEXTS[:6], *TEXTS[:3]], by="occlusion", progress=False)
    whole = interp.measure(found, model, by=metric, progress=False)
    sent = interp.measure(iter(found), model, by=metric, shard_size=4, progress=False, **placed(where, tmp_path))
    assert torch.allclose(whole.values, sent.values, atol=1e-5) and torch.allclose(
        whole.margins, sent.margins, atol=1e-4
    )
    assert sent.interval == pytest.approx(whole.interval, abs=1e-4) and sent.chance == pytest.approx(
        whole.chance, abs=1e-5
    )
    assert (sent.name, sent.definition, sent.notes) == (whole.name, whole.definition, whole.notes)
    assert sent.made_by.settings == whole.made_by.settings and len(sent.curves) == len(whole.curves)
    if where != "elsewhere":
        before = bytes_of(tmp_path / "run")
        again = interp.measure(found, model, by=metric, shard_size=4, progress=False, **placed(where, tmp_path))
        assert bytes_of(tmp_path / "run") == before and torch.equal(again.values, sent.values)
        (loaded,) = interp.load_results(tmp_path / "run")
        assert isinstance(loaded, Score) and torch.equal(loaded.values, sent.values)


def test_stored_attributions_are_measured_as_those_in_memory(tmp_path: Path) -> None:
    model = tiny_classifier()
    asked: dict[str, Any] = {"by": "occlusion", "progress": False}
    whole = interp.attribute(model, TEXTS, **asked)
    stored = interp.attribute(model, TEXTS, to=tmp_path / "run", shard_size=4, **asked)
    one, other = (interp.measure(found, model, by="insertion", progress=False) for found in (whole, stored))
    assert torch.allclose(one.values, other.values, atol=1e-5) and other.value == pytest.approx(one.value, abs=1e-5)


def test_attributions_made_in_different_ways_are_not_measured_as_one_stream(tmp_path: Path) -> None:
    model = tiny_classifier()
    asked: dict[str, Any] = {"by": "occlusion", "progress": False}
    mixed = [
        *interp.attribute(model, TEXTS[:4], **asked),
        *interp.attribute(model, TEXTS[4:8], removal="zero", **asked),
    ]
    with pytest.raises(InputError, match="attributions 4 to 7 were made with other settings"):
        interp.measure(iter(mixed), model, by="insertion", to=tmp_path / "run", shard_size=4, progress=False)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(("granularity", "by"), [("cls", "input-x-gradient"), ("word", "occlusion")])
@pytest.mark.parametrize("stored", [False, True])
def test_importance_in_shards_is_that_without(
    granularity: str, by: str, where: str, stored: bool, tmp_path: Path
) -> None:
    split = tiny_classifier().split(-1 if granularity == "cls" else 0)
    space = AffineSpace(torch.eye(4, 16), torch.eye(4, 16))
    kept = split.activations(TEXTS, granularity=granularity, to=tmp_path / "rows" if stored else None, progress=False)
    whole = interp.importance(split, space, kept, by=by, progress=False)
    sent = interp.importance(split, space, kept, by=by, shard_size=4, progress=False, **placed(where, tmp_path))
    assert torch.allclose(whole.per_text, sent.per_text, atol=1e-5)
    assert (whole.targets, whole.concepts, whole.notes) == (sent.targets, sent.concepts, sent.notes)
    if where != "elsewhere":
        before = bytes_of(tmp_path / "run")
        again = interp.importance(split, space, kept, by=by, shard_size=4, progress=False, **placed(where, tmp_path))
        assert bytes_of(tmp_path / "run") == before and torch.equal(again.per_text, sent.per_text)
        (loaded,) = interp.load_results(tmp_path / "run")
        assert torch.equal(loaded.per_text, sent.per_text)


def test_importance_for_a_word_of_each_text_keeps_its_targets(tmp_path: Path) -> None:
    split, texts = tiny_filler().split(0), ["so [MASK] today", "a [MASK] dog", "i [MASK]"]
    kept = split.activations(texts, granularity="token", progress=False)
    space = AffineSpace(torch.eye(4, kept.width), torch.eye(4, kept.width))
    asked: dict[str, Any] = {"by": "occlusion", "targets": ["happy", "sad", "feel"], "progress": False}
    whole = interp.importance(split, space, kept, **asked)
    sent = interp.importance(split, space, kept, to=tmp_path / "run", shard_size=2, **asked)
    assert torch.allclose(whole.per_text, sent.per_text, atol=1e-5) and whole.targets == sent.targets == ("word",)


@pytest.mark.parametrize("where", PLACES)
def test_words_of_concepts_in_shards_are_those_without(where: str, tmp_path: Path) -> None:
    from interp_core.testing import topic_world

    activations, space = topic_world()
    whole = interp.interpret(space, activations, by="top-inputs")
    asked: dict[str, Any] = {"by": "top-inputs", "shard_size": 2, "progress": False}
    sent = interp.interpret(space, activations, **asked, **placed(where, tmp_path))
    assert sent.concepts == whole.concepts and sent.made_by.settings == whole.made_by.settings
    if where != "elsewhere":
        before = bytes_of(tmp_path / "run")
        interp.interpret(space, activations, **asked, **placed(where, tmp_path))
        assert bytes_of(tmp_path / "run") == before
        (loaded,) = interp.load_results(tmp_path / "run")
        assert loaded.concepts == whole.concepts


@pytest.mark.parametrize("where", PLACES)
def test_a_benchmark_in_shards_is_that_without(where: str, tmp_path: Path) -> None:
    model = planted_model(WORTHS)
    asked: dict[str, Any] = {"methods": ["occlusion", "random", "saliency"], "metrics": ["insertion", "deletion"]}
    whole = interp.benchmark(model, TEXTS, **asked, progress=False)
    sent = interp.benchmark(model, TEXTS, **asked, shard_size=4, progress=False, **placed(where, tmp_path))
    assert sent.trusted.method == whole.trusted.method
    for one, other in zip(whole.rows, sent.rows, strict=True):
        assert one.failures == other.failures and one.cost.rows == other.cost.rows
        for name, score in one.scores.items():
            assert other.scores[name].value == pytest.approx(score.value, abs=1e-5)
            assert other.scores[name].chance == pytest.approx(score.chance, abs=1e-5)
    if where != "elsewhere":
        before = bytes_of(tmp_path / "run")
        interp.benchmark(model, TEXTS, **asked, shard_size=4, progress=False, **placed(where, tmp_path))
        assert bytes_of(tmp_path / "run") == before
        (loaded,) = interp.load_results(tmp_path / "run")
        assert loaded.verdict == sent.verdict
        with pytest.raises(InputError, match="begun with"):
            interp.benchmark(model, TEXTS[:5], **asked, shard_size=4, progress=False, **placed(where, tmp_path))


@pytest.mark.parametrize("where", PLACES)
def test_activations_read_elsewhere_are_those_read_here(where: str, tmp_path: Path) -> None:
    split = tiny_classifier().split(-1)
    asked: dict[str, Any] = {"granularity": "word", "predictions": True, "labels": [0, 1, 2] * 5, "progress": False}
    here = split.activations(TEXTS, **asked)
    sent = split.activations(TEXTS, **asked, **placed(where, tmp_path))
    assert torch.allclose(here.matrix(), sent.matrix(), atol=1e-6) and torch.equal(here.text_of, sent.text_of)
    assert torch.equal(here.predictions, sent.predictions) and list(sent.texts) == list(here.texts)
    assert (sent.made_by.cost.rows, sent.made_by.cost.forwards) == (here.made_by.cost.rows, here.made_by.cost.forwards)


def test_an_executor_gets_no_model_twice_and_no_result_is_lost(tmp_path: Path) -> None:
    """Work that counts how often it is sent."""
    sent = []

    class Counted(Elsewhere):
        def map(self, work: Any, shards: Any) -> Iterator[Any]:
            sent.append(work)
            return super().map(work, shards)

    interp.attribute(
        planted_model(WORTHS),
        TEXTS,
        by="occlusion",
        executor=Counted(),
        to=tmp_path / "run",
        shard_size=2,
        progress=False,
    )
    assert len(sent) == 1


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [1, 5])  # at five points in benchmarks/large_runs.py
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(killed_at: int, tmp_path: Path) -> None:
    """Killed in the middle of writing a shard, as the power may fail; compared with a run that was not."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            import interp_core as interp
            from interp_core.results import _serialization
            from interp_core.testing import planted_model
            import torch
            torch.set_num_threads(1)
            folder, killed_at, count = sys.argv[1], int(sys.argv[2]), 0
            whole = _serialization.save_file
            def killing(tensors, path, **more):
                global count
                count += 1
                whole(tensors, path, **more)
                if count == killed_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            _serialization.save_file = killing
            model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
            texts = (f"so {'happy' if i % 2 else 'sad'} on day {i}" for i in range(30))
            interp.attribute(model, texts, by="lime", samples=16, to=folder, shard_size=4, progress=False)
            """
        )
    )

    def run(folder: Path, kill: int) -> int:
        return subprocess.run([sys.executable, script, folder, str(kill)], check=False, env=dict(os.environ)).returncode

    assert run(tmp_path / "killed", killed_at) == -signal.SIGKILL
    assert run(tmp_path / "killed", 0) == 0 and run(tmp_path / "whole", 0) == 0
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_states_are_packed_and_taken_apart_whatever_their_shapes() -> None:
    states = [
        ({"a": torch.arange(6).reshape(2, 3), "b": torch.zeros(0, 4)}, {"text": "x", "same": [1]}),
        ({"a": torch.ones(1, dtype=torch.bfloat16)}, {"text": "y", "same": [1]}),
        ({}, {"same": [1]}),
        ({"a": torch.tensor(3)}, {"text": None, "same": [1]}),
    ]
    tensors, data = packed(states)
    back = Packed(tensors, json.loads(json.dumps(data)))
    assert data["shared"] == {"same": [1]} and len(back) == 4
    for (own, said), (got, told) in zip(states, back, strict=True):
        assert said == told and own.keys() == got.keys()
        assert all(torch.equal(own[name], got[name]) and own[name].dtype == got[name].dtype for name in own)
    assert len(Packed(*packed([]))) == 0


def test_settings_are_described_alike_in_every_process() -> None:
    """Nothing of where an object lies in memory."""
    method = interp.method("lime", samples=8)
    for value in (
        method,
        len,
        torch.eye(2),
        AffineSpace(torch.eye(2), torch.eye(2)),
        {"a": (1, {2, 3})},
        1.5,
        lambda: 0,
    ):
        again = pickle.loads(pickle.dumps(value)) if "lambda" not in repr(value) else value
        told = json.dumps(described(value))
        assert told == json.dumps(described(again)) and "0x" not in told
    assert described(torch.eye(2)) != described(torch.zeros(2, 2))
    assert described(interp.method("lime", samples=8)) != described(interp.method("lime", samples=9))


def test_shards_have_the_size_asked_for_and_nothing_is_lost() -> None:
    for count in range(9):
        shards = list(shards_of(range(count), 3, {"twice": (2 * i for i in range(count))}))
        assert [item for shard in shards for item in shard.items] == list(range(count))
        assert all(len(shard) == 3 for shard in shards[:-1])
        assert all(shard.beside["twice"] == tuple(2 * i for i in shard.items) for shard in shards)
        assert [shard.first for shard in shards] == [3 * i for i in range(len(shards))]


@pytest.mark.parametrize("size", [0, -1, 2.5, "4", True, None])
def test_a_size_is_a_whole_number(size: Any) -> None:
    with pytest.raises(InputError, match="shard_size"):
        check_shard_size(size)


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_that_is_none_is_refused_before_anything_runs(size: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shard_size"):
        interp.attribute(
            planted_model(WORTHS), TEXTS, by="occlusion", to=tmp_path / "r", shard_size=size, progress=False
        )
    assert not (tmp_path / "r").exists()


def test_work_is_done_in_order_and_errors_end_it() -> None:
    done = []

    def work(shard: Shard) -> Any:
        if shard.number == 2:
            raise InputError("this one")
        done.append(shard.number)
        return packed([({}, {})]), {}

    with pytest.raises(InputError, match="this one"):
        list(run_shards(work, shards_of(range(10), 2, {}), description="test", progress=False))
    assert done == [0, 1]


def test_a_list_of_attributions_is_returned_without_a_folder() -> None:
    found = interp.attribute(planted_model(WORTHS), TEXTS, by="occlusion", executor=Elsewhere(), progress=False)
    assert isinstance(found, Attributions)
