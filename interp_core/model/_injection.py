"""The places where values enter a model in place of what it would have computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from interp_core.model._hooks import Tap, module_at, repack, tap
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class OutputInjection:
    """A place where values enter a model by replacing the output of one module; all of the model runs."""

    model: nn.Module
    path: str

    def open(self, values: Tensor) -> AbstractContextManager[Tap]:
        """Within it one pass goes on from these values (p, t, d)."""
        return tap(self.model, self.path, replace=values)


@dataclass(frozen=True, eq=False)
class EncoderDecoderInjection:
    """Where values enter a model of two stacks: those of the source at the encoder's embeddings, the others at the
    decoder's. The two may be one module, which then runs for the encoder first.
    """

    model: nn.Module
    paths: tuple[str, str]

    @property
    def path(self) -> str:
        """The encoder's embeddings."""
        return self.paths[0]

    @contextmanager
    def open(self, values: Tensor) -> Iterator[None]:
        """Within it one pass goes on from these values (p, t, d): source first, then what the decoder is given."""
        caller, seen = threading.get_ident(), [0]

        def enter(side: int | None, output: Tensor) -> Tensor:
            if threading.get_ident() != caller:
                return output
            which = seen[0] if side is None else side
            seen[0] += 1
            length = output.shape[1]
            return (values[:, :length] if which == 0 else values[:, -length:]).to(output)

        with ExitStack() as stack:
            same = self.paths[0] == self.paths[1]
            for side, path in enumerate(self.paths[:1] if same else self.paths):
                number = None if same else side
                hook = module_at(self.model, path).register_forward_hook(
                    lambda _m, _i, out, number=number: enter(number, out)
                )
                stack.callback(hook.remove)
            yield


@dataclass(frozen=True, eq=False)
class BypassInjection:
    """Values enter at a block and the blocks up to it do not run: they hand the values on.

    Attributes:
        path: the last block that is skipped.
        modules: the blocks up to it.
        outputs: a sample of what each returns, for its form.
    """

    path: str
    modules: tuple[nn.Module, ...]
    outputs: tuple[Any, ...]

    def open(self, values: Tensor) -> AbstractContextManager[None]:
        """Within it one pass goes on from these values (p, t, d)."""
        return passing_through(self.modules, self.outputs, values)


@contextmanager
def passing_through(modules: Sequence[nn.Module], outputs: Sequence[Any], value: Tensor) -> Iterator[None]:
    """Within it these modules hand `value` (p, t, d) on instead of computing; `outputs` are samples of what each
    returns.
    """
    with ExitStack() as stack:
        for module, output in zip(modules, outputs, strict=True):
            had = module.__dict__.get("forward")
            stack.callback(_restore, module, had)
            module.forward = _hand_on(module.forward, output, value)
        yield


def _hand_on(own: Callable[..., Any], output: Any, value: Tensor) -> Callable[..., Any]:
    first = output[0] if isinstance(output, tuple | list) else output
    handed, caller = repack(output, value.to(first)), threading.get_ident()
    return lambda *args, **kwargs: handed if threading.get_ident() == caller else own(*args, **kwargs)


def _restore(module: nn.Module, had: Any) -> None:
    if had is None:
        module.__dict__.pop("forward", None)
    else:
        module.forward = had
