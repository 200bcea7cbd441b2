"""The encoder of texts to the token ids that a model receives, with the characters that each token covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import torch
from interp_core.errors import InputError, UnsupportedError
from interp_core.text._alignment import aligned
from interp_core.text._chat import Chat, Message
from interp_core.text._chat_template import rendered
from interp_core.text._encoded import Encoded
from interp_core.text._joined_text import JoinedText
from torch import nn

Text = str | tuple[str, str] | Sequence[Message] | Chat  # a text, a pair such as question and context, or a chat
TRUNCATIONS = ("longest_first", "only_first", "only_second")  # which text of a pair is cut, as tokenizers say it
TextOf = list[int | None]  # which text of a pair each token is of
NO_LIMIT = 1_000_000  # tokens
_POSITIONS = ("max_position_embeddings", "max_seq_len", "max_encoder_position_embeddings")  # names in configurations
BETWEEN = "\n"  # shown between the two texts of a pair, and between a source and its translation


class Encoder:
    """Encoder of texts, with a private copy of a tokenizer.

    Args:
        tokenizer: the copy. Its truncation settings may change; those of the user's tokenizer never do.
        max_tokens: the maximum number of tokens that the model accepts.
        start_id: for an encoder-decoder model, the id that the decoder starts with.

    Examples:
        The tiny models accept 32 tokens. Longer texts are cut.

        >>> from interp_core.testing import tiny_classifier, tiny_generator
        >>> encoder = tiny_classifier().encoder
        >>> encoder("so sad").special.tolist()
        [True, False, False, True]
        >>> long = encoder("sad " * 50)
        >>> len(long), long.cut
        (32, 20)

        A prompt has no closing special tokens, so that a continuation can follow.

        >>> encoded = tiny_generator().encoder.with_continuation("i feel", " so sad")
        >>> encoded.prompt, encoded.text[encoded.continuation :]
        (3, 'so sad')
    """

    def __init__(self, tokenizer: Any, max_tokens: int, start_id: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.start_id = start_id

    @cached_property
    def cls_position(self) -> int | None:
        """The position of the classification token: 0 (first), -1 (last) or None (the tokenizer adds none)."""
        cls = self.tokenizer.cls_token_id
        ids = self.tokenizer("a", verbose=False)["input_ids"]
        if cls is None or cls not in ids:
            return None
        return 0 if ids[0] == cls else -1

    def __call__(self, text: Text, truncation: str = "longest_first") -> Encoded:
        """Encode a text, a pair of texts or a chat, cut to `max_tokens`.

        Args:
            text: the text.
            truncation: which text of a pair is cut: `"longest_first"` (tokens of the longer one, in turn),
                `"only_first"` or `"only_second"`.

        Returns:
            The encoded text. Its `cut` is the number of tokens that were cut off.

        Raises:
            InputError: it is not a text, it is empty, or it has no tokens; `truncation` is none of the three, or the
                text of a pair that must not be cut is too long.
            UnsupportedError: it is a chat, and the tokenizer has no chat template.
        """
        if truncation not in TRUNCATIONS:
            raise InputError(f"truncation is {truncation!r}; it is one of {', '.join(TRUNCATIONS)}.")
        return self._encoded(text, self.max_tokens, truncation)

    def prompt(self, text: Text) -> Encoded:
        """Encode a prompt for a model to continue, without a limit on its length.

        Returns:
            The text without the special tokens that would close it. For an encoder-decoder model, the whole text
            followed by the token that the decoder starts with.

        Raises:
            InputError: `text` is not a text, is empty, or has no tokens.
            UnsupportedError: `text` is a chat, and the tokenizer has no chat template.
        """
        encoded = replace(self._encoded(text, NO_LIMIT), types=None)  # generators take no token types
        if self.start_id is not None:
            return _extended(encoded, [self.start_id], [(0, 0)], [True], source=len(encoded))
        return _first(encoded, encoded.last + 1)

    def with_continuation(self, prompt: Text, continuation: str) -> Encoded:
        """Encode a prompt followed by the continuation whose tokens are explained.

        Returns:
            Prompt and continuation as one text; its `prompt` is the number of tokens of the prompt.

        Raises:
            InputError: together they have more tokens than the model accepts, or one of them is empty.
        """
        _check(continuation)
        if self.start_id is None:
            tail = self._tokenized(continuation, add_special_tokens=False)
        else:
            tail = self._tokenized(None, text_target=continuation)
            count = len(tail["input_ids"])
            while count > 1 and tail["special_tokens_mask"][count - 1]:
                count -= 1
            tail = {key: value[:count] for key, value in tail.items()}
        return self._joined(prompt, continuation, tail)

    def with_ids(self, prompt: Text, ids: list[int]) -> Encoded:
        """Encode a prompt followed by ids that the model generated.

        The characters that an id covers are those that it adds to the decoded text of the ids before it.

        Returns:
            Prompt and generated text as one text; its `prompt` is the number of tokens of the prompt.

        Raises:
            InputError: together they have more tokens than the model accepts, or the prompt is empty.
        """
        special = set(self.tokenizer.all_special_ids) if self.start_id is not None else set()
        pieces = [
            self.tokenizer.decode([j for j in ids[:i] if j not in special], skip_special_tokens=False)
            for i in range(1, len(ids) + 1)
        ]
        ends = [*(len(piece.rstrip("\ufffd")) for piece in pieces[:-1]), *(len(piece) for piece in pieces[-1:])]
        spans = [(min(a, b), b) for a, b in pairwise([0, *ends])]
        for i in range(len(ids) - 2, -1, -1):  # the first bytes of a character cover it too
            if spans[i][0] == spans[i][1] and ids[i] not in special:
                spans[i] = spans[i + 1]
        tail = {
            "input_ids": ids,
            "offset_mapping": spans,
            "special_tokens_mask": [int(i in special) for i in ids],
        }
        return self._joined(prompt, pieces[-1] if pieces else "", tail)

    def prompt_ids(self, prompt: Text) -> list[int]:
        """Give the ids to generate from.

        Returns:
            The ids of the prompt without the special tokens that would close it. For an encoder-decoder model, all ids
            that the encoder reads.

        Raises:
            InputError: `prompt` is not a text, is empty, or has no tokens.
        """
        encoded = self.prompt(prompt)
        ids: list[int] = encoded.ids[: encoded.source or None].tolist()
        return ids

    def ids_of(self, *parts: str, **options: Any) -> list[int]:
        """Tokenise a text, or a pair of texts, to ids.

        Args:
            *parts: the text, or the two texts.
            **options: options of the tokenizer, such as `add_special_tokens`.
        """
        ids: list[int] = self._tokenized(*parts, **options)["input_ids"]
        return ids

    def _joined(self, prompt: Text, continuation: str, tail: dict[str, Any]) -> Encoded:
        encoded = self.prompt(prompt)
        whole, most = len(encoded) + len(tail["input_ids"]), self.max_tokens
        if max(encoded.source, whole - encoded.source) > most:
            raise InputError(
                f"prompt and continuation have {whole} tokens; this model takes {most}. Shorten one of them."
            )
        between = "" if self.start_id is None else BETWEEN
        start = len(encoded.text) + len(between)
        shifted = [(a + start, b + start) for a, b in tail["offset_mapping"]]
        special = [bool(s) for s in tail["special_tokens_mask"]]
        joined = _extended(encoded, tail["input_ids"], shifted, special, source=encoded.source)
        shown = encoded.text + between + continuation
        text = JoinedText(shown, encoded.text.given) if isinstance(encoded.text, JoinedText) else shown
        return replace(joined, text=text, prompt=len(encoded))

    def _encoded(self, text: Any, most: int, truncation: str = "longest_first") -> Encoded:
        if isinstance(text, JoinedText):
            text = text.given
        if isinstance(text, str):
            _check(text)
            return self._limited(text, (text,), most)[0]
        if isinstance(text, Sequence) and text and all(isinstance(m, Mapping) for m in text):
            return self._chat(Chat(text), text, most)
        if isinstance(text, Chat):
            return self._chat(text, text, most)
        if isinstance(text, tuple) and len(text) == 2:
            return self._pair(text, most, truncation)
        raise InputError(
            f"a text is {type(text).__name__}; a string, a pair of strings, a list of messages or an interp.Chat was "
            "expected."
        )

    def _tokenized(self, *parts: str | None, **options: Any) -> dict[str, Any]:
        """What the tokenizer gives for a text or a pair, with the characters of each token, see `aligned`."""
        settings = {"truncation": False, "padding": False, "verbose": False, **options}
        if not getattr(self.tokenizer, "is_fast", False):
            return aligned(self.tokenizer, parts, settings)
        encoding = self.tokenizer(*parts, return_offsets_mapping=True, return_special_tokens_mask=True, **settings)
        return {**encoding, "sequence_ids": encoding.sequence_ids()}

    def _limited(self, text: str, parts: tuple[str, ...], most: int, **options: Any) -> tuple[Encoded, TextOf]:
        """A text, or a pair with offsets in each of its texts, cut as the options say; and the text of each token."""
        truncation = options.pop("truncation", True)
        tokens = self._tokenized(*parts, **options)
        cut = max(0, len(tokens["input_ids"]) - most)
        if cut:
            try:
                tokens = self._tokenized(*parts, truncation=truncation, max_length=most, **options)
            except InputError:
                raise
            except Exception as error:  # tokenizers raise nothing more specific
                raise InputError(
                    f"with truncation={truncation!r} the pair does not fit: the other text alone is longer than the "
                    f"{most} tokens that the model takes. Use truncation='longest_first', or shorten it."
                ) from error
        if all(tokens["special_tokens_mask"]):
            raise InputError(f"the text {text!r} has no tokens for this tokenizer.")
        return _as_encoded(text, tokens, cut, self.tokenizer.mask_token_id), tokens["sequence_ids"]

    def _pair(self, pair: tuple[str, str], most: int, truncation: str) -> Encoded:
        """A pair as one encoded text: one after the other for the reader, as the tokenizer joins them for the model."""
        for part in pair:
            _check(part)
        first, second = pair
        start = len(first) + len(BETWEEN)
        encoded, text_of = self._limited(first + BETWEEN + second, pair, most, truncation=truncation)
        is_second = torch.tensor([number == 1 for number in text_of])
        offsets = torch.where(is_second[:, None], encoded.offsets + start, encoded.offsets)
        shown = JoinedText(encoded.text, pair)
        return replace(encoded, text=shown, offsets=offsets, borders=(len(first), start))

    def _chat(self, chat: Chat, given: Any, most: int) -> Encoded:
        """A chat as the tokenizer's template writes it, up to the answer; only what is said in it can be removed."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise UnsupportedError("this tokenizer has no chat template; give the prompt as a string.")
        text, turns, roles, documents, spans = rendered(self.tokenizer, chat)
        encoded, _ = self._limited(text, (text,), most, add_special_tokens=False)
        inside = [any(a < stop and start < b for start, stop in spans) for a, b in encoded.offsets.tolist()]
        located = replace(
            encoded,
            text=JoinedText(text, given),
            special=encoded.special | ~torch.tensor(inside),
            turns=turns,
            roles=roles,
            documents=documents,
        )
        return replace(located, borders=tuple(sorted({edge for span in located.said for edge in span})))


