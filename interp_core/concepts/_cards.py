"""What is known of a concept on one card, as data: words, examples, activity, tokens, neighbours, importance, trust."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from interp_core.activations import Activations
from interp_core.concepts._activity import Activity, activity
from interp_core.concepts._effect import Effect
from interp_core.concepts._importance import Importance
from interp_core.concepts._interpretation import Example, Interpretation, LabelledConcept, numbers_of
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError
from interp_core.plugin import named_options
from interp_core.results import Cost, MadeBy, Value, counted, for_json, load_json, made_by, save_json
from torch.nn.functional import normalize

BLOCKS = " ▁▂▃▄▅▆▇█"
SHOWN = 60  # characters of an example in a terminal


@dataclass(frozen=True, repr=False)
class ConceptCard:
    """One concept.

    Attributes:
        words: the concept in words, with the examples where it is strongest, its label and the note of a doubt.
        stretches: examples by how strong the concept is: the name of each stretch of the rows where it is active, such
            as `"50 to 75 %"`, weakest first, and examples from it.
        active: in which share of the rows it is above 0.
        largest: its largest code.
        counts: a histogram of its codes above 0, over bins of equal width up to `largest`.
        raised: tokens that it raises, with by how much; strongest first.
        lowered: tokens that it lowers, with by how much (negative); strongest first.
        nearest: numbers of the concepts whose directions are most alike, with the cosines.
        importance: for each target how much the concept matters and which way it pushes on average; the latter is None
            where the method tells no direction.
        effect: for each target how the score changes on average when the concept is changed as the effect says, with a
            95 % interval, which is None for fewer than five texts.
        scores: for each metric of labels how good the label is; None where the metric has no score for it.

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

    def __repr__(self) -> str:
        return f"ConceptCard({self.heading}: active in {self.active:.2%} of the rows)"

    def __str__(self) -> str:
        return self.summary()

    @property
    def heading(self) -> str:
        """The number and the label, or why there is none: `Concept 7, no label: the call failed`."""
        said = self.words.label or f"no label{': ' + self.words.note if self.words.note else ''}"
        return f"Concept {self.words.concept}, {said}"

    def summary(self) -> str:
        """The card in a few lines of plain text."""
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
            lines += [f"  {name}: {e.value:.3g}  {_around(e)}" for e in examples[:3]]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class ConceptCards(Value):
    """Cards of the concepts of a space.

    Attributes:
        cards: the cards, each concept once.
        made_by: how they were made.
        notes: remarks for readers.

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

    def __getitem__(self, concept: int) -> ConceptCard:
        """The card of the concept of that number.

        Raises:
            InputError: there is none.
        """
        found = next((card for card in self.cards if card.words.concept == concept), None)
        if found is None:
            raise InputError(
                f"there is no card of concept {concept}; {[c.words.concept for c in self.cards]} have one."
            )
        return found

    def __len__(self) -> int:
        return len(self.cards)

    def __iter__(self) -> Iterator[ConceptCard]:
        return iter(self.cards)

    @property
    def interpretation(self) -> Interpretation:
        """The words of all cards."""
        return Interpretation(tuple(card.words for card in self.cards), self.made_by, self.notes)

    def one_line(self) -> str:
        """How many cards there are, and whose."""
        return f"{counted(len(self), 'card')}: {', '.join(card.heading for card in self.cards[:3])}"

    def summary(self) -> str:
        """All cards in plain text."""
        return "\n\n".join([*(card.summary() for card in self.cards), *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The cards as JSON values."""
        return for_json({**asdict(self), "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """One row for each concept."""
        return {
            "concept": [card.words.concept for card in self.cards],
            "label": [card.words.label for card in self.cards],
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
        """Write to a JSON file.

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
            return cls(tuple(map(_card, data["cards"])), MadeBy.from_json(data["made_by"]), tuple(data["notes"]))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{str(path)!r} holds no cards: {type(error).__name__}: {error}") from error


@named_options
def concept_cards(
    space: ConceptSpace,
    activations: Activations,
    words: Interpretation | None = None,
    *,
    tokens: Interpretation | None = None,
    importance: Importance | None = None,
    effects: Mapping[int, Effect] | None = None,
    scores: Value | Sequence[Any] = (),
    concepts: Literal["all"] | Sequence[int] = "all",
    stretches: int = 4,
    examples: int = 3,
    bins: int = 20,
    seed: int = 0,
) -> ConceptCards:
    """Put what is known of each concept on a card. Only the codes are computed; the rest is what is given.

    Args:
        space: the concepts.
        activations: the corpus for examples, shares and histograms.
        words: the concepts in words.
        tokens: what they do to the vocabulary, as `by="vocabulary-projection"` gives it, or `by="token-change"` with
            `change="add"`.
        importance: how much they matter.
        effects: by the number of a concept, what changing it alone does, as `effect` measures it.
        scores: scores of labels, as `measure` gives them for an interpretation.
        concepts: the numbers of the concepts that get a card, or `"all"`.
        stretches: into how many parts of equal size the rows are dealt where a concept is active.
        examples: how many are shown of each part.
        bins: of the histogram.
        seed: of the examples.

    Returns:
        A card for each concept.

    Raises:
        InputError: the values do not fit together, or a number is out of range.

    Examples:
        >>> from interp_core.concepts import concept_cards
        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world()
        >>> (card,) = concept_cards(space, activations, concepts=[2], stretches=2, examples=1)
        >>> [name for name, _ in card.stretches]
        ['0 to 50 %', '50 to 100 %']
    """
    for name, value in (("stretches", stretches), ("examples", examples), ("bins", bins)):
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}; a whole number of at least 1 is needed.")
    chosen = _chosen(concepts, space)
    given = [one for one in (words, tokens, importance) if one is not None]
    known = _known(space, given, importance, effects or {}, [scores] if isinstance(scores, Value) else list(scores))
    cost = Cost()
    with cost.timed():
        found = activity(space, activations, seed=seed)
        directions = normalize(space.dictionary.detach().float(), dim=1)
        cards = []
        for number in chosen:
            counts, _ = found.histogram(number, bins)
            alike = directions @ directions[number]
            alike[number] = -torch.inf
            nearest = alike.topk(min(3, space.concepts - 1))
            raised, lowered = _tokens(tokens, number)
            own = effects.get(number) if effects else None
            cards.append(
                ConceptCard(
                    _words(words, number),
                    _stretches(found, activations, number, stretches, examples),
                    int(found.active[number]) / found.rows,
                    float(found.largest[number]),
                    tuple(counts.tolist()),
                    raised,
                    lowered,
                    tuple(zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)),
                    _importance(importance, number),
                    {}
                    if own is None
                    else dict(zip(own.targets, zip(own.mean.tolist(), own.intervals, strict=True), strict=True)),
                    {name: values.get(number) for name, values in known.items() if number in values},
                )
            )
    settings = {
        "rows": len(activations),
        "layer": activations.layer,
        "granularity": activations.granularity,
        "stretches": stretches,
        "examples": examples,
        "bins": bins,
        "seed": seed,
    }
    made = made_by("concept-cards", cost, activations.made_by.model, settings)
    off = f"Shares in the histograms are counted to {found.rank_error:.2%} of the rows where a concept is active."
    return ConceptCards(tuple(cards), made, (off,) if found.rank_error > 0.01 else ())


