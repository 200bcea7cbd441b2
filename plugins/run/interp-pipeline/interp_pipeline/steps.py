"""The steps of a pipeline: which verb each calls, on what, and with which options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import interp_core as interp
from interp_core.concepts import Change
from interp_core.errors import InputError, InterpError, unknown
from interp_core.model import SplitModel
from interp_core.plugin import Kind, find_method, resolve
from interp_core.results import parameters_of

from interp_pipeline.document import Document, Place
from interp_pipeline.keys import key_of_path

TABLES = ("model", "texts", "steps")


@dataclass(frozen=True)
class Verb:
    """What a step can do.

    Attributes:
        kind: of the method that `by` names; None for a verb without one.
        inputs: what it is called with, by argument: what the steps do that can give it; nothing for model and texts.
        options: the options that a pipeline may set.
        needs: the options that must be set.
        compared: the options that name several methods, with their kinds.
    """

    kind: Kind | None
    inputs: Mapping[str, tuple[str, ...]]
    options: tuple[str, ...]
    needs: tuple[str, ...] = ()
    compared: Mapping[str, Kind] = field(default_factory=dict)


def _options(function: Any, *without: str) -> tuple[str, ...]:
    """The keyword-only options of a verb that are data."""
    parameters = inspect.signature(inspect.unwrap(function)).parameters.values()
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return tuple(name for name in named if name not in ("progress", "labels", "class_names", *without))


NAME = re.compile(r"[\w-]+")
COMPARED: dict[str, Kind] = {"methods": "attribution", "metrics": "metric"}
CORPUS: dict[str, tuple[str, ...]] = {"model": (), "texts": ()}
LEARNT = {"space": ("fit",), "activations": ("activations",)}
VERBS: dict[str, Verb] = {
    "attribute": Verb("attribution", CORPUS, _options(interp.attribute), ("by",)),
    "activations": Verb(None, CORPUS, ("layer", *_options(SplitModel.activations, "to")), ("layer",)),
    "fit": Verb("concepts", {"activations": ("activations",)}, _options(interp.fit_concepts), ("by",)),
    "interpret": Verb("interpretation", LEARNT, _options(interp.interpret)),
    "importance": Verb("attribution", LEARNT, _options(interp.importance)),
    "effect": Verb(None, LEARNT, ("ablate", "scale", "add", *_options(interp.effect))),
    "measure": Verb("metric", {"of": ("attribute", "fit")}, _options(interp.measure, "method"), ("by", "of")),
    "benchmark": Verb(None, CORPUS, _options(interp.benchmark), ("methods", "metrics"), COMPARED),
}


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: its name.
        verb: what it does.
        inputs: the names of the steps that it builds on, by argument; `"model"` and `"texts"` stand for themselves.
        options: the options of the verb, as JSON values.
        methods: the method of the verb, or those that it compares.
        place: where it stands in the document.
    """

    name: str
    verb: str
    inputs: Mapping[str, str]
    options: Mapping[str, Any]
    methods: tuple[Any, ...] = ()
    place: Place = ()


def steps_of(document: Document) -> list[Step]:
    """The steps of a document, checked: nothing is loaded or computed.

    Raises:
        InputError: an entry is unknown or missing, a step builds on one that does not come before it, or a method is
            not installed or refuses a parameter; the message says where.
    """
    for name in document.data:
        if name not in TABLES:
            raise document.error((name,), unknown("the table", name, TABLES))
    steps = document.data.get("steps")
    if not isinstance(steps, Mapping) or not steps:
        raise document.error(("steps",), "there are no steps; write [steps.NAME] with do = one of " + ", ".join(VERBS))
    found: list[Step] = []
    for name, entries in steps.items():
        if not NAME.fullmatch(str(name)) or name in TABLES:
            raise document.error(("steps", str(name)), f"{name!r} is no name of a step; use letters, digits, - and _.")
        found.append(_step(document, str(name), entries, found))
    return found


