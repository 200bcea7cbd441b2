"""What can be done at a layer, found by trying it on a short text rather than by knowing architectures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model._heads import CLASSIFIERS
from interp_core.model._hooks import at_rest, module_at, tap
from interp_core.model._injection import BypassInjection, OutputInjection, passing_through
from interp_core.model._requests import Injection
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor

ANSWERS = ("logits", "last_hidden_state", "start_logits", "end_logits")


class LayerCapabilities:
    """Tries one layer of one model; each answer is found once."""

    def __init__(self, model: WrappedModel, path: str) -> None:
        self.model, self.path = model, path

    @cached_property
    def injection(self) -> Injection:
        """Where states enter: past the blocks below when that is proven equal on a probe, else by replacing the
        output.
        """
        return self._shortcut() or OutputInjection(self.model.model, self.path)

    @cached_property
    def head_reads_one_row(self) -> bool:
        """True when the answer depends on the layer through one position alone, so that `cls` rows say all there is."""
        if not isinstance(self.injection, BypassInjection) or self.model.head not in CLASSIFIERS:
            return False
        ids, states = self._random_states()
        try:
            where = read_position(self.model) % ids.shape[1]
        except LayerError:
            return False
        whole = self._logits(ids, states)
        alone = self._logits(ids[:, where : where + 1 or None], states[:, where : where + 1 or None])
        return torch.allclose(whole, alone, atol=1e-5, rtol=1e-4)

    @cached_property
    def read_position(self) -> int:
        """The one position whose states at this layer the answer depends on: from the start if 0, else from the end."""
        ids, states = self._random_states()
        plain = self._logits(ids, states)
        moved = []
        for i in range(ids.shape[1]):
            other = states.clone()
            other[:, i] += 1 + states[:, i].flip(-1)
            moved += [] if _close(self._logits(ids, other), plain) else [i]
        if len(moved) != 1:
            raise LayerError(
                f"the head of {self.model.name} reads {len(moved)} of {ids.shape[1]} positions, not one; "
                "use granularity 'sample', 'word' or 'token'."
            )
        return moved[0] if moved[0] == 0 else moved[0] - ids.shape[1]

    @cached_property
    def runs_once(self) -> bool:
        """True, after a whole pass in which the layer ran once: a pass that stops at the layer could not tell.

        Raises:
            LayerError: it ran several times, or not at all.
        """
        ids = self.model.some_ids()
        with self.model.lock, torch.no_grad(), at_rest(self.model.model), tap(self.model.model, self.path) as seen:
            self.model.forward(ids, torch.ones_like(ids))
        return seen.read() is not None

    def _shortcut(self) -> BypassInjection | None:
        """The blocks up to the layer as things to be skipped, if the layer is a block and skipping changes nothing."""
        try:
            blocks = self.model.blocks
        except LayerError:
            return None
        if self.path not in blocks:
            return None
        below = blocks[: blocks.index(self.path) + 1]
        ids, states = self._random_states()
        model = self.model.model
        with self.model.lock, torch.no_grad(), at_rest(model), tap(model, self.path, replace=states):
            samples, _ = _outputs(model, below, lambda: self.model.forward(ids, torch.ones_like(ids)))
        injection = BypassInjection(self.path, tuple(module_at(model, b) for b in below), tuple(samples))
        lengths = (ids.shape[1], ids.shape[1] - 1)  # what else the blocks hand on may fit one length alone
        return injection if all(self._skips(injection, ids[:, :n], states[:, :n]) for n in lengths) else None

    def _skips(self, injection: BypassInjection, ids: Tensor, states: Tensor) -> bool:
        """Whether going past the blocks gives what replacing the output of the last of them gives."""
        model, mask = self.model.model, torch.ones_like(ids)
        with self.model.lock, torch.no_grad(), at_rest(model):
            with tap(model, self.path, replace=states):
                whole = self.model.forward(ids, mask)
            try:
                with passing_through(injection.modules, injection.outputs, states):
                    short = self.model.forward(ids, mask)
            except (RuntimeError, ValueError, IndexError):
                return False
        return all(_close(whole.get(key), short.get(key)) for key in ANSWERS)

    def _random_states(self) -> tuple[Tensor, Tensor]:
        ids = self.model.some_ids()
        with (
            self.model.lock,
            torch.no_grad(),
            at_rest(self.model.model),
            tap(self.model.model, self.path, stop=True) as seen,
        ):
            self.model.forward(ids, torch.ones_like(ids))
        states = seen.read()
        noise = torch.randn(states.shape, generator=torch.Generator().manual_seed(0))
        return ids, states + noise.to(states) * states.std()

    def _logits(self, ids: Tensor, states: Tensor) -> Tensor:
        with self.model.lock, torch.no_grad(), at_rest(self.model.model), self.injection.open(states):
            logits: Tensor = self.model.forward(ids, torch.ones_like(ids))["logits"]
        return logits.float().cpu()


def read_position(model: WrappedModel) -> int:
    """The one position of the last block that a classifier's answer depends on: 0, or from the end; found once.

    Raises:
        LayerError: it depends on several.
    """
    if "read position" not in model.tried:
        model.tried["read position"] = LayerCapabilities(model, model.blocks[-1]).read_position
    return int(model.tried["read position"])


def _outputs(model: Any, paths: Sequence[str], run: Callable[[], Any]) -> tuple[list[Any], Any]:
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        for path in paths:
            hook = module_at(model, path).register_forward_hook(
                lambda _m, _i, out, path=path: found.__setitem__(path, out)
            )
            stack.callback(hook.remove)
        output = run()
    return [found[path] for path in paths], output


def _close(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is None and other is None
    return torch.allclose(one.float(), other.float(), atol=1e-5, rtol=1e-4)
