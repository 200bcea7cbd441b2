"""Which texts a judge learns from, and which it is examined on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from interp_core.activations import Activations
from interp_core.concepts import Interpretation
from interp_core.errors import InputError, UnsupportedError
from interp_label_scores.sampling import wording
from jaxtyping import Int

FEWEST = 5  # texts; fewer would say too little
WEIGHED = 5000  # texts that the weights of concepts are taken from, at most


@dataclass(frozen=True)
class Dealt:
    """The texts that are used, by their numbers.

    Attributes:
        examined: the judge predicts the answers to these; the labeller was shown none of them.
        learnt: the judge sees these with their answers.
        weighed: those that say what concepts have to do with classes; none is examined.
    """

    examined: Int[np.ndarray, " e"]
    learnt: Int[np.ndarray, " l"]
    weighed: Int[np.ndarray, " w"]


def answers_of(activations: Activations) -> Int[np.ndarray, " m"]:
    """The class that the model gives each text.

    Raises:
        InputError: the activations carry no predictions, or all texts have one class.
        UnsupportedError: a text may have several classes.
    """
    if activations.predictions is None:
        raise InputError(
            "these activations carry no predictions, which are what is to be predicted; make them with "
            "split.activations(…, predictions=True)."
        )
    if activations.predictions.ndim == 2:
        raise UnsupportedError("consim is about one answer for each text; this model gives several classes.")
    answers: np.ndarray = activations.predictions.numpy()
    if len(np.unique(answers)) < 2:
        raise InputError("the model gives all texts the same answer, so there is nothing to predict; give other texts.")
    return answers


def dealt(
    activations: Activations,
    answers: Int[np.ndarray, " m"],
    interpretation: Interpretation,
    sizes: tuple[int, int],
    seed: int,
) -> Dealt:
    """Deal texts at random: to the examination as they come, to learning by turns from each class.

    Args:
        activations: of m texts.
        answers: of the model.
        interpretation: a text that its labeller was shown is not examined.
        sizes: how many texts are examined, and how many are learnt from, at most.
        seed: of the draws.

    Raises:
        InputError: fewer than five texts are left to be examined.
    """
    shown = {wording(e.text) for c in interpretation for e in (*c.examples, *c.shown)}
    texts = [str(text) for text in activations.texts]
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    first = {texts[i]: i for i in reversed(order)}  # each wording once
    order = [i for i in order if first[texts[i]] == i]
    examined = [i for i in order if wording(texts[i]) not in shown][: sizes[0]]
    if len(examined) < FEWEST:
        raise InputError(
            f"{len(examined)} of {len(texts)} texts are left that the labeller was not shown, and at least {FEWEST} "
            "are needed; give activations of other texts."
        )
    taken = set(examined)
    rest = [i for i in order if i not in taken]
    turn: dict[int, int] = {}
    turns = []
    for i in rest:
        turns.append(turn.setdefault(int(answers[i]), 0))
        turn[int(answers[i])] += 1
    by_turn = [rest[place] for place in np.argsort(turns, kind="stable")]
    return Dealt(np.array(examined), np.array(by_turn[: sizes[1]], dtype=int), np.array(rest[:WEIGHED], dtype=int))