def _step(document: Document, name: str, entries: Any, before: Sequence[Step]) -> Step:
    place = ("steps", name)
    if not isinstance(entries, Mapping) or not isinstance(entries.get("do"), str):
        raise document.error(place, f"a step says what it does: do = one of {', '.join(VERBS)}.")
    if entries["do"] not in VERBS:
        raise document.error((*place, "do"), unknown("do", entries["do"], VERBS))
    verb, does = VERBS[entries["do"]], str(entries["do"])
    inputs = {}
    for role, kinds in verb.inputs.items():
        inputs[role] = role if not kinds else _input(document, place, entries, role, kinds=kinds, before=before)
        if role == "activations" and role not in entries and "space" in inputs:  # those that the space was learnt from
            inputs[role] = next(step for step in before if step.name == inputs["space"]).inputs[role]
    given = {key: value for key, value in entries.items() if key not in ("do", "by") and not verb.inputs.get(key)}
    for key in verb.needs:
        if key not in entries:
            raise document.error(place, f"{does} needs {key!r}, which is missing.")
    options = {key: value for key, value in given.items() if key in verb.options}
    rest = {key: value for key, value in given.items() if key not in options}
    methods: list[Any] = []
    if verb.kind is not None:
        by = entries.get("by") or inspect.signature(getattr(interp, does)).parameters["by"].default
        methods.append(_method(document, place, "by", by, kind=verb.kind, parameters=rest))
    elif rest:
        wrong = next(iter(rest))
        raise document.error((*place, wrong), unknown("the option", wrong, (*verb.inputs, *verb.options)))
    _check_values(document, place, options, verb)
    for key, kind in verb.compared.items():
        methods += [_method(document, place, key, one, kind=kind) for one in options[key]]
    return Step(name, does, inputs, options, tuple(methods), place)


def _check_values(document: Document, place: Place, options: dict[str, Any], verb: Verb) -> None:
    """Refuse values of another type where a verb would read them as something else."""
    for key in verb.compared:
        options[key] = [options[key]] if isinstance(options[key], str) else options[key]
        if not isinstance(options[key], list) or not all(isinstance(one, str) for one in options[key]):
            raise document.error((*place, key), f"{key} is {options[key]!r}; names of methods were expected.")
    for key, kind in (("ablate", list), ("scale", Mapping), ("add", Mapping)):
        if key in options and not isinstance(options[key], kind):
            expected = "a list of concepts" if key == "ablate" else "a number for each concept"
            raise document.error((*place, key), f"{key} is {options[key]!r}; {expected} was expected.")


def _method(
    document: Document, place: Place, key: str, by: Any, *, kind: Kind, parameters: Mapping[str, Any] | None = None
) -> Any:
    """The method that an entry names, with its parameters."""
    given = parameters or {}
    try:
        find_method(by, kind)
    except InterpError as error:
        raise document.error((*place, key), str(error)) from error
    try:
        return resolve(by, kind, given)
    except InterpError as error:
        wrong = next((one for one in given if re.search(rf"\b{re.escape(one)}\b", str(error))), key)
        raise document.error((*place, wrong), str(error)) from error


def _input(
    document: Document,
    place: Place,
    entries: Mapping[str, Any],
    role: str,
    *,
    kinds: tuple[str, ...],
    before: Sequence[Step],
) -> str:
    """The step that an argument is taken from: the one that is named, or else the last of the right kind."""
    able, what = (
        [step.name for step in before if step.verb in kinds],
        f"a step before it that does {' or '.join(kinds)}",
    )
    if not able:
        raise document.error(place, f"it builds on {what}; there is none.")
    if role in entries and entries[role] not in able:
        raise document.error((*place, role), f"{entries[role]!r} is not {what}; {', '.join(able)} would be.")
    return str(entries.get(role, able[-1]))


def change_of(options: Mapping[str, Any]) -> tuple[Change, dict[str, Any]]:
    """The change of an effect, and its other options. Concepts are named, or numbered as text, as TOML has keys."""

    def number(key: Any) -> Any:
        return int(key) if isinstance(key, str) and key.isdigit() else key

    def amounts(name: str) -> dict[Any, float]:
        return {number(key): value for key, value in options.get(name, {}).items()}

    change = Change([number(one) for one in options.get("ablate", ())], amounts("scale"), amounts("add"))
    return change, {key: value for key, value in options.items() if key not in ("ablate", "scale", "add")}


def described(method: Any) -> dict[str, Any]:
    """What a result depends on of its method: which, in which release, with which parameters."""
    from interp_core.plugin import declaration_of, package_of, version_of

    declared = declaration_of(method)
    if declared is None:
        raise InputError(f"{type(method).__name__} is not installed; a pipeline names methods.")
    return {
        "name": declared.name,
        "package": package_of(declared),
        "version": version_of(declared),
        "parameters": parameters_of(method),
        "files": files_of(method),
    }


def files_of(method: Any) -> dict[str, str]:
    """The keys of the files and folders that parameters of a method name, on which it then depends."""
    named = {name: value for name, value in vars(method).items() if isinstance(value, str) and _is_path(value)}
    return {name: key_of_path(Path(value)) for name, value in named.items()}


def _is_path(text: str) -> bool:
    """Whether a text names something that lies here."""
    try:
        return bool(text) and Path(text).exists()
    except OSError:
        return False
