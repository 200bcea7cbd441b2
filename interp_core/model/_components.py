"""The components of a transformer: heads, MLPs and blocks, detected in a pass over a short text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Literal

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._hooks import at_rest, call_of, module_at, stack_of, tap
from interp_core.model._module_state import calling_here
from interp_core.model._requests import Side
from interp_core.model._rounding import agree, rounding
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor, nn

Holds = Literal["input", "output", "change"]
Kind = Literal["embeddings", "head", "mlp", "block"]
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_CROSS = re.compile(r"cross|encdec|encoder_attn|encoder_attention", re.IGNORECASE)
_BESIDE = re.compile(r"Norm|Dropout|Identity|Act|GELU|SiLU|ReLU")  # classes of modules that write nothing of their own
_EXPERT = re.compile(r"experts?\b", re.IGNORECASE)  # of a mixture, which sees some of the tokens only
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "num_query_heads")


@dataclass(frozen=True)
class Site:
    """A place in a pass of the model that holds components of one kind side by side.

    Attributes:
        path: the path of the module.
        call: the number of the call of the module in a pass, from 0.
        holds: what holds the components: the `"input"` of the module, its `"output"`, or the `"change"` from one to the
            other.
        names: the names of the components, of equal width, in the order of their columns.
        width: the number of columns of all components together.
        side: which tokens pass through the module.
        kind: `"embeddings"`, `"head"`, `"mlp"` or `"block"`.

    Examples:
        >>> from interp_core.model import sites_of
        >>> from interp_core.testing import tiny_classifier
        >>> _, heads, *_ = sites_of(tiny_classifier(), "heads")
        >>> heads.names, heads.path, heads.holds
        (('L0.H0', 'L0.H1'), 'bert.encoder.layer.0.attention.output.dense', 'input')
    """

    path: str
    call: int
    holds: Holds
    names: tuple[str, ...]
    width: int
    side: Side
    kind: Kind


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a module in a pass: what it was given and what it gave, if these are tensors of states."""

    path: str
    call: int
    module: nn.Module
    given: Tensor | None
    gave: Tensor | None

    @property
    def linear(self) -> bool:
        weight = getattr(self.module, "weight", None)
        return isinstance(weight, Tensor) and weight.ndim == 2 and not isinstance(self.module, nn.Embedding)


def sites_of(model: WrappedModel, over: str) -> tuple[Site, ...]:
    """Find the sites of the components of a model, the embeddings first; they are searched for only once.

    Args:
        model: the model.
        over: `"heads"` (the output of each attention head, before the output projection), `"mlps"`, `"components"`
            (both), or `"blocks"` (what each block adds to the residual stream).

    Returns:
        The sites in the order in which they run; the site of the embeddings is the input of the first block.

    Raises:
        LayerError: the blocks of the model were not found.
        UnsupportedError: a block has no such components.

    Examples:
        >>> from interp_core.model import sites_of
        >>> from interp_core.testing import tiny_llama
        >>> [site.names for site in sites_of(tiny_llama(), "components")]
        [('embeddings',), ('L0.H0', 'L0.H1'), ('L0.MLP',), ('L1.H0', 'L1.H1'), ('L1.MLP',)]
    """
    key = ("sites", over)
    tried: dict[Any, Any] = model.tried
    if key not in tried:
        tried[key] = Context().run(_sites, model, over)
    found: tuple[Site, ...] = tried[key]
    return found


def layer_site(model: WrappedModel, layer: str, names: tuple[str, ...]) -> Site:
    """Make the site of components that share the output of one layer.

    Args:
        model: the model.
        layer: the module path, with the number of the call for a module that runs several times in a pass.
        names: the names of the components.

    Returns:
        The site.

    Raises:
        LayerError: the layer does not run, or has no state for each token.

    Examples:
        >>> from interp_core.model import layer_site
        >>> from interp_core.testing import tiny_classifier
        >>> site = layer_site(tiny_classifier(), "bert.encoder.layer.0.intermediate", ("all of it",))
        >>> site.width, site.holds
        (32, 'output')
    """
    path, call = call_of(layer)
    width = Context().run(_width, model, layer)
    return Site(path, call or 0, "output", names, width, model.side_of(path), "block")


