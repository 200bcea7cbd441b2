"""Hooks that read or replace the output of one module and leave no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model._module_state import ModuleState, calling_here, modules_of
from torch import Tensor, nn

Replacement = Tensor | Callable[[Tensor], Tensor]


@dataclass
class Tap:
    """The output of one module in one pass of the model.

    Attributes:
        path: the path of the module.
        value: the output (p, t, d); None until the module has run.
    """

    path: str
    value: Tensor | None = None

    def read(self) -> Tensor:
        """The output (p, t, d).

        Raises:
            LayerError: the module did not run.
        """
        if self.value is None:
            raise LayerError(
                f"layer {self.path!r} did not run in this pass, so it has no output to read: the model does not call "
                "it, or calls its `forward` past the hooks of PyTorch. Choose another module."
            )
        return self.value


@dataclass(frozen=True)
class Layout:
    """How a model lays out the hidden states of p texts of t tokens.

    Attributes:
        tokens_first: whether they are (t, p, d), not (p, t, d).
        adds_before: tells, where there are more positions than tokens, whether the others come before those of the
            tokens, such as virtual tokens, or behind them, such as padding; None if there are none.
    """

    tokens_first: bool = False
    adds_before: Callable[[], bool] | None = None

    def turned(self, states: Tensor) -> Tensor:
        """States of the model as (p, t, d), or such states as the model has them."""
        return states.transpose(0, 1) if self.tokens_first else states

    def replaced(self, value: Tensor, replacement: Tensor, path: str) -> Tensor:
        """States (p, t, d) of a layer with those of its tokens replaced; padding that the model adds behind stays.

        Raises:
            LayerError: the replacement has another shape.
        """
        count, rest = replacement.shape[1], value[:, replacement.shape[1] :]
        fits = (len(value), value.shape[2:]) == (len(replacement), replacement.shape[2:])
        if not fits or value.shape[1] < count or (rest.shape[1] and (self.adds_before is None or self.adds_before())):
            raise LayerError(
                f"layer {path!r} gives {tuple(value.shape)}, and {tuple(replacement.shape)} would replace it: this "
                "model lays tokens out in another way, or adds some (prompt tuning), and cannot be resumed there."
            )
        own = replacement.to(value)
        # a copy, since some models go on with an operation in place
        return torch.cat([own, rest], dim=1) if rest.shape[1] else own.clone()


class _StopPass(Exception):  # noqa: N818 - a signal, not an error
    """Leaves the model's forward once every requested output has been read."""


def module_at(model: nn.Module, path: str) -> nn.Module:
    """Find the module at a path.

    Args:
        model: the model.
        path: the name of the module, as in `model.named_modules()`; the number of a call after it is ignored.

    Returns:
        The module.

    Raises:
        LayerError: there is no such module; the message lists similar names.

    Examples:
        >>> from interp_core.model import module_at
        >>> from interp_core.testing import tiny_classifier
        >>> module_at(tiny_classifier().model, "classifier")
        Linear(in_features=16, out_features=3, bias=True)
    """
    name, _ = call_of(path)
    if name:
        try:
            return model.get_submodule(name)
        except AttributeError:
            pass
    import difflib

    near = difflib.get_close_matches(path, dict(model.named_modules()), n=4, cutoff=0.4)
    raise LayerError(f"there is no module {path!r} in {type(model).__name__}. Near: {', '.join(near) or 'none'}.")


def call_of(path: str) -> tuple[str, int | None]:
    """The path of a module, and which of its calls in a pass is meant: 1, the second, for `"layer@1"`, else None."""
    name, at, number = path.rpartition("@")
    return (name, int(number)) if at and number.isdecimal() else (path, None)


@contextmanager
def tap(
    model: nn.Module,
    path: str,
    *,
    replace: Replacement | None = None,
    stop: bool | Callable[[], bool] = False,
    hidden: bool = True,
    layout: Layout | None = None,
    when: Callable[[tuple[Any, ...]], bool] | None = None,
) -> Iterator[Tap]:
    """Open a context in which the output of one module is read or replaced; its hook is removed at the end.

    Args:
        model: the model.
        path: the name of the module, as in `model.named_modules()`; for a module that runs several times in a pass,
            with the number of the call: `"layer@0"` is the first.
        replace: a tensor that replaces the output, or a function from the output to its replacement; None to read only.
        stop: True to end the pass once the module has run, or a function that decides it then. The `with` block ends
            there too: what follows the call of the model in it does not run.
        hidden: whether to require an output of shape (p, t, d).
        layout: how the model lays out hidden states; (p, t, d) by default.
        when: a function of the positional arguments of a call that decides whether the hook applies; by default it
            applies to all calls.

    Yields:
        A `Tap`; its `read()` returns the output once the module has run.

    Raises:
        LayerError: the module does not exist, runs twice, or returns an output of another shape.

    Examples:
        >>> from interp_core.model import tap
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> ids = model.encoder("so happy today").ids[None]
        >>> with tap(model.model, model.blocks[0], stop=True) as block:
        ...     _ = model.forward(ids, torch.ones_like(ids))
        >>> block.read().shape
        torch.Size([1, 5, 16])
    """
    module = module_at(model, path)
    seen = Tap(path)
    signal = _StopPass()
    meant = calling_here()
    as_is = layout or Layout()
    _, which = call_of(path)
    calls = 0

    def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        nonlocal calls
        if not meant() or not (when is None or when(inputs)):
            return output
        calls += 1
        if which is not None and calls - 1 != which:
            return output
        if seen.value is not None:
            raise LayerError(
                f"layer {path!r} ran twice in one pass, so it has more than one output. Choose a module that runs "
                f"once, or say which call is meant: '{path}@0' is the first."
            )
        value = as_is.turned(hidden_of(output, path, hidden))
        replacement = replace(value) if callable(replace) else replace
        seen.value = value if replacement is None else as_is.replaced(value, replacement, path)
        if stop() if callable(stop) else stop:
            raise signal
        return output if replace is None else repack(output, as_is.turned(seen.value))

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    except _StopPass as raised:
        if raised is not signal:
            raise
    finally:
        handle.remove()


