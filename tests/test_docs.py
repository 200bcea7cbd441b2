"""Every code block of the pages runs, every link leads somewhere, and every number said is the repository's own."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from interp_core.cli import main
from interp_core.plugin import _registry as registry
from packages import packages

pytestmark = [pytest.mark.slow, pytest.mark.current]

ROOT = Path(__file__).parent.parent
OWN = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
READMES = [package.folder / "README.md" for package in packages()]
PAGES = [*OWN, *READMES]
PACKAGES = [package.name for package in packages()]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


PEERS = {
    "from-captum": "captum",
    "from-inseq": "inseq",
    "from-saelens": "sae_lens",
    "from-shap": "shap",
    "from-transformerlens": "transformer_lens",
}


@dataclass(frozen=True)
class Snippet:
    """A fenced block, or an indented one of commands, with the line it starts on."""

    language: str
    text: str
    line: int


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def snippets(page: Path) -> Iterator[Snippet]:
    for found in FENCE.finditer(text_of(page)):
        yield Snippet(found[1], found[2], text_of(page)[: found.start()].count("\n") + 2)


def commands(snippet: Snippet) -> Iterator[list[str]]:
    """The command lines of a block: those that call interp, pip or pytest, without prompts and comments."""
    for line in snippet.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words and words[0] in ("interp", "pip", "pytest"):
            yield words


class Shell:
    """Runs the commands of a page in its folder; packages that it installs from there are seen by later commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / ".site"

    def run(self, words: list[str]) -> None:
        """One command. Installing from an index, or what is installed already, is left out."""
        if words[0] == "pip":
            made = [word for word in words[1:] if (self.folder / word / "pyproject.toml").is_file()]
            if made:
                there = ["--no-deps", "--no-build-isolation", "--target", ".site"]
                self._python("-m", "pip", "install", "-q", *there, *(f"./{word}" for word in made))
        elif words[0] == "pytest":
            self._python("-m", "pytest", "-q", "-p", "no:cacheprovider", *words[1:])
        elif self.site.is_dir():
            self._python("-c", "from interp_core.cli import main; main()", *words[1:])
        else:
            done = CliRunner().invoke(main, words[1:])
            assert done.exit_code == 0, f"{shlex.join(words)} said: {done.output}{done.exception or ''}"

    def _python(self, *arguments: str) -> None:
        seen = {**os.environ, "PYTHONPATH": str(self.site)}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=seen, check=False)
        assert done.returncode == 0, f"{shlex.join(command)} said: {done.stdout}{done.stderr}"


