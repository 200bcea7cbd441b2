"""A check whether the tokens that are left of a text are those that the tokenizer gives to the shorter text."""

from __future__ import annotations

from typing import Any

from interp_core.text._encoded import Encoded
from jaxtyping import Bool
from torch import Tensor


def splits_alike(encoder: Any, encoded: Encoded, gone: Bool[Tensor, " t"]) -> bool | None:
    """Test whether the tokenizer splits a text without some of its tokens into exactly the tokens that remain.

    White space before a token is removed with it. Only the prompt is read, and special tokens are not compared.

    Args:
        encoder: the `Encoder` that made the text.
        encoded: the text.
        gone: (t) True for the tokens that are removed.

    Returns:
        True if it does; None if no text, or no text of a pair, would be left.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import splits_alike
        >>> encoder = tiny_classifier().encoder
        >>> encoded = encoder("so sad today")
        >>> splits_alike(encoder, encoded, encoded.ids == encoded.ids[2])
        True
    """
    count = encoded.source or (encoded.prompt if 0 < encoded.prompt <= len(encoded) else len(encoded))
    left, previous = [True] * len(encoded.text), 0
    for (start, stop), away in zip(encoded.offsets[:count].tolist(), gone[:count].tolist(), strict=True):
        if away and start < stop:
            begin = previous if not encoded.text[previous:start].strip() else start
            left[begin:stop] = [False] * (stop - begin)
        previous = max(previous, stop)
    pair = len(encoded.borders) == 2 and not encoded.turns
    parts = [(0, encoded.borders[0]), (encoded.borders[1], previous)] if pair else [(0, previous)]
    texts = ["".join(c for c, stays in zip(encoded.text[a:b], left[a:b], strict=True) if stays) for a, b in parts]
    if not all(text.strip() for text in texts):
        return None
    special = set(encoder.tokenizer.all_special_ids)
    kept = [i for i in encoded.ids[:count][~gone[:count]].tolist() if i not in special]
    options = {"add_special_tokens": False} if encoded.turns else {}
    return any(
        [i for i in encoder.ids_of(*several, **options) if i not in special] == kept
        for several in (texts, [text.lstrip() for text in texts])  # what begins a text has no white space before it
    )
