"""What is known of each concept is put on its card: the verb `concept_cards`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from interp_core.activations import Activations
from interp_core.concepts._activity import Activity, activity
from interp_core.concepts._cards import ConceptCard, ConceptCards
from interp_core.concepts._effect import Effect
from interp_core.concepts._importance import Importance
from interp_core.concepts._interpretation import Example, Interpretation, LabelledConcept, numbers_of
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError
from interp_core.plugin import named_options
from interp_core.results import Cost, MadeBy, Value, made_by
from torch.nn.functional import normalize


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
