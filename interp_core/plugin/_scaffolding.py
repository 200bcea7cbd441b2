"""The files of a new plugin, from the templates in `scaffold/`. A test holds the project's own packages to the same
ones.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interp_core.errors import InputError
from interp_core.plugin._declaration import Kind

_DEPENDENCIES = {
    "attribution": ("interp-core>=0.2", "jaxtyping>=0.2.36", "torch>=2.5"),
    "concepts": ("interp-core>=0.2", "jaxtyping>=0.2.36", "torch>=2.5"),
    "interpretation": ("interp-core>=0.2", "jaxtyping>=0.2.36", "torch>=2.5"),
    "metric": ("interp-core>=0.2",),
    "llm": ("interp-core>=0.2",),
    "executor": ("interp-core>=0.2",),
}
_SUMMARY = {
    "attribution": "what a unit takes away when removed and brings when alone",
    "concepts": "the directions in which activations vary most",
    "interpretation": "calls a concept by the unit in which it is most active",
    "metric": "mean absolute difference between activations and their reconstruction",
    "llm": "answers with the first words of what it was asked",
    "executor": "computes shards one after the other in this process",
}
_TAKEN = {  # what the templates import, and the core's own name
    *("Core", "Tensor", "Float", "Question", "Activations", "ConceptSpace", "Score", "Example", "Interpretation"),
    *("LabelledConcept", "Callable", "Iterable", "ClassVar", "Shard", "Result"),
}
_CLAIMS = {"attribution": ("signed",), "concepts": ("decodes",)}


def write_plugin(name: str, kind: Kind, into: Path) -> Path:
    """Write the package of a new method.

    Args:
        name: kebab-case name of the method; the package is called `interp-<name>`.
        kind: what it does.
        into: the folder that the package's folder is made in.

    Raises:
        InputError: a name that is not kebab-case or no Python name, or a folder that is there already.
    """
    class_name = "".join(part.capitalize() for part in name.split("-"))
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise InputError(f"{name!r} is no kebab-case name such as 'my-method'.")
    if keyword.iskeyword(class_name) or class_name in _TAKEN:
        raise InputError(
            f"a method called {name!r} would hide {class_name!r}, which it needs itself; choose another name."
        )
    folder = into / f"interp-{name}"
    if folder.exists():
        raise InputError(f"{str(folder)!r} is there already; nothing was written.")
    stem = name.replace("-", "_")
    values = {
        "package": f"interp-{name}",
        "version": "0.1.0",
        "commands": {},
        "description": f"{name}: {_SUMMARY[kind]}",
        "dependencies": _DEPENDENCIES[kind],
        "entry": name,
        "module": f"interp_{stem}",
        "name": name,
        "kind": kind,
        "stem": stem,
        "class_name": class_name,
        "summary": _SUMMARY[kind],
        "claims": _CLAIMS.get(kind, ()),
        "measures": "concepts" if kind == "metric" else "",
    }
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"interp_{stem}/__init__.py": "__init__.py",
        f"interp_{stem}/{stem}.py": f"{kind}.py",
        f"tests/test_{stem}.py": "test.py",
    }
    for path, template in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(template, **values), encoding="utf-8")
    return folder


def render(template: str, **values: Any) -> str:
    """One file of the scaffold."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("interp_core.plugin", "scaffold"),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python and TOML, no HTML
    )
    return environment.get_template(f"{template}.jinja").render(**values)


def render_pyproject(
    package: str,
    version: str,
    description: str,
    entry: str,
    dependencies: Sequence[str],
    *,
    commands: Mapping[str, str] | None = None,
) -> str:
    """The `pyproject.toml` that a package of these values has.

    Args:
        package: name of the distribution; its module is the same with underscores.
        version: its version.
        description: one line.
        entry: name of its entry point.
        dependencies: with lower bounds.
        commands: that it adds to the command line, from name to `"module:command"`.
    """
    return render(
        "pyproject.toml",
        package=package,
        version=version,
        description=description,
        entry=entry,
        module=package.replace("-", "_"),
        dependencies=dependencies,
        commands=commands or {},
    )
