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
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        pipeline, kept = Pipeline(record["pipeline"]), Kept(Path(folder))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(file)!r} does not say how to repeat a run: {error}") from error
    for name, then in record["releases"].items():
        if (now := releases()[name]) != then:
            yield Compared(name, True, f"was {then} and is {now}")
    with TemporaryDirectory() as fresh:
        again = pipeline.run(fresh, progress=False)
        now = json.loads((Path(fresh) / RECORD).read_text(encoding="utf-8"))
        for what, said in (("model", "is another model"), ("texts", "are other texts or labels")):
            if now[what] != record[what]:
                yield Compared(what, False, said)
        for name, key in record["steps"].items():
            if not kept.holds(name, key):
                yield Compared(name, False, "is not kept any more")
                continue
            apart = distance(kept.load(name, key).to_json(), again[name].to_json())
            close = f"the same to {apart:.0e} of the largest number" if apart else "the same"
            far = f"differs by {apart:.3g} of the largest number"
            yield Compared(name, apart <= CLOSE, close if apart <= CLOSE else far)


def distance(one: Any, other: Any) -> float:
    """How far two JSON values are apart: of each array of numbers the largest difference as a share of its largest
    number, and the most of these; infinity where anything else differs.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        return max((distance(one[name], other[name]) for name in one.keys() - set(APART)), default=0.0)
    if _shape(one) != _shape(other):
        return math.inf
    if not isinstance(one, list | tuple) and not isinstance(one, float):
        return 0.0 if one == other else math.inf
    these, those = list(_leaves(one)), list(_leaves(other))
    if not all(isinstance(value, float) for value in (*these, *those)):
        if any(isinstance(value, Mapping) for value in these):
            return max(map(distance, these, those), default=0.0)
        return 0.0 if these == those else _mixed(these, those)
    largest = max(map(abs, these), default=0.0)
    apart = max((abs(a - b) for a, b in zip(these, those, strict=True)), default=0.0)
    return apart / largest if apart and largest else math.inf if apart else 0.0


def _mixed(these: list[Any], those: list[Any]) -> float:
    """The same of values that are not all numbers with a fraction: what is none must be equal."""
    pairs = list(zip(these, those, strict=True))
    if any(a != b for a, b in pairs if not (isinstance(a, float) and isinstance(b, float))):
        return math.inf
    return distance([a for a, _ in pairs if isinstance(a, float)], [b for a, b in pairs if isinstance(a, float)])


def _shape(value: Any) -> Any:
    return [_shape(one) for one in value] if isinstance(value, list | tuple) else None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    else:
        yield value
