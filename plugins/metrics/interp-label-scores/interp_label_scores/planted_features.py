"""A world of features that occur independently, and judges whose answers are known, for tests of scores of labels."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace, Interpretation, LabelledConcept
from interp_core.results import MadeBy
from interp_core.text import Unit

STRENGTHS = (0.5, 1.0, 2.0, 3.0)  # of the four words of a feature
FILLERS = ("and", "the", "of", "so", "then", "as")
_LABEL = re.compile(r"^Label: (.*)$", re.MULTILINE)
_LINE = re.compile(r"^\d+\. (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class PlantedFeatures:
    """The world.

    Attributes:
        activations: of its texts, by word or as a whole.
        space: one concept a feature; its code in a row is the strength of its strongest word there.
        labels: the true ones.
        words: for each label the words of its feature, with their strengths.
    """

    activations: Activations
    space: AffineSpace
    labels: Interpretation
    words: Mapping[str, Mapping[str, float]]


def planted_features(
    features: int = 12,
    texts: int = 240,
    share: float = 0.4,
    *,
    by_word: bool = True,
    dense: float = 0.0,
    seed: int = 0,
) -> PlantedFeatures:
    """Texts in which each feature occurs by itself, whatever else does.

    Args:
        features: how many.
        texts: how many.
        share: of the texts that have a feature.
        by_word: whether a row is a word; otherwise it is a text.
        dense: up to how much is added to each code at random, so that all concepts are above 0 everywhere.
        seed: of everything.

    Examples:
        >>> from interp_label_scores.planted_features import planted_features
        >>> world = planted_features(features=3, texts=4)
        >>> world.labels.labels, world.activations.width
        ({0: 'feature 0', 1: 'feature 1', 2: 'feature 2'}, 3)
    """
    dice = random.Random(seed)
    words = {f"feature {j}": {f"{'abcd'[k]}{j}x": s for k, s in enumerate(STRENGTHS)} for j in range(features)}
    strength = {w: (j, s) for j, own in enumerate(words.values()) for w, s in own.items()}
    written = []
    for _ in range(texts):
        chosen = [dice.choice(list(own)) for own in words.values() if dice.random() < share]
        chosen += dice.choices(FILLERS, k=6)
        written.append(dice.sample(chosen, len(chosen)))
    rows, owners, spans = [], [], []
    for i, own in enumerate(written):
        codes = torch.zeros(len(own), features)
        starts = [sum(len(w) + 1 for w in own[:k]) for k in range(len(own))]
        for k, word in enumerate(own):
            if word in strength:
                codes[k, strength[word][0]] = strength[word][1]
        units = tuple(Unit(w, a, a + len(w)) for w, a in zip(own, starts, strict=True))
        text = " ".join(own)
        spans.append(units if by_word else (Unit(text, 0, len(text)),))
        rows += list(codes) if by_word else [codes.amax(0)]
        owners += [(i, k) for k in range(len(own) if by_word else 1)]
    of = torch.tensor(owners)
    noise = torch.rand(len(rows), features, generator=torch.Generator().manual_seed(seed))
    activations = Activations(
        values=torch.stack(rows) + dense * (0.1 + 0.9 * noise),
        text_of=of[:, 0].contiguous(),
        unit_of=of[:, 1].contiguous(),
        texts=tuple(" ".join(own) for own in written),
        units=tuple(spans),
        layer="given",
        granularity="word" if by_word else "sample",
        made_by=MadeBy("given"),
    )
    labels = Interpretation(tuple(LabelledConcept(j, label) for j, label in enumerate(words)))
    return PlantedFeatures(activations, AffineSpace(torch.eye(features), torch.eye(features)), labels, words)


@dataclass(frozen=True)
class Oracle:
    """A judge that knows the words of each label, and their strengths.

    Attributes:
        words: those of the world.
        asked: what it was asked: pairs of a label and the lines below it.
    """

    words: Mapping[str, Mapping[str, float]]
    asked: list[tuple[str, list[str]]] = field(default_factory=list, compare=False, repr=False)

    def generate(self, messages: list[dict[str, str]]) -> str:
        """The truth."""
        label, lines = _read(messages)
        self.asked.append((label, lines))
        known = self.words[label]
        if '"activations"' in messages[0]["content"]:
            return json.dumps({"activations": [3 * known.get(line, 0.0) for line in lines]})
        pieces = [line.partition("<<")[2].partition(">>")[0] or line for line in lines]
        return json.dumps({"verdicts": [int(any(word in piece.split() for word in known)) for piece in pieces]})


@dataclass(frozen=True)
class Constant:
    """A judge that answers the same about everything.

    Attributes:
        verdict: what it says.
    """

    verdict: int = 0

    def generate(self, messages: list[dict[str, str]]) -> str:
        """As many verdicts as lines, and as many activations."""
        said = [self.verdict] * len(_read(messages)[1])
        return json.dumps({"verdicts": said, "activations": said})


@dataclass(frozen=True)
class Coin:
    """A judge that tosses a coin for each line.

    Attributes:
        seed: of the coin; a conversation gets the same answer each time.
    """

    seed: int = 0

    def generate(self, messages: list[dict[str, str]]) -> str:
        """Random verdicts, activations and intruder, whichever is asked for."""
        dice = random.Random(f"{self.seed} {messages[-1]['content']}")
        lines = len(_read(messages)[1])
        said = {"verdicts": [dice.randrange(2) for _ in range(lines)], "intruder": dice.randrange(lines) + 1}
        return json.dumps({**said, "activations": [dice.randrange(11) for _ in range(lines)]})


def _read(messages: list[dict[str, str]]) -> tuple[str, list[str]]:
    """The label and the lines of a conversation."""
    user = messages[-1]["content"]
    label = _LABEL.search(user)
    return label[1] if label else "", _LINE.findall(user)
