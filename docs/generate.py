"""Writes docs/methods.md: every method of this repository's packages, from what each declares of itself."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from interp_core.plugin import VERBS, Method, implementation, methods, package_of
from packages import packages

ROOT = Path(__file__).parent.parent
HEAD = """\
# Methods

Made by `make docs` from what the packages declare; do not edit it by hand. `interp show NAME` prints the same of one
method, with its whole docstring. *Needs* is what a question or activations must offer before the method will start;
*claims* are promises that `interp check NAME` tests.
"""


def page() -> str:
    """The page, for the methods of the packages in plugins/."""
    own = {package.name for package in packages()}
    found = [m for m in methods() if package_of(m) in own]
    parts = [HEAD]
    for kind, verb in VERBS.items():
        chosen = [m for m in found if m.kind == kind]
        if chosen:
            parts.append(f"## {kind} (`{verb}`)\n")
            parts += ["\n".join(_entry(m)) + "\n" for m in chosen]
    return "\n".join(parts)


def _entry(method: Method) -> Iterator[str]:
    made = implementation(method)
    yield f"### {method.name}\n"
    yield f"{method.summary[0].upper()}{method.summary[1:]}.\n"
    if method.measures:
        yield f"- measures: {method.measures}"
    yield f"- needs: {', '.join(sorted(method.needs)) or 'nothing beyond the scores'}"
    yield f"- claims: {', '.join(sorted(method.claims)) or 'nothing'}"
    yield f"- source: {method.source}"
    yield f"- package: `{package_of(method)}`"
    fields = dataclasses.fields(made)
    if fields:
        said = _meanings(inspect.getdoc(made) or "")
        yield "\n| parameter | default | meaning |\n|---|---|---|"
        for field in fields:
            meaning = said.get(field.name, "").replace("|", "\\|")
            yield f"| `{field.name}` | {_default(field.default)} | {meaning} |"


def _default(value: object) -> str:
    text = repr(value)
    return f"`{text}`" if len(text) <= 40 else "see the code"


def _meanings(doc: str) -> dict[str, str]:
    """What the `Args:` of a docstring say of each field."""
    part = re.search(r"^Args:\n((?:[ ]+.*\n?|\n(?=[ ]))+)", doc, re.MULTILINE)
    entries = re.split(r"^ {4}(?=\w+: )", part[1], flags=re.MULTILINE) if part else []
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries if entry.strip())
    return {name: text for name, _, text in pairs}


if __name__ == "__main__":
    (ROOT / "docs" / "methods.md").write_text(page(), encoding="utf-8")
