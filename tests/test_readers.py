"""Files of texts, values and activations are read, or refused in words, however damaged or foreign they are."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interp_core.activations import Activations
from interp_core.cli import main
from interp_core.errors import InputError, InterpError
from interp_core.results import load_result
from interp_core.testing import tiny_classifier
from interp_core.text import one_by_one, read_column
from interp_core.text._labels import as_label, with_labels

FEW = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
CHAT = [{"role": "user", "content": "so sad?"}, {"role": "assistant", "content": "no"}]


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_columns_of_json_hold_texts_pairs_and_chats(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", {"text": "so sad"}, {"text": ["so sad", "why"]}, {"text": CHAT}, {"text": 3})
    assert read_column(file) == ["so sad", ("so sad", "why"), CHAT, "3"]


@pytest.mark.parametrize("value", [["a"], ["a", 2], ["a", "b", "c"], {"a": "b"}, [], [{"role": "user"}]])
def test_a_structure_that_is_no_text_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InputError, match=r"row 2 of a\.jsonl has .* a list of two strings \(a pair\)"):
        read_column(lines(tmp_path / "a.jsonl", {"text": "so"}, {"text": value}))


def test_two_columns_are_pairs(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("premise,hypothesis\nso sad,so bad\nso happy,so good\n")
    assert read_column(file, ["premise", "hypothesis"]) == [("so sad", "so bad"), ("so happy", "so good")]
    with pytest.raises(InputError, match="no column 'body'; its columns are premise, hypothesis"):
        read_column(file, ["premise", "body"])
    with pytest.raises(InputError, match="3 columns were named"):
        read_column(file, ["premise", "hypothesis", "premise"])
    plain = tmp_path / "a.txt"
    plain.write_text("so sad\n")
    with pytest.raises(InputError, match=r"a\.txt has no columns"):
        read_column(plain, ["premise", "hypothesis"])
    with pytest.raises(InputError, match="a pair is two strings"):
        read_column(lines(tmp_path / "a.jsonl", {"a": ["b", "c"], "d": "e"}), ["a", "d"])


def test_a_data_set_is_read_by_its_split_and_columns(tmp_path: Path) -> None:
    table = pytest.importorskip("datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    for split in ("train", "test"):
        rows = {"text": [f"{split} one", f"{split} two"], "other": ["a", "b"], "label": [1, 0]}
        table.Dataset.from_dict(rows).to_parquet(folder / f"{split}.parquet")
    assert read_column(folder) == ["train one", "train two"]
    assert read_column(folder, "label", "test") == ["1", "0"]
    assert read_column(folder, ("other", "text"), "test") == [("a", "test one"), ("b", "test two")]
    with pytest.raises(InputError, match="has no column 'texts'; its columns are text, other, label"):
        read_column(folder, "texts")
    with pytest.raises(InputError, match="no data set could be read"):
        read_column(folder, split="validation")


def test_a_parquet_file_is_read_with_classes_by_name_and_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = pytest.importorskip("datasets")
    rows = {"text": ["so sad", "so happy", "so"], "mood": [0, 1, -1]}
    made = table.Dataset.from_dict(rows, features=table.Features(text=table.Value("string"), mood=moods(table)))
    made.to_parquet(tmp_path / "a.parquet")
    made.select([1, 0]).to_parquet(tmp_path / "b.parquet")
    capfd.readouterr()
    assert read_column(tmp_path / "a.parquet") == ["so sad", "so happy", "so"]
    assert read_column(tmp_path / "b.parquet", "mood") == ["happy", "sad"]
    assert read_column(tmp_path / "b.parquet", ["text", "mood"]) == [("so happy", "happy"), ("so sad", "sad")]
    with pytest.raises(InputError, match=r"row 3 of .*a\.parquet has no value in the column 'mood'"):
        read_column(tmp_path / "a.parquet", "mood")
    made.select([0]).to_parquet(tmp_path / "data1.parquet")
    made.select([1]).to_parquet(tmp_path / "other.parquet")
    for name in ("data[1].parquet", "x::y.parquet"):  # names, not patterns
        (tmp_path / name).write_bytes((tmp_path / "other.parquet").read_bytes())
    capfd.readouterr()
    assert read_column(tmp_path / "data[1].parquet") == read_column(tmp_path / "x::y.parquet") == ["so happy"]
    with pytest.raises(InputError, match="there is no file"):
        read_column(tmp_path / "data*.parquet")
    for name in ("nofile.h5", "nofile.v1", "nofile.csv"):  # without asking the hub
        with pytest.raises(InputError, match="there is no file"):
            read_column(name)
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"could be read from .*c\.parquet.*: Parquet file size is 4 bytes"):
        read_column(tmp_path / "c.parquet")
    assert capfd.readouterr() == ("", "")


def moods(table: Any) -> Any:
    return table.ClassLabel(names=["sad", "happy"])


def test_a_folder_may_have_a_dot_in_its_name(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "set.v1").mkdir()
    (tmp_path / "set.v1" / "train.csv").write_text("text\nso sad\n")
    assert read_column(tmp_path / "set.v1") == ["so sad"]
    with pytest.raises(InputError, match="there is no file"):
        read_column(tmp_path / "set.cvs")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_a_table_is_utf_8_with_or_without_a_byte_order_mark(tmp_path: Path, mark: str, suffix: str) -> None:
    import gzip

    content = f"{mark}text\nso sad \u4eca\u65e5\u306f\n".encode()
    path = tmp_path / f"table.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    assert read_column(path) == ["so sad \u4eca\u65e5\u306f"]


class Sized:
    """A corpus that is no list but knows its length, as a data set does."""

    def __iter__(self) -> Any:
        return iter(["so happy", "so sad"])

    def __len__(self) -> int:
        return 2


def test_a_stream_that_knows_its_length_says_it() -> None:
    corpus, total = one_by_one(Sized(), streams=True)
    assert (list(corpus), total) == (["so happy", "so sad"], 2)
    assert one_by_one(iter(Sized()), streams=True)[1] is None


def test_a_table_is_no_corpus() -> None:
    import pandas as pd

    frame = pd.DataFrame({"text": ["so sad"]})
    for table in (frame, {"text": ["so sad"]}):
        with pytest.raises(InputError, match="such as one column of it"):
            one_by_one(table, streams=False)
    assert list(one_by_one(frame["text"], streams=False)[0]) == ["so sad"]


@pytest.mark.parametrize("wrong", [[[1, 0], [0, 1]], [0.5, 1.0], [1, 0, 1], 1.5, -1, True, 2, "sad", object()])
def test_what_is_no_label_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        as_label(wrong, ["joy", "love"])


def test_labels_that_are_wrong_are_named_with_the_classes() -> None:
    with pytest.raises(InputError, match=r"the label 'sad' is not a class; the classes are joy, love\. Name"):
        as_label("sad", ["joy", "love"])
    with pytest.raises(InputError, match=r"the label 'sad' is not a class; the classes are not named\."):
        as_label("sad")
    with pytest.raises(InputError, match=r"the label of text 1 is \[True, False\], that of the first 1"):
        list(with_labels(iter(["a", "b"]), [1, [1, 0]], ["joy", "love"]))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stream_is_refused_only_if_it_is_empty(number: int) -> None:
    stream, total = one_by_one(iter(["so sad"] * number), streams=True)
    assert total is None
    if number:
        assert list(stream) == ["so sad"] * number
    else:
        with pytest.raises(InputError, match="the corpus is empty"):
            list(stream)


def test_a_line_of_json_that_is_a_string_is_no_row(tmp_path: Path) -> None:
    import gzip

    for name in ("rows.jsonl", "rows.jsonl.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(b'"so sad"\n') if name.endswith("gz") else b'"so sad"\n')
        with pytest.raises(InputError, match=r"row 1 of rows.jsonl(\.gz)? is 'so sad'; an object with the column"):
            read_column(path)


def test_a_row_with_too_many_values_shows_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nso sad, but calm,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"row 1 of rows.csv has more values than there are columns: \['1'\]"):
        read_column(path)


@pytest.mark.parametrize("row", [[1, 0], [1.0, 0.0], [True, False]])
def test_a_row_of_ones_and_zeros_says_which_classes_a_text_has(row: Any) -> None:
    assert as_label(row, ["joy", "love"]).tolist() == [True, False]
    assert as_label(1, ["joy", "love"]).tolist() == as_label("love", ["joy", "love"]).tolist() == 1


def test_a_text_with_a_separator_outside_of_quotes_is_not_cut_without_a_word(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text\nso sad\nso sad, really\n")
    with pytest.raises(InputError, match=r"row 2 of a\.csv has more values than there are columns.*quotes"):
        read_column(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, path = tiny_classifier(), tmp_path_factory.mktemp("model")
    model.model.save_pretrained(path)
    model.tokenizer.save_pretrained(path)
    return path


def test_the_command_line_takes_pairs(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("premise,hypothesis\nthe sun,the rain\n")
    arguments = ["attribute", "--model", str(folder), "--by", "occlusion", "--json", "--pair", "so sad", "so happy"]
    arguments += ["--data", str(table), "--column", "premise", "--column", "hypothesis", "--truncation", "only_first"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    rows = json.loads(done.stdout)["attributions"]
    (expected,) = interp.attribute(tiny_classifier(), [("so sad", "so happy")], by="occlusion", progress=False)
    assert [row["text"] for row in rows] == ["so sad\nso happy", "the sun\nthe rain"]
    assert [unit[0] for unit in rows[0]["units"]] == ["so", "sad", "so", "happy"]
    assert rows[0]["scores"][0] == pytest.approx(expected.scores[0].tolist(), abs=1e-5)


def test_the_command_line_goes_on_without_a_text_that_fails(folder: Path) -> None:
    arguments = ["attribute", "--model", str(folder), "--by", "occlusion", "--json", "so sad", "[MASK]"]
    stopped = CliRunner().invoke(main, arguments)
    assert stopped.exit_code and "text 1 ('[MASK]')" in stopped.output
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = CliRunner().invoke(main, [*arguments, "--on-error", "skip"], catch_exceptions=False)
    assert "interp: note: 1 of 2 texts were skipped" in done.stderr
    assert [row["text"] for row in json.loads(done.stdout)["attributions"]] == ["so sad"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "txt", "csv.gz", "jsonl.gz"])
@FEW
@given(st.binary(max_size=40) | st.text(st.sampled_from('a,"\n\r\t{}[]:text'), max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"corpus.{suffix}"
    file.write_bytes(content)
    refused_or(lambda: read_column(file))


@FEW
@given(JSON)
def test_any_json_is_read_or_refused(tmp_path: Path, value: Any) -> None:
    refused_or(lambda: read_column(lines(tmp_path / "a.jsonl", value)))
    refused_or(lambda: read_column(lines(tmp_path / "a.jsonl", {"text": value})))
    refused_or(lambda: load_result(lines(tmp_path / "a.json", value)))
    for kind in ("score", "benchmark", "interpretation"):
        refused_or(lambda kind=kind: load_result(lines(tmp_path / "a.json", {"kind": kind, "value": value})))


def refused_or(read: Any) -> None:
    try:
        read()
    except InterpError as error:
        assert str(error)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each kind of value, and a store."""
    path, model = tmp_path_factory.mktemp("saved"), tiny_classifier()
    split = model.split(-1)
    texts = ["so happy today", "a sad day", "the old dog"]
    activations = split.activations(texts, predictions=True, progress=False)
    split.activations(texts, predictions=True, to=path / "store", progress=False)
    (attribution,) = interp.attribute(model, texts[0], by="occlusion", progress=False)
    space = interp.fit_concepts(activations, by="pca", concepts=2)
    values = [activations, attribution, space, interp.Score(0.5, True, name="insertion")]
    files = {file.stem.partition("-")[2]: file for file in interp.save(values, path / "values")}
    return {**files, "store": path / "store"}


