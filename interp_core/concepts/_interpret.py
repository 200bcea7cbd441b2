"""The verb `interpret`, which puts concepts into words, all at once or shard by shard."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from hashlib import blake2b
from operator import add
from pathlib import Path
from typing import Any, Literal

from interp_core.activations import Activations, digest_of_rows
from interp_core.attribution import name_of
from interp_core.concepts._compatibility import check_fits, check_layer
from interp_core.concepts._interpretation import Interpretation
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError, InterpWarning, ModelError
from interp_core.model import SplitModel, identity_of
from interp_core.plugin import declaration_of, named_options, resolve
from interp_core.results import (
    Cost,
    Folder,
    Packed,
    Shard,
    State,
    StoredShards,
    code_of,
    described,
    lent,
    made_by,
    packed,
    parameters_of,
    place_of_run,
    run_shards,
    shards_of,
)

CONCEPTS_A_SHARD = 32


@named_options
def interpret(
    space: ConceptSpace,
    activations: Activations,
    *,
    by: Any = "top-inputs",
    concepts: Literal["all"] | Sequence[int] = "all",
    model: SplitModel | None = None,
    to: str | Path | None = None,
    executor: Any = None,
    shard_size: int = CONCEPTS_A_SHARD,
    progress: bool = True,
    **parameters: Any,
) -> Interpretation:
    """Describe concepts in words: with labels, words and examples.

    Args:
        space: the concepts.
        activations: the corpus in which concepts are looked up. It may differ from the one they were learnt from.
        by: an interpretation method, by name or as an instance.
        concepts: the numbers of the concepts to interpret, or `"all"`.
        model: the model, split at the layer of the concepts, for methods that need it.
        to: a folder in which the words are written as they are found; the same call resumes a run that was interrupted.
        executor: where shards of concepts are processed, as in `attribute`. The client of a language model is sent to
            each worker, and its limits hold for each of them separately.
        shard_size: with `to` or `executor`, the number of concepts in a shard.
        progress: with `to` or `executor`, show a progress bar in terminals and notebooks.
        **parameters: parameters of the method if `by` is a name.

    Returns:
        Labels, words and examples of each concept, in the order of `concepts`.

    Raises:
        InputError: the activations belong to another layer, model or width, the space does not have one of the
            concepts, the method does not have one of the parameters, the model is missing or not needed by the method,
            or the folder holds another run.
        UnknownMethodError: no installed package declares a method of this name.
        ModelError: the method does not return one entry for each concept, or modified its arguments.

    Examples:
        Each text holds a word of one of three topics, and each concept is active for one topic.

        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world()
        >>> words = interp.interpret(space, activations, by="top-inputs", concepts=[1])
        >>> sorted(word for word, strength in words[1].words[:4])
        ['cat', 'dog', 'house', 'tree']
    """
    method = resolve(by, "interpretation", parameters, interpret)
    check_fits(space, activations)
    chosen = numbers_of(concepts, space)
    asked = _asked_model(method, model, activations)
    whole = isinstance(concepts, str)
    run = InterpretationRun(method, space, activations, asked, whole)
    cost = Cost()
    with cost.timed():
        if to is None and executor is None:
            words = run.of(chosen)
        else:
            words = _in_shards(run, chosen, to=to, executor=executor, size=shard_size, progress=progress)
    if to is not None:
        cost = Cost()  # so that the same run gives the same file
    if not any(c.label for c in words.concepts) and not (words.usage and words.usage.dry):
        warnings.warn(
            f"none of {len(chosen)} concepts got a label. {' '.join(words.notes)}", InterpWarning, stacklevel=3
        )
    settings = {
        "rows": len(activations),
        "granularity": activations.granularity,
        "layer": activations.layer,
        "space": digest_of(space),
    }
    if "class" in activations.made_by.settings:
        settings["class"] = activations.made_by.settings["class"]
    made = made_by(method, cost, activations.made_by.model, settings)
    result = replace(words, made_by=made)
    if to is not None:
        result.save(place_of_run(to) / "result.json")
    return result


@dataclass(frozen=True, eq=False)
class InterpretationRun:
    """What one call of `interpret` asks, without the concepts.

    Attributes:
        method: the instance.
        space: all concepts.
        activations: the corpus.
        asked: the model, for a method that asks it; else empty.
        whole: whether all concepts are asked about, in order.
    """

    method: Any
    space: ConceptSpace
    activations: Activations
    asked: tuple[SplitModel, ...]
    whole: bool

    def of(self, chosen: Sequence[int]) -> Interpretation:
        """Some concepts in words, by their numbers.

        Raises:
            ModelError: the method does not return one entry for each.
        """
        part = self.space if self.whole and len(chosen) == self.space.concepts else self.space.only(list(chosen))
        with lent(self.method, part, self.activations) as given:
            words = self.method.interpret(*given, *self.asked)
        numbers = list(range(len(chosen)))
        if not isinstance(words, Interpretation) or [c.concept for c in words.concepts] != numbers:
            raise ModelError(
                f"{type(self.method).__name__}.interpret must return one entry for each concept, in order."
            )
        return replace(words, concepts=tuple(replace(c, concept=chosen[c.concept]) for c in words.concepts))

    def __call__(self, shard: Shard) -> tuple[State, dict[str, Any]]:
        """The concepts of a shard in words, as a packed state; and what the run tells of them."""
        return packed([({}, asdict(self.of(shard.items)))]), {}


def _in_shards(
    run: InterpretationRun,
    chosen: Sequence[int],
    *,
    to: str | Path | None,
    executor: Any,
    size: int,
    progress: bool,
) -> Interpretation:
    """Concepts in words that are worked on shard by shard."""
    folder = None
    if to is not None:
        known, sample = identity_of(run.asked[0].model) if run.asked else ({"model": run.activations.made_by.model}, [])
        settings = {
            "holds": "interpretation",
            "method": name_of(run.method),
            "parameters": described(parameters_of(run.method)),
            "program": code_of(run.method),
            "space": described(run.space),
            "layer": run.activations.layer,
            "activations": digest_of_rows(run.activations),
            "shard_size": size,
        }
        folder = Folder(place_of_run(to), "run", {**known, **settings}, sample)
    stored = StoredShards(Path() if to is None else place_of_run(to))
    parts = []
    for number, (state, _) in enumerate(
        run_shards(
            run,
            shards_of(chosen, size, {}),
            folder=folder,
            executor=executor,
            description=f"interpret by {name_of(run.method)}",
            total=len(chosen),
            progress=progress,
            unit="concept",
        )
    ):
        ((_, data),) = stored.read(number) if state is None else Packed(*state)
        parts.append(Interpretation.from_json(data))
    usages = [part.usage for part in parts if part.usage is not None]
    return Interpretation(
        concepts=tuple(concept for part in parts for concept in part.concepts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        usage=reduce(add, usages) if usages else None,
    )


def _asked_model(method: Any, model: SplitModel | None, activations: Activations) -> tuple[SplitModel, ...]:
    """The model for a method that needs one.

    Raises:
        InputError: it is missing, not needed, or split at another layer.
    """
    declared, name = declaration_of(method), type(method).__name__
    needs = declared.needs if declared else getattr(method, "needs", frozenset())
    name = declared.name if declared else name
    if "model" not in needs:
        if model is not None:
            raise InputError(f"{name} asks no model; leave it out.")
        return ()
    if model is None:
        raise InputError(f"{name} asks the model; give model=, the split model (--model on the command line).")
    check_layer(model, activations)
    return (model,)


def digest_of(space: ConceptSpace) -> str:
    """A short name of the directions of a space, by which an interpretation knows the space that it is of."""
    directions = space.dictionary.detach().float().cpu().numpy()
    return blake2b(directions.tobytes(), digest_size=8).hexdigest()


def numbers_of(concepts: Any, space: ConceptSpace) -> list[int]:
    """The numbers of the concepts that a caller names.

    Raises:
        InputError: these are not numbers of concepts.
    """
    if isinstance(concepts, str) and concepts == "all":
        return list(range(space.concepts))
    if isinstance(concepts, Iterable) and not isinstance(concepts, str):
        numbers = list(concepts)
        if all(hasattr(i, "__index__") and not isinstance(i, bool) for i in numbers):
            return [i.__index__() for i in numbers]
    raise InputError(
        f"concepts is {concepts!r}; the numbers of concepts in a list, such as [0, 3], or 'all' was expected."
    )
