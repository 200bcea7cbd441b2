"""Planted worlds: questions, activations and corpora whose correct answers are known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from interp_core.activations import Activations, Store, of_rows
from interp_core.attribution import Question, ask
from interp_core.concepts import ConceptSpace
from interp_core.results import MadeBy
from interp_core.text import Unit
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def linear_world(
    seed: int = 0, units: int = 8, targets: int = 2, width: int = 3
) -> tuple[Question, Float[Tensor, "k u"]]:
    """Make a question whose scores are linear in the features.

    Args:
        seed: the seed of the features and weights.
        units: the number u of units; each has one feature.
        targets: the number k of targets.
        width: the width d of a feature.

    Returns:
        The question, whose baseline is 0, and the contributions of units to targets (k, u), weight times feature.

    Examples:
        >>> from interp_core.testing import linear_world
        >>> question, contributions = linear_world(units=4, targets=2)
        >>> contributions.shape
        torch.Size([2, 4])
        >>> torch.allclose(contributions.sum(1), question.intact() - question.emptied(), atol=1e-5)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(targets, units, width, generator=generator, dtype=torch.float64).float()
    x = torch.randn(units, width, generator=generator)
    question = ask(lambda v: torch.einsum("pfd,kfd->pk", v, weight) + 0.5, x, names=[f"w{i}" for i in range(units)])
    return question, (weight * x).sum(-1)


def tangled_world(seed: int = 0, units: int = 14, targets: int = 2) -> Question:
    """Make a question whose scores are smooth in the features, with interactions between units.

    Args:
        seed: the seed of the features and weights.
        units: the number u of units; each has one feature.
        targets: the number k of targets.

    Returns:
        The question. There is no closed form for its attributions.

    Examples:
        >>> from interp_core.testing import tangled_world
        >>> question = tangled_world(units=3, targets=1)
        >>> scores = question.masked(torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]]).bool())
        >>> first, second, both, neither = scores[:, 0]
        >>> bool(((both - neither) - (first - neither) - (second - neither)).abs() > 0.1)  # not the sum of its parts
        True
    """
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(2 * units, 16, generator=generator) / units**0.5
    second = torch.randn(16, targets, generator=generator)
    x = torch.randn(units, 2, generator=generator)
    return ask(lambda v: torch.tanh(v.flatten(1) @ first) @ second, x)


class PlantedSpace(ConceptSpace):
    """A planted dictionary of orthonormal directions, whose codes are projections thresholded at 0.3.

    Args:
        dictionary: (c, d) the directions, orthonormal.
        offset: (d) subtracted before encoding and added after decoding.

    Examples:
        >>> from interp_core.testing import PlantedSpace
        >>> space = PlantedSpace(torch.eye(2, 3), torch.zeros(3))
        >>> space.encode(torch.tensor([[1.0, 0.2, 5.0]]))
        tensor([[1., 0.]])
    """

    offset: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], offset: Float[Tensor, " d"]) -> None:
        super().__init__(dictionary)
        self.register_buffer("offset", offset)

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Project activations (n, d) on the directions, to codes (n, c) above 0.3 or else 0."""
        codes: Tensor = (values - self.offset) @ self.dictionary.T
        return torch.where(codes > 0.3, codes, torch.zeros_like(codes))

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Reconstruct activations (n, d) from codes (n, c)."""
        return codes @ self.dictionary + self.offset


