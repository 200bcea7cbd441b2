"""The activations of consecutive texts, in memory."""

from __future__ import annotations

import dataclasses
import hashlib

import torch
from interp_core.activations._activations import Activations
from interp_core.errors import InputError

ROWS = 1024  # that a digest looks at


def of_texts(activations: Activations, first: int, stop: int) -> Activations:
    """Select consecutive texts; rows of a store are read into memory.

    Args:
        activations: the activations of m texts.
        first: the number of the first text.
        stop: the number of the text after the last.

    Returns:
        The activations of `stop - first` texts.

    Raises:
        InputError: there are no such texts.

    Examples:
        >>> from interp_core.activations import of_texts
        >>> from interp_core.testing import tiny_classifier
        >>> whole = tiny_classifier().split(-1).activations(["so happy", "sad", "a dog"], progress=False)
        >>> of_texts(whole, 1, 3).texts
        ('sad', 'a dog')
    """
    if not 0 <= first < stop <= len(activations.texts):
        raise InputError(f"texts {first} to {stop} were asked for; there are {len(activations.texts)} of them.")
    start, end = torch.searchsorted(activations.text_of, torch.tensor([first, stop])).tolist()
    predictions, labels = activations.predictions, activations.labels
    return dataclasses.replace(
        activations,
        values=activations.values[start:end],
        text_of=activations.text_of[start:end] - first,
        unit_of=activations.unit_of[start:end],
        texts=tuple(activations.texts[first:stop]),
        units=tuple(activations.units[first:stop]),
        predictions=None if predictions is None else predictions[first:stop],
        labels=None if labels is None else labels[first:stop],
    )


def digest_of_rows(activations: Activations) -> str:
    """Compute a digest of activations, by which a resumed run recognises them.

    Args:
        activations: the activations.

    Returns:
        A digest of the texts, the units of the rows, and some evenly spaced rows.

    Examples:
        >>> from interp_core.activations import digest_of_rows
        >>> from interp_core.testing import tiny_classifier
        >>> split = tiny_classifier().split(-1)
        >>> one, other = (split.activations([text], progress=False) for text in ("so happy", "so sad"))
        >>> digest_of_rows(one) == digest_of_rows(other)
        False
    """
    digest = hashlib.blake2b(f"{activations.layer} {activations.granularity}".encode(), digest_size=8)
    for text in activations.texts:
        digest.update(text.encode() + b"\0")
    some = torch.arange(0, len(activations), max(1, len(activations) // ROWS))
    for tensor in (activations.text_of, activations.unit_of, activations.values[some]):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