KINDS = ("activations", "attribution", "affinespace", "score")


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(st.data())
def test_a_damaged_file_is_read_or_refused(
    saved: dict[str, Path], tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    content = bytearray(saved[kind].read_bytes())
    damage(content, data)
    file = tmp_path / f"damaged{saved[kind].suffix}"
    file.write_bytes(content)
    refused_or(lambda: load_result(file))


def damage(content: bytearray, data: st.DataObject) -> None:
    """Cut a file off, or change some of its first bytes, where the header is."""
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, min(len(content), 2000) - 1))] = data.draw(st.integers(0, 255))


def names_in(value: Any) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [path for key, inner in value.items() for path in [(key,), *((key, *rest) for rest in names_in(inner))]]
    return []


def without(value: dict[str, Any], path: tuple[Any, ...], replacement: Any = None) -> dict[str, Any]:
    copy = json.loads(json.dumps(value))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    if replacement is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = replacement
    return copy


@pytest.mark.parametrize("replacement", [None, "x", -1, [], {}, 1e9, [["x"]]])
def test_a_store_whose_manifest_lacks_or_garbles_something_is_read_or_refused(
    saved: dict[str, Path], tmp_path: Path, replacement: Any
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for file in saved["store"].iterdir():
        (store / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((store / "store.json").read_text())
    split = tiny_classifier().split(-1)
    for path in names_in(manifest):
        (store / "store.json").write_text(json.dumps(without(manifest, path, replacement)))
        refused_or(lambda: load_result(store))
        refused_or(lambda: Activations.load(store).matrix())
        refused_or(lambda: split.activations(["so happy today"], to=store, predictions=True, progress=False))


@FEW
@given(st.data())
def test_a_store_with_a_damaged_shard_is_read_or_refused(
    saved: dict[str, Path], tmp_path: Path, data: st.DataObject
) -> None:
    store = tmp_path / "store"
    store.mkdir(exist_ok=True)
    for file in saved["store"].iterdir():
        content = bytearray(file.read_bytes())
        if file.suffix == ".safetensors":
            damage(content, data)
        (store / file.name).write_bytes(content)

    def read() -> None:
        activations = Activations.load(store)
        activations.matrix()
        list(activations.texts), list(activations.units)

    refused_or(read)


def test_what_save_returns_can_be_loaded(tmp_path: Path) -> None:
    files = interp.save([interp.Score(0.5, True), interp.Score(0.25, True)], tmp_path / "scores")
    assert [score.value for score in interp.load_results(files)] == [0.5, 0.25]


def test_a_value_that_is_missing_is_named(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.json", {"kind": "score"})
    with pytest.raises(InputError, match=r"a\.json is damaged, or was written by another version: it holds no 'value"):
        interp.Score.load(file)
