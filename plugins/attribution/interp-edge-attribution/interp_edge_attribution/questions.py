"""Questions about the edges of a model: features are gates (e, 1), 1 in the text and 0 in the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from interp_core.attribution import REFERENCE, Absence, Components, ModelRunner, Question
from interp_core.model import BatchRunner, GeneratorRows, read_sites, text_rows
from interp_core.text import Unit
from jaxtyping import Float
from torch import Tensor

from interp_edge_attribution.gates import EdgeGates
from interp_edge_attribution.graph import Graph, graph_of, module_of, written

APART = 8  # writers whose states take as much memory as the rest of a pass


def about_edges(question: Question) -> Question:
    """A question whose units are the edges of the model; every attribution method can be asked it.

    Args:
        question: one about the components of the model, with `over="components"`; its notes hold here too.

    Raises:
        UnsupportedError: the edges of the model cannot be told, see `graph_of`.
    """
    components: Components = question.components
    graph = graph_of(components.batch_runner.model)
    runner = edge_runner(components, graph)
    return Question(
        runner,
        x=runner.x,
        baseline=runner.absent.baseline,
        unit_of=runner.owners,
        units=[Unit(name, 0, 0) for name in edge_names(graph)],
        targets=components.readout.targets,
        text=components.encoded.text,
        removal=REFERENCE,
        notes=question.notes,
    )


def edge_names(graph: Graph) -> tuple[str, ...]:
    """The names of the edges, such as `L0.H1 → L1.H0.Q`."""
    return tuple(f"{graph.writers[w]} → {graph.readers[r].name}" for w, r in graph.edges)


@dataclass(frozen=True)
class _Insert:
    """Gates (p, f, 1) as one for each token (p, t, f); open where the reference has no such token."""

    tokens: int
    free: Tensor

    def __call__(self, gates: Float[Tensor, "p f 1"]) -> Float[Tensor, "p t f"]:
        each = gates[:, None, :, 0].expand(-1, self.tokens, -1)
        return each.masked_fill(self.free.to(each.device)[:, None], 1.0) if bool(self.free.any()) else each


def edge_runner(components: Components, graph: Graph, changes: Tensor | None = None) -> ModelRunner:
    """Runs the model with gates on its edges; with `changes`, the way of the embeddings is the last feature."""
    model, encoded = components.batch_runner.model, components.encoded
    batch_runner = BatchRunner(model, components.batch_runner.cost)
    batch_runner.budget = max(1, batch_runner.budget // (1 + len(graph.writers) // APART))
    x = torch.ones(len(graph.edges) + (changes is not None), 1, device=model.device)
    absent = Absence(REFERENCE, "features", torch.zeros_like(x))
    gates = EdgeGates(model, graph, components.reference, changes)
    insert = _Insert(len(encoded), encoded.free)
    owners = torch.arange(len(x))
    return ModelRunner(batch_runner, encoded, components.readout, gates, insert, x, absent, owners)


def changes_of(components: Components, graph: Graph) -> Float[Tensor, "w t d"]:
    """What each writer writes in the text beyond what it writes in the reference."""
    model, encoded = components.batch_runner.model, components.encoded
    rows = text_rows(encoded, torch.ones(1, len(encoded), dtype=torch.bool))
    if components.readout.gathers:
        rows = GeneratorRows(**vars(rows), positions=(len(encoded) - 1,))
    live = read_sites(components.batch_runner, rows, replace(components.injection, sites=graph.sites))
    change, start, found = live - components.reference, 0, []
    with torch.no_grad(), model.lock:
        for site in graph.sites:
            own = change[:, start : start + site.width].to(model.dtype)
            found.append(written(site, module_of(model, site), own[None])[:, 0])
            start += site.width
    return torch.cat(found)
