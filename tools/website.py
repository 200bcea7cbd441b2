"""The hook of the documentation site: pages for what lies outside of docs/, generated ones, and links between them.

The markdown of the repository reads as it is on a code host, where a link leads to a file. On the site a link to a file
that has a page leads to that page, and the name of any other file is plain code. Nothing generated is kept in the
repository: pages of packages come from their READMEs and declarations, the API reference from docstrings.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from interp_core.plugin import Method, methods, package_of
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from packages import SHELVES, packages, table

ROOT = Path(__file__).parent.parent
CORE = "interp_core"
ALONE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "LICENSE": "licence.md",
}
# whose `Args:` name what griffe does not find: parameters of `__new__`, and a field that is kept and not given
UNFOUND = {"interp_core.text.JoinedText", "interp_llm.scripted.Scripted"}
FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")


# Which file of the repository is which page


def page_of(path: str) -> str | None:
    """The page that shows a file or folder of the repository, as a path in docs/; None if no page does."""
    if path == "README.md":
        return "index.md"
    if path in ALONE:
        return ALONE[path]
    parts = path.removesuffix("/README.md").split("/")
    if parts[0] == "plugins" and len(parts) == 3:
        return f"packages/{parts[2]}.md"
    inside = path.removeprefix("docs/")
    return inside if inside != path and not (path.endswith(".py") or (ROOT / path).is_dir()) else None


def file_of(page: str) -> str:
    """The file of the repository that a page shows, or would lie in."""
    for path, name in ALONE.items():
        if page == name:
            return path
    folder, _, name = page.partition("/")
    if folder == "packages":
        [package] = [one for one in packages() if one.name == name.removesuffix(".md")]
        return f"plugins/{package.shelf}/{package.name}/README.md"
    return f"docs/{page}"


def with_links(text: str, page: str) -> str:
    """The markdown with links as they are on the site."""
    origin = file_of(page)

    def linked(found: re.Match[str]) -> str:
        picture, said, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, _, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        there = page_of(path)
        if there is None:
            if not (ROOT / path).exists():
                return found[0]  # for MkDocs to complain about
            plain = said.strip("`")
            return f"`{plain}`" if plain in (path, posixpath.basename(path)) else f"{said} (`{path}`)"
        relative = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{picture}[{said}]({relative}{'#' + anchor if anchor else ''})"

    return "".join(part if part.startswith("```") else LINK.sub(linked, part) for part in FENCE.split(text))


def with_wide_lists(text: str) -> str:
    """The markdown with what belongs to an item of a list indented by four, as MkDocs reads it; code hosts need two."""
    lines, width, fenced = [], 0, False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        item = None if fenced else re.match(r"(?:[-*]|\d+\.) +", line)
        if item:
            width = len(item[0])
        elif line and not line.startswith(" " * width):
            width = 0
        lines.append(" " * (4 - width) + line if 0 < width < 4 and line and not item else line)
    return "\n".join(lines)


# Generated pages


def exported(face: str) -> list[str]:
    """The names in `__all__` of a face, without importing it."""
    tree = ast.parse((ROOT / face.replace(".", "/") / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def rooms() -> list[str]:
    """The rooms of the core, by name."""
    return sorted(folder.name for folder in (ROOT / CORE).iterdir() if (folder / "__init__.py").is_file())


def top_page() -> str:
    """Everything that `import interp_core as interp` offers."""
    intro = (
        "What `import interp_core as interp` offers. Installed packages bring more names, which are on their pages; "
        "the rooms of the core, such as `interp_core.text`, export what authors of packages need."
    )
    return "\n\n".join(["# interp", intro, *entries(CORE, exported(CORE))])


def room_page(room: str) -> str:
    """What one room exports; names of the top are described there."""
    face, at_top = f"{CORE}.{room}", set(exported(CORE))
    doc = ast.get_docstring(ast.parse((ROOT / CORE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    names = exported(face)
    parts = [f"# {face}", doc]
    shared = ", ".join(f"[`{name}`](interp.md#{CORE}.{name})" for name in names if name in at_top)
    if shared:
        parts.append(f"Described with [`import interp_core as interp`](interp.md): {shared}.")
    return "\n\n".join([*parts, *entries(face, [name for name in names if name not in at_top])])


def entries(face: str, names: list[str]) -> Iterator[str]:
    """Names of a face: functions, then classes, then constants."""
    kinds = {
        "Functions": [name for name in names if name[0].islower()],
        "Classes and types": [name for name in names if name[0].isupper() and not name.isupper()],
        "Constants": [name for name in names if name.isupper()],
    }
    for title, chosen in kinds.items():
        if chosen:
            yield f"## {title}"
            yield from (described(f"{face}.{name}", heading_level=3) for name in chosen)


def errors_page() -> str:
    """The exceptions."""
    return described(f"{CORE}.errors", heading_level=1, show_root_full_path=True)


def package_page(name: str, declared: list[Method]) -> str:
    """The README of a package, then its methods with their parameters, and the names that it brings."""
    said = table()[name]
    parts = [(ROOT / "plugins" / said["shelf"] / name / "README.md").read_text(encoding="utf-8")]
    for method in declared:
        parts.append(
            "\n".join(
                [f"## {method.name}\n", *facts(method), "", described(method.target, heading_level=3, members=False)]
            )
        )
    for short, target in said.get("names", {}).items():
        parts.append(f"## interp.{short}\n\n{described(target, heading_level=3)}")
    return "\n\n".join(parts)


def facts(method: Method) -> Iterator[str]:
    """What a method declares of itself."""
    yield f"{method.summary[0].upper()}{method.summary[1:]}.\n"
    if method.measures:
        yield f"- measures: {method.measures}"
    if method.needs:
        yield f"- needs: {', '.join(sorted(method.needs))}"
    if method.claims:
        yield f"- claims: {', '.join(sorted(method.claims))}"


def described(target: str, **options: Any) -> str:
    """The instruction that shows an object, given as `module.name` or `module:name`."""
    path = target.replace(":", ".")
    if path in UNFOUND:
        options["docstring_options"] = {"warn_unknown_params": False, "warn_missing_types": False}
    # JSON is YAML
    return f"::: {path}" + (f"\n    options: {json.dumps(options)}" if options else "")


def generated() -> Iterator[tuple[str, str]]:
    """Every page that lies in no file of docs/, with its markdown."""
    for path, page in ALONE.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        yield page, text if path.endswith(".md") else f"# Licence\n\n```text\n{text}```\n"
    yield "reference/interp.md", top_page()
    yield "reference/errors.md", errors_page()
    for room in rooms():
        yield f"reference/{room}.md", room_page(room)
    every = list(methods())
    for package in packages():
        yield (
            f"packages/{package.name}.md",
            package_page(package.name, [m for m in every if package_of(m) == package.name]),
        )


# What MkDocs calls


@event_priority(100)  # before mkdocstrings reads its options
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the generated parts of the navigation, and tell mkdocstrings where the sources lie."""
    config.nav = navigation(config.nav)
    paths = [str(ROOT), *(str(package.folder) for package in packages())]
    handler = config.plugins["mkdocstrings"].config.handlers["python"]
    handler["paths"] = paths
    handler["options"]["preload_modules"] = [CORE, *required_first()]
    return config