def _width(model: WrappedModel, layer: str) -> int:
    """The width of the output of a layer."""
    with tap(model.model, layer, stop=True, layout=model.layout) as seen:
        model._try(model.some_ids())
    return int(seen.read().shape[-1])


def _sites(model: WrappedModel, over: str) -> tuple[Site, ...]:
    sites: list[Site] = []
    for letter, side, blocks in _stacks(model):
        of_block = _calls(model, blocks)
        if set(of_block) != set(blocks):
            raise LayerError(f"not every block of {model.name} ran in a pass, so its components are not known.")
        first, call = call_of(blocks[0])
        where = f"{letter}.embeddings" if letter != "L" else "embeddings"
        width = _states(of_block[blocks[0]][-1].given, model, blocks[0]).shape[-1]
        sites.append(Site(first, call or 0, "input", (where,), width, side, "embeddings"))
        for number, block in enumerate(blocks):
            *inside, whole = of_block[block]
            name = f"{letter}{number}"
            if over == "blocks":
                sites.append(Site(whole.path, whole.call, "change", (name,), width, side, "block"))
                continue
            parts = list(_parts(model, name, side, inside, whole))
            kept = [one for one in parts if over == "components" or one.kind == ("head" if over == "heads" else "mlp")]
            sites += kept
    kinds = {site.kind for site in sites}
    for wanted, plural in (("head", "heads"), ("mlp", "mlps")):
        if over in (plural, "components") and wanted not in kinds:
            raise UnsupportedError(
                f"no {plural} were found in the blocks of {model.name} ({type(model.model).__name__}); use "
                "over='blocks' or over='positions'."
            )
    return tuple(sites)


