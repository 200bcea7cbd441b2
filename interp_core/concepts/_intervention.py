"""Interventions: concepts are changed while a model runs."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from interp_core.concepts._compatibility import check_space
from interp_core.concepts._positions import Positions, TokenChoice, checked
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError, LayerError, nearest
from interp_core.model import SplitModel, hidden_of, module_at, repack
from interp_core.plugin import named_options
from interp_core.results import circumstances
from jaxtyping import Float
from torch import Tensor

EXAMPLES = "ablate=[3], scale={3: 2.0}, add={3: 1.5}"
_open: ContextVar[tuple[_Ran, ...]] = ContextVar("interventions", default=())


@dataclass(frozen=True)
class Change:
    """A change of the codes of concepts, which are given by number or name.

    Attributes:
        ablate: concepts whose code is set to 0, or to the amount of `add` where both name the concept.
        scale: factors by which the codes of concepts are multiplied, such as `{3: 2.0}`.
        add: amounts that are added to codes after scaling, in units of the codes.

    Raises:
        InputError: `ablate` is not a list of concepts, or `scale` or `add` does not give a number for each.

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

    def __new__(cls, *_args: Any, **named: Any) -> Change:
        """A change, if all of its parts are known.

        Raises:
            InputError: one of them is not; the message names the nearest.
        """
        for name in named.keys() - cls.__dataclass_fields__.keys():
            near = difflib.get_close_matches(name, cls.__dataclass_fields__, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"a Change has no {name!r}; it has ablate, scale and add: {EXAMPLES}.{hint}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Check the forms of the change.

        Raises:
            InputError: `ablate` is not a list of concepts, or `scale` or `add` does not give a number for each.
        """
        if isinstance(self.ablate, str | Mapping) or not isinstance(self.ablate, Collection):
            raise InputError(f"ablate is {self.ablate!r}; a list of concepts was expected: {EXAMPLES}.")
        for name, amounts in (("scale", self.scale), ("add", self.add)):
            if not isinstance(amounts, Mapping) or not all(_is_number(value) for value in amounts.values()):
                raise InputError(f"{name} is {amounts!r}; a number for each concept was expected: {EXAMPLES}.")

    def factors(self, space: ConceptSpace) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """Express the change as a factor and a shift for each code of a space.

        Args:
            space: the c concepts.

        Returns:
            The factors (c) by which codes are multiplied, and the shifts (c) that are then added.

        Raises:
            InputError: no concept is named, the space does not have one of them, a concept is ablated or scaled twice,
                or a number is not finite.
        """
        factor, shift = torch.ones(space.concepts), torch.zeros(space.concepts)
        if not (len(self.ablate) or self.scale or self.add):
            raise InputError(f"{self} names no concepts; {EXAMPLES}.")
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
        """Convert the change to JSON values, for provenance.

        Args:
            space: the concepts.

        Returns:
            `ablate`, `scale` and `add` as far as they are not empty, with concepts by name.

        Raises:
            InputError: the space does not have one of the concepts.
        """

        def name(one: Any) -> str:
            return space.names[_number(one, space)]

        ablated = {"ablate": [name(one) for one in self.ablate]} if len(self.ablate) else {}
        amounts = {"scale": self.scale, "add": self.add}
        return ablated | {how: {name(k): float(v) for k, v in by.items()} for how, by in amounts.items() if by}


def change_of(change: Any) -> Change:
    """The change that a caller gives.

    Raises:
        InputError: it is not a `Change`.
    """
    if not isinstance(change, Change):
        raise InputError(
            f"the change is {type(change).__name__}; a Change was expected, such as Change(ablate=[3]), "
            "Change(scale={3: 2.0}) or Change(add={3: 1.5})."
        )
    return change


def _is_number(value: Any) -> bool:
    if isinstance(value, bool | str) or not hasattr(value, "__float__"):
        return False
    return getattr(value, "ndim", 0) == 0


@named_options
@contextmanager
def intervene(
    split: SplitModel,
    space: ConceptSpace,
    *,
    ablate: Collection[Any] = (),
    scale: Mapping[Any, float] | None = None,
    add: Mapping[Any, float] | None = None,
    positions: Positions | None = None,
) -> Iterator[None]:
    """Run a model with changed concepts within a `with` block, in every pass, including those of `model.generate(…)`.

    A state x at the layer becomes x + decode(changed codes) - decode(codes), so the residual that concepts leave
    unexplained is unchanged. The model is restored when the block ends, also after an exception.

    Results that are made inside the block say so: the settings of their provenance list the open interventions.

    The change applies only to the thread that opens the block and to the threads on which the verbs of this library
    work for it; passes in other threads are not changed.

    Args:
        split: the model, split at the layer of the space.
        space: the concepts.
        ablate: concepts whose code is set to 0, by number or name.
        scale: factors by which the codes of concepts are multiplied, such as `{3: 2.0}`.
        add: amounts that are added to codes, in units of the codes, such as `{3: 1.5}`. This steers the model.
        positions: the tokens of each text whose states change, padding not counted: `"all"`; `"first"`; `"last"`, which
            is the last token of the prompt and then each token that is generated; `"generated"`, only the latter; or a
            list of numbers of tokens of the prompt, negative from its end, such as `[0, -1]`. They are the same tokens
            with and without a cache. The default is `"all"`; for a space learnt from `last` rows it is `"last"`, and
            for one learnt from `cls` rows the position that the classifier reads.

    Yields:
        None; the model is changed in place.

    Raises:
        InputError: the space does not have one of the concepts or belongs to another layer, model or width, no concept
            is named, or `positions` is unknown.
        LayerError: the layer does not have a state for each token, or nothing was changed, since the layer did not run
            in any pass or the model ran in other threads only.

    Examples:
        Doubling the code of "joy" doubles what "happy" adds to the logit of the first class.

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
    where = _positions(split, space) if positions is None else checked(positions)
    chosen_tokens = TokenChoice(where, split.model.side_of(split.path))
    change = Change(ablate, scale or {}, add or {})
    factor, shift = change.factors(space)
    own_space = copy.deepcopy(space)  # moves to the device of the states
    places = where if isinstance(where, str) else [int(i) for i in where]
    told = {"layer": split.path, "space": space.made_by.method, "positions": places, **change.told(space)}
    ran, layout = _Ran(told), split.model.layout
    calls: list[None] = []  # of the layer in this pass

    def begin(module: Any, args: Any, kwargs: Any) -> None:
        if ran.here():
            chosen_tokens.begin(module, args, kwargs)
            calls.clear()

    def end(*_: Any) -> None:
        if ran.here():
            ran.model = True
            chosen_tokens.end()

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        if not ran.here():
            ran.elsewhere = True
            return output
        calls.append(None)
        if split.call is not None and len(calls) - 1 != split.call:
            return output
        ran.layer = True
        hidden = layout.turned(hidden_of(output, split.path))
        chosen = chosen_tokens.of(hidden)
        rows = hidden[chosen].float()
        own_space.to(rows.device)
        codes = own_space.encode(rows)
        moved = own_space.decode(codes * factor.to(codes) + shift.to(codes)) - own_space.decode(codes)
        changed = hidden.clone()
        changed[chosen] += moved.to(hidden.dtype)
        return repack(output, layout.turned(changed))

    with ExitStack() as stack:
        handle = module_at(split.model.model, split.path).register_forward_hook(hook)
        stack.callback(handle.remove)
        model = split.model.model
        stack.callback(model.register_forward_pre_hook(begin, with_kwargs=True).remove)
        stack.callback(model.register_forward_hook(end, always_call=True).remove)
        _open.set((*_open.get(), ran))
        stack.callback(lambda: _open.set(tuple(one for one in _open.get() if one is not ran)))
        stack.enter_context(circumstances(interventions=[one.told for one in _open.get()]))
        yield
    ran.check(split.path)


@dataclass(eq=False)
class _Ran:
    """An open intervention as provenance tells it, and what has run: the layer, whole passes, the layer elsewhere."""

    told: dict[str, Any]
    layer: bool = False
    model: bool = False
    elsewhere: bool = False

    def here(self) -> bool:
        """Whether the pass is of the thread, or of a job for the thread, that opened the intervention."""
        return self in _open.get()

    def check(self, path: str) -> None:
        if not self.layer and self.model:
            raise LayerError(f"layer {path!r} did not run in any pass, so that nothing was changed; choose another.")
        if not self.layer and self.elsewhere:
            raise LayerError(
                "the model ran in other threads only, which an intervention does not change; open it in the thread "
                "that calls the model."
            )


def _positions(split: SplitModel, space: ConceptSpace) -> str:
    rows = space.made_by.settings.get("granularity")
    if rows != "cls":
        return "last" if rows == "last" else "all"
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
