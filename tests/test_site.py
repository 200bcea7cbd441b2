"""The documentation site builds without a warning, shows every page and public name, and loads nothing from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import website
from filelock import FileLock
from markdown_it import MarkdownIt
from packages import packages

pytestmark = [pytest.mark.slow, pytest.mark.current]

ROOT = Path(__file__).parent.parent
DOCS = sorted(page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md"))
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "link": "href",
}
BLOCKS = {"h1", "h2", "h3", "h4", "ul", "ol", "li", "table", "tr", "td", "th", "pre", "blockquote", "img"}


class Html(HTMLParser):
    """What a page loads, where it links to, its ids, and how many blocks of each kind its article has."""

    def __init__(self, text: str, inside: bool = False) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.blocks: Counter[str] = Counter()
        self.inside = inside
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.inside |= tag == "article"
        self.ids.add(said.get("id", ""))
        if self.inside and tag in BLOCKS:
            self.blocks[tag] += 1
        if said.get(LOADED.get(tag, "")):
            self.loaded.append(said[LOADED[tag]])
        elif tag == "a" and "href" in said:
            self.links.append(said["href"])

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "article"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make site` builds it, without a warning; built once, whichever workers the tests are on."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "site.lock"):
        if not (shared / "site").is_dir():
            command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(shared / "unfinished")]
            quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=quiet, check=False)
            said = done.stdout + done.stderr
            assert done.returncode == 0 and "WARNING" not in said and "ERROR" not in said, said
            (shared / "unfinished").rename(shared / "site")
    return shared / "site"


@cache
def html_of(page: Path) -> Html:
    return Html(page.read_text(encoding="utf-8"))


def pages(site: Path) -> Iterator[tuple[str, Html]]:
    for page in sorted(site.rglob("*.html")):
        yield page.relative_to(site).as_posix(), html_of(page)


def test_every_page_and_every_package_is_there(site: Path) -> None:
    expected = {page.with_suffix(".html").as_posix() for page in DOCS}
    expected |= {f"packages/{package.name}.html" for package in packages()}
    expected |= {"contributing.html", "changelog.html", "security.html", "licence.html"}
    assert expected - {name for name, _ in pages(site)} == set()


def test_every_name_of_the_faces_is_described(site: Path) -> None:
    top = {f"interp_core.{name}" for name in website.exported("interp_core")}
    assert top - html_of(site / "reference/interp.html").ids == set()
    for room in website.rooms():
        page = html_of(site / f"reference/{room}.html")
        there = page.ids | {link.partition("#")[2] for link in page.links}
        for name in website.exported(f"interp_core.{room}"):
            assert {f"interp_core.{room}.{name}", f"interp_core.{name}"} & there, f"{room}.{name}"


def test_every_method_is_described_on_the_page_of_its_package(site: Path) -> None:
    own = {package.name for package in packages()}
    for method in website.methods():
        package = website.package_of(method)
        if package in own:
            ids = html_of(site / f"packages/{package}.html").ids
            assert {method.name, method.target.replace(":", ".")} <= ids, method.name


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    away = [(name, one) for name, page in pages(site) for one in page.loaded if re.match(r"(https?:)?//", one)]
    assert away == []
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    broken = []
    for name, page in pages(site):
        if name == "404.html":
            continue  # a server shows it at any address, so that its links begin at the top
        for target in (*page.loaded, *page.links):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = unquote(target).partition("#")
            file = (site / name).parent / path if path else site / name
            file = file / "index.html" if file.is_dir() else file
            there = file.is_file() and (not anchor or file.suffix != ".html" or anchor in html_of(file.resolve()).ids)
            if not there:
                broken.append(f"{name}: {target}")
    assert broken == []


def test_pages_have_the_lists_and_tables_that_a_code_host_shows(site: Path) -> None:
    """MkDocs reads another Markdown, in which a list may end up in the paragraph before it."""
    markdown = MarkdownIt("commonmark").enable("table")
    for page in DOCS:
        text = website.with_links((ROOT / "docs" / page).read_text(encoding="utf-8"), page.as_posix())
        shown = html_of(site / page.with_suffix(".html")).blocks
        assert shown == Html(markdown.render(text), inside=True).blocks, page
