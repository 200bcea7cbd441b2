"""A benchmark in a report: what its table says, how the best is marked, and the file behind its link."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import torch
from interp_core.attribution import Attribution
from interp_core.metrics import Benchmark, Row, Score
from interp_core.model import Target
from interp_core.reporting import fragment, report
from interp_core.results import Cost, MadeBy
from interp_core.text import Unit
from pages import findings, heading, lines, plain

LIME = MadeBy("lime", source="Ribeiro 2016", parameters={"samples": 9}, cost=Cost(3, 1371, 9, 2, 4.0))
SURE, UNSURE = torch.full((8,), 0.3) + torch.arange(8) / 100, torch.tensor([0.9, -0.9] * 4)


def score(value, margins=SURE, better=True, name="insertion", **more):
    made = MadeBy(name, "interp-x", "0.1.0", f"the paper of {name}", model="tiny", cost=Cost(1, 10, 20, 0, 0.5))
    return Score(value, better, None, (value - 0.1, value + 0.1), 0.4, margins, name, f"what {name} is", made, **more)


def benchmark():
    """Three methods: one good, one cheap that fails one metric, one that fails altogether."""
    good = {"insertion": score(0.8), "deletion": score(0.2, better=False, name="deletion")}
    one = {"insertion": score(0.9, UNSURE)}
    rows = (
        Row("lime", {"samples": 9}, good, LIME.cost, made_by=LIME),
        Row("cheap", {}, one, Cost(1, 8, 9, 0, 1.0), {"deletion": "it has no scores"}),
        Row("broken", failures={"": "it needs gradients"}),
    )
    return Benchmark(rows, ("insertion", "deletion"), "tiny", 8)


class Table(HTMLParser):
    """The rows of the table of methods, each cell as its words; marks as what they are called."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(html[html.index('<table class="ip-methods"') :].split("</table>")[0])

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self.inside = tag not in ("table", "thead", "tbody", "tr")
        if tag in ("th", "td"):
            self.rows[-1].append([])
        if "aria-label" in dict(attrs):
            self.rows[-1][-1].append(dict(attrs)["aria-label"])

    def handle_data(self, data):
        if self.inside and data.strip() and data.strip() not in "★✓":
            self.rows[-1][-1].append(data.strip())


def test_the_verdict_stands_above_a_row_for_each_method_and_a_column_for_each_metric():
    html = fragment(benchmark())
    assert 0 < html.index("On tiny trust lime") < html.index("<table")
    head, *rows = Table(html).rows
    assert head == [
        ["Method"],
        ["insertion", "↑ higher is better"],
        ["deletion", "↓ lower is better"],
        ["Time"],
        ["Model rows"],
    ]
    assert [row[0][0] for row in rows] == ["lime", "cheap", "broken"]
    assert rows[0][0][1] == "to be trusted here" and len(rows[1][0]) == 1


def test_a_cell_holds_value_interval_and_what_random_orders_get():
    _, lime, *_ = Table(fragment(benchmark())).rows
    assert lime[1] == ["0.800", "better than random orders", "0.700 to 0.900", "random 0.400"]
    assert lime[3:] == [["4.0 s"], ["1\u202f371", "3 forward passes, 2 backward"]]


def test_the_best_of_a_column_is_marked_by_a_sign_in_the_direction_of_the_metric():
    values = {"insertion": (0.5, 0.7, 0.7), "deletion": (0.1, 0.2, 0.3)}
    rows = [
        Row(f"m{i}", scores={m: score(values[m][i], UNSURE, m == "insertion", m) for m in values}) for i in range(3)
    ]
    _, *shown = Table(fragment(Benchmark(tuple(rows), tuple(values), "tiny", 8))).rows
    best = [["best of the column" in cell for cell in row[1:3]] for row in shown]
    assert best == [[False, True], [True, False], [True, False]]


def test_a_single_method_is_not_called_the_best():
    assert "★</span>" not in fragment(Benchmark((Row("m", scores={"a": score(1.0)}),), ("a",), "tiny", 8))


