"""One lock for each module, whoever wraps it: what shares weights and flags takes turns."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from torch import nn

_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_making = threading.Lock()


def lock_of(module: nn.Module) -> threading.RLock:
    """The lock of a module, the same at every call. The thread that holds it may take it again."""
    with _making:
        return _locks.setdefault(module, threading.RLock())
