"""Learns the translators of a tuned lens: so that the head gives, for the states of each layer, the model's answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from interp_core.display import progress_bar, progress_shown
from interp_core.errors import InputError, InterpWarning, ModelError, UnsupportedError
from interp_core.model import ModelRequest, TextModel, TextRows
from interp_core.plugin import named_options
from interp_core.results import Cost, counted, made_by
from interp_core.text import Encoded, Text, as_texts
from interp_logit_lens.distributions import divergence
from interp_logit_lens.logit_lens import NUMBERS
from interp_logit_lens.stream import EMBEDDINGS, VOCABULARY, Stream
from jaxtyping import Float
from torch import Tensor, nn

from interp_tuned_lens.tuned_lens import TunedLens

PACKAGE = "interp-tuned-lens"
SOURCE = "Belrose et al. 2023, arXiv:2303.08112"
LOG_POINTS = 100  # of the history


@named_options
def fit_tuned_lens(
    model: TextModel,
    texts: Text | Iterable[Text],
    *,
    steps: int = 250,
    learning_rate: float = 0.003,
    batch_size: int = 8,
    share_held_out: float = 0.1,
    seed: int = 0,
    progress: bool = True,
) -> TunedLens:
    """Learn a tuned lens: an affine translator for each layer of a model, for `logit_lens(model, text, lens=…)`.

    Each translator starts as the identity and is trained so that the distribution that the head gives for the
    translated states comes close to the model's own, by the mean Kullback-Leibler divergence over all tokens. The model
    is only called; nothing in it changes. The cost is one pass over `batch_size` texts for each step, and the head
    forward and backward for each layer; memory holds a matrix (d, d) for each layer.

    Args:
        model: a generator with one stack, a masked model, or a tagger.
        texts: at least two texts, like those that the lens is for; cut to what the model takes.
        steps: number of training steps, at least 0; 0 leaves the logit lens.
        learning_rate: learning rate of Adam, above 0, for matrices and biases; it falls linearly to 0.
        batch_size: number of texts in a step, at least 1, each with all its tokens.
        share_held_out: share of the texts, above 0 and below 1, that is held out to measure the divergence before and
            after; at least one text.
        seed: random seed of the order of the texts, at least 0; the global random state is not used.
        progress: show a progress bar in terminals and notebooks.

    Returns:
        The translators of the embeddings and of each block but the last, with the divergence of each on held-out texts.

    Raises:
        InputError: fewer than two texts, or a parameter is out of its range.
        LayerError: the blocks were not found, or differ in width.
        UnsupportedError: the model is an encoder-decoder or a classifier of whole texts, gradients do not pass through
            it, or it has one block and no embeddings to translate.
        ModelError: the divergence became NaN or infinite.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_generator
        >>> texts = ["i feel so happy today", "the old dog was never calm", "so sad and so tired"]
        >>> tuned = interp.fit_tuned_lens(tiny_generator(), texts, steps=20, progress=False)
        >>> tuned.layers
        ('embeddings', 'transformer.h.0')
        >>> bool((tuned.after < tuned.before).all())
        True

    Source:
        Belrose et al. 2023, arXiv:2303.08112, section 3; with Adam in place of stochastic gradient descent with
        Nesterov momentum and clipped gradients, whole texts in place of chunks of 2,048 tokens, and all that follows
        the last block in place of the final norm and the unembedding.
    """
    settings = _checked(
        steps=steps, learning_rate=learning_rate, batch_size=batch_size, share_held_out=share_held_out, seed=seed
    )
    corpus = as_texts(texts)
    if len(corpus) < 2:
        raise InputError(f"texts holds {len(corpus)}; at least one to learn from and one to hold out are needed.")
    cost = Cost()
    with torch.inference_mode(False), torch.no_grad(), progress_shown(progress), cost.timed():
        stream = Stream(model, cost)
        if model.head not in ("causal", "masked", "tokens"):
            raise UnsupportedError(
                f"{model.name} has a head of type {model.head!r}; a tuned lens is learnt for generators with one "
                "stack, masked models and taggers. The logit lens needs none: leave lens= out."
            )
        stream.runner.check_gradients()
        encoded = [stream.encoded(text) for text in corpus]
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(encoded), generator=generator).tolist()
        held_out = min(max(1, round(share_held_out * len(encoded))), len(encoded) - 1)
        held, learnt = ([encoded[i] for i in some] for some in (order[:held_out], order[held_out:]))
        training = _Training(stream, _layers_of(stream, learnt[0]))
        before = training.measured(held)
        history = training.run(learnt, steps, learning_rate, batch_size, generator)
        after = training.measured(held) if steps else before
    notes = _notes(training.layers, before, after, held_out) + _cut_note(encoded)
    for note in notes[1:]:
        warnings.warn(note, InterpWarning, stacklevel=3)
    made = replace(
        made_by("tuned-lens", cost, model.name, {"texts": len(encoded)}),
        package=PACKAGE,
        version=version(PACKAGE),
        source=SOURCE,
        parameters=settings,
    )
    weights = training.matrices.detach().cpu(), training.biases.detach().cpu()
    return TunedLens(training.layers, *weights, before, after, history, made, notes)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some tokens of one text: all of them, as a rule."""

    encoded: Encoded
    positions: tuple[int, ...]


