"""The options of runs over more texts than fit into memory or into one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from interp_core.cli._methods import MethodName, make
from interp_core.cli._options import together

F = TypeVar("F", bound=Callable[..., Any])

to_option = click.option(
    "--to",
    "store",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Write results to this folder as they are made; the same command resumes an interrupted run.",
)
executor_option = click.option(
    "--executor",
    type=MethodName("executor"),
    default=None,
    help="Where texts are processed; by default in this process.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="The number of workers of the executor."
)


def run_options(command: F) -> F:
    """Add the options of a run in shards."""
    return together(command, (to_option, executor_option, workers_option))


def run_of(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a verb from these options; its defaults hold for the others.

    Raises:
        UsageError: workers are named without an executor.
    """
    name, workers = options["executor"], options["workers"]
    if name is None and workers is not None:
        raise click.UsageError("--workers are those of an executor; give it, such as --executor processes.")
    given = {} if options.get("store") is None else {"to": options["store"]}
    if name is None:
        return given
    return {**given, "executor": make(name, "executor", {} if workers is None else {"workers": workers})}
