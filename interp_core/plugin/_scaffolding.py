"""Scaffolding, which writes the files of a new plugin from the templates in `scaffold/`.

The `pyproject.toml` files of the official packages come from the same template.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from interp_core.errors import InputError
from interp_core.plugin._catalogue import catalogue
from interp_core.plugin._declaration import Kind
from interp_core.plugin._registry import methods, package_of

_DEPENDENCIES = {
    "attribution": ("interp-core>=0.2", "jaxtyping>=0.2.36", "torch>=2.5"),
    "concepts": ("interp-core>=0.2", "jaxtyping>=0.2.36", "torch>=2.5"),
    "interpretation": ("interp-core>=0.2", "jaxtyping>=0.2.36", "torch>=2.5"),
    "metric": ("interp-core>=0.2",),
    "llm": ("interp-core>=0.2",),
    "executor": ("interp-core>=0.2",),
}
_SUMMARY = {
    "attribution": "mean of the fall of the score without a unit and its rise with it alone",
    "concepts": "the directions in which activations vary most",
    "interpretation": "labels a concept with the unit in which it is most active",
    "metric": "mean absolute difference between activations and their reconstruction",
    "llm": "answers with the first words of the last message",
    "executor": "computes shards one after another in this process",
}
_TAKEN = {  # names that the templates import, and that of the core
    *("Core", "Tensor", "Float", "Question", "Activations", "ConceptSpace", "Score", "Example", "Interpretation"),
    *("LabelledConcept", "Callable", "Iterable", "ClassVar", "Shard", "Result"),
}
_CLAIMS = {"attribution": ("signed",), "concepts": ("decodes",)}


def write_plugin(name: str, kind: Kind, into: Path) -> Path:
    """Write the package of a new method: a working example of its kind, its declaration and its conformance test.

    Args:
        name: the name of the method in kebab-case; the package is called `interp-<name>`.
        kind: the kind of the method.
        into: the folder in which the folder of the package is created.

    Returns:
        The folder of the package.

    Raises:
        InputError: the name is not in kebab-case, cannot be the name of a Python class, or already belongs to a method,
            package or module; or the folder of the package exists.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from interp_core.plugin import write_plugin
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     package = write_plugin("my-method", "attribution", Path(folder))
        ...     sorted(file.relative_to(package).as_posix() for file in package.rglob("*.py"))
        ['interp_my_method/__init__.py', 'interp_my_method/my_method.py', 'tests/test_my_method.py']
    """
    class_name = "".join(part.capitalize() for part in name.split("-"))
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise InputError(f"{name!r} is not a kebab-case name, such as 'my-method'.")
    if keyword.iskeyword(class_name) or class_name in _TAKEN:
        raise InputError(
            f"the class of a method called {name!r} would hide {class_name!r}, which it needs; choose another name."
        )
    _check_free(name)
    folder = into / f"interp-{name}"
    if folder.exists():
        raise InputError(f"{str(folder)!r} exists already; nothing was written.")
    stem = name.replace("-", "_")
    values = {
        "package": f"interp-{name}",
        "version": "0.1.0",
        "commands": {},
        "names": {},
        "values": {},
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


def _check_free(name: str) -> None:
    """Refuse the name of something that a new package would hide, or be hidden by.

    Raises:
        InputError: there is a method, a package or a module of this name.
    """
    brings = catalogue()["methods"].get(name) or next((package_of(m) for m in methods() if m.name == name), "")
    if brings:
        raise InputError(f"a method called {name!r} is in the package {brings}; choose another name.")
    stem = name.replace("-", "_")
    for module in (stem, f"interp_{stem}"):
        if find_spec(module) is not None:
            raise InputError(f"a module called {module!r} is installed; choose another name than {name!r}.")


def render(template: str, **values: Any) -> str:
    """The text of one file of the scaffold."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("interp_core.plugin", "scaffold"),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # the templates are Python and TOML, not HTML
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
    names: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
) -> str:
    """Render the `pyproject.toml` of a package.

    Args:
        package: the name of the distribution; its module has the same name with underscores.
        version: the version of the distribution.
        description: the description, in one line.
        entry: the name of its entry point.
        dependencies: the requirements, with lower bounds.
        commands: the commands that it adds to the command line, as a mapping from name to `"module:command"`.
        names: the top-level names that it adds to `interp_core`, as a mapping from name to `"module:name"`.
        values: the kinds of values that it saves, as a mapping from kind to `"module:Class"`.

    Returns:
        The text of the file.

    Examples:
        >>> import tomllib
        >>> from interp_core.plugin import render_pyproject
        >>> text = render_pyproject("interp-my-method", "0.1.0", "My method", "my-method", ["interp-core>=0.2"])
        >>> tomllib.loads(text)["project"]["entry-points"]
        {'interp': {'my-method': 'interp_my_method'}}
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
        names=names or {},
        values=values or {},
    )