class _Training:
    """The translators of one model while they are learnt.

    Attributes:
        layers: the layers, lowest first.
        matrices: (l, d, d).
        biases: (l, d).
    """

    def __init__(self, stream: Stream, layers: dict[str, int]) -> None:
        self.stream, self.layers = stream, tuple(layers)
        width, device = next(iter(layers.values())), stream.model.device
        self.matrices = nn.Parameter(torch.zeros(len(layers), width, width, device=device))
        self.biases = nn.Parameter(torch.zeros(len(layers), width, device=device))

    def run(
        self, texts: Sequence[Encoded], steps: int, learning_rate: float, batch_size: int, generator: torch.Generator
    ) -> dict[str, list[float]]:
        """Take all steps, and return what was logged."""
        optimiser = torch.optim.Adam([self.matrices, self.biases])
        history: dict[str, list[float]] = {"step": [], "divergence": []}
        batches = _batches(texts, batch_size, generator)
        for step in progress_bar(range(steps), "tuned lens"):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * (1 - step / steps)
            optimiser.zero_grad()
            mean = float(self._divergences(next(batches), learn=True).mean())
            if not math.isfinite(mean):
                raise ModelError(
                    f"the divergence became {mean} in step {step}; lower the learning rate, {learning_rate}, or leave "
                    "out tokens that the model holds impossible."
                )
            optimiser.step()
            if step % max(1, steps // LOG_POINTS) == 0 or step == steps - 1:
                history["step"].append(float(step))
                history["divergence"].append(mean)
        return history

    def measured(self, texts: Sequence[Encoded]) -> Float[Tensor, " l"]:
        """The mean divergence of each layer over all tokens of texts."""
        return self._divergences(texts, learn=False)

    def _divergences(self, texts: Sequence[Encoded], *, learn: bool) -> Float[Tensor, " l"]:
        """The mean divergence of each layer over all tokens; its gradient is added to the translators' if they learn.

        Some texts at a time, and of these some layers, so that no more than about `NUMBERS` logits are held.
        """
        total = sum(len(self.stream.positions(one)) for one in texts)
        sums = torch.zeros(len(self.layers))
        for pieces in self._groups(texts):
            states = self.stream.states([piece.encoded for piece in pieces], self.layers)
            own = self._logits(pieces).log_softmax(-1)
            together = max(1, self._most // _padded(pieces))
            for start in range(0, len(self.layers), together):
                places = range(len(self.layers))[start : start + together]
                with torch.set_grad_enabled(learn):
                    values = [self._translated(place, one[self.layers[place]]) for place in places for one in states]
                    log = self._logits([*pieces] * len(places), values).log_softmax(-1)
                    each = divergence(own.to(log), log.unflatten(0, (len(places), -1))).sum(-1)
                    if learn:
                        (each.sum() / total).backward()
                sums[places.start : places.stop] += each.detach().float().cpu()
        return sums / total

    def _translated(self, place: int, states: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
        exact = states.to(self.biases)
        return (exact + exact @ self.matrices[place].T + self.biases[place]).to(states.dtype)

    def _logits(self, pieces: Sequence[_Piece], states: Sequence[Tensor] | None = None) -> Float[Tensor, "m v"]:
        """The logits at all tokens of the pieces, one after the other, with these states if some are given."""
        values = [None] * len(pieces) if states is None else [one[None] for one in states]
        rows: list[TextRows] = [
            self.stream.rows(piece.encoded, piece.positions, 1, value)
            for piece, value in zip(pieces, values, strict=True)
        ]
        injection = None if states is None else self.stream.last.injection
        lengths = torch.tensor([len(piece.encoded) for piece in pieces])
        request = ModelRequest(lengths, lambda numbers: rows[int(numbers[0])], injection=injection, logits=True)
        logits = self.stream.runner.forward(rows, request).logits
        return torch.cat([self.stream.at(one, p.positions) for one, p in zip(logits, pieces, strict=True)])

    @property
    def _most(self) -> int:
        """How many tokens leave about as many logits as may be held at once, padding included."""
        model = self.stream.model
        size = len(model.tags) if model.head not in VOCABULARY else model.embeddings.count
        return max(1, NUMBERS // max(1, size))

    def _groups(self, texts: Sequence[Encoded]) -> Iterator[list[_Piece]]:
        """The texts in pieces that share a pass; a text whose logits are too many is in several."""
        model, most = self.stream.model, self._most
        together: list[_Piece] = []
        for encoded in texts:
            positions = self.stream.positions(encoded)
            for start in range(0, len(positions), most):
                piece = _Piece(encoded, positions[start : start + most])
                wide = _padded([*together, piece]) > min(most, model.tokens_per_batch)
                if together and (model.sharing != "padded" or wide):
                    yield together
                    together = []
                together.append(piece)
        if together:
            yield together


def _padded(pieces: Sequence[_Piece]) -> int:
    """The tokens that are read where pieces share a pass, padding included."""
    return len(pieces) * max(len(piece.positions) for piece in pieces)


def _layers_of(stream: Stream, encoded: Encoded) -> dict[str, int]:
    """The layers that a translator is learnt for, with the width of their states; without embeddings not to be told.

    Raises:
        UnsupportedError: there are none.
    """
    (states,) = stream.states([encoded], stream.layers[:-1])
    if not states:
        raise UnsupportedError(f"{stream.model.name} has no layer below its last block, so that nothing is translated.")
    return {layer: values.shape[-1] for layer, values in states.items()}


def _batches(texts: Sequence[Encoded], size: int, generator: torch.Generator) -> Iterator[list[Encoded]]:
    """Batches without end; each pass over the texts in another order."""
    waiting: list[int] = []
    while True:
        while len(waiting) < min(size, len(texts)):
            waiting += torch.randperm(len(texts), generator=generator).tolist()
        chosen, waiting = waiting[:size], waiting[size:]
        yield [texts[i] for i in chosen]


def _checked(**given: Any) -> dict[str, Any]:
    """The parameters, in their ranges.

    Raises:
        InputError: one is out of its range.
    """
    for name, least in (("steps", 0), ("batch_size", 1), ("seed", 0)):
        if isinstance(given[name], bool) or not isinstance(given[name], int) or given[name] < least:
            raise InputError(f"{name} is {given[name]!r}; a whole number from {least} was expected.")
    rate, share = given["learning_rate"], given["share_held_out"]
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise InputError(f"learning_rate is {rate!r}; a number above 0 was expected.")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise InputError(f"share_held_out is {share!r}; a share above 0 and below 1 was expected.")
    return given


def _notes(layers: Sequence[str], before: Tensor, after: Tensor, held: int) -> tuple[str, ...]:
    """What a reader should know: first what was gained, then what is to be careful with."""
    means = f"{float(before.mean()):.3f} nats before, {float(after.mean()):.3f} after"
    gained = f"Mean divergence from the model's answer on {counted(held, 'text')} held out: {means}."
    worse = [layer for layer, b, a in zip(layers, before.tolist(), after.tolist(), strict=True) if a > b]
    lost = f"On texts held out, the translation is worse than none at {', '.join(worse)}: learn from more texts."
    without = f"What enters the first block could not be told, so that {EMBEDDINGS!r} has no translator."
    return (gained, *[lost] * bool(worse), *[without] * (EMBEDDINGS not in layers))


def _cut_note(encoded: Sequence[Encoded]) -> tuple[str, ...]:
    count = sum(one.cut > 0 for one in encoded)
    cut = f"{count} of {counted(len(encoded), 'text')} have more tokens than the model takes and were cut."
    return (cut,) if count else ()
