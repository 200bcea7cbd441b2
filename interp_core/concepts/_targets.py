"""The targets of `importance` and `effect`, for every type of head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Contrast, Session, TargetResolver, class_targets, next_token_targets
from interp_core.errors import TargetError, UnsupportedError
from interp_core.model import CLASSIFIERS, GENERATORS, Head, Readout, SplitModel, Target
from interp_core.text import Encoded
from jaxtyping import Int
from torch import Tensor

OWN: dict[Head, str] = {"masked": "word", "tokens": "tag", "span": "answer"}  # a target that differs from text to text


@dataclass
class ConceptTargets:
    """The targets of all texts of a run.

    Attributes:
        split: the model, split where the activations were read.
        activations: the texts.
        session: the run.
        asked: as in `importance`.
        labels: the names of the targets, known from the first text on.
    """

    split: SplitModel
    activations: Activations
    session: Session
    asked: Any
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked before the model runs.

        Raises:
            TargetError: there are not as many targets as texts, or none for a generator.
            UnsupportedError: the model gives no logits, or the layer is in a decoder that follows an encoder.
        """
        model, texts = self.split.model, len(self.activations.texts)
        if model.head == "other":
            raise UnsupportedError(
                f"{model.name} gives no logits of classes, tags, spans or tokens, so concepts have nothing to matter "
                "for; load it with a head, such as task='SequenceClassification'."
            )
        if self.split.model.side_of(self.split.path) == "target":
            raise UnsupportedError(
                f"{self.split.path!r} is in the decoder, which has not read any of the texts; split in the encoder."
            )
        if model.head in GENERATORS:
            tokens = self.asked if isinstance(self.asked, list | tuple) else [self.asked]
            if (
                not tokens
                or not all(isinstance(t, str | Contrast | Target) or callable(t) for t in tokens)
                or "all" in tokens
            ):
                raise TargetError("for a generator name the next tokens to explain, such as targets=[' good', ' bad'].")
        elif model.head in CLASSIFIERS and _nested(self.asked):
            raise TargetError("targets are classes for all texts here, not a list for each; give one list of classes.")
        elif model.head not in CLASSIFIERS and isinstance(self.asked, list) and len(self.asked) != texts:
            raise TargetError(
                f"{len(self.asked)} targets were given in a list for {texts} texts; one each was expected. Use a tuple "
                "to give several for every text."
            )

    @property
    def own(self) -> bool:
        """Whether the target of each text is the class that the model gives it."""
        of_text = self.asked is None or (isinstance(self.asked, str) and self.asked == "predicted")
        return self.split.model.head in CLASSIFIERS and of_text

    @property
    def _asked(self) -> Any:
        """The targets; `"all"`, the default of the verbs, is of classes and tags, and elsewhere the model's own."""
        head = self.split.model.head
        return (
            None if isinstance(self.asked, str) and self.asked == "all" and head in ("masked", "span") else self.asked
        )

    def of(self, texts: Sequence[int]) -> list[tuple[Encoded, tuple[Target, ...]]]:
        """Some texts as the model receives them, each with its targets.

        Raises:
            TargetError: a target does not exist, or the predicted class is asked for and not known.
            InputError: a text has no gap, or is not a pair, where the head needs one.
        """
        model, given = self.split.model, [self.activations.texts[i] for i in texts]
        if model.head in CLASSIFIERS:
            return [(model.encoder(text), self._classes(i)) for i, text in zip(texts, given, strict=True)]
        if model.head in GENERATORS:
            tokens = self.asked if isinstance(self.asked, list | tuple) else [self.asked]
            prompts = [model.encoder.prompt(text) for text in given]
            return [(p, tuple(t for token in tokens for t in next_token_targets(model, p, token))) for p in prompts]
        asked = [self._asked[i] for i in texts] if isinstance(self._asked, list) else self._asked
        resolver = TargetResolver(model, self.session.batch_runner, self.session.options)
        return [one[:2] for one in resolver.resolve(given, asked) if one is not None]  # none is: errors are raised

    def shared(self) -> dict[tuple[Target, ...], Int[Tensor, " m"]]:
        """For a classifier, the numbers of the texts that have the same targets.

        Raises:
            TargetError: a target does not exist, or the predicted class is asked for and not known.
        """
        groups: dict[tuple[Target, ...], list[int]] = {}
        count = len(self.activations.texts)
        if not self.own:
            return {self._classes(0): torch.arange(count)}
        for text in range(count):
            groups.setdefault(self._classes(text), []).append(text)
        return {targets: torch.tensor(texts) for targets, texts in groups.items()}

    def check(self, readouts: Sequence[Readout]) -> None:
        """Name the targets, those that differ from text to text by their kind, and check that all texts have as many.

        Raises:
            TargetError: they have different numbers of targets.
        """
        for readout in readouts:
            labels = tuple(target.label for target in readout.targets)
            kind = OWN.get(readout.head, "target")
            kinds = tuple(f"{kind} {i + 1}" for i in range(len(labels))) if len(labels) > 1 else (kind,)
            labels = ("predicted class",) if self.own else labels
            self.labels = self.labels or labels
            if len(labels) != len(self.labels):
                raise TargetError("the texts have different numbers of targets; name the targets explicitly.")
            named = zip(self.labels, labels, kinds, strict=True)
            self.labels = tuple(one if one == other else differs for one, other, differs in named)

    def _classes(self, text: int) -> tuple[Target, ...]:
        model = self.split.model
        if not self.own:
            return class_targets(self.asked, model.labels, model.head, None)
        predicted = self.activations.predictions
        if predicted is not None and predicted.ndim != 1:
            raise TargetError("a text can have several predicted classes; name the targets, or use targets='all'.")
        if predicted is None:
            raise TargetError(
                "the predicted class of each text is not known; make the activations with predictions=True."
            )
        return (Target(model.labels[int(predicted[text])], int(predicted[text])),)


def _nested(asked: Any) -> bool:
    rows = asked.tolist() if hasattr(asked, "tolist") else asked
    return isinstance(rows, list | tuple) and any(isinstance(row, list | tuple) for row in rows)
