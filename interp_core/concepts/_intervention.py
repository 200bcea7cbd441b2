"""Changing concepts while a model runs."""

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
from interp_core.errors import InputError, nearest, unknown
from interp_core.model import SplitModel, hidden_of, module_at, repack
from interp_core.plugin import named_options
from jaxtyping import Bool, Float
from torch import Tensor

_POSITIONS = ("all", "first", "last")


@dataclass(frozen=True)
class Change:
    """A change of the codes of concepts, each given by number or name.

    Attributes:
        ablate: concepts whose code is set to 0.
        scale: factors that the codes of concepts are multiplied by, such as `{3: 2.0}`.
        add: amounts that are added to codes after scaling, in units of the codes.

    Examples:
        >>> from interp_core.concepts import AffineSpace, Change
        >>> space = AffineSpace(torch.eye(3), torch.eye(3))
        >>> factor, shift = Change(ablate=[0], scale={1: 2.0}, add={"concept 2": 1.5}).factors(space)
        >>> torch.ones(3) * factor + shift
        tensor([0.0000, 2.0000, 2.5000])
    """

    ablate: Collection[Any] = ()
    scale: Mapping[Any, float] = field(default_factory=dict)
    add: Mapping[Any, float] = field(default_factory=dict)

    def factors(self, space: ConceptSpace) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """The change as factors and shifts of all codes of a space.

        Args:
            space: the c concepts.

        Returns:
            What each code is multiplied by (c), and what is then added to it (c).

        Raises:
            InputError: no concept is named, the space does not have one of them, a concept is ablated or scaled twice,
                or a number is not finite.
        """
        factor, shift = torch.ones(space.concepts), torch.zeros(space.concepts)
        if isinstance(self.ablate, str) or not (len(self.ablate) or self.scale or self.add):
            raise InputError(f"{self} names no concepts; give ablate=[3], scale={{3: 2.0}} or add={{3: 1.5}}.")
        for name, value in [*((one, 0.0) for one in self.ablate), *self.scale.items()]:
            if float(factor[where := _number(name, space)]) != 1:
                raise InputError(f"concept {name!r} is ablated or scaled twice; change each concept once.")
            factor[where] = value
        for name, value in self.add.items():
            shift[_number(name, space)] += value
        if not bool(torch.isfinite(factor).all() and torch.isfinite(shift).all()):
            raise InputError(f"{self} holds a number that is not finite; finite numbers were expected.")
        return factor, shift

    def told(self, space: ConceptSpace) -> dict[str, Any]:
        """The change as JSON values, for provenance.

        Args:
            space: the concepts.

        Returns:
            Those of `ablate`, `scale` and `add` that are not empty, with concepts by name.

        Raises:
            InputError: the space does not have one of the concepts.
        """

        def name(one: Any) -> str:
            return space.names[_number(one, space)]

        ablated = {"ablate": [name(one) for one in self.ablate]} if len(self.ablate) else {}
        amounts = {"scale": self.scale, "add": self.add}
        return ablated | {how: {name(k): v for k, v in by.items()} for how, by in amounts.items() if by}


@named_options
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
    """A context in which the model runs with changed concepts, in every pass, including those of `model.generate(…)`.

    A state x at the layer becomes x + decode(changed codes) - decode(codes), so what the concepts do not explain stays
    as it is. The model is restored when the block ends, even by an exception.

    Args:
        split: the model, split at the layer of the space.
        space: the concepts.
        ablate: concepts whose code is set to 0, by number or name.
        scale: factors that the codes of concepts are multiplied by, such as `{3: 2.0}`.
        add: amounts that are added to codes, in units of the codes, such as `{3: 1.5}`. This steers the model.
        positions: the tokens of each text whose states change: `"all"`, or the `"first"` or `"last"` one in the
            attention mask. While generating, the last is the newest token. The default is `"all"`, and for a space
            learnt from `cls` rows the position that the classifier reads.

    Yields:
        Nothing; the model is changed in place.

    Raises:
        InputError: the space does not have one of the concepts or is of another layer, model or width, no concept is
            named, or `positions` is unknown.
        LayerError: the layer does not have a state for each token.

    Examples:
        Doubling the code of "joy" doubles what "happy" adds to the first class.

        >>> from interp_core.concepts import AffineSpace
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))
        >>> space.names = ["joy", "grief"]
        >>> ids = model.encoder("happy sad").ids[None]
        >>> with interp.intervene(model.split("words"), space, scale={"joy": 2.0}):
        ...     logits = model.forward(ids, torch.ones_like(ids))["logits"]
        >>> logits.tolist()
        [[4.0, 3.0]]
    """
    check_space(split, space)
    where = positions or _positions(split, space)
    if where not in _POSITIONS:
        raise InputError(unknown("positions", positions, _POSITIONS))
    factor, shift = Change(ablate, scale or {}, add or {}).factors(space)
    own_space = copy.deepcopy(space)  # moves to the device of the states
    pass_inputs: dict[str, Any] = {}

    def record_inputs(module: Any, args: Any, kwargs: Any) -> None:
        arguments = {**signature(module.forward).bind_partial(*args, **kwargs).arguments, **kwargs}
        cached = getattr(arguments.get("past_key_values"), "get_seq_length", lambda: 0)
        pass_inputs.update(mask=arguments.get("attention_mask"), cached=int(cached()))

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden = hidden_of(output, split.path)
        chosen = _chosen(hidden, where, **pass_inputs)
        rows = hidden[chosen].float()
        own_space.to(rows.device)
        codes = own_space.encode(rows)
        change = own_space.decode(codes * factor.to(codes) + shift.to(codes)) - own_space.decode(codes)
        changed = hidden.clone()
        changed[chosen] += change.to(hidden.dtype)
        return repack(output, changed)

    with ExitStack() as stack:
        handle = module_at(split.model.model, split.path).register_forward_hook(hook)
        stack.callback(handle.remove)
        stack.callback(split.model.model.register_forward_pre_hook(record_inputs, with_kwargs=True).remove)
        yield


def _chosen(hidden: Float[Tensor, "p t d"], where: str, mask: Any = None, cached: int = 0) -> Bool[Tensor, "p t"]:
    """Which states are changed. The `cached` tokens come before those of the pass."""
    p, t, _ = hidden.shape
    shown = torch.ones(p, cached + t, dtype=torch.bool, device=hidden.device)
    if where == "all":
        return shown[:, cached:]
    if isinstance(mask, Tensor) and mask.shape == shown.shape:
        shown = mask.bool().to(hidden.device)
    places = torch.arange(shown.shape[1], device=hidden.device).expand_as(shown)
    first = places.masked_fill(~shown, shown.shape[1]).amin(1)
    last = places.masked_fill(~shown, -1).amax(1)
    position = (first if where == "first" else last)[:, None]
    return places[:, cached:] == position


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
        + nearest(name, space.names)
    )
