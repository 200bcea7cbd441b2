"""The report as text: what it says, that all of it is escaped, and that it loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptSpace, Example, Importance, Interpretation, LabelledConcept
from interp_core.errors import InputError
from interp_core.metrics import Benchmark, Row, Score
from interp_core.model import Target
from interp_core.reporting import ClassConcepts, fragment, report
from interp_core.results import MadeBy
from interp_core.text import Encoded, Unit
from pages import findings, heading, plain

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(2)'> \"quoted\" & {{ 7 * 7 }}\n]]>-->"
ANGER, JOY = Target("anger", 0), Target("joy", 1)


def attribution(text="i  feel\nangry", scores=((0.1, -0.5, 2.0), (0.0, 1.0, -2.0)), targets=(ANGER, JOY), **more):
    units = more.pop("units", tuple(Unit(m.group(), *m.span()) for m in re.finditer(r"\S+", text)))
    known = {"made_by": MadeBy("lime", source="Ribeiro et al. 2016", model="tiny"), "intact": torch.tensor([3.0, -1.0])}
    return Attribution(text, units, targets, torch.tensor(scores), **{**known, **more})


def importance(per_text, targets=("anger", "joy")):
    per_text = torch.as_tensor(per_text)
    return Importance(per_text, targets, tuple(f"concept {i}" for i in range(per_text.shape[-1])), MadeBy("occlusion"))


def words(count=3, label="rage", **more):
    passage = Example("so much rage today", 8, 12, 4.5)
    speaking = (("rage", 2.0), ("fury", 1.0))
    concepts = [LabelledConcept(i, f"{label} {i}", speaking, (passage,), **more) for i in range(count)]
    return Interpretation(tuple(concepts), MadeBy("top-inputs"))


SPACE = ConceptSpace(torch.eye(3, 4))
SIGNED = importance([[[3.0, -1.0, 0.5], [0.0, 2.0, -4.0]], [[1.0, -1.0, -0.5], [0.0, 2.0, -4.0]]])
SCORE = Score(0.7, True, interval=(0.6, 0.8), chance=0.4, name="insertion", definition="area under a curve")
CLASSES = [ClassConcepts("anger", SPACE, words(), SIGNED), ClassConcepts("joy", None, None, SIGNED)]
BENCHMARK = Benchmark((Row("lime", scores={"insertion": SCORE}),), ("insertion",), "tiny", 8)
EVERYTHING = [attribution(), SPACE, words(), SIGNED, SCORE, CLASSES, of_rows(torch.eye(4)), BENCHMARK]


class Page(HTMLParser):
    """The elements of a page, and the text inside of those of a class."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.scripts, self.words, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag if dict(attrs).get("class") != "ip-words" else "WORDS")
        if self.open[-1] == "WORDS":
            self.words.append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() not in (tag, "WORDS" if tag == "p" else tag):
            pass

    def handle_data(self, data):
        if "WORDS" in self.open:
            self.words[-1] += data
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)

    def all(self, tag, **wanted):
        return [a for t, a in self.elements if t == tag and wanted.items() <= a.items()]


def hostile_values():
    target = Target(HOSTILE, 0)
    strange = {HOSTILE: HOSTILE}
    made = MadeBy(HOSTILE, HOSTILE, HOSTILE, HOSTILE, strange, HOSTILE, strange, strange)
    units, scores = (Unit(HOSTILE, 0, len(HOSTILE)),), torch.ones(2, 1)
    one = Attribution(HOSTILE, units, (target, JOY), scores, made, notes=(HOSTILE,), score_space=HOSTILE)
    concept = LabelledConcept(0, HOSTILE, ((HOSTILE, 1.0),), (Example(HOSTILE, 3, 9, 1.0),), 0.5, HOSTILE)
    found = Interpretation((concept,), made, (HOSTILE,))
    weight = Importance(torch.ones(1, 1, 1), (HOSTILE,), (HOSTILE,), made, (HOSTILE,))
    score = Score(1.0, True, name=HOSTILE, definition=HOSTILE, made_by=made, notes=(HOSTILE,))
    rows = Row(HOSTILE, strange, {HOSTILE: score}), Row("b", failures={"": HOSTILE}), Row("c", failures=strange)
    compared = Benchmark(rows, (HOSTILE,), HOSTILE, 8)
    return [one, found, weight, score, ClassConcepts(HOSTILE, None, found, weight), compared]


