"""What a worker takes over from the process that asks, so that it computes the same numbers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_NEW: dict[str, Any] = {  # what torch does in a new process
    "dtype": "float32",
    "gradients": True,
    "precision": "highest",
    "deterministic": (False, False),
    "cudnn": (False, False, True),
}


def settings() -> dict[str, Any]:
    """The settings of torch in this process that decide how it computes, where they are not those of a new process.

    Returns:
        Some of the default dtype, the gradient mode, the precision of products, whether algorithms are deterministic,
        and what cuDNN may do; nothing if torch is not imported.

    Examples:
        >>> import torch
        >>> from interp_processes.settings import settings
        >>> with torch.no_grad():
        ...     settings()
        {'gradients': False}
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    enabled, cudnn = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn
    found = {
        "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "gradients": torch.is_grad_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": (enabled, torch.is_deterministic_algorithms_warn_only_enabled()),
        "cudnn": (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32),
    }
    return {name: value for name, value in found.items() if value != _NEW[name]}


def limit_threads(threads: int) -> None:
    """Let what is imported from now on compute with so many threads, by the environment of this process.

    Args:
        threads: threads of torch, and of the products of NumPy.

    Examples:
        >>> import os
        >>> from unittest.mock import patch
        >>> from interp_processes.settings import limit_threads
        >>> with patch.dict(os.environ):
        ...     limit_threads(2)
        ...     os.environ["OMP_NUM_THREADS"]
        '2'
    """
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))


def adopt(found: Mapping[str, Any], threads: int) -> None:
    """Let torch compute in this process, which is new, as it does elsewhere. It is imported only if that takes it.

    Args:
        found: what `settings` gave there.
        threads: threads of torch.

    Examples:
        >>> import torch
        >>> from interp_processes.settings import adopt, settings
        >>> adopt(settings(), torch.get_num_threads())
    """
    if not found and "torch" not in sys.modules:
        return
    import torch

    torch.set_num_threads(threads)
    setting = {**_NEW, **found}
    torch.set_default_dtype(getattr(torch, setting["dtype"]))
    torch.set_grad_enabled(setting["gradients"])
    torch.set_float32_matmul_precision(setting["precision"])
    enabled, warn_only = setting["deterministic"]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    cudnn = torch.backends.cudnn
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = setting["cudnn"]


__all__ = ["adopt", "limit_threads", "settings"]
