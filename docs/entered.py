"""How many files of the core a second call about one text enters, faces left out: `python docs/entered.py`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interp_core as interp
from interp_core.testing import tiny_classifier

CORE = Path(interp.__file__).parent


def entered(call: Callable[[], Any]) -> list[str]:
    """The files of the core whose code runs in a call, on any thread."""
    seen: set[str] = set()

    def watch(frame: Any, _event: str, _arg: Any) -> None:
        seen.add(frame.f_code.co_filename)

    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    files = [Path(name) for name in seen if Path(name).is_relative_to(CORE)]
    return sorted(f.relative_to(CORE).as_posix() for f in files if f.name != "__init__.py")


def counts() -> dict[str, list[str]]:
    """The files that the second call of each verb enters."""
    model = tiny_classifier()
    split = model.split(-1)
    held = split.activations(["i feel so happy"], granularity="cls", progress=False)
    space = interp.fit_concepts(held, by="neurons")
    calls: dict[str, Callable[[], Any]] = {
        "attribute": lambda: interp.attribute(model, "i feel so happy", by="occlusion", progress=False),
        "importance": lambda: interp.importance(split, space, held, progress=False),
    }
    for call in calls.values():
        call()
    return {name: entered(call) for name, call in calls.items()}


if __name__ == "__main__":
    for name, files in counts().items():
        print(f"{name} enters {len(files)} files of the core:", *files, sep="\n  ")
