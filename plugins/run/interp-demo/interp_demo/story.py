"""The whole story on one model, from words to concepts to how far to trust them: what `interp demo` runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import interp_core as interp
from interp_core.plugin import resolve

HERE = Path(__file__).parent
MODEL, CORPUS = HERE / "emotion-demo", HERE / "corpus.csv"
PROVERB = "Love and hate are two sides of the same coin."
CONCEPTS, CLASS_CONCEPTS, MIN_COUNT = 20, 6, 20


@dataclass(frozen=True)
class Corpus:
    """The sentences with their labels, and the numbers of those that the model never saw in training."""

    texts: list[str]
    labels: list[str]
    held_out: list[int]

    def unseen(self, each: int) -> list[str]:
        """The first sentences of each class that were kept out of training."""
        found: dict[str, list[str]] = {}
        for i in self.held_out:
            found.setdefault(self.labels[i], []).append(self.texts[i])
        return [text for label in sorted(found) for text in found[label][:each]]


def corpus() -> Corpus:
    """What the package carries."""
    with CORPUS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    held_out = json.loads((MODEL / "held_out.json").read_text(encoding="utf-8"))
    return Corpus([r["text"] for r in rows], [r["label"] for r in rows], held_out["indices"])


def tell(html: str | Path, llm: str | None = None, llm_parameters: dict[str, Any] | None = None) -> Iterator[str]:
    """Write the report and yield the lines worth knowing.

    Args:
        html: where the report goes.
        llm: the name of a language model that names the concepts of each class; their top words do, if None.
        llm_parameters: its parameters, such as `base_url`.
    """
    namer = resolve(_namer(llm, llm_parameters or {}), "interpretation")  # first, since it may lack a key
    texts, model = corpus(), interp.load(MODEL)
    sentences = [PROVERB, *texts.unseen(each=2)]

    truth = [None, *(texts.labels[texts.texts.index(text)] for text in sentences[1:])]  # a proverb has no label
    attributions = interp.attribute(model, sentences, by="lime", targets="all", labels=truth)
    own = interp.attribute(model, texts.unseen(each=5), by="lime")
    faithful = [interp.measure(own, model, by=name) for name in ("insertion", "deletion")]

    split = model.split(-1)
    activations = split.activations(texts.texts, granularity="cls", predictions=True)
    space = interp.fit_concepts(activations, by="semi-nmf", concepts=CONCEPTS)
    words = interp.interpret(
        space, activations, by="top-inputs", source="unique-words", top=5, min_count=MIN_COUNT, lemmatize=True
    )
    importance = interp.importance(split, space, activations, by="input-x-gradient")
    unseen = split.activations([texts.texts[i] for i in texts.held_out], granularity="cls")
    quality = [
        interp.measure(space, unseen, by=name) for name in ("explained-variance", "mse", "fid", "sparsity-ratio", "l0")
    ]
    classes = [_of_class(split, activations, name, namer) for name in model.labels]
    report = interp.report(
        attributions, *faithful, activations, space, words, importance, *quality, *classes, title=_title(llm)
    )
    path = report.save(html)
    yield f"Report: {path.resolve()}"
    yield from _findings(attributions, words, importance, [*faithful, *quality])


def _of_class(split: interp.SplitModel, activations: interp.Activations, name: str, namer: Any) -> interp.ClassConcepts:
    """Concepts learnt from the sentences that the model gives one class, in words."""
    part = activations.of_class(name)
    concepts = min(CLASS_CONCEPTS, len(part))
    space = interp.fit_concepts(part, by="semi-nmf", concepts=concepts)
    importance = interp.importance(split, space, part, by="input-x-gradient", targets=name)
    words = interp.interpret(space, part, by=namer)
    return interp.ClassConcepts(name, space, words, importance)


def _namer(llm: str | None, parameters: dict[str, Any]) -> Any:
    if llm is None:
        return interp.method("top-inputs", source="unique-words", top=5, min_count=3, lemmatize=True)
    return interp.method("llm-labels", llm=interp.method(llm, "llm", **parameters))


def _title(llm: str | None) -> str:
    return "How a small model tells six emotions apart" + (f", in the words of {llm}" if llm else "")


def _findings(attributions: Sequence[Any], words: Any, importance: Any, scores: list[Any]) -> Iterator[str]:
    proverb = attributions[0]
    k = int(proverb.intact.argmax())
    best = ", ".join(f"{word} ({score:+.1f})" for word, score in proverb.top(k, 2))
    yield f"'{proverb.text}' is {proverb.targets[k].label} to this model, most of all because of: {best}"
    yield "What speaks for each class: " + "; ".join(
        f"{name}: {words[importance.top(name, 1, signed=True)[0][0]].title}" for name in importance.targets
    )
    yield f"Faithful: {scores[0]}"
    yield f"Concepts: {scores[2]}; {scores[5]}"


__all__ = ["Corpus", "corpus", "tell"]