def required_first() -> list[str]:
    """The modules of packages, each after those it requires: griffe knows the fields of bases that it has seen."""
    said = table()
    needed = {name: {re.split("[^a-z0-9-]", one)[0] for one in said[name]["dependencies"]} & set(said) for name in said}
    return [name.replace("-", "_") for name in TopologicalSorter(needed).static_order()]


def navigation(part: Any) -> Any:
    """The navigation with the pages that `packages/` and `reference/` stand for."""
    if part == "reference/":
        faces = {"interp": "interp", **{f"interp_core.{room}": room for room in sorted([*rooms(), "errors"])}}
        return [{title: f"reference/{page}.md"} for title, page in faces.items()]
    if isinstance(part, dict):
        return {title: navigation(inner) for title, inner in part.items()}
    if isinstance(part, list):
        return [one for inner in part for one in (shelves() if inner == "packages/" else [navigation(inner)])]
    return part


def shelves() -> list[dict[str, list[dict[str, str]]]]:
    """The pages of packages, by shelf."""
    return [
        {shelf.capitalize(): [{one.name: f"packages/{one.name}.md"} for one in packages() if one.shelf == shelf]}
        for shelf in SHELVES
    ]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for page, text in generated():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links those of the site; the front page has no table of contents beside it."""
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["toc"]
    return with_wide_lists(with_links(markdown, page.file.src_uri))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show the ways into the documentation on the front page as cards."""
    if page.file.src_uri != "index.md":
        return html
    cards = re.sub(r"<ul>.*?</ul>", r'<div class="grid cards">\g<0></div>', html, count=1, flags=re.DOTALL)
    return f'<div class="front">{cards}</div>'