@pytest.mark.parametrize("part", [None, 0, 1, 2, 3, 4, 5])
def test_nothing_that_is_shown_can_become_markup(part):
    values = hostile_values()
    html = fragment(values[part]) if part is not None else report(values, title=HOSTILE, text=HOSTILE).html
    page = Page(html)
    assert len(page.all("script")) == len(page.scripts) == (1 if part is not None else 2)
    assert not page.all("img")
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert "alert(2)" in html and "&lt;/script&gt;" in html and "49" not in re.findall(r"quoted.{0,40}", html)


def test_the_page_in_a_frame_stays_in_its_attribute():
    shown = report(hostile_values())
    ((_, frame),) = Page(shown._repr_html_()).elements
    assert frame["srcdoc"] == shown.html
    assert frame["sandbox"] == "allow-scripts allow-downloads"


def test_the_page_asks_the_network_for_nothing():
    html = report(EVERYTHING).html
    page = Page(html)
    loading = ("src", "href", "action", "srcset")
    links = [value for _, attrs in page.elements for name, value in attrs.items() if name in loading]
    assert links and all(link.startswith(("#", "data:text/csv")) or link == "data:," for link in links)
    named = html.replace('"http://www.w3.org/2000/svg"', "")  # the name of a kind of elements, which is not loaded
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|innerHTML|outerHTML|insertAdjacent", named)
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';") and f"script-src 'sha256-{digest}';" in policy


@pytest.mark.parametrize("value", EVERYTHING, ids=lambda v: type(v).__name__)
def test_each_kind_of_value_is_shown_alone_and_again_under_other_ids(value):
    ids = [{a["id"] for _, a in Page(fragment(value)).elements if "id" in a} for _ in range(2)]
    assert ids[0] and not ids[0] & ids[1]
    html = report(value).html
    anchors = {a["href"][1:] for a in Page(plain(html)).all("a") if a["href"][0] == "#"}
    assert anchors <= {a["id"] for _, a in Page(html).elements if "id" in a}
    addresses = [a["href"] for a in Page(heading(html)).all("a")]
    assert all(re.match("#tab=(texts|words|concepts|components|trust|made)\\b", address) for address in addresses)


def test_the_same_values_give_the_same_bytes(tmp_path):
    first = report(EVERYTHING).save(tmp_path / "deep" / "a.html")
    assert first.read_bytes() == report(EVERYTHING).save(tmp_path / "b.html").read_bytes()


def test_the_text_stands_as_it_was_written():
    text = "  i\t feel \u202e سعيد \n\n  наконец 🙂 "
    one = attribution(text, torch.randn(2, len(text.split())).tolist())
    assert Page(fragment(one)).words == [text]


def test_units_that_are_no_part_of_the_text_are_listed():
    one = replace(attribution(), units=(Unit("b", 5, 6), Unit("a", 0, 1), Unit("c", 0, 99)))
    assert Page(fragment(one)).words[0].split() == ["b", "a", "c"]


def test_half_characters_do_not_break_the_file(tmp_path):
    one = attribution("ok \ud800", ((1.0, 2.0), (2.0, 1.0)))
    assert "ok" in report(one).save(tmp_path / "a.html").read_text("utf-8")


def test_words_are_coloured_for_the_highest_answer_by_sign_and_size():
    marks = [m for m in Page(fragment(attribution())).all("mark") if "data-s" in m]
    assert [(m["class"], m["data-s"]) for m in marks] == [("z", "+0.100"), ("n2", "−0.500"), ("p7", "+2.00")]
    best = Page(fragment(attribution(intact=torch.tensor([0.0, 1.0])))).all("button", **{"aria-pressed": "true"})
    assert [b["data-label"] for b in best] == ["joy"]


def test_all_scores_and_their_errors_are_in_the_table():
    html = fragment(attribution(error=torch.full((2, 3), 0.25)))
    cells = re.findall(r'<td class="(\w+)">([^<]+)</td>', html)
    assert cells[2:4] == [("n2", "−0.500 ± 0.250"), ("p4", "+1.00 ± 0.250")]


def test_numbers_with_a_standard_error_say_that_it_is_one():
    html = fragment(attribution(error=torch.tensor([[0.25, 0.5, 0.0]] * 2)))
    assert "± standard error, 0.500 at most" in html
    assert [p.get("data-sure") for p in Page(html).all("p", **{"class": "ip-words"})] == ["error"]


