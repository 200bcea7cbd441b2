"""Activations on disk: written in shards, gone on with after an interruption, read in parts."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import interp_core.model._extraction as extraction
import pytest
import torch
from interp_core.activations import Activations
from interp_core.errors import InputError
from interp_core.model import TextModel
from interp_core.results import load_result
from interp_core.testing import tiny_classifier, tiny_generator

pytestmark = pytest.mark.slow

WORDS = ["happy", "sad", "calm", "glad", "sun", "rain", "dog", "cat", "tree", "house"]


def corpus(count: int = 40, seed: int = 0) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=dice.randint(1, 9))) for _ in range(count)]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "TEXTS_A_SHARD", 6)


def files_of(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


class StoppedError(RuntimeError):
    """What ends a run in its middle."""


def stopping(texts: list[str], after: int) -> Iterator[str]:
    yield from texts[:after]
    raise StoppedError


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("granularity", ["token", "word", "cls", "sample"])
def test_a_store_holds_what_memory_holds(tmp_path: Path, granularity: str) -> None:
    split, texts = tiny_classifier().split(-1), corpus()
    labels = [i % 3 for i in range(len(texts))]
    asked: dict[str, Any] = {"granularity": granularity, "predictions": True, "labels": labels, "progress": False}
    memory = split.activations(texts, **asked)
    stored = split.activations(texts, to=tmp_path / "store", **asked)
    assert torch.allclose(stored.matrix(), memory.matrix(), atol=1e-5)
    for name in ("text_of", "unit_of", "predictions", "labels"):
        assert torch.equal(getattr(stored, name), getattr(memory, name)), name
    assert list(stored.texts) == list(memory.texts) and list(stored.units) == list(memory.units)
    assert (stored.layer, stored.granularity, stored.class_names) == (split.path, granularity, memory.class_names)
    assert [stored.unit(i) for i in (0, len(stored) - 1)] == [memory.unit(i) for i in (0, len(memory) - 1)]
    assert stored.made_by.cost.rows == memory.made_by.cost.rows == len(texts)


@pytest.mark.usefixtures("small_shards")
def test_a_store_is_opened_again_from_its_folder(tmp_path: Path) -> None:
    made = tiny_classifier().split(0).activations(corpus(), to=tmp_path, progress=False)
    again = Activations.load(tmp_path)
    assert torch.equal(again.matrix(), made.matrix()) and again.made_by == made.made_by
    assert torch.equal(load_result(tmp_path).matrix(), made.matrix())


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("after", [1, 5, 6, 7, 23, 39])
def test_an_interrupted_store_goes_on_to_the_same_bytes(tmp_path: Path, after: int) -> None:
    model, texts = tiny_classifier(), corpus()
    split = model.split(-1)
    split.activations(texts, to=tmp_path / "whole", progress=False)
    with pytest.raises(StoppedError):
        split.activations(stopping(texts, after), to=tmp_path / "parts", progress=False)
    with pytest.raises(InputError, match="not complete"):
        Activations.load(tmp_path / "parts")
    split.activations(iter(texts), to=tmp_path / "parts", progress=False)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


@pytest.mark.usefixtures("small_shards")
def test_what_is_there_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split, texts = tiny_classifier().split(-1), corpus()
    with pytest.raises(StoppedError):
        split.activations(stopping(texts, 25), to=tmp_path, progress=False)  # four shards of six texts
    rows = 0
    run = TextModel.run

    def counted(self: TextModel, batch: Any) -> Any:
        nonlocal rows
        rows += len(batch.ids)
        return run(self, batch)

    monkeypatch.setattr(TextModel, "run", counted)
    split.activations(texts, to=tmp_path, progress=False)
    assert rows == len(texts) - 24
    split.activations(texts, to=tmp_path, progress=False)
    assert rows == len(texts) - 24


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
import interp_core.model._extraction as extraction
from test_store import corpus, tiny_classifier
extraction.TEXTS_A_SHARD = 6
print("ready", flush=True)
def slowly():
    for text in corpus(120):
        time.sleep(0.005)
        yield text
tiny_classifier().split(-1).activations(slowly(), to={folder!r}, granularity="word", predictions=True, progress=False)
"""


