"""What a small model is asked, and what plain transformers answers: one text at a time, without padding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import interp_core as interp
import torch
from torch import Tensor

from zoo.building import Small

TEXTS = ("the old dog was never calm", "so happy", "a red house on the road and the sun")
QUESTION = "what was cold"
CONTINUATION = " and the"


@dataclass(frozen=True)
class Plain:
    """A small model with its texts, and its answers without the toolkit."""

    small: Small

    @property
    def model(self) -> Any:
        return self.small.model

    @property
    def texts(self) -> list[Any]:
        """Three texts of different lengths, in the form that the head needs."""
        if self.small.head == "answer":
            return [(QUESTION, text) for text in TEXTS]
        mask = self.small.tokenizer.mask_token
        return [f"{text} {mask}" for text in TEXTS] if self.small.head == "gaps" else list(TEXTS)

    @property
    def targets(self) -> Any:
        """What `attribute` is asked for."""
        if self.small.head in ("continuation", "translation"):
            return [CONTINUATION] * len(TEXTS)
        if self.small.head == "gaps":
            return [7] * len(TEXTS)
        return "all" if self.small.head == "classes" else None

    def ids(self, text: Any) -> tuple[Tensor, int]:
        """The ids of a text as its tokenizer gives them, and how many of them the encoder reads."""
        tokenizer = self.small.tokenizer
        if isinstance(text, tuple):
            return torch.tensor(tokenizer(*text)["input_ids"]), 0
        ids = list(tokenizer(text)["input_ids"])
        if self.small.head == "continuation":
            return torch.tensor(ids + tokenizer(CONTINUATION, add_special_tokens=False)["input_ids"]), 0
        if self.small.head == "translation":
            answer = [i for i in tokenizer(CONTINUATION)["input_ids"] if i not in (tokenizer.eos_token_id,)]
            start = self.model.config.decoder_start_token_id
            return torch.tensor([*ids, start, *answer]), len(ids)
        return torch.tensor(ids), 0

    def call(self, ids: Tensor, source: int, **options: Any) -> Any:
        """The model's output for one row of ids."""
        inputs: dict[str, Tensor] = {"input_ids": ids[None]}
        if source:
            inputs = {"input_ids": ids[None, :source], "decoder_input_ids": ids[None, source:]}
        extra = {"use_cache": False} if self.small.family == "rwkv" else {}  # which it writes into
        return self.model(**inputs, return_dict=True, **options, **extra)

    def scores(self, output: Any, targets: Any) -> Tensor:
        """One score for each target: the logit of a class, a tag, start and stop; the log-probability of a token."""
        if "start_logits" in output and output["start_logits"] is not None:
            both = torch.stack([output["start_logits"][0], output["end_logits"][0]])
            return torch.stack([sum(both[p.position, p.index] for p in t.parts) for t in targets])
        logits = output["logits"][0].float()
        if self.small.head == "classes":
            return torch.stack([logits[t.index] for t in targets])
        if self.small.head == "tags":
            return torch.stack([logits[t.position, t.index] for t in targets])
        likely = logits.log_softmax(-1)
        if self.small.head == "gaps":
            return torch.stack([likely[t.position, t.index] for t in targets])
        return torch.stack([likely[t.position - 1, t.index] for t in targets])

    def moved(self, targets: Any, source: int) -> Any:
        """The targets at the positions of the decoder's own output."""
        from dataclasses import replace

        return [replace(t, position=t.position - source) for t in targets] if source else targets

    @cached_property
    def tables(self) -> list[Any]:
        """The embeddings; of a model with a decoder, those of encoder and decoder."""
        if not getattr(self.model.config, "is_encoder_decoder", False):
            inner = "T5" in type(self.model).__name__  # its encoder alone has a second module around the table
            return [(self.model.get_encoder() if inner else self.model).get_input_embeddings()]
        return [stack.get_input_embeddings() for stack in (self.model.get_encoder(), self.model.get_decoder())]

    @contextmanager
    def entering(self, rows: Tensor, source: int) -> Iterator[None]:
        """A context in which the embeddings of a text are these (t, d), of a classifier with a decoder for both."""
        first, seen = rows[: source or len(rows)], list[None]()
        tokens_first = self.small.family == "xlnet"

        def hook(_module: Any, inputs: Any, output: Any) -> Any:
            if self.small.family in ("led", "longformer") and int(inputs[0].max()) == 0:
                return output  # of padding alone
            seen.append(None)
            own = output[0] if isinstance(output, tuple) else output
            part = first if len(seen) == 1 or len(self.tables) == 1 else rows[source:]
            if len(seen) > 1 and len(self.tables) > 1 and not source:
                part = torch.cat([own[0, :1], rows[:-1]])
            own = own.transpose(0, 1) if tokens_first else own
            new = torch.cat([part[None], own[:, len(part) :]], dim=1)  # some models pad a text
            new = new.transpose(0, 1) if tokens_first else new
            return (new, *output[1:]) if isinstance(output, tuple) else new

        handles = [table.register_forward_hook(hook) for table in dict.fromkeys(self.tables)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def embedded(self, ids: Tensor, source: int) -> Tensor:
        """The embeddings (t, d) of a text."""
        border = source or len(ids)
        with torch.no_grad():
            parts = [self.tables[0](ids[None, :border]), self.tables[-1](ids[None, border:])]
        # some tables give a scale beside
        return torch.cat([part[0][0] if isinstance(part, tuple) else part[0] for part in parts])

    def score_of(self, rows: Tensor, ids: Tensor, source: int, targets: Any) -> Tensor:
        """The scores with these embeddings (t, d) in place of those of the ids."""
        with self.entering(rows, source):
            return self.scores(self.call(ids, source), self.moved(targets, source))


def wrapped(plain: Plain, side: str = "right") -> interp.TextModel:
    """The small model in the toolkit, with a tokenizer that pads on a side."""
    import copy

    tokenizer = copy.deepcopy(plain.small.tokenizer)
    tokenizer.padding_side = side
    return interp.TextModel(plain.model, tokenizer)
