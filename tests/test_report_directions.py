"""Colour and wording of scores that have no direction: how much a word matters, never for or against."""

from __future__ import annotations

import re

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution
from interp_core.concepts import Importance
from interp_core.model import Target
from interp_core.reporting import ClassConcepts, fragment, plot_attributions, plot_concepts, report
from interp_core.results import MadeBy
from interp_core.testing import planted_model
from interp_core.text import Unit
from pages import findings, lines, plain


def attribution(method: str, scores: list[float], space: str = "logit") -> Attribution:
    units = tuple(Unit(word, 2 * i, 2 * i + 1) for i, word in enumerate("abc"))
    target = Target("entropy" if space == "entropy" else "fear", 0)
    return Attribution("a b c", units, (target,), torch.tensor([scores]), MadeBy(method), score_space=space)


def importance(method: str, settings: dict[str, str] | None = None) -> Importance:
    per_text = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]]])
    return Importance(per_text, ("fear",), ("one", "two"), MadeBy(method, settings=settings or {}))


def colours(html: str) -> list[str]:
    return re.findall(r'<mark class="(\w+)"', plain(html) if "<noscript>" in html else html)


LEGEND = "speaks against</span>"


@pytest.mark.parametrize("method", ["saliency", "square-grad", "sobol", "attention-rollout", "value-zeroing", "random"])
def test_a_method_that_does_not_claim_signs_has_one_hue_and_says_what_matters(method: str) -> None:
    html = report(attribution(method, [7.0, 1.0, -3.0])).html
    assert colours(html) == ["s7", "s1", "s3"]
    assert findings(html) == ["“a” matters most to “fear” (7.00)."]
    assert "speaks" not in plain(html) and not lines(html)[1]["views"][0]["directed"]
    assert f"{method}: for or against is not said" in plain(html)


def test_a_method_that_claims_signs_has_two_hues() -> None:
    html = report(attribution("occlusion", [7.0, 1.0, -3.0])).html
    assert colours(html) == ["p7", "p1", "n3"]
    assert findings(html) == ["“a” speaks most for “fear” (+7.00)."]
    assert LEGEND in plain(html) and "matters most" not in plain(html) and lines(html)[1]["views"][0]["directed"]


def test_an_entropy_has_no_for_and_against_whatever_the_method_claims() -> None:
    one = attribution("occlusion", [1.0, 0.0, -4.0], space="entropy")
    html = report(one).html
    assert not one.directed and colours(html) == ["s2", "z", "s7"]
    assert "“c” matters most to the entropy (4.00)." in html and LEGEND not in plain(html)
    assert "entropies: for or against is not said" in html
    assert 'data-s="+1.00"' in html and 'data-s="−4.00"' in html  # the numbers keep their signs


def test_of_a_method_that_nobody_declares_negative_scores_are_signs() -> None:
    assert attribution("of-my-own", [1.0, 0.0, -4.0]).directed
    assert not attribution("of-my-own", [1.0, 0.0, 4.0]).directed


def test_nothing_matters_where_all_scores_are_zero() -> None:
    assert "No word matters to “fear”." in report(attribution("saliency", [0.0, 0.0, 0.0])).html


def test_both_kinds_of_methods_beside_each_other_have_both_scales() -> None:
    html = report(attribution("occlusion", [1.0, 0.0, -4.0]), attribution("saliency", [1.0, 0.0, 4.0])).html
    assert LEGEND in html and "matters little" in html
    assert colours(html) == ["p2", "z", "n7", "s2", "z", "s7"]


@pytest.mark.parametrize(
    "shown", [fragment, lambda one: plot_attributions(one)._repr_html_(), lambda o: o._repr_html_()]
)
def test_notebooks_show_it_alike(shown) -> None:  # type: ignore[no-untyped-def]
    html = shown(attribution("saliency", [7.0, 1.0, 0.0]))
    assert colours(html) == ["s7", "s1", "z"] and LEGEND not in html and "matters little" in html


@pytest.mark.parametrize(
    ("one", "directed"),
    [
        (importance("occlusion"), True),
        (importance("saliency"), False),
        (importance("occlusion", {"score": "entropy"}), False),
    ],
)
def test_concepts_point_a_way_only_where_their_scores_do(one: Importance, directed: bool) -> None:
    assert one.directed is directed
    for html in (report(one).html, plot_concepts(one).html, report(ClassConcepts("fear", None, None, one)).html):
        assert ("▲" in plain(html)) is ("speaks for" in plain(html)) is directed
        assert lines(html)[0]["concepts"][0]["directed"] is directed


def test_what_a_verb_gives_knows_whether_it_has_a_direction() -> None:
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})

    def asked(by: str, **options: str) -> Attribution:
        return interp.attribute(model, "so happy", by=by, progress=False, **options)[0]

    assert asked("occlusion").directed and not asked("saliency").directed
    assert not asked("occlusion", score="entropy").directed


def test_a_text_from_right_to_left_begins_at_the_right() -> None:
    html = report(attribution("occlusion", [1.0, 0.0, -4.0])).html
    assert re.search(r'<p class="ip-words"[^>]* dir="auto">', html)
    assert re.search(r'\[dir="auto"\] \{ text-align: start; \}', html)
    assert re.search(r"tbody th \{ text-align: start; unicode-bidi: plaintext;", html)
