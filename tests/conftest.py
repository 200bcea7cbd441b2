"""What several files of tests are given."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier."""
    from interp_core.testing import tiny_classifier
    from saved_models import saved

    return saved(tiny_classifier(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a generator."""
    from interp_core.testing import tiny_generator
    from saved_models import saved

    return saved(tiny_generator(), tmp_path_factory.mktemp("models") / "tiny-lm")
