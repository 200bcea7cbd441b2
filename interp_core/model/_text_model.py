"""The model that users work with, which can be split at its layers."""

from __future__ import annotations

from functools import cached_property

from interp_core.display import html
from interp_core.errors import InputError, LayerError
from interp_core.model._attention import attends
from interp_core.model._heads import Head
from interp_core.model._layers import Layers
from interp_core.model._module_state import undisturbed
from interp_core.model._read_position import read_position
from interp_core.model._split import SplitModel
from interp_core.model._trial import Sharing, trial_of
from interp_core.model._wrapped_model import WrappedModel


class TextModel(WrappedModel):
    """A Hugging Face model with its tokenizer, neither of which is changed.

    The tokenizer is copied, and the model is only called.

    Args:
        model: a Hugging Face model, or any `nn.Module` that meets the contract of docs/own-model.md.
        tokenizer: the tokenizer of the model.
        tokens_per_batch: the maximum number of tokens in one pass, padding included; halved for the rest of a run
            whenever memory runs out. None for the default: 1,024 on a CPU, where more are slower; on CUDA what fits
            into the free memory, a power of two up to 65,536; elsewhere 65,536.
        autocast: `"bfloat16"` to run the matrix products of passes in this format, see `torch.autocast`; scores and
            gradients are float32, with errors of about 1 %. None to leave the model as it is.
        compile: run the blocks of the model compiled by `torch.compile` where no hook is inside them and a pass needs
            at most one gradient (one target). The first passes take longer. The model itself is not compiled.

    Raises:
        InputError: the tokenizer is not one of transformers, the model does not name its embeddings, `tokens_per_batch`
            is not a whole number of at least 1, or `autocast` is another format.
        ModelError: weights are on the `meta` device.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> tiny = tiny_classifier()  # stands for a model and tokenizer that `from_pretrained` has loaded
        >>> model = interp.TextModel(tiny.model, tiny.tokenizer)
        >>> model.head, model.labels
        ('single-label', ('LABEL_0', 'LABEL_1', 'LABEL_2'))
        >>> model.blocks
        ('bert.encoder.layer.0', 'bert.encoder.layer.1')
    """

    @cached_property
    @undisturbed
    def head(self) -> Head:
        """The type of head, detected with a short text, as is which rows may share a pass."""
        head: Head = super().head
        trial_of(self)
        return head

    @property
    def read_position(self) -> int:
        """The only position of the last block that a classifier reads: 0, or negative from the end.

        Raises:
            LayerError: the classifier reads several positions, or none.
        """
        return read_position(self)

    @property
    def sharing(self) -> Sharing:
        """Which rows may share a pass: `"padded"` (of any length), `"equal-length"` or `"single"` (none)."""
        self.head  # noqa: B018 - all trials are made together
        return trial_of(self).sharing(stop=False)

    def columns(self) -> dict[str, list[str]]:
        """The columns of a table of what is known of the model."""
        head = self.head
        told = {
            "model": self.name,
            "class": type(self.model).__name__,
            "head": str(head),
            "classes": ", ".join(self.labels),
            "blocks": f"{len(self.blocks)}, {self.blocks[0]} to {self.blocks[-1]}" if self.blocks else "",
            "most tokens": f"{self.max_tokens:,}",
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "autocast": self.autocast or "",
            "compiled": "blocks" if self.compile else "",
        }
        known = {name: value for name, value in told.items() if value}
        return {"": list(known), "value": list(known.values())}

    def _repr_html_(self) -> str:
        return html(self)

    @property
    def attends(self) -> bool:
        """Whether the attention of each block can be observed."""
        return attends(self)

    def split(self, layer: int | str) -> SplitModel:
        """Split the model above a layer, to read its activations and to resume from them.

        Args:
            layer: the number of a block, negative from the end, or a module path.

        Returns:
            The split model.

        Raises:
            LayerError: there is no such layer, several layers were given, or the blocks of the model were not found.
        """
        if isinstance(layer, list | tuple | set | range):
            several = ", ".join(map(repr, layer))
            instead = f"model.layers({several})" if len(layer) > 1 else f"model.split({several or -1})"
            raise LayerError(f"a split is at one layer, and layer is {layer!r}; write {instead} instead.")
        return SplitModel(self, self.layer_path(layer))

    def layers(self, *layers: int | str) -> Layers:
        """Select several layers, to read their activations in the same passes.

        Args:
            *layers: layers as in `split`, or a single list of them; repeated ones count once.

        Returns:
            The layers.

        Raises:
            InputError: no layer is named.
            LayerError: there is no such layer, or the blocks of the model were not found.
        """
        if len(layers) == 1 and isinstance(layers[0], list | tuple | range):
            layers = tuple(layers[0])
        if not layers:
            raise InputError("no layers were named; give at least one, such as model.layers(2, -1).")
        return Layers(tuple(self.split(path) for path in dict.fromkeys(map(self.layer_path, layers))))