def _stacks(model: WrappedModel) -> Iterator[tuple[str, Side, tuple[str, ...]]]:
    """Each stack of blocks: its letter, the tokens that pass through it, and the paths of its blocks."""
    if model.encoder.start_id is None:
        yield "L", "both", model.blocks
        return
    yield "E", "source", model.blocks
    decoder = stack_of(model.model, "decoder")
    root = next(name for name, module in model.model.named_modules() if module is decoder)
    lists = [(name, list(module)) for name, module in decoder.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise LayerError(f"the blocks of the decoder of {model.name} were not found.")
    name, members = lists[0]
    yield "D", "target", tuple(f"{root}.{name}.{i}" for i in range(len(members)))


def _calls(model: WrappedModel, blocks: tuple[str, ...]) -> dict[str, list[_Call]]:
    """The calls of modules in each block in a pass over a short text, in the order in which they end."""
    named = {path: module_at(model.model, path) for path in dict.fromkeys(call_of(block)[0] for block in blocks)}
    inside = {f"{path}.{name}" if name else path: m for path, b in named.items() for name, m in b.named_modules()}
    counts: Counter[str] = Counter()
    running: list[str] = []
    found: dict[str, list[_Call]] = {}
    meant = calling_here()

    def enter(path: str) -> None:
        if meant() and path in named:
            key = f"{path}@{counts[path]}"
            running.append(key if key in blocks else path)

    def leave(path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if not meant() or not running:
            return
        held = output[0] if isinstance(output, tuple | list) and output else output
        call = _Call(path, counts[path], module, noted(path, given_states(args, kwargs)), noted(path, held))
        found.setdefault(running[-1], []).append(call)
        counts[path] += 1
        if path in named:
            running.pop()

    ids = model.some_ids()

    def noted(path: str, states: Any) -> Tensor | None:
        if not isinstance(states, Tensor):
            return None
        flat = states.ndim == 2 and len(states) == ids.shape[1] and not _EXPERT.search(path)
        # a copy, since some models go on with an operation in place
        return states[None].clone() if flat else states.clone()

    with ExitStack() as stack:
        for path, module in inside.items():
            before = module.register_forward_pre_hook(lambda _m, _a, path=path: enter(path))
            after = module.register_forward_hook(
                lambda m, args, kwargs, out, path=path: leave(path, m, args, kwargs, out), with_kwargs=True
            )
            stack.callback(before.remove)
            stack.callback(after.remove)
        for context in (model.lock, torch.no_grad(), at_rest(model.model)):
            stack.enter_context(context)
        model.forward(ids, torch.ones_like(ids))
    return {block: calls for block, calls in found.items() if block in blocks}


def given_states(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The hidden states that a module is called with."""
    given = kwargs.get("hidden_states", args[0] if args else None)
    return given if isinstance(given, Tensor) else None


def _states(states: Tensor | None, model: WrappedModel, path: str) -> Tensor:
    if states is None or states.ndim != 3:
        raise LayerError(f"{path!r} of {model.name} is not given one row for each token, (texts, tokens, width).")
    return states


def _parts(model: WrappedModel, name: str, side: Side, inside: list[_Call], whole: _Call) -> Iterator[Site]:
    """The heads and the MLP of a block, in the order in which they run."""
    attending = [call for call in inside if _within_attention(call, whole) and not _BESIDE.search(_class(call))]
    rest = [call for call in inside if not _within_attention(call, whole)]
    writers: list[_Call] = []
    for letter, cross in (("H", False), ("X", True)):
        own = [call for call in attending if bool(_CROSS.search(_below(call, whole))) == cross]
        projection = next((call for call in reversed(own) if _writes(call, whole)), None)
        if projection is None or projection.given is None:
            continue
        heads = _heads(model, projection, whole)
        if not heads or projection.given.ndim != 3 or projection.given.shape[-1] % heads:
            continue
        writers.append(projection)
        names = tuple(f"{name}.{letter}{h}" for h in range(heads))
        width = projection.given.shape[-1]
        yield Site(projection.path, projection.call, "input", names, width, side, "head")
    mlp = _mlp(model, rest, writers, whole)
    if mlp is not None and mlp.gave is not None:
        yield Site(mlp.path, mlp.call, "output", (f"{name}.MLP",), mlp.gave.shape[-1], side, "mlp")


def _class(call: _Call) -> str:
    return type(call.module).__name__


def _below(call: _Call, whole: _Call) -> str:
    return call.path.removeprefix(whole.path)


def _within_attention(call: _Call, whole: _Call) -> bool:
    """Whether a module is part of attention, or the attention itself; a norm beside it is not."""
    below = _below(call, whole)
    return bool(_ATTENTION.search(below)) and not (below.count(".") == 1 and _BESIDE.search(_class(call)))


def _writes(call: _Call, whole: _Call) -> bool:
    """Whether a call is of a linear map that gives states as wide as those of its block."""
    wide = call.gave is not None and whole.gave is not None and call.gave.shape[-1:] == whole.gave.shape[-1:]
    return call.linear and wide and call.gave is not None and call.gave.ndim == 3


def _heads(model: WrappedModel, projection: _Call, whole: _Call) -> int:
    """The number of heads: as the attention around the projection says, else the configuration."""
    parts = projection.path.removeprefix(f"{whole.path}.").split(".")
    top = next((i for i, part in enumerate(parts) if _ATTENTION.search(part)), 0)
    root = module_at(model.model, ".".join([whole.path, *parts[: top + 1]]))
    owners = [*root.modules(), getattr(root, "config", None), model.config]
    numbers = (getattr(owner, name, None) for owner in owners for name in _HEADS)
    return next((number for number in numbers if isinstance(number, int) and number > 0), 0)


def _mlp(model: WrappedModel, rest: list[_Call], writers: list[_Call], whole: _Call) -> _Call | None:
    """What writes the output of the MLP: where the block only adds to the stream, the module that makes up the rest of
    what is added; else the last linear map.
    """
    wide = [c for c in rest if c.gave is not None and whole.gave is not None and c.gave.shape == whole.gave.shape]
    wide = [call for call in wide if not _BESIDE.search(_class(call))]
    linear = next((call for call in reversed(wide) if call.linear), None)
    given = whole.given
    if given is not None and whole.gave is not None and given.shape == whole.gave.shape:
        added = sum((w.gave for w in writers if w.gave is not None), torch.zeros_like(given))
        order = [*([linear] if linear else []), *(call for call in reversed(wide) if call is not linear)]
        for call in order:
            if call.gave is not None and agree(whole.gave - given, added + call.gave, rounding(model.model)):
                return call
    return linear or next((call for call in reversed(wide) if not _holds_attention(call)), None)


def _holds_attention(call: _Call) -> bool:
    return any(_ATTENTION.search(name) for name, _ in call.module.named_modules())
