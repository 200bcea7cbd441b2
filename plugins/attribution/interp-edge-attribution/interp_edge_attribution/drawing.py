"""A circuit as a drawing: components in rows from the embeddings below to the logits above, edges between them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from interp_core.errors import InputError

if TYPE_CHECKING:
    from interp_edge_attribution.circuit import Circuit

FOR, AGAINST = "#dc7a12", "#3b82c4"  # the hues of reports
STEP, ROW, MARGIN = 74, 58, 48  # pixels between components, between rows, and around
LOGITS = "logits"

Place = tuple[float, float]
Line = tuple[str, str, float]  # from, to, and the score of what lies between: of several edges the largest


def places(circuit: Circuit) -> dict[str, Place]:
    """Where components are, in steps to the right and rows up: a row for the heads of a block and one for its MLP."""
    rows: dict[str, list[str]] = {}
    for name in circuit.writers:
        block, _, part = name.partition(".")
        rows.setdefault(block if part != "MLP" else name, []).append(name)
    rows[LOGITS] = [LOGITS]
    return {
        name: (i - (len(names) - 1) / 2, float(row))
        for row, names in enumerate(rows.values())
        for i, name in enumerate(names)
    }


def lines(circuit: Circuit) -> list[Line]:
    """The edges of the circuit between components, the strongest last, so that it is drawn above the others."""
    found: dict[tuple[str, str], float] = {}
    for edge in circuit.kept.nonzero().flatten().tolist():
        writer, reader = circuit.edges[edge].tolist()
        for to in circuit.feeds[reader] or (LOGITS,):
            key, score = (circuit.writers[writer], to), float(circuit.scores[edge])
            if abs(score) > abs(found.get(key, 0.0)):
                found[key] = score
    return sorted(((*ends, score) for ends, score in found.items()), key=lambda line: abs(line[2]))


def bent(where: dict[str, Place], a: str, b: str) -> float:
    """How far to the right a line swings, in steps, so that it is seen beside the components that it passes by."""
    (x0, y0), (x1, y1) = where[a], where[b]
    return min(1.5, 0.25 * (y1 - y0)) if y1 - y0 > 1 and abs(x1 - x0) < 1 else 0.0


def svg(circuit: Circuit) -> str:
    """The drawing as SVG, with the name and score of each edge where it is pointed at."""
    where, edges = places(circuit), lines(circuit)
    left, wide = min(x for x, _ in where.values()), max(x for x, _ in where.values())
    high = max(y for _, y in where.values())

    def at(name: str) -> Place:
        x, y = where[name]
        return MARGIN + (x - left) * STEP, MARGIN + (high - y) * ROW

    width, height = 2 * MARGIN + (wide - left + 1) * STEP, 2 * MARGIN + high * ROW
    largest = max((abs(score) for *_, score in edges), default=1.0) or 1.0
    used = {name for a, b, _ in edges for name in (a, b)}
    drawn = []
    for a, b, score in edges:
        (x0, y0), (x1, y1), bend = at(a), at(b), STEP * bent(where, a, b)
        said = html.escape(f"{a} → {b} {score:+.3f}")
        drawn.append(
            f'<path d="M{x0:.0f} {y0:.0f} Q{(x0 + x1) / 2 + 2 * bend:.0f} {(y0 + y1) / 2:.0f} {x1:.0f} {y1:.0f}" '
            f'fill="none" stroke="{FOR if score > 0 else AGAINST}" stroke-opacity="0.7" '
            f'stroke-width="{1 + 5 * abs(score) / largest:.1f}"><title>{said}</title></path>'
        )
    for name in where:
        x, y = at(name)
        faint = "" if name in used else ' opacity="0.35"'
        drawn.append(
            f'<g{faint}><rect x="{x - 33:.0f}" y="{y - 11:.0f}" width="66" height="22" rx="6" fill="#fff" '
            f'stroke="#8a8478"/>'
            f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" font-size="11">{html.escape(name)}</text></g>'
        )
    title = html.escape(circuit.one_line())
    return (
        f'<figure style="margin:0;overflow-x:auto"><svg role="img" aria-label="{title}" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">{"".join(drawn)}</svg>'
        f"<figcaption>{title}</figcaption></figure>"
    )


def drawn(circuit: Circuit) -> Any:
    """The drawing as a matplotlib figure.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("plot needs the package matplotlib: pip install matplotlib.") from error
    where, edges = places(circuit), lines(circuit)
    xs, ys = [x for x, _ in where.values()], [y for _, y in where.values()]
    figure = Figure(figsize=(2 + 0.9 * (max(xs) - min(xs)), 1.5 + 0.6 * max(ys)), layout="constrained")
    axes = figure.subplots()
    largest = max((abs(score) for *_, score in edges), default=1.0) or 1.0
    used = {name for a, b, _ in edges for name in (a, b)}
    for a, b, score in edges:
        (x0, y0), (x1, y1), bend = where[a], where[b], bent(where, a, b)
        colour, width = FOR if score > 0 else AGAINST, 0.7 + 4 * abs(score) / largest
        shares = [i / 20 for i in range(21)]
        xs_of = [x0 + (x1 - x0) * s + 4 * bend * s * (1 - s) for s in shares]
        axes.plot(xs_of, [y0 + (y1 - y0) * s for s in shares], color=colour, linewidth=width, alpha=0.7, zorder=1)
    for name, (x, y) in where.items():
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "#8a8478"}
        shade = 1.0 if name in used else 0.35
        axes.text(x, y, name, ha="center", va="center", fontsize=8, bbox=box, alpha=shade, zorder=2)
    axes.set_xlim(min(xs) - 0.9, max(xs) + 1.6)
    axes.set_ylim(min(ys) - 0.7, max(ys) + 0.7)
    axes.set_axis_off()
    axes.set_title(circuit.one_line(), fontsize=9)
    return figure
