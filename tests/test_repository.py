"""The rules that every file of the repository keeps: sizes, names, directions, dependencies, and what never appears."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from interp_core.scaffolding import render_pyproject

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "interp_core").rglob("*.py"))
CODE = [*CORE, *sorted((ROOT / "plugins").glob("*/interp_*/**/*.py"))]
PLUGINS = sorted(p.parent for p in (ROOT / "plugins").glob("*/pyproject.toml"))
METHODLESS = {"interp-demo"}  # a story and its data; it may declare no method

# Dependencies point one way: a module imports from the rows above its own and from no other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("plugin", "text", "hooks", "storage", "corpus", "heads", "given", "intervals", "chat"),
    ("requirements", "sampling", "functions", "shards", "entries"),
    ("hookspecs", "store", "scaffolding", "encoding", "embeddings", "granularity", "targets"),
    ("rows", "question", "wanted"),
    ("registry", "stacks", "rendezvous"),
    ("model",),
    ("provenance", "removal", "loading", "probing", "scoring"),
    ("activations", "evaluate", "generation", "options", "score"),
    ("exporting", "runner", "split", "tasks", "internals", "comparison"),
    ("builders", "classes", "concepts", "moments", "reading"),
    ("asking", "floors", "affine", "layers", "lighting"),
    ("attribution", "interpretation", "concept_questions", "intervention"),
    ("contribution", "effects", "measured"),
    ("metrics",),
    ("benchmarking",),
    ("reporting", "saved"),
    ("testing",),
    ("cli_options",),
    ("cli_work",),
    ("cli_attribute",),
    ("cli",),
)
VALUES = {
    "attribution",
    "comparison",
    "concepts",
    "contribution",
    "interpretation",
    "effects",
    "score",
    "activations",
    "provenance",
}
LATE = {  # imports inside a function that go the other way, each for a reason
    ("model", "split"): "model.split(…) makes what is built on the model",
    ("activations", "exporting"): "a table of datasets is made of activations",
    ("model", "layers"): "model.layers(…) makes what is built on the model",
    ("split", "reading"): "split.activations(…) is reading, which is built on the split",
    ("model", "internals"): "model.attends is found by trying the model",
    ("question", "internals"): "what a question is given by its builder, for the checker of types",
    ("model", "probing"): "model.read_position is found by trying the model",
    **{(value, "reporting"): "a value shows itself in a notebook" for value in VALUES - {"activations", "provenance"}},
}
# imported in a function, and explained where missing
OPTIONAL = {("corpus.py", "datasets"), ("exporting.py", "datasets"), ("contract.py", "pytest")}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def everywhere(*kinds: type[ast.AST]) -> Iterator[tuple[str, Any]]:
    """Each node of some kinds in the code, with where it stands."""
    for file in CODE:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, kinds):
                yield f"{named(file)}:{getattr(node, 'lineno', 0)}", node


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a file imports, and whether each is imported late (in a function, or for type checkers)."""
    tree = tree_of(file)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = node.module == "interp_core"
            modules = [f"interp_core.{a.name}" for a in node.names] if whole else [str(node.module)]
        else:
            continue
        yield from ((module, node not in tree.body) for module in modules)


def directions() -> Iterator[tuple[str, str, bool]]:
    """Which part of the core imports which, and whether late."""
    for file in CORE:
        part = file.relative_to(ROOT / "interp_core").with_suffix("").parts[0]
        for module, late in imports(file):
            top, _, rest = module.partition(".")
            if top == "interp_core" and part != "__init__" and rest.split(".")[0] != part:
                yield part, rest.split(".")[0], late


