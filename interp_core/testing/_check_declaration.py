"""Checks of declarations and hyperparameters: light, real, declared, documented."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions, requires
from pathlib import Path
from typing import Any

from interp_core.plugin import GROUP, PROGRAM, Method, implementation, package_of
from interp_core.results import parameters_of
from interp_core.testing._check import Check

HEAVY = ("torch", "transformers", "numpy", "sklearn")
SAME_THING = {  # names that other libraries use, and the one that is used here
    **dict.fromkeys(("n_samples", "num_samples", "nsamples", "n_perturbations"), "samples"),
    **dict.fromkeys(("n_steps", "num_steps", "max_iter", "iterations", "n_iter"), "steps"),
    **dict.fromkeys(("random_state", "rng", "random_seed"), "seed"),
    **dict.fromkeys(("n_concepts", "nb_concepts", "n_components", "num_concepts"), "concepts"),
    **dict.fromkeys(("top_k", "topk", "n_top"), "top"),
    **dict.fromkeys(("alpha", "l2", "weight_decay"), "ridge"),
    **dict.fromkeys(("n_epochs", "num_epochs"), "epochs"),
    **dict.fromkeys(("lr", "step_size"), "learning_rate"),
}


def imports_light(method: Method, _instance: Any) -> None:
    """Import the plugin's top module alone in a new interpreter."""
    for module in _entry_modules(package_of(method)):
        code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "[]", f"importing {module} printed or loaded: {done.stdout}{done.stderr}"


def target_exists(method: Method, _instance: Any) -> None:
    """Import the implementation."""
    implementation(method)


def imports_are_declared(method: Method, _instance: Any) -> None:
    """Compare what the package imports with what it requires."""
    package = package_of(method)
    owners = packages_distributions()
    needed = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires(package) or ()}
    declared = {_plain(name) for name in (*needed, package)}
    for module in _imported(method.target.partition(":")[0].split(".")[0]):
        names = {_plain(name) for name in owners.get(module, [module])}
        assert names & declared, f"{package} imports {module!r} and does not require {' or '.join(sorted(names))}"


def is_frozen_with_defaults(method: Method, instance: Any) -> None:
    """A method is a value: made without arguments, never changed."""
    made = type(instance)
    assert dataclasses.is_dataclass(made), f"{made.__name__} is no dataclass"
    assert made.__dataclass_params__.frozen, f"{made.__name__} is not frozen"  # type: ignore[attr-defined]
    for field in dataclasses.fields(made):
        lacks = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        assert not lacks, f"{field.name} has no default"
        assert field.name not in SAME_THING, f"{field.name!r} is called {SAME_THING[field.name]!r} in this project"


def survives_json(method: Method, instance: Any) -> None:
    """Its parameters make an equal instance again."""
    made = implementation(method)
    default = made()
    assert made(**parameters_of(default)) == default, f"{parameters_of(default)} does not make the same method again"


def is_documented(method: Method, instance: Any) -> None:
    """Every field under Args, and a source; of the class or of one that it is derived from."""
    made = type(instance)
    texts = [inspect.cleandoc(one.__doc__ or "") for one in inspect.getmro(made) if one is not object]
    missing = [
        f.name
        for f in dataclasses.fields(instance)
        if not any(re.search(rf"^\s*{f.name}:", text, re.MULTILINE) for text in texts)
    ]
    assert not missing, f"the docstring of {made.__name__} does not explain {', '.join(missing)}"
    text = texts[0]
    assert "Source:" in text or "definition" in text.lower(), f"the docstring of {made.__name__} names no source"


def _entry_modules(package: str) -> list[str]:
    if package == PROGRAM:
        return []
    entries = distribution(package).entry_points
    return sorted({e.module for e in entries if e.group == GROUP})


def _imported(package: str) -> set[str]:
    """Top-level modules that the files of a package import, without its own and the standard library's."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return set()
    found: set[str] = set()
    for file in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names) - {package}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _packaged(method: Method) -> bool:
    return package_of(method) != PROGRAM


def _always(_method: Method) -> bool:
    return True


CHECKS = (
    Check(
        "importing it loads nothing heavy",
        "Import only interp_core.plugin in the top module.",
        _packaged,
        imports_light,
    ),
    Check(
        "its target exists",
        "Correct `target` to 'package.module:Class' with the verb of its kind.",
        _always,
        target_exists,
    ),
    Check("what it imports it requires", "Add the package to `dependencies`.", _packaged, imports_are_declared),
    Check(
        "it is a frozen dataclass",
        "@dataclass(frozen=True), a default for each field.",
        _always,
        is_frozen_with_defaults,
    ),
    Check("its parameters survive JSON", "Use numbers, strings, booleans and lists as fields.", _always, survives_json),
    Check("its docstring explains it", "Give `Args:` for each field and a `Source:`.", _always, is_documented),
)
