"""The view of scores: each with its chance level, and a verdict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from interp_core.metrics import Score
from interp_core.reporting._formatting import number

FEWEST = 5  # inputs of an interval
MARGIN = 0.08  # share of the width of the small plot, on either side


@dataclass(frozen=True)
class Strip:
    """The positions of value, chance level and interval on a line from 0 to 100."""

    value: str
    chance: str
    low: str
    width: str


@dataclass(frozen=True)
class ScoreView:
    """One metric in words and numbers; `verdict` is `better`, `same`, `worse` or `none`."""

    name: str
    definition: str
    value: str
    interval: str
    chance: str
    direction: str
    verdict: str
    words: str
    aside: str
    strip: Strip | None
    inputs: str
    notes: tuple[str, ...]


def score_view(score: Score) -> ScoreView:
    """The view of a score."""
    verdict, words, aside = verdict_of(score)
    interval = f"{number(score.interval[0])} to {number(score.interval[1])}" if score.interval else "\u2013"
    error = f" ± {number(score.chance_error)}" if score.chance_error is not None else ""
    return ScoreView(
        name=score.name or score.made_by.method,
        definition=score.definition,
        value=number(score.value),
        interval=interval,
        chance="\u2013" if score.chance is None else number(score.chance) + error,
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
    """The verdict on a score: `better`, `same`, `worse` or `none`; the same in words; and a limitation, if any.

    A value is better than random if its whole 95 % interval lies on the better side of the chance level. Without an
    interval the value itself is compared, and the limitation says so.
    """
    if not math.isfinite(score.value):
        return "none", "no verdict", "the value is not finite"
    if score.chance is None or score.higher_is_better is None:
        missing = "no direction" if score.chance is not None else "no random answer to compare with"
        return "none", "no verdict", missing
    if score.interval is None and score.values is not None:
        few = len(score.values) < FEWEST
        return "none", "no verdict", f"too few inputs; {FEWEST} or more are needed" if few else "no interval is known"
    sign = 1.0 if score.higher_is_better else -1.0
    low, high = sorted(sign * v for v in score.interval or (score.value, score.value))
    chance = sign * score.chance
    caution = "" if score.interval else "a single number, without an interval"
    if low > chance:
        return "better", "better than random", caution
    if high < chance:
        return "worse", "worse than random", caution
    return "same", "no better than random", caution or "the interval holds the random answer"


def _strip(score: Score) -> Strip | None:
    """The small plot; None if there is nothing to compare the value with."""
    known = [score.value, *(score.interval or ()), *(() if score.chance is None else (score.chance,))]
    low, high = min(known), max(known)
    if not all(map(math.isfinite, known)) or high <= low:
        return None
    pad = MARGIN * (high - low) / (1 - 2 * MARGIN)
    places = {v: 100 * (v - low + pad) / (high - low + 2 * pad) for v in known}
    start, stop = (places[v] for v in score.interval or (score.value, score.value))
    chance = "" if score.chance is None else f"{places[score.chance]:.1f}"
    return Strip(f"{places[score.value]:.1f}", chance, f"{start:.1f}", f"{stop - start:.1f}")
