"""Rows of a generator that share a prefix with the text, which runs once and whose keys and values are cached."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any

import torch
from interp_core.model._hooks import at_rest
from interp_core.model._logits_to_scores import logits_of
from interp_core.model._requests import ModelRequest, PaddedBatch
from interp_core.model._rounding import agree, rounding
from interp_core.model._trial import LONG, tokens_run, trial_of
from interp_core.model._wrapped_model import WrappedModel
from torch import nn

SAVED = 0.15  # the least share of the tokens of a request that must be saved


@dataclass(frozen=True)
class Prefix:
    """The keys and values of the first tokens of a text.

    Attributes:
        cache: as the model returned it.
    """

    cache: Any

    def of(self, rows: int, tokens: int) -> Any:
        """The keys and values of so many tokens, for so many rows; the model writes into them."""
        cache = copy.deepcopy(self.cache)
        surplus = cache.get_seq_length() - tokens
        if surplus:
            cache.crop(-surplus)
        cache.batch_repeat_interleave(rows)
        return cache


def planned(model: WrappedModel, request: ModelRequest, budget: int) -> ModelRequest:
    """A request to a causal model that says which tokens of its rows need not run again, where that pays and the model
    allows it.
    """
    if request.whole is None or request.stays is None or request.readout is None or request.gradients:
        return request
    positions = request.readout.positions
    if not positions or model.device.type != "cpu":
        return request  # elsewhere a pass of many rows is worth more than the tokens that it repeats
    p, t = request.stays.shape
    changed = torch.where(request.stays.all(1), t, (~request.stays).int().argmax(1))
    unchanged = changed.clamp(max=min(positions))
    if int(unchanged.sum()) < SAVED * p * t or _is_watched(model.model):
        return request
    tokens = int(unchanged.max()) + tokens_run((t - unchanged).tolist(), budget, model.device)
    pays = tokens <= (1 - SAVED) * p * t and resumes_from_cache(model)
    return replace(request, unchanged=unchanged) if pays else request


def resumes_from_cache(model: WrappedModel) -> bool:
    """Whether a model that is given the keys and values of the first tokens gives the same logits; tried once."""
    if "prefix" not in model.tried:
        model.tried["prefix"] = Context().run(_try_cache, model)
    return bool(model.tried["prefix"])


def _try_cache(model: WrappedModel) -> bool:
    if model.head != "causal" or trial_of(model).logits != "padded" or _forgets(model.config):
        return False
    ids = model.encoder.prompt(model.probe(LONG)).ids[None]
    rows = torch.cat([ids, ids.flip(1)])
    half = ids.shape[1] // 2
    rows[1, :half] = ids[0, :half]
    with ExitStack() as stack:
        for context in (model.lock, torch.inference_mode(False), torch.no_grad(), at_rest(model.model)):
            stack.enter_context(context)
        whole = logits_of(model.run(PaddedBatch(rows, torch.ones_like(rows, dtype=torch.bool))))
        try:
            first = model.run(PaddedBatch(ids[:, :half], torch.ones(1, half, dtype=torch.bool), keeps=True))
            prefix, rest = Prefix(first.past_key_values), rows[:, half:]
            mask = torch.ones_like(rest, dtype=torch.bool)
            parts = [logits_of(model.run(PaddedBatch(rest, mask, past=prefix.of(2, half)))) for _ in range(2)]
        except Exception:  # a model that keeps something else, or nothing, fails in its own way
            return False
    share = rounding(model.model, 1)
    return whole is not None and all(one is not None and agree(whole[:, half:], one, share) for one in parts)


def _is_watched(model: nn.Module) -> bool:
    """Whether hooks are open, such as those of an intervention, which may ask where in the text a token is."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def _forgets(config: Any) -> bool:
    """Whether some layers keep the last tokens of a longer text alone, which a trial on a short one cannot show."""
    config = getattr(config, "text_config", None) or config
    kinds = set(getattr(config, "layer_types", None) or ())
    return bool(kinds - {"full_attention"} or (not kinds and getattr(config, "sliding_window", None)))
