"""All that a plugin's top module imports: `hookimpl`, `Method` and its vocabularies. Standard library and pluggy
only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

import pluggy

GROUP = "interp"
PROGRAM_SOURCE = "defined by the program"
hookimpl = pluggy.HookimplMarker(GROUP)

Kind = Literal["attribution", "concepts", "interpretation", "metric", "llm", "executor"]
Need = Literal["gradients", "internals", "nonnegative", "labels", "model", "method", "truth"]
Claim = Literal["complete", "seeded", "signed", "nonnegative", "decodes", "recovers", "exact-when-small"]
API = 1  # the version of this contract that the core speaks

VERBS: dict[str, str] = {
    "attribution": "attribute",
    "concepts": "fit",
    "interpretation": "interpret",
    "metric": "measure",
    "llm": "generate",
    "executor": "map",
}
SUMMARY_LIMIT = 80
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a method is, declared without importing it.

    Attributes:
        name: registry name, kebab-case: `"integrated-gradients"`.
        kind: which verb the implementation has, see `VERBS`.
        target: where it is, `"package.module:Class"`; imported on first use.
        summary: one line of at most 80 characters for `interp list`.
        source: authors, year and identifier of the paper; goes into the references of every report.
        needs: what the input must offer. For attributions: `gradients`, `internals`; for concepts: `nonnegative`,
            `labels`; for interpretations: `model`; for metrics of attributions `method` (the method that made them),
            `labels` (what people marked) and `model`, each handed to `measure` after the question, in this order; for
            metrics of concepts `method` (the one that learnt the space), `truth` (the planted space) and `model` (the
            `SplitModel`), each handed to `measure` after the activations, in this order, and `labels` (which the
            activations must carry). A metric of concepts whose class says `reconstructs = False` does not look at what
            a space gives back, and has a random floor however many concepts there are.
        claims: what is promised. Each claim selects the conformance checks that are run on the method.
        measures: for metrics only, the kind of value that is measured.
        api: the version of this contract that the package speaks; a core that does not speak it refuses the package.
    """

    name: str
    kind: Kind
    target: str
    summary: str
    source: str
    needs: frozenset[Need] = frozenset()
    claims: frozenset[Claim] = frozenset()
    measures: Kind | None = None
    api: int = API

    def __post_init__(self) -> None:
        for faulty, message in self._faults():
            if faulty:
                raise ValueError(f"Method {self.name!r}: {message}")

    def _faults(self) -> list[tuple[bool, str]]:
        kinds = get_args(Kind)
        return [
            (not _NAME.fullmatch(self.name), "the name must be kebab-case, such as 'integrated-gradients'."),
            (self.kind not in kinds, f"the kind {self.kind!r} is not one of {', '.join(kinds)}."),
            (not _TARGET.fullmatch(self.target), f"the target {self.target!r} must read 'package.module:Class'."),
            (not 0 < len(self.summary) <= SUMMARY_LIMIT, f"the summary must have 1 to {SUMMARY_LIMIT} characters."),
            (not self.source.strip(), "the source (paper or 'definition') is empty."),
            *_outside("needs", self.needs, get_args(Need)),
            *_outside("claims", self.claims, get_args(Claim)),
            ((self.kind == "metric") != (self.measures is not None), "'measures' is for metrics, and metrics need it."),
            (self.measures not in (None, *kinds), f"measures {self.measures!r} is not one of {', '.join(kinds)}."),
        ]


def _outside(field: str, given: frozenset[str], known: tuple[str, ...]) -> list[tuple[bool, str]]:
    if not isinstance(given, frozenset):
        return [(True, f"{field} must be a frozenset of strings, not {given!r}.")]
    strange = sorted(set(given) - set(known))
    return [(bool(strange), f"{field} {strange} unknown; they are {', '.join(known)}.")]
