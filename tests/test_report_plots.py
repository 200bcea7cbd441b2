"""The two plots, the verdicts, what a report refuses, and how it holds when there is much or little to show."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.attribution import Attribution
from interp_core.concepts import Importance, Interpretation, LabelledConcept
from interp_core.errors import InputError
from interp_core.metrics import Score
from interp_core.model import Target
from interp_core.reporting import ClassConcepts, fragment, plot_attributions, plot_concepts, report
from interp_core.reporting._bibtex import bibtex_of
from interp_core.reporting._component_data import grid_of
from interp_core.results import Cost, MadeBy
from interp_core.text import Unit
from pages import lines, plain

NAMES = ["sadness", "joy"]
MEAN = torch.tensor([[0.1, 0.3, 0.2], [0.6, 0.4, 0.5]])
WORDS = {0: ["feel", "want"], 1: ["day"], 2: ["need"]}


def attribution(text="so glad", classes=("0", "1"), **more):
    units = tuple(Unit(m.group(), *m.span()) for m in re.finditer(r"\S+", text))
    targets = tuple(Target(name, i) for i, name in enumerate(classes))
    scores = torch.arange(1.0, len(units) + 1) * torch.tensor([[-1.0], [1.0]])[: len(classes)]
    return Attribution(text, units, targets, scores, **{"made_by": MadeBy("lime"), **more})


def rankings(html):
    """For each class the concepts in order, as the page lists them."""
    blocks = re.split(r'data-ranking="\d+"', html)[1:]
    return {
        re.search(r'ip-class">([^<]*)<', block)[1]: re.findall(r'data-concept="([\d-]+)".*?ip-name">([^<]*)<', block)
        for block in blocks
    }


@pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray, list, dict])
def test_scores_and_lists_of_words_are_plotted_as_in_the_seed(kind):
    scores = {torch.Tensor: MEAN, np.ndarray: MEAN.numpy(), list: MEAN.tolist(), dict: {0: MEAN[0], 1: MEAN[1]}}[kind]
    shown = plot_concepts(scores, WORDS, class_names=NAMES)
    assert rankings(shown.html) == {
        "sadness": [("1", "day"), ("2", "need"), ("0", "feel, want")],
        "joy": [("0", "feel, want"), ("2", "need"), ("1", "day")],
    }
    index = lines(shown.html)[0]
    assert "How it was made" not in plain(shown.html) and not index["records"], "nothing is known of it"
    assert "▲" not in plain(shown.html), "sizes alone do not say which way they push"
    assert index["concepts"][0]["ways"] == [["", "", ""], ["", "", ""]]


def test_classes_with_labels_of_their_own_are_plotted_as_in_the_seed():
    labels = {0: {0: "tired", 1: None, 2: "alone"}, 1: {0: "sure", 1: "safe"}}
    shown = plot_concepts({0: MEAN[0], 1: MEAN[1, :2]}, labels, class_names=NAMES)
    assert rankings(shown.html) == {
        "sadness": [("0-1", "unnamed"), ("0-2", "alone"), ("0-0", "tired")],
        "joy": [("1-0", "sure"), ("1-1", "safe")],
    }
    assert "This concept has no label." in shown.html


def test_words_may_carry_strengths_or_be_an_interpretation():
    by_strength = plot_concepts(MEAN, {0: {"feel": 2.0, "want": 1.0}, 1: {"day": 1.0}})
    whole = plot_concepts(MEAN, Interpretation((LabelledConcept(0, None, (("feel", 2.0), ("want", 1.0))),)))
    for shown in (by_strength, whole):
        assert rankings(shown.html)["class 1"][0] == ("0", "feel, want")


def test_scores_with_a_sign_and_an_importance_say_which_way_they_push():
    signed = MEAN * torch.tensor([1.0, -1.0, 1.0])
    for shown in (
        plot_concepts(signed),
        plot_concepts(Importance(signed[None], ("a", "b"), tuple("xyz"), MadeBy("m"))),
    ):
        assert re.findall(r'ip-fill (\w*)"', shown.html)[:3] == ["against", "for", "for"]


def test_only_the_top_is_ranked_and_the_rest_can_be_unfolded():
    html = plot_concepts(torch.arange(40.0).reshape(1, 40), top=3).html
    assert "<summary>20 more</summary>" in html and "and 17 more that matter less" in html
    assert rankings(html)["class 0"][0][0] == "39"


def test_plotted_attributions_take_names_of_classes():
    html = plot_attributions(attribution(), class_names=NAMES).html
    assert re.findall(r'data-label="(\w+)"', html) == NAMES
    assert 'data-label="0"' in plot_attributions([attribution()]).html
    assert plot_attributions(attribution())._repr_html_().startswith("<style>")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: report(), "nothing to show"),
        (lambda: report([]), "nothing to show"),
        (lambda: report(attribution(), 3), "cannot show int"),
        (lambda: fragment("text"), "cannot show str"),
        (lambda: plot_attributions([Score(1.0, True)]), "shows attributions"),
        (lambda: plot_concepts(MEAN[0]), r"\(3,\)"),
        (lambda: plot_concepts("abc"), "no scores"),
        (lambda: plot_concepts(MEAN, 3), "int"),
        (lambda: plot_concepts(MEAN, {0: 3}), "concept 0"),
        (lambda: plot_concepts(MEAN, top=0), "at least 1"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (Score(0.7, True, interval=(0.6, 0.8), chance=0.4), "better than random"),
        (
            Score(0.7, True, interval=(0.3, 0.8), chance=0.4),
            "no better than random|the interval holds the random answer",
        ),
        (Score(0.2, True, interval=(0.1, 0.3), chance=0.4), "worse than random"),
        (Score(0.2, False, interval=(0.1, 0.3), chance=0.4), "better than random"),
        (Score(0.7, False, interval=(0.6, 0.8), chance=0.4), "worse than random"),
        (Score(0.2, False, chance=0.4), "better than random|a single number, without an interval"),
        (Score(0.4, False, chance=0.4), "no better than random|a single number, without an interval"),
        (Score(0.2, None, chance=0.4), "no verdict|no direction"),
        (Score(0.2, True), "no verdict|no random answer to compare with"),
    ],
)
def test_the_verdict_weighs_direction_interval_and_floor(score, verdict):
    shown = re.findall(r'class="ip-(?:verdict \w+|aside)">([^<]+)<', fragment(score))
    assert shown == verdict.split("|")


def test_empty_parts_are_shown_as_such():
    nothing = Attribution("text", (), (Target("a", 0),), torch.zeros(1, 0), MadeBy("lime"))
    blank = Interpretation((LabelledConcept(0, None, note="no unit activates it"),))
    empty = Importance(torch.zeros(2, 1, 0), ("a",), (), MadeBy("m"))
    html = report(nothing, blank, Interpretation(()), empty, Score(0.0, None)).html
    assert "no label: no unit activates it" in html and ">unnamed<" not in html


def test_notes_are_shown_with_how_many_values_carry_them():
    some = [attribution(f"text {i}", notes=("cut short",) if i else ()) for i in range(3)]
    labels = Interpretation((), notes=("the model was silent",)), Interpretation(())
    html = report(some, labels).html
    assert html.count("<li>cut short</li>") == 3, "at the two texts, and where it is said how they were made"
    assert "the model was silent (1 of 2)" in html


def test_how_it_was_made_is_said_once_for_each_run_and_papers_are_numbered():
    made = MadeBy(
        "lime", "interp-lime", "0.1.0", "Ribeiro 2016", {"samples": 9, "seed": 0}, "tiny", cost=Cost(2, 30, 90, 1, 3.0)
    )
    other = (
        MadeBy("mine", source="defined by the program"),
        MadeBy("again", source="Ribeiro 2016"),
        MadeBy("x", source="Kim 2018"),
    )
    values = [attribution(f"text {i}", made_by=made) for i in range(3)] + [attribution(made_by=m) for m in other]
    html = report(values).html
    assert "attribution of 3 texts" in html and "samples = 9, seed = 0" in html
    assert "2 forward passes, 30 rows, 1 backward pass, 3.0 s" in html
    index = lines(html)[0]
    assert index["references"] == ["Ribeiro 2016", "Kim 2018"]
    assert [record["reference"] for record in index["records"]] == [1, 0, 1, 2]
    assert index["bibtex"].startswith("@misc{ribeiro2016,\n  author = {Ribeiro},\n  year = {2016}\n}")


@pytest.mark.usefixtures("unchecked")
def test_a_thousand_texts_stay_small():
    text = " ".join(f"word{i}" for i in range(20))
    many = [attribution(f"{i} {text}", intact=torch.tensor([1.0, 0.0])) for i in range(1000)]
    html = report(many).html
    assert len(html) < 2_000_000
    assert len(lines(html)) == 1001
    assert plain(html).count('class="ip-text"') == 5 and "995 are not" in plain(html)


def test_many_concepts_stay_small():
    weights = Importance(torch.rand(2, 3, 2000), ("a", "b", "c"), tuple(map(str, range(2000))), MadeBy("m"))
    found = Interpretation(tuple(LabelledConcept(i, f"label {i}") for i in range(2000)))
    html = report(weights, found).html
    assert len(html) < 900_000 and "1800 concepts that matter less are not shown" in fragment([weights, found])
    index, *cards = lines(html)
    assert index["concepts"][0]["titles"] == [card["title"] for card in cards] == [f"label {i}" for i in range(2000)]


def test_a_class_of_its_own_needs_no_words():
    weights = Importance(torch.ones(1, 1, 2), ("only",), ("x", "y"), MadeBy("m"))
    assert "joy" in plot_concepts([ClassConcepts("joy", None, None, weights)]).html


def test_one_text_is_shown_alone() -> None:
    several = [attribution("so glad"), attribution("never sad")]
    shown = plot_attributions(several, sample=1).html
    assert [text["text"] for text in lines(shown)[0]["texts"]] == ["never sad"]
    per_text = torch.tensor([[[0.1, 0.3]], [[0.6, 0.4]]])
    importance = Importance(per_text, ("joy",), ("a", "b"), MadeBy("occlusion"))
    own = [ClassConcepts("joy", None, None, importance)]
    for shown, order in ((0, ["1", "0"]), (1, ["0", "1"])):
        for weights in (importance, own):
            numbers = [number for number, _ in rankings(plot_concepts(weights, sample=shown).html)["joy"]]
            assert [number.rpartition("-")[2] for number in numbers] == order


@pytest.mark.parametrize("sample", [2, -1, True, 0.5])
@pytest.mark.usefixtures("unchecked")
def test_a_text_that_is_not_there_is_refused(sample) -> None:
    importance = Importance(torch.ones(2, 1, 2), ("joy",), ("a", "b"), MadeBy("occlusion"))
    with pytest.raises(InputError, match="from 0 to 1"):
        plot_concepts(importance, sample=sample)
    with pytest.raises(InputError, match="from 0 to 1"):
        plot_attributions([attribution(), attribution()], sample=sample)
    with pytest.raises(InputError, match="Tensor has no texts"):
        plot_concepts(MEAN, sample=0)


def test_runs_of_one_method_with_other_parameters_are_told_apart() -> None:
    runs = [attribution(made_by=MadeBy("lime", parameters={"samples": n})) for n in (10, 100)]
    views = lines(report(runs).html)[1]["views"]
    assert [view["method"] for view in views] == ["lime (samples = 10)", "lime (samples = 100)"]


def test_concepts_of_a_text_are_not_guessed_among_corpora_of_one_length() -> None:
    per_text = torch.tensor([[[1.0, -2.0]], [[3.0, 0.5]]])
    weights = Importance(per_text, ("1",), ("a", "b"), MadeBy("m"))
    corpora = [of_rows(torch.eye(2), ["so glad", last]) for last in ("never", "always")]
    known = lines(report(attribution(), weights, corpora[0]).html)[1]["concepts"]
    assert known[0]["targets"] == {"1": [[1, -2.0], [0, 1.0]]}
    assert lines(report(attribution(), weights, *corpora).html)[1]["concepts"] == []


def test_components_of_one_name_keep_their_places() -> None:
    grid = grid_of(["embeddings", "L0.H1", "L0.H0", "L0.MLP", "L10.H0", "L0.H0"])
    assert grid["rows"] == ["embeddings", "", "layer 0", "layer 10"] or set(grid["rows"]) >= {"layer 0", "layer 10"}
    assert grid["columns"][:3] == ["H0", "H1", "MLP"] and len({tuple(place) for place in grid["places"]}) == 6


def test_references_become_bibtex() -> None:
    found = bibtex_of(["Smith, Ng 2017; Smith, Lee 2017", "Poché et al. 2025, arXiv:2501.05855", "nobody"])
    assert re.findall(r"@misc\{(\w+)", found) == ["smith2017", "smith2017b", "poche2025"]
    assert "author = {Poché and others}" in found and "eprint = {2501.05855}" in found


def test_scores_of_a_text_are_those_of_one_space() -> None:
    share = attribution(score_space="probability", intact=torch.tensor([0.2, 0.8]))
    line = lines(report(attribution(intact=None), share).html)[1]
    assert [choice["intact"] for choice in line["choices"]] == [None, None]  # the first method asked about logits
    assert line["views"][1]["intact"] == pytest.approx([0.2, 0.8])