def _words(words: Interpretation | None, number: int) -> LabelledConcept:
    known = {one.concept: one for one in words} if words else {}
    return known.get(number, LabelledConcept(number, None))


def _tokens(
    tokens: Interpretation | None, number: int
) -> tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]:
    pairs = _words(tokens, number).words
    raised = sorted((p for p in pairs if p[1] > 0), key=lambda p: -p[1])
    return tuple(raised), tuple(sorted((p for p in pairs if p[1] < 0), key=lambda p: p[1]))


def _importance(importance: Importance | None, number: int) -> dict[str, tuple[float, float | None]]:
    if importance is None:
        return {}
    push = importance.direction[:, number].tolist() if importance.directed else [None] * len(importance.targets)
    return dict(zip(importance.targets, zip(importance.scores[:, number].tolist(), push, strict=True), strict=True))


def _chosen(concepts: Any, space: ConceptSpace) -> list[int]:
    """The numbers of the concepts that get a card, each once.

    Raises:
        InputError: there is no such concept, none is named, or one twice.
    """
    chosen = numbers_of(concepts, space)
    wrong = [i for i in chosen if not 0 <= i < space.concepts or chosen.count(i) > 1]
    if wrong or not chosen:
        raise InputError(
            f"concepts {wrong or 'none'} were asked for; numbers from 0 to {space.concepts - 1}, each once, are needed."
        )
    return chosen


