"""Where components stand on a grid: layers down, heads and MLPs, positions or concepts across."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_COMPONENT = re.compile(r"(?:(?P<stack>\w+)\.)?L(?P<layer>\d+)(?:\.(?P<part>\w+))?(?: @ (?P<position>.*))?", re.DOTALL)
_EMBEDDINGS = re.compile(r"(?:(?P<stack>\w+)\.)?embeddings(?: @ (?P<position>.*))?", re.DOTALL)


def grid_of(units: Sequence[str]) -> dict[str, Any]:
    """The rows and columns of components by their names, and the place of each.

    Args:
        units: names such as `L3.H5`, `L3.MLP`, `embeddings`, `L0.H0 @ 1 so`, or any others, which stand in one row.

    Returns:
        `rows` and `columns`, the names of these, and `places`, a pair of indices for each unit.
    """
    cells: dict[tuple[str, str], int] = {}
    for unit, name in enumerate(units):
        cell = _cell(name)
        cells[cell if cell not in cells else ("", f"{name} ({unit})")] = unit
    first = {column: unit for (_, column), unit in reversed(cells.items())}
    rows = {row: i for i, row in enumerate(sorted({row for row, _ in cells}, key=_in_order))}
    columns = {name: i for i, name in enumerate(sorted(first, key=lambda name: _column_order(name, first[name])))}
    places = [[0, 0] for _ in units]
    for (row, column), unit in cells.items():
        places[unit] = [rows[row], columns[column]]
    return {"rows": list(rows), "columns": list(columns), "places": places}


def _cell(name: str) -> tuple[str, str]:
    found = _COMPONENT.fullmatch(name)
    if found:
        stack, layer = f"{found['stack']} " if found["stack"] else "", found["layer"]
        part, position = found["part"] or "", found["position"]
        if position is None:
            return f"{stack}layer {layer}", part or "block"
        return f"{stack}layer {layer} {part}".rstrip(), position
    embedded = _EMBEDDINGS.fullmatch(name)
    if embedded:
        stack = f"{embedded['stack']} " if embedded["stack"] else ""
        return f"{stack}embeddings", embedded["position"] or "embeddings"
    return "", name


def _in_order(name: str) -> tuple[Any, ...]:
    """Embeddings first, then numbers as numbers."""
    parts = re.split(r"(\d+)", name)
    return ("embeddings" not in name, *((int(p), "") if p.isdigit() else (-1, p) for p in parts))


def _column_order(name: str, first: int) -> tuple[int, int]:
    """Heads by number, then what else there is in the order of the units, then embeddings."""
    head = re.fullmatch(r"H(\d+)", name)
    return (0, int(head[1])) if head else (2 if name == "embeddings" else 1, first)
