"""The texts, references and targets that circuits are found and measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, TypeVar

from interp_core.attribution import Options, PreparedText, Question, Session
from interp_core.errors import InputError
from interp_core.model import WrappedModel
from interp_core.results import MadeBy, counted
from interp_core.text import as_texts

PACKAGE = "interp-edge-attribution"
T = TypeVar("T")


def session_for(model: WrappedModel, references: Any, *, score: str, align: str | None, progress: bool) -> Session:
    """A run of a model over texts and references.

    Raises:
        InputError: the model is not a `TextModel`.
    """
    options = Options(
        over="components", reference=references, align=align, score=score, output="sample", progress=progress
    )
    return Session(model, options)


def prepared_texts(session: Session, texts: Any, targets: Any) -> list[PreparedText]:
    """The texts with their references and the one target of each.

    Raises:
        InputError: there are not as many references as texts, or a text has several targets.
    """
    corpus = as_texts(texts)
    prepared = session.prepare(corpus, targets, "word")
    several = next((one for one in prepared if len(one.readout.targets) != 1), None)
    if several is not None:
        raise InputError(
            f"text {several.number} has {len(several.readout.targets)} targets; a circuit is for one each: name a "
            "class, a continuation, or interp.contrast(right, wrong)."
        )
    return prepared


def asked(
    session: Session, prepared: Sequence[PreparedText], work: Callable[[Question], T], description: str
) -> list[T]:
    """What a function gives for the question about each text."""
    return session.each(prepared, [work] * len(prepared), description)


def of_package(made: MadeBy, method: str, source: str) -> MadeBy:
    """The provenance of what this package computes itself, which no registry knows."""
    return replace(made, method=method, package=PACKAGE, version=version(PACKAGE), source=source)


def target_of(prepared: Sequence[PreparedText]) -> str:
    """The target of all texts; how many there are, if they differ."""
    labels = dict.fromkeys(one.readout.targets[0].label for one in prepared)
    first = next(iter(labels))
    return first if len(labels) == 1 else f"{first} and {len(labels) - 1} others"


def notes_of(noted: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The notes of the texts, each once, with how many have it."""
    times = Counter(note for notes in noted for note in notes)
    return tuple(f"{times[note]} of {counted(len(noted), 'text')}: {note}" for note in times)
