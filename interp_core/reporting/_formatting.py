"""Numbers and labels for readers, and the steps of the colour scale."""

from __future__ import annotations

import math

STEPS = 7
MINUS = "\u2212"
LABEL = 40


def number(value: float) -> str:
    """About three significant digits: `0.123`, `4.07`, `1 250`, `3.0e−05`."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if size == 0:
        return "0"
    if size < 0.0005 or size >= 1e6:
        text = f"{value:.1e}"
    elif size >= 100:
        text = f"{value:,.0f}".replace(",", "\u202f")
    else:
        text = f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3}f}"
    return text.replace("-", MINUS)


def whole(amount: int) -> str:
    """A whole number with thousands separated: `89`, `1 250`."""
    return f"{amount:,}".replace(",", "\u202f")


def signed(value: float) -> str:
    """As `number`, with a plus sign above zero."""
    return ("+" if value > 0 else "") + number(value)


def step(value: float, largest: float, directed: bool) -> str:
    """The step of a score on the colour scale: `p1` to `p7` above zero, `n1` to `n7` below, `z` close to zero.

    Of scores without a direction `s1` to `s7`, whatever their sign.
    """
    if not largest or not math.isfinite(largest) or not math.isfinite(value):
        return "z"
    level = min(STEPS, round(STEPS * abs(value) / largest))
    hue = "s" if not directed else "p" if value > 0 else "n"
    return f"{hue}{level}" if level else "z"


def share(value: float, largest: float) -> str:
    """The length of a bar, from 0 to 1."""
    return f"{min(1.0, abs(value) / largest):.3f}" if largest and math.isfinite(value) else "0"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def count(amount: int, noun: str, plural: str = "") -> str:
    """`1 text`, `3 texts`, `2 classes`."""
    return f"{amount} {noun if amount == 1 else plural or noun + 's'}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def shortened(text: str, limit: int = 60) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def short(label: str) -> str:
    """A label that fits on a button; a longer one is cut."""
    return label if len(label) <= LABEL else shortened(label, LABEL)
