"""The verb `concept_cards`, which collects what is known of each concept on a card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from interp_core.activations import Activations
from interp_core.concepts._activity import Activity, activity
from interp_core.concepts._cards import ConceptCard, ConceptCards
from interp_core.concepts._class_words import by_class, interpretations_of, merged, usage_of
from interp_core.concepts._effect import Effect
from interp_core.concepts._importance import Importance
from interp_core.concepts._interpret import digest_of, numbers_of
from interp_core.concepts._interpretation import Example, Interpretation
from interp_core.concepts._space import ConceptSpace
from interp_core.concepts._strongest import check_whole
from interp_core.errors import InputError
from interp_core.plugin import named_options
from interp_core.results import Cost, MadeBy, Value, made_by
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


@named_options
def concept_cards(
    space: ConceptSpace,
    activations: Activations,
    words: Interpretation | Sequence[Interpretation] | Mapping[str, Interpretation] | None = None,
    *,
    tokens: Interpretation | None = None,
    importance: Importance | None = None,
    effects: Mapping[int, Effect] | Sequence[Effect] | None = None,
    scores: Value | Sequence[Any] = (),
    concepts: Literal["all"] | Sequence[int] = "all",
    stretches: int = 4,
    examples: int = 3,
    bins: int = 20,
    seed: int = 0,
) -> ConceptCards:
    """Collect what is known of each concept on a card; only the codes are computed, the rest is given.

    Args:
        space: the concepts.
        activations: the corpus for examples, shares and histograms.
        words: the interpretation of the space. Several interpretations, one for each class, are given as a dict from
            class to interpretation, or as a list of those made from `activations.of_class(…)`, which know their class;
            each label on a card then says its class.
        tokens: the tokens that concepts raise and lower, as `interpret` gives them with `by="vocabulary-projection"` or
            `by="token-change"`.
        importance: the importance of the concepts.
        effects: the effects of changing one concept at a time, as `effect` measures them; a list, or a dict from the
            number of a concept to its effect.
        scores: one or several scores of labels, as `measure` gives them for an interpretation.
        concepts: the numbers of the concepts that get a card, or `"all"`.
        stretches: the number of quantile ranges, of equal size, into which the rows where a concept is active are
            divided; at least 1.
        examples: the number of examples of each range, at least 1.
        bins: the number of bins of the histogram, at least 1.
        seed: the seed of the choice of examples.

    Returns:
        A card for each concept, in the order of `concepts`.

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
        check_whole(name, value, 1)
    chosen = _chosen(concepts, space)
    interpretations, classes = interpretations_of(words)
    changed = _effects(space, effects)
    _check_of(space, [*interpretations, *(one for one in (tokens, importance) if one is not None), *changed.values()])
    known = _known([scores] if isinstance(scores, Value) else list(scores))
    cost = Cost()
    with cost.timed():
        found = activity(space, activations, seed=seed)
        directions = _unit(space.dictionary)
        cards = []
        for number in chosen:
            counts, _ = found.histogram(number, bins)
            alike = directions @ directions[number]
            alike[number] = -torch.inf
            nearest = alike.topk(min(3, space.concepts - 1))
            raised, lowered = _tokens(tokens, number)
            own = changed.get(number)
            named = by_class(interpretations, classes, number)
            cards.append(
                ConceptCard(
                    merged(number, named),
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
                    {name: one for name, one in named.items() if name},
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
    notes = (off,) if found.rank_error > 0.01 else ()
    return ConceptCards(tuple(cards), made, notes, usage_of(interpretations))


def _unit(directions: Float[Tensor, "c d"]) -> Float[Tensor, "c d"]:
    """Directions of length one, whatever their scale: the squares of numbers below 1e-23 or above 1e19 are lost."""
    rows = directions.detach().float()
    largest = rows.abs().amax(1, keepdim=True)
    return normalize(rows / largest.masked_fill(largest == 0, 1), dim=1)


def _tokens(
    tokens: Interpretation | None, number: int
) -> tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]:
    pairs = next((one.words for one in tokens or () if one.concept == number), ())
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


def _effects(space: ConceptSpace, effects: Any) -> dict[int, Effect]:
    """The effects by the numbers of the concepts that they change.

    Raises:
        InputError: one is no effect, changes another concept or several, or a concept has two.
    """
    if not isinstance(effects, Mapping | list | tuple | None):
        raise InputError(f"effects is {type(effects).__name__}; a list of Effect was expected, or a dict by concept.")
    pairs = effects.items() if isinstance(effects, Mapping) else [(None, one) for one in effects or ()]
    found: dict[int, Effect] = {}
    for number, one in pairs:
        if not isinstance(one, Effect):
            raise InputError(f"effects holds {type(one).__name__}; an Effect was expected, as interp.effect gives it.")
        changed = list(dict.fromkeys(name for part in one.change.values() for name in part))
        of = [i for i, name in enumerate(space.names) if [name] == changed]
        if len(changed) != 1 or not of:
            raise InputError(
                f"an effect changes {', '.join(changed)}; a card shows what changing one concept of the space does."
            )
        if number is not None and number not in of:
            raise InputError(f"the effect given for concept {number} changes {changed[0]}.")
        if len(of) > 1 and number is None:
            raise InputError(f"concepts {', '.join(map(str, of))} are named {changed[0]!r}; give effects as a dict.")
        if (place := of[0] if number is None else number) in found:
            raise InputError(f"there are two effects of changing {changed[0]}; give one of them.")
        found[place] = one
    return found


def _check_of(space: ConceptSpace, given: Sequence[Any]) -> None:
    """Check that what is given is of this space.

    Raises:
        InputError: it is of another layer, model or space, or of more concepts.
    """
    for one in given:
        kind, settings = type(one).__name__, one.made_by.settings
        for what, its, own in (
            ("layer", str(settings.get("layer", "")), space.layer),
            ("model", one.made_by.model, space.made_by.model),
        ):
            if its not in ("", "given", own) and own not in ("", "given"):
                raise InputError(f"the {kind} is of {what} {its!r}, and the space of {own!r}.")
        if isinstance(one, Interpretation):
            if any(c.concept >= space.concepts for c in one):
                raise InputError(f"the interpretation is of more concepts than the {space.concepts} of the space.")
            if "space" in settings and settings["space"] != digest_of(space):
                raise InputError(
                    f"the interpretation by {one.made_by.brief} is of another space than this one, by its directions."
                )
        if isinstance(one, Importance) and len(one.concepts) != space.concepts:
            raise InputError(f"the importance is of {len(one.concepts)} concepts, and the space has {space.concepts}.")


def _known(scores: Sequence[Any]) -> dict[str, dict[int, float | None]]:
    """For each metric the value of each concept.

    Raises:
        InputError: something is no score of labels, or two have one name.
    """
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
