"""The heading of a report: what was asked, and up to five findings computed from the values."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import torch
from interp_core.metrics import Score
from interp_core.reporting._benchmark_table import what_of
from interp_core.reporting._concept_cards import Weights, title_of
from interp_core.reporting._contents import Contents
from interp_core.reporting._formatting import count, listed, number, short, shortened, signed
from interp_core.reporting._grouping import words_for
from interp_core.reporting._provenance_view import runs_of
from interp_core.reporting._score_view import verdict_of
from interp_core.reporting._text_views import best_target, others, texts_of, visible

MOST = 5
AGAINST = " (against it)"
EACH = 2


@dataclass(frozen=True)
class Finding:
    """One sentence, and the address of what it is about on the page."""

    line: str
    address: str


def title_for(contents: Contents) -> str:
    """A title for a report without one."""
    if contents.attributions:
        return "Why the model answered as it did"
    learnt = contents.spaces or contents.interpretations or contents.importances or contents.class_concepts
    if learnt or contents.effects or contents.activations:
        return "What the model has learnt"
    if contents.benchmarks:
        return "Methods compared"
    return "How far to trust it" if contents.scores or not contents.others else "What was found"


def asked(contents: Contents) -> list[str]:
    """What was asked, in a few words for each kind of value."""
    lines = []
    if contents.attributions:
        texts = len({a.text for a in contents.attributions})
        methods = list(dict.fromkeys(a.made_by.method for a in contents.attributions))
        right = [one.right for one in {a.text: a for a in contents.attributions}.values() if one.right is not None]
        known = f", {sum(right)} of {len(right)} answered rightly" if right else ""
        lines.append(f"{count(texts, 'text')} explained by {listed(methods)}{known}")
    for space in contents.spaces:
        lines.append(
            f"{count(space.concepts, 'concept')} learnt by {space.made_by.method}"
            + (f" at {space.layer}" * bool(space.layer))
        )
    if contents.class_concepts:
        lines.append(f"concepts of {count(len(contents.class_concepts), 'class', 'classes')}")
    for activations in contents.activations:
        lines.append(f"a corpus of {count(len(activations.texts), 'text')}, {count(len(activations), 'activation')}")
    lines += [what_of(benchmark) for benchmark in contents.benchmarks]
    if contents.scores:
        lines.append(count(len(contents.scores), "measure"))
    lines += [shortened(value.one_line()) for value in contents.others]
    return lines


def models(contents: Contents) -> list[str]:
    """The models that the values are about."""
    return list(dict.fromkeys(run.made_by.model for run in runs_of(contents.values) if run.made_by.model))


def findings(contents: Contents) -> list[Finding]:
    """Up to five sentences, each computed from one value."""
    words, concepts = _words(contents), _concepts(contents)
    trust = _address(tab="trust")
    scores = [Finding(_score(score), trust) for score in contents.scores]
    if words or concepts or scores:  # otherwise the verdict stands above the table of the benchmark
        scores = [Finding(benchmark.verdict, trust) for benchmark in contents.benchmarks] + scores
    room = max(1, MOST - min(EACH, len(words)) - min(EACH, len(concepts)))
    return [*words[:EACH], *concepts[:EACH], *scores[:room]][:MOST]


def _address(**parts: object) -> str:
    return f"#{urlencode({name: str(value) for name, value in parts.items()}, errors='replace')}"


def _words(contents: Contents) -> list[Finding]:
    """For each target the unit that speaks most for it, or matters most to it, strongest first."""
    held = texts_of(contents.attributions)
    numbers = {id(one): i for i, each in enumerate(held, start=1) for one in each}
    best: dict[str, tuple[float, Finding]] = {}
    for one in contents.attributions:
        if not one.scores.numel() or one.made_by.method != contents.attributions[0].made_by.method:
            continue
        target = best_target(one)
        directed, name = one.directed, visible(one.targets[target].label)
        label = f"“{short(name)}”"
        if one.score_space == "entropy":
            label = "the entropy" if label == "“entropy”" else f"the entropy at {label}"
        scores = others(one, target) if directed else others(one, target).abs()
        if one.units_line:  # what stands in for the text itself is no answer to which component
            outside = [unit.text.partition(" @ ")[0].endswith("embeddings") for unit in one.units]
            scores = scores.masked_fill(torch.tensor(outside), 0.0)
        place = int(scores.argmax())
        score = float(scores[place])
        where = f", text {numbers[id(one)]}" if len(held) > 1 else ""
        most, does = ("speaks most for", "speaks for") if directed else ("matters most to", "matters to")
        word = shortened(one.units[place].text.strip())
        line = f"“{word}” {most} {label} ({signed(score) if directed else number(score)}{where})."
        if score <= 0:
            line = f"No {'component' if one.units_line else 'word'} {does} {label}{where}."
        if label not in best or score > best[label][0]:
            tab = "components" if one.units_line else "texts"
            best[label] = (score, Finding(line, _address(tab=tab, t=numbers[id(one)], k=name)))
    return [finding for _, finding in sorted(best.values(), key=lambda item: -item[0])]


def _concepts(contents: Contents) -> list[Finding]:
    """The concept that matters most to each class. Classes with the same concept share a sentence."""
    lines: dict[str, list[tuple[float, str]]] = {}
    addresses: dict[str, str] = {}
    for group, one in enumerate(contents.importances):
        words = words_for(one, contents)
        known = {c.concept: c for c in words.concepts} if words else {}
        weights = Weights.of(one)
        for k, name in enumerate(weights.targets if len(one.concepts) else ()):
            place = int(weights.scores[k].argmax())
            title = title_of(known.get(place))
            named = f"Concept {place}" + (f" ({shortened(title)})" if title else "")
            against = AGAINST if weights.way(k, place) == "against" else ""
            lines.setdefault(named, []).append((float(weights.scores[k, place]), f"“{name}”{against}"))
            addresses.setdefault(named, _address(tab="concepts", g=group, c=place))
    for each in contents.class_concepts if not lines else ():
        place = int(each.importance.scores[each.row].argmax())
        concept = (
            next((c for c in each.interpretation.concepts if c.concept == place), None) if each.interpretation else None
        )
        title = title_of(concept)
        named = f"Its concept {place}" + (f" ({shortened(title)})" if title else "")
        lines.setdefault(named, []).append((float(each.importance.scores[each.row, place]), f"“{each.class_name}”"))
    strongest = sorted(lines.items(), key=lambda item: -max(score for score, _ in item[1]))
    return [
        Finding(
            f"{named} matters most to {_sides([name for _, name in classes])}.",
            addresses.get(named, _address(tab="concepts")),
        )
        for named, classes in strongest
    ]


def _sides(names: list[str]) -> str:
    """Such as `“a” and “b”`, `“a” (against it)`, or `“a”, and against “b”`."""
    against = [name for name in names if name.endswith(AGAINST)]
    rest = [name for name in names if name not in against]
    if not rest or not against:
        return listed(names)
    return f"{listed(rest)}, and against {listed([name.removesuffix(AGAINST) for name in against])}"


def _score(score: Score) -> str:
    chance = "" if score.chance is None else f", a random answer {number(score.chance)}"
    verdict, words, _ = verdict_of(score)
    judged = f": {words}" if verdict != "none" else ""
    return f"{(score.name or score.made_by.method).capitalize()} {number(score.value)}{chance}{judged}."
