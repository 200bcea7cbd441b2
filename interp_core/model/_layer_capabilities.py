"""The capabilities of a layer, tested with a short text rather than known for each architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model._hooks import at_rest, call_of, module_at, tap
from interp_core.model._injection import BypassInjection, OutputInjection
from interp_core.model._logits_to_scores import logits_of
from interp_core.model._module_state import undisturbed
from interp_core.model._requests import Injection
from interp_core.model._rounding import agree, rounding
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor


class LayerCapabilities:
    """The capabilities of one layer of one model. Each is tested when it is first needed, and then kept."""

    def __init__(self, model: WrappedModel, path: str) -> None:
        self.model, self.path = model, path

    @cached_property
    @undisturbed
    def injection(self) -> Injection:
        """Where states enter: above the skipped blocks if a trial shows equal outputs, else by replacing the output.

        Raises:
            LayerError: the layer runs twice, or not at all.
        """
        self.runs_once  # noqa: B018 - raises for a layer that does not
        return self._bypass() or OutputInjection(self.model.model, self.path, self.model.layout)

    @cached_property
    @undisturbed
    def runs_once(self) -> bool:
        """True if the layer ran once in a whole pass; a pass that stops at the layer could not tell.

        Raises:
            LayerError: it ran twice, or not at all.
        """
        ids = self.model.some_ids()
        with self.model.lock, torch.no_grad(), at_rest(self.model.model), tap(self.model.model, self.path) as seen:
            self.model.forward(ids, torch.ones_like(ids))
        return seen.read() is not None

    def _bypass(self) -> BypassInjection | None:
        """An injection that skips the blocks up to this layer, if it is a block and skipping changes no output."""
        try:
            blocks = self.model.blocks
        except LayerError:
            return None
        if self.path not in blocks or any(call_of(block)[1] is not None for block in blocks):
            return None  # a module that runs several times cannot be skipped as a whole
        below = blocks[: blocks.index(self.path) + 1]
        ids, states = self.random_states()
        if states.shape[1] != ids.shape[1]:  # the model adds positions
            return None
        model = self.model.model
        with (
            self.model.lock,
            torch.no_grad(),
            at_rest(model),
            tap(model, self.path, replace=states, layout=self.model.layout),
        ):
            samples = _outputs(model, below, lambda: self.model.forward(ids, torch.ones_like(ids)))
        if len(samples) < len(below):  # some did not run
            return None
        injection = BypassInjection(self.path, tuple(module_at(model, b) for b in below), tuple(samples))
        shorter = [i for i in range(ids.shape[1]) if i != 1]  # some models need their last token
        pairs = (ids, states), (ids[:, shorter], states[:, shorter])  # other sample outputs may fit one length only
        return injection if all(self._equivalent(injection, *pair) for pair in pairs) else None

    def _equivalent(self, injection: BypassInjection, ids: Tensor, states: Tensor) -> bool:
        """Whether skipping the blocks has the same outputs as replacing the output of the last of them."""
        model, mask = self.model.model, torch.ones_like(ids)
        with self.model.lock, torch.no_grad(), at_rest(model):
            with tap(model, self.path, replace=states, layout=self.model.layout):
                whole = self.model.forward(ids, mask)
            try:
                with injection.open(states) as entered:
                    skipped = self.model.forward(ids, mask)
                entered.read()
            except (RuntimeError, ValueError, IndexError, AssertionError, LayerError):
                return False
        share = rounding(model, 1)
        return all(close(*both, share) for both in zip(_answers(whole), _answers(skipped), strict=True))

    def random_states(self) -> tuple[Tensor, Tensor]:
        """The ids of a short text, and changed states of this layer for it."""
        ids = self.model.some_ids()
        with (
            self.model.lock,
            torch.no_grad(),
            at_rest(self.model.model),
            tap(self.model.model, self.path, stop=True, layout=self.model.layout) as seen,
        ):
            self.model.forward(ids, torch.ones_like(ids))
        states = seen.read()
        noise = torch.randn(states.shape, generator=torch.Generator().manual_seed(0))
        return ids, states + noise.to(states) * states.std()

    def logits_from(self, ids: Tensor, states: Tensor) -> Tensor:
        """The logits of the model that goes on from these states of the layer.

        Raises:
            LayerError: the model gives none.
        """
        with self.model.lock, torch.no_grad(), at_rest(self.model.model), self.injection.open(states):
            logits = logits_of(self.model.forward(ids, torch.ones_like(ids)))
        if logits is None:
            raise LayerError(f"{self.model.name} gives no logits, so that no position is read for them.")
        return logits.float().cpu()


def _outputs(model: Any, paths: Sequence[str], run: Callable[[], Any]) -> list[Any]:
    """The outputs of several modules in one run, in their own form."""
    outputs: dict[str, Any] = {}
    with ExitStack() as stack:
        for path in paths:
            hook = module_at(model, path).register_forward_hook(
                lambda _m, _i, out, path=path: outputs.__setitem__(path, out)
            )
            stack.callback(hook.remove)
        run()
    return [outputs[path] for path in paths if path in outputs]


def _answers(output: Any) -> tuple[Any, Any]:
    """What a model answers: logits, and the last hidden states of one without a head."""
    return logits_of(output), getattr(output, "last_hidden_state", None)


def close(one: Any, other: Any, share: float) -> bool:
    """Whether two outputs agree, or are both missing; see `agree`."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is None and other is None
    return agree(one, other, share)
