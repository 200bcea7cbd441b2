"""Texts in colour, for terminals."""

from __future__ import annotations

from collections.abc import Sequence

from interp_core.text import Unit
from jaxtyping import Float
from torch import Tensor

FOR, AGAINST, SIZE = (240, 138, 26), (76, 147, 214), (166, 120, 216)  # the hues of reports
FAINTEST = 1 / 14  # of the largest score: less has no colour


def coloured(
    text: str, units: Sequence[Unit], scores: Float[Tensor, "k u"], lines: Sequence[str], *, directed: bool
) -> str:
    """The text once for each target, its words coloured by their scores; "" where standard output has no colours.

    Args:
        text: the text.
        units: its u units.
        scores: (k, u) the scores.
        lines: what stands above the text for each target.
        directed: whether the sign of a score is a direction.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, force_jupyter=False)
    if console.color_system is None:
        return ""
    segments = _segments(text, units)
    with console.capture() as captured:
        for line, of_target in zip(lines, scores.tolist(), strict=True):
            words = Text.assemble((line, "bold"), "\n")
            largest = max(map(abs, of_target), default=0.0)
            for part, unit in segments:
                words.append(part, _style(of_target[unit] / largest if unit >= 0 and largest else 0.0, directed))
            console.print(words)
    return captured.get().rstrip("\n")


def _segments(text: str, units: Sequence[Unit]) -> list[tuple[str, int]]:
    """The text, cut at its units: characters, and the number of their unit, -1 for none."""
    end, found = 0, []
    for number, unit in enumerate(units):
        if not end <= unit.start < unit.stop <= len(text):
            return [(part, n) for n, u in enumerate(units) for part, n in ((u.text, n), (" ", -1))]
        found += [(text[end : unit.start], -1), (text[unit.start : unit.stop], number)]
        end = unit.stop
    return [*found, (text[end:], -1)]


def _style(share: float, directed: bool) -> str:
    """The style of a word with this share of the largest score."""
    if abs(share) < FAINTEST:
        return ""
    hue = SIZE if not directed else FOR if share > 0 else AGAINST
    red, green, blue = (round(255 + (h - 255) * abs(share)) for h in hue)
    return f"black on rgb({red},{green},{blue})"