def test_a_method_is_marked_exactly_where_it_beats_the_floor():
    one = benchmark()
    _, *rows = Table(fragment(one)).rows
    marked = [["better than random orders" in cell for cell in row[1:3]] for row in rows[:2]]
    assert (
        marked
        == [[one.beats_chance(row, m) for m in one.metrics] for row in one.rows[:2]]
        == [[True, True], [False] * 2]
    )


def test_too_few_texts_leave_no_marks_and_say_so():
    few = Benchmark((Row("m", scores={"a": score(1.0, SURE[:4])}),), ("a",), "tiny", 4)
    html = fragment(few)
    assert "4 texts are too few" in html and "✓</span>" not in html


def test_what_failed_says_why_in_words():
    _, _, cheap, broken = Table(fragment(benchmark())).rows
    assert cheap[2] == ["failed: it has no scores"]
    assert broken == [["broken"], ["failed: it needs gradients"], ["–"], ["–"]]
    assert 'colspan="2">failed: it needs gradients' in fragment(benchmark())


def test_a_metric_that_nothing_was_measured_by_is_said_to_be_so():
    assert Table(fragment(Benchmark((Row("m"),), ("a",), "tiny", 8))).rows[1][1] == ["not measured"]


def test_the_whole_table_can_be_downloaded_from_the_page_itself():
    one = benchmark()
    (address,) = re.findall(r'href="(data:text/csv[^"]+)" download="benchmark.csv"', report(one).html)
    text = unquote(address.partition(",")[2])
    assert text == one.to_csv()
    assert next(csv.DictReader(io.StringIO(text)))["beats chance"] == "True"


def test_half_characters_in_a_name_do_not_break_the_file(tmp_path):
    one = Benchmark((Row("m \ud800", scores={"a": score(1.0)}),), ("a",), "tiny", 8)
    assert "m ?" in report(one).save(tmp_path / "a.html").read_text("utf-8")


def test_long_names_are_cut_and_can_be_read_whole():
    name = "a method of a very long name that nobody would ever wish to type"
    html = fragment(Benchmark((Row(name, scores={name: score(1.0)}),), (name,), "tiny", 8))
    assert html.count(f'title="{name}">a method of a very long name that nobod…') == 2


def test_notes_of_scores_say_whose_they_are():
    one = Benchmark((Row("m", scores={"a": score(1.0, notes=("take care",))}),), ("a",), "tiny", 8)
    assert "m, a: take care" in fragment(one)


def test_it_is_said_how_methods_and_metrics_were_made_each_once():
    html = report(benchmark()).html
    made = plain(html)[plain(html).index('class="ip-records"') :]
    titles = re.findall(r"<h3>([\w-]+)", made)
    assert titles == ["lime", "cheap", "insertion", "deletion"], "what failed has made nothing"
    assert "samples = 9" in made and "attribution of 8 texts" in made
    assert "2 forward passes, 20 rows, 1.0 s" in made, "insertion measured two methods"
    papers = ["Ribeiro 2016", "the paper of insertion", "the paper of deletion"]
    assert lines(html)[0]["references"] == papers


def test_the_verdict_is_among_the_findings_only_beside_others():
    one = Attribution("sad", (Unit("sad", 0, 3),), (Target("joy", 0),), torch.ones(1, 1), MadeBy("lime"))
    html = report(one, benchmark()).html
    assert any(line.startswith("On tiny trust lime") for line in findings(html))
    alone = report(benchmark()).html
    assert not findings(alone) and "In short" not in alone and plain(alone).count("On tiny trust lime") == 1
    assert "3 methods by 2 metrics on 8 texts" in heading(alone)


@pytest.mark.parametrize("shown", [fragment, lambda one: one._repr_html_()])
def test_a_benchmark_shows_itself_in_a_notebook(shown):
    assert shown(benchmark()).startswith("<style>")