def _check(text: Any) -> None:
    if not isinstance(text, str):
        raise InputError(f"a text is {type(text).__name__}; a string was expected.")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"a text holds half of a character (a lone surrogate): {text[:60]!r}. Decode it as UTF-8.")
    if not text.strip():
        raise InputError("a text is empty; there is nothing to explain in it.")


def _as_encoded(text: str, tokens: dict[str, Any], cut: int, mask_id: int | None) -> Encoded:
    ids = torch.tensor(tokens["input_ids"], dtype=torch.long)
    special = torch.tensor(tokens["special_tokens_mask"], dtype=torch.bool)
    if mask_id in tokens["input_ids"]:
        special |= ids == mask_id  # the model is asked what belongs there, so it is never removed
    types = tokens.get("token_type_ids")
    return Encoded(
        text=text,
        ids=ids,
        offsets=torch.tensor([*chain.from_iterable(tokens["offset_mapping"])], dtype=torch.long).reshape(-1, 2),
        special=special,
        prompt=len(ids),
        cut=cut,
        # some tokenizers of transformers 4 count no special tokens here
        types=torch.tensor(types) if types is not None and any(types) and len(types) == len(ids) else None,
    )


def _extended(
    encoded: Encoded, ids: Sequence[int], offsets: Sequence[tuple[int, int]], special: Sequence[bool], source: int
) -> Encoded:
    """The text followed by more tokens, which count as part of the prompt."""
    more = torch.tensor(list(offsets), dtype=torch.long).reshape(-1, 2)
    return replace(
        encoded,
        ids=torch.cat([encoded.ids, torch.tensor(list(ids), dtype=torch.long)]),
        offsets=torch.cat([encoded.offsets, more]),
        special=torch.cat([encoded.special, torch.tensor(list(special), dtype=torch.bool)]),
        prompt=len(encoded) + len(ids),
        source=source,
    )