def test_a_run_killed_five_times_ends_in_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "TEXTS_A_SHARD", 6)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options: dict[str, Any] = {"granularity": "word", "predictions": True, "progress": False}
    tiny_classifier().split(-1).activations(corpus(120), to=whole, **options)
    dice, killed = random.Random(0), 0
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(parts))
    for _ in range(5):
        run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert run.stdout is not None and run.stdout.readline().strip() == b"ready"
        time.sleep(dice.uniform(0.05, 0.5))
        run.send_signal(signal.SIGKILL)
        killed += run.wait() == -signal.SIGKILL
        run.stdout.close()
    assert killed >= 3, "the run ended before it could be killed"
    tiny_classifier().split(-1).activations(corpus(120), to=parts, **options)
    assert files_of(parts) == files_of(whole)


@pytest.mark.usefixtures("small_shards")
def test_a_store_of_other_texts_is_refused_and_kept(tmp_path: Path) -> None:
    split, texts = tiny_classifier().split(-1), corpus()
    with pytest.raises(StoppedError):
        split.activations(stopping(texts, 20), to=tmp_path, progress=False)
    before = files_of(tmp_path)
    with pytest.raises(InputError, match=r"text 3 of the store .* the same texts in the same order"):
        split.activations([*texts[:3], "calm sun", *texts[4:]], to=tmp_path, progress=False)
    with pytest.raises(InputError, match="holds more texts than the 4 given"):
        split.activations(texts[:4], to=tmp_path, progress=False)
    assert files_of(tmp_path) == before


def test_a_complete_store_takes_no_more_texts(tmp_path: Path) -> None:
    split = tiny_classifier().split(-1)
    split.activations(corpus(10), to=tmp_path, progress=False)
    with pytest.raises(InputError, match="complete and more texts were given"):
        split.activations([*corpus(10), "calm sun"], to=tmp_path, progress=False)


def test_a_store_of_another_task_is_refused(tmp_path: Path) -> None:
    model = tiny_classifier()
    model.split(-1).activations(corpus(4), to=tmp_path, progress=False)
    with pytest.raises(InputError, match="begun with granularity 'token', now it is 'word'"):
        model.split(-1).activations(corpus(4), granularity="word", to=tmp_path, progress=False)
    with pytest.raises(InputError, match="begun with layer"):
        model.split(0).activations(corpus(4), to=tmp_path, progress=False)


def test_a_store_of_other_weights_is_refused(tmp_path: Path) -> None:
    tiny_classifier().split(-1).activations(corpus(4), to=tmp_path, progress=False)
    other = tiny_classifier()
    with torch.no_grad():
        next(other.model.parameters()).mul_(3)
    with pytest.raises(InputError, match="other weights"):
        other.split(-1).activations(corpus(4), to=tmp_path, progress=False)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no run"):
        tiny_classifier().split(-1).activations(corpus(4), to=tmp_path, progress=False)
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    tiny_classifier().split(-1).activations(corpus(4), to=tmp_path, progress=False)
    (tmp_path / "shard-00000.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"shard-00000\.safetensors"):
        Activations.load(tmp_path)


@pytest.mark.usefixtures("small_shards")
def test_several_layers_are_read_in_one_pass(tmp_path: Path) -> None:
    model, texts = tiny_classifier(), corpus(15)
    layers = model.layers(0, -1)
    together = layers.activations(texts, granularity="word", progress=False)
    stored = layers.activations(texts, granularity="word", to=tmp_path, progress=False)
    assert list(together) == list(stored) == [model.layer_path(0), model.layer_path(-1)]
    for path, found in together.items():
        alone = model.split(path).activations(texts, granularity="word", progress=False)
        assert torch.allclose(found.matrix(), alone.matrix(), atol=1e-5)
        assert torch.allclose(stored[path].matrix(), alone.matrix(), atol=1e-5)
        assert found.made_by.cost.forwards == alone.made_by.cost.forwards


@pytest.mark.usefixtures("small_shards")
def test_batches_of_a_store_and_of_memory_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_core.activations._activations.BATCH", 16)
    monkeypatch.setattr("interp_core.activations._activations.MIXED", 16 * 16 * 3)
    split = tiny_classifier().split(-1)
    stored = split.activations(corpus(), to=tmp_path, progress=False)
    memory = Activations.load(stored.save(tmp_path / "one.safetensors"))
    for shuffled in (False, True):
        made = [
            list(held.batches(7, generator=torch.Generator().manual_seed(3) if shuffled else None))
            for held in (stored, memory)
        ]
        assert [len(part) for part in made[0][:-1]] == [7] * (len(made[0]) - 1)
        assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))
    order = torch.cat(made[0])
    assert not torch.equal(order, memory.matrix())
    assert torch.equal(order.sort(0).values, memory.matrix().sort(0).values)
    drawn = [held.sample(20, torch.Generator().manual_seed(1)) for held in (stored, memory)]
    assert torch.equal(*drawn) and len(drawn[0]) == 20


