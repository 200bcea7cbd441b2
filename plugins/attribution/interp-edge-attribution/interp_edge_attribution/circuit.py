"""The `Circuit` value: which edges of a model carry an answer, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from interp_core.errors import InputError, unknown
from interp_core.results import MadeBy, Value, counted, for_json, load_tensors, save_tensors
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp_edge_attribution.drawing import drawn, svg

CHOOSE = ("size", "sign")
SHOWN = 8  # edges in a summary
TENSORS = ("edges", "per_text", "kept")
PLAIN = ("writers", "readers", "feeds", "texts", "target", "choose", "connected", "notes")


@dataclass(frozen=True, eq=False, repr=False)
class Circuit(Value):
    """The edges between components of a model that carry an answer, with the score of every edge.

    Attributes:
        writers: the names of what writes to the residual stream: embeddings, heads, MLPs.
        readers: the names of what reads it: queries, keys and values of heads, MLPs, the logits.
        feeds: for each reader the writers it is a part of.
        edges: (e, 2) the number of the writer and of the reader of each edge of the model.
        per_text: (n, e) the score of each edge in each text, in the unit of the score space: positive where the edge
            raises the score of the text above that of the reference.
        kept: (e) True for the edges of the circuit.
        texts: the texts that the scores are of.
        target: what is explained.
        choose: `"size"` if edges are ranked by the absolute value of their mean score, `"sign"` if only positive ones
            are kept.
        connected: whether edges on no path from the embeddings to the logits were left out.
        made_by: the method, its parameters, the model and the cost.
        notes: what a reader should know.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_llama
        >>> circuit = interp.find_circuit(
        ...     tiny_llama(), ["i feel so happy"], ["i feel so sad"], targets=" today", edges=4, progress=False
        ... )
        >>> circuit
        Circuit(4 of 36 edges (11.1%) for 'today', by eap-ig)
        >>> circuit.of_size(share=1.0).size
        36
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]
    feeds: tuple[tuple[str, ...], ...]
    edges: Int[Tensor, "e 2"]
    per_text: Float[Tensor, "n e"]
    kept: Bool[Tensor, " e"]
    texts: tuple[str, ...]
    target: str
    made_by: MadeBy
    choose: str = "size"
    connected: bool = False
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> Float[Tensor, " e"]:
        """The mean score of each edge over texts."""
        return self.per_text.mean(0)

    @property
    def size(self) -> int:
        """How many edges are in the circuit."""
        return int(self.kept.sum())

    @property
    def threshold(self) -> float:
        """The smallest size of a score of an edge in the circuit; infinity if it has none."""
        return float(self.scores[self.kept].abs().min()) if self.size else float("inf")

    @property
    def edge_names(self) -> tuple[str, ...]:
        """The names of all edges, such as `L0.H1 → L1.H0.Q`."""
        return tuple(f"{self.writers[w]} → {self.readers[r]}" for w, r in self.edges.tolist())

    @property
    def nodes(self) -> tuple[str, ...]:
        """The components that an edge of the circuit leaves or enters, in the order in which they run."""
        used = {self.writers[w] for w, _ in self.edges[self.kept].tolist()}
        used |= {name for _, r in self.edges[self.kept].tolist() for name in self.feeds[r]}
        return tuple(name for name in self.writers if name in used)

    def of_size(
        self,
        *,
        edges: int | None = None,
        share: float | None = None,
        choose: str | None = None,
        connected: bool | None = None,
    ) -> Circuit:
        """The circuit of another size, from the same scores.

        Args:
            edges: how many edges it has at most.
            share: the share of all edges, from 0 to 1, in place of their number.
            choose: `"size"` to take the edges with the largest scores whatever their sign, `"sign"` to take only
                positive ones; as in this circuit by default.
            connected: leave out edges that are then on no way from the embeddings to the logits; as in this circuit by
                default.

        Raises:
            InputError: both or neither of number and share are given, they are out of range, or `choose` is unknown.
        """
        choose = self.choose if choose is None else choose
        connected = self.connected if connected is None else connected
        if choose not in CHOOSE:
            raise InputError(unknown("choose", choose, CHOOSE))
        kept = strongest(self.scores, number_of(edges, share, len(self.edges)), choose)
        if connected:
            kept = self._connected(kept)
        return replace(self, kept=kept, choose=choose, connected=connected)

    def _connected(self, kept: Tensor) -> Tensor:
        """The edges on a way from the embeddings to the logits, through components that are fed and heard."""
        pairs = self.edges.tolist()
        alive = kept.clone()
        while True:
            fed = {self.writers[0]} | {
                name for i in alive.nonzero().flatten().tolist() for name in self.feeds[pairs[i][1]]
            }
            heard = {self.writers[pairs[i][0]] for i in alive.nonzero().flatten().tolist()}
            stay = torch.tensor(
                [
                    self.writers[w] in fed and (not self.feeds[r] or not heard.isdisjoint(self.feeds[r]))
                    for w, r in pairs
                ]
            )
            if torch.equal(alive & stay, alive):
                return alive
            alive &= stay

    def one_line(self) -> str:
        """The size of the circuit and what it is of."""
        every = len(self.edges)
        size = f"{self.size} of {counted(every, 'edge')} ({self.size / every:.1%})"
        return f"{size} for {self.target!r}, by {self.made_by.method}"

    def summary(self) -> str:
        """The size of the circuit, its strongest edges, and what a reader should know."""
        names, scores = self.edge_names, self.scores
        order = [i for i in scores.abs().argsort(descending=True, stable=True).tolist() if self.kept[i]]
        lines = [f"{names[i]} {scores[i]:+.3f}" for i in order[:SHOWN]]
        more = [f"… and {counted(len(order) - SHOWN, 'more edge')}"] * (len(order) > SHOWN)
        over = f"over {counted(len(self.texts), 'text')}; {len(self.nodes)} of {len(self.writers)} components"
        return "\n".join([f"{self.one_line()} {over}", *lines, *more, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The circuit as JSON values."""
        plain = {name: getattr(self, name) for name in PLAIN}
        tensors = {name: getattr(self, name).tolist() for name in TENSORS}
        return for_json({**plain, **tensors, "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """One row for each edge of the model: its writer, its reader, its mean score, and whether it is kept."""
        pairs = self.edges.tolist()
        return {
            "writer": [self.writers[w] for w, _ in pairs],
            "reader": [self.readers[r] for _, r in pairs],
            "score": self.scores.tolist(),
            "kept": self.kept.tolist(),
        }

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        data = {**{name: getattr(self, name) for name in PLAIN}, "made_by": self.made_by.to_json()}
        return save_tensors(path, "circuit", {name: getattr(self, name) for name in TENSORS}, data)

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The circuit.

        Raises:
            InputError: there is no such file, or it does not hold a circuit.
        """
        tensors, data = load_tensors(path, "circuit")
        plain: dict[str, Any] = {name: data[name] for name in PLAIN}
        listed = {name: tuple(plain[name]) for name in ("writers", "readers", "texts", "notes")}
        feeds = tuple(tuple(names) for names in plain["feeds"])
        made = MadeBy.from_json(data["made_by"])
        return cls(**{**plain, **listed, **dict[str, Any](tensors), "feeds": feeds, "made_by": made})

    def plot(self, **options: Any) -> Any:
        """The circuit as a matplotlib figure: components from the embeddings below to the logits above.

        Args:
            **options: none.

        Raises:
            InputError: matplotlib is not installed, or an option was given.
        """
        if options:
            raise InputError(f"plot() of a Circuit has no option {min(options)!r}.")
        return drawn(self)

    def _repr_html_(self) -> str:
        return svg(self)


def number_of(edges: int | None, share: float | None, every: int) -> int:
    """How many edges are meant by a number or a share of them.

    Raises:
        InputError: both or neither are given, or out of range.
    """
    if (edges is None) == (share is None):
        raise InputError(f"edges={edges!r} and share={share!r}; give one of them, the size of the circuit.")
    if edges is not None:
        if isinstance(edges, bool) or not isinstance(edges, int) or not 0 <= edges <= every:
            raise InputError(
                f"edges is {edges!r}; a whole number from 0 to {every}, all edges of the model, was expected."
            )
        return edges
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise InputError(f"share is {share!r}; a share of the {every} edges, from 0 to 1, was expected.")
    return round(share * every)


def strongest(scores: Float[Tensor, " e"], count: int, choose: str) -> Bool[Tensor, " e"]:
    """True for so many edges with the largest scores; by sign, fewer where not as many are positive."""
    rank = scores.abs() if choose == "size" else scores
    kept = torch.zeros(len(scores), dtype=torch.bool)
    kept[rank.argsort(descending=True, stable=True)[:count]] = True
    return kept & (scores > 0) if choose == "sign" else kept