class MixedSpace(PlantedSpace):
    """A wrong answer to a planted world: the codes of a `PlantedSpace` rotated at random, with the last one set to 0.

    Examples:
        >>> from interp_core.testing import MixedSpace, dictionary_world
        >>> activations, truth = dictionary_world()
        >>> mixed = MixedSpace(truth.dictionary, truth.offset)
        >>> codes = mixed.encode(activations.matrix())
        >>> codes.shape, bool(codes[:, -1].any())
        (torch.Size([800, 5]), False)
    """

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Encode activations (n, d) to the mixed codes (n, c)."""
        noise = torch.randn(self.concepts, self.concepts, generator=torch.Generator().manual_seed(1))
        mixed: Tensor = super().encode(values) @ torch.linalg.qr(noise).Q
        return torch.cat([mixed[:, :-1], torch.zeros_like(mixed[:, -1:])], dim=1)


def dictionary_world(
    seed: int = 0, rows: int = 800, concepts: int = 5, width: int = 12, nonnegative: bool = False
) -> tuple[Activations, PlantedSpace]:
    """Make activations that are sparse positive combinations of a few orthonormal directions.

    Each direction is active in 12 % of the rows, and noise of standard deviation 0.02 is added. The directions differ
    in strength, so that methods that order by variance can tell them apart. The labels of a row say which directions
    are active.

    Args:
        seed: the seed of the directions, the codes and the noise.
        rows: the number n of rows.
        concepts: the number c of directions.
        width: the width d of a row, at least c.
        nonnegative: whether all values are at least 0; no two directions then share a dimension.

    Returns:
        The activations (n, d), and the planted space.

    Examples:
        >>> from interp_core.testing import dictionary_world
        >>> activations, truth = dictionary_world(rows=100)
        >>> activations.matrix().shape, truth.dictionary.shape, activations.labels.shape
        (torch.Size([100, 12]), torch.Size([5, 12]), torch.Size([100, 5]))
        >>> bool(((truth.encode(activations.matrix()) > 0) == activations.labels).all())
        True
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(width, concepts, generator=generator)
    if nonnegative:
        noise = noise.abs() * (torch.arange(width)[:, None] % concepts == torch.arange(concepts))
    dictionary = (normalize(noise, dim=0) if nonnegative else torch.linalg.qr(noise).Q).T.contiguous()
    active = torch.rand(rows, concepts, generator=generator) < 0.12  # rare, so that independence identifies them too
    codes = active * (0.6 + torch.rand(rows, concepts, generator=generator)) * torch.linspace(1.0, 3.0, concepts)
    rest = 0.02 * torch.randn(rows, width, generator=generator)
    activations = of_rows(
        codes @ dictionary + (rest.abs() if nonnegative else rest),
        labels=active,
        class_names=tuple(f"class {i}" for i in range(concepts)),
    )
    return activations, PlantedSpace(dictionary, torch.zeros(width))


def on_disk(activations: Activations, folder: Path, rows: int = 100) -> Activations:
    """The same activations in a store.

    Args:
        activations: each row must be a text of one unit.
        folder: where the store is written.
        rows: the number of rows in each shard.
    """
    settings = {
        "layer": activations.layer,
        "granularity": activations.granularity,
        "class_names": activations.class_names,
        "max_tokens": 0,
        "made_by": activations.made_by.to_json(),
    }
    store = Store(folder, settings, [0.0])
    store.begin()
    shards = range(0, len(activations), rows)
    for number, start in enumerate(shards):
        part = slice(start, start + rows)
        texts = list(activations.texts[part])
        columns = {
            "values": activations.values[part],
            "text_of": torch.arange(len(texts)),
            "unit_of": torch.zeros(len(texts), dtype=torch.long),
            "spans": torch.tensor([(0, len(text)) for text in texts]),
        }
        columns |= {} if activations.labels is None else {"labels": activations.labels[part]}
        store.write(number, columns, texts, {"cost": {}, "cut": 0})
    store.finish(len(shards))
    return Activations.load(folder)


TOPICS = (("sun", "rain", "warm", "cold"), ("cat", "dog", "tree", "house"), ("happy", "glad", "calm", "good"))