def test_a_method_that_samples_and_took_everything_is_exact():
    html = fragment(attribution(error=torch.zeros(2, 3)))
    assert Page(html).all("p", **{"class": "ip-words"})[0]["data-sure"] == "exact"
    assert "exact, nothing is left to chance" in html and "±" not in Page(html).words[0]
    assert re.findall(r'<td class="(\w+)">([^<]+)</td>', html)[2] == ("n2", "−0.500")
    assert "data-sure" not in Page(fragment(attribution())).all("p", **{"class": "ip-words"})[0]


def test_what_a_text_took_stands_beside_what_it_was_allowed():
    made = MadeBy("lime", parameters={"tolerance": 0.01}, settings={"max_rows": 2000})
    html = fragment(attribution(rows=1250, made_by=made, error=torch.ones(2, 3)))
    assert "1\u202f250 rows of the model for this text; 2\u202f000 were allowed" in html
    assert "a standard error of 0.010 was enough (tolerance)" in html
    unset = fragment(attribution(made_by=MadeBy("x", parameters={"tolerance": None}), error=torch.ones(2, 3)))
    assert "was enough" not in unset and "allowed" not in unset


def encoded_as(text, *tokens, **more):
    """A text of these tokens, each where it stands after the one before."""
    spans, end = [], 0
    for token in tokens:
        end = text.index(token, end) + len(token)
        spans.append((end - len(token), end))
    return Encoded(text, torch.arange(len(spans)), torch.tensor(spans), torch.zeros(len(spans)).bool(), **more)


def outside(html):
    """What is muted, and the gaps among it: their names, and whether they are asked about at first."""
    muted = r'<span class="ip-outside( own)?"(?: data-gap="(\w+)")?>([^<]+)</span>'
    found = re.findall(muted, html.split("<article")[1])
    return [(text, name, bool(own)) for own, name, text in found]


def test_what_is_in_no_unit_is_muted_and_nothing_of_the_text_is_lost():
    text = "<user>\nhow are you\n<model>\n"
    units = tuple(Unit(m.group(), *m.span()) for m in re.finditer(r"how|are|you", text))
    html = fragment(attribution(text, units=units))
    assert Page(html).words == [text]
    assert outside(html) == [("&lt;user&gt;\n", "", False), ("\n&lt;model&gt;\n", "", False)]
    assert "is in no unit" in html and "is in no unit" not in fragment(attribution())


def test_the_gap_that_is_asked_about_is_set_apart_from_the_others():
    text = "the [MASK] was [MASK] ."
    units = tuple(Unit(m.group(), *m.span()) for m in re.finditer(r"the|was|\.", text))
    targets = Target("cat", 7, 1), Target("sad", 8, 3)
    encoded = encoded_as(text, *text.split())
    html = fragment(attribution(text, units=units, targets=targets, encoded=encoded))
    assert outside(html) == [("[MASK]", "at4", True), ("[MASK]", "at15", False)]
    assert [c["data-own"] for c in Page(html).all("th") if "data-own" in c] == ["at4", "at15"]
    assert Page(html).words == [text]


def test_words_for_one_gap_are_compared_and_tokens_of_a_sentence_are_not():
    one, other = Target("cat", 7, 1), Target("dog", 8, 1)
    assert "★" in fragment(attribution(targets=(one, other)))
    assert "★" not in fragment(attribution(targets=(one, replace(other, position=2))))
    assert "★" not in fragment(attribution(targets=(Target("a b", parts=(one, other)), Target("c", 1, 3))))


def test_an_extracted_answer_is_marked_where_it_stands_and_its_words_count():
    text = "who is it\nit is old bob"
    encoded = encoded_as(text, *text.split(), borders=(9, 10), prompt=7)
    answer = Target("old bob", parts=(Target("start", 5, 0), Target("stop", 6, 1)))
    scores = ((0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 9.0),)
    html = report(attribution(text, scores, (answer,), encoded=encoded, intact=None)).html
    marks = [m for m in Page(html).all("mark") if "data-s" in m]
    assert [i for i, m in enumerate(marks) if "own" in m["class"]] == [5, 6]
    assert [c["data-own"] for c in Page(html).all("th") if "data-own" in c] == ["5 6"]
    assert "“bob” speaks most for “old bob”" in html
    assert Page(html).words == [text]


def test_a_long_label_is_cut_and_can_be_read_whole():
    label = "today, and the cat was never so sad or calm"
    html = report(attribution(targets=(Target(label, 0), JOY))).html
    cut = "today, and the cat was never so sad or…"
    assert len(cut) <= 40
    shown = [re.search(rf'<{tag}[^>]*title="{label}"[^>]*>{cut}', html) for tag in ("b", "button", "th")]
    assert all(shown) and f"“{cut}”" in html


