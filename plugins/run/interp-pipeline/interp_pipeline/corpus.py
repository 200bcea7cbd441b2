"""The texts of a pipeline, and their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp_core.errors import InterpError, nearest, unknown
from interp_core.text import read_column

from interp_pipeline.document import Document

KNOWN = ("data", "column", "labels", "limit", "split", "texts")
Corpus = tuple[list[Any], list[Any] | None]


def check_texts(document: Document) -> Mapping[str, Any]:
    """The table of the texts, checked.

    Raises:
        InputError: an option is unknown, of another type, or at odds with another.
    """
    table = document.table("texts")
    for key in table:
        if key not in KNOWN:
            raise document.error(("texts", key), unknown("the option", key, KNOWN))
    inline = "texts" in table
    if inline and "data" in table:
        raise document.error(("texts", "texts"), "texts are given twice, as texts and as data; leave one out.")
    limit = table.get("limit", 1)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise document.error(("texts", "limit"), f"limit is {limit!r}; a whole number from 1 was expected.")
    column = table.get("column", "text")
    two = isinstance(column, list) and len(column) == 2 and all(isinstance(one, str) for one in column)
    kinds = {
        "texts": (list, "a list of texts"),
        "data": (str, "a file, or the name of a data set"),
        "split": (str, "the name of a split"),
        "labels": (list, "a list with a class for each text") if inline else (str, "the name of a column"),
    }
    for key, (kind, expected) in kinds.items():
        if key in table and not isinstance(table[key], kind):
            raise document.error(("texts", key), f"{key} is {table[key]!r}; {expected} was expected.")
    if not (isinstance(column, str) or two):
        raise document.error(("texts", "column"), f"column is {column!r}; the name of one or of two was expected.")
    return table


def read_corpus(document: Document, texts: Sequence[Any] | None, labels: Sequence[Any] | None) -> Corpus:
    """The texts and labels that a program gives, or else those of the document.

    Raises:
        InputError: there are no texts, they cannot be read, or there are not as many labels.
    """
    table = document.table("texts")
    limit, own = table.get("limit"), table.get("labels")
    if texts is not None:
        found, own_labels = list(texts), None
    elif "texts" in table:
        found, own_labels = list(table["texts"])[:limit], None if own is None else list(own)[:limit]
    elif "data" in table:
        options = {"split": table["split"]} if "split" in table else {}
        try:
            found = read_column(table["data"], table.get("column", "text"), **options)[:limit]
            own_labels = None if own is None else read_column(table["data"], own, **options)[:limit]
        except InterpError as error:
            raise type(error)(str(document.error(("texts",), str(error)))) from error
    else:
        raise document.error(("texts",), "no texts: name a file or data set as data, or give run(…, texts=…).")
    own_labels = own_labels if labels is None else list(labels)
    if own_labels is not None and len(own_labels) != len(found):
        raise document.error(("texts", "labels"), f"{len(own_labels)} labels were given for {len(found)} texts.")
    return found, own_labels


def as_classes(document: Document, labels: Sequence[Any] | None, names: Sequence[str]) -> list[Any] | None:
    """The labels as classes of a model; None if they are of other classes altogether.

    Raises:
        InputError: some are classes of the model and some are not.
    """
    if labels is None:
        return None
    numbers = {str(i): i for i in range(len(names))}
    found = [label if label in names else numbers.get(str(label)) for label in labels]
    strange = [label for label, one in zip(labels, found, strict=True) if one is None]
    if strange and len(strange) < len(labels):
        known = f"the classes are {', '.join(names)}.{nearest(str(strange[0]), names)}"
        raise document.error(("texts", "labels"), f"the label {strange[0]!r} is not a class of the model; {known}")
    return None if strange else found
