"""The value `TunedLens`: an affine translator for each layer but the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.model import TextModel
from interp_core.results import MadeBy, Value, counted, for_json, load_tensors, place_of, reading, save_tensors
from interp_logit_lens.stream import Stream
from jaxtyping import Float
from torch import Tensor

KIND = "tuned-lens"
TENSORS = ("matrices", "biases", "before", "after")


@dataclass(frozen=True, eq=False, repr=False)
class TunedLens(Value):
    """Tuned lens: affine translators from the states of l layers to those of the last block.

    Made by `interp.fit_tuned_lens`. A state h of a layer is read as h + matrix · h + bias. With all numbers 0 it is
    read as it is, as by the logit lens.

    Attributes:
        layers: the l layers, lowest first: `"embeddings"`, and the paths of all blocks but the last, whose states need
            no translation.
        matrices: (l, d, d) how the translation of each layer differs from the identity.
        biases: (l, d) the constant that each translation adds.
        before: (l) the mean divergence from the model's own distribution on held-out texts, in nats, of the states as
            they are.
        after: (l) the same for the translated states.
        history: numbers logged in training, by name: `"step"`, and `"divergence"`, the mean over layers on the texts of
            that step, in nats.
        made_by: how it was made.
        notes: what a reader should know.

    Examples:
        >>> import torch
        >>> from interp_tuned_lens.tuned_lens import TunedLens
        >>> lens = TunedLens(("embeddings",), torch.eye(2)[None], torch.ones(1, 2), torch.ones(1), torch.zeros(1))
        >>> lens.translated("embeddings", torch.tensor([[1.0, 2.0]]))
        tensor([[3., 5.]])

    Source:
        Belrose et al. 2023, arXiv:2303.08112, section 3.
    """

    layers: tuple[str, ...]
    matrices: Float[Tensor, "l d d"]
    biases: Float[Tensor, "l d"]
    before: Float[Tensor, " l"]
    after: Float[Tensor, " l"]
    history: dict[str, list[float]] = field(default_factory=dict)
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """The width d of the states."""
        return int(self.biases.shape[1])

    def translated(self, layer: str, states: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
        """Translate the states of a layer to those of the last block.

        Args:
            layer: one of `layers`.
            states: (t, d) states of that layer.

        Returns:
            The states (t, d), in the number format and on the device of those given.

        Raises:
            InputError: the lens has no such layer, or the states have another width.
        """
        place = place_of(layer, self.layers, "layer", "this tuned lens")
        if states.shape[-1] != self.width:
            raise InputError(f"the states are of width {states.shape[-1]}, and this tuned lens of {self.width}.")
        matrix, bias = (of[place].to(states.device) for of in (self.matrices, self.biases))
        exact = states.to(torch.promote_types(states.dtype, torch.float32))
        return (exact + exact @ matrix.T.to(exact) + bias.to(exact)).to(states.dtype)

    def notes_on(self, model: TextModel) -> tuple[str, ...]:
        """What a reader should know where this lens is used on a model.

        Raises:
            InputError: the model has other layers.
        """
        known = Stream(model).layers[:-1]
        if not set(self.layers) <= set(known):
            strange = next(layer for layer in self.layers if layer not in known)
            raise InputError(
                f"this tuned lens is for {self.made_by.model or 'another model'} and has the layer {strange!r}, which "
                f"{model.name} has not before its last block; learn one for this model: interp.fit_tuned_lens."
            )
        if self.made_by.model and self.made_by.model != model.name:
            return (f"The translators were learnt on {self.made_by.model}, and the model is {model.name}.",)
        return ()

    def one_line(self) -> str:
        """The size, and the mean divergence before and after."""
        means = f"divergence {float(self.before.mean()):.3f} before, {float(self.after.mean()):.3f} after"
        return f"{counted(len(self.layers), 'layer')} of width {self.width}, {means}, by {self.made_by.brief}"

    def summary(self) -> str:
        """Each layer with its divergence on held-out texts, before and after, the last on top; and the notes."""
        width = max(map(len, self.layers))
        ends = zip(self.layers, self.before.tolist(), self.after.tolist(), strict=True)
        lines = [f"{layer:<{width}}  {before:8.3f}  {after:8.3f}" for layer, before, after in ends]
        return "\n".join([repr(self), f"{'layer':<{width}}    before     after", *reversed(lines), *self.notes])

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """One row for each layer, with its divergence on held-out texts before and after."""
        return {"layer": self.layers, "before": self.before.tolist(), "after": self.after.tolist()}

    def to_json(self) -> dict[str, Any]:
        """The translators as JSON values, with their divergences and the history."""
        numbers = {name: getattr(self, name).tolist() for name in TENSORS}
        said = {"layers": list(self.layers), **numbers, "history": self.history, "notes": list(self.notes)}
        return for_json({**said, "made_by": self.made_by.to_json()})

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        said = {"layers": self.layers, "history": self.history, "notes": self.notes, "made_by": self.made_by.to_json()}
        return save_tensors(path, KIND, {name: getattr(self, name) for name in TENSORS}, said)

    @classmethod
    def load(cls, path: str | Path) -> TunedLens:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The tuned lens, on the CPU.

        Raises:
            InputError: there is no such file, it does not hold a tuned lens, or it is damaged.
        """
        tensors, data = load_tensors(path, KIND)
        lost = [name for name in TENSORS if name not in tensors]
        if lost:
            raise InputError(f"{Path(path).name} is damaged: it holds no {lost[0]!r}. Restore or remake it.")
        with reading(path):
            matrices, biases, before, after = (tensors[name].clone() for name in TENSORS)
            return cls(
                tuple(data["layers"]),
                matrices,
                biases,
                before,
                after,
                history=data["history"],
                made_by=MadeBy.from_json(data["made_by"]),
                notes=tuple(data["notes"]),
            )
