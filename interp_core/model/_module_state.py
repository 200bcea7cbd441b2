"""The state of modules besides their weights, saved and restored; and the turns of threads that use them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar
from functools import wraps
from itertools import chain
from operator import is_, methodcaller
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

T = TypeVar("T")
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))  # hooks and flags of torch's own
_SMALL = 4096  # numbers in a buffer whose values are remembered; masks are larger, and are not written into
_values = methodcaller("values")
_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_making = threading.Lock()
_here: ContextVar[object] = ContextVar("here", default=None)  # marks a context; a new one has none


def undisturbed(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Make a function of one argument try the model as it is, without the interventions that are open."""

    @wraps(function)
    def call(owner: Any) -> T:
        return Context().run(function, owner)

    return call


def calling_here() -> Callable[[], bool]:
    """Make a test for hooks of whether a module is called from here.

    Calls on another thread, and calls of a trial of the model that runs in between, are not. A hook should leave these
    alone.

    Returns:
        A function without arguments, for a hook to call: True if the module was called from where `calling_here` was.

    Examples:
        >>> from threading import Thread
        >>> from interp_core.model import calling_here
        >>> meant, told = calling_here(), []
        >>> other = Thread(target=lambda: told.append(meant()))
        >>> other.start(), other.join()
        (None, None)
        >>> meant(), told
        (True, [False])
    """
    thread, mark = threading.get_ident(), _here.get()
    if mark is None:
        _here.set(mark := object())
    return lambda: threading.get_ident() == thread and _here.get() is mark


def lock_of(module: nn.Module) -> threading.RLock:
    """The lock of a module, the same for all its wrappers. The thread that holds it may take it again."""
    with _making:
        return _locks.setdefault(module, threading.RLock())


class ModuleState:
    """Attributes, submodules and small buffers of modules, and of their configurations, as they are now.

    Args:
        modules: the modules, see `modules_of`.

    Attributes:
        parameters: their parameters.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.parameters: list[nn.Parameter] = []
        buffers: list[Tensor] = []
        holders: list[dict[str, Any]] = []
        configs: dict[int, Any] = {}
        for module in modules:
            attributes = vars(module)
            parts = module._parameters, module._buffers
            holders += [attributes, module._modules, *(part for part in parts if part)]
            self.parameters += [p for p in parts[0].values() if p is not None]
            buffers += [b for b in parts[1].values() if b is not None]
            for name in attributes.keys() - _OF_EVERY_MODULE:
                value = attributes[name]
                if name in ("config", "generation_config") and hasattr(value, "__dict__"):
                    configs[id(value)] = vars(value)
        self._now = [*holders, *configs.values()]
        self._kept = [holder.copy() for holder in self._now]
        self._values = list(chain.from_iterable(map(_values, self._now)))
        self._versions = [p._version for p in self.parameters if not p.is_inference()]
        self._buffers = [(b, b._version, b.clone()) for b in buffers if _is_small(b)]

    def restore(self) -> None:
        """Put back whatever has changed, and nothing else.

        Where the model has rewritten its own weights, which no copy was made of, its attributes stay as well: they say
        that it has (RWKV scales its weights once, in its first pass in evaluation mode).
        """
        if self._versions != [p._version for p in self.parameters if not p.is_inference()]:
            return
        for holder, kept in self._changed:
            for key in [key for key in holder if key not in kept]:
                del holder[key]
            holder.update((key, value) for key, value in kept.items() if holder.get(key, holder) is not value)
        for buffer, version, values in self._buffers:
            if buffer._version != version:
                with torch.no_grad():
                    buffer.copy_(values)

    @property
    def switched(self) -> bool:
        """Whether a module was exchanged since, or a choice (a word, yes or no): it is another model now."""
        return any(
            isinstance(one, nn.Module | str | bool) and holder.get(key) is not one
            for holder, kept in self._changed
            for key, one in kept.items()
        )

    @property
    def _changed(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """What no longer holds the same objects in the same order. By identity: tensors have no yes or no."""
        now = list(chain.from_iterable(map(_values, self._now)))
        if len(now) == len(self._values) and all(map(is_, now, self._values)):  # as a rule: all of them at once
            return []
        return [
            (holder, kept)
            for holder, kept in zip(self._now, self._kept, strict=True)
            if len(holder) != len(kept) or not all(map(is_, holder.values(), kept.values()))
        ]


def modules_of(model: nn.Module) -> list[nn.Module]:
    """All modules of a model; in a tenth of the time of `model.modules()`, which makes their names as well."""
    found, seen, todo = [], set(), [model]
    while todo:
        module = todo.pop()
        if module is not None and id(module) not in seen:
            seen.add(id(module))
            found.append(module)
            todo += module._modules.values()  # type: ignore[arg-type]
    return found


def _is_small(buffer: Tensor) -> bool:
    return buffer.numel() <= _SMALL and not buffer.is_meta and not buffer.is_inference()
