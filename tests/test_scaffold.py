"""A new plugin of any kind installs, passes its own tests and the checks, and reads as the project's own code."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from interp_core.errors import InputError
from interp_core.plugin import Kind, write_plugin
from interp_core.plugin._scaffolding import render_pyproject

pytestmark = [pytest.mark.slow, pytest.mark.current]

ROOT = Path(__file__).parent.parent
KINDS = get_args(Kind)
CHECK = (
    "import json, sys\nfrom click.testing import CliRunner\nfrom interp_core.cli import main\n"
    "said = {name: CliRunner().invoke(main, ['check', name]) for name in sys.argv[1:]}\n"
    "print('\\n' + json.dumps({name: [r.exit_code, r.output] for name, r in said.items()}))"
)


def name_of(kind: str) -> str:
    return f"my-own-{kind}"


@dataclass(frozen=True)
class Made:
    """The six packages as written, and a folder that they are installed in."""

    folders: dict[str, Path]
    site: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Python with the six packages installed, away from the repository."""
        environment = {**os.environ, "PYTHONPATH": str(self.site)}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=self.site.parent, check=False
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    folders = {kind: write_plugin(name_of(kind), kind, folder) for kind in KINDS}
    where = ["--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *where, *map(str, folders.values())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Made(folders, folder / "site")


@pytest.fixture(scope="module")
def checked(made: Made) -> dict[str, tuple[int, str]]:
    """What `interp check` says of each, and its exit code."""
    done = made.run("-c", CHECK, *map(name_of, KINDS))
    assert done.returncode == 0, done.stderr
    return {name: (code, said) for name, (code, said) in json.loads(done.stdout.splitlines()[-1]).items()}


def test_all_six_are_listed(made: Made) -> None:
    done = made.run("-c", "from interp_core.cli import main; main()", "list", "--json")
    listed = {m["name"]: (m["kind"], m["package"]) for m in json.loads(done.stdout)["methods"]}
    assert {name_of(k): (k, f"interp-{name_of(k)}") for k in KINDS}.items() <= listed.items()


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_keeps_every_promise_unedited(checked: dict[str, tuple[int, str]], kind: Kind) -> None:
    code, said = checked[name_of(kind)]
    assert code == 0, said
    kept, promised = re.findall(r"(\d+) of (\d+) promises kept", said)[0]
    assert kept == promised
    assert int(promised) >= 6


def test_new_plugins_pass_their_own_tests_unedited(made: Made) -> None:
    tests = [str(folder / "tests") for folder in made.folders.values()]
    done = made.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_new_plugins_are_formatted_and_linted_as_the_repository_is(made: Made) -> None:
    config = ["--no-cache", "--config", str(ROOT / "pyproject.toml"), *map(str, made.folders.values())]
    formatted = made.run("-m", "ruff", "format", "--check", *config)
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr
    linted = made.run("-m", "ruff", "check", *config)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_new_plugins_are_strictly_typed(made: Made) -> None:
    folders = list(made.folders.values())
    modules = [str(file) for folder in folders for file in sorted(folder.glob("interp_*/*.py"))]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-m", "mypy", *modules]  # the settings of the repository, and the cache of its lint
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_requires_what_it_imports_with_lower_bounds_only(made: Made, kind: Kind) -> None:
    project = tomllib.loads((made.folders[kind] / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in project["dependencies"]}
    imported = set()
    for file in made.folders[kind].glob("interp_*/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
    assert imported - set(sys.stdlib_module_names) == required
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", line) for line in project["dependencies"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_thin(made: Made, kind: Kind) -> None:
    files = {f.relative_to(made.folders[kind]).as_posix() for f in made.folders[kind].rglob("*.*") if f.is_file()}
    stem = name_of(kind).replace("-", "_")
    package = f"interp_{stem}"
    expected = {f"{package}/__init__.py", f"{package}/{stem}.py", f"tests/test_{stem}.py"}
    assert files == {"pyproject.toml", "README.md", *expected}
    assert len((made.folders[kind] / "README.md").read_text().splitlines()) <= 25


@pytest.mark.parametrize("name", ["Mine", "my_own", "my own", "1st", "-mine", "mine-", "my--own", "", "../mine", "é"])
def test_a_name_that_is_not_kebab_case_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="kebab-case") as caught:
        write_plugin(name, "attribution", tmp_path)
    assert repr(name) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["class", "import", "none", "true", "false"])
def test_a_name_that_python_keeps_for_itself_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        write_plugin(name, "attribution", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_the_core_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_plugin("core", "attribution", tmp_path)


SHADOWED = [("tensor", "attribution"), ("question", "attribution"), ("concept-space", "concepts"), ("score", "metric")]


@pytest.mark.parametrize(("name", "kind"), SHADOWED)
def test_a_class_never_takes_a_name_that_its_module_imports(tmp_path: Path, name: str, kind: Kind) -> None:
    try:
        folder = write_plugin(name, kind, tmp_path)
    except InputError:  # to refuse the name is as good
        return
    tree = ast.parse(next(folder.glob("interp_*/[!_]*.py")).read_text())
    imported = {a.asname or a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert imported.isdisjoint({node.name for node in tree.body if isinstance(node, ast.ClassDef)})


def test_a_folder_that_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    folder = write_plugin("mine", "attribution", tmp_path)
    (folder / "README.md").write_text("my own words")
    with pytest.raises(InputError, match=r"interp-mine.*nothing was written"):
        write_plugin("mine", "concepts", tmp_path)
    assert (folder / "README.md").read_text() == "my own words"
    assert not (folder / "interp_mine" / "concepts.py").exists()


def test_the_folder_to_write_into_is_made_if_need_be(tmp_path: Path) -> None:
    assert write_plugin("mine", "llm", tmp_path / "a" / "b") == tmp_path / "a" / "b" / "interp-mine"


def test_a_rendered_pyproject_is_read_back_as_what_was_asked_for() -> None:
    text = render_pyproject("interp-a-b", "1.2.3", "What it does", "a-b", ["click>=8.1", "torch>=2.5"])
    data = tomllib.loads(text)
    assert data["project"]["name"] == "interp-a-b"
    assert data["project"]["version"] == "1.2.3"
    assert data["project"]["description"] == "What it does"
    assert data["project"]["dependencies"] == ["click>=8.1", "torch>=2.5"]
    assert data["project"]["entry-points"] == {"interp": {"a-b": "interp_a_b"}}
