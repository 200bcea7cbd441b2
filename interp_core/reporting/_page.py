"""From values to HTML: one page that opens offline, or a fragment for a notebook."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import itertools
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from interp_core.attribution import Attributions, StoredAttributions
from interp_core.plugin import named_options
from interp_core.reporting._benchmark_table import standings_of
from interp_core.reporting._concept_cards import Group
from interp_core.reporting._concept_data import ConceptLines
from interp_core.reporting._contents import KINDS, Contents, contents_of
from interp_core.reporting._effect_view import effect_view
from interp_core.reporting._formatting import short, shortened
from interp_core.reporting._grouping import groups_of
from interp_core.reporting._page_data import page_data, shared_notes
from interp_core.reporting._provenance_view import notes_of, records_of, runs_of, versions_of
from interp_core.reporting._score_view import score_view
from interp_core.reporting._summary import asked, findings, models, title_for
from interp_core.reporting._text_views import text_views, texts_of
from interp_core.reporting._trust_data import table_of
from interp_core.results import named_with, write_text
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

OPEN_TEXTS = 10
SHOWN = 10  # attributions of a folder, in a notebook
STYLES = ("base.css", "words.css", "concepts.css", "tables.css", "benchmark.css", "print.css")
PARTS = ("dom", "data", "why", "stage", "texts", "words", "concepts", "components", "trust", "share", "print", "app")
PLAIN_TEXTS, PLAIN_CONCEPTS = 5, 500  # that can be read without a script
_calls = itertools.count(1)


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """An HTML page. Notebooks display it.

    Attributes:
        html: the whole page, including styles and script. It loads nothing from the network.
        inline: HTML that a notebook shows instead of the page in a frame.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from interp_core.metrics import Score
        >>> page = interp.report(Score(0.7, True, name="insertion"), title="How good?")
        >>> with TemporaryDirectory() as folder:
        ...     path = page.save(f"{folder}/report.html")
        ...     "How good?" in path.read_text(encoding="utf-8")
        True
    """

    html: str
    inline: str = ""

    def save(self, path: str | Path) -> Path:
        """Write the page to a file that opens in any browser.

        Args:
            path: the file, which ends in `.html` or `.htm`; missing folders are created.

        Returns:
            The path of the file.

        Raises:
            InputError: the file ends in another way, so that no browser would show it.
        """
        return write_text(named_with(path, ".html", ".htm"), self.html)

    def __repr__(self) -> str:
        title = markup.unescape(self.html.partition("<title>")[2].partition("</title>")[0])
        return f"Report({shortened(title)!r}, {len(self.html.encode()) / 1000:,.0f} kB)"

    def _repr_html_(self) -> str:
        if self.inline:
            return self.inline
        frame = 'title="report" sandbox="allow-scripts allow-downloads" style="width:100%;height:80vh;border:0"'
        return f'<iframe {frame} srcdoc="{markup.escape(self.html)}"></iframe>'


@named_options
def report(*results: Any, title: str = "", text: str = "") -> Report:
    """All results on one page: which words and concepts matter, how far to trust them, and how they were made.

    Args:
        *results: `Attribution`, `ConceptSpace`, `Interpretation`, `Importance`, `Effect`, `ClassConcepts`,
            `Activations`, `Score`, `Benchmark`, or lists of these, in any order.
        title: the title of the page; chosen from the kinds of results if empty.
        text: an introduction at the top, as plain text.

    Returns:
        The page. Notebooks display it, and `save` writes it to a file.

    Raises:
        InputError: there are no results, or one of them is of a kind that a report cannot show.

    Examples:
        The heading of the page sums up the results in sentences.

        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> results = interp.attribute(model, ["so happy today"], by="occlusion", targets="all", progress=False)
        >>> "“happy” speaks most for “class 0” (+2.00)." in interp.report(results).html
        True
    """
    contents = contents_of(results)
    return Report(page(contents, groups_of(contents), title or title_for(contents), text))


def fragment(value: Any) -> str:
    """One value as HTML for a notebook, with scoped styles and with ids that are unique to each call.

    Args:
        value: a value that `report` accepts, or a list of them.

    Returns:
        An HTML fragment, without the heading and references of a whole page.

    Raises:
        InputError: the value is of a kind that a report cannot show.

    Examples:
        >>> from interp_core.metrics import Score
        >>> from interp_core.reporting import fragment
        >>> score = Score(0.7, True, interval=(0.6, 0.8), chance=0.4, name="insertion")
        >>> "better than random" in fragment(score)
        True
    """
    contents = contents_of([value])
    return part(contents, groups_of(contents))


def register(html_of: Any) -> None:
    """Register `fragment` as the HTML representation of all values that a report shows.

    Args:
        html_of: the `functools.singledispatch` function of `interp_core.display`.
    """
    for kind in (*KINDS, Attributions):
        html_of.register(kind, fragment)
    html_of.register(StoredAttributions, _first_of)


def _first_of(stored: StoredAttributions) -> str:
    """The first attributions of a folder, which may hold more than a notebook can."""
    line = f"<p>{markup.escape(stored.one_line())}; the first {min(len(stored), SHOWN)}:</p>"
    return line + fragment(stored[:SHOWN])


def page(
    contents: Contents, groups: list[Group], title: str, text: str = "", concepts: ConceptLines | None = None
) -> str:
    """The page of a report; with other concepts than those of its contents where these are given."""
    return _render(
        "page.html",
        id="ip",
        title=title,
        introduction=text,
        policy=_policy(),
        models=models(contents),
        asked=asked(contents),
        findings=findings(contents),
        data=Markup(page_data(contents, concepts)),
        style=Markup("\n".join(_asset(name) for name in (*STYLES, "page.css"))),
        script=Markup(_script()),
        plain=_plain(contents, groups),
    )


def _plain(contents: Contents, groups: list[Group]) -> Markup:
    """What a browser shows that runs no script: the first texts and everything else, as in a notebook."""
    held = texts_of(contents.attributions)
    first = replace(contents, attributions=[one for each in held[:PLAIN_TEXTS] for one in each])
    left = sum(len(group.cards) for group in groups) > PLAIN_CONCEPTS
    values = _sections(first, [] if left else groups) | _made(first)
    return Markup(_render("plain.html", **values, id="ipn", left=max(0, len(held) - PLAIN_TEXTS), concepts_left=left))


@cache
def _script() -> str:
    """The script of the page, whose names are its own."""
    return "(() => {\n" + "\n".join(_asset(f"page/{name}.js") for name in PARTS) + "\n})();"


def _policy() -> str:
    """The content security policy: the page loads nothing, and runs only its own script, identified by its hash."""
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    sources = f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


def part(contents: Contents, groups: list[Group]) -> str:
    """The contents of a report without heading and references, for embedding in another page."""
    return _render("fragment.html", **_sections(contents, groups), **_made(contents), id=f"ip{next(_calls)}")


def _made(contents: Contents) -> dict[str, Any]:
    runs = runs_of(contents.values)
    return {"records": records_of(runs)[0], "versions": versions_of(runs)}


def _sections(contents: Contents, groups: list[Group]) -> dict[str, Any]:
    shared = shared_notes(contents)
    views = text_views(contents.attributions, shared)
    return {
        "texts": views,
        "pages": [views[i : i + OPEN_TEXTS] for i in range(0, len(views), OPEN_TEXTS)],
        "sized": list(dict.fromkeys(m.sized for view in views for m in view.methods if m.sized)),
        "common": _common([[c.label for c in view.choices] for view in views]),
        "word_notes": sorted(shared),
        "groups": groups,
        "effects": [effect_view(e) for e in contents.effects],
        "corpora": contents.activations,
        "concept_notes": notes_of(contents.learnt),
        "scores": [score_view(s) for s in contents.scores],
        "benchmarks": [standings_of(b) for b in contents.benchmarks],
        "tables": [table_of(value) for value in contents.others],
        "style": Markup("\n".join(_asset(name) for name in STYLES)),
        "script": Markup(_asset("report.js")),
    }


def _common(labels: list[list[str]]) -> list[str]:
    """The targets that can be selected for all texts at once."""
    alike = len(labels) > 1 and len(labels[0]) > 1 and all(names == labels[0] for names in labels)
    return labels[0] if alike else []


def _render(template: str, **values: Any) -> str:
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode()


@cache
def _environment() -> Environment:
    loader = PackageLoader(__name__.rpartition(".")[0])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["short"] = short
    return made


@cache
def _asset(name: str) -> str:
    """A style sheet or script of the package, without indentation and empty lines."""
    text = resources.files(__name__.rpartition(".")[0]).joinpath("assets", name).read_text(encoding="utf-8")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
