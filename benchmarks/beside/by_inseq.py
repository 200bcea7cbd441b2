"""The works, as inseq does them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import inseq

Work = Callable[[], Any]
logging.disable(logging.WARNING)


def _generation(by: str) -> Callable[[dict[str, Any]], Work]:
    def made(asked: dict[str, Any]) -> Work:
        model = inseq.load_model(f"{asked['shared']}/models/lm-tiny", by)
        prompt, whole = asked["prompt"], asked["prompt"] + asked["answer"]
        return lambda: model.attribute(prompt, whole, show_progress=False)

    return made


WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "generation, 75 + 11 tokens: occlusion": _generation("occlusion"),
    "generation, 75 + 11 tokens: saliency": _generation("saliency"),
}
