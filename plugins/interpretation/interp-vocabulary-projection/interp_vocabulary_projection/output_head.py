"""What a model makes of the output of its last block, and how a push there moves its logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from interp_core.errors import UnsupportedError
from interp_core.model import (
    BatchRunner,
    GeneratorRows,
    Layer,
    ModelRequest,
    SplitModel,
    pieces_of,
    tap,
    text_rows,
)
from interp_core.text import Text, batched_by_size
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

TEXTS_AT_A_TIME, NUMBERS_AT_A_TIME = 64, 2**24  # of states or logits
HEADS = ("causal", "masked")


@dataclass(frozen=True, eq=False)
class OutputHead:
    """All that follows the last block: the final norm, the unembedding, and whatever else a model has there.

    Attributes:
        layer: where directions enter: the last block, or a layer above it that concepts are of.
        size: the number v of logits.
    """

    layer: Layer
    size: int

    @classmethod
    def of(cls, split: SplitModel) -> OutputHead:
        """What follows the last block of a split model.

        Raises:
            UnsupportedError: the model predicts no tokens, or has an encoder and a decoder.
        """
        model = split.model
        if model.head not in HEADS:
            instead = (
                "its decoder alone gives logits, which no direct path leads to"
                if model.head == "encoder-decoder"
                else "use interp.importance or interp.effect, which tell what concepts do to its classes"
                if model.tags
                else "load it with a language model's head, such as task='CausalLM'"
            )
            raise UnsupportedError(
                f"{model.name} has a head of type {model.head!r} and none over a vocabulary; {instead}."
            )
        last = model.blocks[-1]
        above = split.path != last and _runs_last(split, last)
        layer = split if above or split.path == last else Layer(model, last)
        return cls(layer, int(model.logits(model.some_ids()).shape[-1]))

    def mean_state(self, texts: Sequence[Text]) -> Float[Tensor, " d"]:
        """The mean state of the tokens of texts, those left out that the tokenizer adds."""
        runner, total, count = BatchRunner(self.layer.model), torch.zeros(self.layer.width, dtype=torch.float64), 0
        encoded = map(self.layer.model.encoder, texts)
        limit = NUMBERS_AT_A_TIME // self.layer.width
        for some in batched_by_size(encoded, len, limit, TEXTS_AT_A_TIME):
            for one, states in zip(some, self.layer.states(runner, some), strict=True):
                own = states.cpu()[~one.special].double()
                total += own.sum(0)
                count += len(own)
        return (total / count).float()

    def pushed(self, state: Float[Tensor, " d"], directions: Float[Tensor, "c d"]) -> Iterator[Float[Tensor, "b v"]]:
        """What a push along each direction adds to the logits, to first order at a state; some directions at a time.

        Raises:
            UnsupportedError: an operation of the head has no derivative of this kind.
        """
        runner = BatchRunner(self.layer.model)
        rows = min(runner.rows_a_pass(len(self.layer.model.some_ids()[0])), NUMBERS_AT_A_TIME // self.size)
        for piece in pieces_of(len(directions), rows):
            yield self._slopes(runner, state, directions[piece])

    def _slopes(
        self, runner: BatchRunner, state: Float[Tensor, " d"], directions: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b v"]:
        """One pass in forward mode: every token of a short text has the state, and each row a direction."""
        model = self.layer.model
        encoded = model.encoder(model.probe("one two three four"))
        b, t = len(directions), len(encoded)
        with torch.inference_mode(False), torch.no_grad(), forward_ad.dual_level():
            values, pushes = (
                one.to(model.device, model.dtype).expand(b, t, -1).clone() for one in (state, directions[:, None])
            )
            plain = text_rows(encoded, torch.ones(b, t, dtype=torch.bool), forward_ad.make_dual(values, pushes))
            copies = GeneratorRows(**vars(plain), positions=(encoded.last,))
            request = ModelRequest(torch.full((b,), t), lambda _: copies, injection=self.layer.injection)
            try:
                logits = runner.forward([copies], request).logits[:, 0]
            except NotImplementedError as error:
                raise UnsupportedError(
                    f"the head of {model.name} cannot be differentiated in forward mode: {error}"
                ) from error
            slopes = forward_ad.unpack_dual(logits).tangent
        return torch.zeros(logits.shape) if slopes is None else slopes.float().cpu()


def _runs_last(split: SplitModel, block: str) -> bool:
    """Whether the layer of a split runs after a block."""
    model, order = split.model, list[str]()

    def noting(path: str) -> Callable[[Tensor], Tensor]:
        def note(output: Tensor) -> Tensor:
            order.append(path)
            return output

        return note

    with (
        tap(model.model, split.path, replace=noting(split.path), layout=model.layout),
        tap(model.model, block, replace=noting(block), layout=model.layout),
    ):
        model.logits(model.some_ids())
    return order[-1] == split.path
