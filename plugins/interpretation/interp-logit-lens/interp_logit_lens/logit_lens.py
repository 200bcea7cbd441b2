"""The logit lens: the states of each block, read by the head of the model as if they were those of the last."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from interp_core.display import progress_bar, progress_shown
from interp_core.errors import InputError, InterpWarning, UnsupportedError
from interp_core.model import TextModel
from interp_core.plugin import named_options
from interp_core.results import Cost, MadeBy, made_by
from interp_core.text import Encoded, Text
from jaxtyping import Float
from torch import Tensor

from interp_logit_lens.distributions import Reading, reading
from interp_logit_lens.lens import Lens
from interp_logit_lens.stream import EMBEDDINGS, VOCABULARY, Stream

NUMBERS = 2**24  # logits that are held at once, at most
PACKAGE = "interp-logit-lens"
SOURCE = "nostalgebraist 2020, interpreting GPT: the logit lens, LessWrong"


@runtime_checkable
class Translators(Protocol):
    """Translates the states of a layer into those that the last block would give, such as a `TunedLens`."""

    @property
    def made_by(self) -> MadeBy:
        """How they were made."""
        ...

    def notes_on(self, model: TextModel) -> tuple[str, ...]:
        """What a reader should know where they are used on this model; an `InputError` where they do not fit it."""
        ...

    def translated(self, layer: str, states: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
        """The states (t, d) of a layer, translated."""
        ...


@named_options
def logit_lens(
    model: TextModel,
    text: Text,
    *,
    layers: Literal["all"] | int | str | Sequence[int | str] = "all",
    continuation: str | None = None,
    top: int = 5,
    lens: Translators | None = None,
    progress: bool = True,
) -> Lens:
    """Logit lens: what a model would answer at each token if it stopped at each of its blocks.

    The states of a layer are injected in place of the output of the last block, and the rest of the model runs on them:
    final norm, head transform, unembedding, capping of logits. The row of the last block is the model's own answer. A
    model that writes or fills in text answers with tokens of its vocabulary, a tagger with tags, a classifier with
    classes, once for the whole text.

    The cost is one pass over the text, and one pass of the head for each layer. At most 2^24 logits are held at once.

    Args:
        model: the model.
        text: a string, a pair of strings or a chat, as in `attribute`; cut to what the model takes.
        layers: `"all"` for the input of the first block, called `"embeddings"`, and the output of every block; or a
            list of numbers of blocks (negative from the end), their paths and `"embeddings"`. For an encoder-decoder
            model these are the blocks of the decoder.
        continuation: a continuation that a generator reads after the text. For an encoder-decoder model it is the
            target text; without it there is only the token with which the decoder starts.
        top: number of the likeliest tokens, tags or classes that are kept, at least 1.
        lens: translators of the states, such as those of `interp.fit_tuned_lens`; None for the states as they are.
        progress: show a progress bar in terminals and notebooks.

    Returns:
        For each layer and token the likeliest answers, and their divergence from the model's own.

    Raises:
        InputError: the text is empty or no text, a layer does not exist or is named twice, `top` is below 1, or the
            lens is for another model.
        LayerError: the blocks were not found, run several times without being told apart, or differ in width.
        UnsupportedError: the head does not choose one of several answers, or the embeddings were asked for and cannot
            be told.
        ModelError: states or logits are NaN.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_generator
        >>> model = tiny_generator()
        >>> seen = interp.logit_lens(model, "i feel so", progress=False)
        >>> seen.layers
        ('embeddings', 'transformer.h.0', 'transformer.h.1')
        >>> seen.rank[-1].tolist(), float(seen.divergence[-1].max()) < 1e-6
        ([1, 1, 1, 1, 1], True)

    Source:
        nostalgebraist 2020, interpreting GPT: the logit lens, LessWrong; with all that follows the last block in place
        of the final norm and the unembedding alone.
    """
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise InputError(f"top is {top!r}; a whole number from 1 was expected.")
    if lens is not None and not isinstance(lens, Translators):
        raise InputError(f"lens is {type(lens).__name__}; what interp.fit_tuned_lens gives was expected, or None.")
    cost = Cost()
    with torch.inference_mode(False), torch.no_grad(), progress_shown(progress), cost.timed():
        stream = Stream(model, cost)
        chosen = _chosen(stream, layers)
        notes = lens.notes_on(model) if lens is not None else ()
        encoded = stream.encoded(text, continuation)
        (states,) = stream.states([encoded], chosen)
        notes += _notes(stream, encoded, missing=EMBEDDINGS in chosen and EMBEDDINGS not in states)
        if EMBEDDINGS in chosen and EMBEDDINGS not in states and layers != "all":
            raise UnsupportedError(f"{notes[-1]} Leave {EMBEDDINGS!r} out.")
        if lens is not None:
            last = stream.blocks[-1]
            states = {name: one if name == last else lens.translated(name, one) for name, one in states.items()}
        view = _View(stream, encoded, tuple(states.values()), top)
        read, answers, probabilities = view.read()
    for note in notes:
        warnings.warn(note, InterpWarning, stacklevel=3)
    settings = {"layers": list(states), "top": top} | ({} if lens is None else {"lens": lens.made_by.to_json()})
    made = replace(
        made_by("logit-lens" if lens is None else "tuned-lens", cost, model.name, settings),
        package=PACKAGE,
        version=version(PACKAGE),
        source=SOURCE if lens is None else lens.made_by.source,
    )
    return Lens(
        layers=tuple(states),
        text=encoded.text,
        tokens=view.tokens,
        words=view.words({*read.top_ids.flatten().tolist(), *answers.tolist()}),
        answers=answers,
        answer_probabilities=probabilities,
        **{field.name: getattr(read, field.name) for field in fields(read)},
        made_by=made,
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class _View:
    """One text, and its states (t, d) at each of l layers, ready for the head."""

    stream: Stream
    encoded: Encoded
    states: tuple[Tensor, ...]
    top: int

    def read(self) -> tuple[Reading, Tensor, Tensor]:
        """What each layer says at each token, the model's answers, and their probabilities.

        Some tokens at a time, and of these some layers, so that no more than about `NUMBERS` logits are held.
        """
        positions, parts, final = self.stream.positions(self.encoded), [], []
        size = self._size
        tokens = max(1, NUMBERS // size)
        chunks = [positions[start : start + tokens] for start in range(0, len(positions), tokens)]
        with progress_bar(None, "lens", total=len(positions) * len(self.states), unit="state") as bar:
            for chunk in chunks:
                own = self.stream.logits(self.encoded, chunk)[0].log_softmax(-1)
                final.append(own.max(-1))
                layers = []
                for logits in self._logits(chunk, max(1, tokens // len(chunk))):
                    layers.append(reading(logits, own, self.top))
                    bar.update(len(chunk))
                parts.append(_joined(layers, stack=True))
        answers = torch.cat([one.indices for one in final]).cpu()
        return _joined(parts, stack=False), answers, torch.cat([one.values for one in final]).exp().float().cpu()

    def _logits(self, chunk: Sequence[int], together: int) -> Iterator[Tensor]:
        """The logits (m, v) of each layer at some tokens, several layers in one pass."""
        for start in range(0, len(self.states), together):
            yield from self.stream.logits(self.encoded, chunk, torch.stack(self.states[start : start + together]))

    @property
    def _size(self) -> int:
        """The number of tokens, tags or classes that the head chooses from."""
        model = self.stream.model
        if model.head not in VOCABULARY:
            return len(model.tags) or 1
        weight = getattr(model.model.get_output_embeddings(), "weight", None)
        return model.embeddings.count if weight is None else len(weight)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that the model answers at, or the whole text of a classifier."""
        if self.stream.model.head == "single-label":
            return ("(text)",)
        ids = self.encoded.ids[list(self.stream.positions(self.encoded))].tolist()
        known = {one: _token(self.stream.model.tokenizer, one) for one in set(ids)}
        return tuple(known[one] for one in ids)

    def words(self, ids: set[int]) -> dict[int, str]:
        """What the tokens, tags or classes with these numbers are called."""
        model = self.stream.model
        if model.head not in VOCABULARY:
            return {one: model.tags[one] for one in sorted(ids)}
        return {one: _token(model.tokenizer, one) for one in sorted(ids)}