def project(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return values


def plain(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def tracked() -> list[Path]:
    """The files of the repository, those about to be added included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    return [ROOT / line for line in said.splitlines() if (ROOT / line).is_file()]


# Sizes and names


def test_no_file_is_longer_than_250_lines() -> None:
    assert {named(f): n for f in CODE if (n := f.read_text(encoding="utf-8").count("\n")) > 250} == {}


def test_no_function_body_is_longer_than_40_lines() -> None:
    long = {}
    for where, node in everywhere(ast.FunctionDef, ast.AsyncFunctionDef):
        doc = ast.get_docstring(node, clean=False)
        lines = node.end_lineno - node.body[0].lineno + 1 - (doc.count("\n") + 1 if doc else 0)
        if lines > 40:
            long[f"{where} {node.name}"] = lines
    assert long == {}


def test_no_function_takes_more_than_6_arguments() -> None:
    greedy = {}
    for where, node in everywhere(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda):
        a = node.args
        given = [one for one in (*a.posonlyargs, *a.args) if one.arg not in ("self", "cls")]
        given += [one for one in (*a.kwonlyargs, a.vararg, a.kwarg) if one]
        if len(given) > 6:
            greedy[f"{where} {getattr(node, 'name', 'lambda')}"] = len(given)
    assert greedy == {}


def test_no_file_is_a_drawer_for_this_and_that() -> None:
    drawers = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}
    assert [named(f) for f in CODE if f.stem.strip("_") in drawers] == []


def test_no_class_is_a_base_a_mixin_or_a_manager() -> None:
    vague = re.compile(r"_?Base[A-Z_].*|.*(Mixin|Manager|Base)")
    assert [f"{where} {node.name}" for where, node in everywhere(ast.ClassDef) if vague.fullmatch(node.name)] == []


def test_test_files_have_names_of_their_own() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "plugins").glob("*/tests/**/test_*.py")]
    assert [name for name, times in Counter(f.name for f in files).items() if times > 1] == []


# Directions


def test_every_module_of_the_core_has_its_place_in_the_layers() -> None:
    parts = {f.relative_to(ROOT / "interp_core").with_suffix("").parts[0] for f in CORE} - {"__init__"}
    assert parts == {part for layer in LAYERS for part in layer}


def test_imports_of_the_core_point_one_way() -> None:
    rank = {part: i for i, layer in enumerate(LAYERS) for part in layer}
    wrong = [
        f"{part} imports {other}" + " in a function" * late
        for part, other, late in directions()
        if rank.get(other, -1) >= rank.get(part, -1) and not (late and (part, other) in LATE)
    ]
    assert wrong == []


def test_every_late_import_that_is_allowed_is_made() -> None:
    assert {(part, other) for part, other, late in directions() if late} >= set(LATE)


def test_nothing_but_the_command_line_imports_the_conformance_kit() -> None:
    assert {part for part, other, _ in directions() if other == "testing"} <= {"cli"}
    for folder in PLUGINS:
        for file in folder.glob("interp_*/**/*.py"):
            assert not any(m.startswith("interp_core.testing") for m, _ in imports(file)), named(file)


def test_nothing_imports_the_command_line() -> None:
    assert [part for part, other, _ in directions() if other == "cli"] == []


def test_a_report_reads_values_and_runs_nothing() -> None:
    read = {other for part, other, _ in directions() if part == "reporting"}
    assert read <= VALUES | {"errors", "plugin", "targets", "text"}


def test_a_plugin_imports_another_only_if_it_requires_it() -> None:
    for folder in PLUGINS:
        required = {plain(line).replace("-", "_") for line in project(folder)["dependencies"]}
        own = folder.name.replace("-", "_")
        for file in folder.glob("interp_*/**/*.py"):
            others = {module.split(".")[0] for module, _ in imports(file) if module.startswith("interp_")}
            assert others <= {own} | required, named(file)


# Dependencies


def imported_distributions(files: list[Path]) -> set[tuple[str, str, bool]]:
    """File, distribution and lateness of every third-party import."""
    owners = packages_distributions()
    found = set()
    for file in files:
        for module, late in imports(file):
            top = module.split(".")[0]
            if top not in sys.stdlib_module_names and not top.startswith("interp_"):
                found.add((file.name, plain(owners.get(top, [top])[0]), late))
    return found


def test_the_core_imports_only_what_it_requires() -> None:
    required = {plain(line) for line in project(ROOT)["dependencies"]}
    used = imported_distributions(CORE)
    assert {(f, p) for f, p, late in used if p not in required and not (late and (f, p) in OPTIONAL)} == set()


def test_the_core_requires_only_what_it_imports() -> None:
    required = {plain(line) for line in project(ROOT)["dependencies"]}
    assert required - {package for _, package, _ in imported_distributions(CORE)} == set()


@pytest.mark.parametrize("folder", [ROOT, *PLUGINS], ids=lambda f: f.name if f != ROOT else "core")
def test_dependencies_have_lower_bounds_only(folder: Path) -> None:
    assert [line for line in project(folder)["dependencies"] if not re.fullmatch(r"[\w.-]+>=[\d.]+", line)] == []


def test_every_plugin_is_in_an_extra_and_every_extra_names_plugins() -> None:
    extras = project(ROOT)["optional-dependencies"]
    told = {plain(line) for lines in extras.values() for line in lines} - {"interp-core"}
    assert told == {folder.name for folder in PLUGINS}


def test_all_is_everything() -> None:
    extras = project(ROOT)["optional-dependencies"]
    bundle = re.fullmatch(r"interp-core\[([\w,]+)\]", extras["all"][0])
    assert bundle is not None
    assert set(bundle[1].split(",")) == set(extras) - {"all"}


# Packages


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda f: f.name)
def test_a_pyproject_is_the_one_that_the_scaffold_writes(folder: Path) -> None:
    data = project(folder)
    entries = data.get("entry-points", {}).get("interp", {})
    if folder.name in METHODLESS and not entries:
        return
    [(entry, module)] = entries.items()
    expected = render_pyproject(data["name"], data["version"], data["description"], entry, data["dependencies"])
    assert (folder / "pyproject.toml").read_text(encoding="utf-8") == expected
    assert data["name"] == folder.name
    assert (folder / module / "__init__.py").is_file()


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda f: f.name)
def test_a_package_has_a_readme_of_at_most_25_lines(folder: Path) -> None:
    assert 1 < len((folder / "README.md").read_text(encoding="utf-8").splitlines()) <= 25


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda f: f.name)
def test_every_declared_method_has_its_contract_test(folder: Path) -> None:
    top = folder / folder.name.replace("-", "_") / "__init__.py"
    methods = runpy.run_path(str(top)).get("interp_methods", tuple)()
    names = {method.name for method in methods}
    assert names or folder.name in METHODLESS
    said = "\n".join(f.read_text(encoding="utf-8") for f in sorted(folder.glob("tests/test_*.py")))
    assert names - set(re.findall(r"contract_tests\(\s*\"([\w-]+)\"", said)) == set()


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda f: f.name)
def test_a_package_carries_no_settings_of_its_own(folder: Path) -> None:
    own = {".github", "setup.py", "setup.cfg", "tox.ini", "uv.lock", "LICENSE", "CHANGELOG.md", "Makefile"}
    assert {f.name for f in folder.iterdir()} & own == set()
    assert "tool" not in tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_folder_of_a_plugin_is_a_package() -> None:
    folders = [f for f in (ROOT / "plugins").iterdir() if f.is_dir() and any(f.rglob("*.py"))]
    assert sorted(folders) == PLUGINS


# What never appears


def test_nothing_is_pickled_and_no_remote_code_is_trusted() -> None:
    picklers = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    found = [f"{named(f)} imports {m}" for f in CODE for m, _ in imports(f) if m.split(".")[0] in picklers]
    for where, node in everywhere(ast.Call):
        risky = [k.arg for k in node.keywords if k.arg in ("trust_remote_code", "allow_pickle")]
        refused = [k.arg for k in node.keywords if isinstance(k.value, ast.Constant) and k.value.value is False]
        found += [f"{where} {argument}" for argument in risky if argument not in refused]
        called = ast.unparse(node.func)
        found += [f"{where} {called}" for name in ("torch.load", "torch.save") if called == name]
    assert found == []


def test_no_file_names_a_path_of_some_machine_or_a_registry() -> None:
    roots = "|".join(f"/{name}/" for name in ("work", "tmp", "root", "farm", "opt/wheels", "opt/pypi"))
    hosts = "|".join(("files.python" + "hosted", "py" + "pi.org/simple"))
    unwanted = re.compile(rf"(?:^|[\s\"'=(])(?:{roots})|{hosts}".encode())
    small = (f for f in tracked() if f.stat().st_size < 400_000)
    assert [named(f) for f in small if unwanted.search(f.read_bytes())] == []


def test_no_assertion_stands_for_an_error_of_the_caller() -> None:
    """Assertions are the conformance kit's verdicts; elsewhere they may only tell a type checker what is not None."""
    asserted = ((w, node) for w, node in everywhere(ast.Assert) if not w.startswith("interp_core/testing/"))
    assert [w for w, node in asserted if not ast.unparse(node.test).endswith(" is not None")] == []
