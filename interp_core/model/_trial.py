"""Trials of how a model treats the rows of a pass, on a short text rather than known for each architecture."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._gradient_flow import gradients_end_at
from interp_core.model._heads import points_at_spans
from interp_core.model._hooks import at_rest, module_at
from interp_core.model._logits_to_scores import logits_of
from interp_core.model._module_state import ModuleState, modules_of
from interp_core.model._own_positions import come_first, own_positions
from interp_core.model._requests import TextRows, padded
from interp_core.model._wrapped_model import WrappedModel
from jaxtyping import Int
from torch import Tensor

Sharing = Literal["padded", "equal-length", "single"]
_FROM_LEAST: tuple[Sharing, ...] = ("single", "equal-length", "padded")
SHORT, LONG = "one two three four", "one two three four five six seven eight nine"
A_PASS = {"cpu": 32, "cuda": 4096}  # so many tokens run in the time that a pass takes besides its tokens, about
ANSWER = 0.01  # logits smaller than this are compared as if they were as large


@dataclass(frozen=True)
class Trial:
    """The result of a trial of a model on a short text, as made by `trial_of`.

    Attributes:
        states: which rows may share a pass that reads hidden states: `"padded"` for rows of any length,
            `"equal-length"` where padding changes the outputs of a row or the model adapts to the length of its input,
            and `"single"` where any other row changes them.
        logits: the same for a full pass, which reads logits as well.
        reads_ids: whether the model also uses token ids after its embeddings, so that replacing the embedding of a
            token does not remove it.
        gradients_end_at: the path of a module that gradients do not pass through although its output depends on its
            input, such as one with 8-bit weights; None if there is none.

    Examples:
        >>> from interp_core.model import Trial
        >>> Trial("padded", "single", reads_ids=False).sharing(stop=True)
        'padded'
    """

    states: Sharing
    logits: Sharing
    reads_ids: bool
    gradients_end_at: str | None = None

    def sharing(self, stop: bool) -> Sharing:
        """Say which rows may share a pass.

        Args:
            stop: whether the pass stops at the layer that is read.

        Returns:
            `states` if it does, else `logits`.
        """
        return self.states if stop else min(self.states, self.logits, key=_FROM_LEAST.index)


def trial_of(model: WrappedModel) -> Trial:
    """Try a model on a short text, once.

    Args:
        model: the model.

    Returns:
        The result of the trial.

    Examples:
        >>> from interp_core.model import trial_of
        >>> from interp_core.testing import tiny_classifier
        >>> trial_of(tiny_classifier())
        Trial(states='padded', logits='padded', reads_ids=False, gradients_end_at=None)
    """
    if "rows" not in model.tried:
        model.tried["rows"] = Context().run(_try_rows, model)  # without the interventions that are open
    trial: Trial = model.tried["rows"]
    return trial


def rows_without_padding(lengths: Sequence[int], device: torch.device) -> int:
    """How many of the first rows share a pass; the others are left for the next one.

    They are left where padding them to the longest would cost more tokens than a pass is worth.

    Args:
        lengths: the number of tokens of each row that fits into the batch, at least one row, longest first.
        device: where the model runs.

    Returns:
        At least 1.

    Examples:
        Twenty short rows would be padded to thirty tokens. The one of twenty-eight stays with the long ones.

        >>> from interp_core.model._trial import rows_without_padding
        >>> rows_without_padding([30, 30, 28, *[10] * 20], torch.device("cpu"))
        3
    """
    a_pass = A_PASS.get(device.type, A_PASS["cuda"])
    count = len(lengths)
    while count > 1:
        saved, at = max(((count - i) * (lengths[0] - lengths[i]), i) for i in range(1, count))
        if saved <= a_pass:
            break
        count = at
    return count


def tokens_run(lengths: Sequence[int], budget: int, device: torch.device) -> int:
    """The tokens of rows of these lengths with the padding of their batches."""
    todo, total = sorted(lengths, reverse=True), 0
    while todo:
        count = rows_without_padding(todo[: max(1, budget // max(1, todo[0]))], device)
        total += count * todo[0]
        todo = todo[count:]
    return total


def hides_tokens(model: WrappedModel) -> bool:
    """Test whether the attention mask hides a token, so that the token no longer matters; tested once.

    Args:
        model: the model.

    Returns:
        True if it does; False for models that ignore the mask, such as those that mix tokens by a Fourier transform.

    Examples:
        >>> from interp_core.model import hides_tokens
        >>> from interp_core.testing import tiny_classifier
        >>> hides_tokens(tiny_classifier())
        True
    """
    if "mask" not in model.tried:
        model.tried["mask"] = Context().run(_try_mask, model)
    return bool(model.tried["mask"])


def check_gradients(model: WrappedModel) -> None:
    """Refuse a model in which gradients end on their way to the embeddings, so that they would be zero, or wrong.

    Raises:
        UnsupportedError: a module's output depends on its input, and has no gradient with respect to it.
    """
    path = trial_of(model).gradients_end_at
    if path is not None:
        kind = type(model.model.get_submodule(path))
        raise UnsupportedError(
            f"gradients do not pass through {path!r} ({kind.__module__}.{kind.__name__}): its output changes with its "
            "input but cannot be differentiated, as with weights that are whole numbers. Use a method that needs only "
            "scores, or load the model in floating point."
        )


@dataclass
class _Seen:
    """What one row of a pass gave: the states of its own tokens in each module that was watched, and its logits."""

    states: list[Tensor] = field(default_factory=list)
    logits: Tensor | None = None
    switched: bool = False
    pads: bool = False
    error: Exception | None = None


def _try_rows(model: WrappedModel) -> Trial:
    short, long = _rows_of(model, SHORT), _rows_of(model, LONG)
    if short.ids.shape[1] == long.ids.shape[1]:  # the model takes very few tokens
        short = _first(long, long.ids.shape[1] - 1)
    alone = _watched(model, [short])
    if alone.error is not None:
        raise alone.error
    together = _watched(model, [long, short])
    sharing = _verdict(model, alone, together, "padded")
    if "single" in sharing:
        turned = TextRows(short.ids.flip(1), short.attention, source=0)
        turned = short if short.source else turned
        equal = _verdict(model, alone, _watched(model, [turned, short]), "equal-length")
        states, logits = (kept if kept != "single" else other for kept, other in zip(sharing, equal, strict=True))
    else:
        states, logits = sharing
    # what a model that pads a text to a multiple of its chunks makes of it may depend on its length
    if alone.switched or together.switched or alone.pads or together.pads:
        states, logits = (min(one, "equal-length", key=_FROM_LEAST.index) for one in (states, logits))
    return Trial(states, logits, _reads_ids(model, short, alone), gradients_end_at(model))


def _verdict(model: WrappedModel, alone: _Seen, other: _Seen, good: Sharing) -> tuple[Sharing, Sharing]:
    """`good` for states and for logits where they are the same in company, else `"single"`."""
    pairs = list(zip(alone.states, other.states, strict=False))
    states = len(alone.states) == len(other.states) and all(_alike(a, b, model.dtype) for a, b in pairs)
    logits = other.error is None and _alike(alone.logits, other.logits, model.dtype, ANSWER)
    return good if states else "single", good if logits else "single"


def _reads_ids(model: WrappedModel, rows: TextRows, alone: _Seen) -> bool:
    """Whether other ids with the same embeddings give another answer."""
    values = model.embed(rows.ids[0], rows.source)[None].to(model.dtype)
    other = TextRows(_other_ids(model, rows.ids), rows.attention, values, source=rows.source)
    try:
        seen = _watched(model, [other])
    except UnsupportedError:  # no values enter at the embeddings, which whoever asks for that is told
        return False
    return seen.error is None and (
        sum(not _alike(a, b, model.dtype) for a, b in zip(alone.states, seen.states, strict=False)),
        int(not _alike(alone.logits, seen.logits, model.dtype, ANSWER)),
    ) != (0, 0)


def _try_mask(model: WrappedModel) -> bool:
    rows = _rows_of(model, SHORT)
    ordinary = (~_special(model, rows.ids[0])).nonzero().flatten()
    where = int(ordinary[len(ordinary) // 2]) if len(ordinary) else rows.ids.shape[1] // 2
    rows.attention = rows.attention.clone()
    rows.attention[0, where] = False
    other = TextRows(rows.ids.clone(), rows.attention, source=rows.source)
    other.ids[0, where] = _other_ids(model, rows.ids)[0, where]
    one, two = _watched(model, [rows]), _watched(model, [other])
    return _verdict(model, one, two, "padded")[1] == "padded"


def _rows_of(model: WrappedModel, text: str) -> TextRows:
    """The text as a row; of an encoder-decoder model that generates, with some of it as the target."""
    ids = model.encoder(model.probe(text)).ids
    source = 0
    if model.encoder.start_id is not None and model.model.get_output_embeddings() is not None:
        source = len(ids)
        ids = torch.cat([ids, torch.tensor([model.encoder.start_id]), ids[: max(1, len(ids) - 2)]])
    return TextRows(ids[None], torch.ones(1, len(ids), dtype=torch.bool), source=source)


def _first(rows: TextRows, count: int) -> TextRows:
    return TextRows(rows.ids[:, :count], rows.attention[:, :count], source=rows.source)


def _special(model: WrappedModel, ids: Int[Tensor, " t"]) -> Tensor:
    kept = [*model.tokenizer.all_special_ids, model.encoder.start_id, model.pad_id]
    unknown = model.tokenizer.unk_token_id
    return torch.isin(ids, torch.tensor([i for i in kept if i is not None and i != unknown], dtype=torch.long))


def _other_ids(model: WrappedModel, ids: Int[Tensor, "1 t"]) -> Int[Tensor, "1 t"]:
    """Other ids in place of those that are not special, the mask token first, which some models give a meaning."""
    every = torch.arange(model.embeddings.count)
    ordinary = every[~_special(model, every)]
    mask = model.tokenizer.mask_token_id
    other = ids.clone()
    places = (~_special(model, ids[0])).nonzero().flatten().tolist()
    for number, place in enumerate(places):
        free = ordinary[ordinary != ids[0, place]]
        if number == 0 and mask is not None and mask < len(every):
            other[0, place] = mask
        elif len(free):
            other[0, place] = free[(number * 7) % len(free)]
    return other


def _watched(model: WrappedModel, rows: list[TextRows]) -> _Seen:
    """One pass over rows, and what the last of them gives. A model that refuses the company is not an error."""
    batch = padded(rows, model.pad_id)
    found, outputs = _Seen(), []
    with ExitStack() as stack:
        for context in (model.lock, torch.inference_mode(False), torch.no_grad(), at_rest(model.model)):
            stack.enter_context(context)
        state = ModuleState(modules_of(model.model))
        for path in _watch(model):
            hook = module_at(model.model, path).register_forward_hook(
                lambda _m, _i, output, path=path: outputs.append((path, output))
            )
            stack.callback(hook.remove)
        if batch.values is not None:
            stack.enter_context(model.embeddings.injection.open(batch.values))
        output: Any = None
        try:
            output = model.run(batch)
        except (ValueError, RuntimeError, IndexError, AssertionError) as error:
            found.error = error
        found.switched = state.switched
    for path, given in outputs:
        mask = batch.seen_by(model.side_of(path))[-1]
        states = given[0] if not isinstance(given, Tensor) and len(given) else given
        if isinstance(states, Tensor) and states.ndim == 3:
            states = model.layout.turned(states)
        if isinstance(states, Tensor) and states.ndim == 3 and states.shape[1] >= len(mask):
            found.pads |= states.shape[1] > len(mask) and not come_first(model)
            states = own_positions(model, states, len(mask), path)
            found.states.append(states[-1][mask.to(states.device)].float().cpu())
    logits = logits_of(output)
    if logits is not None:
        found.logits = _own(model, logits, output, batch.seen_by("target")[-1])
    return found


def _own(model: WrappedModel, logits: Tensor, output: Any, mask: Tensor) -> Tensor:
    """The logits of the last row, at its own tokens where there are some for each."""
    last = logits[-1].float().cpu()
    if last.ndim == 1:
        return last
    last = last.T if points_at_spans(output) else last
    return own_positions(model, last, len(mask), "the head", dim=0)[mask] if len(last) >= len(mask) else last


def _watch(model: WrappedModel) -> list[str]:
    """The blocks, if they are found, and the body below the head."""
    try:
        blocks = list(model.blocks)
    except LayerError:
        blocks = []
    body = getattr(model.model, "base_model", None)
    path = next((name for name, module in model.model.named_modules() if module is body), "")
    return [*blocks, *([path] if path else [])]


def _alike(one: Tensor | None, other: Tensor | None, dtype: torch.dtype, least: float = 0.0) -> bool:
    """Whether two results differ by rounding alone, row by row; by means, since some dimensions are far larger."""
    if one is None or other is None:
        return one is other
    if one.shape != other.shape:
        return False
    rounding = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps) ** 0.5
    size = one.abs().mean(-1).clamp(min=least)
    return bool(((one - other).abs().mean(-1) <= rounding * size).all())
