"""What a concept is about, by the entries of the tokenizer that activate it most when each is a text of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation, LabelledConcept, numbered
from interp_core.errors import InputError, ModelError
from interp_core.model import BatchRunner, SplitModel, pieces_of
from interp_core.plugin import check_fields
from interp_core.text import NO_UNIT, DividedText, Encoded, Unit
from jaxtyping import Float
from torch import Tensor

from interp_top_inputs.poles import Poles, Ranked, joined

TEXTS_AT_A_TIME = 512
LABEL_TOKENS = 5  # of a label, at most
UNUSED = re.compile(r"\[unused\d+\]|<unused\d+>|<extra_id_\d+>|<\|reserved_special_token_\d+\|>|madeupword\d+")
VISIBLE = "␣⏎⇥␍"  # in place of blanks
BLANKS = str.maketrans(" \n\t\r", VISIBLE)
FIRST = (
    "{} adds no token in front, so each entry is the first token of its text, whose states many causal models use for "
    "other ends than the token: their concepts are better read in context."
)


@dataclass(frozen=True)
class TopVocabulary:
    """Top vocabulary: the tokens that activate each concept most when the model reads each as a text of its own.

    Every entry of the tokenizer is entered by its id, between the special tokens that the tokenizer adds to a text, so
    that pieces of words are read as they are. Its row is made like those of the activations: for `"cls"` from the
    position that the classifier reads, for `"last"` from the last token, for other granularities from the entry.
    Special and unused entries are left out, as are those that are parts of a character.

    The words are the entries with the largest positive codes, then, with `bottom`, those with the most negative codes,
    the most negative last; blanks are written as ␣. Of entries that differ only in the blanks around them the strongest
    is shown. The label is made of the first words. There are no examples: the activations only tell layer and
    granularity. What a model makes of a token alone is not what it makes of it in context, which `"top-inputs"` shows.

    The cost is one pass up to the layer for each entry of the vocabulary.

    Args:
        top: maximum number of tokens with the largest codes, at least 1.
        bottom: maximum number of tokens with the most negative codes, for spaces with signed codes; 0 for none.

    Raises:
        InputError: a parameter has another type or is out of range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_generator
        >>> split = tiny_generator().split(0)
        >>> rows = split.activations(["so happy today", "the old cat was sad"])
        >>> space = interp.fit_concepts(rows, by="neurons")
        >>> found = interp.interpret(space, rows, by="top-vocabulary", model=split, concepts=[0], top=3)
        >>> len(found[0].words) <= 3
        True

    Source:
        By definition; the vocabulary as inputs is that of interpreto's `TopKInputs`.
    """

    top: int = 10
    bottom: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.top < 1 or self.bottom < 0:
            raise InputError(f"top={self.top} must be at least 1, bottom={self.bottom} at least 0.")

    def interpret(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Interpretation:
        """Find the strongest tokens of every concept of the space. Runs the model up to its layer once on each token.

        Returns:
            Words and a label for each concept.

        Raises:
            InputError: a code is not a finite number.
            LayerError: the granularity is `"cls"`, and there is no single position that the classifier reads.
            ModelError: a state is not a finite number.
        """
        entries = _entries(split)
        ids, texts = list(entries), list(entries.values())
        keys = numbered(text.strip(VISIBLE) or text for text in texts)
        template, poles = split.model.encoder("a"), Poles(self.top, self.bottom)
        runner = BatchRunner(split.model)
        with torch.inference_mode(False), torch.no_grad():
            for piece in pieces_of(len(ids), TEXTS_AT_A_TIME):
                encoded = [_alone(template, *entry) for entry in zip(ids[piece], texts[piece], strict=True)]
                codes = space.encode(_rows(split, runner, encoded, activations.granularity)).float().cpu()
                poles.add(codes, piece.start, keys[piece])
        concepts = (
            _labelled(i, both, note, texts) for i, (both, note) in enumerate(zip(poles.both, poles.notes, strict=True))
        )
        return Interpretation(tuple(concepts), notes=tuple(_notes(split, len(ids), template)))


def _entries(split: SplitModel) -> dict[int, str]:
    """The entries that are read, by id, as text with visible blanks.

    Raises:
        InputError: there are none.
    """
    tokenizer = split.model.tokenizer
    left_out = set(tokenizer.all_special_ids)
    left_out |= {i for i, token in tokenizer.added_tokens_decoder.items() if getattr(token, "special", False)}
    names = {i: str(name) for name, i in tokenizer.get_vocab().items() if 0 <= i < split.model.embeddings.count}
    texts = {
        i: _text(tokenizer, i, names[i]).translate(BLANKS)
        for i in sorted(names.keys() - left_out)
        if not UNUSED.fullmatch(names[i])
    }
    entries = {i: text for i, text in texts.items() if text and "\ufffd" not in text}
    if not entries:
        raise InputError(f"the tokenizer of {split.model.name} has no entries that are text.")
    return entries


def _text(tokenizer: Any, token: int, name: str) -> str:
    if "▁" in name:  # decoding would drop the blank in front
        return name.replace("▁", " ")
    return str(tokenizer.decode([token], clean_up_tokenization_spaces=False))


def _alone(template: Encoded, token: int, text: str) -> DividedText:
    """The text that is one token, with the special tokens of a template."""
    own = (~template.special).nonzero().flatten()
    first, last = int(own[0]), int(own[-1])
    kept = torch.tensor([i for i in range(len(template)) if i <= first or i > last])
    special = template.special[kept]
    return DividedText(
        text=text,
        ids=template.ids[kept].index_fill(0, own[:1], token),
        offsets=torch.where(special[:, None], 0, torch.tensor([0, len(text)])),
        special=special,
        prompt=len(kept),
        types=None if template.types is None else template.types[kept],
        units=(Unit(text, 0, len(text)),),
        unit_of=torch.where(special, NO_UNIT, 0),
    )


def _rows(
    split: SplitModel, runner: BatchRunner, encoded: Sequence[DividedText], granularity: str
) -> Float[Tensor, "b d"]:
    rows = split.pooled(encoded, split.states(runner, encoded), granularity).float().cpu()
    if not bool(rows.isfinite().all()):
        raise ModelError(f"{split.path!r} holds NaN or infinity for a token alone.{split.model.non_finite()}")
    return rows


def _labelled(concept: int, both: Ranked, note: str, texts: Sequence[str]) -> LabelledConcept:
    words = tuple((texts[row], code) for row, code in both)
    distinct = dict.fromkeys(text.strip(VISIBLE) or text for text, code in words if code > 0)
    silent = "" if distinct else "no token alone raises this concept."
    return LabelledConcept(concept, ", ".join(list(distinct)[:LABEL_TOKENS]) or None, words, note=joined(silent, note))


def _notes(split: SplitModel, read: int, template: Encoded) -> Iterator[str]:
    model = split.model
    left_out = len(model.tokenizer.get_vocab()) - read
    yield f"Each of {read} tokens was read as a text of its own, without context."
    if left_out:
        yield f"{left_out} entries of the tokenizer are special, unused or parts of a character, and were not read."
    if model.head == "causal" and not bool(template.special[0]):
        yield FIRST.format(model.name)
