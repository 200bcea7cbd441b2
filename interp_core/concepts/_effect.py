"""The effect of changing concepts on the scores of targets, text by text, with confidence intervals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Options, Question
from interp_core.concepts._intervention import Change, change_of
from interp_core.concepts._questions import concept_questions
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InterpWarning
from interp_core.model import SplitModel
from interp_core.plugin import named_options
from interp_core.results import MadeBy, Value, for_json, load_tensors, made_by, save_tensors
from interp_core.statistics import interval_of_mean
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Effect(Value):
    """The effect of changing concepts on the scores of targets.

    Attributes:
        per_text: (n, k) for n texts and k targets, the score with the change minus the score without it, in the score
            space.
        targets: the names of the k targets.
        change: the change, as JSON values: `ablate`, `scale` and `add`, with concepts by name.
        made_by: how the effect was measured.
        notes: what a reader should know.

    Examples:
        >>> from interp_core.concepts import Effect
        >>> from interp_core.results import MadeBy
        >>> per_text = torch.tensor([[-2.0], [-1.0], [-3.0], [-2.0], [-2.0]])
        >>> effect = Effect(per_text, ("joy",), {"ablate": ["concept 3"]}, MadeBy("effect"))
        >>> print(effect)
        {'ablate': ['concept 3']}: joy -2.000 [-2.878, -1.122]
    """

    per_text: Float[Tensor, "n k"]
    targets: tuple[str, ...]
    change: dict[str, Any]
    made_by: MadeBy
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> Float[Tensor, " k"]:
        """The mean effect over texts, for each target."""
        return self.per_text.mean(0)

    @property
    def intervals(self) -> list[tuple[float, float] | None]:
        """The 95 % confidence interval of the mean for each target (Student's t), or None for fewer than five texts."""
        return [interval_of_mean(column) for column in self.per_text.T]

    def one_line(self) -> str:
        """Describe the effect in less than a line: the mean effect on each target, with its interval."""
        pairs = zip(self.targets, self.mean.tolist(), self.intervals, strict=True)
        means = [f"{t} {m:+.3f}" + (f" [{i[0]:+.3f}, {i[1]:+.3f}]" if i else "") for t, m, i in pairs]
        return f"{self.change}: " + ", ".join(means)

    def summary(self) -> str:
        """Describe the effect: the mean effect on each target, with its interval, and the notes."""
        return "\n".join([self.one_line(), *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, text by text."""
        data = {"targets": self.targets, "change": self.change, "per_text": self.per_text.tolist()}
        return for_json({**data, "notes": list(self.notes), "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each text and target."""
        n, k = self.per_text.shape
        return {
            "text": [i for i in range(n) for _ in range(k)],
            "target": [target for _ in range(n) for target in self.targets],
            "effect": self.per_text.flatten().tolist(),
        }

    def save(self, path: str | Path) -> Path:
        """Write the effect to a safetensors file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        data = {
            "targets": self.targets,
            "change": self.change,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "effect", {"per_text": self.per_text}, data)

    @classmethod
    def load(cls, path: str | Path) -> Effect:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The effect.

        Raises:
            InputError: there is no such file, or it does not hold an effect.
        """
        tensors, data = load_tensors(path, "effect")
        made = MadeBy.from_json(data["made_by"])
        return cls(tensors["per_text"], tuple(data["targets"]), data["change"], made, tuple(data["notes"]))


@named_options
def effect(
    split: SplitModel,
    space: ConceptSpace,
    activations: Activations,
    change: Change,
    *,
    targets: Any = "all",
    score: str = "auto",
    progress: bool = True,
) -> Effect:
    """Measure the effect of changing concepts on the scores of targets, text by text.

    Concepts are changed in the rows of the activations, as in `importance`. The effect of ablating a single concept
    equals minus its contribution by occlusion.

    Args:
        split: the model, split where the activations were read.
        space: the concepts.
        activations: n texts with their rows.
        change: the change, such as `Change(ablate=[3])`.
        targets: the k targets, as in `importance`.
        score: the score space, as in `attribute`.
        progress: show a progress bar in terminals and notebooks.

    Returns:
        The effect on each target in each text (n, k).

    Raises:
        InputError: `change` is not a `Change`, or names no concepts or ones that the space does not have; or space,
            activations and split do not belong together.
        TargetError: a target does not exist, the predicted class is asked for but unknown, or texts have different
            numbers of targets.
        UnsupportedError: the model gives no logits, or the layer is in the decoder of an encoder-decoder model.

    Examples:
        "happy" adds 2 to class 0 through concept 0, so the score falls by 2 without that concept.

        >>> from interp_core.concepts import AffineSpace, Change
        >>> from interp_core.testing import planted_model
        >>> split = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)}).split("words")
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))
        >>> activations = split.activations(["so happy", "sad"], granularity="word", progress=False)
        >>> interp.effect(split, space, activations, Change(ablate=[0]), progress=False).per_text
        tensor([[-2.,  0.],
                [ 0.,  0.]])
    """
    change = change_of(change)
    source = concept_questions(split, space, activations, targets, Options(score=score, progress=progress))
    factor, shift = change.factors(space)

    def effect_on(question: Question) -> Tensor:
        codes = question.x  # (c, r)
        changed = codes * factor.to(codes)[:, None] + shift.to(codes)[:, None]
        scores = question.at(torch.stack([changed, codes]))
        return (scores[0] - scores[1]).float().cpu()

    per_text = source.each(effect_on, "effect")
    settings = {"granularity": activations.granularity, "layer": split.path, "texts": len(per_text)}
    made = made_by("effect", source.session.cost, split.model.name, settings)
    of_texts = torch.stack(per_text)
    notes = source.absence_note((factor == 0) & (shift == 0)) + source.zero_note(of_texts)
    for note in notes:
        warnings.warn(note, InterpWarning, stacklevel=3)
    return Effect(of_texts, source.targets.labels, change.told(space), made, notes)
