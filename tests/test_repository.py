"""The rules that every file of the repository keeps: sizes, names, directions, dependencies, and what never appears."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, get_args

import interp_core as interp
import pytest
from interp_core.plugin import Kind, methods, write_plugin
from packages import SHELVES, outputs, packages, table

pytestmark = pytest.mark.current

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "interp_core").rglob("*.py"))
PACKAGES = packages()
PLUGINS = [package.folder for package in PACKAGES]
CODE = [*CORE, *(file for p in PACKAGES for file in sorted((p.folder / p.module).rglob("*.py")))]
METHODLESS = {  # they run the methods of others, or bring names
    "interp-demo",
    "interp-edge-attribution",
    "interp-grounded",
    "interp-interpreto",
    "interp-logit-lens",
    "interp-lookup",
    "interp-pipeline",
    "interp-remote",
    "interp-tuned-lens",
}
ROOMS = sorted(folder.name for folder in (ROOT / "interp_core").iterdir() if (folder / "__init__.py").is_file())

# imported in a function, and explained where missing
OPTIONAL = {
    ("_corpus.py", "datasets"),
    ("_corpus.py", "pyarrow"),
    ("_activations.py", "datasets"),
    ("_contract.py", "pytest"),
}
OPTIONAL |= {("_value.py", "pandas"), ("_figures.py", "matplotlib")}


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


def test_no_file_is_longer_than_400_lines() -> None:
    assert {named(f): n for f in CODE if (n := f.read_text(encoding="utf-8").count("\n")) > 400} == {}


def test_no_function_takes_more_than_five_positional_arguments() -> None:
    """Keyword-only arguments are free: they are read at the call."""
    greedy = {}
    for where, node in everywhere(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda):
        given = [one for one in (*node.args.posonlyargs, *node.args.args) if one.arg not in ("self", "cls")]
        if len(given) > 5:
            greedy[f"{where} {getattr(node, 'name', 'lambda')}"] = len(given)
    assert greedy == {}


def test_the_options_of_the_verbs_are_written_out() -> None:
    """What remains is the parameters of a method, as `**parameters`."""
    hidden = []
    for name in (n for n in interp.__all__ if inspect.isfunction(getattr(interp, n))):
        signature = inspect.signature(getattr(interp, name))
        loose = [p.name for p in signature.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
        hidden += [f"{name}(**{one})" for one in loose if one != "parameters"]
    assert hidden == ["load(**options)"]  # given to from_pretrained


def test_no_file_is_a_drawer_for_this_and_that() -> None:
    drawers = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}
    assert [named(f) for f in CODE if f.stem.strip("_") in drawers] == []


def test_no_class_is_a_base_a_mixin_or_a_manager() -> None:
    vague = re.compile(r"_?Base[A-Z_].*|.*(Mixin|Manager|Base)")
    assert [f"{where} {node.name}" for where, node in everywhere(ast.ClassDef) if vague.fullmatch(node.name)] == []


def test_test_files_have_names_of_their_own() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py"), *(f for p in PLUGINS for f in p.rglob("test_*.py"))]
    assert [name for name, times in Counter(f.name for f in files).items() if times > 1] == []


# Rooms and faces


def test_a_room_has_a_face_and_private_files() -> None:
    for room in ROOMS:
        files = [f.name for f in (ROOT / "interp_core" / room).glob("*.py")]
        assert [f for f in files if not f.startswith("_")] == [], room
        assert ast.get_docstring(tree_of(ROOT / "interp_core" / room / "__init__.py")), room


@pytest.mark.parametrize("face", ["interp_core", *(f"interp_core.{room}" for room in ROOMS)])
def test_a_face_says_the_same_names_to_readers_to_type_checkers_and_at_run_time(face: str) -> None:
    module = importlib.import_module(face)
    tree = tree_of(Path(str(module.__file__)))
    [checking] = [node for node in tree.body if isinstance(node, ast.If)]
    assert {a.name for node in checking.body if isinstance(node, ast.ImportFrom) for a in node.names} == set(
        module.__all__
    )
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_no_module_imports_the_face_of_its_own_room() -> None:
    """That would be a circle through the face, which import-linter cannot see."""
    wrong = []
    for room in ROOMS:
        for file in (ROOT / "interp_core" / room).glob("_[a-z]*.py"):
            wrong += [named(file) for node in ast.walk(tree_of(file)) if _takes_from(node, f"interp_core.{room}")]
    assert wrong == []


def _takes_from(node: ast.AST, face: str) -> bool:
    """Whether a name is imported from a face, and not a private file of its room."""
    if isinstance(node, ast.Import):
        return any(alias.name == face for alias in node.names)
    return isinstance(node, ast.ImportFrom) and node.module == face and any(a.name[0] != "_" for a in node.names)


def test_a_package_imports_only_faces_of_the_core_and_only_what_they_export(tmp_path: Path) -> None:
    """Every package, and what the scaffold writes."""
    wrong, seen = [], 0
    sources = [(named(f), tree_of(f)) for f in CODE[len(CORE) :]]
    for kind in get_args(Kind):
        sources += [(f.name, tree_of(f)) for f in write_plugin(f"my-{kind}", kind, tmp_path).rglob("*.py")]
    for where, tree in sources:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wrong += [f"{where}: {a.name}" for a in node.names if a.name.startswith("interp_core.")]
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "interp_core":
                face = importlib.import_module(str(node.module))
                known = vars(face) if node.module == "interp_core.errors" else face.__all__
                wrong += [f"{where}: {node.module}.{a.name}" for a in node.names if a.name not in known]
                seen += 1
    assert wrong == [] and seen > 300


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("one", "other"), [("statistics", "text"), ("reporting", "testing"), ("results", "model"), ("plugin", "cli")]
)
def test_a_planted_circle_through_two_faces_turns_the_linter_red(tmp_path: Path, one: str, other: str) -> None:
    shutil.copytree(ROOT / "interp_core", tmp_path / "interp_core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PLUGIN_SAE, tmp_path / "interp_sae", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert lint_imports(tmp_path).returncode == 0
    for room, from_ in ((one, other), (other, one)):
        (tmp_path / "interp_core" / room / "_planted.py").write_text(f"from interp_core import {from_}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1 and "BROKEN" in done.stdout, done.stdout + done.stderr


PLUGIN_SAE = next(package.folder / package.module for package in PACKAGES if package.name == "interp-sae")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on a copy of the core."""
    tool = str(Path(sys.executable).with_name("lint-imports"))
    inside = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([tool, "--no-cache"], capture_output=True, text=True, cwd=folder, env=inside, check=False)


