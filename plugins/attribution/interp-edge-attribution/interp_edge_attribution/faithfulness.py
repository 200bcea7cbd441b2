"""The verb `faithfulness`: how much of an answer is left when everything outside of a circuit is the reference's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.model import WrappedModel
from interp_core.plugin import named_options
from interp_core.results import MadeBy, Value, counted, for_json, load_json, made_by, save_json
from interp_core.text import Text
from jaxtyping import Bool, Float
from torch import Tensor

from interp_edge_attribution.asking import asked, notes_of, of_package, prepared_texts, session_for, target_of
from interp_edge_attribution.circuit import Circuit, strongest
from interp_edge_attribution.graph import graph_of
from interp_edge_attribution.questions import about_edges

SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SOURCE = "Wang et al. 2022, arXiv:2211.00593; Mueller et al. 2025, arXiv:2504.13151"
HUES = ("#dc7a12", "#8a8478")


@dataclass(frozen=True, eq=False, repr=False)
class Faithfulness(Value):
    """How faithful a circuit is to its model: 1 if it does all that the model does, 0 if no more than without edges.

    Attributes:
        value: the faithfulness of the circuit: (m(circuit) - m(empty)) / (m(model) - m(empty)), with m the mean score
            over texts, and everything outside of the circuit as in the reference. It may be above 1 or below 0.
        chance: the mean faithfulness of random circuits of the same size; None without any.
        random: (r) the faithfulness of each random circuit.
        share: the size of the circuit, as a share of all edges.
        shares: (s) the sizes at which the curves were measured.
        curve: (s) the faithfulness of circuits of these sizes with the largest scores.
        random_curves: (r, s) the faithfulness of random circuits of these sizes.
        full: the mean score of the texts.
        empty: the mean score with all edges closed: that of the reference, unless tokens without a counterpart in it
            stay as they are (`align`), which a note says.
        target: what is explained.
        made_by: the metric, the model and the cost.
        notes: what a reader should know.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_llama
        >>> model, target = tiny_llama(), " today"
        >>> circuit = interp.find_circuit(
        ...     model, ["i feel so happy"], ["i feel so sad"], targets=target, edges=8, progress=False
        ... )
        >>> found = interp.faithfulness(
        ...     circuit, model, ["the day was happy"], ["the day was sad"], targets=target, progress=False
        ... )
        >>> found.curve[0].item(), found.curve[-1].item()  # without any edge, and with all of them
        (0.0, 1.0)
    """

    SUFFIX: ClassVar[str] = ".json"
    value: float
    chance: float | None
    random: Float[Tensor, " r"]
    share: float
    shares: Float[Tensor, " s"]
    curve: Float[Tensor, " s"]
    random_curves: Float[Tensor, "r s"]
    full: float
    empty: float
    target: str
    made_by: MadeBy
    notes: tuple[str, ...] = ()

    @property
    def area(self) -> float:
        """The area under the curve from the smallest share above 0 to the largest, by trapezoids; at best about 1."""
        return area(self.shares, self.curve)

    @property
    def random_area(self) -> float | None:
        """The mean area under the curves of random circuits; None without any."""
        areas = [area(self.shares, curve) for curve in self.random_curves]
        return sum(areas) / len(areas) if areas else None

    def one_line(self) -> str:
        """Value, chance and area."""
        chance = f" (random: {self.chance:.3f})" if self.chance is not None else ""
        beside = f" (random: {self.random_area:.3f})" if self.random_area is not None else ""
        return f"faithfulness {self.value:.3f}{chance} with {self.share:.1%} of the edges, area {self.area:.3f}{beside}"

    def summary(self) -> str:
        """Value, chance and area, the curve, and what a reader should know."""
        curve = [
            f"{share:7.1%} {value:7.3f}" for share, value in zip(self.shares.tolist(), self.curve.tolist(), strict=True)
        ]
        if len(self.random_curves):
            means = self.random_curves.mean(0).tolist()
            curve = [f"{line}  random {mean:7.3f}" for line, mean in zip(curve, means, strict=True)]
        return "\n".join([self.one_line(), *curve, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The value as JSON values."""
        tensors = {name: getattr(self, name).tolist() for name in ("random", "shares", "curve", "random_curves")}
        plain = {n: getattr(self, n) for n in ("value", "chance", "share", "full", "empty", "target", "notes")}
        areas = {"area": self.area, "random_area": self.random_area}
        return for_json({**plain, **areas, **tensors, "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """One row for each share."""
        means = self.random_curves.mean(0).tolist() if len(self.random_curves) else [None] * len(self.shares)
        return {"share": self.shares.tolist(), "faithfulness": self.curve.tolist(), "random": means}

    def save(self, path: str | Path) -> Path:
        """Write a JSON file and return its path."""
        return save_json(path, "faithfulness", self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Faithfulness:
        """The value in a file that `save` wrote.

        Raises:
            InputError: there is no such file, or it does not hold such a value.
        """
        data = load_json(path, "faithfulness")
        plain: dict[str, Any] = {n: data[n] for n in ("value", "chance", "share", "full", "empty", "target")}
        tensors: dict[str, Any] = {n: torch.tensor(data[n]) for n in ("random", "shares", "curve")}
        curves = torch.tensor(data["random_curves"]).reshape(len(data["random"]), len(data["shares"]))
        made = MadeBy.from_json(data["made_by"])
        return cls(**plain, **tensors, random_curves=curves, made_by=made, notes=tuple(data["notes"]))

    def plot(self, **options: Any) -> Any:
        """The curves as a matplotlib figure, sizes on a logarithmic axis.

        Args:
            **options: none.

        Raises:
            InputError: matplotlib is not installed, or an option was given.
        """
        if options:
            raise InputError(f"plot() of a Faithfulness has no option {min(options)!r}.")
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise InputError("plot needs the package matplotlib: pip install matplotlib.") from error
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes, above = figure.subplots(), self.shares > 0
        for curve in self.random_curves:
            axes.plot(self.shares[above], curve[above], color=HUES[1], linewidth=0.7, alpha=0.6)
        axes.plot(self.shares[above], self.curve[above], color=HUES[0], marker="o", markersize=4)
        axes.plot([self.share], [self.value], color=HUES[0], marker="D")
        axes.set_xscale("log")
        axes.set_xlabel("share of the edges")
        axes.set_ylabel("faithfulness")
        axes.set_title(self.target, fontsize=9)
        return figure


def area(shares: Float[Tensor, " s"], curve: Float[Tensor, " s"]) -> float:
    """The area under a curve over shares above 0, by trapezoids."""
    above = shares > 0
    return float(torch.trapezoid(curve[above], shares[above]))


@named_options
def faithfulness(
    circuit: Circuit,
    model: WrappedModel,
    texts: Text | Sequence[Text],
    references: Any,
    *,
    targets: Any = None,
    shares: Sequence[float] = SHARES,
    samples: int = 5,
    seed: int = 0,
    score: str = "logit",
    align: str | None = None,
    progress: bool = True,
) -> Faithfulness:
    """Faithfulness of a circuit: how much of an answer is kept with everything outside it as in a reference.

    It is (m(circuit) - m(empty)) / (m(model) - m(empty)), with m the mean score over texts: 1 if the circuit does all
    that the model does, 0 if no more than the reference. Measure it on texts that the circuit was not found on; a note
    says which were. The cost is one row of the model for each text, size and circuit.

    Args:
        circuit: the circuit.
        model: the model that it was found in.
        texts: the texts.
        references: what closed edges carry: for each text another of as many tokens, or one for all; `"mean"` or
            `"zero"`.
        targets: one target for each text, as in `attribute`.
        shares: sizes of circuits, as shares of all edges from 0 to 1, ascending; the curve is that of the circuits that
            `circuit.of_size(share=…)` gives. By default those of the MIB benchmark, and 0.
        samples: number of random circuits of each size that are measured for comparison; 0 for none.
        seed: random seed of the random circuits, at least 0.
        score: the score space, as in `attribute`.
        align: how a reference of another length is aligned, `"left"` or `"right"`; tokens without a counterpart stay.
            None refuses it.
        progress: show a progress bar in terminals and notebooks.

    Returns:
        The faithfulness of the circuit, and its curve over sizes, with that of random circuits.

    Raises:
        InputError: the circuit is of another model, text and reference have the same mean score, shares are out of
            order, a text has several targets, or another argument cannot be used.
        UnsupportedError: the edges of this model cannot be told apart.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_llama
        >>> model, target = tiny_llama(), " today"
        >>> circuit = interp.find_circuit(
        ...     model, ["i feel so happy"], ["i feel so sad"], targets=target, share=1.0, progress=False
        ... )
        >>> found = interp.faithfulness(
        ...     circuit, model, ["the day was happy"], ["the day was sad"], targets=target, progress=False
        ... )
        >>> round(found.value, 3)  # a circuit of all edges is the model
        1.0

    Source:
        The ratio of Wang et al. 2022, arXiv:2211.00593; the curve and its area of Mueller et al. 2025, arXiv:2504.13151
        (MIB, CPR), with the score itself as the metric.
    """
    if not isinstance(circuit, Circuit):
        raise InputError(f"circuit is {circuit!r}; an interp.Circuit was expected, as find_circuit gives it.")
    sizes = _sizes(shares)
    for name, value in {"samples": samples, "seed": seed}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(f"{name} is {value!r}; a whole number from 0 was expected.")
    session = session_for(model, references, score=score, align=align, progress=progress)
    graph = graph_of(model)
    if (circuit.writers, circuit.readers) != (graph.writers, tuple(one.name for one in graph.readers)):
        raise InputError(
            f"the circuit is of a model with other components than {model.name}; give the model it was found in."
        )
    own = [circuit.kept, *(circuit.of_size(share=share).kept for share in sizes)]
    variants = torch.stack([*own, *_random(own, samples, seed)])
    prepared = prepared_texts(session, texts, targets)
    ends = torch.stack([torch.ones_like(circuit.kept), torch.zeros_like(circuit.kept)])

    def work(question: Question) -> tuple[Tensor, tuple[str, ...]]:
        about = about_edges(question)
        return about.masked(torch.cat([ends, variants]))[:, 0], about.notes

    scores, noted = zip(*asked(session, prepared, work, "faithfulness"), strict=True)
    full, empty, *means = torch.stack(scores).double().mean(0).tolist()
    if abs(full - empty) <= 1e-6 * max(abs(full), abs(empty)):
        raise InputError(
            f"texts and references have the same mean score, {full:.4g}, so that nothing is left to be faithful to; "
            "choose references that change it, or another target."
        )
    shown = (torch.tensor(means, dtype=torch.float64) - empty) / (full - empty) + 0.0  # no -0.0
    table = shown.float().reshape(1 + samples, len(own))  # the circuit, then each draw
    settings = {"texts": len(prepared), "score": prepared[0].readout.space, "samples": samples, "seed": seed}
    return Faithfulness(
        value=float(table[0, 0]),
        chance=float(table[1:, 0].mean()) if samples else None,
        random=table[1:, 0],
        share=circuit.size / len(circuit.edges),
        shares=torch.tensor(sizes, dtype=torch.float32),
        curve=table[0, 1:],
        random_curves=table[1:, 1:],
        full=full,
        empty=empty,
        target=target_of(prepared),
        made_by=of_package(made_by("faithfulness", session.cost, model.name, settings), "faithfulness", SOURCE),
        notes=(*_seen(circuit, [one.encoded.text for one in prepared]), *notes_of(noted)),
    )


def _sizes(shares: Any) -> list[float]:
    """The shares, as numbers.

    Raises:
        InputError: they are not ascending shares from 0 to 1.
    """
    listed = list(shares) if isinstance(shares, Iterable) else []
    numbers = all(isinstance(share, Real) and not isinstance(share, bool) for share in listed)
    sizes = [float(share) for share in listed] if numbers else []
    if not sizes or sizes != sorted(sizes) or not 0 <= sizes[0] <= sizes[-1] <= 1:
        raise InputError(f"shares is {shares!r}; ascending shares from 0 to 1 were expected, such as [0, 0.1, 1].")
    return sizes


def _random(kept: Sequence[Bool[Tensor, " e"]], samples: int, seed: int) -> list[Bool[Tensor, " e"]]:
    """Random circuits as large as these, each draw with its own ranking of the edges."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(samples):
        rank = torch.rand(len(kept[0]), generator=generator)
        found += [strongest(rank, int(one.sum()), "size") for one in kept]
    return found


def _seen(circuit: Circuit, texts: Sequence[str]) -> tuple[str, ...]:
    seen = sum(text in circuit.texts for text in texts)
    if not seen:
        return ()
    return (
        f"{seen} of {counted(len(texts), 'text')} are among those that the circuit was found on, which flatters it.",
    )
