"""A tenth of all small models gives what plain transformers gives, another tenth with each commit."""

from __future__ import annotations

import os
import subprocess
import zlib
from pathlib import Path

import pytest

from zoo.building import CannotBuildError, built, families
from zoo.checking import outcomes

pytestmark = [pytest.mark.slow, pytest.mark.current]

EVERY = 10  # one model in so many; INTERP_ZOO=all runs all
ALWAYS = {  # what a mend has touched
    "albert": "classes",
    "bart": "classes",
    "t5": "tags",
    "funnel": "tags",
    "jamba": "continuation",
    "longformer": "answer",
    "squeezebert": "classes",
    "xlnet": "classes",
}


def commit() -> str:
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()


def chosen() -> list[tuple[str, str]]:
    if os.environ.get("INTERP_ZOO") == "all":
        return families()
    now = commit()
    drawn = [pair for pair in families() if zlib.crc32(f"{now} {pair}".encode()) % EVERY == 0]
    return sorted({*ALWAYS.items(), *drawn})


@pytest.mark.parametrize(("family", "head"), chosen())
def test_a_small_model_is_explained_as_plain_transformers_computes_it(family: str, head: str) -> None:
    try:
        small = built(family, head)
    except CannotBuildError as reason:
        pytest.skip(str(reason))
    found = outcomes(small)
    assert [one for one in found if one.verdict in ("wrong", "raw")] == []


def test_most_families_are_in_the_zoo_and_what_is_refused_is_the_exception() -> None:
    """The page is written by `make zoo`; it says how many models there are and that none is wrong."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    assert " 0 wrong, 0 with an error of another kind" in page.replace("\n", " ")
