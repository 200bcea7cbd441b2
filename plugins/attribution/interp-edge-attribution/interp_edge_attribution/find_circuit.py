"""The verb `find_circuit`: scores the edges of a model, and keeps those that carry an answer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from interp_core.attribution import Question, name_of, run_method
from interp_core.errors import InputError, InterpWarning, unknown
from interp_core.model import WrappedModel
from interp_core.plugin import named_options, resolve
from interp_core.results import made_by
from interp_core.text import Text
from torch import Tensor

from interp_edge_attribution.asking import asked, notes_of, of_package, prepared_texts, session_for, target_of
from interp_edge_attribution.circuit import CHOOSE, Circuit, number_of
from interp_edge_attribution.estimators import EAP, EAPIG
from interp_edge_attribution.graph import graph_of
from interp_edge_attribution.questions import about_edges

ESTIMATORS: dict[str, Any] = {"eap": EAP, "eap-ig": EAPIG}
EDGE_GATES = "edge-gates"
SOURCES = {
    "eap": "Syed, Rager, Conmy 2023, arXiv:2310.10348",
    "eap-ig": "Hanna, Pezzelle, Belinkov 2024, arXiv:2403.17806",
    EDGE_GATES: "Sundararajan, Taly, Yan 2017, arXiv:1703.01365, of gates on edges",
}


@named_options
def find_circuit(
    model: WrappedModel,
    texts: Text | Sequence[Text],
    references: Any,
    *,
    targets: Any = None,
    by: Any = "eap-ig",
    edges: int | None = None,
    share: float | None = None,
    choose: str = "size",
    connected: bool = False,
    score: str = "logit",
    align: str | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Circuit:
    """Find the edges between components that carry an answer, by what is lost where they carry a reference instead.

    An edge leads from a writer (embeddings, a head, an MLP) to a reader (queries, keys and values of a head, an MLP,
    the logits), which reads the residual stream through a norm. With grouped queries, the keys and values that several
    heads share are one reader. Norms are computed on the input of the reader as the edges give it.

    The score of an edge is in the unit of the score space, positive where the edge raises the score of the text above
    that of the reference. Only the scores of `"edge-gates"` add up to the difference of the two.

    Args:
        model: a model whose attention and MLPs read, through a norm, the sum of what was written before: most decoders.
        texts: the texts; a circuit is measured on others, see `faithfulness`.
        references: what a closed edge carries: for each text another of as many tokens, or one for all; `"mean"` or
            `"zero"`.
        targets: one target for each text, as in `attribute`; usually `interp.contrast(right, wrong)`.
        by: how edges are scored.

            - `"eap"`: edge attribution patching, first order at the text; misses what saturates.
            - `"eap-ig"`: with the gradient averaged along the line of the embeddings from reference to text; `steps=`.
            - `"edge-gates"`: integrated gradients of gates on edges, which alone add up to the score of the text less
              that of the reference; `steps=`.
            - an attribution method, by name or instance, which is asked about the gates: `"occlusion"` patches each
              edge by itself, exactly.
        edges: number of edges that are kept; by default a tenth of them.
        share: share of edges that are kept, in place of their number.
        choose: `"size"` to keep the edges with the largest absolute scores; `"sign"` to keep positive ones only, of
            which there may be few.
        connected: leave out edges that are then on no path from the embeddings to the logits.
        score: the score space, as in `attribute`.
        align: how a reference of another length is aligned, `"left"` or `"right"`; tokens without a counterpart stay.
            None refuses it.
        progress: show a progress bar in terminals and notebooks.
        **parameters: parameters of the method, such as `steps`.

    Returns:
        The circuit, with the scores of all edges in each text.

    Raises:
        InputError: an option cannot be used, a reference has another number of tokens, or a text has several targets.
        UnsupportedError: the edges of this model cannot be told apart: norms after attention or MLP, two stacks.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_generator
        >>> texts, references = ["i feel so happy"], ["i feel so sad"]
        >>> circuit = interp.find_circuit(
        ...     tiny_generator(), texts, references, targets=" today", by="edge-gates", progress=False
        ... )
        >>> circuit.size, len(circuit.edges)
        (5, 46)

    Source:
        EAP: Syed et al. 2023, arXiv:2310.10348. EAP-IG: Hanna et al. 2024, arXiv:2403.17806. Edge gates: integrated
        gradients, Sundararajan, Taly, Yan 2017, arXiv:1703.01365, of gates on edges.
    """
    if choose not in CHOOSE:
        raise InputError(unknown("choose", choose, CHOOSE))
    share = 0.1 if edges is None and share is None else share
    method, named = _method(by, parameters)
    session = session_for(model, references, score=score, align=align, progress=progress)
    graph = graph_of(model)
    number_of(edges, share, len(graph.edges))
    prepared = prepared_texts(session, texts, targets)

    def work(question: Question) -> tuple[Tensor, tuple[str, ...]]:
        about = about_edges(question)
        scores = method.score(about, question.components) if hasattr(method, "score") else run_method(method, about)[0]
        return scores[0].float().cpu(), (*about.notes, *about.noted)

    found = asked(session, prepared, work, f"find circuit by {named}")
    notes = notes_of([said for _, said in found])
    for note in notes[:1]:
        warnings.warn(note, InterpWarning, stacklevel=3)
    settings = {"score": prepared[0].readout.space, "texts": len(prepared), "reference": _reference(prepared)}
    made = made_by(method, session.cost, model.name, settings)
    return Circuit(
        writers=graph.writers,
        readers=tuple(reader.name for reader in graph.readers),
        feeds=tuple(reader.feeds for reader in graph.readers),
        edges=torch.tensor(graph.edges),
        per_text=torch.stack([scores for scores, _ in found]),
        kept=torch.zeros(len(graph.edges), dtype=torch.bool),
        texts=tuple(one.encoded.text for one in prepared),
        target=target_of(prepared),
        made_by=of_package(made, named, SOURCES[named]) if named in SOURCES else made,
        notes=notes,
    ).of_size(edges=edges, share=share, choose=choose, connected=connected)


def _method(by: Any, parameters: dict[str, Any]) -> tuple[Any, str]:
    """What scores edges, and its name."""
    if isinstance(by, str) and by in ESTIMATORS:
        kind = ESTIMATORS[by]
        known = [field.name for field in fields(kind)]
        for name in parameters:
            if name not in known:
                raise InputError(
                    unknown(f"parameter of {by}", name, known) if known else f"{by} has no parameter {name!r}."
                )
        return kind(**parameters), by
    if by == EDGE_GATES:
        return resolve("integrated-gradients", "attribution", parameters, find_circuit), EDGE_GATES
    if type(by) in ESTIMATORS.values() and not parameters:
        return by, next(name for name, kind in ESTIMATORS.items() if isinstance(by, kind))
    method = resolve(by, "attribution", parameters, find_circuit)
    return method, name_of(method)


def _reference(prepared: Sequence[Any]) -> str:
    given = {one.encoded.reference for one in prepared}
    return given.pop() if len(given) == 1 else "one for each text"
