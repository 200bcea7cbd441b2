"""Holds every small model to plain transformers and writes `docs/models.md`: `make zoo`.

With the names of families, only these are run, and nothing is written.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import torch
import transformers

from zoo.building import HEADS, CannotBuildError, built, families
from zoo.checking import Outcome, outcomes

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
Results = dict[tuple[str, str], list[Outcome] | str]  # for a model that cannot be built, the reason


def run(names: list[str]) -> Results:
    """The outcomes of all models, or of those of some families."""
    results: Results = {}
    for family, head in families():
        if names and family not in names:
            continue
        try:
            results[family, head] = outcomes(built(family, head))
        except CannotBuildError as error:
            results[family, head] = str(error)
            continue
        for one in results[family, head]:
            if isinstance(one, Outcome) and (one.verdict in ("wrong", "raw") or (names and one.verdict != "right")):
                print(family, head, one.check, one.verdict, one.reason, flush=True)
    return results


def page(results: Results) -> str:
    """The table of families and heads, with the reasons of what is refused below."""
    letters: dict[str, int] = {}
    rows: dict[str, list[str]] = {}
    for (family, head), found in results.items():
        if isinstance(found, str):
            continue
        cell = _cell(found, letters)
        rows.setdefault(family, [""] * len(HEADS))[list(HEADS).index(head)] = cell
    missing: dict[str, set[str]] = {}
    for (family, _), found in results.items():
        if isinstance(found, str):
            missing.setdefault(found, set()).add(family)
    counted = Counter(one.verdict for found in results.values() if not isinstance(found, str) for one in found)
    asked = sum(n for verdict, n in counted.items() if verdict != "none")
    models = sum(not isinstance(found, str) for found in results.values())
    return "\n".join(
        [
            "# Models",
            "",
            "Small models with random weights, made from the configurations of transformers "
            f"{transformers.__version__} and held to",
            "plain transformers, one text at a time without padding: scores, occlusion, gradients, integrated",
            "gradients, attention, company and padding, activations, resuming and changing each block, removal of all",
            "words, and that nothing of the model changes. `make zoo` runs them all and writes this page; a tenth",
            "runs in the tests, another one with each commit.",
            "",
            f"{models:,} models of {len(rows)} families, {asked:,} checks: {counted['right']:,} right, "
            f"{counted['refused']:,} refused with a reason,",
            f"{counted['wrong']} wrong, {counted['raw']} with an error of another kind. “yes”: all is right. A number: "
            "all else is, and what is refused",
            "stands below.",
            "",
            f"| family | {' | '.join(HEADS)} |",
            f"|---|{'---|' * len(HEADS)}",
            *(f"| {family} | {' | '.join(cells)} |" for family, cells in sorted(rows.items())),
            "",
            "## What is refused",
            "",
            *(f"{number}. {reason}" for reason, number in letters.items()),
            "",
            "## Not in the zoo",
            "",
            *(f"- {', '.join(sorted(names))}: {reason}." for reason, names in sorted(missing.items())),
            "",
        ]
    )


def _cell(found: list[Outcome], letters: dict[str, int]) -> str:
    numbers = []
    for one in found:
        if one.verdict == "refused":
            reason = _general(one)
            numbers.append(str(letters.setdefault(reason, len(letters) + 1)))
        elif one.verdict in ("wrong", "raw"):
            numbers.append(f"**{one.check} {one.verdict}**")
    return ", ".join(dict.fromkeys(numbers)) or "yes"


def _general(one: Outcome) -> str:
    """A reason without what is of one model only."""
    reason = one.reason.partition(": ")[2]
    reason = re.sub(r"\b[A-Z]\w*(For|Model|LMHead)\w*", "the model", reason)
    reason = re.sub(r"layer '[^']*'", "the layer", reason)
    return re.sub(
        r"\d+ (states|positions)", r"fewer \1", re.sub(r"text of \d+|for \d+", lambda m: m[0].split()[0], reason)
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    results = run(sys.argv[1:])
    if not sys.argv[1:]:
        PAGE.write_text(page(results), encoding="utf-8")
    verdicts = Counter(o.verdict for found in results.values() if not isinstance(found, str) for o in found)
    print(dict(verdicts))
    sys.exit(bool(verdicts["wrong"] or verdicts["raw"]))
