"""Cards of concepts, as data: words, examples, activity, tokens, neighbours, importance, effects and scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from interp_core.concepts._interpretation import Example, Interpretation, LabelledConcept
from interp_core.errors import InputError
from interp_core.results import MadeBy, Usage, Value, counted, for_json, load_json, save_json

BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, repr=False)
class ConceptCard:
    """What is known of one concept.

    Attributes:
        words: the interpretation of the concept: its label, words, top examples and notes. Where interpretations of
            several classes were given, the label says the class of each: `"joy: sun; grief: rain"`.
        stretches: examples by strength: pairs of the name of a quantile range of the rows where the concept is active,
            such as `"50 to 75 %"`, and examples from it; weakest first.
        active: the share of rows in which the code is above 0.
        largest: the largest code.
        counts: a histogram of the codes above 0, over bins of equal width from 0 to `largest`.
        raised: the tokens that the concept raises, with the amounts; strongest first.
        lowered: the tokens that the concept lowers, with the (negative) amounts; strongest first.
        nearest: the numbers of the concepts with the most similar directions, with the cosine similarities.
        importance: for each target, how much the concept matters and which way it pushes on average; the latter is None
            if the attribution method is not signed.
        effect: for each target, the mean effect of the change that was measured, with its 95 % confidence interval,
            which is None for fewer than five texts.
        scores: for each metric of labels, the score of the label; None where the metric has no score for it.
        by_class: the interpretation for each class, where interpretations of several classes were given.

    Examples:
        >>> from interp_core.concepts import ConceptCard, LabelledConcept
        >>> ConceptCard(LabelledConcept(7, None, note="refused by the content filter")).heading
        'Concept 7, no label: refused by the content filter'
    """

    words: LabelledConcept
    stretches: tuple[tuple[str, tuple[Example, ...]], ...] = ()
    active: float = 0.0
    largest: float = 0.0
    counts: tuple[float, ...] = ()
    raised: tuple[tuple[str, float], ...] = ()
    lowered: tuple[tuple[str, float], ...] = ()
    nearest: tuple[tuple[int, float], ...] = ()
    importance: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    effect: Mapping[str, tuple[float, tuple[float, float] | None]] = field(default_factory=dict)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    by_class: Mapping[str, LabelledConcept] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ConceptCard({self.heading}: active in {self.active:.2%} of the rows)"

    def __str__(self) -> str:
        return self.summary()

    @property
    def concept(self) -> int:
        """The number of the concept in the space."""
        return self.words.concept

    @property
    def heading(self) -> str:
        """The number and the label, or the reason why there is none: `Concept 7, no label: the call failed`."""
        return self.words.heading

    def summary(self) -> str:
        """Describe the card in a few lines of plain text."""
        tallest = max(self.counts, default=0.0) or 1.0
        bars = "".join(BLOCKS[round(8 * (count / tallest) ** 0.5)] for count in self.counts)
        lines = [self.heading, f"  active in {self.active:.2%} of the rows, up to {self.largest:.3g}  {bars}".rstrip()]
        for name, pairs in (("raises", self.raised), ("lowers", self.lowered)):
            lines += [f"  {name} {', '.join(f'{token!r} {value:+.2f}' for token, value in pairs[:6])}"] if pairs else []
        for target, (size, push) in self.importance.items():
            lines.append(f"  matters {size:.3g} to {target}" + ("" if push is None else f", pushes {push:+.3g}"))
        for target, (mean, interval) in self.effect.items():
            lines.append(
                f"  changes {target} by {mean:+.3g}"
                + (f" [{interval[0]:+.3g}, {interval[1]:+.3g}]" if interval else "")
            )
        lines += [f"  {name} {'undefined' if v is None else f'{v:.2f}'}" for name, v in self.scores.items()]
        lines += [f"  like {', '.join(f'concept {i} ({c:+.2f})' for i, c in self.nearest)}"] if self.nearest else []
        for name, examples in (*self.stretches, ("strongest", self.words.examples)):
            lines += [f"  {name}: {example}" for example in examples[:3]]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class ConceptCards(Value):
    """The cards of the concepts of a space.

    Attributes:
        cards: the cards, one for each concept.
        made_by: how the cards were made.
        notes: what a reader should know.
        usage: the calls and tokens of the language model that interpreted the concepts; None if none was asked.

    Examples:
        >>> from interp_core.concepts import concept_cards
        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world()
        >>> words = interp.interpret(space, activations, by="top-inputs")
        >>> cards = concept_cards(space, activations, words)
        >>> cards[1].heading, round(cards[1].active, 2)
        ('Concept 1, house, dog, cat, tree, very', 0.33)
    """

    SUFFIX: ClassVar[str] = ".json"
    cards: tuple[ConceptCard, ...]
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()
    usage: Usage | None = None

    def __getitem__(self, concept: int) -> ConceptCard:
        """The card of the concept of that number.

        Raises:
            InputError: there is none.
        """
        found = next((card for card in self.cards if card.concept == concept), None)
        if found is None:
            raise InputError(f"there is no card of concept {concept}; {[c.concept for c in self.cards]} have one.")
        return found

    def __len__(self) -> int:
        return len(self.cards)

    def __iter__(self) -> Iterator[ConceptCard]:
        return iter(self.cards)

    @property
    def interpretation(self) -> Interpretation:
        """The interpretation that the words of all cards make up."""
        return Interpretation(tuple(card.words for card in self.cards), self.made_by, self.notes, self.usage)

    def one_line(self) -> str:
        """Describe the cards in less than a line, as their `repr` does."""
        return f"{counted(len(self), 'card')}: {', '.join(card.heading for card in self.cards[:3])}"

    def summary(self) -> str:
        """Describe all cards in plain text."""
        used = [] if self.usage is None else [str(self.usage)]
        return "\n\n".join([*(card.summary() for card in self.cards), *self.notes, *used])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return for_json({**asdict(self), "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each concept."""
        return {
            "concept": [card.concept for card in self.cards],
            "label": [card.words.label for card in self.cards],
            **{
                f"label: {name}": [card.by_class[name].label if name in card.by_class else None for card in self.cards]
                for name in _names(self.cards, "by_class")
            },
            "active": [card.active for card in self.cards],
            "largest": [card.largest for card in self.cards],
            **{name: [card.scores.get(name) for card in self.cards] for name in _names(self.cards, "scores")},
            **{
                f"importance: {name}": [card.importance.get(name, (None,))[0] for card in self.cards]
                for name in _names(self.cards, "importance")
            },
            **{
                f"push: {name}": [card.importance.get(name, (None, None))[1] for card in self.cards]
                for name in _names(self.cards, "importance")
            },
            **{
                f"effect: {name}": [card.effect.get(name, (None,))[0] for card in self.cards]
                for name in _names(self.cards, "effect")
            },
            "note": [card.words.note for card in self.cards],
        }

    def save(self, path: str | Path) -> Path:
        """Write the cards to a JSON file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        return save_json(path, "concept-cards", self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> ConceptCards:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The cards.

        Raises:
            InputError: there is no such file, or it does not hold cards.
        """
        data = load_json(path, "concept-cards")
        try:
            made, usage = MadeBy.from_json(data["made_by"]), Usage(**data["usage"]) if data.get("usage") else None
            return cls(tuple(map(_card, data["cards"])), made, tuple(data["notes"]), usage)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{str(path)!r} holds no cards: {type(error).__name__}: {error}") from error


def _names(cards: Sequence[ConceptCard], of: str) -> list[str]:
    return list(dict.fromkeys(name for card in cards for name in getattr(card, of)))


def _card(data: dict[str, Any]) -> ConceptCard:
    pairs = {name: tuple((of, _number(v)) for of, v in data[name]) for name in ("raised", "lowered", "nearest")}
    parts = tuple((name, tuple(Example(**e) for e in examples)) for name, examples in data["stretches"])
    effect = {
        t: (_number(mean), None if i is None else tuple(map(_number, i))) for t, (mean, i) in data["effect"].items()
    }
    rest = {"importance": {t: (_number(v[0]), v[1]) for t, v in data["importance"].items()}, "effect": effect}
    words = LabelledConcept.from_json(data["words"])
    classes = {name: LabelledConcept.from_json(one) for name, one in data.get("by_class", {}).items()}
    own = {"words": words, "by_class": classes, "stretches": parts, "counts": tuple(data["counts"])}
    return ConceptCard(**{**data, **pairs, **rest, **own})


def _number(value: float | None) -> float:
    return math.nan if value is None else value
