"""Who writes into the residual stream of a model and who reads it, found in a pass over a short text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import UnsupportedError
from interp_core.model import Site, WrappedModel, at_rest, calling_here, module_at, sites_of
from torch import Tensor, nn

from interp_edge_attribution.projections import columns_of

_NORM = re.compile(r"Norm|Identity", re.IGNORECASE)
NEAR = 1e-3  # share of the largest number by which a sum of parts may differ from the stream


@dataclass(frozen=True)
class Reader:
    """What reads the residual stream through a norm.

    Attributes:
        name: `"L1.H0.Q"`, `"L1.H0.K"`, `"L1.H0.V"`; `"L1.G0.K"` for the keys that several heads share; `"L1.attention"`
            where these cannot be told apart; `"L1.MLP"`; `"logits"`.
        feeds: the writers that it is a part of; none for the logits.
        norm: the path of the norm.
        modules: the paths of the modules that are given what the norm gives; none for the logits, which are given all.
        columns: of the output of its module those that it reads for; None for all.
        writers: how many writers come before it, in their order.
    """

    name: str
    feeds: tuple[str, ...]
    norm: str
    modules: tuple[str, ...]
    columns: slice | None
    writers: int


@dataclass(frozen=True)
class Graph:
    """The writers and readers of a model; an edge leads from each writer to each reader behind it.

    Attributes:
        sites: where the writers are.
        writers: their names, in the order in which they run.
        readers: in the order in which they run.
    """

    sites: tuple[Site, ...]
    writers: tuple[str, ...]
    readers: tuple[Reader, ...]

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The numbers of the writer and the reader of each edge, reader by reader."""
        return tuple((w, r) for r, reader in enumerate(self.readers) for w in range(reader.writers))

    @property
    def starts(self) -> tuple[int, ...]:
        """For each reader the number of its first edge, and behind the last the number of edges."""
        starts = [0]
        for reader in self.readers:
            starts.append(starts[-1] + reader.writers)
        return tuple(starts)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A call of a module: the tensors themselves, which tell who reads whose, and copies, since some models write into
    them later.
    """

    path: str
    module: nn.Module
    given: Tensor | None
    gave: Tensor | None
    given_then: Tensor | None
    gave_then: Tensor | None


def graph_of(model: WrappedModel) -> Graph:
    """The graph of a model; found once.

    Args:
        model: the model.

    Raises:
        UnsupportedError: what its blocks read is not the sum of what components write before them: norms behind
            attention or MLP, two stacks, scaled residuals.
        LayerError: its blocks were not found.
    """
    tried: dict[Any, Any] = model.tried
    if "edges" not in tried:
        tried["edges"] = Context().run(_graph, model)
    graph: Graph = tried["edges"]
    return graph


def _graph(model: WrappedModel) -> Graph:
    if model.encoder.start_id is not None:
        raise UnsupportedError(f"{model.name} has an encoder and a decoder; edges are known of models with one stack.")
    sites = sites_of(model, "components")
    with torch.no_grad(), model.lock, at_rest(model.model):
        seen = _pass(model)
        sums = _sums(model, sites, seen)
        readers = tuple(_readers(model, sites, seen, sums))
        runs = Counter(one.path for one in seen)
        used = [site.path for site in sites] + [path for one in readers for path in (one.norm, *one.modules)]
        if again := next((path for path in used if runs[path] > 1), None):
            raise _unsupported(model, f"{again!r} runs {runs[again]} times in a pass")
    return Graph(sites, tuple(name for site in sites for name in site.names), readers)


def _pass(model: WrappedModel) -> list[_Seen]:
    """All calls of modules in a pass over a short text, in the order in which they end."""
    seen: list[_Seen] = []
    meant = calling_here()

    def note(path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if not meant():
            return
        held = output[0] if isinstance(output, tuple | list) and output else output
        both = given_to(args, kwargs), held if isinstance(held, Tensor) else None
        seen.append(_Seen(path, module, *both, *(None if one is None else one.clone() for one in both)))

    ids = model.some_ids()
    with ExitStack() as stack:
        for path, module in model.model.named_modules():
            hook = module.register_forward_hook(
                lambda m, args, kwargs, output, path=path: note(path, m, args, kwargs, output), with_kwargs=True
            )
            stack.callback(hook.remove)
        model.forward(ids, torch.ones_like(ids))
    return seen


def given_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The states that a module is called with."""
    given = kwargs.get("hidden_states", args[0] if args else None)
    return given if isinstance(given, Tensor) else None


def written(site: Site, module: nn.Module, change: Tensor) -> Tensor:
    """What a change of the states of a site adds to the stream, component by component.

    Args:
        site: where the components are.
        module: the module of the site.
        change: (…, w) of their states.

    Returns:
        (c, …, d) for c components.
    """
    if site.kind != "head":
        return change[None]
    c = len(site.names)
    apart = change.new_zeros(c, *change.shape)
    for i, columns in enumerate(torch.arange(change.shape[-1]).chunk(c)):
        own = slice(int(columns[0]), int(columns[-1]) + 1)
        apart[i, ..., own] = change[..., own]
    found: Tensor = module.forward(apart) - module.forward(torch.zeros_like(change[:1]))
    return found


