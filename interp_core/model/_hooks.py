"""Reading and replacing the output of one module, and leaving no trace of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from interp_core.errors import LayerError
from torch import Tensor, nn

Replacement = Tensor | Callable[[Tensor], Tensor]


@dataclass
class Tap:
    """What one module gave in one pass of the model: `value` is (p, t, d), None while it has not run."""

    path: str
    value: Tensor | None = None

    def read(self) -> Tensor:
        """The output.

        Raises:
            LayerError: the module did not run.
        """
        if self.value is None:
            raise LayerError(f"layer {self.path!r} did not run in this pass, so it has no output to read.")
        return self.value


class _StopPass(Exception):  # noqa: N818 - a signal, not an error
    """Unwinds the model's forward once all that was asked for has been read."""


def module_at(model: nn.Module, path: str) -> nn.Module:
    """The module of that name.

    Raises:
        LayerError: there is none; the message lists near ones.
    """
    named = dict(model.named_modules())
    if path not in named or not path:
        import difflib

        near = difflib.get_close_matches(path, named, n=4, cutoff=0.4)
        raise LayerError(f"there is no module {path!r} in {type(model).__name__}. Near: {', '.join(near) or 'none'}.")
    found: nn.Module = named[path]
    return found


def blocks_of(model: nn.Module, depth: int | None) -> tuple[str, ...]:
    """The paths of a transformer's blocks: the first list of `depth` modules of one class.

    Raises:
        LayerError: there is none.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth and len({type(m) for m in module}) == 1:
            return tuple(f"{name}.{i}" for i in range(len(module)))
    raise LayerError(f"the blocks of {type(model).__name__} were not found; give the split as a module path.")


@contextmanager
def tap(
    model: nn.Module,
    path: str,
    *,
    replace: Replacement | None = None,
    stop: bool | Callable[[], bool] = False,
    hidden: bool = True,
) -> Iterator[Tap]:
    """Read or replace the output of one module during one pass of the model inside the `with` block.

    Args:
        model: the model; its hooks are the same before and after.
        path: module name, as in `model.named_modules()`.
        replace: a tensor, or a function of the output, that goes on in its place.
        stop: leave the pass once the module has run, or if this then says so; the block ends there.
        hidden: insist on an output (p, t, d).

    Raises:
        LayerError: the module does not exist, ran twice in one pass, or gives something else than (p, t, d).
    """
    module = module_at(model, path)
    seen = Tap(path)
    signal = _StopPass()
    caller = threading.get_ident()

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if threading.get_ident() != caller:  # somebody else's call of the same model is none of our business
            return output
        if seen.value is not None:
            raise LayerError(
                f"layer {path!r} ran twice in one pass, so its output is not one thing. Choose a module that runs once."
            )
        value = hidden_of(output, path, hidden)
        given = replace(value) if callable(replace) else replace
        seen.value = value if given is None else given.to(value)
        if stop() if callable(stop) else stop:
            raise signal
        return output if replace is None else repack(output, seen.value)

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    except _StopPass as raised:
        if raised is not signal:
            raise
    finally:
        handle.remove()


@contextmanager
def taps(model: nn.Module, paths: Sequence[str], *, stop: bool = False) -> Iterator[list[Tap]]:
    """Read the outputs of several modules during one pass; `stop` leaves it once all of them have run."""
    seen: list[Tap] = []
    with ExitStack() as stack:
        for path in paths:
            last = stop and (lambda: all(one.value is not None for one in seen))
            seen.append(stack.enter_context(tap(model, path, stop=last)))
        yield seen


def hidden_of(output: Any, path: str, hidden: bool = True) -> Tensor:
    """What a module gave: (p, t, d) if it must be, the first of several.

    Raises:
        LayerError: something else.
    """
    value = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(value, Tensor) or (hidden and value.ndim != 3):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(output).__name__
        raise LayerError(
            f"layer {path!r} gives {shape}; a row for each token, (texts, tokens, width), was expected. "
            "Choose a block or a module inside one."
        )
    return value


def repack(output: Any, value: Tensor) -> Any:
    """The output of a module with its first tensor exchanged."""
    if isinstance(output, tuple):
        return (value, *output[1:])
    return [value, *output[1:]] if isinstance(output, list) else value


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Within it the model is in evaluation mode with frozen weights; every flag is put back after."""
    training = [module for module in model.modules() if module.training]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for module in training:
            module.training = False
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in trained:
            parameter.requires_grad_(True)
