"""The Ray cluster that a run uses: the one that is connected to, or one that is started for the run."""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_users = 0  # runs that use a connection of ours
_undo: list[Any] = []  # what puts the process back to how it was before that connection


@contextmanager
def cluster() -> Iterator[None]:
    """A context in which Ray is connected.

    A connection there is already is used and left. Otherwise one is made, to the cluster that the environment variable
    `RAY_ADDRESS` names, or to a local one without dashboard and usage statistics; it ends with the context, and what
    Ray changed in this process for it (environment, random state, handler of SIGTERM, logger) is put back.

    Examples:
        >>> import ray
        >>> from interp_ray.cluster import cluster
        >>> with cluster():
        ...     ray.is_initialized()
        True
    """
    global _users
    with _lock:
        import_quietly()
        import ray

        ours = _users > 0 or not ray.is_initialized()
        if ours and not _users:
            _connect()
        _users += ours
    try:
        yield
    finally:
        with _lock:
            _users -= ours
            if ours and not _users:
                drawn = random.getstate()
                ray.shutdown()
                random.setstate(drawn)
                while _undo:
                    _undo.pop()()


def import_quietly() -> None:
    """Import Ray, and put back what that changes in this process: exception hook, filters of warnings, environment.

    Examples:
        >>> import sys
        >>> from interp_ray.cluster import import_quietly
        >>> before = sys.excepthook
        >>> import_quietly()
        >>> sys.excepthook is before
        True
    """
    if "ray" in sys.modules:
        return
    hook, environment = sys.excepthook, dict(os.environ)
    with warnings.catch_warnings():
        import ray  # noqa: F401 - imported for what follows

    sys.excepthook = hook
    _put_back(environment, dict(os.environ))


def _connect() -> None:
    import ray

    address = os.environ.get("RAY_ADDRESS")
    environment, handler, faults = dict(os.environ), signal.getsignal(signal.SIGTERM), faulthandler.is_enabled()
    logger = logging.getLogger("ray")
    logged, drawn = (logger.level, logger.propagate, list(logger.handlers)), random.getstate()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        quiet["include_dashboard"] = False
    try:
        ray.init(address=address or "local", **quiet)
    finally:
        random.setstate(drawn)
        changed = dict(os.environ)
        _undo.append(lambda: _put_back(environment, changed))
        _undo.append(lambda: _relog(logger, *logged))
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGTERM, handler)
        if not faults:
            faulthandler.disable()


def _put_back(before: dict[str, str], changed: dict[str, str]) -> None:
    """The environment as before, but for what somebody else has changed since."""
    for name in {*before, *changed}:
        if before.get(name) == changed.get(name) or os.environ.get(name) != changed.get(name):
            continue
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


def _relog(logger: logging.Logger, level: int, propagate: bool, handlers: list[logging.Handler]) -> None:
    logger.setLevel(level)
    logger.propagate, logger.handlers = propagate, handlers


__all__ = ["cluster", "import_quietly"]
