"""Activations made of rows that come from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from interp_core.activations._activations import Activations
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.text import Unit, with_labels
from jaxtyping import Float
from torch import Tensor


def of_rows(values: Float[Tensor, "n d"], words: Sequence[str] | None = None, **columns: Any) -> Activations:
    """Make activations of rows that come from elsewhere; each row is a text of one unit.

    Args:
        values: (n, d) the rows; converted to float32 on the CPU.
        words: the n texts, one for each row; `"row 0"`, `"row 1"`, … by default.
        **columns: `labels`, `predictions`, `class_names` or `notes`, as in `Activations`; labels may also be names.

    Returns:
        The activations, with layer `"given"`.

    Raises:
        InputError: the rows are not a matrix, the number of words, labels or predictions differs from that of rows, or
            a label is not one of the classes.

    Examples:
        >>> from interp_core.activations import of_rows
        >>> rows = of_rows(torch.eye(3), ["sun", "cat", "dog"], labels=torch.tensor([0, 1, 1]))
        >>> rows.of_class(1, by="labels").texts
        ('cat', 'dog')
    """
    if not isinstance(values, Tensor):
        raise InputError(f"the rows are {type(values).__name__}; a tensor (rows, width) was expected.")
    if values.ndim != 2:
        raise InputError(f"the rows have shape {tuple(values.shape)}; (rows, width) was expected.")
    texts = tuple(words) if words is not None else tuple(f"row {i}" for i in range(len(values)))
    if len(texts) != len(values):
        raise InputError(f"{len(texts)} words were given for {len(values)} rows; one for each row was expected.")
    columns["class_names"] = names = tuple(map(str, columns.get("class_names", ())))
    for column in ("labels", "predictions"):
        given = columns.get(column)
        if given is not None and not isinstance(given, Tensor):
            columns[column] = given = torch.stack([label for _, label in with_labels(iter(texts), given, names)])
        if given is not None and len(given) != len(values):
            raise InputError(f"{len(given)} {column} were given for {len(values)} rows; one for each row was expected.")
    return Activations(
        values=values.detach().float().cpu(),
        text_of=torch.arange(len(values)),
        unit_of=torch.zeros(len(values), dtype=torch.long),
        texts=texts,
        units=tuple((Unit(text, 0, len(text)),) for text in texts),
        layer="given",
        granularity="sample",
        made_by=MadeBy("given"),
        **columns,
    )
