"""What a layer has learnt: the `ConceptSpace` value and the `fit_concepts` driver."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from interp_core import registry, storage
from interp_core.activations import Activations
from interp_core.errors import BrokenPluginError, InputError, ModelError, UnsupportedError
from interp_core.provenance import Cost, MadeBy, made_by
from jaxtyping import Float
from torch import Tensor, nn


class ConceptSpace(nn.Module):
    """A dictionary of c directions in activations of width d, with a way in and a way back. The one base class.

    A subclass takes its tensors and JSON values as keyword arguments, registers the tensors as buffers of the same
    names, and overrides `encode` (and `decode` unless a row is its codes times the dictionary). That is all that
    saving and loading need. Encoding is deterministic and each row is encoded by itself.

    Args:
        dictionary: (c, d), a row for each concept.

    Attributes:
        names: what the concepts are called before they are interpreted; a method that knows better sets them.
        history: numbers logged while it was learnt, by name, such as the loss after each step.
        notes: what a reader should know.
    """

    dictionary: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"]) -> None:
        super().__init__()
        if dictionary.ndim != 2:
            raise InputError(f"the dictionary is {tuple(dictionary.shape)}; (concepts, width) was expected.")
        self.register_buffer("dictionary", dictionary.detach().float())
        self.made_by = MadeBy("given")
        self.layer = ""
        self.names = [f"concept {i}" for i in range(len(dictionary))]
        self.history: dict[str, list[float]] = {}
        self.notes: tuple[str, ...] = ()

    @property
    def concepts(self) -> int:
        """The number of concepts c."""
        return int(self.dictionary.shape[0])

    @property
    def width(self) -> int:
        """The width d of an activation."""
        return int(self.dictionary.shape[1])

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """How active each concept is in each row."""
        raise UnsupportedError(f"{type(self).__name__} does not say how to encode.")

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes; differentiable."""
        return codes @ self.dictionary

    def forward(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The reconstruction of activations."""
        return self.decode(self.encode(values))

    def config(self) -> dict[str, Any]:
        """The JSON values that the constructor takes beside the tensors."""
        return {}

    def only(self, chosen: Sequence[int]) -> ConceptSpace:
        """The same space seen through some of its concepts, for looking at them; it is not made to decode."""
        return _Chosen(self, chosen)

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file."""
        data = {
            "space": f"{type(self).__module__}:{type(self).__qualname__}",
            "config": self.config(),
            "layer": self.layer,
            "names": self.names,
            "history": self.history,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return storage.save(path, "concepts", dict(self.state_dict()), data)

    @staticmethod
    def load(path: str | Path) -> ConceptSpace:
        """Read what `save` wrote. The class must come from an installed package that declares methods, or from the
        core.

        Raises:
            InputError: no such file, or a class that is not installed.
        """
        tensors, data = storage.load(path, "concepts")
        space: ConceptSpace = _class_of(data["space"])(**tensors, **data["config"])
        space.made_by = MadeBy.from_json(data["made_by"])
        space.layer, space.notes = data["layer"], tuple(data["notes"])
        space.names, space.history = data["names"], data["history"]
        return space.eval()

    def _repr_html_(self) -> str:
        from interp_core.reporting import fragment

        return fragment(self)


class _Chosen(ConceptSpace):
    """Some concepts of a space."""

    def __init__(self, space: ConceptSpace, chosen: Sequence[int]) -> None:
        strange = [i for i in chosen if not 0 <= i < space.concepts]
        if strange or not len(chosen):
            raise InputError(f"concepts {strange or 'none'} were asked for; this space has 0 to {space.concepts - 1}.")
        super().__init__(space.dictionary[list(chosen)])
        self.space, self.chosen = space, list(chosen)
        self.made_by, self.layer = space.made_by, space.layer
        self.names = [space.names[i] for i in chosen]

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.space.encode(values)[:, self.chosen]

    def save(self, path: str | Path) -> Path:
        raise UnsupportedError("a part of a space is for looking at; save the whole space.")


def fit_concepts(activations: Activations, *, by: Any, **parameters: Any) -> ConceptSpace:
    """Learn concepts from activations.

    Args:
        activations: what `split.activations` gave.
        by: the name of a method of kind `concepts`, or an instance.
        **parameters: parameters of the method when `by` is a name, such as `concepts=20`.

    Returns:
        The space: frozen, float32, on the CPU, with its provenance.

    Raises:
        InputError: more concepts than rows, or parameters the method does not have.
        UnsupportedError: the method needs what the activations do not offer (non-negative values, labels).
    """
    method = registry.resolve(by, "concepts", parameters)
    _check(method, activations)
    cost = Cost()
    with cost.timed():
        space = method.fit(activations)
    if not isinstance(space, ConceptSpace):
        raise ModelError(f"{type(method).__name__}.fit gave {type(space).__name__}; a ConceptSpace was expected.")
    space = space.to("cpu").requires_grad_(False).eval()
    if space.width != activations.width or not torch.isfinite(space.dictionary).all():
        raise ModelError(
            f"{type(method).__name__} gave a dictionary {tuple(space.dictionary.shape)} "
            "that is not finite or of another width."
        )
    model = activations.made_by.model
    settings = {"rows": len(activations), "granularity": activations.granularity, "layer": activations.layer}
    space.made_by = made_by(method, cost, model, settings)
    space.layer = activations.layer
    return space


def check_fits(space: ConceptSpace, activations: Activations) -> None:
    """Refuse activations that are not of the layer and model of a space.

    Raises:
        InputError: another width, layer or model.
    """
    if space.width != activations.width:
        raise InputError(f"the space has width {space.width}, the activations {activations.width}.")
    for what, one, other in (
        ("layer", space.layer, activations.layer),
        ("model", space.made_by.model, activations.made_by.model),
    ):
        if one and other and "given" not in (one, other) and one != other:
            raise InputError(
                f"the space is of {what} {one!r}, the activations are of {other!r}; they must be the same."
            )


def _check(method: Any, activations: Activations) -> None:
    if not isinstance(activations, Activations):
        raise InputError(
            f"concepts are learnt from Activations; {type(activations).__name__} was given. Make some of rows from "
            "elsewhere with interp_core.activations.of_rows(rows)."
        )
    declared = registry.declaration_of(method)
    needs = declared.needs if declared else frozenset()
    name = declared.name if declared else type(method).__name__
    rows = len(activations)
    wanted = getattr(method, "concepts", 0)
    if isinstance(wanted, bool | float):
        raise InputError(f"{name} was asked for {wanted} concepts; a whole number was expected.")
    if isinstance(wanted, int) and wanted > rows:
        raise InputError(
            f"{name} was asked for {wanted} concepts of {rows} rows; ask for at most {rows}, or give more texts."
        )
    if isinstance(wanted, int) and hasattr(method, "concepts") and wanted < 1:
        raise InputError(f"{name} was asked for {wanted} concepts; at least 1 is needed.")
    ends = torch.stack([torch.stack(part.aminmax()) for part in activations.batches()])  # NaN where one is
    if not torch.isfinite(ends).all():
        raise InputError(f"{activations.layer!r} holds NaN or infinity; there is nothing to learn from such rows.")
    lowest = float(ends[:, 0].min())
    if "nonnegative" in needs and lowest < 0:
        raise UnsupportedError(
            f"{name} needs non-negative activations; {activations.layer!r} goes down to {lowest:.3g}. "
            "Split after an activation function, or use semi-nmf."
        )
    if "labels" in needs and activations.labels is None:
        raise UnsupportedError(f"{name} needs labels; make the activations with split.activations(…, labels=…).")


def _class_of(name: str) -> type[Any]:
    """The class of a saved space: of a package that declares methods, or of a module that this program has imported."""
    module, _, attribute = name.partition(":")
    declared = {m.target.partition(":")[0].split(".")[0] for m in registry.methods("concepts")} | {"interp_core"}
    if module.split(".")[0] not in declared and module not in sys.modules:
        raise InputError(
            f"the space is a {name!r}, which no installed package declares; install or import where it is."
        )
    found = getattr(import_module(module), attribute, None)
    if not (isinstance(found, type) and issubclass(found, ConceptSpace)):
        raise BrokenPluginError(
            f"{name!r} is not a ConceptSpace; the file was written by another version of its package."
        )
    return found
