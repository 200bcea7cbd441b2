"""Shapes and types are checked while the tests run; `../shared` holds real models.

INTERP_TYPES says otherwise: `packages` checks those of the methods' packages only, `unchecked` none.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook
from packages import packages

ROOT = Path(__file__).parent
PACKAGES = [package.module for package in packages()]
CHECKED = {"unchecked": [], "packages": PACKAGES}.get(os.environ.get("INTERP_TYPES", ""), ["interp_core", *PACKAGES])

# Deterministic, since the tests also check that nothing draws from the global random state.
_checker = types.ModuleType("interp_typechecker")
_checker.check = beartype(conf=BeartypeConf(is_random=False, is_pep484_tower=True))  # type: ignore[attr-defined]
sys.modules[_checker.__name__] = _checker
if CHECKED:
    install_import_hook(CHECKED, "interp_typechecker.check")

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and texts; where it is missing the test is skipped, but never in CI."""
    folder = Path(os.environ.get("INTERP_SHARED", ROOT.parent / "shared"))
    if not (folder / "models").is_dir():
        message = f"real models and texts are not at {folder}; set INTERP_SHARED to where they are"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def device() -> str:
    """Where the tests run their models: INTERP_TEST_DEVICE, or the CPU."""
    return os.environ.get("INTERP_TEST_DEVICE", "cpu")


@pytest.fixture(scope="session")
def real_model(shared: Path, device: str) -> Callable[[str], object]:
    """Loads one of the real models, once."""
    from interp_core.model import TextModel, load

    known: dict[str, TextModel] = {}

    def get(name: str) -> TextModel:
        if name not in known:
            known[name] = load(shared / "models" / name)
            known[name].model.to(device)
        return known[name]

    return get


@pytest.fixture(scope="session")
def real_texts(shared: Path) -> Callable[..., list[str]]:
    """Reads a column of one of the real corpora."""
    from interp_core.text import read_column

    def get(name: str, split: str = "test", column: str = "text") -> list[str]:
        return read_column(shared / "data" / name / f"{split}.csv.gz", column)

    return get


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Arguments of other types reach the code, as they do where users run it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def blocks_that_run() -> Iterator[Callable[[Any], list[str]]]:
    """Watches a model: the names of the blocks that run from now on, until the test ends."""
    watched: list[Any] = []

    def watch(model: Any) -> list[str]:
        seen: list[str] = []
        for name in model.blocks:
            block = model.model.get_submodule(name)
            inner = block.forward
            block.forward = lambda *a, name=name, inner=inner, **k: (seen.append(name), inner(*a, **k))[1]
            watched.append(block)
        return seen

    yield watch
    for block in watched:
        vars(block).pop("forward", None)
