"""Checks of declarations and hyperparameters."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions, requires
from pathlib import Path
from typing import Any, NamedTuple

from interp_core.plugin import GROUP, PROGRAM, Method, implementation, package_of
from interp_core.results import parameters_of
from interp_core.testing._check import Check


class _Vocabulary(NamedTuple):
    claims: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


KNOWN: dict[str, _Vocabulary] = {  # the claims and needs that mean something, by kind
    "attribution": _Vocabulary(
        frozenset({"complete", "seeded", "signed", "nonnegative", "exact-when-small", "ignores-model", "pointwise"}),
        frozenset({"gradients", "internals", "components"}),
    ),
    "concepts": _Vocabulary(
        frozenset({"seeded", "nonnegative", "decodes", "recovers"}), frozenset({"nonnegative", "labels"})
    ),
    "interpretation": _Vocabulary(needs=frozenset({"model"})),
    "metric": _Vocabulary(needs=frozenset({"method", "labels", "model", "truth"})),
    "llm": _Vocabulary(),
    "executor": _Vocabulary(),
}
HEAVY = ("torch", "transformers", "numpy", "sklearn")
OUR_NAME = {  # names of parameters in other libraries, and the name in this project
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
    """Importing the plugin's top module in a new interpreter loads nothing heavy and prints nothing."""
    for module in _entry_modules(package_of(method)):
        code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert result.stdout.strip() == "[]", f"importing {module} printed or loaded: {result.stdout}{result.stderr}"


def target_exists(method: Method, _instance: Any) -> None:
    """The implementation can be imported."""
    implementation(method)


def imports_are_declared(method: Method, _instance: Any) -> None:
    """The package requires every distribution that it imports."""
    package = package_of(method)
    owners = _owners()
    required = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires(package) or ()}
    declared = {_normalised(name) for name in (*required, package)}
    missing = []
    for module in sorted(_imported(method.target.partition(":")[0].split(".")[0])):
        names = {_normalised(name) for name in owners.get(module, [module])}
        if not names & declared:
            missing.append(f"{module!r} (of {' or '.join(sorted(names))})")
    assert not missing, f"{package} imports without requiring it: {', '.join(missing)}"


def vocabulary_is_of_its_kind(method: Method, instance: Any) -> None:
    """Its claims and needs mean something for its kind, do not contradict each other, and have their parameter."""
    known = KNOWN[method.kind]
    strange = sorted((method.claims - known.claims) | (method.needs - known.needs))
    strange += ["truth"] if method.measures == "attribution" and "truth" in method.needs else []
    assert not strange, f"{', '.join(map(repr, strange))} mean nothing for {method.kind!r}, so nothing checks them"
    assert not {"signed", "nonnegative"} <= method.claims, "scores of both signs are not all at least 0"
    assert "seeded" not in method.claims or hasattr(instance, "seed"), "it claims to be seeded and has no field `seed`"


def is_frozen_with_defaults(method: Method, instance: Any) -> None:
    """A method is an immutable value that can be made without arguments."""
    cls = type(instance)
    assert dataclasses.is_dataclass(cls), f"{cls.__name__} is not a dataclass"
    assert cls.__dataclass_params__.frozen, f"{cls.__name__} is not frozen"  # type: ignore[attr-defined]
    for field in dataclasses.fields(cls):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        assert not required, f"{field.name} has no default"
        assert field.name not in OUR_NAME, f"{field.name!r} is called {OUR_NAME[field.name]!r} in this project"


def survives_json(method: Method, instance: Any) -> None:
    """An instance made from its parameters as JSON values is equal to the original."""
    cls = implementation(method)
    default = cls()
    assert cls(**parameters_of(default)) == default, f"{parameters_of(default)} does not give an equal method"


def is_documented(method: Method, instance: Any) -> None:
    """The docstrings of the class and its bases explain every field; that of the class names a source."""
    cls = type(instance)
    texts = [inspect.cleandoc(base.__doc__ or "") for base in inspect.getmro(cls) if base is not object]
    missing = [
        f.name
        for f in dataclasses.fields(instance)
        if not any(re.search(rf"^\s*{f.name}:", text, re.MULTILINE) for text in texts)
    ]
    assert not missing, f"the docstring of {cls.__name__} does not explain {', '.join(missing)}"
    text = texts[0]
    assert "Source:" in text or "definition" in text.lower(), f"the docstring of {cls.__name__} names no source"


def _entry_modules(package: str) -> list[str]:
    if package == PROGRAM:
        return []
    entries = distribution(package).entry_points
    return sorted({e.module for e in entries if e.group == GROUP})


def _imported(package: str) -> set[str]:
    """The top-level modules that a package imports, without itself and the standard library."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return set()
    modules: set[str] = set()
    for file in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add((node.module or "").split(".")[0])
    return modules - set(sys.stdlib_module_names) - {package}


@cache
def _owners() -> Mapping[str, list[str]]:
    """The distributions that provide each installed module; cached, since reading them takes half a second."""
    return packages_distributions()


def _normalised(name: str) -> str:
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
        "its claims and needs are those of its kind",
        "Drop what means nothing for the kind: docs/write-a-plugin.md says which claims and needs there are.",
        _always,
        vocabulary_is_of_its_kind,
    ),
    Check(
        "it is a frozen dataclass",
        "@dataclass(frozen=True), a default for each field.",
        _always,
        is_frozen_with_defaults,
    ),
    Check("its parameters survive JSON", "Use numbers, strings, booleans and lists as fields.", _always, survives_json),
    Check("its docstring explains it", "Give `Args:` for each field and a `Source:`.", _always, is_documented),
)
