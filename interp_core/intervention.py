"""Changing concepts while a model runs, and what that does to its answers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from interp_core import storage
from interp_core.activations import Activations
from interp_core.concept_questions import concept_questions
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.hooks import hidden_of, module_at, repack
from interp_core.intervals import interval_of_mean
from interp_core.lighting import check_space
from interp_core.options import take_options
from interp_core.provenance import MadeBy, made_by
from interp_core.question import Question
from interp_core.split import SplitModel
from jaxtyping import Float
from torch import Tensor

Named = int | str

_ROWS = {"all": slice(None), "first": slice(0, 1), "last": slice(-1, None)}


@dataclass(frozen=True)
class Change:
    """What is done to the activities of concepts, each named by its number or name.

    Attributes:
        ablate: concepts whose activity becomes 0.
        scale: by what the activity of a concept is multiplied.
        add: what is added to it, in the units of its activities; after scaling.
    """

    ablate: Sequence[Named] = ()
    scale: Mapping[Named, float] = field(default_factory=dict)
    add: Mapping[Named, float] = field(default_factory=dict)

    def factors(self, space: ConceptSpace) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """By what each activity of a space is multiplied, and what is then added to it.

        Raises:
            InputError: nothing is changed, or a concept that is not there, or that is both ablated and scaled.
        """
        factor, shift = torch.ones(space.concepts), torch.zeros(space.concepts)
        if isinstance(self.ablate, str) or not (self.ablate or self.scale or self.add):
            raise InputError(f"{self} names no concepts; say ablate=[3], scale={{3: 2.0}} or add={{3: 1.5}}.")
        for name, value in [*((one, 0.0) for one in self.ablate), *self.scale.items()]:
            if float(factor[where := _number(name, space)]) != 1:
                raise InputError(f"concept {name!r} is ablated or scaled twice; say once what is done to it.")
            factor[where] = value
        for name, value in self.add.items():
            shift[_number(name, space)] += value
        if not bool(torch.isfinite(factor).all() and torch.isfinite(shift).all()):
            raise InputError(f"{self} holds a number that is not finite.")
        return factor, shift

    def told(self, space: ConceptSpace) -> dict[str, Any]:
        """For the record: the concepts by name."""

        def name(one: Named) -> str:
            return space.names[_number(one, space)]

        said = {"ablate": [name(one) for one in self.ablate]} if self.ablate else {}
        both = {"scale": self.scale, "add": self.add}
        return said | {how: {name(k): v for k, v in what.items()} for how, what in both.items() if what}


@contextmanager
def intervene(
    split: SplitModel,
    space: ConceptSpace,
    *,
    ablate: Sequence[Named] = (),
    scale: Mapping[Named, float] | None = None,
    add: Mapping[Named, float] | None = None,
    positions: str | None = None,
) -> Iterator[None]:
    """Within it every pass of the model, `model.generate(…)` included, runs with concepts changed.

    A row x at the layer becomes x + decode(changed codes) - decode(codes): what the concepts do not explain stays as it
    is. The model is as it was after the block, however it ends.

    Args:
        split: the model, split at the layer of the space.
        space: the concepts.
        ablate: concepts whose activity becomes 0, by number or name.
        scale: by what the activity of a concept is multiplied, such as `{3: 2.0}`.
        add: what is added to the activity of a concept, in its own units, such as `{3: 1.5}`; the way to steer.
        positions: `"all"` tokens of a pass, or the `"first"` or `"last"` of them (of texts padded on the other side, or
            one by one). Default: all; for a space learnt from `cls` rows the one that the classifier reads.

    Raises:
        InputError: a concept that is not there, or a space of another layer, model or width.
    """
    check_space(split, space)
    where = positions or _positions(split, space)
    if where not in _ROWS:
        raise InputError(f"positions {positions!r} is unknown; it is one of {', '.join(_ROWS)}.")
    factor, shift = Change(ablate, scale or {}, add or {}).factors(space)
    moved = copy.deepcopy(space)

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden = hidden_of(output, split.path)
        here = _ROWS[where]
        rows = hidden[:, here].float().flatten(0, 1)
        moved.to(rows.device)
        codes = moved.encode(rows)
        change = moved.decode(codes * factor.to(codes) + shift.to(codes)) - moved.decode(codes)
        changed = hidden.clone()
        changed[:, here] += change.reshape(len(hidden), -1, hidden.shape[-1]).to(hidden.dtype)
        return repack(output, changed)

    handle = module_at(split.model.model, split.path).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


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
        return storage.save(path, "effect", {"per_text": self.per_text}, data)

    @classmethod
    def load(cls, path: str | Path) -> Effect:
        """Read what `save` wrote."""
        tensors, data = storage.load(path, "effect")
        made = MadeBy.from_json(data["made_by"])
        return cls(tensors["per_text"], tuple(data["targets"]), data["change"], made, tuple(data["notes"]))

    def _repr_html_(self) -> str:
        from interp_core.reporting import fragment

        return fragment(self)


def effect(
    split: SplitModel,
    space: ConceptSpace,
    activations: Activations,
    change: Change,
    *,
    targets: Any = "all",
    **options: Any,
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
        **options: fields of `interp_core.options.Options`.

    Raises:
        InputError: a concept that is not there, or space, activations and split that do not belong together.
    """
    chosen, unknown = take_options(options)
    if unknown:
        raise InputError(f"effect has no option {sorted(unknown)[0]!r}.")
    source = concept_questions(split, space, activations, targets, chosen)
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


def _positions(split: SplitModel, space: ConceptSpace) -> str:
    if space.made_by.settings.get("granularity") != "cls":
        return "all"
    return "first" if split.position(2) == 0 else "last"


def _number(name: Named, space: ConceptSpace) -> int:
    if isinstance(name, str) and name in space.names:
        return space.names.index(name)
    if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < space.concepts:
        return name
    raise InputError(
        f"there is no concept {name!r}; this space has 0 to {space.concepts - 1} ({', '.join(space.names[:5])}, …)."
    )