def _joined(parts: Sequence[Reading], *, stack: bool) -> Reading:
    """Readings of several layers, or of several tokens at all layers, as one."""
    named = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Reading)}
    return Reading(**{name: torch.stack(some) if stack else torch.cat(some, dim=1) for name, some in named.items()})


def _token(tokenizer: Any, number: int) -> str:
    """A token as a reader knows it; an embedding without a token, as vocabularies are filled up with, is its number."""
    try:
        piece = tokenizer.convert_ids_to_tokens(number)
        return str(tokenizer.decode([number]) or piece or f"<{number}>")
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        return f"<{number}>"


def _chosen(stream: Stream, layers: Any) -> tuple[str, ...]:
    """The layers that a caller names, in the order of the model.

    Raises:
        InputError: one does not exist or is named twice, or none is named.
    """
    if isinstance(layers, str) and layers == "all":
        return stream.layers
    asked = [layers] if isinstance(layers, int | str) else layers
    if not isinstance(asked, Sequence | range) or not asked:
        raise InputError(f"layers is {layers!r}; 'all', or numbers or paths of blocks in a list were expected.")
    places = [_place(stream, one) for one in asked]
    if len(set(places)) != len(places):
        raise InputError(f"layers is {layers!r}, where a layer is named twice; name each once.")
    return tuple(stream.layers[place] for place in sorted(places))


def _place(stream: Stream, layer: Any) -> int:
    """Where a layer stands among the embeddings and the blocks."""
    count = len(stream.blocks)
    if isinstance(layer, str) and layer in stream.layers:
        return stream.layers.index(layer)
    if isinstance(layer, int) and not isinstance(layer, bool) and -count <= layer < count:
        return layer % count + 1
    raise InputError(
        f"there is no layer {layer!r}; {stream.model.name} has the blocks 0 to {count - 1}, {stream.blocks[0]!r} to "
        f"{stream.blocks[-1]!r}, and {EMBEDDINGS!r}."
    )


def _notes(stream: Stream, encoded: Encoded, *, missing: bool) -> tuple[str, ...]:
    cut = f"{encoded.cut} tokens are beyond what {stream.model.name} takes and were cut off."
    without = f"What enters the first block of {stream.model.name} could not be told from what its tokens say together."
    return (*[cut] * (encoded.cut > 0), *[without] * missing)