@cache
def given() -> dict[str, Any]:
    """What the READMEs of packages may use without making it."""
    import interp_core as interp
    from interp_demo import story

    model = interp.load(story.MODEL)
    texts = story.corpus().texts[:60]
    split = model.split(-1)
    activations = split.activations(texts, granularity="cls", predictions=True, progress=False)
    space = interp.fit_concepts(activations, by="semi-nmf", concepts=4)
    names = {"model": model, "texts": texts, "split": split, "activations": activations, "space": space}
    return {**names, "tokenizer": model.tokenizer, "interp": interp}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small matrices on a busy machine: threads that wait for each other take longer than the work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration on few of its sentences; its own tests tell the whole story."""
    from interp_demo import story

    whole = story.corpus()
    texts = whole.unseen(each=8)
    labels = [whole.labels[whole.texts.index(text)] for text in texts]
    part = story.Corpus(texts, labels, list(range(len(texts))))
    monkeypatch.setattr(story, "corpus", lambda: part)
    monkeypatch.setattr(story, "CONCEPTS", 3)
    monkeypatch.setattr(story, "CLASS_CONCEPTS", 2)
    monkeypatch.setattr(story, "MIN_COUNT", 5)


# Code


@pytest.mark.parametrize("page", [p for p in PAGES if any(snippets(p))], ids=named)
def test_every_block_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """In order, in an empty folder beside which the plugins lie, as in a checkout."""
    if page.parent.name == "interp-demo":
        request.getfixturevalue("small_demo")
    (tmp_path / "plugins").symlink_to(ROOT / "plugins")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", [])
    scope = types.ModuleType("page_" + re.sub(r"\W", "_", named(page)))
    monkeypatch.setitem(sys.modules, scope.__name__, scope)
    vars(scope).update(given() if page in READMES else {})
    shell = Shell(tmp_path)
    for snippet in snippets(page):
        if snippet.language == "python":
            code = "\n" * (snippet.line - 1) + snippet.text  # so that a traceback names the line of the page
            exec(compile(code, str(page), "exec"), vars(scope))
        elif snippet.language in ("bash", "sh", "console"):
            for words in commands(snippet):
                shell.run(words)


# Other libraries' calls beside ours


@dataclass(frozen=True)
class Beside:
    """A section of a migration page: a call of another library, and ours."""

    title: str
    theirs: str
    ours: str


def beside(page: Path) -> list[Beside]:
    """The numbered sections of a page; each has a block of theirs, which is `text`, and then one of ours."""
    found = []
    for section in re.split(r"^## (?=\d+\. )", text_of(page), flags=re.MULTILINE)[1:]:
        blocks = FENCE.findall(section)
        assert [language for language, _ in blocks] == ["text", "python"], section.splitlines()[0]
        found.append(Beside(section.splitlines()[0], blocks[0][1], blocks[1][1]))
    return found


@pytest.mark.parametrize("page", sorted(PEERS))
def test_a_migration_page_has_ten_calls_and_says_what_is_not_here(page: str) -> None:
    text = text_of(ROOT / "docs" / f"{page}.md")
    sections = beside(ROOT / "docs" / f"{page}.md")
    assert len(sections) >= 10 and [s.title.split(".")[0] for s in sections] == [
        str(i + 1) for i in range(len(sections))
    ]
    assert re.search(r"^\| .+ \| not here", text, re.MULTILINE) and re.search(r"\b\d+\.\d+", text.split("\n\n")[1])


@pytest.mark.parametrize("page", sorted(PEERS))
def test_calls_of_another_library_run_and_agree_where_it_is_installed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours first, since theirs is given what ours makes. Where a section assigns `theirs`, `ours` is equal."""
    import torch

    if page == "from-shap" and not os.environ.get("INTERP_PEERS"):
        pytest.skip("half a minute of compiling, and its values are held to ours elsewhere; set INTERP_PEERS=1")
    pytest.importorskip(PEERS[page])
    monkeypatch.chdir(tmp_path)
    (_, first), *_ = FENCE.findall(text_of(ROOT / "docs" / f"{page}.md"))
    scope: dict[str, Any] = {"__name__": "beside"}
    exec(first, scope)
    if "words_of" in scope:
        scope["words_of"] = without_special_tokens(scope["words_of"])
        scope["generator"] = scope["interp"].TextModel(scope["writer"], scope["words_of"])
    for section in beside(ROOT / "docs" / f"{page}.md"):
        for code in (section.ours, section.theirs):
            exec(compile(code, f"{page}: {section.title}", "exec"), scope)
        if "\ntheirs = " in "\n" + section.theirs:
            theirs, ours = (torch.as_tensor(scope[name]).detach().float() for name in ("theirs", "ours"))
            assert theirs.shape == ours.shape, section.title
            assert float((theirs - ours).abs().max()) <= 1e-3 * float(ours.abs().max()), section.title


def without_special_tokens(tokenizer: Any) -> Any:
    """A tokenizer that adds nothing, as those of generators are; the tiny one is that of a BERT."""
    import json

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    written = {**json.loads(tokenizer.backend_tokenizer.to_str()), "post_processor": None}
    names = {name: getattr(tokenizer, name) for name in ("unk_token", "pad_token", "mask_token")}
    plain = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(written)), eos_token=tokenizer.pad_token, **names
    )
    plain.model_input_names = ["input_ids", "attention_mask"]
    return plain


def test_code_is_fenced_in_a_language_that_the_test_runs() -> None:
    known = {"python", "bash", "sh", "console", "text", "toml"}
    assert [f"{named(p)}:{s.line} {s.language}" for p in PAGES for s in snippets(p) if s.language not in known] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    said = {target for page in OWN for target in re.findall(r"(?:`|^ {4})make ([a-z]+)", text_of(page), re.MULTILINE)}
    assert {"demo", "test", "lint", "docs"} <= said <= targets


