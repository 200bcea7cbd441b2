"""What the top module of a plugin imports: `hookimpl`, `Method` and its vocabularies.

Only the standard library and pluggy are imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

import pluggy

GROUP = "interp"  # the group of entry points, and the name of the pluggy project
PROGRAM_SOURCE = "defined by the program"  # the source of a method that a program writes for itself
hookimpl = pluggy.HookimplMarker(GROUP)

Kind = Literal["attribution", "concepts", "interpretation", "metric", "llm", "executor"]
Need = Literal["gradients", "internals", "components", "nonnegative", "labels", "model", "method", "truth"]
Claim = Literal[
    "complete",
    "seeded",
    "signed",
    "nonnegative",
    "decodes",
    "recovers",
    "exact-when-small",
    "ignores-model",
    "pointwise",
]
API = 1  # the version of the plugin contract that this core supports

VERBS: dict[str, str] = {  # the method that an implementation of each kind has
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
    """The declaration of a method, which describes it without importing it.

    Attributes:
        name: the name of the method in kebab-case, such as `"integrated-gradients"`.
        kind: the kind of the method; `VERBS` names the function that an implementation of each kind needs.
        target: the implementation as `"package.module:Class"`, imported on first use.
        summary: one line for `interp list`, at most 80 characters.
        source: the authors, year and identifier of the paper, for the references of reports; `"definition"` if there is
            no paper.
        needs: what the input must offer. For attributions: `gradients`, `internals`, `components`. For concepts:
            `nonnegative`, `labels`. For interpretations: `model`. For metrics of attributions: `method` (the method
            that made them), `labels` (human annotation) and `model`, passed to `measure` after the question, in this
            order. For metrics of concepts: `method` (the method that learnt the space), `truth` (the planted space) and
            `model` (the `SplitModel`), passed to `measure` after the activations, in this order, and `labels` (which
            the activations must have). A metric of concepts whose class has `reconstructs = False` does not use the
            reconstructions of a space, so it has a chance level for any number of concepts.
        claims: the properties that the method promises. Each claim selects conformance checks.
        measures: for metrics only, the kind of method whose results are measured.
        api: the version of the plugin contract that the package was written for. A core that does not support it
            reports the package as broken.

    Raises:
        ValueError: an attribute is malformed or unknown.

    Examples:
        >>> from interp_core.plugin import Method
        >>> lime = Method(
        ...     name="lime",
        ...     kind="attribution",
        ...     target="interp_lime.lime:Lime",
        ...     summary="a weighted linear model of what happens when units are left out",
        ...     source="Ribeiro et al. 2016, arXiv:1602.04938",
        ...     claims=frozenset({"seeded", "signed"}),
        ... )
        >>> import dataclasses
        >>> dataclasses.replace(lime, name="My LIME")
        Traceback (most recent call last):
        ValueError: Method 'My LIME': the name must be kebab-case, such as 'integrated-gradients'.
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


def _outside(field: str, values: frozenset[str], known: tuple[str, ...]) -> list[tuple[bool, str]]:
    if not isinstance(values, frozenset):
        return [(True, f"{field} must be a frozenset of strings, not {values!r}.")]
    unknown = sorted(set(values) - set(known))
    return [(bool(unknown), f"{field} {unknown} are unknown; the known ones are {', '.join(known)}.")]
