"""The page of a report in a browser: each control shows what the values say, for every kind of page and reader."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
import torch
from interp_core.metrics import Score
from interp_core.reporting import report
from page_worlds import CLASSES, HOSTILE, KINDS, attribution, big_attributions, big_concepts, many_classes
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.current]
TABS = {
    "many_classes": ["texts", "words", "made"],
    "generated": ["texts", "made"],
    "components": ["components", "made"],
    "concepts": ["concepts", "made"],
    "trust": ["trust", "made"],
    "hostile": ["texts", "words", "concepts", "trust", "made"],
    "everything": ["texts", "words", "concepts", "components", "trust", "made"],
}


def find(driver: Any, selector: str) -> list[Any]:
    """The elements that are shown; lists may draw their rows anew meanwhile."""
    for left in range(5, -1, -1):
        try:
            return [one for one in driver.find_elements("css selector", selector) if one.is_displayed()]
        except StaleElementReferenceException:
            if not left:
                raise
    return []


def texts(driver: Any, selector: str) -> list[str]:
    return [one.text for one in find(driver, selector)]


def choose(driver: Any, selector: str, value: str) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
    driver.execute_script(script, find(driver, selector)[0], value)


def steps_of(driver: Any, method: str) -> list[int]:
    classes = [word.get_attribute("class") for word in find(driver, f"[data-method='{method}'] mark")]
    return [int(found[1]) if (found := re.search(r"[pns](\d)", name)) else 0 for name in classes]


def listed(driver: Any) -> list[int]:
    script = (
        "return [...document.querySelectorAll('.ip-list .ip-row[data-item]')].map((row) => Number(row.dataset.item))"
    )
    found: list[int] = driver.execute_script(script)
    return found


def scroll(driver: Any, top: float) -> None:
    """Scrolls the list, which draws the rows there at once."""
    script = "const list = document.querySelector('.ip-virtual'); list.scrollTop = arguments[0];"
    driver.execute_script(f"{script} list.dispatchEvent(new Event('scroll'))", top)


def unfold(driver: Any) -> None:
    """Opens all that is folded, and waits until what that draws is there."""
    driver.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))")


def tab(driver: Any, name: str) -> None:
    find(driver, f"[data-tab='{name}']")[0].click()


def html_of(kind: str) -> str:
    return report(KINDS[kind](), title="A page").html


@pytest.fixture(scope="module")
def axe() -> str:
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [*((kind, 1280, "light") for kind in KINDS), ("everything", 390, "dark"), ("generated", 390, "dark")],
)
def test_axe_finds_nothing_on_any_tab_of_any_page(open_page: Any, axe: str, kind: str, width: int, scheme: str) -> None:
    driver = open_page(html_of(kind), width=width, scheme=scheme)
    assert [one.get_attribute("data-tab") for one in find(driver, "[role=tab]")] == TABS[kind]
    driver.execute_script(axe)
    for name in TABS[kind]:
        tab(driver, name)
        unfold(driver)
        found = driver.execute_async_script("axe.run().then(arguments[0])")["violations"]
        told = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
        assert not told, (name, told)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width, name
    assert [entry["message"] for entry in driver.get_log("browser") if "axe" not in entry["message"]] == []


def test_nothing_is_loaded_and_no_other_script_runs(open_page: Any) -> None:
    driver = open_page(html_of("everything"))
    for name in TABS["everything"]:
        tab(driver, name)
    assert driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    broken = html_of("trust").replace("</body>", "<script>document.title = 'broken'</script></body>")
    assert open_page(broken).title == "A page"
    driver.get_log("browser")  # it says that the other script was refused


def test_markup_in_values_stays_text_on_every_tab(open_page: Any) -> None:
    driver = open_page(html_of("hostile"))
    for name in TABS["hostile"]:
        tab(driver, name)
        unfold(driver)
        shown = find(driver, "[role=tabpanel]")[0]
        assert not shown.find_elements("css selector", "img, script") and not driver.find_elements(
            "css selector", "img"
        )
        assert "<img src=x onerror=alert(1)>" in shown.text, name
    driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert not driver.find_elements("css selector", "img")
    assert HOSTILE in driver.execute_script("return document.querySelector('.ip-paper').textContent")


def test_choosing_a_text_and_an_answer_shows_their_scores(open_page: Any) -> None:
    values = many_classes()
    driver = open_page(report(values).html)
    for place in (0, 3, 6):
        scroll(driver, place * 56 - 56)
        find(driver, f"[data-item='{place}']")[0].click()
        held = [one for one in values if one.text == values[place].text]
        for target in held[0].intact.argsort(descending=True).tolist()[:2]:
            find(driver, f"[data-choice='{target}']")[0].click()
            assert f"t={place + 1}&k={CLASSES[target]}" in driver.current_url
            for one in held:
                words = find(driver, f"[data-method='{one.made_by.method}'] mark")
                assert [word.text for word in words] == [unit.text for unit in one.units]
                shown = [word.get_attribute("data-s").split(" ±")[0].replace("\u2212", "-") for word in words]
                assert [float(s) for s in shown] == pytest.approx(one.scores[target].tolist(), rel=0.01, abs=6e-4)
                hues = [re.match("[pns]?", word.get_attribute("class"))[0] for word in words]
                expected = [
                    "s" if one.made_by.method == "saliency" else "p" if s > 0 else "n" for s in one.scores[target]
                ]
                strong = (one.scores[target].abs() > 0.1 * one.scores[target].abs().max()).tolist()
                assert [h for h, is_strong in zip(hues, strong, strict=True) if is_strong] == [
                    h for h, is_strong in zip(expected, strong, strict=True) if is_strong
                ]


def test_the_answer_from_a_menu_the_scale_and_the_layout_of_methods(open_page: Any) -> None:
    values = many_classes()
    driver = open_page(report(values).html)
    last = int(values[0].intact.argmin())
    choose(driver, "[data-answers]", str(last))
    lime = values[0].scores
    every = max(float(one.scores.abs().max()) for one in values if one.made_by.method == "lime")
    for scale, largest in (("answer", lime[last].abs().max()), ("text", lime.abs().max()), ("all", every)):
        choose(driver, "[data-scale]", scale)
        exact = [7 * abs(float(s)) / float(largest) for s in lime[last]]
        assert all(abs(step - share) <= 0.51 for step, share in zip(steps_of(driver, "lime"), exact, strict=True)), (
            scale
        )
    choose(driver, "[data-layout]", "beside")
    boxes = [one.rect for one in find(driver, ".ip-views > .ip-method")]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
    choose(driver, "[data-layout]", "difference")
    (shown,) = find(driver, ".ip-views > .ip-method")
    other = values[10].scores[last]
    expected = lime[last] / lime[last].abs().max() - other / other.abs().max()
    marks = shown.find_elements("css selector", "mark")
    said = [float(m.get_attribute("data-s").replace("\u2212", "-")) for m in marks]
    assert said == pytest.approx(expected.tolist(), rel=0.01, abs=6e-4)


def test_the_list_filters_sorts_and_searches(open_page: Any) -> None:
    values = many_classes()[:10]
    driver = open_page(report(values).html, width=1280)
    assert sorted(listed(driver)) == list(range(10))
    for value, wanted in (("wrong", False), ("right", True)):
        choose(driver, ".ip-filters select", value)
        assert sorted(listed(driver)) == [i for i, one in enumerate(values) if one.right is wanted]
    choose(driver, ".ip-filters select", "all")
    selects = find(driver, ".ip-filters select")
    order = sorted(range(10), key=lambda i: values[i].probability)
    driver.execute_script("arguments[0].value='unsure'; arguments[0].dispatchEvent(new Event('change'))", selects[-1])
    assert listed(driver) == order
    find(driver, ".ip-search")[0].send_keys("SAD")
    assert sorted(listed(driver)) == [i for i, one in enumerate(values) if "sad" in one.text]
    find(driver, ".ip-search")[0].send_keys(" nothing like it")
    assert listed(driver) == [] and "nothing fits" in find(driver, ".ip-list")[0].text


def test_keys_walk_along_tabs_lists_and_words(open_page: Any) -> None:
    driver = open_page(html_of("many_classes"))
    find(driver, "[role=tab]")[0].send_keys("\ue014")
    assert driver.switch_to.active_element.get_attribute("data-tab") == "words" and find(driver, ".ip-words-table")
    driver.switch_to.active_element.send_keys("\ue012")
    find(driver, ".ip-virtual")[0].send_keys("\ue015")
    assert find(driver, ".ip-text-title")[0].text.startswith("Text 2")
    find(driver, ".ip-virtual")[0].send_keys("\ue010")
    assert find(driver, ".ip-text-title")[0].text.startswith("Text 10")
    first = find(driver, ".ip-words mark[tabindex='0']")[0]
    first.send_keys("\ue014")
    assert driver.switch_to.active_element.text == "was"
    content = "return getComputedStyle(document.activeElement, '::after').content"
    assert "(standard error)" in driver.execute_script(content)


def test_an_address_opens_what_it_names_and_back_goes_back(open_page: Any) -> None:
    driver = open_page(html_of("everything"), address="#t=3&k=fear")
    assert (
        find(driver, ".ip-text-title")[0].text.startswith("Text 3") and "Why fear" in find(driver, ".ip-side")[0].text
    )
    driver = open_page(html_of("everything"), address="#tab=concepts&g=0&c=2")
    assert texts(driver, ".ip-card h3") == ["label 2"]
    find(driver, ".ip-findings a")[0].click()
    assert find(driver, "[role=tab][aria-selected=true]")[0].text == "Texts"
    driver.back()
    WebDriverWait(driver, 10).until(lambda _: texts(driver, ".ip-card h3") == ["label 2"])
    assert texts(open_page(html_of("trust"), address="#tab=nowhere&t=99&c=x"), "[role=tab][aria-selected=true]") == [
        "Trust"
    ]


def test_tokens_of_an_answer_are_chosen_in_the_text_and_the_prompt_has_a_scale_of_its_own(open_page: Any) -> None:
    (one,) = KINDS["generated"]()
    driver = open_page(report(one).html)
    assert texts(driver, ".ip-role") == [
        "template",
        "document 1",
        "template",
        "document 2",
        "template",
        "user",
        "template",
        "answer",
    ]
    answer = find(driver, ".ip-block mark")[-3:]
    assert [word.text for word in answer] == ["ana", "has", "pear"]
    answer[1].click()
    assert find(driver, ".ip-now")[0].text.strip() == "has"
    find(driver, "[aria-label='the next answer']")[0].click()
    assert find(driver, ".ip-now")[0].text.strip() == "pear"
    prompt = [word.get_attribute("class").split()[0] for word in find(driver, ".ip-block mark")[:-3]]
    assert "p7" in prompt and "n4" in prompt  # .6 and -.3 of .6, though the words of the answer get 5
    scores = one.scores[2]
    own = (
        scores[[j for j, unit in enumerate(one.units) if unit.start >= one.prompt_stop]].abs().sum()
        / scores.abs().sum()
    )
    said = find(driver, "[data-split]")[0].text.replace("\u202f", "")
    assert f"{round(100 * float(1 - own))}% of the size of all scores is on the prompt" in said
    find(driver, "[data-heat] summary")[0].click()
    rows = WebDriverWait(driver, 10).until(lambda _: driver.find_elements("css selector", ".ip-heat tbody tr"))
    assert [len(row.find_elements("css selector", "td")) for row in rows] == [len(one.units)] * 3
    rows[0].find_element("css selector", "button").click()
    assert find(driver, ".ip-now")[0].text.strip() == "ana"


def test_the_waterfall_goes_from_the_rest_to_the_score_by_the_words(open_page: Any) -> None:
    one = attribution(0)
    k = int(one.intact.argmax())
    driver = open_page(report(one).html)
    bars = [(bar.get_attribute("class"), bar.text.split("\n")) for bar in find(driver, ".ip-waterfall .ip-step")]
    shown = [float(said[-1].replace("\u2212", "-")) for _, said in bars]
    order = one.scores[k].abs().argsort(descending=True).tolist()
    assert shown[0] == pytest.approx(float(one.intact[k] - one.scores[k].sum()), rel=0.01, abs=6e-4)
    assert shown[1:11] == pytest.approx(one.scores[k, order].tolist()[:10], rel=0.01, abs=6e-4)
    assert shown[-1] == pytest.approx(float(one.intact[k]), rel=0.01, abs=6e-4)
    ways = [name.removeprefix("ip-step ") for name, _ in bars]
    assert ways == ["total", *("for" if value > 0 else "against" for value in shown[1:-1]), "total"]
    left = [float(rect.get_attribute("x")) for rect in find(driver, ".ip-waterfall rect")]
    assert len(set(left)) > 5  # each bar begins where the one before ends


def test_an_answer_with_the_same_word_twice_has_both(open_page: Any) -> None:
    (one,) = KINDS["generated"]()
    twice = replace(one, targets=(one.targets[0], one.targets[1], replace(one.targets[2], label=one.targets[0].label)))
    driver = open_page(report(twice).html)
    seen = []
    for _ in range(3):
        seen.append((find(driver, ".ip-now")[0].text.strip(), len(find(driver, ".ip-block mark.na"))))
        find(driver, "[aria-label='the next answer']")[0].click()
    assert sorted(seen) == [("ana", 1), ("ana", 3), ("has", 2)]
    assert "&n=1" in driver.current_url or "n=" not in driver.current_url


def test_numbers_that_are_not_finite_take_no_tab_down(open_page: Any) -> None:
    one = attribution(0)
    strange = replace(one, scores=one.scores.index_fill(1, torch.tensor([0]), torch.inf))
    lost = Score(float("nan"), True, chance=0.4, name="lost", curves=(torch.full((3,), torch.nan),))
    driver = open_page(report(strange, attribution(1), lost).html)
    assert find(driver, "mark")[0].get_attribute("data-s") == "+Infinity"
    for name in ("words", "trust", "made"):
        tab(driver, name)
        assert len(find(driver, "[role=tabpanel] *")) > 3, name
    assert "nan" in find(open_page(report(lost).html), "[data-measure=lost]")[0].text
    assert [e for e in driver.get_log("browser") if e["level"] == "SEVERE"] == []


def test_an_address_is_followed_whatever_is_searched_and_filtered(open_page: Any) -> None:
    values = many_classes()[:10]
    driver = open_page(report(values).html)
    choose(driver, ".ip-filters select", "wrong")
    find(driver, ".ip-search")[0].send_keys("sad")
    right = next(i for i, one in enumerate(values) if one.right and "sad" not in one.text)
    driver.execute_script(f"location.hash = '#t={right + 1}'")
    WebDriverWait(driver, 10).until(lambda _: texts(driver, ".ip-text-title")[0].startswith(f"Text {right + 1}"))
    assert find(driver, ".ip-search")[0].get_attribute("value") == "" and len(listed(driver)) == 10


def test_the_words_of_a_class_have_the_highest_mean_scores(open_page: Any) -> None:
    values = [attribution(i) for i in range(10)]
    driver = open_page(report(values).html, address="#tab=words&k=fear")
    scores: dict[str, dict[str, list[float]]] = {}
    for one in values:
        for unit, score in zip(one.units, one.scores[3].tolist(), strict=True):
            word = unit.text.strip(".,;:!?\"'()[]{}").lower() or unit.text
            scores.setdefault(word, {}).setdefault(one.text, []).append(score)
    times = {word: sum(map(len, texts.values())) for word, texts in scores.items()}
    each = {word: [sum(s) / len(s) for s in texts.values()] for word, texts in scores.items()}  # a text counts once
    means = {word: sum(s) / len(s) for word, s in each.items() if times[word] > 1}
    order = sorted(means, key=lambda word: -means[word])[:25]
    rows = [row.find_elements("css selector", "th, td") for row in find(driver, ".ip-words-table tbody tr")]
    assert [row[0].text for row in rows] == order
    shown = [float(row[1].text.split("\n")[0].replace("\u2212", "-")) for row in rows]
    assert shown == pytest.approx([means[word] for word in order], rel=0.01, abs=6e-4)
    assert [int(row[2].text) for row in rows] == [times[word] for word in order]
    rows[1][0].find_element("css selector", "button").click()
    behind = find(driver, ".ip-behind a")
    assert behind and f"Texts with {order[1]}" in find(driver, ".ip-side")[0].text
    place = int(re.search(r"t=(\d+)", behind[0].get_attribute("href"))[1]) - 1
    behind[0].click()
    assert find(driver, ".ip-text-title")[0].text.startswith(f"Text {place + 1}")


def test_concepts_are_sorted_and_searched_and_the_card_says_all_that_is_known(open_page: Any) -> None:
    driver = open_page(html_of("concepts"))
    assert listed(driver) == [0, 1, 2]  # 3, 2 and 1 for joy
    find(driver, "[data-class='1']")[0].click()
    assert listed(driver) == [2, 1, 0]
    choose(driver, "[data-sort]", "density")
    assert listed(driver) == [2, 1, 0]
    choose(driver, "[data-sort]", "number")
    assert listed(driver) == [0, 1, 2]
    find(driver, ".ip-search")[0].send_keys("label 1")
    assert listed(driver) == [1]
    card = find(driver, ".ip-card")[0]
    known = (
        "label 1",
        "word1",
        "an example1 here",
        "a weaker one",
        "50 to 75 %",
        "rage",
        "calm",
        "cosine 0.400",
        "detection 0.900",
        "−0.400",
    )
    assert [said for said in known if said not in card.text] == []
    assert "active in 20.00" in card.text and len(card.find_elements("css selector", ".ip-histogram rect")) == 3
    shades = [one.get_attribute("class") for one in card.find_elements("css selector", ".ip-passages mark")]
    assert shades == ["p7", "p1", "p3"]  # 1.5, 0.2 and 0.7 of 1.5
    card.find_element("css selector", ".ip-near a").click()
    assert texts(driver, ".ip-card h3") == ["label 2"]
    assert "A taken away" in find(driver, ".ip-effects")[0].text


def test_components_stand_on_a_grid_of_layers_and_heads(open_page: Any) -> None:
    values = KINDS["components"]()
    driver = open_page(report(values).html)
    for place in (0, 1):
        choose(driver, "[data-text-of-components]", str(place))
        head = texts(driver, ".ip-grid thead th")
        assert head == ["H0", "H1", "H2", "MLP", "embeddings"]
        assert texts(driver, ".ip-grid tbody th") == ["embeddings", "layer 0", "layer 1"]
        for unit, (name, score) in enumerate(zip(values[place].words, values[place].scores[0].tolist(), strict=True)):
            (cell,) = find(driver, f".ip-grid [data-unit='{unit}']")
            assert cell.get_attribute("title").startswith(f"{name}: ")
            assert float(cell.text.replace("\u2212", "-")) == pytest.approx(score, rel=0.01, abs=6e-4)


def test_measures_stand_on_axes_of_their_own_beside_random_orders(open_page: Any) -> None:
    driver = open_page(html_of("trust"))
    (one,) = find(driver, "[data-measure=insertion]")
    assert "0.550 to 0.850" in one.text and "better than random" in one.text and "random 0.400" in one.text
    mean, random = (one.find_element("css selector", f".{name}") for name in ("ip-mean", "ip-random"))
    places = [(float(element.get_attribute("x1")) - 4) / 212 for element in (mean, random)]
    assert places == pytest.approx([0.7, 0.4])
    ends = {one.get_attribute("data-measure"): one.text.split("\n") for one in find(driver, "[data-measure]")}
    assert all("0" in lines for lines in ends.values()) and "12.0" in ends["l0"]  # no axis begins above zero
    assert len(one.find_elements("css selector", ".ip-each")) == 6
    assert (
        len(one.find_elements("css selector", ".ip-curve")) == 2
        and len(one.find_elements("css selector", ".ip-band")) == 2
    )
    assert "On tiny" in find(driver, ".ip-outcome")[0].text or "no " in find(driver, ".ip-outcome")[0].text.lower()
    heights = [
        float(y)
        for y in re.findall(
            r"[ML][\d.]+ ([\d.]+)", one.find_element("css selector", ".own .ip-curve").get_attribute("d")
        )
    ]
    assert heights == sorted(heights, reverse=True) and heights[0] > heights[-1]  # it rises
    (failed,) = find(driver, ".ip-methods .ip-failed")
    assert failed.text == "failed: out of memory"


def saved(driver: Any, name: str) -> str:
    """What a button of the menu would save."""
    driver.execute_script(
        "const old = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { window.made = blob.text(); return old.call(URL, blob); };"
    )
    menu = find(driver, ".ip-menu")[0]
    driver.execute_script("arguments[0].open = true", menu)
    find(driver, f"[data-share={name}]")[0].click()
    return driver.execute_async_script("window.made.then(arguments[0])")


def test_what_is_shown_is_shared_as_files(open_page: Any) -> None:
    value = attribution(0, error=True)
    driver = open_page(report(value).html)
    rows = json.loads(saved(driver, "JSON"))
    assert [row["score"] for row in rows] == pytest.approx(value.scores.flatten().tolist())
    assert rows[0] | {"score": 0} == {
        "method": "lime",
        "target": "joy",
        "unit": "i",
        "score": 0,
        "error": pytest.approx(0.25),
    }
    assert saved(driver, "CSV").splitlines()[0] == "method,target,unit,score,error"
    assert saved(driver, "LaTeX").startswith("\\begin{tabular}{lllrr}\n\\toprule")
    assert saved(driver, "SVG").startswith("<svg") and "hate" not in saved(driver, "SVG")
    find(driver, "[data-share=Link]")[0].click()
    assert re.search(r"copied|file:", find(driver, "[role=status]")[0].text)
    formula = replace(value, units=(replace(value.units[0], text=" =1+1"), *value.units[1:]))
    assert "' =1+1" in saved(open_page(report(formula).html), "CSV")
    driver = open_page(html_of("hostile"), address="#tab=words")
    assert "\\textbackslash" not in saved(driver, "LaTeX") and HOSTILE.casefold() in saved(driver, "CSV")


def test_colours_are_light_dark_or_those_of_the_system(open_page: Any) -> None:
    driver = open_page(html_of("trust"), scheme="dark")
    paper = "return getComputedStyle(document.querySelector('.ip')).backgroundColor"
    dark = driver.execute_script(paper)
    seen = {}
    for name in ("light", "dark", "auto"):
        find(driver, f"[data-theme-button={name}]")[0].click()
        seen[name] = driver.execute_script(paper)
        assert texts(driver, "[data-theme-button][aria-pressed=true]") == [name.capitalize()]
    assert seen["dark"] == seen["auto"] == dark != seen["light"]


def test_scripts_of_every_direction_and_code_are_shown_as_they_are(open_page: Any) -> None:
    values = many_classes()
    driver = open_page(report(values).html)
    for place in (6, 7, 8):
        driver = open_page(report(values).html, address=f"#t={place + 1}")
        assert driver.execute_script("return document.querySelector('.ip-words').textContent") == values[place].text
    assert "monospace" in find(driver, ".ip-words")[0].value_of_css_property("font-family")
    right = open_page(report(values).html, address="#t=7")
    first, last = find(right, "[data-method=lime] mark")[0].rect, find(right, "[data-method=lime] mark")[3].rect
    assert first["x"] > last["x"]


def test_without_a_script_the_first_texts_and_all_else_can_be_read(open_page: Any) -> None:
    driver = open_page(html_of("everything"), script=False)
    body = driver.find_element("css selector", "body").text
    for said in (
        "Of its texts the first are shown",
        "i feel so happy today",
        "label 2",
        "better than random",
        "semi-nmf",
    ):
        assert said in body, said


@pytest.mark.parametrize("kind", ["everything", "many_classes"])
def test_paper_takes_six_pages_at_most(open_page: Any, kind: str) -> None:
    values = KINDS[kind]()
    long = [attribution(i, "lime") for i in range(200)] if kind == "many_classes" else []
    driver = open_page(report(*values, *long).html)
    made = driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    pages = len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(made["data"])))
    assert 1 <= pages <= 6
    driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert values[0].text in driver.execute_script("return document.querySelector('.ip-paper').textContent")


def many_texts() -> Any:
    """400 texts by five methods, 30 words and six classes each; the benchmark of pages has five times as many."""
    return report(big_attributions(400))


def many_concepts() -> Any:
    """2,000 concepts in words; the benchmark of pages has five times as many."""
    return report(*big_concepts(2000))


@pytest.mark.parametrize(("make", "most"), [(many_texts, 5_000_000), (many_concepts, 3_000_000)])
def test_a_page_of_thousands_is_small_and_draws_only_what_is_in_view(open_page: Any, make: Any, most: int) -> None:
    html = make().html
    assert len(html.encode()) < most
    driver = open_page(html)
    assert len(driver.find_elements("css selector", "*")) < 800
    scroll(driver, 1e9)
    assert listed(driver)[-1] == (399 if make is many_texts else listed(driver)[-1]) and len(listed(driver)) < 40
    for one in find(driver, "[role=tab]")[:-1]:
        one.click()
    assert len(driver.find_elements("css selector", "*")) < 3000
    if make is many_texts:
        tab(driver, "texts")
        find(driver, ".ip-virtual")[0].send_keys("\ue010")
        assert find(driver, ".ip-text-title")[0].text.startswith("Text 400")
