"""Planted worlds: questions, models, activations and corpora whose right answers are known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from interp_core.activations import Activations, Store, of_rows
from interp_core.attribution import Question, ask
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def linear_world(
    seed: int = 0, units: int = 8, targets: int = 2, width: int = 3
) -> tuple[Question, Float[Tensor, "k u"]]:
    """A question whose scores are linear in the features, and what each unit contributes to each target."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(targets, units, width, generator=generator, dtype=torch.float64).float()
    x = torch.randn(units, width, generator=generator)
    question = ask(lambda v: torch.einsum("pfd,kfd->pk", v, weight) + 0.5, x, names=[f"w{i}" for i in range(units)])
    return question, (weight * x).sum(-1)


def decided_world(seed: int = 0, units: int = 8, width: int = 3) -> tuple[Question, Float[Tensor, "k u"]]:
    """A linear question with one score, above 0 for the intact text and below 0 for the empty one, and what each unit
    contributes to it.
    """
    generator = torch.Generator().manual_seed(seed)
    weight, x = torch.randn(2, units, width, generator=generator)
    total = (weight * x).sum()
    weight, total = weight * total.sign(), total.abs()
    question = ask(lambda v: (torch.einsum("pfd,fd->p", v, weight) - total / 2)[:, None], x)
    return question, (weight * x).sum(-1)[None]


def tangled_world(seed: int = 0, units: int = 14, targets: int = 2) -> Question:
    """A smooth question in which the units interact."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(2 * units, 16, generator=generator) / units**0.5
    second = torch.randn(16, targets, generator=generator)
    x = torch.randn(units, 2, generator=generator)
    return ask(lambda v: torch.tanh(v.flatten(1) @ first) @ second, x)


class PlantedSpace(ConceptSpace):
    """A dictionary of orthonormal directions with the codes that were planted: project, take off what is below the
    threshold.
    """

    offset: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], offset: Float[Tensor, " d"]) -> None:
        super().__init__(dictionary)
        self.register_buffer("offset", offset)

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        codes: Tensor = (values - self.offset) @ self.dictionary.T
        return torch.where(codes > 0.3, codes, torch.zeros_like(codes))

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return codes @ self.dictionary + self.offset


class MixedSpace(PlantedSpace):
    """What a wrong answer looks like: the planted space with its codes mixed up by a rotation, and one of them dead."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        noise = torch.randn(self.concepts, self.concepts, generator=torch.Generator().manual_seed(1))
        mixed: Tensor = super().encode(values) @ torch.linalg.qr(noise).Q
        return torch.cat([mixed[:, :-1], torch.zeros_like(mixed[:, -1:])], dim=1)


def dictionary_world(
    seed: int = 0, rows: int = 800, concepts: int = 5, width: int = 12, nonnegative: bool = False
) -> tuple[Activations, PlantedSpace]:
    """Rows made of a few orthonormal directions, each active now and then by a positive amount, with a little noise.

    The directions differ in how strong they are, so that methods which order by variance can tell them apart as well.
    The labels of a row say which of them are active. Nothing is below zero where that is wanted: each direction then
    has dimensions of its own.
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
    """The same rows in a store, so many a shard; each of them must be a text of one unit."""
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
    """Texts of filler with one word of one topic each, and activations that say which topic it is."""
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
    return of_rows(torch.tensor(rows), corpus), space


@dataclass(frozen=True)
class TopicLLM:
    """A language model for tests: it answers with the topic words of its last message, most frequent first."""

    def generate(self, messages: list[dict[str, str]]) -> str:
        """The two topic words that are said most often."""
        said = "".join(c if c.isalpha() else " " for c in messages[-1]["content"].lower()).split()
        known = [word for topic in TOPICS for word in topic]
        ranked = sorted((w for w in known if w in said), key=lambda w: -said.count(w))
        return " ".join(ranked[:2]) or "none"

    def generate_all(self, conversations: list[list[dict[str, str]]]) -> list[str]:
        """An answer for each."""
        return [self.generate(messages) for messages in conversations]


def unit_spans(activations: Activations, text: str) -> set[tuple[int, int]]:
    """The characters of all units that the corpus has for a text."""
    pairs = zip(activations.texts, activations.units, strict=True)
    return {(unit.start, unit.stop) for own, units in pairs if own == text for unit in units}
