"""The `Attribution` value: the scores of the units of one text for each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_core.attribution._attribution_state import CLASSES, TENSORS, columns_of, fields_of, right_of, state_of
from interp_core.attribution._component_text import ComponentText
from interp_core.attribution._terminal import coloured
from interp_core.model import Classes, Target
from interp_core.results import (
    MadeBy,
    Value,
    claims_of,
    counted,
    for_json,
    load_tensors,
    place_of,
    quoted,
    save_tensors,
)
from interp_core.text import Encoded, Unit
from jaxtyping import Bool, Float
from torch import Tensor

HEADING = 60  # characters of the label of a target in a summary
COLOURED = 6  # targets whose words are coloured in a terminal


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Value):
    """Attribution scores of the units of one text for each target.

    Attributes:
        text: the text, followed by the continuation when generated tokens are explained.
        units: the u units.
        targets: the k targets.
        scores: (k, u) the scores, in the score space; exactly 0 where not applicable. `directed` says whether their
            sign separates what speaks for the target from what speaks against it.
        made_by: the method, its parameters, the model and the cost.
        error: (k, u) the standard error of each score, for methods that sample; 0 where the score is exact. None for
            methods that do not sample.
        applicable: (k, u) False for units after the token that is explained, which cannot matter to it. None means all
            True.
        intact: (k) the scores of the unchanged text.
        score_space: `"logit"`, `"probability"`, `"log-probability"`, `"log-odds"` or `"entropy"` (nats).
        notes: what a reader should know, such as that the text was truncated.
        encoded: the tokenised text and its units.
        rows: the number of model rows evaluated for this text. Repeated rows, and rows taken from another text, are not
            counted.
        label: the true class of the text, if labels were given; a tuple of all its classes for a multi-label head.
        answer: the class that the classifier predicts; for a multi-label head, a tuple of the classes with a
            probability above 1/2. None for other models, and if only other targets were explained.
        probability: the probability of the answer; a tuple for a multi-label head.

    Examples:
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (attribution,) = interp.attribute(
        ...     model, "so sad but never happy", by="occlusion", targets="all", progress=False
        ... )
        >>> attribution.words
        ['so', 'sad', 'but', 'never', 'happy']
        >>> attribution.scores
        tensor([[ 0., -2.,  0.,  0.,  3.],
                [ 0.,  2.,  0.,  0., -1.]])
        >>> attribution.top(target=1, count=2)
        [('sad', 2.0), ('happy', -1.0)]
        >>> print(attribution)
        so sad but never happy
        The model says class 0 (50%).
        'class 0': happy +3.000, sad -2.000
        'class 1': sad +2.000, happy -1.000
    """

    text: str
    units: tuple[Unit, ...]
    targets: tuple[Target, ...]
    scores: Float[Tensor, "k u"]
    made_by: MadeBy
    error: Float[Tensor, "k u"] | None = None
    applicable: Bool[Tensor, "k u"] | None = None
    intact: Float[Tensor, " k"] | None = None
    score_space: str = "logit"
    notes: tuple[str, ...] = ()
    encoded: Encoded | None = None
    rows: int = 0
    label: Classes | None = None
    answer: Classes | None = None
    probability: float | tuple[float, ...] | None = None

    @property
    def right(self) -> bool | None:
        """Whether the answer is the true class (with several, exactly those); None if either is unknown."""
        return right_of(self.label, self.answer)

    @property
    def exact(self) -> bool:
        """Whether a method that samples has evaluated every variant, so that all standard errors are 0."""
        return self.error is not None and not bool(self.error.any())

    @property
    def directed(self) -> bool:
        """Whether a positive score speaks for the target and a negative one against it.

        True where the method claims `signed`. Scores of other methods, such as gradient norms, and scores of an
        entropy say only how much a unit matters. A method that no installed package declares is taken to be signed if
        any score is negative.
        """
        if self.score_space == "entropy":
            return False
        claims = claims_of(self.made_by, "attribution")
        return bool((self.scores < 0).any()) if claims is None else "signed" in claims

    @property
    def prompt_stop(self) -> int:
        """The character offset at which the explained continuation begins; -1 if there is none."""
        return -1 if self.encoded is None else self.encoded.continuation

    @property
    def words(self) -> list[str]:
        """The texts of the units."""
        return [unit.text for unit in self.units]

    def top(self, target: int | str = 0, count: int = 5) -> list[tuple[str, float]]:
        """Rank the applicable units by absolute score for a target.

        Args:
            target: the number or label of the target.
            count: the maximum number of units.

        Returns:
            Pairs of unit text and score, in order of decreasing absolute score.

        Raises:
            InputError: there is no such target.
        """
        row = place_of(target, [one.label for one in self.targets], "target", "this attribution")
        order = self.scores[row].abs().argsort(descending=True, stable=True).tolist()
        ranked = [i for i in order if self.applicable is None or bool(self.applicable[row, i])]
        return [(self.units[i].text, float(self.scores[row, i])) for i in ranked[:count]]

    @property
    def headings(self) -> list[str]:
        """The heading of each target in summaries and reports."""
        names = [t.label if len(t.label) <= HEADING else f"{t.label[: HEADING - 1]}…" for t in self.targets]
        return [f"{'' if self.directed else 'matters most to '}{name!r}" for name in names]

    def one_line(self) -> str:
        """Describe the attribution in less than a line, as its `repr` does."""
        text = self.text if len(self.text) <= HEADING else f"{self.text[: HEADING - 1]}…"
        targets = quoted([t.label for t in self.targets])
        return f"{text!r}, {counted(len(self.units), 'unit')} for {targets}, by {self.made_by.brief}"

    def summary(self) -> str:
        """Describe the attribution in a few lines: the text, the model's answer, and the top units of each target."""
        form = "+.3f" if self.directed or bool((self.scores < 0).any()) else ".3f"
        lines = self.units_line
        for k, heading in enumerate(self.headings):
            words = ", ".join(f"{word} {score:{form}}" for word, score in self.top(k) if score)
            lines.append(f"{heading}: {words or 'every score is 0'}")
        return "\n".join([self.text, *self.said, *lines, *self.notes])

    @property
    def units_line(self) -> list[str]:
        """A line that says what the units are, where they are not pieces of the text; else nothing."""
        if not isinstance(self.encoded, ComponentText):
            return []
        reference = self.encoded.reference
        shown = reference if len(reference) <= HEADING else f"{reference[: HEADING - 1]}…"
        return [f"Units: {self.encoded.over} of the model; reference: {shown!r}."]

    @property
    def said(self) -> list[str]:
        """A line with the model's answer and the true class, as far as they are known; else nothing."""
        if self.answer is None:
            return []
        pairs = zip(_several(self.answer), _several(self.probability or ()), strict=True)
        said = ", ".join(f"{name} ({share:.0%})" for name, share in pairs) or "none of the classes"
        truth = ", ".join(_several(self.label or ())) or "none of them"
        beside = "" if self.right is None else ", rightly" if self.right else f"; the label is {truth}"
        return [f"The model says {said}{beside}."]

    def __str__(self) -> str:
        some = self.headings[:COLOURED]
        words = coloured(self.text, self.units, self.scores[: len(some)], some, directed=self.directed)
        if not words:
            return self.summary()
        more = [f"… and {counted(len(self.targets) - len(some), 'more target')}"] * (len(self.targets) > len(some))
        return "\n".join([*self.said, *self.units_line, words, *more, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; of a target that is a function only the label is kept."""
        return for_json(
            {
                "text": self.text,
                "units": [[u.text, u.start, u.stop] for u in self.units],
                "targets": [t.label for t in self.targets],
                "scores": self.scores.tolist(),
                "score_space": self.score_space,
                "directed": self.directed,
                **{name: None if (held := getattr(self, name)) is None else held.tolist() for name in TENSORS},
                **{name: getattr(self, name) for name in CLASSES},
                "rows": self.rows,
                "made_by": self.made_by.to_json(),
                "notes": list(self.notes),
            }
        )

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each unit and target.

        Targets are numbered, since the labels of tokens repeat. Scores are None where they do not apply. Each row also
        has the answer of a classifier, its probability, the true class and whether the answer is right, or None.
        """
        rows = columns_of(
            [target.label for target in self.targets],
            [(unit.text, unit.start, unit.stop) for unit in self.units],
            self.scores.flatten().tolist(),
            None if self.error is None else self.error.flatten().tolist(),
            None if self.applicable is None else self.applicable.flatten().tolist(),
        )
        of_text = {"answer": self.answer, "probability": self.probability, "label": self.label, "right": self.right}
        return rows | {name: [value] * len(rows["unit"]) for name, value in of_text.items()}

    def save(self, path: str | Path) -> Path:
        """Write the attribution to a safetensors file; of a target that is a function only the label is kept.

        Args:
            path: the file, with the extension `.safetensors`; its folder is created if necessary.

        Returns:
            The path of the file.

        Raises:
            InputError: the file has another extension.
        """
        return save_tensors(path, "attribution", *state_of(self))

    @classmethod
    def load(cls, path: str | Path) -> Attribution:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The attribution, equal to the one saved. A target that was a function now holds one that raises an
            `InputError` when the target is scored; the message says how to supply the function again.

        Raises:
            InputError: the file does not exist, or does not hold an attribution.
        """
        return cls(**fields_of(load_tensors(path, "attribution")))


def _several(one: Any) -> tuple[Any, ...]:
    return one if isinstance(one, tuple) else (one,)
