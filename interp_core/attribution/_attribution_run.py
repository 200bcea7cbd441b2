"""The part of a call of `attribute` that concerns a shard of texts, here or in another process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interp_core.attribution._attribution import Attribution
from interp_core.attribution._attribution_state import state_of
from interp_core.attribution._attributions import Attributions
from interp_core.attribution._method_call import explained, name_of, skipped_note, with_notes
from interp_core.attribution._options import Options
from interp_core.attribution._stored_attributions import StoredAttributions
from interp_core.attribution._targets import each_has_own
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import CLASSIFIERS, ServedModel, WrappedModel, identity_of
from interp_core.results import (
    Cost,
    Folder,
    Shard,
    code_of,
    counted,
    described,
    packed,
    parameters_of,
    place_of_run,
    run_shards,
    shards_of,
)
from interp_core.text import Granularity, Text, as_stream, as_texts


@dataclass(frozen=True, eq=False)
class AttributionRun:
    """What one call of `attribute` asks, without the texts.

    Attributes:
        model: the model.
        method: the method.
        options: the options of the call.
        granularity: the units.
        targets: what to explain, unless each shard has its own.
        kept: the attributions of a shard are for a folder, and so packed; else they are handed over as they are.
    """

    model: WrappedModel | ServedModel
    method: Any
    options: Options
    granularity: Granularity
    targets: Any = None
    kept: bool = False

    def __call__(self, shard: Shard) -> tuple[Any, dict[str, Any]]:
        """The attributions of the texts of one shard, and what the run tells of them."""
        own = {name: list(values) for name, values in shard.beside.items()}
        options = replace(self.options, progress=False, reference=own.get("references", self.options.reference))
        texts = as_texts(list(shard.items))
        targets = own.get("targets", self.targets)
        known: dict[str, Any] = {"granularity": self.granularity, "targets": targets, "labels": own.get("labels")}
        found, skipped, cost = explained(self.model, self.method, options, texts, **known, first=shard.first)
        noted = [one for one in found if one.notes]
        told = {
            "skipped": skipped,
            "noted": [len(noted), noted[0].notes[0] if noted else ""],
            "right": Counter(str(one.right) for one in found),
            "cost": {name: value for name, value in vars(cost).items() if name != "seconds"},
        }
        return (packed([state_of(one) for one in found]) if self.kept else found), {**told, "values": len(found)}

    def settings(self, shard_size: int, beside: Iterable[str]) -> dict[str, Any]:
        """What a folder of a run records, as JSON values; another run resumes it only with the same.

        `beside` names what each shard has of its own.
        """
        options = {name: value for name, value in vars(self.options).items() if name not in ("progress", "on_error")}
        if self.options.layer is not None and isinstance(self.model, WrappedModel):
            options["layer"] = self.model.layer_path(self.options.layer)
        return {
            "holds": "attributions",
            "method": name_of(self.method),
            "parameters": described(parameters_of(self.method)),
            "program": code_of(self.method),
            **described({**options, "granularity": self.granularity, "targets": self.targets}),
            "beside": sorted(beside),
            "shard_size": shard_size,
        }


def in_shards(
    run: AttributionRun,
    texts: Text | Iterable[Text],
    labels: Any,
    *,
    to: str | Path | None,
    executor: Any,
    shard_size: int,
) -> tuple[Attributions | StoredAttributions, list[str]]:
    """The attributions of texts that are worked on shard by shard; and what the caller should be warned of."""
    if executor is not None and not isinstance(run.model, WrappedModel):
        raise UnsupportedError(
            f"{run.model.name} is behind a server, to which requests go in parallel already; leave executor out."
        )
    corpus, total = as_stream(texts)
    beside = _columns(run, labels, total)
    run = replace(
        run,
        kept=to is not None,
        targets=None if "targets" in beside else run.targets,
        options=replace(run.options, reference=None) if "references" in beside else run.options,
    )
    place, folder = None if to is None else place_of_run(to), None
    if place is not None:
        known, sample = identity_of(run.model)
        folder = Folder(place, "run", {**known, **run.settings(shard_size, beside)}, sample)
    shards = shards_of(corpus, shard_size, beside)
    found: list[Attribution] = []
    skipped: dict[str, str] = {}
    cost = Counter[str]()
    items = noted = 0
    note = ""
    for state, told in run_shards(
        run,
        shards,
        folder=folder,
        executor=executor,
        description=f"attribute by {name_of(run.method)}",
        total=total,
        progress=run.options.progress,
    ):
        items += told["items"]
        noted, note = noted + told["noted"][0], note or told["noted"][1]
        skipped |= told["skipped"]
        cost.update(told["cost"])
        found += state or []
    if not items:
        raise InputError("there are no texts to explain; give at least one.")
    if len(skipped) == items:
        raise InputError(f"each of {counted(items, 'text')} was skipped: {next(iter(skipped.values()))}")
    if place is None:
        found = [replace(one, made_by=replace(one.made_by, cost=Cost(**cost))) for one in found]
        return with_notes(found, skipped, items)
    notes = [f"{noted} of {items - len(skipped)} texts: {note}"] if noted else []
    return StoredAttributions(place), notes + skipped_note(skipped, items)


def _columns(run: AttributionRun, labels: Any, total: int | None) -> dict[str, Any]:
    """What each text has of its own, by name: labels, targets, references.

    Raises:
        InputError: there are more or fewer of them than texts.
    """
    targets, reference = run.targets, run.options.reference
    columns: dict[str, Any] = {}
    if labels is not None:
        columns["labels"] = [labels] if isinstance(labels, str | int) else labels
    own = each_has_own(targets) if run.model.head in CLASSIFIERS else isinstance(targets, list)
    if isinstance(targets, Iterator):
        of_classes = run.model.head in CLASSIFIERS
        columns["targets"] = map(_listed, targets) if of_classes else targets
    elif own:
        columns["targets"] = targets.tolist() if hasattr(targets, "tolist") else targets
    if isinstance(reference, Iterator) or (isinstance(reference, list) and as_texts(reference) != [reference]):
        columns["references"] = reference
    for name, values in columns.items():
        if total is not None and isinstance(values, Sized) and len(values) != total:
            raise InputError(f"{len(values)} {name} were given for {total} texts; one for each was expected.")
    return columns


def _listed(target: Any) -> Any:
    """The targets of one text in a list, for a classifier, to which one of its own is given."""
    return target if isinstance(target, list | tuple) else [target]
