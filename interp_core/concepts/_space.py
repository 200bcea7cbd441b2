"""What a layer has learnt: the `ConceptSpace` value, and the space of everything that is linear."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from interp_core.display import html
from interp_core.errors import BrokenPluginError, InputError, UnsupportedError
from interp_core.plugin import PROGRAM, methods, package_of
from interp_core.results import MadeBy, load_tensors, save_tensors
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
            "space": _name_of(type(self)),
            "config": self.config(),
            "layer": self.layer,
            "names": self.names,
            "history": self.history,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "concepts", dict(self.state_dict()), data)

    @staticmethod
    def load(path: str | Path) -> ConceptSpace:
        """Read what `save` wrote. The class must come from an installed package that declares methods, or from the
        core.

        Raises:
            InputError: no such file, or a class that is not installed.
        """
        tensors, data = load_tensors(path, "concepts")
        space: ConceptSpace = _class_named(data["space"])(**tensors, **data["config"])
        space.made_by = MadeBy.from_json(data["made_by"])
        space.layer, space.notes = data["layer"], tuple(data["notes"])
        space.names, space.history = data["names"], data["history"]
        return space.eval()

    def _repr_html_(self) -> str:
        return html(self)


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


class AffineSpace(ConceptSpace):
    """Codes are `(x - mean) @ encoder.T + bias`, and a row is `codes @ dictionary + mean`; both are differentiable.

    Args:
        dictionary: (c, d), what one unit of each concept adds.
        encoder: (c, d), how each concept is read.
        mean: (d), taken off before reading and added after; 0 by default.
        bias: (c), added to what is read; 0 by default.
    """

    encoder: Tensor
    mean: Tensor
    bias: Tensor

    def __init__(
        self,
        dictionary: Float[Tensor, "c d"],
        encoder: Float[Tensor, "c d"],
        mean: Float[Tensor, " d"] | None = None,
        bias: Float[Tensor, " c"] | None = None,
    ) -> None:
        super().__init__(dictionary)
        count, width = dictionary.shape
        self.register_buffer("encoder", encoder.detach().float().reshape(count, width))
        self.register_buffer("mean", torch.zeros(width) if mean is None else mean.detach().float().reshape(width))
        self.register_buffer("bias", torch.zeros(count) if bias is None else bias.detach().float().reshape(count))

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, of any sign."""
        return (values - self.mean) @ self.encoder.T + self.bias

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean


_CORE, _CORE_FACES = "interp-core", ("concepts", "metrics", "testing")  # where the core has spaces


def _name_of(made: type) -> str:
    """A class of spaces as files name it: package and class, whatever the module is called."""
    return f"{_package_of(made.__module__)}/{made.__qualname__}"


def _class_named(name: str) -> type[Any]:
    """The class of a saved space: of the core, of a package that declares methods, or of this program.

    Raises:
        InputError: no installed package declares it, and this program has not defined it.
        BrokenPluginError: its package is installed and has no such class.
    """
    module, path, attribute = name.partition(":")  # as 0.1 named it
    package, _, attribute = (_package_of(module), "", attribute) if path else name.rpartition("/")
    if path and package != PROGRAM:
        with contextlib.suppress(ImportError):  # it may have moved within its package since
            import_module(module)
    if package == _CORE:
        known: list[Any] = [getattr(import_module(f"interp_core.{face}"), attribute, None) for face in _CORE_FACES]
    else:
        for target in _targets_of(package):
            import_module(target)
        known = list(_subclasses(ConceptSpace))
    spaces = [c for c in known if isinstance(c, type) and _name_of(c) == f"{package}/{attribute}"]
    if spaces:
        return spaces[-1]
    if package == _CORE or _targets_of(package):
        raise BrokenPluginError(
            f"{name!r} is not a ConceptSpace; the file was written by another version of its package."
        )
    raise InputError(f"the space is a {name!r}, which no installed package declares; install or import where it is.")


def _package_of(module: str) -> str:
    top = module.partition(".")[0]
    if top == "interp_core":
        return _CORE
    return next((package_of(m) for m in methods() if m.target.partition(":")[0].partition(".")[0] == top), PROGRAM)


def _targets_of(package: str) -> list[str]:
    """The modules that hold the concept methods of an installed package."""
    return [m.target.partition(":")[0] for m in methods("concepts") if package_of(m) == package != PROGRAM]


def _subclasses(made: type) -> Iterator[type]:
    children: list[type] = made.__subclasses__()
    for one in children:
        yield one
        yield from _subclasses(one)
