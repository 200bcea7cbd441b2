"""Writes docs/methods.md, every method of this repository's packages, and docs/faces.md, what the core exports."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
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


FACES_HEAD = """\
# Faces

What packages outside may import: the names that the rooms of the core export. Made by `make docs`; do not edit it by
hand. Whatever begins with an underscore is private. `interp_core.errors` holds the exceptions. `make lint` fails when a
name here breaks without a warning one release before.
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


def faces() -> str:
    """The page of what each face of the core exports, for authors of packages."""
    rooms = sorted(f.name for f in (ROOT / "interp_core").iterdir() if (f / "__init__.py").is_file())
    parts = [FACES_HEAD]
    for name in ("interp_core", *(f"interp_core.{room}" for room in rooms)):
        face = import_module(name)
        parts.append(f"## {name}\n\n{inspect.cleandoc(face.__doc__ or '')}\n\n| name | what it is |\n|---|---|")
        parts[-1] += "".join(f"\n| `{one}` | {_first_line(getattr(face, one))} |" for one in face.__all__) + "\n"
    return "\n".join(parts)


def _first_line(value: object) -> str:
    if not (inspect.isroutine(value) or inspect.isclass(value)):
        return "a type for annotations" if callable(value) or "typing" in type(value).__module__ else "a constant"
    doc = inspect.cleandoc(getattr(value, "__doc__", None) or "").split("\n\n")[0]
    return " ".join(doc.split()).replace("|", "\\|")


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
        said = {
            k: v for one in reversed(made.__mro__) for k, v in _meanings(inspect.cleandoc(one.__doc__ or "")).items()
        }
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
    (ROOT / "docs" / "faces.md").write_text(faces(), encoding="utf-8")
