"""Values where people look: every kind shows itself in a terminal, a notebook, a table, a figure and as JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import sys
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.attribution import Attributions, StoredAttributions
from interp_core.concepts import LabelledConcept, concept_cards
from interp_core.errors import InputError
from interp_core.model import answer_of
from interp_core.reporting import ClassConcepts
from interp_core.results import MadeBy, load_result
from interp_core.testing import planted_model, tiny_classifier, tiny_generator, tiny_tagger

WORDS = {"happy": (3.0, -1.0), "sad": (-2.0, 2.0)}
TEXTS = ["so happy today", "never sad", "a < b & 'happy'\nnew", "happy"]


kept: list[Any] = []  # folders, until the tests end

NAMES = (
    "attribution",
    "generated",
    "attributions",
    "stored attributions",
    "activations",
    "space",
    "interpretation",
    "cards",
    "importance",
    "effect",
    "class concepts",
    "score",
    "benchmark",
)


@cache
def values() -> dict[str, Any]:
    """A value of each kind, of a text with markup, a line break and several targets."""
    model, split = planted_model(WORDS), tiny_classifier().split(-1)
    several = interp.attribute(model, TEXTS, by="lime", samples=8, targets="all", labels=[0, 1, 0, 1], progress=False)
    folder = TemporaryDirectory()
    stored = interp.attribute(model, TEXTS, by="lime", samples=8, targets="all", to=folder.name, progress=False)
    kept.append(folder)
    (generated,) = interp.attribute(tiny_generator(), "i feel", by="occlusion", targets=" so happy", progress=False)
    held = split.activations(TEXTS, granularity="cls", labels=[0, 1, 2, 0], predictions=True, progress=False)
    space = interp.fit_concepts(held, by="pca", concepts=2)
    words = interp.Interpretation((LabelledConcept(0, "<em>"), LabelledConcept(1, None, note="never active")))
    importance = interp.importance(split, space, held, progress=False)
    effect = interp.effect(split, space, held, interp.Change(ablate=[0]), progress=False)
    given: dict[str, Any] = {"importance": importance, "effects": {0: effect}}
    made = MadeBy("detection", settings={"concepts": [0, 1]})
    trust = interp.Score(0.6, True, torch.tensor([0.6, 0.5]), name="detection", made_by=made)
    cards = concept_cards(space, held, words, scores=[trust], **given)
    curves = (torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.7]))
    score = interp.Score(0.6, True, torch.tensor([0.5, 0.7]), name="insertion", chance=0.1, curves=curves)
    benchmark = interp.benchmark(model, TEXTS[:2], methods=["occlusion"], metrics=["insertion"], progress=False)
    whole = ClassConcepts("LABEL_0", space, words, importance)
    every = (
        several[2],
        generated,
        several,
        stored,
        held,
        space,
        words,
        cards,
        importance,
        effect,
        whole,
        score,
        benchmark,
    )
    return dict(zip(NAMES, every, strict=True))


@pytest.fixture(params=NAMES)
def value(request: pytest.FixtureRequest) -> Any:
    return values()[request.param]


class Tags(HTMLParser):
    """The tags that are open at the end of a fragment."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("br", "input", "meta", "wbr", "hr", "img", "link", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_kind_that_can_be_saved_is_among_them() -> None:
    entries = [entry for entry in entry_points(group="interp.values") if entry.value.startswith("interp_core.")]
    kinds = [entry.load() for entry in entries]
    assert len(kinds) == 11
    assert all(any(isinstance(value, kind) for value in values().values()) for kind in kinds)


def test_a_value_is_one_short_line_for_programmers_and_a_few_for_readers(value: Any) -> None:
    line = repr(value)
    assert len(line) <= 200 and len(line.splitlines()) == 1 and line.startswith(f"{type(value).__name__}(")
    assert str(value).strip() and "tensor(" not in str(value) and "\x1b" not in str(value)
    assert value.summary() == value.summary()


def test_a_value_is_html_that_is_closed_and_escaped(value: Any) -> None:
    html = value._repr_html_()
    assert not Tags(html).open and "a < b &" not in html and "<em>" not in html


def test_a_value_is_json_that_every_reader_takes(value: Any) -> None:
    read = json.loads(json.dumps(value.to_json(), allow_nan=False))
    assert read and (
        isinstance(value, ClassConcepts | Attributions | StoredAttributions | interp.Benchmark) or "made_by" in read
    )


def test_a_value_is_a_table(value: Any) -> None:
    table, columns = value.to_dataframe(), value.columns()
    assert list(table.columns) == list(columns) and len(table) == len(next(iter(columns.values()))) > 0


