"""The value `Lens`: what a model would answer at each layer and token, and how far that is from its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_core.errors import InputError
from interp_core.results import (
    MadeBy,
    Value,
    counted,
    for_json,
    load_tensors,
    place_of,
    quoted,
    reading,
    save_tensors,
)
from jaxtyping import Float, Int
from torch import Tensor

KIND = "lens"
TENSORS = (
    *("answers", "answer_probabilities", "top_ids", "top_probabilities"),
    *("rank", "probability", "divergence", "entropy"),
)
SHOWN_TOKENS, WIDEST = 6, 12  # columns of the table of a summary, and characters of one


@dataclass(frozen=True, eq=False, repr=False)
class Lens(Value):
    """What a model would answer at each of t tokens if it stopped at each of l layers; made by `interp.logit_lens`.

    Attributes:
        layers: the l layers, lowest first: `"embeddings"`, and paths of blocks.
        text: the text.
        tokens: the t tokens at which the model answers: a generator with the token that comes next, a masked model with
            the token that belongs there. `"(text)"` alone for a classifier.
        words: what the numbers in `answers` and `top_ids` stand for: tokens of the vocabulary, tags or classes.
        answers: (t) the model's own answer, the likeliest.
        answer_probabilities: (t) the probability of the model's own answer.
        top_ids: (l, t, k) the k likeliest answers at each layer, likeliest first.
        top_probabilities: (l, t, k) their probabilities.
        rank: (l, t) the rank of the model's own answer at each layer; 1 is first.
        probability: (l, t) the probability of the model's own answer at each layer.
        divergence: (l, t) the Kullback-Leibler divergence of the model's distribution p from that of the layer q, in
            nats: the sum of p · ln(p / q), 0 where the two agree.
        entropy: (l, t) the entropy of the distribution of the layer, in nats.
        made_by: how it was made.
        notes: what a reader should know.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_generator
        >>> seen = interp.logit_lens(tiny_generator(), "i feel so", top=2, progress=False)
        >>> seen.tokens, [word for word, probability in seen.top(-1, "so")]
        (('[CLS]', 'i', 'feel', 'so', '[SEP]'), ['red', 'i'])
    """

    layers: tuple[str, ...]
    text: str
    tokens: tuple[str, ...]
    words: dict[int, str]
    answers: Int[Tensor, " t"]
    answer_probabilities: Float[Tensor, " t"]
    top_ids: Int[Tensor, "l t k"]
    top_probabilities: Float[Tensor, "l t k"]
    rank: Int[Tensor, "l t"]
    probability: Float[Tensor, "l t"]
    divergence: Float[Tensor, "l t"]
    entropy: Float[Tensor, "l t"]
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    def top(self, layer: int | str, token: int | str) -> list[tuple[str, float]]:
        """The likeliest answers at a layer and token, with probabilities, likeliest first.

        Args:
            layer: its position in `layers`, negative from the end, or its name.
            token: its position in `tokens`, or the token.

        Raises:
            InputError: there is no such layer or token.
        """
        i = place_of(layer, self.layers, "layer", "this lens")
        j = place_of(token, self.tokens, "token", "this lens")
        pairs = zip(self.top_ids[i, j].tolist(), self.top_probabilities[i, j].tolist(), strict=True)
        return [(self.words[number], probability) for number, probability in pairs]

    @property
    def answer(self) -> tuple[str, ...]:
        """What the model itself answers at each token."""
        return tuple(self.words[number] for number in self.answers.tolist())

    def one_line(self) -> str:
        """The layers and tokens, and how the divergence goes from the first layer to the last."""
        size = f"{counted(len(self.layers), 'layer')}, {counted(len(self.tokens), 'token')} of {quoted([self.text])}"
        means = self.divergence.mean(1)
        ends = f"{means[0]:.2f} to {means[-1]:.2f}" if len(means) > 1 else f"{means[0]:.2f}"
        return f"{size}, divergence {ends} nats, by {self.made_by.brief}"

    def summary(self) -> str:
        """A table of what is likeliest at each layer, the last on top, for the last few tokens; and the notes.

        Beside it stand the mean divergence and entropy over all tokens, and the share whose answer is that of the
        model.
        """
        shown = range(max(0, len(self.tokens) - SHOWN_TOKENS), len(self.tokens))
        head = ["layer", "divergence", "entropy", "right", *(self.tokens[j] for j in shown)]
        rows = [[*self._means(i), *(self.top(i, j)[0][0] for j in shown)] for i in reversed(range(len(self.layers)))]
        cells = [[_cell(cell) for cell in row] for row in (head, *rows)]
        first = max(len(row[0]) for row in (head, *rows))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join([whole[0].ljust(first), *(c.ljust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
            for whole, row in zip((head, *rows), cells, strict=True)
        ]
        return "\n".join([repr(self), *lines, *self.notes])

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """One row for each layer and token, with what is likeliest there beside the model's answer."""
        places = [(i, j) for i in range(len(self.layers)) for j in range(len(self.tokens))]
        answer, sure = self.answer, self.answer_probabilities.tolist()
        return {
            "layer": [self.layers[i] for i, _ in places],
            "position": [j for _, j in places],
            "token": [self.tokens[j] for _, j in places],
            "likeliest": [self.words[number] for number in self.top_ids[:, :, 0].flatten().tolist()],
            "likeliest_probability": self.top_probabilities[:, :, 0].flatten().tolist(),
            "answer": [answer[j] for _, j in places],
            "answer_probability": [sure[j] for _, j in places],
            "rank": self.rank.flatten().tolist(),
            "probability": self.probability.flatten().tolist(),
            "divergence": self.divergence.flatten().tolist(),
            "entropy": self.entropy.flatten().tolist(),
        }

    def to_json(self) -> dict[str, Any]:
        """The lens as JSON values, with the likeliest in words; infinite divergences are None, and a note says so."""
        numbers = {name: getattr(self, name).tolist() for name in TENSORS if name not in ("answers", "top_ids")}
        top = [[[self.words[n] for n in token] for token in layer] for layer in self.top_ids.tolist()]
        said = {"layers": list(self.layers), "text": str(self.text), "tokens": list(self.tokens), "top": top}
        whole = {**said, "answer": list(self.answer), **numbers, "notes": list(self.notes)}
        return for_json({**whole, "made_by": self.made_by.to_json()})

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        data = {
            "layers": self.layers,
            "text": str(self.text),
            "tokens": self.tokens,
            "words": list(self.words.items()),
            "made_by": self.made_by.to_json(),
            "notes": self.notes,
        }
        return save_tensors(path, KIND, {name: getattr(self, name) for name in TENSORS}, data)

    @classmethod
    def load(cls, path: str | Path) -> Lens:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The lens.

        Raises:
            InputError: there is no such file, it does not hold a lens, or it is damaged.
        """
        tensors, data = load_tensors(path, KIND)
        lost = [name for name in TENSORS if name not in tensors]
        if lost:
            raise InputError(f"{Path(path).name} is damaged: it holds no {lost[0]!r}. Restore or remake it.")
        with reading(path):
            return cls(
                **{name: tensors[name].clone() for name in TENSORS},
                layers=tuple(data["layers"]),
                text=data["text"],
                tokens=tuple(data["tokens"]),
                words={int(number): word for number, word in data["words"]},
                made_by=MadeBy.from_json(data["made_by"]),
                notes=tuple(data["notes"]),
            )

    def _means(self, layer: int) -> list[str]:
        right = float((self.rank[layer] == 1).float().mean())
        means = float(self.divergence[layer].mean()), float(self.entropy[layer].mean())
        return [self.layers[layer], *(f"{mean:.3f}" for mean in means), f"{right:.0%}"]


def _cell(text: str) -> str:
    """A cell of a table in a line, cut to the widest that one may be."""
    line = " ".join(text.split()) or repr(text)
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
