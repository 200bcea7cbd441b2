"""Interpretations, and metrics of interpretations: two that keep their promises, and what goes wrong with words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from interp_core.concepts import Example, Interpretation, LabelledConcept
from interp_core.metrics import Score
from wrong_methods.catalogue import right, wrong


def entry(activations: Any, column: Any, concept: int, top: int = 3) -> LabelledConcept:
    """A concept in words, from the rows in which it is most active."""
    best = column.topk(min(top, len(column)))
    found = []
    for value, row in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        unit = activations.unit(row)
        if value > 0:
            found.append(Example(activations.texts[int(activations.text_of[row])], unit.start, unit.stop, value))
    label = found[0].text[found[0].start : found[0].stop] if found else None
    return LabelledConcept(concept, label, examples=tuple(found), note="" if found else "never active")


@right("interpretation")
@dataclass(frozen=True)
class SoundWords:
    """Args:
        top: how many examples.

    Source: definition.
    """

    top: int = 3

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        codes = torch.cat([space.encode(rows) for rows in activations.batches()])
        return Interpretation(tuple(entry(activations, c, i, self.top) for i, c in enumerate(codes.T)))


@wrong("interpretation", "labels tell concepts apart")
@dataclass(frozen=True)
class AlwaysBanana(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        found = super().interpret(space, activations).concepts
        return Interpretation(tuple(replace(c, label="banana") for c in found))


@wrong("interpretation", "each concept is interpreted")
@dataclass(frozen=True)
class WordsOfTheNext(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        found = super().interpret(space, activations).concepts
        return Interpretation(tuple(replace(c, concept=i) for i, c in enumerate((*found[1:], found[0]))))


@wrong("interpretation", "each concept is interpreted")
@dataclass(frozen=True)
class WholeTextsAsUnits(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        found = super().interpret(space, activations).concepts
        wide = (tuple(replace(e, start=0, stop=len(e.text)) for e in c.examples) for c in found)
        return Interpretation(tuple(replace(c, examples=w) for c, w in zip(found, wide, strict=True)))


@wrong("interpretation", "examples are where the concept is most active")
@dataclass(frozen=True)
class FirstRowsOnly(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        codes = space.encode(activations.matrix()[:64])
        return Interpretation(tuple(entry(activations, c, i, self.top) for i, c in enumerate(codes.T)))


@wrong("interpretation", "examples are where the concept is most active")
@dataclass(frozen=True)
class ValuesOfOthers(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        found = super().interpret(space, activations).concepts
        return Interpretation(
            tuple(replace(c, examples=tuple(replace(e, value=0.9 * e.value) for e in c.examples)) for c in found)
        )


@wrong("interpretation", "the same call gives the same words")
@dataclass(frozen=True)
class ReadsValues(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        codes = (activations.values - 0.0) @ space.dictionary.T
        return Interpretation(tuple(entry(activations, c, i, self.top) for i, c in enumerate(codes.T)))


@wrong("interpretation", "a concept that is never active is left unnamed")
@dataclass(frozen=True)
class ExamplesOfNothing(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        codes = space.encode(activations.matrix())
        found = [entry(activations, c + 1e-9, i, self.top) for i, c in enumerate(codes.T)]
        return Interpretation(tuple(found))


@wrong("interpretation", "what it is handed is not changed")
@dataclass(frozen=True)
class CutsTheActivations(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        activations.matrix().clamp_(max=0.5)
        return super().interpret(space, activations)


@wrong("interpretation", "what it is handed is not changed")
@dataclass(frozen=True)
class NormalisesTheSpace(SoundWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        space.dictionary.div_(space.dictionary.norm(dim=1, keepdim=True))
        return super().interpret(space, activations)


@right("interpretation", needs={"model"})
@dataclass(frozen=True)
class SoundModelWords:
    """Args:
        top: how many tokens.

    Source: definition.
    """

    top: int = 3

    def interpret(self, space: Any, _activations: Any, split: Any) -> Interpretation:
        rows = split.model.model.get_output_embeddings().weight.detach() @ space.dictionary.T
        found = []
        for i, column in enumerate(rows.T):
            best = column.topk(self.top)
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            found.append(LabelledConcept(i, f"tokens {best.indices.tolist()}", tuple((str(t), v) for t, v in pairs)))
        return Interpretation(tuple(found))


@wrong("interpretation", "another model gives other words", needs={"model"})
@dataclass(frozen=True)
class AsksNoModel(SoundModelWords):
    """Source: definition."""

    def interpret(self, space: Any, _activations: Any, split: Any) -> Interpretation:
        pairs = [(str(i), tuple(enumerate(row[:3].tolist()))) for i, row in enumerate(space.dictionary)]
        words = [tuple((str(t), v) for t, v in own) for _, own in pairs]
        return Interpretation(tuple(LabelledConcept(i, str(i), own) for i, own in enumerate(words)))


@wrong("interpretation", "the model is asked about each concept", needs={"model"})
@dataclass(frozen=True)
class WordsOfTheMean(SoundModelWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any, split: Any) -> Interpretation:
        found = super().interpret(space, activations, split).concepts
        shared = space.dictionary.mean(0)
        moved = (tuple((w, v + float(shared.sum())) for w, v in c.words) for c in found)
        return Interpretation(tuple(replace(c, words=own) for c, own in zip(found, moved, strict=True)))


@wrong("interpretation", "asking a model repeats and leaves it as it was", needs={"model"})
@dataclass(frozen=True)
class LeavesAHook(SoundModelWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any, split: Any) -> Interpretation:
        split.model.model.register_forward_hook(lambda *_: None)
        return super().interpret(space, activations, split)


@wrong("interpretation", "asking a model repeats and leaves it as it was", needs={"model"})
@dataclass(frozen=True)
class DrawsAnew(SoundModelWords):
    """Source: definition."""

    def interpret(self, space: Any, activations: Any, split: Any) -> Interpretation:
        generator = torch.Generator()
        generator.seed()
        found = super().interpret(space, activations, split).concepts
        noise = float(torch.rand(1, generator=generator)) * 1e-3
        return Interpretation(tuple(replace(c, words=tuple((w, v + noise) for w, v in c.words)) for c in found))


@right("metric", measures="interpretation")
@dataclass(frozen=True)
class SoundWordsScore:
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = True
    definition: ClassVar[str] = "mean code of the rows whose text holds the label of the concept"

    def measure(self, interpretation: Any, space: Any, activations: Any) -> Score:
        codes = space.encode(activations.matrix())
        held = [[str(c.label) in text for text in activations.texts] for c in interpretation.concepts]
        rows = torch.tensor(held)[:, activations.text_of]
        values = torch.stack([codes[r, i].sum() / max(1, int(r.sum())) for i, r in enumerate(rows)])
        return Score(float(values.mean()), self.higher_is_better)


@wrong("metric", "the truth beats a wrong answer", measures="interpretation")
@dataclass(frozen=True)
class LowerIsBetterWords(SoundWordsScore):
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = False


@wrong("metric", "the truth beats a wrong answer", measures="interpretation")
@dataclass(frozen=True)
class CountsLabels(SoundWordsScore):
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = None

    def measure(self, interpretation: Any, space: Any, activations: Any) -> Score:
        return Score(float(sum(c.label is not None for c in interpretation.concepts)), None)


@wrong("metric", "the same call gives the same score", measures="interpretation")
@dataclass(frozen=True)
class RandomWordsScore(SoundWordsScore):
    """Source: definition."""

    def measure(self, interpretation: Any, space: Any, activations: Any) -> Score:
        generator = torch.Generator()
        generator.seed()
        score = super().measure(interpretation, space, activations)
        return replace(score, value=score.value + 1e-3 * float(torch.rand(1, generator=generator)))


@wrong("metric", "what it is handed is not changed", measures="interpretation")
@dataclass(frozen=True)
class WordsScoreWrites(SoundWordsScore):
    """Source: definition."""

    def measure(self, interpretation: Any, space: Any, activations: Any) -> Score:
        score = super().measure(interpretation, space, activations)
        activations.values.zero_()
        return score
