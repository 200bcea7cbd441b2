"""How much each concept matters to an answer: any attribution method, asked about the concepts of each text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Options, run_method
from interp_core.concepts._questions import concept_questions
from interp_core.concepts._space import ConceptSpace
from interp_core.display import html
from interp_core.errors import InputError
from interp_core.model import SplitModel
from interp_core.plugin import resolve
from interp_core.results import MadeBy, load_tensors, made_by, save_tensors
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Importance:
    """What concepts contribute to the scores of targets.

    Attributes:
        per_text: (n, k, c) signed contribution of each concept to each target in each text, as the attribution method
            defines it.
        targets: names of the k targets.
        concepts: names of the c concepts.
    """

    per_text: Float[Tensor, "n k c"]
    targets: tuple[str, ...]
    concepts: tuple[str, ...]
    made_by: MadeBy
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> Float[Tensor, "k c"]:
        """How much each concept matters: the mean over texts of the size of its contribution."""
        return self.per_text.abs().mean(0)

    @property
    def direction(self) -> Float[Tensor, "k c"]:
        """Which way it pushes: the mean over texts of the signed contribution."""
        return self.per_text.mean(0)

    def top(self, target: int | str = 0, count: int = 5, signed: bool = False) -> list[tuple[int, float]]:
        """The concepts that matter most to a target, with their scores; those that speak for it the most, if signed."""
        row = self.targets.index(target) if isinstance(target, str) else target
        values = (self.direction if signed else self.scores)[row]
        return [(i, float(values[i])) for i in values.argsort(descending=True)[:count].tolist()]

    def among(self, texts: Bool[Tensor, " n"]) -> Importance:
        """The same of some of the texts, such as those of one class: `importance.among(activations.predictions == 2)`.

        Raises:
            InputError: not one truth value for each text, or none of them is kept.
        """
        if texts.shape != (len(self.per_text),) or texts.dtype != torch.bool or not bool(texts.any()):
            raise InputError(
                f"which of the {len(self.per_text)} texts to keep was said by {tuple(texts.shape)} values of "
                f"{texts.dtype}; one truth value for each text was expected, at least one of them True."
            )
        return replace(self, per_text=self.per_text[texts])

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file."""
        data = {
            "targets": self.targets,
            "concepts": self.concepts,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "importance", {"per_text": self.per_text}, data)

    @classmethod
    def load(cls, path: str | Path) -> Importance:
        """Read what `save` wrote."""
        tensors, data = load_tensors(path, "importance")
        made = MadeBy.from_json(data["made_by"])
        return cls(tensors["per_text"], tuple(data["targets"]), tuple(data["concepts"]), made, tuple(data["notes"]))

    def _repr_html_(self) -> str:
        return html(self)


def importance(
    split: SplitModel,
    space: ConceptSpace,
    activations: Activations,
    *,
    by: Any = "input-x-gradient",
    targets: Any = "all",
    score: str = "auto",
    max_rows: int | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Importance:
    """How much each concept matters to each target, text by text.

    The concepts of a text are put back into the model in place of its activations, with what they leave unexplained
    added, so that the scores are those of the text itself. Blocks below the split never run on variants; where the
    head reads one position alone (`granularity="cls"` at the last block) they do not run at all.

    Args:
        split: the model, split where the activations were read.
        space: the concepts.
        activations: the texts and their rows.
        by: an attribution method, by name or as an instance.
        targets: as in `attribute`; `"predicted"` takes each text's own class. For a generator: one next token,
            several in a list, or contrasts.
        score: the score space, as in `attribute`.
        max_rows: the most rows of the model that one text may take; None for no limit.
        progress: show a bar on a terminal or notebook.
        **parameters: parameters of the method, when `by` is a name.

    Raises:
        InputError: space, activations and split do not belong together.
    """
    method = resolve(by, "attribution", parameters, importance)
    options = Options(score=score, max_rows=max_rows, progress=progress)
    source = concept_questions(split, space, activations, targets, options)
    results = source.each(lambda question: run_method(method, question)[0], "importance")
    settings = {"granularity": activations.granularity, "layer": split.path, "removal": "zero", "texts": len(results)}
    return Importance(
        per_text=torch.stack(results),
        targets=source.labels,
        concepts=tuple(space.names),
        made_by=made_by(method, source.session.cost, split.model.name, settings),
    )
