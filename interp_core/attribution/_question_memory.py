"""The memory of a question: the scores of variants evaluated before."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Memory:
    """What has been evaluated for a question, what its method has noted, and whether it draws as few as it can."""

    scores: dict[bytes, Tensor] = field(default_factory=dict)
    decisions: dict[bytes, Tensor] = field(default_factory=dict)
    slopes: Tensor | None = None
    rows: int = 0
    notes: list[str] = field(default_factory=list)
    lowered: bool = False
    groups: Tensor | None = None