# Links


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_or_a_heading(page: Path) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", text_of(page))):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    """In one click; pages in folders of docs/ in two."""
    readme = ROOT / "README.md"
    linked = files_linked_from(readme)
    further = {file for page in OWN if page in linked for file in files_linked_from(page)}
    in_folders = {page for page in OWN if page.parent not in (ROOT, ROOT / "docs")}
    assert [named(p) for p in OWN if p not in {readme} | linked | (in_folders & further)] == []


def files_linked_from(page: Path) -> set[Path]:
    return {(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(text_of(page))}


# What is said


def test_the_methods_page_is_what_the_packages_declare() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate.py"))["page"]()
    assert text_of(ROOT / "docs" / "methods.md") == page, "run `make docs`"


def test_the_page_on_components_says_which_methods_answer() -> None:
    page = text_of(ROOT / "docs" / "components.md")
    assert runpy.run_path(str(ROOT / "docs" / "generate.py"))["with_table"](page) == page, "run `make docs`"


def test_the_page_of_faces_is_what_they_export() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate.py"))["faces"]()
    assert text_of(ROOT / "docs" / "faces.md") == page, "run `make docs`"


def test_the_page_of_commands_is_what_they_say() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate.py"))["commands"]()
    assert text_of(ROOT / "docs" / "command-line.md") == page, "run `make docs`"


def test_the_map_shows_the_floors_and_imports_there_are() -> None:
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors = [[room.strip() for room in layer.split("|")] for layer in contracts[0]["layers"]]
    floors[0] = ["cli"]  # beside it only the paths of 0.1
    page = text_of(ROOT / "docs" / "map.md")
    picture = [re.findall(r"[a-z]+", line.split("·")[0]) for line in re.findall(r"^ *\d+  (.+)$", page, re.MULTILINE)]
    assert picture == floors and len(floors) <= 10
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| .+? \| (.+) \|$", page, re.MULTILINE)
    assert [(10 - int(n), room) for n, room, _ in rows] == [(i, room) for i, f in enumerate(floors) for room in f]
    for _, room, told in rows:
        assert set(re.findall(r"`(\w+)`", told)) == imported_rooms(room) - {room}, room


def imported_rooms(room: str) -> set[str]:
    """The rooms that a room imports, late imports and those for type checkers among them."""
    import ast

    folder = ROOT / "interp_core" / room
    files = sorted(folder.glob("_[a-z]*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(text_of(file))) if isinstance(node, ast.ImportFrom)]
    return {str(n.module).split(".")[1] for n in nodes if str(n.module).startswith("interp_core.")}


def test_the_map_leads_to_files_that_are_there_for_thirty_jobs_and_more() -> None:
    table = text_of(ROOT / "docs" / "map.md").partition("## To change")[2]
    rows = re.findall(r"^\| ([^|`]+) \| (.+) \|$", table, re.MULTILINE)[1:]
    assert len(rows) >= 30
    for job, told in rows:
        for path in re.findall(r"`([\w/.…]+)`", told):
            found = [*(ROOT / "interp_core").glob(path.replace("…", "*")), *ROOT.glob(path)]
            assert found, f"{job}: {path}"


def test_a_second_call_enters_few_files_of_the_core() -> None:
    """What has to be read to understand a call. More than the 20 and 22 of before: trials, states, lent values."""
    counts = runpy.run_path(str(ROOT / "docs" / "entered.py"))["counts"]()
    assert len(counts["attribute"]) <= 26, counts["attribute"]
    assert len(counts["importance"]) <= 30, counts["importance"]


def test_the_readme_counts_the_methods_and_packages_there_are() -> None:
    [(methods, packages)] = re.findall(r"(\d+) methods in (\d+) packages", text_of(ROOT / "README.md"))
    own = [m for m in registry.methods() if registry.package_of(m) in PACKAGES]
    assert (int(methods), int(packages)) == (len(own), len(PACKAGES))


def test_the_readme_lists_each_package_once() -> None:
    assert sorted(re.findall(r"^\| \[(interp-[\w-]+)\]", text_of(ROOT / "README.md"), re.MULTILINE)) == PACKAGES


def test_the_readme_names_the_extras_there_are() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [line] = re.findall(r"^Extras: (.+?)\. ", text_of(ROOT / "README.md"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == set(project["optional-dependencies"])


def test_parameters_of_every_method_have_names_of_the_glossary() -> None:
    """What several packages use is one name for one thing, and the glossary says what."""
    import dataclasses
    from collections import Counter

    fields = Counter(
        field.name
        for method in registry.methods()
        if registry.package_of(method) in PACKAGES
        for field in dataclasses.fields(registry.implementation(method))
    )
    glossary = set(re.findall(r"`(\w+)`", text_of(ROOT / "docs" / "glossary.md")))
    assert {name for name, times in fields.items() if times > 1} - glossary == set()


def test_the_picture_of_the_report_is_small() -> None:
    picture = (ROOT / "docs" / "images" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 250_000