def test_a_value_is_the_same_after_saving(value: Any, tmp_path: Path) -> None:
    paths = interp.save(value, tmp_path / "kept")
    again = [load_result(path) for path in paths]
    given = value if isinstance(value, Attributions | StoredAttributions) else [value]
    for one, other in zip(given, again, strict=True):
        assert json.dumps(one.to_json()) == json.dumps(other.to_json())
        assert repr(one) == repr(other) and one.summary() == other.summary()


def test_a_number_that_is_none_is_shown_everywhere() -> None:
    score = interp.Score(math.nan, True, torch.tensor([0.5, math.inf]), name="insertion", chance=0.1)
    assert "nan" in repr(score) and score.plot() and len(score.to_dataframe()) == 2
    assert score.to_json()["value"] is None and "nan%" not in score._repr_html_()


def test_the_list_of_attributions_is_a_list() -> None:
    several = values()["attributions"]
    assert isinstance(several, list) and isinstance(several, Attributions)
    assert [one.text for one in several] == TEXTS and several[-1].text == "happy"
    assert several.right == [True, True, True, False] and "4 texts, 3 of 4 right, by lime" in repr(several)
    table = several.to_dataframe()
    assert table["text"].tolist() == [i for i, one in enumerate(several) for _ in range(one.scores.numel())]
    assert table["score"].tolist() == [score for one in several for score in one.scores.flatten().tolist()]


# What a classifier answers


def test_an_attribution_knows_the_answer_its_probability_and_the_truth() -> None:
    model = planted_model(WORDS)
    logits = model.logits(torch.stack([model.encoder("so happy").ids]))[0]
    for targets in (None, "all", 1, "class 0"):
        (one,) = interp.attribute(model, "so happy", by="occlusion", targets=targets, labels=[1], progress=False)
        assert (one.answer, one.label, one.right) == ("class 0", "class 1", False)
        assert one.probability == pytest.approx(float(logits.softmax(-1)[0]), abs=1e-6)
        assert "The model says class 0 (98%); the label is class 1." in one.summary()


@pytest.mark.parametrize(("targets", "known"), [(None, True), ("all", True), (1, False), ([1, 0], False)])
def test_without_labels_no_row_is_spent_on_the_answer(targets: Any, known: bool) -> None:
    model = planted_model(WORDS)
    asked = {"by": "occlusion", "targets": targets, "progress": False}
    (one,) = interp.attribute(model, "so happy", **asked)
    assert (one.answer is not None) is known and one.right is None and one.label is None
    assert one.made_by.cost.rows == 3  # the text, and the text without each of its words


def test_labels_cost_no_more_than_the_row_that_is_asked_for_anyway() -> None:
    (one,) = interp.attribute(
        planted_model(WORDS), "so happy", by="occlusion", targets=1, labels=["class 0"], progress=False
    )
    assert one.made_by.cost.rows == 3 and one.right


@pytest.mark.parametrize("label", [1, "class 1", [1], ["class 1"], torch.tensor([1])])
def test_a_single_text_may_have_its_label_as_it_is(label: Any) -> None:
    (one,) = interp.attribute(planted_model(WORDS), "so sad", by="occlusion", labels=label, progress=False)
    assert one.right and one.label == "class 1"


def test_no_attributions_are_shown_as_none() -> None:
    none = Attributions()
    assert repr(none) == "Attributions(0 texts)" and none._repr_html_() == "<p>0 texts</p>" and none.right == []
    assert len(none.to_dataframe()) == 0


def test_several_labels_are_right_together() -> None:
    names = ("a", "b", "c")
    assert answer_of(torch.tensor([-1.0, 2.0, 3.0]), names, "multi-label")[0] == ("b", "c")
    assert answer_of(torch.tensor([-1.0, -2.0, -3.0]), names, "multi-label") == ((), ())
    one = dataclasses.replace(values()["attribution"], label=("b", "c"), answer=("c", "b"), probability=(0.9, 0.8))
    assert one.right and "says c (90%), b (80%), rightly" in one.summary()
    assert dataclasses.replace(one, answer=(), probability=()).right is False
    assert (
        "says none of the classes; the label is b, c" in dataclasses.replace(one, answer=(), probability=()).summary()
    )
    some = dataclasses.replace(one, label=("b",), answer=("c", "b"), probability=(0.9, 0.8))
    assert some.right is False and dataclasses.replace(some, label=()).right is False


def test_equal_texts_keep_labels_of_their_own() -> None:
    two = interp.attribute(planted_model(WORDS), ["sad", "sad"], by="occlusion", labels=[0, 1], progress=False)
    assert [one.right for one in two] == [False, True] and two.right == [False, True]


