"""The view of effects of changed concepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interp_core.concepts import Effect
from interp_core.reporting._formatting import count, listed, number, signed


@dataclass(frozen=True)
class Moved:
    """The effect on one target."""

    target: str
    mean: str
    interval: str


@dataclass(frozen=True)
class EffectView:
    """One effect: what was changed, in how many texts, and the effect on each target."""

    change: str
    texts: str
    rows: tuple[Moved, ...]


def effect_view(effect: Effect) -> EffectView:
    """The view of an effect."""
    rows = [
        Moved(target, signed(mean), f"{signed(interval[0])} to {signed(interval[1])}" if interval else "\u2013")
        for target, mean, interval in zip(effect.targets, effect.mean.tolist(), effect.intervals, strict=True)
    ]
    return EffectView(_described(effect.change).capitalize(), count(len(effect.per_text), "text"), tuple(rows))


def _described(change: dict[str, Any]) -> str:
    parts = [f"{listed(change['ablate'])} taken away"] if "ablate" in change else []
    parts += [f"{name} times {number(by)}" for name, by in change.get("scale", {}).items()]
    parts += [f"{name} {signed(by)}" for name, by in change.get("add", {}).items()]
    return "; ".join(parts)