def test_nothing_but_the_command_line_imports_the_conformance_kit() -> None:
    taking = {named(f) for f in CODE for module, _ in imports(f) if module.startswith("interp_core.testing")}
    allowed = [
        f for f in taking if f.startswith(("interp_core/testing/", "interp_core/cli/")) or f.endswith("/testing.py")
    ]
    assert taking - set(allowed) == set()


# messages, files and HTML of values, and intervals
PASSIVE = ("interp_core.errors", "interp_core.results", "interp_core.display", "interp_core.statistics")


def test_a_report_reads_values_and_runs_nothing() -> None:
    """What reporting takes from other rooms is classes of values, never a verb."""
    taken = set()
    for file in (ROOT / "interp_core" / "reporting").glob("_[a-z]*.py"):
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("interp_core."):
                taken |= {a.name for a in node.names if node.module not in PASSIVE}
    taken -= {"named_options"}  # how a function answers a misspelt argument
    values = {name for name in taken if name[0].isupper()}
    assert {name for name in taken - values if not hasattr(importlib.import_module("interp_core.reporting"), name)} <= {
        name for file in (ROOT / "interp_core" / "reporting").glob("_*.py") for name in defined(file)
    }


def defined(file: Path) -> set[str]:
    return {node.name for node in tree_of(file).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_the_core_names_no_method_in_code() -> None:
    """Only the defaults of `by=` and of options of the command line may: a missing one says what to install."""
    names = {method.name for method in methods()} - {"random", "shapley", "fid", "mse", "l0", "nmf", "svd", "lime"}
    names |= {"nmf", "svd", "lime"}
    said = []
    for file in CORE:
        defaults = {id(n) for node in ast.walk(tree_of(file)) for n in default_values(node)}
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.Constant) and node.value in names and id(node) not in defaults:
                said.append(f"{named(file)}:{node.lineno} {node.value}")
    assert said == []


def default_values(node: ast.AST) -> Iterator[ast.AST]:
    """Default values of arguments, and of the options of commands."""
    if isinstance(node, ast.FunctionDef):
        yield from (d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None)
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == "default":
                yield from ast.walk(keyword.value)


# The paths of 0.1

SHIMS = sorted(f.stem for f in (ROOT / "interp_core").glob("*.py") if f.stem not in ("__init__", "errors", "display"))