@pytest.mark.parametrize(
    ("make", "labels", "said"),
    [
        (tiny_classifier, [0], "1 labels were given for 2 texts"),
        (tiny_classifier, [0, 1, 2], "3 labels were given for 2 texts"),
        (tiny_classifier, [0, "LABEL_7"], "the label 'LABEL_7' is not a class"),
        (tiny_classifier, [[1, 0, 0], [0, 1, 0]], "does not fit"),
        (tiny_generator, [0, 1], "labels mean nothing to it"),
        (tiny_tagger, [0, 1], "labels mean nothing to it"),
        (lambda: tiny_classifier(labels=1), [0, 0], "labels mean nothing to it"),
    ],
)
def test_labels_that_mean_nothing_are_refused(make: Any, labels: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        interp.attribute(make(), ["so sad", "calm"], by="occlusion", labels=labels, progress=False)


def test_a_table_keeps_the_numbers_of_texts_and_says_what_is_known_of_each() -> None:
    model = planted_model(WORDS)
    with pytest.warns(interp.InterpWarning, match="1 of 3 texts were skipped"):
        found = interp.attribute(
            model, ["so happy", "", "sad"], by="occlusion", labels=[0, 0, 0], on_error="skip", progress=False
        )
    table = found.to_dataframe()
    assert found.numbers == [0, 2] and table.text.tolist() == [0, 0, 2]
    assert table.right.tolist() == [True, True, False] and table.answer.tolist() == ["class 0", "class 0", "class 1"]
    assert set(table.label) == {"class 0"} and table.probability.iloc[0] == pytest.approx(found[0].probability)
    assert all("skipped" in one.notes[-1] for one in found)
    page = interp.report(found).html
    assert "1 of 2 answered rightly" in page and "The model says class 1" in page and "the label is class 0" in page
    with pytest.raises(InputError, match="on_error='skip'"):
        interp.attribute(model, ["so happy", ""], by="occlusion", progress=False)


def test_a_value_is_csv_without_pandas(value: Any, tmp_path: Path) -> None:
    rows = list(csv.reader(io.StringIO(value.to_csv(tmp_path / "table.csv"))))
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == value.to_csv()
    if not isinstance(value, interp.Benchmark):  # which has a table of its own
        assert rows[0] == list(value.columns()) and len(rows) == 1 + len(next(iter(value.columns().values())))


def test_texts_without_a_label_are_neither_right_nor_wrong() -> None:
    model = planted_model(WORDS)
    found = interp.attribute(model, ["so happy", "sad", "so"], by="occlusion", labels=[0, None, 0], progress=False)
    assert [one.label for one in found] == ["class 0", None, "class 0"] and found[1].right is None
    with pytest.raises(InputError, match="every text needs one here"):
        tiny_classifier().split(-1).activations(["a", "b"], labels=[0, None], progress=False)


# Terminals and figures


def test_words_are_coloured_in_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    one = values()["attribution"]
    plain = str(one)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    coloured = str(one)
    assert "\x1b[" in coloured and "\x1b[" not in plain
    (two,) = interp.attribute(planted_model(WORDS), "so sad but happy", by="occlusion", targets=0, progress=False)
    words = str(two).splitlines()[-1]
    assert words.startswith("so \x1b[30;48;2;136;183;228msad") and "48;2;240;138;26mhappy" in words
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in str(one) and "\x1b[4" not in str(one)


FIGURELESS = ("attributions", "stored attributions", "activations", "space", "interpretation")
FIGURES = [name for name in NAMES if name not in FIGURELESS]


@pytest.mark.parametrize("name", FIGURES)
def test_a_value_is_a_figure_that_no_state_of_matplotlib_knows(name: str, tmp_path: Path) -> None:
    from matplotlib import _pylab_helpers

    values()[name].plot().savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").stat().st_size > 1000 and not _pylab_helpers.Gcf.figs


def test_bars_are_the_scores_and_a_waterfall_ends_at_the_score_of_the_text() -> None:
    (one,) = interp.attribute(planted_model(WORDS), "so sad but happy", by="occlusion", targets="all", progress=False)
    bars = one.plot(target="class 1").axes[0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["sad", "happy"]
    assert [bar.get_width() for bar in bars.patches] == [2.0, -1.0]
    steps = one.plot(kind="waterfall").axes[0].patches
    assert steps[-1].get_x() + steps[-1].get_width() == pytest.approx(float(one.intact[0]))
    (other,) = interp.attribute(tiny_classifier(), "so sad", by="occlusion", targets=0, progress=False)
    start = float(other.intact[0] - other.scores[0].sum())
    assert abs(start) > 0.1
    assert other.plot(kind="waterfall").axes[0].patches[0].get_x() == pytest.approx(start, abs=1e-5)
    cells = one.plot(kind="heatmap").axes[0].images[0].get_array()
    assert torch.equal(torch.as_tensor(cells.data), one.scores)


def test_the_curves_of_a_score_are_drawn_with_their_mean() -> None:
    score = values()["score"]
    *own, mean = (line.get_xydata().tolist() for line in score.plot().axes[0].lines)
    assert [[round(y, 3) for _, y in line] for line in own] == [
        [0, 0.5, 1],
        [0.7, 0.7],
    ]
    assert [mean[i][1] for i in (0, 50, 100)] == pytest.approx([0.35, 0.6, 0.85])
    assert len(score.plot(kind="values").axes[0].patches) > 0
    *_, random = dataclasses.replace(score, chance_curves=(torch.tensor([0.0, 0.2]),)).plot().axes[0].lines
    assert random.get_ydata().tolist()[::50] == pytest.approx([0, 0.1, 0.2])
    assert dataclasses.replace(score, curves=()).plot().axes[0].patches
    with pytest.raises(InputError, match="auto, values"):
        dataclasses.replace(score, curves=()).plot(kind="curves")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("attribution", {"targt": 1}, "Did you mean 'target'"),
        ("attribution", {"kind": "bar"}, "Did you mean 'bars'"),
        ("attribution", {"target": "joy"}, "'joy'"),
        ("attribution", {"top": -1}, "top is -1; a whole number from 1"),
        ("importance", {"top": "3"}, "top is '3'"),
        ("benchmark", {"metric": "insertio"}, "Did you mean 'insertion'"),
        ("space", {}, "AffineSpace has no figure"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_a_figure_cannot_be_is_said(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        values()[name].plot(**options)


def test_targets_of_one_label_are_told_apart() -> None:
    attribution = values()["generated"]
    twice = dataclasses.replace(attribution, targets=(attribution.targets[0],) * len(attribution.targets))
    table = twice.to_dataframe()
    assert table.target_number.tolist() == [i for i, row in enumerate(twice.scores) for _ in row]
    last = len(twice.targets) - 1
    lines = [float(line.get_xdata()[0]) for line in twice.plot(kind="waterfall", target=last).axes[0].lines]
    assert any(place == pytest.approx(float(twice.intact[last])) for place in lines)


@pytest.mark.parametrize(("package", "ask"), [("pandas", "to_dataframe"), ("matplotlib", "plot")])
def test_a_package_that_is_not_installed_is_named(package: str, ask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=f"pip install {package}"):
        getattr(values()["attribution"], ask)()


# What is no result


def test_models_and_methods_show_themselves_in_a_notebook() -> None:
    shown = tiny_classifier()._repr_html_()
    assert "single-label" in shown and "LABEL_0, LABEL_1, LABEL_2" in shown and not Tags(shown).open
    table = interp.methods("attribution")._repr_html_()
    assert "occlusion" in table and "Zeiler" in table and not Tags(table).open
    assert repr(interp.methods("attribution")).startswith("Methods(") and "occlusion " in str(interp.methods())


def test_a_report_is_a_short_line() -> None:
    page = interp.report(values()["score"], title="Why <this> & that?")
    assert repr(page).startswith("Report('Why <this> & that?', ") and len(repr(page)) < 100


def test_provenance_is_told_in_short() -> None:
    assert MadeBy("lime", model="bert").brief == "lime on bert" and MadeBy("lime").brief == "lime"


# Long work


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


ROWS = of_rows(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)))
LONG: dict[str, Callable[[bool], object]] = {
    "activations": lambda shown: tiny_classifier().split(-1).activations(TEXTS, progress=shown),
    "attribute by occlusion": lambda shown: interp.attribute(
        planted_model(WORDS), TEXTS, by="occlusion", progress=shown
    ),
    "alternating least squares": lambda shown: interp.fit_concepts(ROWS, by="semi-nmf", concepts=2, progress=shown),
    "dictionary learning": lambda shown: interp.fit_concepts(
        ROWS, by="dictionary-learning", concepts=2, steps=3, progress=shown
    ),
    "TopKSAE": lambda shown: interp.fit_concepts(ROWS, by="topk-sae", concepts=8, k=2, steps=3, progress=shown),
    "importance": lambda shown: interp.importance(*learnt(), progress=shown),
    "effect": lambda shown: interp.effect(*learnt(), interp.Change(ablate=[0]), progress=shown),
}


def learnt() -> tuple[Any, Any, Any]:
    split = tiny_classifier().split(-1)
    held = split.activations(TEXTS, granularity="cls", progress=False)
    return split, interp.fit_concepts(held, by="neurons"), held


@pytest.mark.parametrize("description", LONG)
def test_long_work_is_seen_in_a_terminal_unless_it_is_not_wanted(
    description: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shown, terminal in ((True, Terminal()), (False, Terminal()), (True, io.StringIO())):
        monkeypatch.setattr(sys, "stderr", terminal)
        LONG[description](shown)
        assert (description in terminal.getvalue()) is (shown and terminal.isatty())
