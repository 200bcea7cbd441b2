"""The model that users hold: a wrapped model that can be split at its layers."""

from __future__ import annotations

from interp_core.errors import InputError
from interp_core.model._attention import attends
from interp_core.model._layer_capabilities import read_position
from interp_core.model._layers import Layers
from interp_core.model._split import SplitModel
from interp_core.model._wrapped_model import WrappedModel


class TextModel(WrappedModel):
    """A Hugging Face model with its tokenizer. Neither is changed: the tokenizer is copied, the model only ever called.

    Args:
        model: a Hugging Face model (any `nn.Module` with its call signature and a `config`).
        tokenizer: its fast tokenizer.
        tokens_per_batch: how many tokens, padding included, one pass may hold; halved for the rest of a run
            whenever memory runs out.

    Raises:
        InputError: a slow tokenizer, a model without embeddings or with weights on the `meta` device.
    """

    @property
    def read_position(self) -> int:
        """The one position of the last block that a classifier's answer depends on: 0, or from the end.

        Raises:
            LayerError: it depends on several.
        """
        return read_position(self)

    @property
    def attends(self) -> bool:
        """Whether the attention of each block can be seen."""
        return attends(self)

    def split(self, layer: int | str) -> SplitModel:
        """The model split above a layer, to read its activations and to go on from them.

        Args:
            layer: a block's number, negative from the end, or a module path.

        Raises:
            LayerError: there is no such layer.
        """
        return SplitModel(self, self.layer_path(layer))

    def layers(self, *layers: int | str) -> Layers:
        """Several layers, to read their activations in one pass.

        Args:
            *layers: as in `split`.

        Raises:
            InputError: none were named.
            LayerError: there is no such layer.
        """
        if not layers:
            raise InputError("no layers were named; give at least one, such as model.layers(2, -1).")
        return Layers(tuple(self.split(path) for path in dict.fromkeys(map(self.layer_path, layers))))
