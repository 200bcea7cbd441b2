"""The heading of a report: what was asked, and up to five findings computed from the values."""

from __future__ import annotations

from interp_core.metrics import Score
from interp_core.reporting._benchmark_table import what_of
from interp_core.reporting._concept_cards import Weights, title_of
from interp_core.reporting._contents import Contents
from interp_core.reporting._formatting import count, listed, number, short, shortened, signed
from interp_core.reporting._grouping import words_for
from interp_core.reporting._provenance_view import runs_of
from interp_core.reporting._score_view import verdict_of
from interp_core.reporting._text_views import best_target, others, visible

MOST = 5
EACH = 2


def title_for(contents: Contents) -> str:
    """A title for a report that was given none."""
    if contents.attributions:
        return "Why the model answered as it did"
    learnt = contents.spaces or contents.interpretations or contents.importances or contents.class_concepts
    if learnt or contents.effects or contents.activations:
        return "What the model has learnt"
    return "Methods compared" if contents.benchmarks else "How far to trust it"


def asked(contents: Contents) -> list[str]:
    """What was asked, a few words for each kind of value."""
    said = []
    if contents.attributions:
        texts = len({a.text for a in contents.attributions})
        methods = list(dict.fromkeys(a.made_by.method for a in contents.attributions))
        said.append(f"{count(texts, 'text')} explained by {listed(methods)}")
    for space in contents.spaces:
        said.append(
            f"{count(space.concepts, 'concept')} learnt by {space.made_by.method}"
            + (f" at {space.layer}" * bool(space.layer))
        )
    if contents.class_concepts:
        said.append(f"concepts of {count(len(contents.class_concepts), 'class', 'classes')}")
    for held in contents.activations:
        said.append(f"a corpus of {count(len(held.texts), 'text')}, {count(len(held), 'activation')}")
    said += [what_of(benchmark) for benchmark in contents.benchmarks]
    if contents.scores:
        said.append(count(len(contents.scores), "measure"))
    return said


def models(contents: Contents) -> list[str]:
    """The models the values came from."""
    return list(dict.fromkeys(run.made_by.model for run in runs_of(contents.values) if run.made_by.model))


def findings(contents: Contents) -> list[str]:
    """Up to five sentences, each read off a value and no more than it says."""
    words, concepts = _words(contents), _concepts(contents)
    scores = [_score(score) for score in contents.scores]
    if words or concepts or scores:  # a benchmark alone says it above its table
        scores = [benchmark.verdict for benchmark in contents.benchmarks] + scores
    room = max(1, MOST - min(EACH, len(words)) - min(EACH, len(concepts)))
    return [*words[:EACH], *concepts[:EACH], *scores[:room]][:MOST]


def _words(contents: Contents) -> list[str]:
    """For each answer the unit that speaks most for it, the strongest first."""
    numbers = {text: i for i, text in enumerate(dict.fromkeys(a.text for a in contents.attributions), start=1)}
    best: dict[str, tuple[float, str]] = {}
    for one in contents.attributions:
        if not one.scores.numel() or one.made_by.method != contents.attributions[0].made_by.method:
            continue
        target = best_target(one)
        scores, label = others(one, target), short(visible(one.targets[target].label))
        place = int(scores.argmax())
        score = float(scores[place])
        where = f", text {numbers[one.text]}" if len(numbers) > 1 else ""
        word = shortened(one.units[place].text.strip())
        line = f"“{word}” speaks most for “{label}” ({signed(score)}{where})."
        if score <= 0:
            line = f"No word speaks for “{label}”{where}."
        if label not in best or score > best[label][0]:
            best[label] = (score, line)
    return [line for _, line in sorted(best.values(), key=lambda found: -found[0])]


def _concepts(contents: Contents) -> list[str]:
    """The concept that matters most to each class; classes that share it share a sentence."""
    lines: dict[str, list[tuple[float, str]]] = {}
    for one in contents.importances:
        found = words_for(one, contents)
        known = {c.concept: c for c in found.concepts} if found else {}
        weights = Weights.of(one)
        for k, name in enumerate(weights.targets if len(one.concepts) else ()):
            place = int(weights.scores[k].argmax())
            title = title_of(known.get(place))
            named = f"Concept {place}" + (f" ({shortened(title)})" if title else "")
            against = " (against it)" if weights.way(k, place) == "against" else ""
            lines.setdefault(named, []).append((float(weights.scores[k, place]), f"“{name}”{against}"))
    for each in contents.class_concepts if not lines else ():
        place = int(each.importance.scores[each.row].argmax())
        concept = (
            next((c for c in each.interpretation.concepts if c.concept == place), None) if each.interpretation else None
        )
        title = title_of(concept)
        named = f"Its concept {place}" + (f" ({shortened(title)})" if title else "")
        lines.setdefault(named, []).append((float(each.importance.scores[each.row, place]), f"“{each.class_name}”"))
    strongest = sorted(lines.items(), key=lambda item: -max(score for score, _ in item[1]))
    return [f"{named} matters most to {listed([name for _, name in found])}." for named, found in strongest]


def _score(score: Score) -> str:
    floor = "" if score.floor is None else f", a random answer {number(score.floor)}"
    verdict, words, _ = verdict_of(score)
    judged = f": {words}" if verdict != "none" else ""
    return f"{(score.name or score.made_by.method).capitalize()} {number(score.value)}{floor}{judged}."
