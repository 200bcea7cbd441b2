"""What one call of `attribute` asks: of all texts at once, or shard by shard, here or in another process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from interp_core.attribution._attribution import Attribution
from interp_core.attribution._attribution_state import state_of
from interp_core.attribution._attributions import Attributions
from interp_core.attribution._component_text import ComponentText
from interp_core.attribution._labels import true_classes
from interp_core.attribution._method_call import explain, name_of
from interp_core.attribution._options import Options
from interp_core.attribution._prediction import late_readout
from interp_core.attribution._prepared_text import PreparedText
from interp_core.attribution._question_checks import check_count
from interp_core.attribution._session import session_of
from interp_core.attribution._stored_attributions import StoredAttributions
from interp_core.attribution._targets import each_has_own
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import CLASSIFIERS, GENERATORS, ServedModel, WrappedModel, answer_of, identity_of
from interp_core.plugin import declaration_of
from interp_core.results import Cost, counted, made_by, parameters_of
from interp_core.runs import Folder, Shard, code_of, described, packed, place_of_run, run_shards, shards_of
from interp_core.text import Granularity, Text, as_stream, as_texts
from torch import Tensor


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

    def of_all(self, texts: Sequence[Text], labels: Any) -> tuple[Attributions, list[str]]:
        """The attributions of all texts, which share passes; and what the caller should be warned of."""
        found, skipped, _ = self.of(texts, self.targets, labels, self.options)
        return _said(found, skipped, len(texts))

    def __call__(self, shard: Shard) -> tuple[Any, dict[str, Any]]:
        """The attributions of the texts of one shard, and what the run tells of them."""
        own = {name: list(values) for name, values in shard.beside.items()}
        options = replace(self.options, progress=False, reference=own.get("references", self.options.reference))
        texts = as_texts(list(shard.items))
        targets = own.get("targets", self.targets)
        found, skipped, cost = self.of(texts, targets, own.get("labels"), options, shard.first)
        noted = [one for one in found if one.notes]
        told = {
            "skipped": skipped,
            "noted": [len(noted), noted[0].notes[0] if noted else ""],
            "right": Counter(str(one.right) for one in found),
            "cost": {name: value for name, value in vars(cost).items() if name != "seconds"},
        }
        return (packed([state_of(one) for one in found]) if self.kept else found), {**told, "values": len(found)}

    def of(
        self, texts: Sequence[Text], targets: Any, labels: Any, options: Options, first: int | None = None
    ) -> tuple[list[Attribution], dict[str, str], Cost]:
        """The attributions of some texts, the errors of those that were skipped, and the cost.

        `first` is the number of the first of them in a run in shards. What is kept of such a run is the same whenever
        it is made, so it says no seconds.
        """
        model, method = self.model, self.method
        declared = declaration_of(method)
        pointwise = declared is not None and "pointwise" in declared.claims
        session = session_of(model, options, pointwise=pointwise)
        _check_for_generators(model, options)
        _check_components(options, self.granularity)
        truths = None if labels is None else true_classes(model, texts, labels)
        readout = late_readout(model, options, targets) if pointwise else None
        known: dict[str, Any] = {"answers": truths is not None, "readout": readout, "first": first}
        prepared = session.prepare(texts, targets, self.granularity, **known)
        first_of = {_key(p): i for i, p in reversed(list(enumerate(prepared)))}
        firsts = sorted(first_of.values())  # equal texts with equal targets are explained once
        works = [partial(explain, method)] * len(firsts)
        explained = session.each([prepared[i] for i in firsts], works, f"attribute by {name_of(method)}")
        failed = session.attempts.failed
        by_first = dict(zip(firsts, explained, strict=True))
        for item in prepared:
            if by_first[first_of[_key(item)]] is None:
                failed.setdefault(item.number, failed[prepared[first_of[_key(item)]].number])
        session.attempts.check()
        results = [
            (session.with_prediction(item, prepared[one]), result)
            for item, one in ((item, first_of[_key(item)]) for item in prepared)
            if (result := by_first[one]) is not None
        ]
        cost = session.cost if first is None else replace(session.cost, seconds=0.0)
        settings = {name: value for name, value in session.settings(self.granularity).items() if name != "skipped"}
        provenance = made_by(method, cost, model.name, settings)
        found = [
            replace(
                result,
                made_by=replace(provenance, settings={**provenance.settings, **_settings(item)}),
                score_space=item.readout.space,
                encoded=item.encoded,
                label=None if truths is None else truths[item.number],
                **_answer(model, item, result),
            )
            for item, result in results
        ]
        return found, session.attempts.skipped, cost

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
        return _said(found, skipped, items)
    notes = [f"{noted} of {items - len(skipped)} texts: {note}"] if noted else []
    return StoredAttributions(place), notes + _skipped_note(skipped, items)


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


def as_list(targets: Any) -> Any:
    """Targets as a list, if they are a column of a table or data set; else as they are."""
    column = all(hasattr(targets, name) for name in ("__len__", "__getitem__", "__iter__"))
    if not column or isinstance(targets, str | list | tuple | Mapping | Tensor) or callable(targets):
        return targets
    return targets.tolist() if hasattr(targets, "tolist") else list(targets)


def _listed(target: Any) -> Any:
    """The targets of one text in a list, for a classifier, to which one of its own is given."""
    return target if isinstance(target, list | tuple) else [target]


def _said(found: list[Attribution], skipped: dict[str, str], texts: int) -> tuple[Attributions, list[str]]:
    """Attributions that say which texts were skipped; and what the caller should be warned of."""
    noted = [one for one in found if one.notes]
    notes = [f"{len(noted)} of {len(found)} texts: {noted[0].notes[0]}"] if noted else []
    lost = _skipped_note(skipped, texts)
    if lost:
        found = [
            replace(
                one,
                made_by=replace(one.made_by, settings={**one.made_by.settings, "skipped": skipped}),
                notes=(*one.notes, *lost),
            )
            for one in found
        ]
    return Attributions(found), notes + lost


def _skipped_note(skipped: dict[str, str], texts: int) -> list[str]:
    if not skipped:
        return []
    return [f"{len(skipped)} of {counted(texts, 'text')} were skipped: {next(iter(skipped.values()))}"]


def _check_for_generators(model: WrappedModel | ServedModel, options: Options) -> None:
    """Refuse options about a continuation that would change nothing, or that no continuation can have.

    Raises:
        InputError: the model does not generate, and one was given; or `max_new_tokens` is not a number of tokens.
    """
    if model.head in GENERATORS:
        check_count("max_new_tokens", options.max_new_tokens, 1)
        return
    for name in ("output", "max_new_tokens"):
        given = getattr(options, name)
        if given != getattr(Options, name):
            raise InputError(
                f"{name}={given!r} is for models that generate text, and {model.name} does not; leave it out."
            )


def _check_components(options: Options, granularity: Any) -> None:
    """Refuse options about components that do not fit each other.

    Raises:
        InputError: a reference is missing, or was given without components, or an option about words was given.
    """
    if options.over is None:
        given = [name for name in ("reference", "align") if getattr(options, name) is not None]
        if given:
            raise InputError(f"{given[0]}= is about components of the model; give over=, such as over='heads'.")
        return
    if options.reference is None:
        raise InputError("over= needs a reference: another text, 'mean' or 'zero', which closed gates let through.")
    chosen = options.removal != "auto", granularity != "word", options.units is not None
    name = next((name for name, own in zip(("removal", "granularity", "units"), chosen, strict=True) if own), None)
    if name is not None:
        raise InputError(
            f"{name}= is about the words of a text, and over= about components of the model; leave it out."
        )


def _answer(model: WrappedModel | ServedModel, item: PreparedText, result: Attribution) -> dict[str, Any]:
    """The answer of a classifier and its probability, if all of its logits are known."""
    if model.head not in CLASSIFIERS or model.head == "regression":
        return {}
    logits, every = item.logits, [(i, None, None) for i in range(len(model.labels))]
    asked = [(t.index, t.against, t.function) for t in item.readout.targets]
    if logits is None and item.readout.space == "logit" and asked == every:
        logits = result.intact
    if logits is None:
        return {}
    answer, probability = answer_of(logits, model.labels, model.head)
    return {"answer": answer, "probability": probability}


def _settings(item: PreparedText) -> dict[str, Any]:
    """What the provenance of one text says besides the settings of the run."""
    if isinstance(item.encoded, ComponentText):
        return {"over": item.encoded.over, "reference": item.encoded.reference}
    return {"removal": item.removal}


def _key(prepared: PreparedText) -> tuple[Any, ...]:
    encoded = prepared.encoded
    components = encoded.key if isinstance(encoded, ComponentText) else ()
    return (encoded.text, encoded.said, encoded.documents, encoded.units, prepared.readout.targets, components)
