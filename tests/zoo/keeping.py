"""What the toolkit must leave as it was."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch


def state_of(model: Any) -> str:
    """A digest of what must not change: weights, buffers, configuration, attributes, flags, hooks, random states."""
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tensor.requires_grad} {tensor.dtype} {tensor.grad is None}".encode())
        digest.update(tensor.detach().float().numpy().tobytes())
    for name, module in model.named_modules():
        own = {k: v for k, v in vars(module).items() if isinstance(v, bool | int | float | str | None | list | tuple)}
        hooks = [list(map(id, kind.values())) for kind in (module._forward_hooks, module._forward_pre_hooks)]
        digest.update(f"{name} {sorted(vars(module))} {sorted(own.items(), key=str)} {hooks}".encode())
    digest.update(model.config.to_json_string(use_diff=False).encode())
    digest.update(torch.get_rng_state().numpy().tobytes() + repr(random.getstate()).encode())
    digest.update(np.random.get_state()[1].tobytes())  # type: ignore[index]
    return digest.hexdigest()