def topic_world(seed: int = 0, texts: int = 120) -> tuple[Activations, PlantedSpace]:
    """Make texts with a word of one of three topics each, and activations that encode the topic.

    Args:
        seed: the seed of the words and the activations.
        texts: the number of texts.

    Returns:
        The activations, a row (3) for each text, and the planted space, with a concept for each topic.

    Examples:
        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world(texts=3)
        >>> activations.texts[:2]
        ('i feel very cold and today', 'i feel very house and a')
        >>> space.encode(activations.matrix()).argmax(1)
        tensor([0, 1, 2])
    """
    dice = random.Random(seed)
    corpus, rows = [], []
    for i in range(texts):
        topic = i % len(TOPICS)
        words = [
            "i",
            "feel",
            dice.choice(["so", "very"]),
            dice.choice(TOPICS[topic]),
            "and",
            dice.choice(["today", "a", "the"]),
        ]
        corpus.append(" ".join(words))
        rows.append([float(topic == j) * (1 + 0.1 * dice.random()) for j in range(len(TOPICS))])
    space = PlantedSpace(torch.eye(len(TOPICS)), torch.zeros(len(TOPICS)))
    topics = torch.arange(texts) % len(TOPICS)
    return of_rows(torch.tensor(rows), corpus, predictions=topics, class_names=("weather", "home", "mood")), space


def scattered_topics(seed: int = 1, texts: int = 42) -> tuple[Activations, PlantedSpace]:
    """The topics of `topic_world` in texts of one to seven units, a row for each unit: most rows belong to no topic, a
    unit may be of two words, and the strongest row of each topic comes late.
    """
    dice = random.Random(seed)
    corpus, units, rows, owners = [], [], [], []
    for i in range(texts):
        topic = i % len(TOPICS)
        pieces = ["i", "feel", "so very", "and", "today", "the"][: dice.randrange(7)]
        place = dice.randrange(len(pieces) + 1)
        pieces.insert(place, dice.choice(TOPICS[topic]))
        starts = [sum(len(piece) + 1 for piece in pieces[:j]) for j in range(len(pieces))]
        corpus.append(" ".join(pieces))
        units.append(tuple(Unit(p, a, a + len(p)) for p, a in zip(pieces, starts, strict=True)))
        owners += [(i, j) for j in range(len(pieces))]
        rows += [[float(j == place and topic == c) * (1 + i / texts) for c in range(3)] for j in range(len(pieces))]
    of = torch.tensor(owners)
    space = PlantedSpace(torch.eye(len(TOPICS)), torch.zeros(len(TOPICS)))
    return Activations(
        values=torch.tensor(rows),
        text_of=of[:, 0].contiguous(),
        unit_of=of[:, 1].contiguous(),
        texts=tuple(corpus),
        units=tuple(units),
        layer="given",
        granularity="word",
        made_by=MadeBy("given"),
    ), space


@dataclass(frozen=True)
class TopicLLM:
    """A language model for tests, which answers with the topic words of the last message.

    Examples:
        >>> from interp_core.testing import TopicLLM
        >>> TopicLLM().generate([{"role": "user", "content": "the cat, the dog, and the other dog"}])
        'dog cat'
    """

    def generate(self, messages: list[dict[str, str]]) -> str:
        """Answer with the two most frequent topic words of the last message, or `"none"` if there are none."""
        words = "".join(c if c.isalpha() else " " for c in messages[-1]["content"].lower()).split()
        topic_words = [word for topic in TOPICS for word in topic]
        ranked = sorted((w for w in topic_words if w in words), key=lambda w: -words.count(w))
        return " ".join(ranked[:2]) or "none"

    def generate_all(self, conversations: list[list[dict[str, str]]]) -> list[str]:
        """Answer each conversation, in order."""
        return [self.generate(messages) for messages in conversations]


def unit_spans(activations: Activations, text: str) -> set[tuple[int, int]]:
    """The characters [start, stop) of all units of a text in the corpus."""
    pairs = zip(activations.texts, activations.units, strict=True)
    return {(unit.start, unit.stop) for own, units in pairs if own == text for unit in units}