def _known(
    space: ConceptSpace, given: Sequence[Any], importance: Importance | None, effects: Any, scores: Sequence[Any]
) -> dict[str, dict[int, float | None]]:
    """For each metric the value of each concept, once everything is found to be about this space.

    Raises:
        InputError: something is not.
    """
    for one in given:
        layer = str(one.made_by.settings.get("layer", ""))
        if space.layer and layer not in ("", "given", space.layer):
            raise InputError(f"the {type(one).__name__} is of layer {layer!r}, and the space of {space.layer!r}.")
        if isinstance(one, Interpretation) and any(c.concept >= space.concepts for c in one):
            raise InputError(f"the interpretation is of more concepts than the {space.concepts} of the space.")
        if one.made_by.parameters.get("change") == "ablate":
            raise InputError("the tokens tell what taking a concept away does; ask with change='add' for a card.")
    if importance is not None and len(importance.concepts) != space.concepts:
        raise InputError(
            f"the importance is of {len(importance.concepts)} concepts, and the space has {space.concepts}."
        )
    if not isinstance(effects, Mapping):
        raise InputError(f"effects is {type(effects).__name__}; an Effect for each number of a concept was expected.")
    for number, effect in effects.items():
        changed = [name for part in effect.change.values() for name in part]
        if number not in range(space.concepts) or space.names[number] not in changed:
            raise InputError(f"the effect given for concept {number} changes {', '.join(changed)}.")
    found: dict[str, dict[int, float | None]] = {}
    for score in scores:
        numbers = getattr(score, "made_by", MadeBy("")).settings.get("concepts")
        if numbers is None or score.values is None or len(score.values) != len(numbers):
            raise InputError(
                f"{getattr(score, 'name', '') or score!r} is no score of labels; measure(words, space, activations, "
                "by=…) gives one."
            )
        if score.name in found:
            raise InputError(f"there are two scores {score.name!r}; give one of them.")
        values = [value if math.isfinite(value) else None for value in score.values.tolist()]
        found[score.name] = dict(zip(numbers, values, strict=True))
    return found


def _stretches(
    found: Activity, activations: Activations, number: int, stretches: int, examples: int
) -> tuple[tuple[str, tuple[Example, ...]], ...]:
    """Examples from each stretch of the rows where a concept is active: those drawn first, the strongest first."""
    stretches = max(1, min(stretches, len(found.samples[number].rows)))
    rows, codes = (part.flip(0).tensor_split(stretches) for part in found.samples[number])
    named = []
    for i, (row, code) in enumerate(zip(rows, codes, strict=True)):
        at = torch.linspace(len(row) - 1, 0, min(examples, len(row))).round().long()
        shown = tuple(Example.at(activations, int(row[j]), float(code[j])) for j in at)
        named.append((f"{100 * i // stretches} to {100 * (i + 1) // stretches} %", shown))
    return tuple(named) if len(found.samples[number].rows) else ()


def _names(cards: Sequence[ConceptCard], of: str) -> list[str]:
    return list(dict.fromkeys(name for card in cards for name in getattr(card, of)))


def _around(example: Example) -> str:
    """The unit in its text on one line, the unit between « and »."""
    before, unit = example.text[: example.start], example.text[example.start : example.stop]
    room = max(0, SHOWN - len(unit)) // 2
    after = example.text[example.stop :][:room]
    start = f"{'…' * (len(before) > room)}{before[len(before) - room :] if room else ''}"
    shown = f"{start}«{unit[:SHOWN]}»{after}{'…' * (len(example.text) > example.stop + len(after))}"
    return " ".join("".join(c if c.isprintable() else " " for c in shown).split())


def _card(data: dict[str, Any]) -> ConceptCard:
    pairs = {name: tuple((of, _number(v)) for of, v in data[name]) for name in ("raised", "lowered", "nearest")}
    parts = tuple((name, tuple(Example(**e) for e in examples)) for name, examples in data["stretches"])
    effect = {
        t: (_number(mean), None if i is None else tuple(map(_number, i))) for t, (mean, i) in data["effect"].items()
    }
    rest = {"importance": {t: (_number(v[0]), v[1]) for t, v in data["importance"].items()}, "effect": effect}
    words = LabelledConcept.from_json(data["words"])
    return ConceptCard(**{**data, **pairs, **rest, "words": words, "stretches": parts, "counts": tuple(data["counts"])})


def _number(value: float | None) -> float:
    return math.nan if value is None else value