def _sums(model: WrappedModel, sites: Sequence[Site], seen: Sequence[_Seen]) -> list[Tensor]:
    """The residual stream after each site, as the sum of what was written so far."""
    by_path = {one.path: one for one in reversed(seen)}
    sums: list[Tensor] = []
    for site in sites:
        call = by_path[site.path]
        states = call.gave_then if site.holds == "output" else call.given_then
        if states is None or states.ndim != 3 or model.layout.tokens_first:
            raise _unsupported(model, f"{site.path!r} has no state for each token")
        if site.kind == "embeddings":
            sums.append(states)
        elif site.kind == "mlp":
            sums.append(sums[-1] + states)
        else:
            bias = call.module.forward(torch.zeros_like(states[:1]))
            sums.append(sums[-1] + written(site, call.module, states).sum(0) + bias)
    return sums


def _unsupported(model: WrappedModel, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"in {model.name} {why}, so that edges between its components cannot be told: this needs a model whose "
        "attention and MLPs read, through a norm, the plain sum of what was written before (GPT-2, LLaMA and most "
        "decoders). interp.attribute(…, over='components') explains others."
    )


def _agree(one: Tensor | None, other: Tensor) -> bool:
    if one is None or one.shape != other.shape:
        return False
    return float((one - other).abs().max()) <= max(NEAR, 8 * torch.finfo(one.dtype).eps) * float(other.abs().max())


def _readers(
    model: WrappedModel, sites: Sequence[Site], seen: Sequence[_Seen], sums: Sequence[Tensor]
) -> Iterator[Reader]:
    """The readers of each block, and the logits."""
    counts = [0]
    for site in sites:
        counts.append(counts[-1] + len(site.names))
    numbered = [(number, site) for number, site in enumerate(sites) if site.kind != "embeddings"]
    for number, site in numbered:
        block = next(path for path in model.blocks if site.path == path or site.path.startswith(f"{path}."))
        inside = [one for one in seen if one.path.startswith(f"{block}.")]
        found = _norm_before(inside, site, sums[:number])
        if found is None:
            kind = "attention" if site.kind == "head" else "MLP"
            raise _unsupported(model, f"the {kind} in {block!r} does not read the sum of what was written before")
        norm, consumers, after = found
        writers = counts[after + 1]
        if site.kind == "mlp":
            yield Reader(site.names[0], site.names, norm, _outermost(consumers), None, writers)
        else:
            yield from _of_attention(model, site, norm, consumers, writers)
    outside = [one for one in seen if not any(one.path.startswith(f"{path}.") for path in model.blocks)]
    last = [one for one in outside if _NORM.search(type(one.module).__name__) and _agree(one.given_then, sums[-1])]
    if not last:
        raise _unsupported(model, "no norm reads the sum of all that was written, behind the last block")
    yield Reader("logits", (), last[-1].path, (), None, counts[-1])


def _norm_before(inside: Sequence[_Seen], site: Site, sums: Sequence[Tensor]) -> tuple[str, list[_Seen], int] | None:
    """The norm through which a component reads the stream, the modules that it reads with, and the last site read."""
    for after in reversed(range(len(sums))):
        for norm in inside:
            if not _NORM.search(type(norm.module).__name__) or not _agree(norm.given_then, sums[after]):
                continue
            given = [one for one in inside if one.given is not None and one.given is norm.gave and one is not norm]
            around = [one for one in given if site.path.startswith(f"{one.path}.") or one.path == site.path]
            own = [one for one in given if any(_below(one.path, other.path) for other in around)]
            if site.kind == "mlp" and not own:
                own = [one for one in given if not any("att" in part.lower() for part in one.path.split(".")[-2:])]
            if own:
                return norm.path, own, after
    return None


def _below(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")


def _outermost(consumers: Sequence[_Seen]) -> tuple[str, ...]:
    paths = [one.path for one in consumers]
    return tuple(path for path in paths if not any(path != other and _below(path, other) for other in paths))


def _of_attention(
    model: WrappedModel, site: Site, norm: str, consumers: Sequence[_Seen], writers: int
) -> Iterator[Reader]:
    """Queries, keys and values of each head, if they can be told apart, else the attention as one reader."""
    block = site.names[0].partition(".")[0]
    linear = [one.path for one in consumers if getattr(one.module, "weight", None) is not None]
    told = columns_of(model, site, linear)
    for letter, group, path, columns in told:
        count = len(site.names) // group[1]
        feeds = site.names[group[0] * count : (group[0] + 1) * count]
        name = feeds[0] if len(feeds) == 1 else f"{block}.G{group[0]}"
        yield Reader(f"{name}.{letter}", feeds, norm, (path,), columns, writers)
    if not told:
        yield Reader(f"{block}.attention", site.names, norm, _outermost(consumers), None, writers)


def module_of(model: WrappedModel, site: Site) -> nn.Module:
    """The module of a site."""
    return module_at(model.model, site.path)
