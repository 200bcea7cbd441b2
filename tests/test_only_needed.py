"""Only the needed: what is installed for LIME attributes with LIME and brings nothing that other methods need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.current]

ROOT = Path(__file__).parent.parent
OTHERS = ("sklearn", "datasets", "openai")
ATTRIBUTE = f"""
import importlib.util, json
import interp_core as interp
from interp_core.testing import tiny_classifier
[found] = interp.attribute(tiny_classifier(), "i feel so happy today", by="lime", samples=64)
print(json.dumps({{
    "words": [unit.text for unit in found.units],
    "shape": list(found.scores.shape),
    "finite": bool(found.scores.isfinite().all()),
    "told_apart": bool(found.scores.std() > 0),
    "package": found.made_by.package,
    "others": [name for name in {OTHERS!r} if importlib.util.find_spec(name)],
    "core": interp.__file__,
}}))
"""


@dataclass(frozen=True)
class Fresh:
    """A virtual environment of its own, with the core and LIME."""

    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Its Python, away from the repository and from whatever the tests run in."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
        command = [str(self.folder / "bin" / "python"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=inherited, cwd=self.folder, timeout=900, check=False
        )

    def interp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Its command line."""
        return self.run(str(self.folder / "bin" / "interp"), *arguments)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """The core and LIME installed from the checkout in a new environment; torch first, as its pin says which build."""
    made = Fresh(tmp_path_factory.mktemp("fresh") / "venv")
    subprocess.run([sys.executable, "-m", "venv", str(made.folder)], check=True)
    pinned = ["--quiet", "--constraint", str(ROOT / "constraints.txt")]
    torch = made.run("-m", "pip", "install", "--no-compile", *pinned, "torch")
    assert torch.returncode == 0, torch.stdout + torch.stderr
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--python", str(made.folder / "bin" / "python")]
    packages = [f"{ROOT}/", f"{ROOT}/plugins/attribution/interp-lime"]
    done = subprocess.run([*uv, *pinned, *packages], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.mark.timeout(1800)
def test_lime_attributes_in_an_environment_with_nothing_else(fresh: Fresh) -> None:
    done = fresh.run("-c", ATTRIBUTE)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["words"] == ["i", "feel", "so", "happy", "today"]
    assert said["shape"] == [1, 5]
    assert said["finite"]
    assert said["told_apart"]
    assert said["package"] == "interp-lime"
    assert said["core"].startswith(str(fresh.folder))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("module", OTHERS)
def test_what_other_methods_need_is_not_installed(fresh: Fresh, module: str) -> None:
    done = fresh.run("-c", f"import {module}")
    assert done.returncode == 1
    assert f"No module named '{module}'" in done.stderr


def test_installing_leaves_nothing_behind_in_the_repository(fresh: Fresh) -> None:
    assert fresh.folder.is_dir()
    for folder in (ROOT, ROOT / "plugins" / "attribution" / "interp-lime"):
        assert {f.name for f in folder.iterdir() if f.name in ("build", "dist") or f.suffix == ".egg-info"} == set()


def test_only_lime_is_listed(fresh: Fresh) -> None:
    listed = json.loads(fresh.interp("list", "--json").stdout)
    assert [m["name"] for m in listed["methods"]] == ["lime"]
    assert listed["failures"] == []


def test_the_core_alone_brings_everything_that_its_own_modules_import(fresh: Fresh) -> None:
    code = (
        "import importlib, pkgutil, interp_core\n"
        "names = [m.name for m in pkgutil.walk_packages(interp_core.__path__, 'interp_core.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(len(names))"
    )
    done = fresh.run("-c", code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def test_lime_keeps_its_promises_where_nothing_else_is_installed(fresh: Fresh) -> None:
    done = fresh.interp("check", "lime")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_plugin_can_be_written_from_an_installed_core(fresh: Fresh, tmp_path: Path) -> None:
    done = fresh.interp("new-plugin", "mine", "--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "interp-mine" / "interp_mine" / "mine.py").is_file()


def test_asking_for_occlusion_names_the_package_to_install(fresh: Fresh) -> None:
    done = fresh.interp("attribute", "--model", "any-model", "--by", "occlusion", "a text")
    assert done.returncode == 1
    assert "pip install interp-occlusion" in done.stderr
    assert done.stderr.count("\n") == 1


def test_asking_for_the_demonstration_names_the_package_to_install(fresh: Fresh) -> None:
    done = fresh.interp("demo")
    assert done.returncode == 1
    assert "pip install interp-demo" in done.stderr
    assert done.stderr.count("\n") == 1


def test_reading_a_data_set_by_name_names_the_package_to_install(fresh: Fresh) -> None:
    done = fresh.run("-c", "from interp_core.corpus import read_column; read_column('some-data-set')")
    assert "InputError" in done.stderr
    assert "pip install datasets" in done.stderr