def _first(encoded: Encoded, count: int) -> Encoded:
    cut = {name: getattr(encoded, name)[:count] for name in ("ids", "offsets", "special")}
    types = None if encoded.types is None else encoded.types[:count]
    return replace(encoded, **cut, types=types, prompt=count)


def max_tokens(model: Any, tokenizer: Any) -> int:
    """Find the maximum number of tokens that a model accepts.

    Args:
        model: a Hugging Face model.
        tokenizer: the tokenizer of the model.

    Returns:
        The smaller of the tokenizer's `model_max_length` and the number of positions that the model embeds; 1,000,000
        if neither sets a limit.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import max_tokens
        >>> wrapped = tiny_classifier()
        >>> max_tokens(wrapped.model, wrapped.tokenizer)
        32
    """
    configs = (getattr(module, "config", None) for module in model.modules())  # of a wrapper, that of the model in it
    config = next((c for c in configs if c is not None), None)
    parts = [config, *(getattr(config, name, None) for name in ("text_config", "encoder", "decoder"))]
    sizes = [getattr(part, name, None) for part in parts for name in _POSITIONS]
    tables = [size - _first_position(model, size) for size in sizes if isinstance(size, int) and size > 0]
    return min(getattr(tokenizer, "model_max_length", None) or NO_LIMIT, NO_LIMIT, *tables)