@contextmanager
def taps(
    model: nn.Module, paths: Sequence[str], *, stop: bool = False, layout: Layout | None = None
) -> Iterator[list[Tap]]:
    """A context in which the outputs of several modules are read; `stop` ends the pass once all of them have run."""
    seen: list[Tap] = []
    with ExitStack() as stack:
        for path in paths:
            last = stop and (lambda: all(one.value is not None for one in seen))
            seen.append(stack.enter_context(tap(model, path, stop=last, layout=layout)))
        yield seen


def hidden_of(output: Any, path: str, hidden: bool = True) -> Tensor:
    """Extract the tensor from the output of a module.

    Args:
        output: what the module returned: a tensor, or a tuple or list whose first item is one.
        path: the name of the module, for the error message.
        hidden: whether to require a tensor of shape (p, t, d).

    Returns:
        The tensor.

    Raises:
        LayerError: the output holds no tensor there, or one of another shape.

    Examples:
        >>> from interp_core.model import hidden_of
        >>> hidden_of((torch.zeros(1, 5, 16), "cache"), "encoder.layer.0").shape
        torch.Size([1, 5, 16])
    """
    value = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(value, Tensor) or (hidden and value.ndim != 3):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(output).__name__
        raise LayerError(
            f"layer {path!r} gives {shape}; one row for each token, (texts, tokens, width), was expected. "
            "Choose a block or a module inside one."
        )
    return value


def repack(output: Any, value: Tensor) -> Any:
    """Replace the tensor in the output of a module; the inverse of `hidden_of`.

    Args:
        output: what the module returned: a tensor, or a tuple or list whose first item is one.
        value: the tensor to put in its place.

    Returns:
        An output of the same form.

    Examples:
        >>> from interp_core.model import repack
        >>> repack((torch.zeros(2), "cache"), torch.ones(2))
        (tensor([1., 1.]), 'cache')
    """
    if isinstance(output, tuple):
        named = hasattr(output, "_make")  # a named tuple, whose names the model reads
        return output._make((value, *output[1:])) if named else (value, *output[1:])  # type: ignore[attr-defined]
    return [value, *output[1:]] if isinstance(output, list) else value


def stack_of(model: Any, which: str) -> Any:
    """The `"encoder"` or `"decoder"` of an encoder-decoder model; transformers 4 names them only below some heads."""
    own = getattr(model, f"get_{which}", None) or getattr(model.base_model, f"get_{which}")
    return own()


def stacks_of(model: Any) -> tuple[Any, ...]:
    """Encoder and decoder of a model that has both, the encoder of one that was built without its decoder, else the
    model."""
    if not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return (model,)
    encoder, decoder = stack_of(model, "encoder"), stack_of(model, "decoder")
    # asked for a decoder that it does not have, a model of transformers 5 gives itself
    return (encoder,) if any(module is encoder for module in decoder.modules()) else (encoder, decoder)


@contextmanager
def at_rest(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Open a context in which the model is in evaluation mode, with frozen weights and without in-place compilation.

    Modules compiled in place by `model.compile()` would ignore hooks that are set later. At the end of the context, all
    flags, the random state and the attributes of modules are restored: some models permanently switch to another
    attention implementation once they see a short text.

    Args:
        model: the model.

    Yields:
        A function to call between two passes, so that the second does not depend on the first: it restores the random
        state and the attributes of modules.

    Examples:
        >>> from interp_core.model import at_rest
        >>> layer = torch.nn.Linear(2, 1)
        >>> with at_rest(layer):
        ...     layer.training, layer.weight.requires_grad
        (False, False)
        >>> layer.training, layer.weight.requires_grad
        (True, True)
    """
    modules = modules_of(model)
    trained = [module for module in modules if module.training]
    try:
        _set_training(trained, False)  # before the state is taken, which is put back after each pass
        with _as_written(modules) as put_back:
            yield put_back
    finally:
        _set_training(trained, True)


@contextmanager
def _as_written(modules: Sequence[nn.Module]) -> Iterator[Callable[[], None]]:
    """Freezes the weights and lets no module stay compiled; whatever the modules change or draw is put back."""
    state, drawn = ModuleState(modules), torch.get_rng_state()
    learning = [parameter for parameter in state.parameters if parameter.requires_grad]
    compiled = any(vars(module).get("_compiled_call_impl") is not None for module in modules)

    def put_back() -> None:
        state.restore()
        if not torch.equal(torch.get_rng_state(), drawn):  # the model draws, even when it is not trained (Reformer)
            torch.set_rng_state(drawn)

    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield put_back
    finally:
        put_back()
        for parameter in learning:
            parameter.requires_grad_(True)


def _set_training(modules: Sequence[nn.Module], training: bool) -> None:
    for module in modules:
        vars(module)["training"] = training  # __setattr__ of a module is slow
