"""What the benchmarks measure with."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers

Work = Callable[[], Any]


def cpu_seconds(work: Work) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


@contextmanager
def passes_of(model: Any) -> Iterator[list[float]]:
    """Adds up the CPU seconds of the passes and backward passes of a model."""
    spent, call, grad = [0.0], type(model).__call__, torch.autograd.grad

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **given: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **given)
            finally:
                spent[0] += time.process_time() - start

        return run

    type(model).__call__, torch.autograd.grad = timed(call), timed(grad)  # type: ignore[assignment]
    try:
        yield spent
    finally:
        type(model).__call__, torch.autograd.grad = call, grad  # type: ignore[assignment]


def write_between(page: Path, mark: str, lines: Sequence[str]) -> None:
    """Write lines into a page, between `<!-- mark -->` and `<!-- /mark -->`, with machine, versions and date."""
    cores = f"{platform.system()} on {platform.machine()}, one thread"
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    about = f"Measured on {datetime.now(UTC).date()}: {cores}, {versions}."
    start, _, rest = page.read_text().partition(f"<!-- {mark} -->")
    _, _, after = rest.partition(f"<!-- /{mark} -->")
    page.write_text("\n".join([f"{start}<!-- {mark} -->", about, "", *lines, f"<!-- /{mark} -->{after}"]))
