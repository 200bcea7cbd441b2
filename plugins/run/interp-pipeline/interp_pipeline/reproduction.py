"""Running a pipeline again, and comparing what comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from interp_core.errors import InputError

from interp_pipeline.kept import Kept
from interp_pipeline.keys import releases
from interp_pipeline.pipeline import RECORD, Pipeline

CLOSE = 1e-5  # of the largest number: more than the order in which a processor adds, and less than any other cause
APART = ("made_by", "seconds", "cost")  # what may differ: when and in how many passes, not what came out


@dataclass(frozen=True)
class Compared:
    """How a step came out again.

    Attributes:
        name: of the step.
        same: whether it is the same.
        said: in which respect it is, or is not.
    """

    name: str
    same: bool
    said: str

    def __str__(self) -> str:
        return f"{self.name}: {self.said}"


def reproduce(folder: str | Path) -> Iterator[Compared]:
    """Run again, from nothing, what a run has kept, and compare each step.

    Args:
        folder: the folder of the run, with its `run.json`. Nothing in it is changed.

    Yields:
        A line for what the run depends on that is another now, and one for each step.

    Raises:
        InputError: the folder holds no run, or the run was given its model or texts by a program.
    """
    file = Path(folder) / RECORD
    if not file.is_file():
        raise InputError(f"{str(folder)!r} holds no {RECORD}; give the folder of a run.")
    record = json.loads(file.read_text(encoding="utf-8"))
    for name, then in record["releases"].items():
        if (now := releases()[name]) != then:
            yield Compared(name, True, f"was {then} and is {now}")
    pipeline, kept = Pipeline(record["pipeline"]), Kept(Path(folder))
    with TemporaryDirectory() as fresh:
        again = pipeline.run(fresh, progress=False)
        for name, key in record["steps"].items():
            if not kept.holds(name, key):
                yield Compared(name, False, "is not kept any more")
                continue
            apart = distance(kept.load(name, key).to_json(), again[name].to_json())
            close = f"the same to {apart:.0e} of the largest number" if apart else "the same"
            far = f"differs by {apart:.3g} of the largest number"
            yield Compared(name, apart <= CLOSE, close if apart <= CLOSE else far)


def distance(one: Any, other: Any) -> float:
    """How far two JSON values are apart, as a share of the largest number; infinity where they are of other shapes."""
    differences, largest = [0.0], [1e-30]
    _collect(one, other, differences, largest)
    return max(differences) / max(largest) if max(differences) else 0.0


def _collect(one: Any, other: Any, differences: list[float], largest: list[float]) -> None:
    if isinstance(one, bool | str) or one is None:
        differences.append(0.0 if one == other else math.inf)
    elif isinstance(one, int | float) and isinstance(other, int | float):
        differences.append(abs(one - other))
        largest.append(abs(one))
    elif isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        for name in one.keys() - set(APART):
            _collect(one[name], other[name], differences, largest)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for pair in zip(one, other, strict=True):
            _collect(*pair, differences, largest)
    else:
        differences.append(math.inf)
