"""Two plots for notebooks: the words of a text, and the concepts of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from interp_core.attribution import Attribution
from interp_core.concepts import Importance, Interpretation, LabelledConcept
from interp_core.errors import InputError
from interp_core.model import Target
from interp_core.plugin import named_options
from interp_core.reporting._concept_cards import Group, Weights, add_class, class_group, group_of
from interp_core.reporting._concept_data import ConceptLines
from interp_core.reporting._contents import ClassConcepts, Contents, contents_of
from interp_core.reporting._page import Report, page, part
from interp_core.results import MadeBy

Names = Sequence[str] | Mapping[int, str] | None


@named_options
def plot_attributions(attributions: Any, class_names: Names = None, sample: int | None = None) -> Report:
    """Plot the words of one or more texts, coloured by their scores, with a button for each class.

    Args:
        attributions: an `Attribution`, or a list of them.
        class_names: names of the classes, as a list or by number; those of the model by default.
        sample: show one text only, by its number among the attributions.

    Returns:
        The plot. Notebooks display it, and `save` writes it as a whole page.

    Raises:
        InputError: a value is not an `Attribution`, there are none, or there is no such text.

    Examples:
        >>> import re
        >>> from interp_core.reporting import plot_attributions
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> results = interp.attribute(model, ["so happy"], by="occlusion", targets="all", progress=False)
        >>> re.findall('data-label="([^"]+)"', plot_attributions(results, class_names=["joy", "grief"]).html)
        ['joy', 'grief']
    """
    contents = contents_of([attributions])
    if not contents.attributions or len(contents.values) != len(contents.attributions):
        kind = type(attributions).__name__
        raise InputError(f"plot_attributions shows attributions only; this {kind} is or contains something else.")
    if sample is not None:
        contents.attributions = [contents.attributions[_text(sample, len(contents.attributions))]]
    contents.attributions = [_renamed(a, class_names) for a in contents.attributions]
    return Report(page(contents, [], "Which words"), part(contents, []))


@named_options
def plot_concepts(
    importance: Any,
    interpretation: Any = None,
    class_names: Names = None,
    top: int = 10,
    sample: int | None = None,
) -> Report:
    """Plot the concepts that matter most to each class, with a button for each class.

    Args:
        importance: an `Importance`; one or more `ClassConcepts`; scores (k, c) of c concepts for k classes, as a
            tensor, array or nested list; or a dict from class to the scores of its concepts (c).
        interpretation: an `Interpretation`, or a dict from concept to its label, a list of words, or a dict from word
            to strength. If each class has concepts of its own, a dict from class to one of these.
        class_names: names of the classes, as a list or by number.
        top: the number of concepts shown for each class at first, at least 1.
        sample: show the concepts of one text, by its number in the importance; by default the mean over texts.

    Returns:
        The plot. Notebooks display it, and `save` writes it as a whole page.

    Raises:
        InputError: `top` is below 1, the scores are not numbers of shape (k, c), the words of a concept are of
            another type, or there is no such text.

    Examples:
        Concept 1 matters most to the first class, and concept 0 to the second.

        >>> import re
        >>> from interp_core.reporting import plot_concepts
        >>> scores = torch.tensor([[0.1, 0.3], [0.6, 0.4]])
        >>> plot = plot_concepts(scores, {0: ["rain", "cold"], 1: "joy"}, class_names=["calm", "sad"])
        >>> re.findall('class="ip-name">([^<]+)<', plot.html)[:4]
        ['joy', 'rain, cold', 'rain, cold', 'joy']
    """
    if top < 1:
        raise InputError(f"top is {top}; at least 1 concept must be shown.")
    if sample is not None:
        importance = _of_text(importance, sample)
    group, contents, lines = _group(importance, interpretation, class_names, top)
    return Report(page(contents, [group], "Concepts that matter most", concepts=lines), part(contents, [group]))


def _of_text(importance: Any, sample: int) -> Any:
    """The importance, or each of the concepts of classes, in one text."""
    if isinstance(importance, Importance):
        return replace(importance, per_text=importance.per_text[_text(sample, len(importance.per_text))][None])
    if isinstance(importance, ClassConcepts):
        return replace(importance, importance=_of_text(importance.importance, sample))
    if isinstance(importance, list | tuple) and importance and all(isinstance(c, ClassConcepts) for c in importance):
        return [_of_text(one, sample) for one in importance]
    raise InputError(f"{type(importance).__name__} has no texts; sample= is for an Importance or ClassConcepts.")


def _text(sample: int, count: int) -> int:
    if isinstance(sample, bool) or not hasattr(sample, "__index__") or not 0 <= sample < count:
        raise InputError(f"sample is {sample!r}; the number of a text, from 0 to {count - 1}, was expected.")
    return int(sample)


def _group(importance: Any, words: Any, names: Names, top: int) -> tuple[Group, Contents, ConceptLines | None]:
    if isinstance(importance, ClassConcepts):
        importance = [importance]
    if isinstance(importance, list | tuple) and importance and all(isinstance(c, ClassConcepts) for c in importance):
        return class_group(importance, top), contents_of(importance), None
    held = [v for v in (importance, words) if isinstance(v, Importance | Interpretation)]
    contents = contents_of(held) if held else Contents()
    if isinstance(importance, Importance):
        weights = Weights.of(importance)
        weights = replace(weights, targets=tuple(_name(i, names, t) for i, t in enumerate(weights.targets)))
        return _of_weights(weights, words, contents, top)
    if isinstance(importance, Mapping):
        return _by_class(importance, words, names, contents, top)
    scores = _tensor(importance)
    if scores.ndim != 2:
        raise InputError(f"the scores have shape {tuple(scores.shape)}; (classes, concepts) was expected.")
    weights = Weights(tuple(_name(i, names) for i in range(len(scores))), scores.abs(), _direction(scores))
    return _of_weights(weights, words, contents, top)


def _of_weights(weights: Weights, words: Any, contents: Contents, top: int) -> tuple[Group, Contents, ConceptLines]:
    lines, known = ConceptLines(), _words(words)
    lines.add("", None, known, weights)
    return group_of("", None, known, weights, top), contents, lines


def _by_class(
    importance: Mapping[Any, Any], words: Any, names: Names, contents: Contents, top: int
) -> tuple[Group, Contents, ConceptLines]:
    """A class for each entry. Classes have their own concepts if words are given by class, or if the counts differ."""
    rows = {key: _tensor(values).reshape(1, -1) for key, values in importance.items()}
    own = isinstance(words, Mapping) and set(words) >= set(importance) and all(_nested(words[k]) for k in importance)
    if rows and not own and len({row.shape for row in rows.values()}) == 1:
        scores = torch.cat(list(rows.values()))
        weights = Weights(tuple(_name(key, names) for key in rows), scores.abs(), _direction(scores))
        return _of_weights(weights, words, contents, top)
    group, classes = Group(""), []
    for place, (key, scores) in enumerate(rows.items()):
        weights = Weights((_name(key, names),), scores.abs(), _direction(scores))
        interpretation = _words(words[key] if own else words)
        known = {c.concept: c for c in interpretation.concepts} if interpretation else {}
        add_class(group, place, weights, known, top)
        classes.append((None, interpretation, weights))
    group.named = words is not None
    lines = ConceptLines()
    lines.add_classes(classes)
    return group, contents, lines


def _nested(value: Any) -> bool:
    """Whether a value describes several concepts by number, rather than one."""
    return isinstance(value, Interpretation) or (
        isinstance(value, Mapping) and all(hasattr(k, "__index__") for k in value)
    )


def _words(words: Any) -> Interpretation | None:
    if words is None or isinstance(words, Interpretation):
        return words
    if isinstance(words, Sequence) and not isinstance(words, str):
        words = dict(enumerate(words))
    if not isinstance(words, Mapping):
        raise InputError(
            f"the words are {type(words).__name__}; an Interpretation, or a dict from concept to words, was expected."
        )
    return Interpretation(tuple(_concept(int(place), label) for place, label in words.items()), MadeBy("given"))


def _concept(place: int, label: Any) -> LabelledConcept:
    if isinstance(label, LabelledConcept):
        return replace(label, concept=place)
    if label is None or isinstance(label, str):
        return LabelledConcept(place, label)
    if isinstance(label, Mapping):
        return LabelledConcept(place, None, tuple((str(w), float(s)) for w, s in label.items()))
    if isinstance(label, Sequence):
        return LabelledConcept(place, None, tuple((str(w), 0.0) for w in label))
    raise InputError(
        f"the words of concept {place} are {type(label).__name__}; a label, a list of words or a dict was expected."
    )


def _tensor(values: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(values).detach().float().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{type(values).__name__} holds no scores: {error}. Give an Importance, or scores (classes, concepts)."
        ) from error


def _direction(scores: torch.Tensor) -> torch.Tensor | None:
    """Scores of both signs also give the direction; sizes alone do not."""
    return scores if bool((scores < 0).any()) else None


def _name(key: Any, names: Names, default: str = "") -> str:
    known = dict(names) if isinstance(names, Mapping) else dict(enumerate(names or ()))
    return str(known.get(key, default or (f"class {key}" if hasattr(key, "__index__") else key)))


def _renamed(one: Attribution, names: Names) -> Attribution:
    """The attribution with these names of classes. Generated tokens and functions keep their labels."""

    def label(target: Target) -> str:
        if target.positions or target.function is not None:
            return target.label
        if target.against is not None:
            return f"{_name(target.index, names)} - {_name(target.against, names)}"
        return _name(target.index, names, target.label)

    return one if names is None else replace(one, targets=tuple(replace(t, label=label(t)) for t in one.targets))