def _first_position(model: nn.Module, table: int) -> int:
    """The first position of a text; some tables of positions reserve the rows before it for padding."""
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == table and module.padding_idx is not None:
            return module.padding_idx + 1
    return 0


def as_texts(texts: Any) -> list[Text]:
    """Convert one text or several to a list of texts.

    Args:
        texts: a string, a chat (a list of messages, or a `Chat`), or an iterable of texts, each a string, a pair or a
            chat.

    Returns:
        The texts; each is checked only when it is encoded.

    Raises:
        InputError: `texts` is a table, or not iterable; or it is a tuple of two strings, which is ambiguous: a pair or
            two texts.

    Examples:
        >>> from interp_core.text import as_texts
        >>> as_texts("so sad")
        ['so sad']
        >>> as_texts([{"role": "user", "content": "Are you sad?"}])
        [[{'role': 'user', 'content': 'Are you sad?'}]]
        >>> as_texts([("Who is sad?", "The dog is sad.")])
        [('Who is sad?', 'The dog is sad.')]
    """
    if isinstance(texts, tuple) and len(texts) == 2 and all(isinstance(text, str) for text in texts):
        raise InputError(
            f"({texts[0][:20]!r}, {texts[1][:20]!r}) may be a pair or two texts; write [(first, second)] for a pair, "
            "[one, other] for two texts."
        )
    if isinstance(texts, str) or is_chat(texts):
        return [texts]
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise InputError(
            f"the texts are {type(texts).__name__}; a string or a list of strings was expected (of a table, a column)."
        )
    return [str(t) if isinstance(t, str) and not isinstance(t, JoinedText) else t for t in texts]


def is_chat(texts: Any) -> bool:
    """Whether this is one chat: a `Chat`, or a list of messages with their content."""
    if isinstance(texts, Chat):
        return True
    return isinstance(texts, list) and bool(texts) and all(isinstance(m, Mapping) and "content" in m for m in texts)
