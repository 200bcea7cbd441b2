"""Contexts of sentences that each say who holds what, and the question about one of them."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral

from interp_core.errors import InputError

_NAMES = (
    "ada ana ben bob cara carl dana dora ed ella emil eva finn flora fritz greta gus hana hugo ida igor ina ivan jan "
    "jill jon judy kai karl kim kurt lara lea leo lisa lou luca mara max mia milo mona nadia nina noah olga omar otto "
    "pam paul pia ralph rita ron rosa sam sara sue ted tina tom ursula vera zoe"
)
_OBJECTS = (
    "ball bell belt blanket boat bone book bowl brick brush button cake candle card chain clock coin comb cork cup "
    "doll drum fan feather flute fork glove hammer hat helmet jar kettle key kite knife ladder lamp lemon map mask "
    "mirror nail needle nut pan pear pen pin plate ribbon ring rope saw scarf shell shoe spoon stamp stone towel "
    "vase watch whistle wheel"
)
NAMES, OBJECTS = tuple(_NAMES.split()), tuple(_OBJECTS.split())
NOTHING = "nothing"  # the answer where no sentence has the name


@dataclass(frozen=True)
class Context:
    """Sentences that each say who holds what, and a question about one name.

    Args:
        facts: name and object of each sentence, in order.
        name: the name asked for.

    Examples:
        >>> from interp_lookup.contexts import Context
        >>> context = Context((("ana", "pear"), ("tom", "ring")), name="tom")
        >>> print(context.prompt, end="")
        the box of ana holds a pear .
        the box of tom holds a ring .
        what does the box of tom hold ?
        >>> context.answer, context.holding, context.sources
        ('ring', (1,), ((0, 29), (30, 59)))
    """

    facts: tuple[tuple[str, str], ...]
    name: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences, in order; as `documents` of a chat they render to the prompt."""
        return tuple(f"the box of {name} holds a {held} ." for name, held in self.facts)

    @property
    def question(self) -> str:
        """The question; as the message of a chat it renders to the end of the prompt."""
        return f"what does the box of {self.name} hold ?"

    @property
    def prompt(self) -> str:
        """The sentences and the question, one line each. The model answers with the next token."""
        return "".join(f"{line}\n" for line in (*self.sentences, self.question))

    @property
    def sources(self) -> tuple[tuple[int, int], ...]:
        """The characters [start, stop) of each sentence in the prompt."""
        spans, start = [], 0
        for sentence in self.sentences:
            spans.append((start, start + len(sentence)))
            start += len(sentence) + 1
        return tuple(spans)

    @property
    def holding(self) -> tuple[int, ...]:
        """The numbers of the sentences that hold the answer, from 0; none where the answer is `"nothing"`."""
        return tuple(number for number, (name, _) in enumerate(self.facts) if name == self.name)

    @property
    def answer(self) -> str:
        """The right answer, one token: the object of the name, or `"nothing"` where no sentence has the name."""
        return next((held for name, held in self.facts if name == self.name), NOTHING)

    def object_swap(self) -> Context:
        """The same context where the box asked for holds another object, which no sentence had.

        Returns:
            A context of the same number of tokens. Each sentence that holds the answer is changed, in one token.

        Raises:
            InputError: no sentence holds the answer.
        """
        if not self.holding:
            raise InputError(f"no sentence says what the box of {self.name} holds, so no object can be swapped.")
        held = {held for _, held in self.facts}
        start = OBJECTS.index(self.answer)
        other = next(one for one in OBJECTS[start:] + OBJECTS[:start] if one not in held)
        return replace(self, facts=tuple((name, other if name == self.name else held) for name, held in self.facts))

    def name_swap(self) -> Context:
        """The same context with a question for another name: that of the sentence half the context later.

        Returns:
            A context of the same number of tokens, which differ in one: the name in the question.
        """
        start = (self.holding or (0,))[0] + len(self.facts) // 2
        around = (self.facts[(start + step) % len(self.facts)][0] for step in range(len(self.facts)))
        return replace(self, name=next(name for name in around if name != self.name))


def lookup_contexts(
    count: int, *, sentences: tuple[int, int] = (6, 32), copies: int = 1, seed: int = 0
) -> list[Context]:
    """Contexts for the lookup model that it was not trained on: all their pairs of name and object were held out.

    Args:
        count: number of contexts, at least 0.
        sentences: the minimum and maximum number of sentences of a context, both included; from 2 to 32, the maximum of
            training.
        copies: number of copies, at random positions, of the sentence that holds the answer. With 0 no sentence has the
            name that is asked for, and the answer is `"nothing"`.
        seed: random seed; another seed gives other contexts.

    Returns:
        The contexts. Within one, names differ but for the copies, and so do objects.

    Raises:
        InputError: `sentences` is no range between 2 and 32, or leaves no sentence besides the copies; or a number is
            no whole number, or below 0.

    Examples:
        >>> import interp_core as interp
        >>> context = interp.lookup_contexts(1, sentences=(6, 6), copies=2)[0]
        >>> len(context.sentences), len(context.holding)
        (6, 2)
        >>> context.answer == context.facts[context.holding[0]][1]
        True
    """
    for name, number in (("count", count), ("copies", copies), ("seed", seed)):
        if not _is_whole(number) or number < 0:
            raise InputError(f"{name} is {number!r}; a whole number of at least 0 was expected.")
    pair = tuple(sentences) if isinstance(sentences, Sequence) else ()
    fewest, most = pair if len(pair) == 2 and all(map(_is_whole, pair)) else (0, 0)
    if not (max(2, copies + 1) <= fewest <= most <= 32):
        raise InputError(
            f"sentences={sentences!r} with copies={copies}; give two numbers between 2 and 32, the smaller first, "
            "that leave at least one sentence beside the copies."
        )
    rng = random.Random(seed)
    return [draw_context(rng, rng.randint(fewest, most), copies, held_out=True) for _ in range(count)]


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def draw_context(rng: random.Random, sentences: int, copies: int, *, held_out: bool) -> Context:
    """A random context with a question, of pairs that are all held out of training, or all trained on."""
    if copies == 0:
        facts = draw_facts(rng, sentences + 1, held_out=held_out)
        return Context(tuple(facts[1:]), facts[0][0])
    facts = draw_facts(rng, sentences - copies + 1, held_out=held_out)
    asked = facts[0]
    facts += [asked] * (copies - 1)
    rng.shuffle(facts)
    return Context(tuple(facts), asked[0])


def draw_facts(rng: random.Random, count: int, *, held_out: bool) -> list[tuple[str, str]]:
    """Random pairs of different names and different objects, all held out of training, or all trained on."""
    facts: dict[str, str] = {}
    for name in rng.sample(NAMES, count):
        taken = facts.values()
        free = [held for held in OBJECTS if held not in taken and is_held_out(name, held) is held_out]
        if not free:
            return draw_facts(rng, count, held_out=held_out)
        facts[name] = rng.choice(free)
    return list(facts.items())


def is_held_out(name: str, held: str) -> bool:
    """Whether a pair is one of the quarter that is never trained on, the same on every machine."""
    return zlib.crc32(f"{name} {held}".encode()) % 4 == 0


__all__ = ["Context", "lookup_contexts"]
