"""Direct effects: what each component writes to a logit along the residual stream alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from interp_core.attribution import REFERENCE, Absence, Components, ModelRunner, Question, about_components
from interp_core.errors import BudgetError, UnsupportedError
from interp_core.model import GatesInjection, WrappedModel, calling_here
from jaxtyping import Float
from torch import Tensor

from interp_direct_effect.frozen_norms import frozen_norms

EXACT = 1e-4  # share of the logit that the scores may miss unsaid
REFUSED = 0.01  # share beyond which scores are not taken to be linear in what components write;
ROUNDINGS = 16  # of half precision, so many roundings if that is more
ROWS, ROWS_CAPPED = 2, 3  # of the model, besides that of the text; and again where its logits are capped
SAID = 6  # targets whose constants a note names


@dataclass(frozen=True)
class DirectEffect:
    """Direct logit attribution: what each component of a model writes to a logit by itself, through no other component.

    With every norm on the way held at the scale it has in the text, the logit is a linear function of what embeddings,
    heads and MLPs add to the residual stream. The score of a component is the part of that function due to its output
    less its output in the reference, through norms, the output projection and the vocabulary or classifier head.

    Scores are in logits; positive ones speak for the target, negative ones against it. The scores, the parts of
    components outside of `over`, and a constant add up to the logit; a note states all three. With `reference="zero"`
    the constant is the contribution of biases, otherwise it is the value of the linear function at the reference.
    Effects through other components are not seen: use occlusion or integrated-gradients over components for these.

    The cost is three rows of the model and one backward row for each target: the text, the text with its norms
    recorded, and the reference with the norms held. Where logits may be capped it is six rows and two backward rows for
    each target. Rows that compute the states of the reference come on top, as for every method. The `rows` of a result
    count those of its question, hence only the first.

    Refused are scores that are not linear in what components write: score spaces other than logits, and heads with a
    nonlinear layer of their own, such as the pooler of BERT. Where the vocabulary head is followed by a cap (Gemma 2)
    the scores are parts of the logit before the cap, which a note says.

    Examples:
        >>> import warnings
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_llama
        >>> asked = {"over": "components", "reference": "zero", "targets": " today", "score": "logit"}
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # the note with the constant
        ...     (found,) = interp.attribute(tiny_llama(), "i feel so happy", by="direct-effect", **asked)
        >>> found.words[:3], found.scores.shape
        (['embeddings', 'L0.H0', 'L0.H1'], torch.Size([1, 7]))

    Source:
        Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; norms are held as in Wang et al. 2022,
        arXiv:2211.00593, section 3. Departs from both in that any reference can be subtracted.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every component for every target.

        Returns:
            Signed scores in logits.

        Raises:
            UnsupportedError: the score is no logit, the units write nothing of their own, or the scores are not linear
                in what components write.
            BudgetError: more than `max_rows` rows would be needed.
        """
        components = question.components
        check(components)
        live = question.intact()  # asked together with those of other texts, so before the model is held
        _check_room(question, ROWS)
        writing = "blocks" if components.encoded.over == "blocks" else "heads and MLPs"
        writers = _writers(components)
        model = components.batch_runner.model
        with model.lock:
            found = _measured(writers, live)
            capped = found.missing > EXACT and model.model.get_output_embeddings() is not None
            if capped:
                _check_room(question, ROWS + ROWS_CAPPED)
                before = _measured(writers)
                if before.missing < min(EXACT, found.missing):
                    question.note("The model caps its logits; the scores are of the logits before the cap.")
                    found = before
        if found.missing > max(REFUSED, ROUNDINGS * torch.finfo(model.dtype).eps):
            raise UnsupportedError(
                f"the scores of {model.name} are not linear in what its {writing} write, even with norms held: parts "
                f"would miss {found.missing:.0%} of a score. Either what reads the last block has a nonlinear layer of "
                "its own, such as a pooler, or other modules write too, such as a state-space layer. Use occlusion or "
                "integrated-gradients."
            )
        if found.missing > EXACT:
            question.note(f"The scores miss {found.missing:.2%} of a logit, which they should add up to.")
        scores = _units(components, writers, found.parts)
        _note(question, found, found.parts.sum((1, 2)) - scores.sum(1))
        return scores


@dataclass(frozen=True)
class _Measured:
    """Parts of logits.

    Attributes:
        parts: (k, t, c) what each component writes at each token.
        live: (k) the logits.
        closed: (k) the held function of the reference.
    """

    parts: Tensor
    live: Tensor
    closed: Tensor

    @property
    def missing(self) -> float:
        """The share of a logit, or of its largest part, by which parts and constant miss it, of the worst target."""
        gap = (self.parts.sum((1, 2)) + self.closed - self.live).abs()
        size = torch.maximum(self.live.abs(), self.parts.sum(1).abs().amax(1)).clamp(min=1e-6)
        return float((gap / size).max())


def check(components: Components) -> None:
    """Refuse what has no direct effect.

    Raises:
        UnsupportedError: the score is not a logit, or the units write nothing of their own.
    """
    over, space = components.encoded.over, components.readout.space
    if space != "logit":
        raise UnsupportedError(
            f"direct-effect adds up parts of a logit, and the score is a {space}, which depends on all other logits "
            "too and is no sum of parts; use score='logit', or contrast two answers."
        )
    if over in ("positions", "concepts"):
        raise UnsupportedError(
            f"{over} write nothing by themselves; use over='components', 'heads', 'mlps' or 'blocks'."
        )


def _check_room(question: Question, rows: int) -> None:
    needed = question.rows + rows
    if question.max_rows is not None and needed > question.max_rows:
        raise BudgetError(
            f"direct-effect needs {needed} rows of the model for this text and max_rows is {question.max_rows}; "
            f"raise it to {needed}."
        )


def _writers(components: Components) -> Components:
    """All that writes into the residual stream: embeddings, heads and MLPs, or embeddings and blocks."""
    encoded = components.encoded
    if encoded.over in ("components", "blocks"):
        return components
    every = replace(encoded, over="components")
    asked = about_components(components.batch_runner, every, components.readout)
    found: Components = asked.components
    return found


def _measured(writers: Components, live: Tensor | None = None) -> _Measured:
    """The parts of the logits of the text, (k) if they are known, or of those before a cap."""
    runner, encoded = _runner(writers), writers.encoded
    model = writers.batch_runner.model
    writers.batch_runner.check_gradients()  # whose trials are not to be mistaken for the passes below
    with frozen_norms(model.model) as norms, uncapped(model) if live is None else nullcontext():
        (slopes,) = runner.gradients(runner.x[None])  # (k, t c, 1)
        live = runner.at(runner.x[None])[0].float().cpu() if live is None else live
        norms.hold()
        closed = runner.at(torch.zeros_like(runner.x[None]))[0].float().cpu()
    k, t = len(slopes), len(encoded)
    parts = slopes.float().cpu().reshape(k, t, -1)
    return _Measured(parts, live, closed)


def _runner(writers: Components) -> ModelRunner:
    """Runs the model with a gate for each token and component, which cuts what lies before the component."""
    injection, encoded = writers.injection, writers.encoded
    cut = replace(injection, mixes=tuple((number, from_here) for number in range(len(injection.sites))))
    t, c = len(encoded), _channels(injection)
    x = torch.ones(t * c, 1, device=writers.reference.device)
    free = encoded.free.to(x.device)[:, None]

    def insert(gates: Tensor) -> Tensor:
        return gates.reshape(len(gates), t, c).masked_fill(free, 1.0)

    absent = Absence(REFERENCE, "features", torch.zeros_like(x))
    owners = torch.arange(len(x))
    parts = writers.batch_runner, encoded, writers.readout, cut, insert, x, absent, owners, None
    return ModelRunner(*parts, reference=writers.reference)


def from_here(gates: Tensor, live: Tensor, reference: Tensor) -> Tensor:
    """The mix of live and reference states, of which only the gates have a gradient, not what made the live states."""
    wide = gates.float().repeat_interleave(live.shape[-1] // gates.shape[-1], -1)
    return (reference + wide * (live.float() - reference).detach()).to(live.dtype)


def _channels(injection: GatesInjection) -> int:
    return sum(len(site.names) for site in injection.sites)


def _units(components: Components, writers: Components, parts: Float[Tensor, "k t c"]) -> Float[Tensor, "k u"]:
    """The parts of the units that were asked about."""
    names = [name for site in writers.injection.sites for name in site.names]
    asked = [name for site in components.injection.sites for name in site.names]
    chosen = parts[:, :, [names.index(name) for name in asked]]
    return chosen.transpose(1, 2).flatten(1) if components.encoded.over == "heads-by-position" else chosen.sum(1)


def _note(question: Question, found: _Measured, others: Float[Tensor, " k"]) -> None:
    """What the scores and which constants add up to."""
    labels = [target.label for target in question.targets]
    several = len(labels) > 1

    def listed(values: Tensor) -> str:
        said = [
            f"{value:+.4f}" + f" for {label!r}" * several for value, label in zip(values.tolist(), labels, strict=True)
        ]
        return ", ".join(said[:SAID]) + ", …" * (len(said) > SAID)

    encoded = question.components.encoded
    zero = encoded.other is None and encoded.reference == "zero"
    what = "which biases write" if zero else "the same function of the reference"
    beside = f", what other components write ({listed(others)})" if bool((others.abs() > EXACT).any()) else ""
    question.note(
        f"The scores{beside} and a constant ({listed(found.closed)}), {what}, add up to the logit "
        f"({listed(found.live)})."
    )


@contextmanager
def uncapped(model: WrappedModel) -> Iterator[None]:
    """A context in which the logits are what the vocabulary head gives, whatever the model does to them afterwards;
    for other threads they stay as they are.
    """
    given: list[Tensor] = []
    meant = calling_here()

    def note(_module: Any, _inputs: Any, output: Tensor) -> None:
        if meant():
            given.append(output)

    def put(_module: Any, _inputs: Any, output: Any) -> Any:
        if meant() and given and isinstance(getattr(output, "logits", None), Tensor):
            output.logits = given[-1]
        return output

    with ExitStack() as stack:
        head = model.model.get_output_embeddings()
        stack.callback(head.register_forward_hook(note).remove)
        stack.callback(model.model.register_forward_hook(put).remove)
        yield
