"""Runs of a metric over attributions: those of a list together, those of a stream or a folder shard by shard."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sized
from hashlib import blake2b
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any

from interp_core.attribution import Attribution, name_of
from interp_core.errors import InputError
from interp_core.metrics._attribution_metrics import AttributionMetricRun, key_of, metric_options
from interp_core.metrics._score import Score
from interp_core.metrics._text_score import Choices, TextScore
from interp_core.model import ServedModel, WrappedModel, identity_of
from interp_core.results import (
    Cost,
    Folder,
    Packed,
    StoredShards,
    check_shard_size,
    code_of,
    described,
    parameters_of,
    place_of_run,
    run_shards,
    shards_of,
)

RANDOM_ORDERS = 30  # at least, over all texts
ORDERS_OF_A_TEXT = 4  # at least: with fewer, the orders make intervals of margins wider than the texts do


def score_of(
    metric: Any,
    attributions: Iterable[Attribution],
    model: WrappedModel | ServedModel,
    labels: Iterable[Any] | None,
    *,
    needs: frozenset[str],
    method: Any,
    choices: Choices,
    chance: bool,
    to: str | Path | None,
    executor: Any,
    shard_size: int,
) -> Score:
    """The mean of the metric over texts with its interval and chance level; the arguments are those of `measure`.

    Raises:
        InputError: the labels, the model or an option does not fit the attributions, or the folder holds another run.
        ModelError: the metric returned something other than a `Score` with a finite value.
    """
    total = len(attributions) if isinstance(attributions, Sized) else None
    if total is not None and isinstance(labels, Sized) and len(labels) != total:
        raise InputError(f"{len(labels)} labels were given for {total} attributions.")
    sharded = to is not None or executor is not None or not isinstance(attributions, list)
    stream = _checked(attributions)
    enough = math.ceil(RANDOM_ORDERS / ORDERS_OF_A_TEXT)  # texts, for as many orders of each as of any more
    some = list(islice(stream, max(enough, check_shard_size(shard_size)) if sharded else total))
    if not some:
        raise InputError("an empty list cannot be measured; a list of at least one Attribution was expected.")
    known = total if total is not None else len(some)
    draws = max(ORDERS_OF_A_TEXT, math.ceil(RANDOM_ORDERS / min(enough, known))) if chance else 0
    options = metric_options(metric, some[:shard_size] if sharded else some, model, needs, choices)
    run = AttributionMetricRun(metric, model, needs, choices, options, draws, method)
    if not sharded:
        none = [None] * len(some)
        own = none if labels is None else list(labels)
        scores, session, first = run.of(some, own, list(_before(some)), options)
        settings = {"score": first.space, "removal": first.removal, **session.asked}
        return run.finished(run.summed(scores, session.notes), session.cost, len(scores), settings)
    return _in_shards(run, chain(some, stream), labels, total, (to, executor, shard_size))


def _in_shards(
    run: AttributionMetricRun,
    attributions: Iterator[Attribution],
    labels: Iterable[Any] | None,
    total: int | None,
    where: tuple[str | Path | None, Any, int],
) -> Score:
    to, executor, size = where
    place = None if to is None else place_of_run(to)
    one, other = tee(attributions)  # no further apart than a shard is long
    beside: dict[str, Iterable[Any]] = {"before": _before(one)}
    if labels is not None:
        beside["labels"] = labels
    name = name_of(run.metric)
    folder = None
    if place is not None:
        known, sample = identity_of(run.model)
        asked = {n: value for n, value in vars(run.options).items() if n != "progress"}
        settings = {
            "holds": "score",
            "method": name,
            "parameters": described(parameters_of(run.metric)),
            "program": code_of(run.metric),
            **described({**asked, "method again": run.method, "draws": run.draws, "labels given": labels is not None}),
            "shard_size": size,
        }
        folder = Folder(place, "run", {**known, **settings}, sample)
    stored = StoredShards(place or Path())
    shards = shards_of(other, size, beside)
    scores: list[TextScore] = []
    cost, said, notes = Counter[str](), None, dict[str, None]()
    for number, (state, told) in enumerate(
        run_shards(
            run,
            shards,
            folder=folder,
            executor=executor,
            description=f"measure by {name}",
            total=total,
            progress=run.options.progress,
        )
    ):
        states = stored.read(number) if state is None else Packed(*state)
        scores += [TextScore.of_state(one) for one in states]
        cost.update(told["cost"])
        notes |= dict.fromkeys(told["notes"])
        said = said or {"score": told["space"], "removal": told["removal"], **told["asked"]}
    score = run.finished(run.summed(scores, list(notes)), Cost(**cost), len(scores), said or {})
    if folder is not None:
        score.save(folder.folder / "result.json")
    return score


def _checked(attributions: Iterable[Any]) -> Iterator[Attribution]:
    """The attributions of a stream.

    Raises:
        InputError: one of them is something else.
    """
    for number, one in enumerate(attributions):
        if not isinstance(one, Attribution):
            raise InputError(f"result {number} is {type(one).__name__}, where an Attribution was expected.")
        yield one


def _before(attributions: Iterable[Attribution]) -> Iterator[int]:
    """How many equal texts come before each."""
    seen = Counter[bytes]()
    for one in attributions:
        key = blake2b(key_of(one).encode(), digest_size=12).digest()
        yield seen[key]
        seen[key] += 1
