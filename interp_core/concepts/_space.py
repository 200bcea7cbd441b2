"""Concept spaces: the base class `ConceptSpace`, and `AffineSpace` for all methods whose encoding is affine."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from interp_core.errors import BrokenPluginError, InputError, UnsupportedError
from interp_core.plugin import PROGRAM, methods, package_of
from interp_core.results import MadeBy, Value, counted, for_json, load_tensors, quoted, save_tensors
from jaxtyping import Float
from torch import Tensor, nn


def _checked(function: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """`encode` or `decode` of a space that refuses what are no rows; the code of what is not finite is not a number."""
    encodes = function.__name__ == "encode"

    @functools.wraps(function)
    def call(self: ConceptSpace, rows: Tensor) -> Tensor:
        size, what = (self.width, "width") if encodes else (self.concepts, "concepts")
        if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.shape[1] != size or not rows.is_floating_point():
            given = f"{rows.dtype} {tuple(rows.shape)}" if isinstance(rows, Tensor) else type(rows).__name__
            raise InputError(
                f"{function.__name__} was given {given}; a tensor of floats (rows, {what} {size}) was expected."
            )
        values = function(self, rows)
        strange = ~rows.isfinite().all(1) if encodes else None
        if strange is not None and bool(strange.any()):
            return values.masked_fill(strange.to(values.device)[:, None], torch.nan)
        return values

    return call


class ConceptSpace(Value, nn.Module):
    """Base class of concept spaces: a dictionary of c directions in activations of width d, with encoder and decoder.

    A subclass overrides `encode`, and also `decode` unless a row is its codes times the dictionary. For saving and
    loading, its constructor takes tensors and JSON values as keyword arguments and registers the tensors as buffers of
    the same names; `config` returns the JSON values. Encoding must be deterministic and treat rows independently.

    Args:
        dictionary: (c, d) the direction of each concept.

    Attributes:
        names: the names of the concepts, by default `concept 0`, `concept 1`, …
        layer: the module path of the layer that the space was learnt from.
        made_by: how the space was made.
        history: numbers logged during training, by name, such as the loss after each step.
        notes: what a reader should know.

    Raises:
        InputError: the dictionary is not a matrix.

    Examples:
        A space whose codes are the positive parts of projections:

        >>> from interp_core.concepts import ConceptSpace
        >>> class Rectified(ConceptSpace):
        ...     def encode(self, values):
        ...         return (values @ self.dictionary.T).relu()
        >>> space = Rectified(torch.eye(2, 3))
        >>> codes = space.encode(torch.tensor([[2.0, -1.0, 5.0]]))
        >>> codes, space.decode(codes)
        (tensor([[2., 0.]]), tensor([[2., 0., 0.]]))
    """

    dictionary: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"]) -> None:
        super().__init__()
        if dictionary.ndim != 2:
            raise InputError(f"the dictionary has shape {tuple(dictionary.shape)}; (concepts, width) was expected.")
        self.register_buffer("dictionary", dictionary.detach().float())
        self.made_by = MadeBy("given")
        self.layer = ""
        self.names = [f"concept {i}" for i in range(len(dictionary))]
        self.history: dict[str, list[float]] = {}
        self.notes: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Check what every space is given, whoever wrote it."""
        super().__init_subclass__(**options)
        for name in ("encode", "decode"):
            if name in vars(cls):
                setattr(cls, name, _checked(vars(cls)[name]))

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a buffer as `torch.nn.Module` does, made contiguous.

        So a saved space is loaded with the same memory layout; other layouts round differently on some processors.
        """
        super().register_buffer(name, None if tensor is None else tensor.contiguous(), persistent)

    @property
    def concepts(self) -> int:
        """The number of concepts c."""
        return int(self.dictionary.shape[0])

    @property
    def width(self) -> int:
        """The width d of an activation."""
        return int(self.dictionary.shape[1])

    @property
    def whole(self) -> ConceptSpace:
        """The space itself, or of a view the space that it was chosen from, which can decode."""
        return self

    @property
    def numbers(self) -> list[int]:
        """The number of each concept in `whole`: 0 to c - 1, except for a view."""
        return list(range(self.concepts))

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Encode activations: how active is each concept in each row?

        Args:
            values: (n, d) the activations.

        Returns:
            (n, c) the codes; NaN for a row that is not finite.

        Raises:
            InputError: `values` are not rows of width d.
            UnsupportedError: the class does not implement `encode`.
        """
        raise UnsupportedError(f"{type(self).__name__} does not implement encode.")

    @_checked
    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Decode codes to activations; differentiable.

        Args:
            codes: (n, c) the codes.

        Returns:
            (n, d) the reconstructed activations, by default the codes times the dictionary.

        Raises:
            InputError: `codes` are not rows with one number for each concept.
        """
        return codes @ self.dictionary

    def forward(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Reconstruct activations (n, d): `decode(encode(values))`."""
        return self.decode(self.encode(values))

    def config(self) -> dict[str, Any]:
        """Give the keyword arguments of the constructor that are not tensors, as JSON values."""
        return {}

    def only(self, chosen: Sequence[int]) -> ConceptSpace:
        """Make a view of some of the concepts, for interpretation; it cannot be saved, and only its `whole` can decode.

        Args:
            chosen: the numbers of the concepts to keep.

        Returns:
            A space of these concepts, numbered from 0 in this order.

        Raises:
            InputError: nothing is chosen, or the space does not have one of the concepts.
        """
        return _Chosen(self, chosen)

    def save(self, path: str | Path) -> Path:
        """Write the space to a safetensors file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
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
        """Read a file that `save` wrote.

        The class of the space must come from the core, from an installed package that declares methods, or from code
        that is already imported.

        Args:
            path: the file.

        Returns:
            The space, of the class that was saved, in evaluation mode on the CPU.

        Raises:
            InputError: there is no such file, it does not hold a space, or the class of the space is not installed.
            BrokenPluginError: the package is installed, but does not have that class.
        """
        mapped, data = load_tensors(path, "concepts")
        # copied, since rows of a file begin anywhere in memory, and products with them end in other bits as well
        tensors = {name: tensor.clone() for name, tensor in mapped.items()}
        space: ConceptSpace = _class_named(data["space"])(**tensors, **data["config"])
        space.made_by = MadeBy.from_json(data["made_by"])
        space.layer, space.notes = data["layer"], tuple(data["notes"])
        space.names, space.history = data["names"], data["history"]
        return space.eval()

    def one_line(self) -> str:
        """Describe the space in less than a line, as its `repr` does."""
        place = f" at {self.layer!r}" if self.layer else ""
        return f"{counted(self.concepts, 'concept')} of width {self.width}{place}, by {self.made_by.brief}"

    def summary(self) -> str:
        """Describe the space: a line for the whole, the names of its concepts, and the notes."""
        known = [name for i, name in enumerate(self.names) if name != f"concept {i}"]
        named = [f"Concepts: {quoted(known, most=20)}"] if known else []
        return "\n".join([repr(self), *named, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Convert directions, names and provenance to JSON values."""
        data = {"names": self.names, "layer": self.layer, "dictionary": self.dictionary.tolist()}
        return for_json({**data, "notes": list(self.notes), "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each concept: its name and the coordinates of its direction."""
        directions = enumerate(self.dictionary.T.tolist())
        return {"concept": self.names, **{f"dimension {i}": column for i, column in directions}}


class _Chosen(ConceptSpace):
    """A view of some concepts of a space."""

    def __init__(self, space: ConceptSpace, chosen: Sequence[int]) -> None:
        unknown = [i for i in chosen if not 0 <= i < space.concepts]
        if unknown or not len(chosen):
            raise InputError(f"concepts {unknown or 'none'} were asked for; this space has 0 to {space.concepts - 1}.")
        super().__init__(space.dictionary[list(chosen)])
        self._whole, self._numbers = space.whole, [space.numbers[i] for i in chosen]
        self.made_by, self.layer = space.made_by, space.layer
        self.names = [space.names[i] for i in chosen]

    @property
    def whole(self) -> ConceptSpace:
        return self._whole

    @property
    def numbers(self) -> list[int]:
        return list(self._numbers)

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self._whole.encode(values)[:, self._numbers]

    def save(self, path: str | Path) -> Path:
        raise UnsupportedError("a view of some concepts cannot be saved; save the whole space.")


class AffineSpace(ConceptSpace):
    """A concept space with codes `(x - mean) @ encoder.T + bias` and reconstructions `codes @ dictionary + mean`.

    Both are differentiable. PCA, ICA, probes and concept activation vectors are of this form.

    Args:
        dictionary: (c, d) the directions; one unit of a code adds its direction to a row.
        encoder: (c, d) the directions along which the codes are read.
        mean: (d) subtracted before encoding and added after decoding; 0 by default.
        bias: (c) added to the codes; 0 by default.

    Raises:
        InputError: the dictionary is not a matrix.

    Examples:
        The second direction has length 2, so its encoder divides by 2 to reconstruct a row exactly.

        >>> from interp_core.concepts import AffineSpace
        >>> dictionary = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> space = AffineSpace(dictionary, torch.linalg.inv(dictionary).T, mean=torch.tensor([1.0, 1.0]))
        >>> codes = space.encode(torch.tensor([[4.0, 5.0]]))
        >>> codes, space.decode(codes)
        (tensor([[3., 2.]]), tensor([[4., 5.]]))
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
        """Encode activations (n, d) to codes (n, c), of either sign."""
        return (values - self.mean) @ self.encoder.T + self.bias

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Decode codes (n, c) to activations (n, d)."""
        return codes @ self.dictionary + self.mean


_CORE, _CORE_FACES = "interp-core", ("concepts", "metrics", "testing")  # the rooms of the core that define spaces


def _name_of(made: type) -> str:
    """The name of a class in saved files: package and class, independent of the module."""
    return f"{_package_of(made.__module__)}/{made.__qualname__}"


def _class_named(name: str) -> type[Any]:
    """The class of a saved space: from the core, a package that declares methods, or this program.

    Raises:
        InputError: no installed package declares it, and this program does not define it.
        BrokenPluginError: its package is installed, but does not have that class.
    """
    module, path, attribute = name.partition(":")  # files of 0.1 name `module:Class`
    package, _, attribute = (_package_of(module), "", attribute) if path else name.rpartition("/")
    if path and package != PROGRAM:
        with contextlib.suppress(ImportError):  # the class may have moved to another module of its package
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
    raise InputError(
        f"the space is of class {name!r}, which no installed package declares; install or import the package that "
        "defines it."
    )


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
