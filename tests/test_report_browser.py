"""The fragment of a notebook in a browser: what a click changes, what shows without a script, what can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptSpace, Example, Importance, Interpretation, LabelledConcept
from interp_core.metrics import Benchmark, Row, Score
from interp_core.model import Target
from interp_core.reporting import fragment
from interp_core.results import Cost, MadeBy
from interp_core.text import Encoded, Unit

pytestmark = [pytest.mark.slow, pytest.mark.current]

MEASURES = (Path(__file__).parent / "report_browser.js").read_text("utf-8")
TEXT = "i am glad but averyveryverylongwordwithoutanybreak" + "x" * 60 + " hurts"
SCORES = torch.tensor([[-0.3, 0.0, 2.0, -1.0, 0.5, -2.0], [0.3, 0.5, -2.0, 0.0, 1.0, 2.0]])
NAMES = ("joy", "sadness")


def page():
    made = MadeBy(
        "lime",
        "interp-lime",
        "0.1.0",
        "Ribeiro 2016",
        {"samples": 9},
        "tiny",
        {"layer": "a.b" * 30},
        {"torch": "2"},
        Cost(1),
    )
    units = tuple(Unit(m.group(), *m.span()) for m in re.finditer(r"\S+", TEXT))
    targets = tuple(Target(name, i) for i, name in enumerate(NAMES))
    one = Attribution(TEXT, units, targets, SCORES, made, intact=torch.tensor([2.0, 1.0]), notes=("take care",))
    other = Attribution(
        "so " + TEXT, (Unit("so", 0, 2),), targets, SCORES[:, 2:3], made, intact=torch.tensor([1.0, 2.0])
    )
    concepts = tuple(
        LabelledConcept(
            i, f"label {i}", ((f"word{i}", 2.0), ("and", 1.0)), (Example(f"an example{i} here", 3, 11, 1.5),)
        )
        for i in range(3)
    )
    weights = Importance(torch.tensor([[[3.0, 2.0, -1.0], [1.0, -2.0, 3.0]]]), NAMES, ("a", "b", "c"), made)
    scores = [
        Score(0.7, True, interval=(0.6, 0.8), chance=0.4, name="insertion"),
        Score(0.3, True, chance=0.4, name="other"),
    ]
    return fragment([one, other, ConceptSpace(torch.eye(3, 4)), Interpretation(concepts, made), weights, scores])


def other_page():
    """A text with two gaps and standard errors, a label as long as a continuation, and methods compared."""
    text, long = "i [MASK] so [MASK]", "today, and the cat was never calm or " + "averylongword" * 9
    spans = [(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    encoded = Encoded(text, torch.arange(4), torch.tensor(spans), torch.zeros(4).bool())
    gaps = Attribution(
        text,
        (Unit("i", 0, 1), Unit("so", 9, 11)),
        (Target("am", 1, 1), Target("sad", 2, 3)),
        torch.tensor([[1.0, 2.0], [0.5, -1.0]]),
        MadeBy("lime"),
        error=torch.full((2, 2), 0.25),
        encoded=encoded,
    )
    whole = Attribution("so", (Unit("so", 0, 2),), (Target(long, 0), Target("b", 1)), torch.ones(2, 1), MadeBy("lime"))
    sure = torch.arange(8) / 100 + 0.3
    scores = {m: Score(0.7, True, interval=(0.6, 0.8), chance=0.4, margins=sure) for m in ("insertion", "b" * 80, "c")}
    rows = Row("lime", scores=scores), Row("x" * 90, scores={"c": Score(0.1, True)}, failures={"insertion": long})
    failed = Row("y", failures={"": long})
    shown = fragment([gaps, whole, Benchmark((*rows, failed), tuple(scores), "tiny", 8)])
    return f"<!doctype html><meta charset=utf-8><title>other</title>{shown}"


@pytest.fixture
def show(open_page):
    """Opens the fragment of a notebook, or other HTML, as a person with these settings would see it."""
    return lambda html="", **settings: open_page(html or f"<!doctype html><meta charset=utf-8>{page()}", **settings)


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def measured(driver, expression):
    return driver.execute_script(f"{MEASURES}; return {expression}")


def colours(driver, text=0):
    """How each word of a text looks: red less blue of its background (above zero: orange), and its underline."""
    looks = measured(driver, f"looks({text})")
    return [hue for hue, _ in looks], [line for _, line in looks]


def test_choosing_an_answer_recolours_the_words_as_the_scores_say(show):
    driver = show()
    for place in (1, 0):
        find(driver, "[data-text] [data-choice]")[place].click()
        hues, lines = colours(driver)
        scores = SCORES[place].tolist()
        assert [h > 0 for h in hues] == [s > 0 for s in scores] and [h < 0 for h in hues] == [s < 0 for s in scores]
        assert sorted(range(6), key=lambda i: scores[i]) == sorted(range(6), key=lambda i: hues[i])
        assert [line for line, s in zip(lines, scores, strict=True) if s] == [
            "solid" if s > 0 else "dotted" for s in scores if s
        ]
        assert find(driver, "[data-said]")[0].text == NAMES[place]
        assert find(driver, "[data-text] [data-choice]")[place].get_attribute("aria-pressed") == "true"


def test_one_button_recolours_all_texts_and_another_brings_back_the_highest(show):
    driver = show()
    assert [e.text for e in find(driver, "[data-said]")] == ["joy", "sadness"]
    find(driver, "[data-all='0']")[0].click()
    assert [e.text for e in find(driver, "[data-said]")] == ["joy", "joy"]
    assert colours(driver, 1)[0][0] > 0
    find(driver, "[data-all='best']")[0].click()
    assert [e.text for e in find(driver, "[data-said]")] == ["joy", "sadness"]
    assert colours(driver, 1)[0][0] < 0


def test_a_word_shows_its_number_and_the_arrow_keys_walk_along_the_text(show):
    driver = show()
    number = "return getComputedStyle(document.activeElement, '::after').content"
    words = find(driver, ".ip-words mark")
    driver.execute_script("arguments[0].focus()", words[1])
    driver.execute_script("arguments[0].focus()", words[0])
    assert driver.execute_script(number) == "attr(data-s)" or "0.300" in driver.execute_script(number)
    words[0].send_keys("\ue014")  # arrow right
    driver.switch_to.active_element.send_keys("\ue014")
    assert driver.switch_to.active_element.text == "glad"
    assert driver.switch_to.active_element.get_attribute("data-s") == "+2.00"


def test_the_gap_that_an_answer_fills_is_outlined_in_its_turn(show):
    driver = show(other_page())
    outlines = "return [...document.querySelectorAll('[data-gap]')].map(e => getComputedStyle(e).outlineStyle)"
    assert driver.execute_script(outlines) == ["solid", "none"]
    find(driver, "[data-choice='1']")[0].click()
    assert driver.execute_script(outlines) == ["none", "solid"]


@pytest.mark.parametrize("place", [0, -1])
def test_the_number_of_a_word_stays_within_a_narrow_page_and_says_what_follows_it(show, place):
    driver = show(other_page(), width=360)
    word = find(driver, "[data-text]:first-of-type .ip-words mark")[place]
    driver.execute_script("arguments[0].tabIndex = 0; arguments[0].focus()", word)
    shown = "const s = getComputedStyle(arguments[0], '::after'), b = arguments[0].getBoundingClientRect();"
    shown += "const middle = b.left + b.width / 2 + parseFloat(arguments[0].style.getPropertyValue('--aside'));"
    left, right, content = driver.execute_script(
        f"{shown} return [middle - parseFloat(s.width) / 2, middle + parseFloat(s.width) / 2, s.content]", word
    )
    assert 0 <= left < right <= 360
    assert "(standard error)" in content


def test_the_best_and_the_trusted_of_a_benchmark_stand_out_without_colour(show):
    driver = show(other_page())
    weight = "return getComputedStyle(arguments[0]).fontWeight"
    heads = find(driver, ".ip-methods tbody th")
    assert [driver.execute_script(weight, e) for e in heads] == ["700", "400", "400"]
    best, usual = find(driver, ".ip-methods td:nth-child(4) b")
    assert [driver.execute_script(weight, e) for e in (best, usual)] == ["700", "400"]


def test_choosing_a_class_and_a_concept_shows_its_words_and_examples(show):
    driver = show()
    find(driver, "[data-class='1']")[0].click()
    ranked = [e for e in find(driver, "[data-concept]") if e.is_displayed()]
    assert [e.get_attribute("data-concept") for e in ranked] == ["2", "1", "0"]
    ranked[1].send_keys("\n")
    (card,) = [e for e in find(driver, "[data-card]") if e.is_displayed()]
    assert "label 1" in card.text and "word1" in card.text and "an example1 here" in card.text
    assert ranked[1].get_attribute("aria-current") == "true"
    assert find(driver, "[data-class='1']")[0].get_attribute("aria-pressed") == "true"


def test_without_a_script_all_texts_concepts_and_numbers_can_be_read(show):
    driver = show(script=False)
    body = find(driver, "body")[0].text
    for said in (
        TEXT,
        "label 0",
        "label 1",
        "label 2",
        "word2",
        "an example2 here",
        "better than random",
        "lime",
        "take care",
    ):
        assert said in body
    assert not [b for b in find(driver, "button") if b.is_displayed()]
    find(driver, "[data-method] summary")[0].click()
    assert [c.text for c in find(driver, "[data-scores] tr:nth-child(3) td")] == ["+2.00", "−2.00"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(show, scheme):
    for html in (other_page(), ""):
        driver = show(html, scheme=scheme)
        driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert not measured(driver, "weak()")
    assert driver.execute_script("return document.querySelectorAll('.ip-words mark.p7, .ip-words mark.n7').length") >= 2


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_never_scrolls_sideways(show, width):
    for html in (other_page(), ""):
        driver = show(html, width=width)
        driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert not measured(driver, "beyond()")


def test_a_fragment_leaves_the_rest_of_a_notebook_as_it_was(show):
    plain = "<h2>a</h2><p>b <mark>c</mark></p><table><tr><td>d</td></tr></table><ol><li>e</li></ol><button>f</button>"
    before = measured(show(f"<!doctype html><div id=mine>{plain}</div>"), "styles('#mine')")
    score = fragment(Score(0.5, True, interval=(0.4, 0.6), chance=0.1))
    after = measured(show(f"<!doctype html><div id=mine>{plain}</div>{score}{score}"), "styles('#mine')")
    assert after == before