def test_one_text_as_a_pair_and_as_a_text_are_two():
    pair = attribution("a\nb c", encoded=encoded_as("a\nb c", "a", "b", "c", borders=(1, 2)))
    assert fragment(pair).count("<article") == 2  # with how it was made
    assert report(pair, attribution("a\nb c")).html.count('class="ip-text"') == 2


def test_what_cannot_count_is_grey_and_the_continuation_is_set_apart():
    offsets = torch.tensor([[0, 3], [4, 6], [7, 10]])
    encoded = Encoded("one to two", torch.arange(3), offsets, torch.zeros(3, dtype=torch.bool), prompt=1)
    one = attribution(
        "one to two",
        ((1.0, 0.0, 0.0), (0.5, 2.0, 0.0)),
        (Target(" to", 5, 1), Target(" two", 6, 2)),
        encoded=encoded,
        applicable=torch.tensor([[True, False, False], [True, True, False]]),
    )
    html = fragment(one)
    marks = [m["class"].split() for m in Page(html).all("mark") if "data-s" in m]
    assert marks == [
        ["p2"],
        ["p7"],
        ["na", "own"],
    ]  # the token with the strongest unit comes first
    assert re.search(r'one</mark> ?<span class="ip-continuation"[^>]*> ?<mark', html)


def test_a_token_is_not_explained_by_the_word_it_ends():
    encoded = Encoded(
        "one I'll", torch.arange(3), torch.tensor([[0, 3], [4, 5], [5, 8]]), torch.zeros(3).bool(), prompt=1
    )
    one = attribution("one I'll", ((2.0, 9.0),), (Target("'ll", 5, 2),), encoded=encoded, intact=None)
    assert "“one” speaks most for “&#39;ll”" in report(one).html


def test_several_methods_share_the_text_they_explain():
    other = attribution(made_by=MadeBy("occlusion"), targets=(JOY,), scores=((1.0, 2.0, 3.0),), intact=None)
    page = Page(plain(report(attribution(), other, attribution("some other text")).html))
    assert len(page.all("article", **{"class": "ip-text"})) == 2
    assert len(page.all("div", **{"class": "ip-method"})) == 3
    assert [m["class"] for m in page.all("mark")[3:6]] == ["z"] * 3, "it was not asked about anger"
    assert ["hidden" in p for p in page.all("p") if "data-unasked" in p] == [True, False, True]


def test_the_heading_says_what_the_values_say():
    html = report(EVERYTHING[:5]).html
    assert findings(html) == [
        "“angry” speaks most for “anger” (+2.00).",
        "Concept 2 (rage 2) matters most to “joy” (against it).",
        "Concept 0 (rage 0) matters most to “anger”.",
        "Insertion 0.700, a random answer 0.400: better than random.",
    ]
    assert "No word speaks for “anger”" in report(attribution(scores=((-1.0, -1.0, -2.0), (0.0, 0.0, 0.0)))).html


def test_concepts_are_ranked_by_size_and_marked_by_direction():
    html = fragment([SIGNED, words()])
    ranking = html[html.index('data-ranking="0"') : html.index('data-ranking="1"')]
    assert re.findall(r'data-concept="(\d)"', ranking) == ["0", "1", "2"]
    assert re.findall(r'ip-fill (\w+)" style="width:calc\(100% \* ([\d.]+)\)', ranking) == [
        ("for", "1.000"),
        ("against", "0.500"),
        ("both", "0.250"),
    ]
    assert "so much <mark>rage</mark> today" in html


def test_words_go_to_the_importance_with_as_many_concepts():
    small, large = importance(torch.ones(1, 1, 2), ("a",)), importance(torch.ones(1, 1, 5), ("b",))
    html = plain(report(large, small, words(2, "little"), words(5, "big")).html)
    groups = html.split('<div class="ip-group" data-group>')[1:]
    assert ["big 4" in g for g in groups] == [True, False] and ["little 1" in g for g in groups] == [False, True]


def test_classes_with_concepts_of_their_own_are_grouped():
    page = Page(fragment(CLASSES))
    assert [b["data-class"] for b in page.all("button") if "data-class" in b] == ["0", "1"]
    cards = {a["data-card"] for a in page.all("article") if "data-card" in a}
    assert cards == {f"{c}-{i}" for c in "01" for i in "012"}
    with pytest.raises(InputError, match="love"):
        ClassConcepts("love", SPACE, None, SIGNED)
