"""Texts as models receive them and as people read them: tokens with the characters they cover, units of any
granularity, chats, pairs of texts, corpora and their labels."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.text._chat import Chat
    from interp_core.text._corpus import as_stream, batched_by_size, one_by_one, read_column
    from interp_core.text._encoded import NO_UNIT, DividedText, Encoded, Unit
    from interp_core.text._encoder import Encoder, Text, as_texts, max_tokens
    from interp_core.text._granularity import (
        Granularity,
        clause_spans,
        divide,
        paragraph_spans,
        pool,
        sentence_spans,
        word_spans,
    )
    from interp_core.text._groups import groups_of
    from interp_core.text._joined_text import JoinedText, joined_parts, parts_of, with_parts
    from interp_core.text._labels import Item, class_index, with_labels
    from interp_core.text._region import Region, Spans, region_of
    from interp_core.text._shorter_text import splits_alike

__all__ = [
    "NO_UNIT",
    "Chat",
    "DividedText",
    "Encoded",
    "Encoder",
    "Granularity",
    "Item",
    "JoinedText",
    "Region",
    "Spans",
    "Text",
    "Unit",
    "as_stream",
    "as_texts",
    "batched_by_size",
    "class_index",
    "clause_spans",
    "divide",
    "groups_of",
    "joined_parts",
    "max_tokens",
    "one_by_one",
    "paragraph_spans",
    "parts_of",
    "pool",
    "read_column",
    "region_of",
    "sentence_spans",
    "splits_alike",
    "with_labels",
    "with_parts",
    "word_spans",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_chat": ["Chat"],
        "_corpus": ["as_stream", "batched_by_size", "one_by_one", "read_column"],
        "_encoded": ["DividedText", "Encoded", "NO_UNIT", "Unit"],
        "_encoder": ["Encoder", "Text", "as_texts", "max_tokens"],
        "_granularity": [
            "Granularity",
            "clause_spans",
            "divide",
            "paragraph_spans",
            "pool",
            "sentence_spans",
            "word_spans",
        ],
        "_groups": ["groups_of"],
        "_joined_text": ["JoinedText", "joined_parts", "parts_of", "with_parts"],
        "_labels": ["Item", "class_index", "with_labels"],
        "_region": ["Region", "Spans", "region_of"],
        "_shorter_text": ["splits_alike"],
    },
)
