"""The value `Grounding`: the sources of each part of an answer, or that there are none beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from interp_core.results import MadeBy, Value, counted, for_json, load_json, save_json

HEADING = 60  # characters of a target or a source in a summary


@dataclass(frozen=True)
class Source:
    """A unit that a target draws on beyond chance.

    Attributes:
        unit: its number in the attribution.
        text: what it says.
        start: its first character in the text.
        stop: the character after its last.
        score: its attribution.
        p: how likely one of the units would have such a score by chance; Holm-adjusted for the number of units.
        interval: the 95 % interval of the score of a method that samples; None where the score is not drawn.
    """

    unit: int
    text: str
    start: int
    stop: int
    score: float
    p: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Grounding(Value):
    """The sources of each target of an attribution, made by `interp.grounded`.

    Attributes:
        text: the text with its answer.
        targets: what is explained, such as the sentences of the answer.
        sources: the sources of each target, highest score first; empty where there is no source beyond chance.
        level: probability with which a target without sources is given one.
        score_space: the score space, hence the unit of the scores.
        made_by: the provenance of the attribution.
        notes: what a reader should know.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (why,) = interp.attribute(model, "the cat was so happy", by="occlusion", targets=[0, 1], progress=False)
        >>> found = interp.grounded(why)
        >>> [source.text for source in found.sources[0]], found.sources[1]
        (['happy'], ())
        >>> print(found)
        'class 0': happy +3.000
        'class 1': no source beyond chance
    """

    SUFFIX: ClassVar[str] = ".json"
    text: str
    targets: tuple[str, ...]
    sources: tuple[tuple[Source, ...], ...]
    level: float = 0.05
    score_space: str = "logit"
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    def one_line(self) -> str:
        """The number of targets with sources."""
        some = sum(bool(own) for own in self.sources)
        return f"sources for {some} of {counted(len(self.targets), 'target')}, by {self.made_by.brief}"

    def summary(self) -> str:
        """Each target with its sources, or that there are none, and what a reader should know."""
        lines = []
        for target, own in zip(self.targets, self.sources, strict=True):
            said = "; ".join(f"{_short(one.text)} {one.score:+.3f}{_interval(one)}" for one in own)
            lines.append(f"{_short(target)!r}: {said or 'no source beyond chance'}")
        return "\n".join([*lines, *self.notes])

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """One row for each target and source; a target without sources has a row without one."""
        rows = [(k, own) for k, some in enumerate(self.sources) for own in (some or (None,))]
        fields = ("unit", "start", "stop", "score", "p")
        return {
            "target": [self.targets[k] for k, _ in rows],
            "target_number": [k for k, _ in rows],
            "source": ["no source beyond chance" if own is None else own.text for _, own in rows],
            **{name: [None if own is None else getattr(own, name) for _, own in rows] for name in fields},
            "low": [None if own is None or own.interval is None else own.interval[0] for _, own in rows],
            "high": [None if own is None or own.interval is None else own.interval[1] for _, own in rows],
        }

    def to_json(self) -> dict[str, Any]:
        """The sources as JSON values; an infinite end of an interval is None."""
        return dict[str, Any](
            for_json(
                {
                    "text": str(self.text),
                    "targets": list(self.targets),
                    "sources": [[asdict(one) for one in own] for own in self.sources],
                    "level": self.level,
                    "score_space": self.score_space,
                    "made_by": self.made_by.to_json(),
                    "notes": list(self.notes),
                }
            )
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Grounding:
        """The sources that `to_json` described."""
        return cls(
            text=data["text"],
            targets=tuple(data["targets"]),
            sources=tuple(tuple(_source(one) for one in own) for own in data["sources"]),
            level=data["level"],
            score_space=data["score_space"],
            made_by=MadeBy.from_json(data["made_by"]),
            notes=tuple(data["notes"]),
        )

    def save(self, path: str | Path) -> Path:
        """Write a JSON file and return its path."""
        return save_json(path, "grounding", self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Grounding:
        """The sources in a file that `save` wrote.

        Raises:
            InputError: there is no such file, or it does not hold a grounding.
        """
        return cls.from_json(load_json(path, "grounding"))


def _source(fields: dict[str, Any]) -> Source:
    held = fields["interval"]
    return Source(**{**fields, "interval": None if held is None else (float(held[0]), float(held[1]))})


def _interval(one: Source) -> str:
    return "" if one.interval is None else f" ({one.interval[0]:.3f} to {one.interval[1]:.3f})"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= HEADING else f"{words[: HEADING - 1]}…"