def test_at_the_top_of_the_core_lie_only_the_paths_of_0_1_that_warn() -> None:
    """The list of them. They go with 0.3, and none is added."""
    assert set(SHIMS) == {
        *("affine", "benchmarking", "classes", "comparison", "contribution", "corpus", "effects", "evaluate", "floors"),
        *("functions", "granularity", "hooks", "internals", "interpretation", "intervals", "intervention", "layers"),
        *("lighting", "loading", "measured", "moments", "options", "provenance", "question", "registry", "sampling"),
        *("score", "scoring", "split", "storage", "store", "targets", "wanted"),
    }


@pytest.mark.parametrize("name", SHIMS)
def test_a_path_of_0_1_is_one_line_that_warns_and_names_the_face(name: str) -> None:
    tree = tree_of(ROOT / "interp_core" / f"{name}.py")
    assert [type(node) for node in tree.body] == [ast.Expr, ast.ImportFrom, ast.Assign]
    old = importlib.import_module(f"interp_core.{name}")
    call = tree.body[2].value
    faces = [importlib.import_module(a.value) for a in call.args[1:]]
    for renamed in call.keywords:
        with pytest.warns(DeprecationWarning, match=rf"interp_core\.{name} has moved.*import {renamed.value.value}"):
            getattr(old, renamed.arg)
    with pytest.warns(DeprecationWarning, match=f"from {faces[0].__name__} import"):
        assert getattr(old, faces[0].__all__[0]) is getattr(faces[0], faces[0].__all__[0])
    with pytest.raises(AttributeError, match="has moved to"):
        _ = old.nothing


def test_the_page_lists_the_paths_of_0_1_that_forward() -> None:
    page = (ROOT / "docs/compatibility.md").read_text(encoding="utf-8").split("## Modules of 0.1")[1]
    forwarding = {p.stem for p in (ROOT / "interp_core").glob("*.py") if "= moved(" in p.read_text(encoding="utf-8")}
    assert set(re.findall(r"`(\w+)`", page)) - {"interp_core"} == forwarding


def test_what_a_stranger_imported_from_0_1_still_works_and_warns() -> None:
    for line in (
        "from interp_core.question import Question, ask",
        "from interp_core.affine import AffineSpace",
        "from interp_core.moments import moments, turns, directions, mean_of",
        "from interp_core.sampling import averaged, check_sampling, portions",
        "from interp_core.score import Score",
        "from interp_core.registry import get, resolve, methods",
        "from interp_core.scoring import scored, name_of",
        "from interp_core.storage import save, load",
        "from interp_core.store import grouped",
        "from interp_core.evaluate import Evaluator",
        "from interp_core.measured import Again",
        "from interp_core.hooks import at_rest, tap",
        "from interp_core.granularity import word_spans, divide",
        "from interp_core.provenance import Cost, MadeBy, made_by, parameters_of",
        "from interp_core.contribution import importance, Importance",
        "from interp_core.classes import classes_of, names_of",
        "from interp_core.floors import RandomFit, RandomDirections",
        "from interp_core.internals import Internals",
        "from interp_core.functions import FunctionRunner",
    ):
        with pytest.warns(DeprecationWarning, match="has moved and goes with 0.3"):
            exec(line, {})


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


def test_there_are_as_many_packages_as_the_table_has() -> None:
    """One function finds the packages: were it to look in the wrong place, it would find none and say nothing."""
    assert {package.name: package.shelf for package in PACKAGES} == {n: one["shelf"] for n, one in table().items()}
    assert len(PACKAGES) >= 64


def test_what_follows_from_the_table_is_what_it_says() -> None:
    """What `make packages` writes: each pyproject.toml, the extras of the core, and the catalogue."""
    differing = [named(file) for file, text in outputs() if text_of(file) != text]
    assert differing == [], "run `make packages`"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda f: f.name)
def test_a_package_has_a_top_module_of_its_name(folder: Path) -> None:
    assert (folder / folder.name.replace("-", "_") / "__init__.py").is_file()


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


def test_every_folder_of_a_shelf_is_a_package() -> None:
    folders = [f for f in (ROOT / "plugins").glob("*/*") if f.is_dir() and any(f.rglob("*.py"))]
    assert sorted(folders) == sorted(PLUGINS)
    assert {f.name for f in (ROOT / "plugins").iterdir() if f.is_dir()} == set(SHELVES)


# What never appears


def test_nothing_is_pickled_and_no_remote_code_is_trusted() -> None:
    picklers = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    files = [f for f in CODE if not named(f).endswith("interp_processes/pickling.py")]  # these live as long as workers
    found = [f"{named(f)} imports {m}" for f in files for m, _ in imports(f) if m.split(".")[0] in picklers]
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
    asserted = ((w, node) for w, node in everywhere(ast.Assert) if "/testing" not in w)
    assert [w for w, node in asserted if not ast.unparse(node.test).endswith(" is not None")] == []
