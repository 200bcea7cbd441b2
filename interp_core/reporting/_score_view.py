"""Scores as they are shown: each with what a random answer gets, and a verdict in words."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.metrics import Score
from interp_core.reporting._formatting import number

MARGIN = 0.08  # of the width of the small plot, on either side


@dataclass(frozen=True)
class Strip:
    """Where value, interval and floor stand on a line from 0 to 100."""

    value: str
    floor: str
    low: str
    width: str


@dataclass(frozen=True)
class ScoreView:
    """One metric in words and numbers; `verdict` is `better`, `same`, `worse` or `none`."""

    name: str
    definition: str
    value: str
    interval: str
    floor: str
    direction: str
    verdict: str
    words: str
    aside: str
    strip: Strip | None
    inputs: str
    notes: tuple[str, ...]


def score_view(score: Score) -> ScoreView:
    """A score ready to be read."""
    verdict, words, aside = verdict_of(score)
    interval = f"{number(score.interval[0])} to {number(score.interval[1])}" if score.interval else "\u2013"
    return ScoreView(
        name=score.name or score.made_by.method,
        definition=score.definition,
        value=number(score.value),
        interval=interval,
        floor="\u2013" if score.floor is None else number(score.floor),
        direction={True: "↑ higher is better", False: "↓ lower is better", None: "neither way is better"}[
            score.higher_is_better
        ],
        verdict=verdict,
        words=words,
        aside=aside,
        strip=_strip(score),
        inputs="" if score.values is None else str(len(score.values)),
        notes=score.notes,
    )


def verdict_of(score: Score) -> tuple[str, str, str]:
    """`better`, `same`, `worse` or `none`; the same in words; and what limits it.

    A value is better than random when its whole 95 % interval lies on the good side of the floor; without an interval
    the value itself must, and that is said.
    """
    if score.floor is None or score.higher_is_better is None:
        missing = "no direction" if score.floor is not None else "no random answer to compare with"
        return "none", "no verdict", missing
    if score.interval is None and score.values is not None:
        return "none", "no verdict", "too few texts; five or more are needed"
    sign = 1.0 if score.higher_is_better else -1.0
    low, high = sorted(sign * v for v in score.interval or (score.value, score.value))
    floor = sign * score.floor
    caution = "" if score.interval else "a single number, without an interval"
    if low > floor:
        return "better", "better than random", caution
    if high < floor:
        return "worse", "worse than random", caution
    return "same", "no better than random", caution or "the interval holds the random answer"


def _strip(score: Score) -> Strip | None:
    """The small plot; None where there is nothing to compare the value with."""
    known = [score.value, *(score.interval or ()), *(() if score.floor is None else (score.floor,))]
    low, high = min(known), max(known)
    if high <= low:
        return None
    pad = MARGIN * (high - low) / (1 - 2 * MARGIN)

    places = {v: 100 * (v - low + pad) / (high - low + 2 * pad) for v in known}
    start, stop = (places[v] for v in score.interval or (score.value, score.value))
    floor = "" if score.floor is None else f"{places[score.floor]:.1f}"
    return Strip(f"{places[score.value]:.1f}", floor, f"{start:.1f}", f"{stop - start:.1f}")
