"""The token budget of a pass: as many tokens as fit into the free memory of the device, by an estimate for a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

CPU_BUDGET = 1024  # tokens in a pass on a CPU, where more are slower
BUDGET, LEAST = 65536, 256  # on an accelerator: more keep it no busier, and fewer are left to running out of memory
SHARE = 0.8  # of the free memory; the rest is for what the allocator cannot use and the kernels keep for themselves
LONGEST = 2048  # tokens of a row, where attention weights are written out and the model takes longer ones
INNER = ("intermediate_size", "ffn_dim", "d_ff", "encoder_ffn_dim", "hidden_dim", "n_inner")
HEADS = ("num_attention_heads", "n_head", "encoder_attention_heads", "num_heads")


@dataclass(frozen=True)
class TokenSizes:
    """The numbers that a pass holds for each token.

    Attributes:
        width: of a hidden state.
        inner: of the widest state inside of a block.
        layers: the number of blocks.
        attention: the attention weights of a token that a block writes out: one for each head and token of the row,
            none with the fused kernels of PyTorch.
        logits: of the vocabulary head; 0 without one, since classes are few.
        number: the bytes of a number in the format of the model.
    """

    width: int
    inner: int
    layers: int
    attention: int = 0
    logits: int = 0
    number: int = 4

    def bytes(self, *, gradients: bool) -> int:
        """The bytes that a token takes in a pass, or in one whose gradients are taken.

        A block holds its input, two normalised states, queries, keys, values, what attention gives and its projection,
        three states of the inner width (gate, activation and their product), and attention weights before and after
        their softmax. Only one block holds them at a time, unless all keep them for a backward pass; what a token
        comes in with is in 32 bits: its values, and with gradients the leaf, the slope and a sum of them. Logits are
        held as the model gives them, in 32 bits, and as log-probabilities; with gradients, their slopes as well.

        Args:
            gradients: whether states are kept for a backward pass.
        """
        block = self.number * (8 * self.width + 3 * self.inner + 2 * self.attention)
        entering = 4 * self.width * (4 if gradients else 1)
        head = self.logits * (self.number + 4 * (3 if gradients else 2))
        return (self.layers if gradients else 1) * block + entering + head


def tokens_that_fit(free: int, token: int) -> int:
    """The tokens of a pass, given the free bytes and those that a token takes.

    Returns:
        A power of two from 256 to 65,536, so that a little more or less free memory gives the same batches.
    """
    count = min(BUDGET, max(LEAST, int(SHARE * free) // max(1, token)))
    return 1 << (count.bit_length() - 1)


def free_memory(model: Any) -> int | None:
    """The free bytes on the fullest CUDA device that a module has weights on; None if they are on none."""
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    return min(map(_free, devices)) if devices else None


def _free(device: torch.device) -> int:
    """What the driver has left, and what PyTorch has taken and does not use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


def sizes_of(model: Any, config: Any, width: int, number: int, longest: int) -> TokenSizes:
    """The sizes of a model, as far as its configuration names them.

    Args:
        model: the module.
        config: its configuration, if it has one.
        width: of its embeddings.
        number: the bytes of a number in its format.
        longest: the most tokens that it takes.
    """
    config = getattr(config, "text_config", None) or config
    stacks = [len(module) for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = _named(config, ("num_hidden_layers", "n_layer", "num_layers"), max(stacks, default=1))
    two = 2 if getattr(config, "is_encoder_decoder", False) else 1
    width = max(width, _named(config, ("hidden_size", "d_model", "n_embd"), width))
    eager = getattr(config, "_attn_implementation", None) == "eager"
    attention = _named(config, HEADS, 1) * min(longest, LONGEST) if eager else 0
    head = getattr(model, "get_output_embeddings", lambda: None)()
    logits = 0 if head is None else getattr(head, "out_features", None) or len(head.weight)
    return TokenSizes(width, _named(config, INNER, 4 * width), two * layers, attention, logits, number)


def _named(config: Any, names: tuple[str, ...], otherwise: int) -> int:
    """The first of these numbers that a configuration has."""
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), otherwise)


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory has run out, on any device."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
