"""The `Attribution` value: how much each unit of a text counts for each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_core.display import html
from interp_core.errors import InputError
from interp_core.model import Target
from interp_core.results import MadeBy, claims_of, load_tensors, place_of, save_tensors
from interp_core.text import DividedText, Encoded, Unit
from jaxtyping import Bool, Float
from torch import Tensor

ENCODED = ("ids", "offsets", "special", "unit_of", "types")  # fields of the encoded text saved as tensors
PLAIN = ("prompt", "cut", "source", "borders", "turns")  # and as JSON values


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each unit of a text counts for each target.

    Attributes:
        text: the text, followed by the continuation when generated tokens are explained.
        units: the u units.
        targets: the k targets.
        scores: (k, u), in the unit of the score space; exactly 0 where not applicable. `directed` says whether the sign
            tells what speaks for and against the target.
        made_by: the method, its parameters, the model and the cost.
        error: (k, u) the standard error of each score, for methods that sample; 0 where the score is exact. None for
            methods that do not sample.
        applicable: (k, u) False for units that come after the token that is explained. None means all True.
        intact: (k) the scores of the unchanged text.
        score_space: `"logit"`, `"probability"`, `"log-probability"` or `"entropy"` (nats).
        notes: what a reader should know, such as that the text was truncated.
        encoded: the tokenised text and its units.
        rows: the number of model rows evaluated for this text. Repeated rows, and rows taken from another text, are not
            counted.

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

    @property
    def exact(self) -> bool:
        """True if a method that samples has evaluated every variant, so that all standard errors are 0."""
        return self.error is not None and not bool(self.error.any())

    @property
    def directed(self) -> bool:
        """Whether a positive score speaks for the target, and a negative one against it.

        So it is where the method claims `signed`. Scores of other methods, such as sizes of gradients, and those of an
        entropy say only how much a unit matters. Of a method that no installed package declares, negative scores are
        taken for signs.
        """
        if self.score_space == "entropy":
            return False
        claims = claims_of(self.made_by, "attribution")
        return bool((self.scores < 0).any()) if claims is None else "signed" in claims

    @property
    def prompt_stop(self) -> int:
        """The character at which the explained continuation begins; -1 if there is none."""
        return -1 if self.encoded is None else self.encoded.continuation

    @property
    def words(self) -> list[str]:
        """The texts of the units."""
        return [unit.text for unit in self.units]

    def top(self, target: int | str = 0, count: int = 5) -> list[tuple[str, float]]:
        """The applicable units with the largest absolute scores for a target.

        Args:
            target: number or name of the target.
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

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file. Of a target that is a function only the label is kept.

        Args:
            path: the file, which ends in `.safetensors`; its folder is created if necessary.

        Returns:
            The path of the file.

        Raises:
            InputError: the file ends in another way.
        """
        tensors = {"scores": self.scores, "error": self.error, "applicable": self.applicable, "intact": self.intact}
        if self.encoded is not None:
            tensors |= {name: getattr(self.encoded, name) for name in ENCODED}
        data = {
            "text": self.text,
            "units": [[u.start, u.stop, u.text] for u in self.units],
            "targets": [_plain(t) for t in self.targets],
            "score_space": self.score_space,
            "notes": self.notes,
            "rows": self.rows,
            "encoded": None if self.encoded is None else {name: getattr(self.encoded, name) for name in PLAIN},
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "attribution", {k: v for k, v in tensors.items() if v is not None}, data)

    @classmethod
    def load(cls, path: str | Path) -> Attribution:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The attribution, equal to the one saved. A target that was a function has one that raises an `InputError`
            when the model is asked about it, which says how to give it the function again.

        Raises:
            InputError: the file does not exist, or does not hold an attribution.
        """
        tensors, data = load_tensors(path, "attribution")
        units = tuple(Unit(text, start, stop) for start, stop, text in data["units"])
        encoded = None
        if data["encoded"] is not None:
            plain = data["encoded"]
            plain |= {"borders": tuple(plain["borders"]), "turns": tuple((a, b) for a, b in plain["turns"])}
            fields: dict[str, Any] = {n: tensors.pop(n, None) for n in ENCODED}
            encoded = DividedText(data["text"], **fields, units=units, **plain)
        return cls(
            text=data["text"],
            units=units,
            encoded=encoded,
            targets=tuple(_target(fields) for fields in data["targets"]),
            made_by=MadeBy.from_json(data["made_by"]),
            score_space=data["score_space"],
            notes=tuple(data["notes"]),
            rows=data.get("rows", 0),
            **tensors,
        )

    def _repr_html_(self) -> str:
        return html(self)


def _plain(target: Target) -> list[Any]:
    return [target.label, target.index, target.position, target.against, [_plain(part) for part in target.parts]]


def _target(fields: Sequence[Any]) -> Target:
    label, index, position, against, parts = fields
    function = _NotSaved(label) if index < 0 and not parts else None
    return Target(label, index, position, against, function, tuple(_target(part) for part in parts))


@dataclass(frozen=True)
class _NotSaved:
    """Stands for the function of a target that was loaded from a file."""

    label: str

    def __call__(self, logits: Any) -> Any:
        raise InputError(
            f"the target {self.label!r} is a function of the logits, and files do not keep functions. Give it again: "
            "dataclasses.replace(attribution, targets=(dataclasses.replace(attribution.targets[0], function=…),))."
        )
