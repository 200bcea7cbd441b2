"""How a result was made: enough to make it again, and to know what it cost."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from interp_core.errors import InputError
from interp_core.plugin import PROGRAM, PROGRAM_SOURCE, Kind, Method, declaration_of, method, package_of, version_of


@dataclass
class Cost:
    """What a run took. Counted where the model is called, nowhere else.

    Attributes:
        forwards: passes of the model (one batch is one pass).
        rows: inputs in those passes; an input that was needed twice was evaluated once.
        tokens: tokens in those rows, padding included.
        backwards: backward passes.
        seconds: wall-clock time.
    """

    forwards: int = 0
    rows: int = 0
    tokens: int = 0
    backwards: int = 0
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[Cost]:
        """Add the time spent inside the block."""
        start = time.perf_counter()
        try:
            yield self
        finally:
            self.seconds += time.perf_counter() - start


@dataclass(frozen=True)
class MadeBy:
    """Which method with which parameters, on which model, at what cost."""

    method: str
    package: str = ""
    version: str = ""
    source: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MadeBy:
        """The value that `to_json` described."""
        return cls(**{**data, "cost": Cost(**data.get("cost", {}))})


def made_by(method: object, cost: Cost, model: str = "", settings: dict[str, Any] | None = None) -> MadeBy:
    """The provenance of what `method` (an instance, or the name of a part of the core) has just produced."""
    core = isinstance(method, str)
    declared: Method | None = None if core else declaration_of(method)
    package = "interp-core" if core else package_of(declared) if declared else PROGRAM
    return MadeBy(
        method=str(method) if core else declared.name if declared else type(method).__name__,
        package=package,
        version=_release("interp-core") if core else version_of(declared) if declared else "",
        source="" if core else declared.source if declared else PROGRAM_SOURCE,
        parameters=parameters_of(method),
        model=model,
        settings=settings or {},
        versions={name: _release(name) for name in ("interp-core", "torch", "transformers")},
        cost=cost,
    )


def made_again(made: MadeBy, kind: Kind) -> Any:
    """The method that made a result, with its parameters.

    Raises:
        InputError: it is not installed, so that it cannot be found by name.
    """
    if made.package in ("", PROGRAM):
        raise InputError(f"{made.method} is not installed, so it cannot be asked again by name; say method=….")
    return method(f"{made.package}/{made.method}", kind, **made.parameters)


def parameters_of(method: object) -> dict[str, Any]:
    """The hyperparameters of a method as JSON values; what has no JSON form is given as its `repr`."""
    if not dataclasses.is_dataclass(method):
        return {}
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(method) if f.repr}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return repr(value)


def _release(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
