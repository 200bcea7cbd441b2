"""The importance of concepts to targets: any attribution method, applied to the concepts of each text."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Options
from interp_core.concepts._compatibility import check_split
from interp_core.concepts._importance_run import Found, ImportanceRun
from interp_core.concepts._pointwise import contributions
from interp_core.concepts._questions import concept_questions
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError, InterpWarning
from interp_core.model import SplitModel
from interp_core.plugin import named_options, resolve
from interp_core.results import (
    MadeBy,
    Value,
    check_shard_size,
    claims_of,
    counted,
    for_json,
    load_tensors,
    made_by,
    place_of,
    place_of_run,
    quoted,
    save_tensors,
)
from jaxtyping import Bool, Float
from torch import Tensor

TEXTS_A_SHARD = 1024


@dataclass(frozen=True, eq=False, repr=False)
class Importance(Value):
    """The contributions of concepts to the scores of targets.

    Attributes:
        per_text: (n, k, c) for n texts, k targets and c concepts, the contributions as the attribution method defines
            them, in the score space.
        targets: the names of the k targets.
        concepts: the names of the c concepts.
        made_by: how the importance was measured.
        notes: what a reader should know.

    Examples:
        With two texts, one target and two concepts: the second concept matters more, but pushes both ways.

        >>> from interp_core.concepts import Importance
        >>> from interp_core.results import MadeBy
        >>> per_text = torch.tensor([[[1.0, 2.0]], [[1.0, -2.0]]])
        >>> result = Importance(per_text, ("joy",), ("sun", "rain"), MadeBy("occlusion"))
        >>> result.scores, result.direction
        (tensor([[1., 2.]]), tensor([[1., 0.]]))
        >>> result.top("joy", 1), result.top("joy", 1, signed=True)
        ([(1, 2.0)], [(0, 1.0)])
    """

    per_text: Float[Tensor, "n k c"]
    targets: tuple[str, ...]
    concepts: tuple[str, ...]
    made_by: MadeBy
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> Float[Tensor, "k c"]:
        """How much each concept matters: the mean absolute contribution over texts."""
        return self.per_text.abs().mean(0)

    @property
    def direction(self) -> Float[Tensor, "k c"]:
        """Which way each concept pushes, if `directed`: the mean contribution over texts, with its sign."""
        return self.per_text.mean(0)

    @property
    def directed(self) -> bool:
        """Whether `direction` says which way a concept pushes.

        True where the attribution method claims `signed`, except for scores of an entropy. A method that no installed
        package declares is taken to be signed if any contribution is negative.
        """
        if self.made_by.settings.get("score") == "entropy":
            return False
        claims = claims_of(self.made_by, "attribution")
        return bool((self.per_text < 0).any()) if claims is None else "signed" in claims

    def top(self, target: int | str = 0, count: int = 5, signed: bool = False) -> list[tuple[int, float]]:
        """Rank the concepts by their importance for a target.

        Args:
            target: the number or label of the target.
            count: the maximum number of concepts.
            signed: rank by `direction` instead of `scores`, so that concepts against the target come last.

        Returns:
            Pairs of the number and the score of a concept, in order of decreasing score.

        Raises:
            InputError: there is no such target.
        """
        row = place_of(target, self.targets, "target", "this importance")
        values = (self.direction if signed else self.scores)[row]
        return [(i, float(values[i])) for i in values.argsort(descending=True)[:count].tolist()]

    def among(self, texts: Bool[Tensor, " n"]) -> Importance:
        """Restrict the importance to some texts, such as those of one class: `among(activations.predictions == 2)`.

        Args:
            texts: (n) True for the texts to keep.

        Returns:
            The importance in these texts.

        Raises:
            InputError: `texts` does not hold one boolean for each text, or is False everywhere.
        """
        if not isinstance(texts, Tensor):
            raise InputError(
                f"{texts!r} was given; a boolean for each of the {len(self.per_text)} texts was expected, such as "
                "activations.predictions == 2."
            )
        if texts.shape != (len(self.per_text),) or texts.dtype != torch.bool or not bool(texts.any()):
            raise InputError(
                f"a mask of shape {tuple(texts.shape)} and {texts.dtype} was given for {len(self.per_text)} texts; one "
                "boolean for each text was expected, at least one of them True."
            )
        return replace(self, per_text=self.per_text[texts])

    def save(self, path: str | Path) -> Path:
        """Write the importance to a safetensors file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        data = {
            "targets": self.targets,
            "concepts": self.concepts,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "importance", {"per_text": self.per_text}, data)

    @classmethod
    def load(cls, path: str | Path) -> Importance:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The importance.

        Raises:
            InputError: there is no such file, or it does not hold an importance.
        """
        tensors, data = load_tensors(path, "importance")
        made = MadeBy.from_json(data["made_by"])
        return cls(tensors["per_text"], tuple(data["targets"]), tuple(data["concepts"]), made, tuple(data["notes"]))

    def one_line(self) -> str:
        """Describe the importance in less than a line, as its `repr` does."""
        n, _, c = self.per_text.shape
        return f"{counted(c, 'concept')} for {quoted(self.targets)} in {counted(n, 'text')}, by {self.made_by.brief}"

    def summary(self) -> str:
        """Describe the importance: for each target, the concepts that matter most on average over texts."""
        lines = [f"Concepts that matter most, mean size over {counted(len(self.per_text), 'text')}:"]
        for k, target in enumerate(self.targets):
            tops = ", ".join(f"{self.concepts[i]} {value:.3f}" for i, value in self.top(k))
            lines.append(f"{target}: {tops}")
        return "\n".join([*lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, text by text."""
        data = {"targets": self.targets, "concepts": self.concepts, "per_text": self.per_text.tolist()}
        return for_json({**data, "notes": list(self.notes), "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each text, target and concept."""
        kept = list(itertools.product(range(len(self.per_text)), self.targets, self.concepts))
        text, target, concept = zip(*kept, strict=True) if kept else ((), (), ())
        return {"text": text, "target": target, "concept": concept, "importance": self.per_text.flatten().tolist()}


@named_options
def importance(
    split: SplitModel,
    space: ConceptSpace,
    activations: Activations,
    *,
    by: Any = "input-x-gradient",
    targets: Any = "all",
    score: str = "auto",
    max_rows: int | None = None,
    to: str | Path | None = None,
    executor: Any = None,
    shard_size: int = TEXTS_A_SHARD,
    progress: bool = True,
    **parameters: Any,
) -> Importance:
    """Measure how much each concept contributes to each target, text by text.

    The activations of a text are replaced by their reconstruction from the codes plus the residual that concepts leave
    unexplained, so the score of the intact text is that of the model itself. The attribution method then changes the
    codes. Blocks below the split do not run on variants. If the head reads a single row of the layer
    (`granularity="cls"` at the last block), they do not run at all.

    Args:
        split: the model, split where the activations were read.
        space: the c concepts.
        activations: n texts with their rows.
        by: an attribution method, by name or as an instance.
        targets: what to explain. For classifiers as in `attribute`: `"all"` classes, some by name or number, a
            contrast, or `"predicted"` for the predicted class of each text. For a generator: a next token, a list of
            several, or contrasts. For masked language models, taggers and extractors of answers as in `attribute`: one
            value, or a tuple of several, for all texts, or a list with one for each text; all texts need the same
            number.
        score: the score space, as in `attribute`.
        max_rows: the maximum number of model rows for each text; None for no limit.
        to: a folder in which contributions are written as they are computed; the same call resumes a run that was
            interrupted. At the end they are all in memory: 4 bytes for each text, target and concept.
        executor: where shards of texts are processed, as in `attribute`.
        shard_size: with `to` or `executor`, the number of texts in a shard.
        progress: show a progress bar in terminals and notebooks.
        **parameters: parameters of the method if `by` is a name.

    Returns:
        The contributions of c concepts to k targets in each text (n, k, c).

    Raises:
        InputError: space, activations and split do not belong together, the method does not have one of the
            parameters, or the folder holds another run.
        TargetError: a target does not exist, the predicted class is asked for but unknown, or texts have different
            numbers of targets.
        UnsupportedError: the model gives no logits, the layer is in the decoder of an encoder-decoder model, or the
            method needs something that concepts do not offer.
        BudgetError: the method needs more than `max_rows` rows for a text.
        UnknownMethodError: no installed package declares a method of this name.

    Examples:
        Here the embedding of a word has one coordinate for each class, and each concept reads one coordinate.

        >>> from interp_core.concepts import AffineSpace
        >>> from interp_core.testing import planted_model
        >>> split = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)}).split("words")
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))
        >>> activations = split.activations(["so happy", "sad"], granularity="word", progress=False)
        >>> result = interp.importance(split, space, activations, by="occlusion", progress=False)
        >>> result.per_text.shape
        torch.Size([2, 2, 2])
        >>> result.per_text[0]
        tensor([[2., 0.],
                [0., 0.]])
    """
    method = resolve(by, "attribution", parameters, importance)
    options = Options(score=score, max_rows=max_rows, progress=progress)
    check_split(split, space, activations)
    place = None if to is None else place_of_run(to)
    if place is None and executor is None:
        source = concept_questions(split, space, activations, targets, options)
        per_text = contributions(source, method)
        every = torch.ones(space.concepts, dtype=torch.bool)
        notes = source.absence_note(every) + source.zero_note(per_text)
        found = Found(per_text, source.targets.labels, notes, source.session.cost)
    else:
        run = ImportanceRun(split, space, method, targets, options)
        found = run.in_shards(activations, to=place, executor=executor, shard_size=check_shard_size(shard_size))
    for note in found.notes:
        warnings.warn(note, InterpWarning, stacklevel=3)
    settings = {
        "granularity": activations.granularity,
        "layer": split.path,
        "removal": "zero",
        "score": score,
        "texts": len(found.per_text),
    }
    result = Importance(
        per_text=found.per_text,
        targets=found.targets,
        concepts=tuple(space.names),
        made_by=made_by(method, found.cost, split.model.name, settings),
        notes=found.notes,
    )
    if place is not None:
        result.save(place / "result.safetensors")
    return result
