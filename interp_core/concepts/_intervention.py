"""Changing concepts while a model runs, and what that does to its answers."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from interp_core.concepts._compatibility import check_space
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError
from interp_core.model import SplitModel, hidden_of, module_at, repack
from jaxtyping import Bool, Float
from torch import Tensor

_POSITIONS = ("all", "first", "last")


@dataclass(frozen=True)
class Change:
    """What is done to the activities of concepts, each named by its number or name.

    Attributes:
        ablate: concepts whose activity becomes 0.
        scale: by what the activity of a concept is multiplied.
        add: what is added to it, in the units of its activities; after scaling.
    """

    ablate: Collection[Any] = ()
    scale: Mapping[Any, float] = field(default_factory=dict)
    add: Mapping[Any, float] = field(default_factory=dict)

    def factors(self, space: ConceptSpace) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """By what each activity of a space is multiplied, and what is then added to it.

        Raises:
            InputError: nothing is changed, or a concept that is not there, or that is both ablated and scaled.
        """
        factor, shift = torch.ones(space.concepts), torch.zeros(space.concepts)
        if isinstance(self.ablate, str) or not (len(self.ablate) or self.scale or self.add):
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

        def name(one: Any) -> str:
            return space.names[_number(one, space)]

        said = {"ablate": [name(one) for one in self.ablate]} if len(self.ablate) else {}
        both = {"scale": self.scale, "add": self.add}
        return said | {how: {name(k): v for k, v in what.items()} for how, what in both.items() if what}


@contextmanager
def intervene(
    split: SplitModel,
    space: ConceptSpace,
    *,
    ablate: Collection[Any] = (),
    scale: Mapping[Any, float] | None = None,
    add: Mapping[Any, float] | None = None,
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
        positions: `"all"` tokens, or the `"first"` or `"last"` of each text that the attention mask of the pass shows;
            while generating, the last of what there is so far. Default: all; for a space learnt from `cls` rows the one
            that the classifier reads.

    Raises:
        InputError: a concept that is not there, or a space of another layer, model or width.
    """
    check_space(split, space)
    where = positions or _positions(split, space)
    if where not in _POSITIONS:
        raise InputError(f"positions {positions!r} is unknown; it is one of {', '.join(_POSITIONS)}.")
    factor, shift = Change(ablate, scale or {}, add or {}).factors(space)
    moved = copy.deepcopy(space)
    told: dict[str, Any] = {}

    def note(module: Any, args: Any, kwargs: Any) -> None:
        given = {**signature(module.forward).bind_partial(*args, **kwargs).arguments, **kwargs}
        length = getattr(given.get("past_key_values"), "get_seq_length", lambda: 0)
        told.update(mask=given.get("attention_mask"), before=int(length()))

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden = hidden_of(output, split.path)
        here = _chosen(hidden, where, **told)
        rows = hidden[here].float()
        moved.to(rows.device)
        codes = moved.encode(rows)
        change = moved.decode(codes * factor.to(codes) + shift.to(codes)) - moved.decode(codes)
        changed = hidden.clone()
        changed[here] += change.to(hidden.dtype)
        return repack(output, changed)

    with ExitStack() as stack:
        handle = module_at(split.model.model, split.path).register_forward_hook(hook)
        stack.callback(handle.remove)
        stack.callback(split.model.model.register_forward_pre_hook(note, with_kwargs=True).remove)
        yield


def _chosen(hidden: Float[Tensor, "p t d"], where: str, mask: Any = None, before: int = 0) -> Bool[Tensor, "p t"]:
    """Which rows are changed; so many tokens come before those of the pass, from a cache."""
    p, t, _ = hidden.shape
    shown = torch.ones(p, before + t, dtype=torch.bool, device=hidden.device)
    if where == "all":
        return shown[:, before:]
    if isinstance(mask, Tensor) and mask.shape == shown.shape:
        shown = mask.bool().to(hidden.device)
    places = torch.arange(shown.shape[1], device=hidden.device).expand_as(shown)
    first = places.masked_fill(~shown, shown.shape[1]).amin(1)
    last = places.masked_fill(~shown, -1).amax(1)
    wanted = (first if where == "first" else last)[:, None]
    return places[:, before:] == wanted


def _positions(split: SplitModel, space: ConceptSpace) -> str:
    if space.made_by.settings.get("granularity") != "cls":
        return "all"
    return "first" if split.position(2) == 0 else "last"


def _number(name: Any, space: ConceptSpace) -> int:
    if isinstance(name, str) and name in space.names:
        return space.names.index(name)
    if not isinstance(name, str | bool) and hasattr(name, "__index__") and 0 <= name.__index__() < space.concepts:
        return int(name)
    raise InputError(
        f"there is no concept {name!r}; this space has 0 to {space.concepts - 1} ({', '.join(space.names[:5])}, …)."
    )
