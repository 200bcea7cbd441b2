"""Models with the complications of real ones: words of several tokens, a token of several words, a wrapper."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from interp_core.model import TextModel
from interp_core.testing._tiny_models import SPECIAL, WORDS, _BagOfWords, word_tokenizer
from torch import nn

PIECES, TOGETHER = ("hap", "##py"), "so very"


class Wrapped(nn.Module):
    """A model inside of another, which hands everything on: as of PEFT, of a compiler, or of a program's own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config

    def get_input_embeddings(self) -> nn.Module:
        """Those of the model inside."""
        embeddings: nn.Module = self.inner.get_input_embeddings()  # type: ignore[operator]
        return embeddings

    def forward(self, **given: Any) -> Any:
        return self.inner(**given)


def wrapped(model: TextModel) -> TextModel:
    """The same model behind a `forward(**given)`."""
    return TextModel(Wrapped(model.model).train(model.model.training), model.tokenizer)


def halved(model: TextModel) -> TextModel:
    """A copy in bfloat16."""
    return TextModel(copy.deepcopy(model.model).to(torch.bfloat16), model.tokenizer)


def piecewise_model(worth: Mapping[str, tuple[float, ...]]) -> TextModel:
    """A classifier that adds up what pieces are worth: `happy` is the pieces `hap` and `##py`, `so very` is one piece.

    Args:
        worth: for each piece what it adds to the logits, a number for each class; other pieces add nothing.
    """
    tokenizer = _piece_tokenizer()
    table = torch.zeros(len(tokenizer), len(next(iter(worth.values()))))
    for piece, values in worth.items():
        table[tokenizer.convert_tokens_to_ids(piece)] = torch.tensor(values)
    return TextModel(Wrapped(_BagOfWords(table)).eval(), tokenizer)


def _piece_tokenizer() -> Any:
    from tokenizers import Tokenizer, models

    made = word_tokenizer()
    words = [word for word in WORDS if word != "".join(PIECES).replace("##", "")]
    inner: Tokenizer = made.backend_tokenizer
    ids = {piece: i for i, piece in enumerate((*SPECIAL, *words, *PIECES))}
    inner.model = models.WordPiece(ids, unk_token="[UNK]")
    made.add_tokens([TOGETHER])
    return made
