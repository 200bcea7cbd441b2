"""Gates on edges: each lets a reader read what a writer writes, or what it wrote in the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model import WrappedModel, calling_here, module_at, repack
from torch import Tensor, nn

from interp_edge_attribution.graph import Graph, Reader, given_to, written


@dataclass
class Entered:
    """What entered a pass.

    Attributes:
        path: where.
        value: the gates.
    """

    path: str
    value: Tensor

    def read(self) -> Tensor:
        """The gates."""
        return self.value


@dataclass(frozen=True, eq=False)
class EdgeGates:
    """The gates of all edges enter a pass of one text, (p, t, e), 1 for open and 0 for closed.

    A reader reads the stream as it is, less `(1 - gate) * (live - reference)` of each writer before it. With `changes`
    the difference is the one given, whatever the pass computes, and one more column, behind those of the edges, says
    how far the embeddings are on the way from the reference to the text.

    Attributes:
        model: the model.
        graph: its writers and readers.
        reference: (t, w) the states of the sites of all writers in the reference.
        changes: (writers, t, d) what each writer writes beyond its reference; None to compute it in the pass.
    """

    model: WrappedModel
    graph: Graph
    reference: Tensor
    changes: Tensor | None = None

    @property
    def path(self) -> str:
        """A module through which all tokens pass."""
        return self.model.embeddings.paths[0]

    @contextmanager
    def open(self, values: Tensor) -> Iterator[Entered]:
        """A context in which one pass runs with these gates."""
        running = _Pass(self, values)
        with ExitStack() as stack:
            running.attach(stack)
            yield Entered(self.path, values)

    def states(self, number: int) -> Tensor:
        """The reference of a site, (t, width)."""
        start = sum(site.width for site in self.graph.sites[:number])
        return self.reference[:, start : start + self.graph.sites[number].width]


@dataclass(eq=False)
class _Pass:
    """One pass: what has been written so far, and what each norm was given."""

    gates: EdgeGates
    values: Tensor
    changes: list[Tensor] = field(default_factory=list)  # (c, p, t, d), of sites one after the other
    streams: dict[str, Tensor] = field(default_factory=dict)

    def attach(self, stack: ExitStack) -> None:
        """Sets the hooks, which leave calls alone that others make of the model meanwhile."""
        model, graph, meant = self.gates.model.model, self.gates.graph, calling_here()

        def before(path: str, work: Callable[[nn.Module, Any, Any], Any]) -> None:
            hook = module_at(model, path).register_forward_pre_hook(
                lambda m, args, kwargs: work(m, args, kwargs) if meant() else None, with_kwargs=True
            )
            stack.callback(hook.remove)

        def behind(path: str, work: Callable[[nn.Module, Any], Any]) -> None:
            hook = module_at(model, path).register_forward_hook(
                lambda m, _inputs, output: work(m, output) if meant() else None
            )
            stack.callback(hook.remove)

        for number, site in enumerate(graph.sites):
            if site.holds == "output":
                behind(site.path, partial(self.write, number))
            else:
                before(site.path, partial(self.enter, number))
        readers: dict[str, list[Reader]] = {}
        for reader in graph.readers:
            for path in reader.modules:
                readers.setdefault(path, []).append(reader)
        for path in {reader.norm for reader in graph.readers}:
            last = [reader for reader in graph.readers if reader.norm == path and not reader.modules]
            before(path, partial(self.norm, path, last))
        for path, several in readers.items():
            if several[0].columns is None:
                before(path, partial(self.read, several[0]))
            else:
                behind(path, partial(self.project, several))

    def enter(self, number: int, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Before a module whose input holds writers: the first of all may be on the way from the reference."""
        states = given_to(args, kwargs)
        if states is None or states.shape[1] != self.values.shape[1]:
            raise LayerError(f"{self.gates.graph.sites[number].path!r} has no state for each of the tokens.")
        if self.gates.changes is not None:
            if self.gates.graph.sites[number].kind != "embeddings":
                return None
            states = torch.lerp(self.gates.states(number).to(states), states, self.values[..., -1:].to(states.dtype))
            return with_states(states, args, kwargs)
        self.write(number, module, states)
        return None

    def write(self, number: int, module: nn.Module, states: Any) -> None:
        """Notes what the writers of a site add to the stream beyond their reference."""
        if self.gates.changes is None:
            site = self.gates.graph.sites[number]
            states = _first(states)
            self.changes.append(written(site, module, states - self.gates.states(number).to(states)))

    def norm(self, path: str, last: list[Reader], _module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Notes the stream that a norm is given; the last one reads it by its gates."""
        stream = given_to(args, kwargs)
        if stream is None:
            raise LayerError(f"{path!r} was given no states.")
        self.streams[path] = stream
        return with_states(self.mixed(last)[0], args, kwargs) if last else None

    def read(self, reader: Reader, _module: nn.Module, args: Any, kwargs: Any) -> Any:
        """What a whole module reads, by its gates."""
        return with_states(self.normed(reader, self.mixed([reader])[0]), args, kwargs)

    def project(self, readers: list[Reader], module: nn.Module, output: Tensor) -> Tensor:
        """What a projection gives where each of its columns reads by gates of its own."""
        several: Tensor = module.forward(self.normed(readers[0], self.mixed(readers)))
        changed = output.clone()
        for own, reader in zip(several, readers, strict=True):
            changed[..., reader.columns] = own[..., reader.columns]
        return changed

    def normed(self, reader: Reader, states: Tensor) -> Tensor:
        found: Tensor = module_at(self.gates.model.model, reader.norm).forward(states)
        return found

    def mixed(self, readers: list[Reader]) -> Tensor:
        """The stream with what comes over closed edges as in the reference, (readers, p, t, d).

        Args:
            readers: of one stream, at one place.
        """
        graph, stream, writers = self.gates.graph, self.streams[readers[0].norm], readers[0].writers
        starts = [graph.starts[graph.readers.index(one)] for one in readers]
        closed = 1 - torch.stack([self.values[..., start : start + writers] for start in starts]).to(stream.dtype)
        if self.gates.changes is not None:
            return stream - torch.einsum("rptw,wtd->rptd", closed, self.gates.changes[:writers].to(stream))
        return stream - torch.einsum("rptw,wptd->rptd", closed, self.written[:writers])

    @property
    def written(self) -> Tensor:
        """What has been written so far beyond the reference, (writers, p, t, d)."""
        if len(self.changes) > 1:
            self.changes[:] = [torch.cat(self.changes)]
        return self.changes[0]


def _first(output: Any) -> Tensor:
    held: Tensor = output[0] if isinstance(output, tuple | list) else output
    return held


def with_states(states: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """What a module is called with, with other states."""
    if "hidden_states" in kwargs:
        return args, {**kwargs, "hidden_states": states}
    return repack(args, states), kwargs
