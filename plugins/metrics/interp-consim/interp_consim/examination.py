"""From what a judge predicts to a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from interp_core.errors import LLMError
from interp_core.metrics import Score
from interp_core.statistics import interval_of_mean
from interp_label_scores.judging import list_in
from jaxtyping import Int

NO_ANSWER = -1


def names_in(said: Any, count: int) -> list[str] | None:
    """The classes that an answer names; None if they are not `count`."""
    found = list_in(said, "answers", count)
    return None if found is None else [str(one) for one in found]


def predicted(
    readings: Sequence[list[str] | None], sizes: Sequence[int], classes: Sequence[str]
) -> Int[np.ndarray, " e"]:
    """The class that is named for each text, `NO_ANSWER` where none of them is."""
    loosely = [name.strip().casefold() for name in classes]
    number = {name: k for k, name in enumerate(loosely) if loosely.count(name) == 1}
    number |= {name.strip(): k for k, name in enumerate(classes)}
    named = [name.strip() for said, size in zip(readings, sizes, strict=True) for name in (said or [""] * size)]
    found = [number.get(name, number.get(name.casefold(), NO_ANSWER)) for name in named]
    return np.array(found, dtype=np.int64)


def score_of(truth: Int[np.ndarray, " e"], told: Int[np.ndarray, " e"], untold: Int[np.ndarray, " e"] | None) -> Score:
    """The accuracy of what is predicted with concepts, beside the most frequent answer and without concepts.

    Args:
        truth: the answers of the model.
        told: what is predicted with concepts.
        untold: what is predicted without; None if that was not asked.

    Raises:
        LLMError: more than half of the texts have no answer.
    """
    given = told != NO_ANSWER
    if 2 * given.sum() < len(truth):
        raise LLMError(
            f"the judge named a class for {given.sum()} of {len(truth)} texts, and half of them are needed; ask "
            "another one, or give instructions=… that it follows."
        )
    right = torch.from_numpy(told[given] == truth[given]).float()
    most = np.bincount(truth[given]).argmax()
    usual = torch.from_numpy(truth[given] == most).float()
    lost = len(truth) - int(given.sum())
    notes = [
        f"On {len(right)} texts; macro F1 {macro_f1(truth[given], told[given]):.3f}.",
        *([f"{lost} texts have no answer with concepts and are left out."] if lost else []),
        *([] if untold is None else [without_concepts(truth, told, untold)]),
    ]
    chance = float(usual.double().mean())
    return Score(
        float(right.double().mean()), True, right, interval_of_mean(right), chance, right - usual, notes=tuple(notes)
    )


def without_concepts(truth: Int[np.ndarray, " e"], told: Int[np.ndarray, " e"], untold: Int[np.ndarray, " e"]) -> str:
    """What the same judge predicts without concepts, and by how much they help on texts answered both ways."""
    both = (told != NO_ANSWER) & (untold != NO_ANSWER)
    if not both.any():
        return "Without concepts there is no answer to compare with."
    gain = torch.from_numpy((told == truth)[both].astype(float) - (untold == truth)[both].astype(float))
    interval = interval_of_mean(gain)
    within = f" [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
    accuracy = float((untold == truth)[both].mean())
    return (
        f"Without concepts {accuracy:.3f}, so that they add {float(gain.mean()):+.3f}{within}, on {both.sum()} texts."
    )


def macro_f1(truth: Int[np.ndarray, " e"], told: Int[np.ndarray, " e"]) -> float:
    """The mean over all classes that are true or predicted of the harmonic mean of precision and recall."""
    found: list[float] = []
    for k in np.union1d(truth, told):
        hits = int(((truth == k) & (told == k)).sum())
        found.append(2 * hits / int((truth == k).sum() + (told == k).sum()))
    return float(np.mean(found))