@pytest.mark.usefixtures("small_shards")
def test_the_part_of_a_class_stays_on_disk(tmp_path: Path) -> None:
    split, texts = tiny_classifier().split(-1), corpus()
    asked: dict[str, Any] = {"granularity": "word", "labels": [i % 3 for i in range(len(texts))], "progress": False}
    memory, stored = split.activations(texts, **asked), split.activations(texts, to=tmp_path, **asked)
    one, two = memory.of_class(1, by="labels"), stored.of_class(1, by="labels")
    assert not isinstance(two.values, torch.Tensor)
    assert torch.allclose(two.matrix(), one.matrix(), atol=1e-5)
    assert list(two.texts) == list(one.texts) and list(two.units) == list(one.units)
    assert torch.equal(two.text_of, one.text_of) and torch.equal(two.rows_of(3), one.rows_of(3))
    assert torch.allclose(torch.cat(list(two.batches(5))), one.matrix(), atol=1e-5)


def test_labels_may_be_several_for_a_text(tmp_path: Path) -> None:
    split = tiny_classifier().split(-1)
    labels = torch.tensor([[True, False], [True, True], [False, False]])
    for to in (None, tmp_path):
        held = split.activations(
            corpus(3), granularity="word", labels=labels, class_names=["a", "b"], to=to, progress=False
        )
        assert held.labels is not None and torch.equal(held.labels, labels)
        assert torch.equal(held.membership(), labels[held.text_of])
        assert len(held.of_class(0, by="labels").texts) == 2


@pytest.mark.parametrize(
    "wrong",
    [[0.5, 1.0, 0.0], ["a", "b", "c"], [-1, 0, 1], [[0, 2, 0], [1, 0, 0], [0, 0, 0]], [[True, False]] * 3, [0, 1, 3]],
)
def test_labels_that_cannot_be_read_are_refused(wrong: list[Any]) -> None:
    with pytest.raises(InputError, match="label"):
        tiny_classifier().split(-1).activations(corpus(3), labels=wrong, progress=False)


def test_an_iterator_with_too_few_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 labels were given"):
        tiny_classifier().split(-1).activations(iter(corpus(3)), labels=iter([0, 1]), to=tmp_path, progress=False)


def test_a_generator_of_texts_and_a_generating_model_can_be_stored(tmp_path: Path) -> None:
    split = tiny_generator().split(0)
    stored = split.activations((text for text in corpus(9)), granularity="token", to=tmp_path, progress=False)
    assert torch.allclose(stored.matrix(), split.activations(corpus(9), progress=False).matrix(), atol=1e-5)


def test_an_empty_text_in_a_stream_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="text 2 is empty"):
        tiny_classifier().split(-1).activations(iter(["a dog", "sun", " "]), to=tmp_path, progress=False)


def test_an_empty_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="corpus is empty"):
        tiny_classifier().split(-1).activations(iter([]), to=tmp_path, progress=False)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("on_disk", [False, True])
