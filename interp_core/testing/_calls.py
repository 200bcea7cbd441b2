"""A call of a method on a small and untidy world of its kind, and the side effects of the call."""

from __future__ import annotations

import copy
import dataclasses
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from interp_core.activations import Activations
from interp_core.attribution import Attribution, Question, attribute, explain
from interp_core.concepts import AffineSpace, ConceptSpace, Interpretation, LabelledConcept, fit_concepts, interpret
from interp_core.errors import BudgetError, InputError, LLMError, ModelError, UnsupportedError
from interp_core.metrics import Score, measure
from interp_core.plugin import Method
from interp_core.results import MadeBy, lent
from interp_core.testing._parameters import away_from_defaults
from interp_core.testing._planted_worlds import TOPICS, dictionary_world, topic_world
from interp_core.testing._shard_work import noted
from interp_core.testing._shared_models import model_world, shared
from interp_core.testing._sound_methods import Fixed, InputXGradient
from interp_core.testing._surroundings import changed_since, isolated, surroundings
from interp_core.testing._untidy_worlds import decided_world, untidy_rows, untidy_world
from torch import Tensor, eye

CONCEPTS = 3  # that a method is asked for here; elsewhere in the kit it is five
MARKED_TEXTS = ["happy today and so sad", "the old dog was never calm"]
MARKS = [[(0, len(text.split()[0]))] for text in MARKED_TEXTS]
BEGINNINGS, ENDS = ("happy", "sad", "calm", "glad"), ("today", "and so", "dog", "sun")
LABELLED_TEXTS = [f"{word} {end}" for word in BEGINNINGS for end in ENDS]
LABELS = [i // 4 % 2 for i in range(16)]
Call = Callable[[Method, Any], Any]


@dataclass(frozen=True, eq=False)
class Observed:
    """What a call did.

    Attributes:
        result: what the verb returned; None if it wrote into what it was handed.
        written: the error that says so; empty if it did not.
        left: what it left changed, in words.
    """

    result: Any
    written: str
    left: tuple[str, ...]


_known: dict[tuple[type, str, Method], Observed] = {}  # of the method that was checked last


def observed(method: Method, instance: Any) -> Observed:
    """One call of a method; it is made once for all checks."""
    key = (type(instance), repr(instance), method)
    if key not in _known:
        _known.clear()
        seen = _observe(method, instance)
        # what is left by the import of a library is left once, so that only what a second call leaves is the method's
        _known[key] = dataclasses.replace(seen, left=_observe(method, instance).left) if seen.left else seen
    return _known[key]


def _observe(method: Method, instance: Any) -> Observed:
    with isolated():
        before = surroundings()
        try:
            result, written = call(method, instance), ""
        except ModelError as error:
            if "only lent" not in str(error):
                raise
            result, written = None, str(error)
        return Observed(result, written, tuple(changed_since(before)))


def call(method: Method, instance: Any) -> Any:
    """What the verb of its kind gives on a small world."""
    return CALLS[method.kind](method, instance)


OF_COMPONENTS: dict[str, Any] = {  # what a method that needs components is asked
    "over": "components",
    "reference": "zero",
    "score": "logit",
    "max_new_tokens": 3,
    "progress": False,
}
_moved: dict[tuple[type, str, Method], tuple[Any, Any]] = {}  # of the method that was checked last


def with_other_parameters(method: Method, instance: Any) -> tuple[Any, Any]:
    """The method with every parameter away from its default, and what a call of it gives or raises; made once for all
    checks. The result is None if there is no other value, or if the method refuses it in words.
    """
    key = (type(instance), repr(instance), method)
    if key not in _moved:
        _moved.clear()
        _moved[key] = _with_other_parameters(method, instance)
    return _moved[key]


def _with_other_parameters(method: Method, instance: Any) -> tuple[Any, Any]:
    moved = away_from_defaults(instance)
    if moved == instance:
        return moved, None
    try:
        return moved, call(method, moved)
    except (InputError, UnsupportedError, BudgetError):
        return moved, None
    except Exception as error:
        return moved, error


def _attribute(method: Method, instance: Any) -> Any:
    if hasattr(instance, "samples"):
        instance = dataclasses.replace(instance, samples=min(instance.samples, 16))
    if "components" in method.needs:
        return attribute(shared("generator"), "so very happy", by=instance, **OF_COMPONENTS)[0]
    if "internals" in method.needs:  # a single text runs on this thread
        return attribute(shared("classifier"), "so very happy", by=instance, targets="all", progress=False)[0]
    return explain(instance, untidy_world(11, 5, 2)[0])


def small_rows(method: Method) -> Activations:
    """Activations for a method of kind `concepts`: untidy, unless it needs values that are not negative."""
    nonnegative = "nonnegative" in method.needs
    return dictionary_world(3, 120, nonnegative=True)[0] if nonnegative else untidy_rows(rows=120)[0]


def _fit(method: Method, instance: Any) -> Any:
    if hasattr(instance, "concepts"):
        instance = dataclasses.replace(instance, concepts=CONCEPTS)
    return fit_concepts(small_rows(method), by=instance)


def _interpret(method: Method, instance: Any) -> Any:
    if "model" in method.needs:
        split, rows, concepts = model_world()
        return interpret(concepts, rows, by=instance, model=split)
    activations, space = topic_world(texts=30)
    return interpret(space, activations, by=instance)


def _measure(method: Method, instance: Any) -> Any:
    if method.measures == "attribution":
        return _measure_attributions(method, instance)
    if method.measures == "interpretation":
        activations, space = topic_world(texts=30)
        return measure(topic_labels(), space, activations, by=instance)
    return _measure_space(method, instance)


def _measure_attributions(method: Method, instance: Any) -> Any:
    by = InputXGradient()
    if "model" not in method.needs:
        question, truth = decided_world(5, 6)
        return measured(instance, method, question, truth, by)
    model = shared("classifier")
    attributions = attribute(model, MARKED_TEXTS[:1], by=by, progress=False)
    labels = [MARKS[:1]] if "labels" in method.needs else []
    return measure(attributions, model, *labels, by=instance, method=by, progress=False)


def measured(metric: Any, method: Method, question: Question, scores: Tensor, by: Any = None) -> Score:
    """What a metric that needs no model gives scores of a question; people have marked the first and the last unit."""
    ends = dict.fromkeys((question.units[0], question.units[-1]))
    marks = [[(unit.start, unit.stop) for unit in ends]] if "labels" in method.needs else []
    attribution = Attribution(question.text, question.units, question.targets, scores, MadeBy("given"))
    again = [by] if "method" in method.needs else []
    with lent(metric, attribution, question, *again, *marks) as given:
        score: Score = metric.measure(*given)
    return score


def _measure_space(method: Method, instance: Any) -> Any:
    activations, truth = dictionary_world(rows=200)
    if "model" in method.needs:
        split = shared("classifier").split(-1)
        activations = split.activations(LABELLED_TEXTS[::2], granularity="cls", labels=LABELS[::2], progress=False)
        space = AffineSpace(eye(activations.width), eye(activations.width))
        return measure(space, activations, split, by=instance, method=_again(method, space))
    beside = [truth] if "truth" in method.needs else []
    return measure(truth, activations, *beside, by=instance, method=_again(method, truth))


def _again(method: Method, space: ConceptSpace) -> Any:
    return Fixed(space) if "method" in method.needs else None


def topic_labels(shift: int = 0) -> Interpretation:
    """The right words for the concepts of `topic_world`, or those of other concepts."""
    topics = [TOPICS[(i + shift) % len(TOPICS)] for i in range(len(TOPICS))]
    entries = (LabelledConcept(i, topic[0], tuple((word, 1.0) for word in topic)) for i, topic in enumerate(topics))
    return Interpretation(tuple(entries))


Conversation = list[dict[str, str]]


def conversations() -> list[Conversation]:
    """Eighteen short conversations that ask for one word each; six of them come twice."""
    words = [word for topic in TOPICS for word in topic]
    system = {"role": "system", "content": "Answer with the one word that you are asked for."}
    return [[dict(system), {"role": "user", "content": f"{word}, please"}] for word in (*words, *words[:6])]


class Asked(NamedTuple):
    """What a language model was asked in its ways, and what it says of itself.

    Attributes:
        alone: the answer to each conversation from `generate`.
        together: those from `generate_all`; the former if it does not have it.
        coming: pairs of a place and an answer from `generate_each`; None if it does not have it.
        identities: what `identity()` said before and after; None if it does not have it.
    """

    alone: list[Any]
    together: list[Any]
    coming: list[tuple[int, Any]] | None
    identities: tuple[Any, Any]


def _generate(_method: Method, instance: Any) -> Any:
    """The answers of a language model to conversations, alone, together and as they come, and what it says of itself
    before and after; None if it cannot be asked here.
    """
    if hasattr(instance, "retries"):
        instance = dataclasses.replace(instance, retries=0)
    asked = conversations()
    given = copy.deepcopy(asked)
    with offline():
        try:
            alone = [instance.generate(messages) for messages in given]
            before = _identity(instance)
            together = list(instance.generate_all(given)) if hasattr(instance, "generate_all") else alone
            coming = list(instance.generate_each(given)) if hasattr(instance, "generate_each") else None
        except (InputError, LLMError):
            return None
    if given != asked:
        raise ModelError(f"{type(instance).__name__} wrote into the messages that it was only lent; copy them first.")
    return Asked(alone, together, coming, (before, _identity(instance)))


def _identity(instance: Any) -> Any:
    return copy.deepcopy(instance.identity()) if hasattr(instance, "identity") else None


@contextmanager
def offline() -> Iterator[None]:
    """A context in which nothing but this machine can be reached."""
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def resolved(host: Any, *more: Any, **options: Any) -> Any:
        if host not in (None, "", "localhost", "127.0.0.1", "::1"):
            raise socket.gaierror(f"the conformance kit runs without a network, so {host!r} cannot be reached")
        return resolve(host, *more, **options)

    def connected(own: Any, address: Any) -> Any:
        if isinstance(address, tuple):
            resolved(address[0], address[1])
        return connect(own, address)

    with patch.object(socket, "getaddrinfo", resolved), patch.object(socket.socket, "connect", connected):
        yield


def _map(_method: Method, instance: Any) -> Any:
    shards = list(range(6))
    with tempfile.TemporaryDirectory() as folder:
        results = list(instance.map(partial(noted, Path(folder)), shards))
    if shards != list(range(6)):
        raise ModelError(f"{type(instance).__name__} wrote into the shards that it was only lent; copy them first.")
    return results


CALLS: dict[str, Call] = {
    "attribution": _attribute,
    "concepts": _fit,
    "interpretation": _interpret,
    "metric": _measure,
    "llm": _generate,
    "executor": _map,
}
