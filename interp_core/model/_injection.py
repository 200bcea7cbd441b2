"""The places where values enter a model and replace what it would have computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model._hooks import Tap, module_at, repack, tap
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class OutputInjection:
    """Values enter by replacing the output of one module. The whole model runs.

    Attributes:
        model: the user's model.
        path: the module.

    Examples:
        The logits of the planted model are the sum of the embeddings of its tokens, here 3 of width 2.

        >>> from interp_core.model import OutputInjection
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0)})
        >>> ids = model.encoder("happy").ids[None]
        >>> with OutputInjection(model.model, "words").open(torch.full((1, 3, 2), 0.5)):
        ...     model.forward(ids, torch.ones_like(ids))["logits"]
        tensor([[1.5000, 1.5000]])
    """

    model: nn.Module
    path: str

    def open(self, values: Tensor) -> AbstractContextManager[Tap]:
        """A context in which one pass continues from these values (p, t, d).

        Raises:
            LayerError: the module does not exist, runs twice, or does not return (p, t, d).
        """
        return tap(self.model, self.path, replace=values)


@dataclass(frozen=True, eq=False)
class EncoderDecoderInjection:
    """Values enter an encoder-decoder model at the embeddings: the source at the encoder's, the rest at the decoder's.

    The two may be one module, which then runs for the encoder first. A classifier or extractor gets no target: its
    decoder reads the source again, one position later, and so do the values.
    """

    model: nn.Module
    paths: tuple[str, str]

    @property
    def path(self) -> str:
        """The encoder's embeddings."""
        return self.paths[0]

    @contextmanager
    def open(self, values: Tensor) -> Iterator[Tap]:
        """A context in which one pass continues from these values (p, t, d): the source, then the decoder's tokens.

        Raises:
            LayerError: no target was given, and the decoder does not read the source one position later.
        """
        caller, read, entered = threading.get_ident(), list[Tensor](), Tap(self.paths[0])

        def enter(side: int | None, ids: Tensor, output: Tensor) -> Tensor:
            if threading.get_ident() != caller:
                return output
            which = min(len(read), 1) if side is None else side
            read.append(ids)
            length = output.shape[1]
            if which == 0:
                entered.value = output
                return values[:, :length].to(output).clone()
            if length < values.shape[1]:
                return values[:, -length:].to(output).clone()
            if not torch.equal(ids[:, 1:], read[0][:, :-1]):
                raise LayerError(
                    f"the decoder of {type(self.model).__name__} reads other tokens than its encoder, so the tokens of "
                    "the text cannot be changed for both; choose a layer instead of the embeddings."
                )
            return torch.cat([output[:, :1], values[:, :-1].to(output)], dim=1)

        with ExitStack() as stack:
            same = self.paths[0] == self.paths[1]
            for side, path in enumerate(self.paths[:1] if same else self.paths):
                number = None if same else side
                hook = module_at(self.model, path).register_forward_hook(
                    lambda _m, inputs, out, number=number: enter(number, inputs[0], out)
                )
                stack.callback(hook.remove)
            yield entered


@dataclass(frozen=True, eq=False)
class BypassInjection:
    """Values enter above a block. The blocks up to it do not run; each returns the values instead.

    Attributes:
        path: the last block that is skipped.
        modules: the blocks up to and including it.
        outputs: a sample output of each of them, to copy its form.
    """

    path: str
    modules: tuple[nn.Module, ...]
    outputs: tuple[Any, ...]

    @contextmanager
    def open(self, values: Tensor) -> Iterator[Tap]:
        """A context in which one pass continues from these values (p, t, d)."""
        entered = Tap(self.path)
        with ExitStack() as stack:
            for module, output in zip(self.modules, self.outputs, strict=True):
                stack.callback(_restore, module, module.__dict__.get("forward"))
                seen = entered if module is self.modules[-1] else Tap(self.path)
                module.forward = _returning(module.forward, output, values, seen)
            yield entered


def _returning(forward: Callable[..., Any], output: Any, value: Tensor, seen: Tap) -> Callable[..., Any]:
    """A forward that returns `value` in the form of `output` on this thread and notes it, and computes on others."""
    first = output[0] if isinstance(output, tuple | list) else output
    result, caller = repack(output, value.to(first)), threading.get_ident()

    def give(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != caller:
            return forward(*args, **kwargs)
        seen.value = value
        return result

    return give


def _restore(module: nn.Module, forward: Any) -> None:
    if forward is None:
        module.__dict__.pop("forward", None)
    else:
        module.forward = forward
