"""Figures of values for papers, drawn with matplotlib, which is asked for when one is drawn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptCards, Effect, Importance
from interp_core.errors import InputError, unknown
from interp_core.metrics import Benchmark, Score
from interp_core.reporting._contents import ClassConcepts
from interp_core.reporting._curves import resampled
from interp_core.reporting._formatting import shortened
from interp_core.results import counted, place_of
from interp_core.statistics import interval_of_mean

FOR, AGAINST, SIZE, CHANCE = "#dc7a12", "#3b82c4", "#7d53b0", "#8a8478"  # the hues of reports
INCHES, ROW = 6.4, 0.28  # the width of a figure, and the height of a bar with what is around it
POINTS = 101  # of a mean curve


def register(figure_of: Any) -> None:
    """Register the figures of all values that have one.

    Args:
        figure_of: the `functools.singledispatch` function of `interp_core.display`.
    """
    for kind, draw in (
        (Attribution, _attribution),
        (Importance, _importance),
        (ClassConcepts, _class_concepts),
        (ConceptCards, _cards),
        (Effect, _effect),
        (Score, _score),
        (Benchmark, _benchmark),
    ):
        figure_of.register(kind, _checked(draw))


def _checked(draw: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its options checked by name."""
    known = list(inspect.signature(draw).parameters)[1:]

    def drawn(value: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                raise InputError(unknown(f"option of plot() for {type(value).__name__}", name, known))
        return draw(value, **options)

    return drawn


def _attribution(one: Attribution, *, kind: str = "auto", target: int | str = 0, top: int = 15) -> Any:
    """Bars or a waterfall of one target, or a heat map of all: "bars", "waterfall", "heatmap"; by default a heat map
    where several generated tokens are explained, else bars.
    """
    kinds = ("bars", "waterfall", "heatmap")
    if kind == "auto":
        kind = "heatmap" if len(one.targets) > 1 and one.targets[0].positions else "bars"
    if kind not in kinds:
        raise InputError(unknown("kind", kind, kinds))
    _check_top(top)
    if kind == "heatmap":
        return _heatmap(one)
    row = place_of(target, [t.label for t in one.targets], "target", "this attribution")
    scores, label = one.scores[row], one.targets[row].label
    if kind == "waterfall":
        return _waterfall(one, row)
    order = [i for i in scores.abs().argsort(descending=True, stable=True).tolist() if scores[i] != 0][:top]
    errors = None if one.error is None else one.error[row][order].tolist()
    colours = [_colour(float(scores[i]), one.directed) for i in order]
    return _bars(
        [one.units[i].text for i in order],
        scores[order].tolist(),
        f"{label} ({one.score_space})",
        title=shortened(one.text),
        errors=errors,
        colours=colours,
    )


def _waterfall(one: Attribution, row: int) -> Any:
    """From the score without any unit to that of the text, unit by unit."""
    figure, axes = _axes(len(one.units))
    scores, label = one.scores[row], one.targets[row].label
    total = float(scores.sum())
    whole = total if one.intact is None else float(one.intact[row])
    start = whole - total
    for i, score in enumerate(scores.tolist()):
        axes.barh(i, score, left=start, color=_colour(score, one.directed))
        start += score
    axes.axvline(whole - total, color=CHANCE, linewidth=1, linestyle=":")
    axes.axvline(whole, color=CHANCE, linewidth=1)
    return _labelled(figure, axes, [u.text for u in one.units], f"{label} ({one.score_space})", shortened(one.text))


def _heatmap(one: Attribution) -> Any:
    """Units across, targets down; what does not apply is blank."""
    from matplotlib.colors import LinearSegmentedColormap

    figure, axes = _axes(len(one.targets), wide=max(INCHES, 1.5 + 0.35 * len(one.units)), extra=1.0)
    largest = float(one.scores.abs().max()) or 1.0
    scores = one.scores.clone()
    if one.applicable is not None:
        scores[~one.applicable] = torch.nan
    ends = [AGAINST, "#ffffff", FOR] if one.directed else [SIZE, "#ffffff", SIZE]
    colours = LinearSegmentedColormap.from_list("interp", ends)
    drawn = axes.imshow(scores.numpy(), cmap=colours, vmin=-largest, vmax=largest, aspect="auto")
    axes.set_xticks(range(len(one.units)), [shortened(u.text, 20) for u in one.units], rotation=60, ha="right")
    axes.set_yticks(range(len(one.targets)), [shortened(t.label, 30) for t in one.targets])
    figure.colorbar(drawn, ax=axes, label=one.score_space)
    return figure


def _importance(one: Importance, *, target: int | str = 0, top: int = 15) -> Any:
    """Bars of the concepts that matter most to a target, with 95 % intervals of the mean size over texts."""
    _check_top(top)
    row = place_of(target, one.targets, "target", "this importance")
    tops = one.top(row, top)
    sizes = one.per_text[:, row].abs()
    errors = [_half(sizes[:, i]) for i, _ in tops]
    return _bars(
        [one.concepts[i] for i, _ in tops],
        [value for _, value in tops],
        f"importance for {one.targets[row]}",
        errors=errors,
    )


def _class_concepts(one: ClassConcepts, *, top: int = 15) -> Any:
    """Bars of the concepts that matter most to the class, in words if these are known."""
    _check_top(top)
    table = one.columns()
    names = [label or concept for label, concept in zip(table["label"], table["concept"], strict=True)]
    return _bars(names[:top], list(table["importance"])[:top], f"importance for {one.class_name}")


def _cards(one: ConceptCards, *, concept: int | None = None) -> Any:
    """How the codes of a concept are distributed where it is active; by default of the first card."""
    card = one.cards[0] if concept is None else one[concept]
    figure, axes = _axes(6)
    limits = np.linspace(0, card.largest or 1.0, len(card.counts) + 1)
    axes.stairs(card.counts, limits, fill=True, color=SIZE, alpha=0.6)
    axes.set_xlabel(f"code of concept {card.words.concept}")
    axes.set_ylabel("rows")
    axes.set_title(shortened(f"{card.heading}: active in {card.active:.2%}", 90), fontsize="small", loc="left")
    return figure


def _effect(one: Effect) -> Any:
    """The mean effect on each target, with 95 % intervals."""
    errors = [_half(column) for column in one.per_text.T]
    means = one.mean.tolist()
    colours = [_colour(value, True) for value in means]
    return _bars(list(one.targets), means, "change of the score", errors=errors, colours=colours)


def _score(one: Score, *, kind: str = "auto") -> Any:
    """The values of all inputs, or the one value, beside the chance level; "curves" for what they are areas of."""
    kinds = ("values", "curves") if one.curves else ("values",)
    if kind not in ("auto", *kinds):
        raise InputError(unknown("kind", kind, ("auto", *kinds)))
    if one.curves and kind != "values":
        return _curves(one)
    figure, axes = _axes(6)
    if one.values is not None and len(one.values) > 1:
        axes.hist(one.values[one.values.isfinite()].numpy(), bins="auto", color=SIZE, alpha=0.6)
        axes.set_ylabel("inputs")
    axes.axvline(one.value, color=SIZE, label=f"mean {one.value:.3f}")
    if one.chance is not None:
        axes.axvline(one.chance, color=CHANCE, linestyle=":", label=f"random {one.chance:.3f}")
    axes.set_xlabel(one.name)
    axes.legend(frameon=False)
    return figure


def _curves(one: Score) -> Any:
    """The curve of each input and target over the share of steps, their mean, and that of random orders."""
    figure, axes = _axes(8)
    share = np.linspace(0, 1, POINTS)
    for curve in one.curves:
        heights = curve.expand(2) if len(curve) == 1 else curve  # a point alone is as high everywhere
        axes.plot(np.linspace(0, 1, len(heights)), heights.numpy(), color=SIZE, alpha=0.25, linewidth=0.8)
    drawn = resampled(one.curves, POINTS)
    axes.plot(share, drawn.mean(0), color=SIZE, label=f"mean of {counted(len(drawn), 'curve')}")
    if one.chance_curves:
        random = resampled(one.chance_curves, POINTS).mean(0)
        axes.plot(share, random, color=CHANCE, linestyle=":", label="random orders")
    axes.set_xlabel("share of the units")
    axes.set_ylabel(str(one.made_by.settings.get("score", "score")))
    axes.set_title(one.one_line(), fontsize="small", loc="left")
    axes.legend(frameon=False)
    return figure


def _benchmark(one: Benchmark, *, metric: str = "") -> Any:
    """One metric of all methods, with intervals and chance levels; by default the first."""
    metric = metric or one.metrics[0]
    if metric not in one.metrics:
        raise InputError(unknown("metric", metric, one.metrics))
    rows = [(row.method, row.scores[metric]) for row in one.rows if metric in row.scores]
    errors = [0.0 if s.interval is None else (s.interval[1] - s.interval[0]) / 2 for _, s in rows]
    figure = _bars([name for name, _ in rows], [s.value for _, s in rows], metric, errors=errors)
    for place, (_, score) in enumerate(rows):
        if score.chance is not None:
            figure.axes[0].plot([score.chance] * 2, [place - 0.4, place + 0.4], color=CHANCE, linestyle=":")
    return figure


def _bars(
    names: Sequence[str],
    values: Sequence[float],
    label: str,
    *,
    title: str = "",
    errors: Sequence[float] | None = None,
    colours: Sequence[str] | str = SIZE,
) -> Any:
    """Horizontal bars, the first at the top."""
    figure, axes = _axes(len(names))
    axes.barh(range(len(names)), values, xerr=errors, color=colours, ecolor=CHANCE)
    return _labelled(figure, axes, names, label, title)


def _labelled(figure: Any, axes: Any, names: Sequence[str], label: str, title: str) -> Any:
    axes.set_yticks(range(len(names)), [shortened(name, 40) for name in names])
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(label)
    axes.set_title(title, fontsize="small", loc="left")
    return figure


def _axes(rows: int, *, wide: float = INCHES, extra: float = 0.9) -> tuple[Any, Any]:
    """A figure that no backend and no global state of matplotlib knows of."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("plot needs the package matplotlib: pip install matplotlib.") from error
    figure = Figure(figsize=(wide, extra + ROW * max(rows, 1)), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _check_top(top: Any) -> None:
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise InputError(f"top is {top!r}; a whole number from 1 was expected.")


def _half(values: torch.Tensor) -> float:
    """Half of the 95 % interval of a mean; 0 for too few values."""
    interval = interval_of_mean(values)
    return 0.0 if interval is None else (interval[1] - interval[0]) / 2


def _colour(value: float, directed: bool) -> str:
    return SIZE if not directed else FOR if value > 0 else AGAINST
