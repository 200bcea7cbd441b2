"""The global state that a call must not change: random states, threads, dtype, gradient mode, environment and more."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

SEED = 20_241_128  # no method would choose it, so that seeding a global random state is seen


def surroundings() -> dict[str, Any]:
    """All that belongs to the program and not to a call, by what it is called in a message."""
    return {
        "the global random state of torch": torch.get_rng_state().numpy().tobytes(),
        "the global random state of NumPy": repr(np.random.get_state()),
        "the global random state of Python": random.getstate(),
        "the number of threads of torch": torch.get_num_threads(),
        "the default dtype of torch": torch.get_default_dtype(),
        "the gradient mode of torch": torch.is_grad_enabled(),
        "the deterministic algorithms of torch": torch.are_deterministic_algorithms_enabled(),
        "the environment variables": dict(os.environ),
        "the filters of warnings": list(warnings.filters),
        "the working directory": Path.cwd(),
    }


def changed_since(before: dict[str, Any]) -> list[str]:
    """What is not as it was, in words."""
    after = surroundings()
    names = [name for name, value in before.items() if after[name] != value]
    return [f"{name}{_in_particular(before[name], after[name])}" for name in names]


@contextmanager
def isolated() -> Iterator[None]:
    """A context that begins with known random states, and after which all surroundings are as they were."""
    before, states = surroundings(), (torch.get_rng_state(), np.random.get_state(), random.getstate())
    with warnings.catch_warnings():
        torch.default_generator.manual_seed(SEED)  # of the CPU: those of accelerators are not put back
        np.random.seed(SEED)
        random.seed(SEED)
        try:
            yield
        finally:
            torch.set_rng_state(states[0])
            np.random.set_state(states[1])
            random.setstate(states[2])
            _put_back(before)


def _put_back(before: dict[str, Any]) -> None:
    if torch.get_num_threads() != before["the number of threads of torch"]:
        torch.set_num_threads(before["the number of threads of torch"])
    torch.set_default_dtype(before["the default dtype of torch"])
    torch.set_grad_enabled(before["the gradient mode of torch"])
    torch.use_deterministic_algorithms(before["the deterministic algorithms of torch"])
    environment = before["the environment variables"]
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update({n: v for n, v in environment.items() if os.environ.get(n) != v})
    if Path.cwd() != before["the working directory"]:
        os.chdir(before["the working directory"])


def _in_particular(before: Any, after: Any) -> str:
    if isinstance(before, dict):
        keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        return f" ({', '.join(keys)})"
    return f" ({before} before, {after} after)" if isinstance(before, int | torch.dtype) else ""
