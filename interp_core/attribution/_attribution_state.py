"""An attribution as tensors and JSON values, as files keep it, and the rows of its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interp_core.attribution._component_text import loaded_components, saved_components
from interp_core.errors import InputError
from interp_core.model import Classes, Target
from interp_core.results import MadeBy
from interp_core.text import DividedText, Unit, joined_parts, with_parts
from torch import Tensor

ENCODED = ("ids", "offsets", "special", "unit_of", "types")  # fields of the encoded text saved as tensors
PLAIN = ("prompt", "cut", "source", "borders", "turns", "roles", "documents")  # and as JSON values
TENSORS = ("error", "applicable", "intact")
CLASSES = ("label", "answer", "probability")  # what a classifier was asked, and what it said


def state_of(attribution: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON values of an attribution. Of a target that is a function only the label is kept."""
    encoded = attribution.encoded
    tensors = {"scores": attribution.scores, **{name: getattr(attribution, name) for name in TENSORS}}
    if encoded is not None:
        tensors |= {name: getattr(encoded, name) for name in ENCODED}
    components, of_components = saved_components(encoded)
    tensors |= components
    data = {
        "text": attribution.text,
        "parts": joined_parts([attribution.text]),
        "units": [[u.start, u.stop, u.text] for u in attribution.units],
        "targets": [_plain(t) for t in attribution.targets],
        "score_space": attribution.score_space,
        "notes": attribution.notes,
        "rows": attribution.rows,
        "encoded": None if encoded is None else {name: getattr(encoded, name) for name in PLAIN},
        "components": of_components,
        "made_by": attribution.made_by.to_json(),
        **{name: getattr(attribution, name) for name in CLASSES},
    }
    return {name: value for name, value in tensors.items() if value is not None}, data


def fields_of(state: tuple[dict[str, Tensor], dict[str, Any]]) -> dict[str, Any]:
    """The fields of the attribution with this state.

    A target that was a function has one that raises an `InputError` when the model is asked about it, which says how to
    give it the function again.
    """
    tensors, data = state
    (text,) = with_parts([data["text"]], data.get("parts", {}))
    units = tuple(Unit(word, start, stop) for start, stop, word in data["units"])
    encoded = None
    if data["encoded"] is not None:
        plain = dict(data["encoded"])
        plain |= {name: tuple(plain.get(name, ())) for name in ("borders", "roles")}
        plain |= {name: tuple((a, b) for a, b in plain.get(name, ())) for name in ("turns", "documents")}
        fields: dict[str, Any] = {n: tensors.pop(n, None) for n in ENCODED}
        encoded = loaded_components(DividedText(text, **fields, units=units, **plain), tensors, data)
    return {
        "text": text,
        "units": units,
        "encoded": encoded,
        "targets": tuple(_target(fields) for fields in data["targets"]),
        "made_by": MadeBy.from_json(data["made_by"]),
        "score_space": data["score_space"],
        "notes": tuple(data["notes"]),
        "rows": data.get("rows", 0),
        **classes_in(data),
        **tensors,
    }


def classes_in(data: dict[str, Any]) -> dict[str, Any]:
    """The true class, the answer and its probability; tuples of them for a multi-label head."""
    plain = {name: data.get(name) for name in CLASSES}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}


def right_of(label: Classes | None, answer: Classes | None) -> bool | None:
    """Whether the answer is the true class, or all of them; None if one of the two is not known."""
    if label is None or answer is None:
        return None
    one, other = ((value,) if isinstance(value, str) else value for value in (label, answer))
    return set(one) == set(other)


def columns_of(
    targets: Sequence[str],
    units: Sequence[Sequence[Any]],
    scores: Sequence[float],
    error: Sequence[float] | None,
    applies: Sequence[bool] | None,
) -> dict[str, list[Any]]:
    """One row for each unit and target; scores are None where they do not apply.

    Args:
        targets: the labels of the k targets.
        units: the text, start and stop of the u units.
        scores: the k × u scores, target by target.
        error: their standard errors, or None.
        applies: whether each score applies; None if all do.
    """
    k, u = len(targets), len(units)
    names, starts, stops = ([unit[i] for unit in units] for i in range(3))
    return {
        "target": [label for label in targets for _ in range(u)],
        "target_number": [number for number in range(k) for _ in range(u)],
        "unit": names * k,
        "start": starts * k,
        "stop": stops * k,
        "score": list(scores)
        if applies is None
        else [score if there else None for score, there in zip(scores, applies, strict=True)],
        "error": [None] * (k * u) if error is None else list(error),
    }


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
