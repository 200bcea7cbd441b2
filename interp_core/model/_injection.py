"""Injections: the places where values enter a model and replace what it would have computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._hooks import Layout, Tap, module_at, repack, tap
from interp_core.model._module_state import calling_here
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class OutputInjection:
    """Injection that replaces the output of one module; the whole model runs.

    Attributes:
        model: the user's model.
        path: the path of the module.
        layout: how the model lays out hidden states; (p, t, d) by default.

    Examples:
        The logits of the planted model are the sum of the embeddings of its tokens, here three of width 2.

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
    layout: Layout | None = None

    def open(self, values: Tensor) -> AbstractContextManager[Tap]:
        """Open a context in which one pass continues from these values (p, t, d).

        Raises:
            LayerError: the module does not exist, runs twice, or does not return (p, t, d).
        """
        return tap(self.model, self.path, replace=values, layout=self.layout)


@dataclass(frozen=True, eq=False)
class EmbeddingsInjection(OutputInjection):
    """Values enter at the embeddings of the text. Calls for other ids, such as those of padding, are left alone."""

    @contextmanager
    def open(self, values: Tensor) -> Iterator[Tap]:
        """Open a context in which one pass continues from these values (p, t, d).

        Raises:
            LayerError: the module does not exist, runs twice for the text, or does not return (p, t, d).
        """
        given: dict[str, Tensor] = {}
        turned = (self.layout or Layout()).turned

        def when(inputs: tuple[Any, ...]) -> bool:
            return not inputs or "input_ids" not in given or _begins_with(turned(inputs[0]), given["input_ids"])

        with (
            _given_to(self.model, given),
            tap(self.model, self.path, replace=values, layout=self.layout, when=when) as entered,
        ):
            yield entered


@contextmanager
def _given_to(model: nn.Module, given: dict[str, Tensor]) -> Iterator[None]:
    """A context in which `given` holds what the model is called with by name."""
    hook = model.register_forward_pre_hook(lambda _m, _a, kwargs: given.update(kwargs), with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _begins_with(ids: Any, text: Tensor) -> bool:
    """Whether ids that are looked up begin with those of the rows."""
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.shape[1] < text.shape[1] or len(ids) != len(text):
        return False
    same = ids.shape == text.shape and ids.stride() == text.stride() and ids.data_ptr() == text.data_ptr()
    if same and ids.device == text.device:  # told without waiting for the device
        return True
    return torch.equal(ids[:, : text.shape[1]].to(text.device), text)


@dataclass(frozen=True, eq=False)
class EncoderDecoderInjection:
    """Values enter an encoder-decoder model at the embeddings: the source at the encoder's, the rest at the decoder's.

    The two may be one module, which then runs for the encoder first. A classifier or extractor gets no target: its
    decoder reads the source again, one position later, and so do the values.
    """

    model: nn.Module
    paths: tuple[str, str]
    layout: Layout = field(default_factory=Layout)

    @property
    def path(self) -> str:
        """The encoder's embeddings."""
        return self.paths[0]

    @contextmanager
    def open(self, values: Tensor) -> Iterator[Tap]:
        """Open a context in which one pass continues from these values (p, t, d): the source, then the target.

        Raises:
            LayerError: no target was given, and the decoder does not read the source one position later.
            UnsupportedError: no target was given, and the embeddings of encoder and decoder differ.
        """
        meant, calls, entered = calling_here(), list[int](), Tap(self.paths[0])
        given: dict[str, Tensor] = {}

        def enter(which: int, ids: Tensor, output: Tensor) -> Tensor:
            source = given["input_ids"]
            border = source.shape[1]
            if not meant() or (which == 0 and not _begins_with(ids, source)):
                return output
            calls.append(which)
            if which == 0:
                entered.value = output
                return self.layout.replaced(output, values[:, :border], self.paths[0])
            if values.shape[1] > border:
                return self.layout.replaced(output, values[:, border:], self.paths[1])
            self._check_again(ids, source)
            return torch.cat([output[:, :1], values[:, :-1].to(output)], dim=1)

        same = self.paths[0] == self.paths[1]
        with ExitStack() as stack:
            stack.enter_context(_given_to(self.model, given))
            for side, path in enumerate(self.paths[:1] if same else self.paths):
                hook = module_at(self.model, path).register_forward_hook(
                    lambda _m, inputs, out, side=side: enter(min(len(calls), 1) if same else side, inputs[0], out)
                )
                stack.callback(hook.remove)
            yield entered

    def _check_again(self, ids: Tensor, source: Tensor) -> None:
        """Whether the decoder reads the source again in the same embeddings, one position later."""
        name = type(self.model).__name__
        one, other = (module_at(self.model, path).get_parameter("weight") for path in self.paths)
        if one is not other:
            raise UnsupportedError(
                f"the encoder and the decoder of {name} both read the text, each in embeddings of its own, so that no "
                "one vector stands for a token; choose a layer of the encoder instead, such as layer=0."
            )
        if not torch.equal(ids[:, 1:], source[:, :-1]):
            raise LayerError(
                f"the decoder of {name} reads other tokens than its encoder, so the tokens of the text cannot be "
                "changed for both; choose a layer of the encoder instead, such as layer=0."
            )


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
        """Open a context in which one pass continues from these values (p, t, d)."""
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
    result, meant = repack(output, value.to(first)), calling_here()

    def give(*args: Any, **kwargs: Any) -> Any:
        if not meant():
            return forward(*args, **kwargs)
        seen.value = value
        return result

    return give


def _restore(module: nn.Module, forward: Any) -> None:
    if forward is None:
        module.__dict__.pop("forward", None)
    else:
        module.forward = forward