def test_activations_become_a_data_set(tmp_path: Path, on_disk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_core.activations._activations.TABLE_ROWS", 10)
    held = (
        tiny_classifier()
        .split(-1)
        .activations(corpus(), granularity="word", predictions=True, to=tmp_path / "store", progress=False)
    )
    table = held.to_dataset(tmp_path / "table.arrow" if on_disk else None)
    assert len(table) == len(held) and bool(table.cache_files) == on_disk
    assert torch.equal(torch.tensor(table["values"][:]), held.matrix())
    row = table[7]
    unit, text = held.unit(7), int(held.text_of[7])
    assert (row["unit"], row["start"], row["stop"]) == (unit.text, unit.start, unit.stop)
    assert (row["text"], row["text_of"], row["unit_of"]) == (held.texts[text], text, int(held.unit_of[7]))
    assert held.predictions is not None and row["predictions"] == int(held.predictions[text])
    assert table.features["predictions"].names == list(held.class_names)
    if on_disk:
        with pytest.raises(InputError, match="there already"):
            held.to_dataset(tmp_path / "table.arrow")


def test_labels_have_the_names_that_are_given_for_them(tmp_path: Path) -> None:
    split, asked = (
        tiny_classifier().split(-1),
        {"labels": ["verb", "noun", "verb"], "class_names": ["verb", "noun"], "progress": False},
    )
    for to in (None, tmp_path):
        held = split.activations(corpus(3), to=to, **asked)
        assert held.class_names == ("verb", "noun")
        assert len(held.of_class("noun", by="labels").texts) == 1
    with pytest.raises(InputError, match="predictions would be misread"):
        split.activations(corpus(3), predictions=True, **asked)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("order", [(0, -1), (-1, 0)])
def test_layers_of_which_one_is_further_end_alike(tmp_path: Path, order: tuple[int, int]) -> None:
    """What one layer's store holds is checked and kept; the other catches up."""
    model, texts = tiny_classifier(), corpus()
    whole = model.layers(*order).activations(texts, to=tmp_path / "whole", progress=False)
    for layer, after in zip(order, (14, 31), strict=True):
        with pytest.raises(StoppedError):
            model.layers(layer).activations(stopping(texts, after), to=tmp_path / "parts", progress=False)
    before = files_of(tmp_path / "parts")
    other = [*texts[:20], "calm sun", *texts[21:]]
    with pytest.raises(InputError, match="text 20 of the store"):
        model.layers(*order).activations(other, to=tmp_path / "parts", progress=False)
    assert files_of(tmp_path / "parts") == before
    model.layers(*order).activations(texts, to=tmp_path / "parts", progress=False)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")
    assert all(len(held.texts) == len(texts) for held in whole.values())


def test_a_complete_store_is_not_written_over_by_a_run_of_more_layers(tmp_path: Path) -> None:
    model = tiny_classifier()
    model.layers(0).activations(corpus(6), to=tmp_path, progress=False)
    before = files_of(tmp_path / model.layer_path(0))
    with pytest.raises(InputError, match="text 0 of the store"):
        model.layers(0, -1).activations(corpus(6, seed=1), to=tmp_path, progress=False)
    assert files_of(tmp_path / model.layer_path(0)) == before
    both = model.layers(0, -1).activations(corpus(6), to=tmp_path, progress=False)
    assert [len(held.texts) for held in both.values()] == [6, 6]
    assert files_of(tmp_path / model.layer_path(0)) == before


def test_stores_cut_otherwise_are_not_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_classifier()
    with pytest.raises(StoppedError):
        monkeypatch.setattr(extraction, "TEXTS_A_SHARD", 5)
        model.layers(0).activations(stopping(corpus(), 12), to=tmp_path, progress=False)
    monkeypatch.setattr(extraction, "TEXTS_A_SHARD", 6)
    with pytest.raises(InputError, match="begun with texts_a_shard 5, now it is 6"):
        model.layers(0, -1).activations(corpus(), to=tmp_path, progress=False)


def test_a_store_of_other_labels_or_units_is_refused(tmp_path: Path) -> None:
    split, texts = tiny_classifier().split(-1), corpus(4)
    split.activations(texts, labels=[0, 1, 2, 0], to=tmp_path / "labels", progress=False)
    with pytest.raises(InputError, match="the label of text 2"):
        split.activations(texts, labels=[0, 1, 1, 0], to=tmp_path / "labels", progress=False)
    split.activations(texts, granularity=lambda text: [(0, len(text))], to=tmp_path / "units", progress=False)
    with pytest.raises(InputError, match="the units of text 0"):
        split.activations(texts, granularity=lambda text: [(0, 3)], to=tmp_path / "units", progress=False)


@pytest.mark.parametrize(
    "wrong", [[None, 1, 0], [0, None, 1], [[True] * 3, [True, False], [True] * 3], [0, 1, [True, False, True]]]
)
def test_labels_of_different_kinds_are_refused_at_the_text(wrong: list[Any], tmp_path: Path) -> None:
    for to in (None, tmp_path):
        with pytest.raises(InputError, match="label"):
            tiny_classifier().split(-1).activations(corpus(3), labels=wrong, to=to, progress=False)


def test_an_iterator_with_too_many_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more labels"):
        tiny_classifier().split(-1).activations(iter(corpus(3)), labels=iter([0, 1, 0, 1]), to=tmp_path, progress=False)
