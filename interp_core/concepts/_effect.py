"""What changing concepts does to the answers of a model: a number for each text and target, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Options, Question
from interp_core.concepts._intervention import Change
from interp_core.concepts._questions import concept_questions
from interp_core.concepts._space import ConceptSpace
from interp_core.display import html
from interp_core.model import SplitModel
from interp_core.plugin import named_options
from interp_core.results import MadeBy, load_tensors, made_by, save_tensors
from interp_core.statistics import interval_of_mean
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Effect:
    """What a change of concepts does to the scores of targets.

    Attributes:
        per_text: (n, k) the score with the change less the score without it, for each text and target.
        targets: names of the k targets.
        change: what was changed, as JSON values.
    """

    per_text: Float[Tensor, "n k"]
    targets: tuple[str, ...]
    change: dict[str, Any]
    made_by: MadeBy
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> Float[Tensor, " k"]:
        """The mean over texts, for each target."""
        return self.per_text.mean(0)

    @property
    def intervals(self) -> list[tuple[float, float] | None]:
        """The 95 % interval of each mean over such texts (Student's t); None for fewer than five texts."""
        return [interval_of_mean(column) for column in self.per_text.T]

    def __str__(self) -> str:
        pairs = zip(self.targets, self.mean.tolist(), self.intervals, strict=True)
        said = [f"{t} {m:+.3f}" + (f" [{i[0]:+.3f}, {i[1]:+.3f}]" if i else "") for t, m, i in pairs]
        return f"{self.change}: " + ", ".join(said)

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file."""
        data = {
            "targets": self.targets,
            "change": self.change,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "effect", {"per_text": self.per_text}, data)

    @classmethod
    def load(cls, path: str | Path) -> Effect:
        """Read what `save` wrote."""
        tensors, data = load_tensors(path, "effect")
        made = MadeBy.from_json(data["made_by"])
        return cls(tensors["per_text"], tuple(data["targets"]), data["change"], made, tuple(data["notes"]))

    def _repr_html_(self) -> str:
        return html(self)


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
    """What changing concepts does to the answers, text by text.

    Concepts are changed in the rows of the activations, as for `importance`: ablating one concept is minus what
    occlusion gives it there.

    Args:
        split: the model, split where the activations were read.
        space: the concepts.
        activations: the texts and their rows.
        change: what is changed, such as `Change(ablate=[3])`.
        targets: as in `importance`.
        score: the score space, as in `attribute`.
        progress: show a bar on a terminal or notebook.

    Raises:
        InputError: a concept that is not there, or space, activations and split that do not belong together.
    """
    source = concept_questions(split, space, activations, targets, Options(score=score, progress=progress))
    factor, shift = change.factors(space)

    def work(question: Question) -> Tensor:
        codes = question.x  # (c, r)
        changed = codes * factor.to(codes)[:, None] + shift.to(codes)[:, None]
        scores = question.at(torch.stack([changed, codes]))
        return (scores[0] - scores[1]).float().cpu()

    found = source.each(work, "effect")
    settings = {"granularity": activations.granularity, "layer": split.path, "texts": len(found)}
    made = made_by("effect", source.session.cost, split.model.name, settings)
    return Effect(torch.stack(found), source.labels, change.told(space), made)
